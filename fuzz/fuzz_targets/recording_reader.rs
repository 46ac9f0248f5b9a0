//! Any bytes as a recording: no panic; the same events and the same end whatever the pieces; what was read survives being written.
//!
//! Input: one byte for the size of the pieces, then the recording.
#![no_main]

use bytes::Bytes;
use event::Event;
use event::recording::{Reader, write};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&piece, recording)) = input.split_first() else { return };
    let whole = read(recording, usize::MAX);
    assert_eq!(whole, read(recording, 1 + usize::from(piece)));

    let mut again = Vec::new();
    for event in &whole.0 {
        write(&Event::from_bytes(event.clone()).expect("read before"), &mut again);
    }
    assert_eq!(read(&again, usize::MAX), (whole.0, None));
});

/// The events up to the first error, and what that error says. Events by their bytes: what is not a number is not equal to itself.
fn read(recording: &[u8], piece: usize) -> (Vec<Bytes>, Option<String>) {
    let (mut reader, mut events) = (Reader::default(), Vec::new());
    for piece in recording.chunks(piece) {
        reader.push(piece);
        loop {
            match reader.next() {
                Ok(Some(event)) => events.push(event.to_bytes()),
                Ok(None) => break,
                Err(error) => return (events, Some(error.to_string())),
            }
        }
    }
    (events, reader.finish().err().map(|error| error.to_string()))
}
