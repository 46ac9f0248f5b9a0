//! Records as the kernel side would write them, in any order, from any bytes: events, or a refusal.
#![no_main]

use ebpf::decoder::Decoder;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut decoder = Decoder::new(true);
    decoder.attaching(1, 1);
    // several records, so that what one leaves behind meets the next
    for record in input.chunks(usize::from(input.first().copied().unwrap_or(1)).max(1) * 4) {
        let _ = decoder.decode(record, |observation| _ = observation.kind.id());
    }
});
