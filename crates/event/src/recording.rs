//! The first form of a recording: events one after another, each preceded by its length as a varint, the whole under zstd.
//!
//! Any implementation of protobuf reads it (`writeDelimitedTo`, `parse_delimited_from`). This module knows the framing only;
//! compression and files are the business of whoever has a file.

use bytes::{Buf, BytesMut};
use prost::Message;

use crate::{Event, NodeName};

/// The longest event that a recording may hold. The largest that is ever published is a 4 MB message, decoded, with its raw bytes.
pub const MAX_EVENT: usize = 64 << 20;

/// Appends an event to `out`.
pub fn write(event: &Event, out: &mut Vec<u8>) {
    event.encode_length_delimited(out).expect("a Vec grows");
}

/// Takes a recording in pieces and gives back its events.
#[derive(Default)]
pub struct Reader {
    buffer: BytesMut,
    /// Where the event that comes next begins, counted from the beginning of the recording.
    offset: u64,
}

impl Reader {
    /// Adds the next piece.
    pub fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The next event; `None` when the rest is not whole yet.
    ///
    /// # Errors
    ///
    /// Bytes that are no recording. What comes after them cannot be read: lengths are all there is to go by.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator that has ended has ended; this one goes on after the next piece"
    )]
    pub fn next(&mut self) -> Result<Option<Event>, ReadError> {
        let fault = |what| ReadError { offset: self.offset, what };
        let mut ahead = &self.buffer[..];
        let length = match prost::encoding::decode_varint(&mut ahead) {
            Ok(length) => usize::try_from(length).unwrap_or(usize::MAX),
            // a varint has at most ten bytes
            Err(_) if self.buffer.len() < 10 => return Ok(None),
            Err(_) => return Err(fault(Fault::Length)),
        };
        if length > MAX_EVENT {
            return Err(fault(Fault::TooLong(length)));
        }
        let prefix = self.buffer.len() - ahead.len();
        if node_length(ahead).is_some_and(|node| node > NodeName::MAX as u64) {
            return Err(fault(Fault::Name));
        }
        if ahead.len() < length {
            // what grows by itself takes twice as much
            let more = length - ahead.len();
            self.buffer.reserve(more);
            return Ok(None);
        }
        self.buffer.advance(prefix);
        let bytes = self.buffer.split_to(length).freeze();
        let fault = |what| ReadError { offset: self.offset, what };
        let event = Event::from_bytes(bytes).map_err(|error| fault(Fault::Event(error)))?;
        if event.node.len() > NodeName::MAX {
            return Err(fault(Fault::Name));
        }
        self.offset += (prefix + length) as u64;
        Ok(Some(event))
    }

    /// Call at the end of the input: whether it ended between two events.
    ///
    /// # Errors
    ///
    /// The recording was cut.
    pub fn finish(&self) -> Result<(), ReadError> {
        if self.buffer.is_empty() { Ok(()) } else { Err(ReadError { offset: self.offset, what: Fault::Cut }) }
    }
}

/// How long the name of the node is, if an event begins with it, as all that this program writes do: known before there is more of it.
fn node_length(event: &[u8]) -> Option<u64> {
    const NODE: u8 = 1 << 3 | 2;
    let mut rest = event.strip_prefix(&[NODE])?;
    prost::encoding::decode_varint(&mut rest).ok()
}

/// A recording that cannot be read from some place on.
#[derive(Debug, thiserror::Error)]
#[error("at byte {offset} of the uncompressed recording: {what}")]
pub struct ReadError {
    /// Where the event in question begins.
    pub offset: u64,
    #[source]
    what: Fault,
}

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("no length of an event")]
    Length,
    #[error("an event of {0} bytes, more than any event has")]
    TooLong(usize),
    #[error("an event of a node whose name is longer than any name")]
    Name,
    #[error("{0}")]
    Event(crate::DecodeError),
    #[error("the recording ends in the middle of an event")]
    Cut,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NetPing, Source};

    fn two_events() -> (Vec<Event>, Vec<u8>) {
        let events = [1, 2].map(|nonce| Event::new("n", Source::Ebpf, NetPing { nonce: Some(nonce), ..Default::default() }));
        let mut bytes = Vec::new();
        for event in &events {
            write(event, &mut bytes);
        }
        (events.into(), bytes)
    }

    fn read(bytes: &[u8], piece: usize) -> (Vec<Event>, Result<(), ReadError>) {
        let mut reader = Reader::default();
        let mut events = Vec::new();
        for piece in bytes.chunks(piece) {
            reader.push(piece);
            loop {
                match reader.next() {
                    Ok(Some(event)) => events.push(event),
                    Ok(None) => break,
                    Err(error) => return (events, Err(error)),
                }
            }
        }
        (events, reader.finish())
    }

    #[test]
    fn what_was_written_is_read_in_pieces_of_any_size() {
        let (events, bytes) = two_events();
        for piece in 1..=bytes.len() {
            let (got, end) = read(&bytes, piece);
            assert_eq!(got, events);
            end.unwrap();
        }
    }

    #[test]
    fn every_prefix_is_readable_up_to_its_last_whole_event() {
        let (events, bytes) = two_events();
        let first = {
            let mut one = Vec::new();
            write(&events[0], &mut one);
            one.len()
        };
        for length in 0..bytes.len() {
            let (got, end) = read(&bytes[..length], 7);
            assert_eq!(got.len(), usize::from(length >= first));
            assert_eq!(end.is_ok(), length == 0 || length == first);
        }
    }

    #[test]
    fn foreign_bytes_are_an_error_that_names_the_place() {
        let (_, end) = read(&[0xff; 32], 32);
        assert_eq!(end.unwrap_err().to_string(), "at byte 0 of the uncompressed recording: no length of an event");
    }

    /// A few bytes of zstd become as many as somebody likes: a name is repeated in everything that is made of an event.
    #[test]
    fn a_name_that_no_node_has_is_refused_before_it_is_there() {
        let named = |length: usize| {
            let event = Event::new("n".repeat(length), Source::Ebpf, NetPing::default());
            let mut bytes = Vec::new();
            write(&event, &mut bytes);
            bytes
        };
        assert_eq!(read(&named(NodeName::MAX), 100).0.len(), 1);
        let mut reader = Reader::default();
        reader.push(&named(60 << 20)[..100]);
        let expected = "at byte 0 of the uncompressed recording: an event of a node whose name is longer than any name";
        assert_eq!(reader.next().unwrap_err().to_string(), expected);
        // also where something else comes before it
        let late = [&[0x10, 1][..], &named(65)[1..]].concat();
        let (events, end) = read(&[&[late.len() as u8][..], &late].concat(), 500);
        assert_eq!((events.len(), end.unwrap_err().to_string().as_str()), (0, expected));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, piece in 1_usize..64) {
            let _ = read(&bytes, piece);
        }
    }
}
