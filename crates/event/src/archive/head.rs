//! What a frame says of itself before its events: enough to find out what is in an archive without reading the events.

use super::wire::{Cursor, checksum, put, put_bytes};
use super::{Damage, MAX_FRAME};
use crate::Source;

/// A frame begins with it: what to look for behind a damaged place.
pub const MAGIC: [u8; 8] = *b"\x89po-frm\n";
/// Before what varies in length: magic, length of the head, length and checksum of the body.
pub const FIXED: usize = 20;
/// Longest head. One with so many streams and peers lists no peers.
pub const MAX_HEAD: usize = 1 << 20;
/// Most peers that are listed per stream; where there are more, none is.
pub(crate) const MAX_PEERS: usize = 1024;

/// The head of a frame.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Head {
    /// Events in the frame.
    pub events: u64,
    /// Their bytes as protobuf.
    pub bytes: u64,
    /// The earliest time of an event, nanoseconds since the epoch.
    pub first: u64,
    /// The latest time of an event.
    pub last: u64,
    /// What the body is made of, in order.
    pub sections: Vec<Section>,
    /// Kinds in the frame.
    pub kinds: Vec<KindTotal>,
    /// Who stated the events.
    pub streams: Vec<Stream>,
    /// CRC-32 of the body.
    pub body_checksum: u32,
}

/// A part of the body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Section {
    /// Bytes in the file.
    pub stored: u32,
    /// Bytes after decompression; the same where nothing was to be gained.
    pub raw: u32,
    /// Whether it is under zstd.
    pub compressed: bool,
}

/// Events of a kind in a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KindTotal {
    /// Number of the kind in the schema; 0 for events without a kind.
    pub number: u32,
    /// How many.
    pub events: u64,
    /// Their bytes as protobuf.
    pub bytes: u64,
}

/// Events of one run of a source in a frame, as far as they say the same of the node's life. A run some of whose events know that life and
/// some do not, as those of the detectors, is two streams whose sequences lie between one another: what counts gaps joins them first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stream {
    /// The node's name.
    pub node: String,
    /// Start of the node's process, Unix seconds.
    pub node_run: Option<u64>,
    /// Number of the source.
    pub source: i32,
    /// One life of that source.
    pub run: u64,
    /// How many.
    pub events: u64,
    /// Sequence of the first one in the frame.
    pub first: u64,
    /// Sequence of the last one in the frame.
    pub last: u64,
    /// Sequences left out between them.
    pub missing: u64,
    /// Events whose sequence is not above the one before.
    pub repeated: u64,
    /// The peers that its events are about; `None` where there are too many to list.
    pub peers: Option<Vec<u64>>,
}

impl Stream {
    /// Who stated the events.
    pub fn source(&self) -> Source {
        Source::try_from(self.source).unwrap_or_default()
    }
}

impl Head {
    /// Bytes of the body.
    pub fn body_length(&self) -> usize {
        self.sections.iter().map(|section| section.stored as usize).sum()
    }

    /// Whether an event of that kind is in the frame.
    pub fn has_kind(&self, number: u32) -> bool {
        self.kinds.iter().any(|kind| kind.number == number)
    }

    /// Whether the bytes are those that were written.
    ///
    /// # Errors
    ///
    /// They are others.
    pub fn verify(&self, body: &[u8]) -> Result<(), Damage> {
        if body.len() != self.body_length() {
            return Err(Damage("a frame of another length than it says"));
        }
        if checksum(body) == self.body_checksum { Ok(()) } else { Err(Damage("a checksum that does not match")) }
    }

    /// The bytes of the head.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend([0; FIXED - MAGIC.len()]);
        put(&mut out, self.events);
        put(&mut out, self.bytes);
        put(&mut out, self.first);
        put(&mut out, self.last.wrapping_sub(self.first));
        put(&mut out, self.sections.len() as u64);
        for section in &self.sections {
            put(&mut out, u64::from(section.stored) << 1 | u64::from(section.compressed));
            if section.compressed {
                put(&mut out, section.raw.into());
            }
        }
        put(&mut out, self.kinds.len() as u64);
        for kind in &self.kinds {
            put(&mut out, kind.number.into());
            put(&mut out, kind.events);
            put(&mut out, kind.bytes);
        }
        put(&mut out, self.streams.len() as u64);
        for stream in &self.streams {
            stream.put(&mut out);
        }
        let length = out.len() + 4;
        let body = u32::try_from(self.body_length()).unwrap_or(u32::MAX);
        for (at, value) in [(8, length as u32), (12, body), (16, self.body_checksum)] {
            out[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        out.extend(checksum(&out).to_le_bytes());
        out
    }

    /// How long the head is that begins with these bytes, [`FIXED`] of them.
    ///
    /// # Errors
    ///
    /// No frame begins so.
    pub fn length(bytes: &[u8]) -> Result<usize, Damage> {
        let mut cursor = Cursor(bytes);
        if cursor.array()? != MAGIC {
            return Err(Damage("no frame begins here"));
        }
        let length = u32::from_le_bytes(cursor.array()?) as usize;
        if (FIXED + 4..=MAX_HEAD).contains(&length) { Ok(length) } else { Err(Damage("a frame's head of an impossible length")) }
    }

    /// The times of the head that begins with these bytes, without a look at the rest or at its checksum.
    ///
    /// # Errors
    ///
    /// No frame begins so.
    pub(super) fn span(bytes: &[u8]) -> Result<(u64, u64), Damage> {
        Self::length(bytes)?;
        let mut cursor = Cursor(bytes.get(FIXED..).unwrap_or_default());
        let (_events, _bytes, first) = (cursor.varint()?, cursor.varint()?, cursor.varint()?);
        Ok((first, first.wrapping_add(cursor.varint()?)))
    }

    /// Reads a head that takes all of these bytes.
    ///
    /// # Errors
    ///
    /// They are not as they were written, or of a later form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Damage> {
        if Self::length(bytes)? != bytes.len() {
            return Err(Damage("a frame's head of another length than it says"));
        }
        let (content, sum) = bytes.split_last_chunk::<4>().ok_or(Damage("a frame's head ends too early"))?;
        if checksum(content).to_le_bytes() != *sum {
            return Err(Damage("a frame's head whose checksum does not match"));
        }
        let mut cursor = Cursor(&content[12..]);
        let body = u32::from_le_bytes(cursor.array()?) as usize;
        let body_checksum = u32::from_le_bytes(cursor.array()?);
        let (events, bytes, first) = (cursor.varint()?, cursor.varint()?, cursor.varint()?);
        let last = first.wrapping_add(cursor.varint()?);
        let mut head = Self { events, bytes, first, last, body_checksum, ..Self::default() };
        for _ in 0..cursor.count()? {
            head.sections.push(Section::read(&mut cursor)?);
        }
        for _ in 0..cursor.count()? {
            head.kinds.push(KindTotal { number: cursor.number()?, events: cursor.varint()?, bytes: cursor.varint()? });
        }
        for _ in 0..cursor.count()? {
            head.streams.push(Stream::read(&mut cursor)?);
        }
        // what a later form adds comes behind, and is skipped
        let raw: usize = head.sections.iter().map(|section| section.raw as usize).sum();
        if head.body_length() != body || body > MAX_FRAME || raw > MAX_FRAME {
            return Err(Damage("a frame of an impossible length"));
        }
        Ok(head)
    }
}

impl Section {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, Damage> {
        let value = cursor.varint()?;
        let stored = u32::try_from(value >> 1).map_err(|_| Damage("a section of an impossible length"))?;
        let compressed = value & 1 == 1;
        let raw = if compressed { cursor.number()? } else { stored };
        Ok(Self { stored, raw, compressed })
    }
}

impl Stream {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.node.as_bytes());
        // 0 stands for none
        put(out, self.node_run.map_or(0, |run| run.saturating_add(1)));
        for value in [self.source as u64, self.run, self.events, self.first, self.last, self.missing, self.repeated] {
            put(out, value);
        }
        let Some(peers) = &self.peers else { return put(out, 0) };
        put(out, peers.len() as u64 + 1);
        let mut before = 0;
        for peer in peers {
            put(out, peer.wrapping_sub(before));
            before = *peer;
        }
    }

    fn read(cursor: &mut Cursor<'_>) -> Result<Self, Damage> {
        let mut stream = Self {
            node: cursor.text()?,
            node_run: cursor.varint()?.checked_sub(1),
            source: cursor.varint()? as i32,
            run: cursor.varint()?,
            events: cursor.varint()?,
            first: cursor.varint()?,
            last: cursor.varint()?,
            missing: cursor.varint()?,
            repeated: cursor.varint()?,
            peers: None,
        };
        if let Some(count) = cursor.length()?.checked_sub(1) {
            if count > cursor.0.len() {
                return Err(Damage("a count of more than there is"));
            }
            let mut before = 0_u64;
            let mut peer = || -> Result<u64, Damage> {
                before = before.wrapping_add(cursor.varint()?);
                Ok(before)
            };
            stream.peers = Some((0..count).map(|_| peer()).collect::<Result<_, _>>()?);
        }
        Ok(stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        let stream = Stream {
            node: "alice".into(),
            node_run: Some(1_750_000_000),
            source: Source::Ebpf.into(),
            run: 17,
            events: 3,
            first: 5,
            last: 9,
            missing: 2,
            repeated: 0,
            peers: Some(vec![0, 7, 9000]),
        };
        Head {
            events: 3,
            bytes: 300,
            first: 1_750_000_000_000_000_000,
            last: 1_750_000_004_000_000_000,
            sections: vec![
                Section { stored: 10, raw: 30, compressed: true },
                Section { stored: 0, raw: 0, compressed: false },
                Section { stored: 64, raw: 64, compressed: false },
            ],
            kinds: vec![KindTotal { number: 109, events: 3, bytes: 300 }],
            streams: vec![Stream { node_run: None, peers: None, ..stream.clone() }, stream],
            body_checksum: 0x1234_5678,
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let bytes = head().to_bytes();
        assert_eq!(Head::length(&bytes), Ok(bytes.len()));
        assert_eq!(Head::from_bytes(&bytes), Ok(head()));
        assert_eq!(Head::from_bytes(&Head::default().to_bytes()), Ok(Head::default()));
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let bytes = head().to_bytes();
        for at in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[at / 8] ^= 1 << (at % 8);
            assert!(Head::from_bytes(&changed).is_err(), "bit {at}");
        }
        for length in 0..bytes.len() {
            assert!(Head::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes: Vec<u8>) {
            let _ = Head::from_bytes(&bytes);
            // past the checks of magic, length and checksum
            let mut whole = MAGIC.to_vec();
            whole.extend((bytes.len() as u32 + 16).to_le_bytes());
            whole.append(&mut bytes);
            whole.extend(checksum(&whole).to_le_bytes());
            let _ = Head::from_bytes(&whole);
        }
    }
}
