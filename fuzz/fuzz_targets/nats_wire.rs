//! What a NATS server may say: its words, one after another, and the headers of parts.
#![no_main]

use bus::nats::parts::Part;
use bus::nats::wire::{self, Op, Parsed};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut rest = input;
    while let Ok(Parsed::Op(op, taken)) = wire::parse(rest) {
        assert!(0 < taken && taken <= rest.len(), "it goes forward, and not beyond the end");
        if let Op::Message(message) = op {
            let _ = Part::parse(&rest[message.headers]);
            let _ = (&rest[message.subject], &rest[message.payload]);
        }
        rest = &rest[taken..];
    }
});
