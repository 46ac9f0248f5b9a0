//! What stands before and behind the frames of a segment.

use super::Damage;
use super::head::{FIXED, Head};
use super::wire::{Cursor, checksum, put, put_bytes};

/// A segment begins with it: no text, no other file, and damaged by whoever changes ends of lines.
pub const MAGIC: [u8; 8] = *b"\x89po-arc\n";
const TAIL_MAGIC: [u8; 8] = *b"\x89po-end\n";
/// The form that this release writes, and the latest that it reads.
pub const VERSION: u16 = 1;
/// Bytes of a tail.
pub const TAIL: usize = 52;
/// Longest header.
pub const MAX_HEADER: usize = 4096;

/// What a segment says of itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// When it was begun, nanoseconds since the epoch, by the clock of who wrote it.
    pub created: u64,
    /// The release that wrote it.
    pub writer: String,
    /// Which kinds were asked for, as patterns; empty for all. Of what was not asked for, absence proves nothing.
    pub kinds: String,
    /// What of an event was kept: `full`, `low-data`.
    pub profile: String,
}

/// What cannot be read as a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HeaderError {
    /// It begins otherwise.
    #[error("no archive: it does not begin as one")]
    Foreign,
    /// There is not even all of the header.
    #[error("it ends before its header does")]
    Cut,
    /// Of a later release.
    #[error("a segment of version {0}, and this release reads up to {VERSION}")]
    Newer(u16),
    /// Changed since.
    #[error("its header: {0}")]
    Damaged(Damage),
}

impl Header {
    /// The bytes of the header.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(VERSION.to_le_bytes());
        out.extend([0, 0]);
        put(&mut out, self.created);
        for text in [&self.writer, &self.kinds, &self.profile] {
            // no more than a header has room for
            let end = text.floor_char_boundary(1024);
            put_bytes(&mut out, &text.as_bytes()[..end]);
        }
        let length = (out.len() + 4) as u16;
        out[10..12].copy_from_slice(&length.to_le_bytes());
        out.extend(checksum(&out).to_le_bytes());
        out
    }

    /// Reads a header, and says how many bytes it takes.
    ///
    /// # Errors
    ///
    /// Why it is none.
    pub fn from_bytes(bytes: &[u8]) -> Result<(Self, usize), HeaderError> {
        if !bytes.starts_with(&MAGIC) {
            let cut = !bytes.is_empty() && MAGIC.starts_with(bytes);
            return Err(if cut { HeaderError::Cut } else { HeaderError::Foreign });
        }
        let number = |at: usize| bytes.get(at..at + 2).map(|two| u16::from_le_bytes([two[0], two[1]])).ok_or(HeaderError::Cut);
        let (version, length) = (number(8)?, usize::from(number(10)?));
        // before the checksum: a later release may have another one
        if version > VERSION {
            return Err(HeaderError::Newer(version));
        }
        if !(16..=MAX_HEADER).contains(&length) {
            return Err(HeaderError::Damaged(Damage("a length that cannot be")));
        }
        let whole = bytes.get(..length).ok_or(HeaderError::Cut)?;
        Self::read(whole).map(|header| (header, length)).map_err(HeaderError::Damaged)
    }

    fn read(whole: &[u8]) -> Result<Self, Damage> {
        let mut cursor = Cursor(&verified(whole)?[12..]);
        Ok(Self { created: cursor.varint()?, writer: cursor.text()?, kinds: cursor.text()?, profile: cursor.text()? })
    }
}

/// A frame and where it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Where its head begins.
    pub place: u64,
    /// Bytes of its head.
    pub head_length: usize,
    /// What it says of itself.
    pub head: Head,
}

impl Entry {
    /// Where its body begins.
    pub fn body(&self) -> u64 {
        self.place.saturating_add(self.head_length as u64)
    }

    /// Where it ends.
    pub fn end(&self) -> u64 {
        self.body().saturating_add(self.head.body_length() as u64)
    }
}

/// The end of a segment that was finished.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tail {
    /// Where the index begins, and the frames end.
    pub index: u64,
    /// How many frames.
    pub frames: u32,
    /// The earliest time of an event, nanoseconds since the epoch.
    pub first: u64,
    /// The latest.
    pub last: u64,
    /// How many events.
    pub events: u64,
    checksum: u32,
}

impl Tail {
    /// Reads a tail.
    ///
    /// # Errors
    ///
    /// There is none: the segment was not finished, or is damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Damage> {
        if bytes.len() != TAIL || !bytes.starts_with(&TAIL_MAGIC) {
            return Err(Damage("no index"));
        }
        let mut cursor = Cursor(&verified(bytes)?[8..]);
        let index = u64::from_le_bytes(cursor.array()?);
        let frames = u32::from_le_bytes(cursor.array()?);
        let checksum = u32::from_le_bytes(cursor.array()?);
        let [first, last, events] = [(); 3].map(|()| cursor.array().map(u64::from_le_bytes));
        Ok(Self { index, frames, first: first?, last: last?, events: events?, checksum })
    }

    /// How much of an index [`Tail::fits`] looks at.
    pub const GLANCE: usize = size_of::<u64>() + FIXED + 4 * 10;

    /// Whether its times can be those of an index that begins with these bytes, [`Tail::GLANCE`] or all there are; the frames begin at
    /// `start`. It is what can be known of a segment nobody wants without reading all of its index.
    pub fn fits(&self, start: u64, index: &[u8]) -> bool {
        if self.frames == 0 {
            return self.index == start;
        }
        let first = index.split_first_chunk::<8>().and_then(|(_, head)| Head::span(head).ok());
        first.is_some_and(|(first, last)| self.first <= first && last <= self.last)
    }
}

/// Collects what becomes the index of a segment.
#[derive(Default)]
pub struct Index {
    bytes: Vec<u8>,
    sum: Sum,
}

/// What a tail tells of all frames.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Sum {
    frames: u32,
    first: u64,
    last: u64,
    events: u64,
}

impl Sum {
    fn add(&mut self, head: &Head) {
        self.first = if self.frames == 0 { head.first } else { self.first.min(head.first) };
        self.last = self.last.max(head.last);
        self.events = self.events.saturating_add(head.events);
        self.frames = self.frames.saturating_add(1);
    }
}

impl Index {
    /// Adds a frame: where it begins, what it says of itself, and its head as it was written.
    pub fn push(&mut self, place: u64, head: &Head, bytes: &[u8]) {
        self.bytes.extend(place.to_le_bytes());
        self.bytes.extend_from_slice(bytes);
        self.sum.add(head);
    }

    /// The index with its tail, to be written at `place`, behind the last frame.
    pub fn to_bytes(&self, place: u64) -> Vec<u8> {
        let Sum { frames, first, last, events } = self.sum;
        let mut tail = TAIL_MAGIC.to_vec();
        tail.extend(place.to_le_bytes());
        tail.extend(frames.to_le_bytes());
        tail.extend(checksum(&self.bytes).to_le_bytes());
        [first, last, events].iter().for_each(|number| tail.extend(number.to_le_bytes()));
        tail.extend(checksum(&tail).to_le_bytes());
        [&self.bytes[..], &tail].concat()
    }
}

/// Reads an index, without the tail. The frames begin at `start`; `None` where nobody knows, because the header is damaged.
///
/// Frames follow each other without a gap, from the header to the index: one that leaves some out hides them.
///
/// # Errors
///
/// It is not as it was written, or contradicts itself or its tail.
pub fn read_index(tail: &Tail, start: Option<u64>, mut bytes: &[u8]) -> Result<Vec<Entry>, Damage> {
    if checksum(bytes) != tail.checksum {
        return Err(Damage("an index whose checksum does not match"));
    }
    let mut entries: Vec<Entry> = Vec::new();
    let (mut after, mut sum) = (start, Sum::default());
    while !bytes.is_empty() {
        let (place, rest) = bytes.split_first_chunk::<8>().ok_or(Damage("an index that ends too early"))?;
        let length = Head::length(rest)?;
        let head = rest.get(..length).ok_or(Damage("an index that ends too early"))?;
        let entry = Entry { place: u64::from_le_bytes(*place), head_length: length, head: Head::from_bytes(head)? };
        if after.is_some_and(|after| entry.place != after) {
            return Err(Damage("an index of frames that cannot be where it says"));
        }
        after = Some(entry.end());
        bytes = &rest[length..];
        sum.add(&entry.head);
        entries.push(entry);
    }
    if after.is_some_and(|after| after != tail.index) {
        return Err(Damage("an index that does not know all frames"));
    }
    let Tail { frames, first, last, events, .. } = *tail;
    if sum == (Sum { frames, first, last, events }) { Ok(entries) } else { Err(Damage("an index of other frames than it says")) }
}

/// Whether a tail begins with these bytes: it is all there is of an index without frames.
pub fn begins_tail(bytes: &[u8]) -> bool {
    bytes.starts_with(&TAIL_MAGIC)
}

/// What stands before a checksum that matches.
fn verified(whole: &[u8]) -> Result<&[u8], Damage> {
    let (content, sum) = whole.split_last_chunk::<4>().ok_or(Damage("it ends too early"))?;
    if checksum(content).to_le_bytes() == *sum { Ok(content) } else { Err(Damage("a checksum that does not match")) }
}

/// Where in these bytes a frame could begin next, behind `from`: what to look for behind a damaged place. Whether one does, its head says.
pub fn next_frame(bytes: &[u8], from: usize) -> Option<usize> {
    memchr::memmem::find(bytes.get(from..)?, &super::head::MAGIC).map(|at| from + at)
}

/// The least that a frame takes.
pub const LEAST: usize = FIXED + 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header { created: 1_750_000_000_000_000_000, writer: "0.0.1".into(), kinds: "net,!net.inv".into(), profile: "full".into() }
    }

    fn index() -> (Vec<u8>, Vec<Entry>) {
        let mut index = Index::default();
        let mut entries = Vec::new();
        let mut place = 40;
        for first in [50, 20, 70] {
            let head = Head { events: 3, first, last: first + 5, ..Head::default() };
            let bytes = head.to_bytes();
            index.push(place, &head, &bytes);
            entries.push(Entry { place, head_length: bytes.len(), head });
            place += bytes.len() as u64;
        }
        (index.to_bytes(place), entries)
    }

    fn read(bytes: &[u8]) -> Result<(Tail, Vec<Entry>), Damage> {
        let at = bytes.len().checked_sub(TAIL).ok_or(Damage("no index"))?;
        let tail = Tail::from_bytes(&bytes[at..])?;
        Ok((tail, read_index(&tail, Some(40), &bytes[..at])?))
    }

    /// As somebody writes it who gets it wrong: these entries, with these changes to the tail, and every checksum in order.
    fn lying(entries: &[Entry], end: u64, change: impl FnOnce(&mut Sum)) -> Vec<u8> {
        let mut index = Index::default();
        entries.iter().for_each(|entry| index.push(entry.place, &entry.head, &entry.head.to_bytes()));
        change(&mut index.sum);
        index.to_bytes(end)
    }

    #[test]
    fn an_index_that_hides_frames_or_belies_its_tail_was_never_there() {
        let (bytes, all) = index();
        let end = all[2].end();
        assert_eq!(lying(&all, end, |_| ()), bytes);
        let left_out = [vec![], all[1..].to_vec(), all[..2].to_vec(), vec![all[0].clone(), all[2].clone()]];
        for entries in left_out {
            assert!(read(&lying(&entries, end, |_| ())).is_err(), "{} entries", entries.len());
        }
        let changes: [fn(&mut Sum); 5] =
            [|sum| sum.first += 1, |sum| sum.first -= 1, |sum| sum.last += 1, |sum| sum.events -= 1, |sum| sum.frames -= 1];
        for (number, change) in changes.into_iter().enumerate() {
            assert!(read(&lying(&all, end, change)).is_err(), "change {number}");
        }
    }

    /// Whoever wants another time reads no more of a segment than this.
    #[test]
    fn a_tail_that_belies_its_first_frame_is_seen_at_a_glance() {
        let (bytes, all) = index();
        let fits = |bytes: &[u8]| {
            let (index, tail) = bytes.split_at(bytes.len() - TAIL);
            Tail::from_bytes(tail).unwrap().fits(40, &index[..index.len().min(Tail::GLANCE)])
        };
        let end = all[2].end();
        assert!(fits(&bytes) && fits(&lying(&[], 40, |_| ())));
        assert!(!fits(&lying(&all, end, |sum| (sum.first, sum.last) = (1, 2))));
        assert!(!fits(&lying(&[], end, |_| ())), "no frames, where there is room for some");
    }

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let bytes = header().to_bytes();
        assert_eq!(Header::from_bytes(&bytes), Ok((header(), bytes.len())));
        let long = Header { kinds: "é".repeat(5000), ..header() };
        assert!(Header::from_bytes(&long.to_bytes()).is_ok());
    }

    #[test]
    fn what_is_no_header_is_told_apart() {
        let bytes = header().to_bytes();
        assert_eq!(Header::from_bytes(b"%PDF"), Err(HeaderError::Foreign));
        assert_eq!(Header::from_bytes(b""), Err(HeaderError::Foreign));
        for length in 1..bytes.len() {
            assert_eq!(Header::from_bytes(&bytes[..length]), Err(HeaderError::Cut), "{length} bytes");
        }
        let mut newer = bytes.clone();
        newer[8] = 2;
        assert_eq!(Header::from_bytes(&newer), Err(HeaderError::Newer(2)));
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::from_bytes(&changed).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn an_index_is_read_as_it_was_written() {
        let (bytes, entries) = index();
        let (tail, read) = read(&bytes).unwrap();
        assert_eq!(read, entries);
        assert_eq!((tail.first, tail.last, tail.events, tail.frames), (20, 75, 9, 3));
    }

    #[test]
    fn an_index_that_was_changed_was_never_there() {
        let (bytes, _) = index();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&changed).is_err(), "bit {bit}");
        }
        assert!((0..bytes.len()).all(|length| read(&bytes[..length]).is_err()));
    }

    #[test]
    fn the_next_frame_is_found() {
        let frame = Head::default().to_bytes();
        let bytes = [b"garbage\x89po", &frame[..], &frame].concat();
        assert_eq!(next_frame(&bytes, 0), Some(10));
        assert_eq!(next_frame(&bytes, 11), Some(10 + frame.len()));
        assert_eq!(next_frame(&bytes, 11 + frame.len()), None);
        assert_eq!(next_frame(&bytes, 10_000), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = Header::from_bytes(&bytes);
            let _ = Header::from_bytes(&[&MAGIC[..], &bytes].concat());
            let mut tail = TAIL_MAGIC.to_vec();
            tail.extend(&bytes);
            tail.resize(TAIL - 4, 0);
            tail.extend(checksum(&tail).to_le_bytes());
            if let Ok(mut tail) = Tail::from_bytes(&tail) {
                tail.checksum = checksum(&bytes);
                let _ = (read_index(&tail, None, &bytes), tail.fits(40, &bytes));
            }
        }
    }
}
