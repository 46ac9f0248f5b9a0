//! Any bytes as a finished log, compressed or not: no panic, a gapless run of events, and the same ones whatever the pieces.
//!
//! Input: one byte for the size of the pieces, then the file.
#![no_main]

use std::io::Read;
use std::sync::atomic::AtomicBool;

use event::Event;
use extract::log::Config;
use extract::log::finished::Input;
use libfuzzer_sys::fuzz_target;

/// Gives so many bytes at a time.
struct Pieces {
    bytes: Vec<u8>,
    at: usize,
    piece: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let rest = &self.bytes[self.at..];
        let length = rest.len().min(buffer.len()).min(self.piece);
        buffer[..length].copy_from_slice(&rest[..length]);
        self.at += length;
        Ok(length)
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&piece, log)) = input.split_first() else { return };
    let (whole, complete) = read(log, usize::MAX);
    assert!(whole.iter().zip(0..).all(|(event, sequence)| event.sequence == sequence));
    let (parts, complete_in_parts) = read(log, 1 + usize::from(piece));
    // what is no log is given up where the pieces end
    if complete && complete_in_parts {
        let shown = |events: &[Event]| events.iter().map(Event::to_bytes).collect::<Vec<_>>();
        assert_eq!(shown(&whole), shown(&parts));
    }
});

/// The events, and whether it was read to its end.
fn read(log: &[u8], piece: usize) -> (Vec<Event>, bool) {
    let bytes = Pieces { bytes: log.to_vec(), at: 0, piece };
    let Ok(input) = Input::new(bytes, "log") else { return (Vec::new(), false) };
    let node = "node".parse().expect("a name");
    let config = Config { log_unmatched: true, ..Config::default() };
    let mut events = Vec::new();
    let (_, result) = input.changed_at(0).read(&config, &node, 0, &AtomicBool::new(false), |event| {
        events.push(event.clone());
        Ok(())
    });
    (events, result.is_ok())
}
