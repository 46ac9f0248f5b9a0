//! Events that are larger than a server takes at once: cut into numbered parts and joined again, without IO.
//!
//! Every part is a message on the event's subject with three headers:
//!
//! | header | value |
//! |---|---|
//! | `Po-Event` | `<source>-<run>-<sequence>`: numbers of the envelope, the same in all parts |
//! | `Po-Part` | `<index>/<count>`, from 0 |
//! | `Po-Size` | bytes of the whole event |
//!
//! The payloads, one after another, are the event. A server keeps the order of a publisher, so a part that is not the next one means
//! that the event is lost.

use std::collections::HashMap;

use bytes::Bytes;
use event::recording::MAX_EVENT;

use super::wire::decimal;

/// Most bytes that incomplete events of one subscription take together.
pub const MAX_BYTES: usize = 96 << 20;
/// Most events of one subscription that are incomplete at a time. A source has at most one.
pub const MAX_INCOMPLETE: usize = 64;
/// Most parts of an event: the largest event through a server that is configured for 4 KiB.
pub const MAX_PARTS: u64 = 16 << 10;

/// Room that the headers of a part take at most.
pub(crate) const HEADER_ROOM: usize = 256;

/// Which event a part belongs to, and where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    /// Who states the event.
    pub source: u64,
    /// In which run.
    pub run: u64,
    /// In which place.
    pub sequence: u64,
    /// Which part, from 0.
    pub index: u64,
    /// Of how many.
    pub count: u64,
    /// Bytes of the whole event.
    pub size: u64,
}

/// The line of a header block that every block begins with.
pub(crate) const HEADER_START: &str = "NATS/1.0\r\n";

impl Part {
    /// The lines of the header block.
    pub(crate) fn header(&self) -> String {
        let Self { source, run, sequence, index, count, size } = self;
        format!("Po-Event: {source}-{run}-{sequence}\r\nPo-Part: {index}/{count}\r\nPo-Size: {size}\r\n")
    }

    /// Reads a header block: `None` where it names no part, an error where it names none that can be.
    ///
    /// # Errors
    ///
    /// Numbers that are none, missing, too large or in contradiction.
    pub fn parse(headers: &[u8]) -> Result<Option<Self>, BadPart> {
        let Some(part) = header(headers, "Po-Part") else { return Ok(None) };
        let [index, count] = numbers(part, b'/').ok_or(BadPart)?;
        let [source, run, sequence] = header(headers, "Po-Event").and_then(|id| numbers(id, b'-')).ok_or(BadPart)?;
        let [size] = header(headers, "Po-Size").and_then(|size| numbers(size, b' ')).ok_or(BadPart)?;
        let part = Self { source, run, sequence, index, count, size };
        if index >= count || count > MAX_PARTS || size > MAX_EVENT as u64 { Err(BadPart) } else { Ok(Some(part)) }
    }
}

/// The value of a header.
pub(crate) fn header<'a>(headers: &'a [u8], name: &str) -> Option<&'a [u8]> {
    headers.split(|byte| *byte == b'\n').find_map(|line| {
        let (key, value) = line.split_at_checked(name.len())?;
        let value = value.strip_prefix(b":")?;
        key.eq_ignore_ascii_case(name.as_bytes()).then(|| value.trim_ascii())
    })
}

pub(crate) fn numbers<const N: usize>(text: &[u8], separator: u8) -> Option<[u64; N]> {
    let mut words = text.split(|byte| *byte == separator);
    let mut values = [0; N];
    for value in &mut values {
        *value = decimal(words.next()?)?;
    }
    words.next().is_none().then_some(values)
}

/// A part that cannot be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a part of an event")]
pub struct BadPart;

/// Joins parts. Bounded, whatever it is given.
#[derive(Debug, Default)]
pub struct Assembler {
    incomplete: HashMap<Stream, Incomplete>,
    bytes: usize,
    /// Counts parts: the age of what is incomplete.
    clock: u64,
    given_up: u64,
}

/// The node as the subject has it, source and run: who sends one part after the other.
type Stream = (Box<[u8]>, u64, u64);

#[derive(Debug)]
struct Incomplete {
    subject: Box<[u8]>,
    /// The last one that came.
    part: Part,
    bytes: Vec<u8>,
    touched: u64,
}

impl Assembler {
    /// Takes a part; gives back the event when that was the last one missing.
    ///
    /// What comes out is only as good as what went in: whether it is an event of that subject remains to be seen.
    pub fn push(&mut self, node: &[u8], subject: &[u8], part: Part, payload: &[u8]) -> Option<Bytes> {
        self.clock += 1;
        let stream = (Box::from(node), part.source, part.run);
        let mut so_far = match self.take(&stream) {
            Some(before) if before.part.is_before(&part) && *before.subject == *subject => before,
            other => {
                self.given_up += u64::from(other.is_some());
                if part.index > 0 {
                    // its beginning is lost, or was given up; told once per event
                    self.given_up += u64::from(other.is_none_or(|other| other.part.sequence != part.sequence) && part.index == 1);
                    return None;
                }
                Incomplete { subject: subject.into(), part, bytes: Vec::new(), touched: 0 }
            }
        };
        let length = so_far.bytes.len() + payload.len();
        let last = part.index + 1 == part.count;
        if length as u64 > part.size || payload.is_empty() || (last && length as u64 != part.size) {
            self.given_up += 1;
            return None;
        }
        so_far.bytes.extend_from_slice(payload);
        if last {
            return Some(so_far.bytes.into());
        }
        (so_far.part, so_far.touched) = (part, self.clock);
        self.keep(stream, so_far);
        None
    }

    /// Something else came from this source: what was incomplete of it stays so.
    pub fn interrupt(&mut self, node: &[u8], source: u64, run: u64) {
        if !self.incomplete.is_empty() && self.take(&(node.into(), source, run)).is_some() {
            self.given_up += 1;
        }
    }

    /// How many events were given up since the last call.
    pub fn take_given_up(&mut self) -> u64 {
        std::mem::take(&mut self.given_up)
    }

    fn take(&mut self, stream: &Stream) -> Option<Incomplete> {
        let taken = self.incomplete.remove(stream);
        self.bytes -= taken.as_ref().map_or(0, |taken| taken.bytes.capacity());
        taken
    }

    fn keep(&mut self, stream: Stream, incomplete: Incomplete) {
        self.bytes += incomplete.bytes.capacity();
        self.incomplete.insert(stream, incomplete);
        while self.bytes > MAX_BYTES || self.incomplete.len() > MAX_INCOMPLETE {
            let oldest = self.incomplete.iter().min_by_key(|(_, one)| one.touched).map(|(stream, _)| stream.clone());
            let Some(oldest) = oldest else { break };
            self.take(&oldest);
            self.given_up += 1;
        }
    }
}

impl Part {
    fn is_before(&self, next: &Part) -> bool {
        *next == Part { index: self.index + 1, ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn part(sequence: u64, index: u64, count: u64, size: u64) -> Part {
        Part { source: 1, run: 2, sequence, index, count, size }
    }

    fn push(assembler: &mut Assembler, part: Part, payload: &[u8]) -> Option<Bytes> {
        assembler.push(b"n", b"po.n.net.block", part, payload)
    }

    #[test]
    fn parts_become_the_event() {
        let mut assembler = Assembler::default();
        assert_eq!(push(&mut assembler, part(3, 0, 3, 5), b"ab"), None);
        assert_eq!(push(&mut assembler, part(3, 1, 3, 5), b"cd"), None);
        assert_eq!(push(&mut assembler, part(3, 2, 3, 5), b"e").unwrap(), "abcde");
        assert_eq!((assembler.take_given_up(), assembler.bytes, assembler.incomplete.len()), (0, 0, 0));
    }

    #[test]
    fn sources_do_not_disturb_each_other() {
        let mut assembler = Assembler::default();
        let other = |index| Part { source: 9, ..part(3, index, 2, 4) };
        assert_eq!(push(&mut assembler, part(3, 0, 2, 4), b"ab"), None);
        assert_eq!(push(&mut assembler, other(0), b"AB"), None);
        assert_eq!(push(&mut assembler, part(3, 1, 2, 4), b"cd").unwrap(), "abcd");
        assert_eq!(push(&mut assembler, other(1), b"CD").unwrap(), "ABCD");
    }

    #[track_caller]
    fn check_given_up(parts: &[(Part, &[u8])], expect: u64) {
        let mut assembler = Assembler::default();
        for (part, payload) in parts {
            assert_eq!(push(&mut assembler, *part, payload), None);
        }
        assembler.interrupt(b"n", 1, 2);
        assert_eq!((assembler.take_given_up(), assembler.bytes), (expect, 0));
    }

    #[test]
    fn what_does_not_continue_is_given_up_once() {
        check_given_up(&[(part(3, 0, 3, 6), b"ab"), (part(3, 2, 3, 6), b"ef")], 1);
        check_given_up(&[(part(3, 0, 2, 4), b"ab"), (part(4, 0, 2, 4), b"ab")], 2);
        check_given_up(&[(part(3, 1, 3, 6), b"cd"), (part(3, 2, 3, 6), b"ef")], 1);
        check_given_up(&[(part(3, 0, 2, 4), b"ab")], 1);
    }

    #[test]
    fn lies_are_given_up() {
        check_given_up(&[(part(3, 0, 2, 4), b"abcdefgh")], 1);
        check_given_up(&[(part(3, 0, 2, 4), b"")], 1);
        check_given_up(&[(part(3, 0, 2, 9), b"ab"), (part(3, 1, 2, 9), b"cd")], 1);
        check_given_up(&[(part(3, 0, 2, 4), b"ab"), (part(3, 1, 2, 5), b"cde")], 1);
    }

    #[test]
    fn strangers_cannot_fill_the_memory() {
        let mut assembler = Assembler::default();
        let payload = vec![0; 1 << 20];
        for run in 0..1000 {
            for index in 0..4 {
                let part = Part { source: 1, run, sequence: 0, index, count: 60, size: 60 << 20 };
                assert_eq!(push(&mut assembler, part, &payload), None);
                assert!(assembler.bytes <= MAX_BYTES && assembler.incomplete.len() <= MAX_INCOMPLETE);
            }
        }
        let kept = assembler.incomplete.len() as u64;
        assert_eq!(assembler.take_given_up(), 1000 - kept);
    }

    #[test]
    fn headers_are_read_back() {
        let expect = part(u64::MAX, 7, 8, 9);
        let block = format!("{HEADER_START}Other: x\r\n{}\r\n", expect.header());
        assert_eq!(Part::parse(block.as_bytes()), Ok(Some(expect)));
        assert_eq!(Part::parse(block.to_lowercase().as_bytes()), Ok(Some(expect)));
        assert!(block.len() <= HEADER_ROOM);
        assert_eq!(Part::parse(b"NATS/1.0\r\nOther: x\r\n\r\n"), Ok(None));
    }

    #[test]
    fn headers_that_cannot_be_are_refused() {
        let good = "Po-Event: 1-2-3\nPo-Part: 0/2\nPo-Size: 4\n";
        assert!(matches!(Part::parse(good.as_bytes()), Ok(Some(_))));
        for (from, to) in [
            ("0/2", "2/2"),
            ("0/2", "0/99999999"),
            ("0/2", "-1/2"),
            ("0/2", "0"),
            ("0/2", "0/2/3"),
            ("1-2-3", "1-2"),
            ("1-2-3", "a-2-3"),
            ("Size: 4", "Size: 99999999999"),
            ("Size: 4", "Sizes: 4"),
        ] {
            assert_eq!(Part::parse(good.replace(from, to).as_bytes()), Err(BadPart), "{to}");
        }
    }

    proptest! {
        #[test]
        fn any_payload_survives(payload in proptest::collection::vec(any::<u8>(), 2..500), cut in 1usize..50) {
            let mut assembler = Assembler::default();
            let pieces: Vec<_> = payload.chunks(cut).collect();
            for (index, piece) in pieces.iter().enumerate() {
                let part = part(1, index as u64, pieces.len() as u64, payload.len() as u64);
                let header = Part::parse(part.header().as_bytes()).unwrap().unwrap();
                let whole = push(&mut assembler, header, piece);
                prop_assert_eq!(whole.is_some(), index + 1 == pieces.len());
                prop_assert!(whole.is_none_or(|whole| whole == payload));
            }
        }

        #[test]
        fn no_header_makes_it_panic(header in "(Po-(Event|Part|Size): [0-9/-]{0,30}\r\n){0,4}") {
            let _ = Part::parse(header.as_bytes());
        }
    }
}
