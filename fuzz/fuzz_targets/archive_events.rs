//! Any bytes as events of an archive: what is an event comes out of a frame byte by byte as it went in.
//!
//! Input: events one after another, each preceded by its length as one byte.
#![no_main]

use event::archive::Packer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut packer = Packer::default();
    let (mut events, mut rest) = (Vec::new(), input);
    while let Some((length, more)) = rest.split_first() {
        let (event, more) = more.split_at(more.len().min(usize::from(*length)));
        rest = more;
        if packer.push_bytes(event).is_ok() {
            events.push(event.to_vec());
        }
    }
    po_fuzz::assert_survive(&mut packer, &events);
});
