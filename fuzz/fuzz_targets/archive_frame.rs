//! Any bytes as the body of a frame, past checksums and compression, as bytes and as values: no panic, no event longer than any event; what
//! is an event survives being packed again.
//!
//! Input: how many events, the lengths of eight sections (two bytes each, little-endian), then the sections.
#![no_main]

use event::archive::{Head, Packer, Section, Stream, Unpacker};
use event::recording::MAX_EVENT;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((lengths, body)) = input.split_at_checked(18) else { return };
    let number = |at: usize| u16::from_le_bytes([lengths[at], lengths[at + 1]]);
    let mut rest = body.len();
    let sections = (1..9).map(|at| {
        let length = rest.min(number(2 * at).into()) as u32;
        rest -= length as usize;
        Section { stored: length, raw: length, compressed: false }
    });
    let stream = Stream {
        node: String::new(),
        node_run: None,
        source: 0,
        run: 0,
        events: 0,
        first: 0,
        last: 0,
        missing: 0,
        repeated: 0,
        peers: None,
    };
    // as many streams as the tables say, which is their first byte
    let streams = vec![stream; body.first().map_or(0, |count| usize::from(*count))];
    let head = Head { events: number(0).into(), sections: sections.collect(), streams, ..Head::default() };
    let mut decompressor = zstd::bulk::Decompressor::new().expect("there is memory for it");
    let Ok(mut unpacker) = Unpacker::new(&head, body, &mut decompressor) else { return };
    let mut packer = Packer::default();
    let (mut events, mut event) = (Vec::new(), Vec::new());
    while let Ok(Some(_)) = unpacker.next(&mut event) {
        assert!(event.len() <= 2 * MAX_EVENT);
        if packer.push_bytes(&event).is_ok() {
            events.push(std::mem::take(&mut event));
        }
        event.clear();
    }
    po_fuzz::assert_survive(&mut packer, &events);
    // the same as values; every third is passed over
    let Ok(mut unpacker) = Unpacker::new(&head, body, &mut decompressor) else { return };
    let mut number = 0;
    let mut wanted = |_: &_| {
        number += 1;
        number % 3 > 0
    };
    while let Ok(Some(event)) = unpacker.next_event(&mut wanted) {
        packer.push(&event);
    }
});
