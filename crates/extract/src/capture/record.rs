//! A record of a capture file: time (8 bytes little-endian, microseconds since the epoch), message type (12 bytes, zero padded), length
//! (4 bytes little-endian), payload (Bitcoin Core `src/net.cpp`, `CaptureMessageToFile`).

use std::io::{self, Read};

use event::p2p::MAX_PAYLOAD;

const HEADER: usize = 24;
const TYPE: usize = 12;

/// A message as it was captured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// When it was processed or queued, nanoseconds since the epoch, to a microsecond.
    pub time: u64,
    message_type: [u8; TYPE],
    /// Without header or encryption.
    pub payload: Vec<u8>,
}

impl Record {
    /// As sent, without padding.
    pub fn message_type(&self) -> &[u8] {
        unpadded(&self.message_type)
    }
}

/// How far a file is read. The file itself is with whoever reads: it may be closed in between.
#[derive(Debug, Default)]
pub struct Place {
    /// Where the next record begins.
    offset: u64,
    /// Of that record, once it is read.
    header: Option<Header>,
    /// Records that were passed over.
    skipped: Option<Skipped>,
}

/// Records that are whole, but none that a node writes: what is around them is read.
#[derive(Debug)]
pub struct Skipped {
    /// How many.
    pub count: u64,
    /// Where the first of them begins.
    pub offset: u64,
    /// What is wrong with it.
    pub fault: Fault,
}

#[derive(Debug)]
struct Header {
    time: u64,
    message_type: [u8; TYPE],
    length: usize,
}

impl Place {
    /// Where the next record begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Where the file has to be read next.
    pub fn position(&self) -> u64 {
        self.offset + if self.header.is_some() { HEADER as u64 } else { 0 }
    }

    /// What was passed over so far, once.
    pub fn skipped(&mut self) -> Option<Skipped> {
        self.skipped.take()
    }

    /// The time of the next record; `None` at the end of the file. One that a node cannot have written is passed over, if it is whole and
    /// another one, or the end of the file, is behind it.
    ///
    /// # Errors
    ///
    /// There is something that is no record.
    pub fn look(&mut self, input: &mut impl Read) -> Result<Option<u64>, Fault> {
        if let Some(header) = &self.header {
            return Ok(Some(header.time));
        }
        let Some(mut next) = next(input)? else { return Ok(None) };
        // where what is read now begins; it counts when there is a record or the end
        let (mut offset, mut skipped) = (self.offset, None);
        let time = loop {
            let (fault, length) = match parse(&next) {
                Ok(header) => break Some(self.header.insert(header).time),
                Err((fault, Some(length))) => (fault, length),
                Err((fault, None)) => return Err(skipped.map_or(fault, |skipped: Skipped| skipped.fault)),
            };
            let skipped = skipped.get_or_insert(Skipped { count: 0, offset, fault });
            skipped.count += 1;
            let passed = io::copy(&mut input.take(length as u64), &mut io::sink()).map_err(Fault::Read)?;
            offset += HEADER as u64 + passed;
            if passed < length as u64 {
                return Err(Fault::Cut);
            }
            match self::next(input)? {
                Some(behind) => next = behind,
                None => break None,
            }
        };
        self.offset = offset;
        if let Some(more) = skipped {
            let known = self.skipped.get_or_insert(Skipped { count: 0, ..more });
            known.count += more.count;
        }
        Ok(time)
    }

    /// The next record.
    ///
    /// # Errors
    ///
    /// There is none, or its payload is not whole.
    pub fn take(&mut self, input: &mut impl Read) -> Result<Record, Fault> {
        self.look(input)?;
        let Some(Header { time, message_type, length }) = self.header.take() else { return Err(Fault::Cut) };
        let mut payload = Vec::new();
        input.take(length as u64).read_to_end(&mut payload).map_err(Fault::Read)?;
        if payload.len() < length {
            return Err(Fault::Cut);
        }
        self.offset += (HEADER + length) as u64;
        Ok(Record { time, message_type, payload })
    }
}

/// The bytes of the next header, fewer at the end of the file; `None` behind it.
fn next(input: &mut impl Read) -> Result<Option<Vec<u8>>, Fault> {
    let mut bytes = Vec::with_capacity(HEADER);
    input.take(HEADER as u64).read_to_end(&mut bytes).map_err(Fault::Read)?;
    Ok((!bytes.is_empty()).then_some(bytes))
}

/// Reads a header; or what is wrong with it, and how much belongs to it if that can be known.
fn parse(bytes: &[u8]) -> Result<Header, (Fault, Option<usize>)> {
    let cut = || (Fault::Cut, None);
    let (time, rest) = bytes.split_first_chunk().ok_or_else(cut)?;
    let (message_type, rest) = rest.split_first_chunk().ok_or_else(cut)?;
    let (length, _) = rest.split_first_chunk().ok_or_else(cut)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    // as the node has it, which drops a message with any other type (`CMessageHeader::IsMessageTypeValid`)
    let is_type = unpadded(message_type).iter().all(|byte| (b' '..=b'~').contains(byte));
    if length > MAX_PAYLOAD {
        return Err((if is_type { Fault::Length(length) } else { Fault::Type }, None));
    }
    if !is_type {
        return Err((Fault::Type, Some(length)));
    }
    let time = u64::from_le_bytes(*time).checked_mul(1000).ok_or((Fault::Time, Some(length)))?;
    Ok(Header { time, message_type: *message_type, length })
}

fn unpadded(message_type: &[u8; TYPE]) -> &[u8] {
    let length = message_type.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &message_type[..length]
}

/// Why there is no record.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The file cannot be read.
    #[error("{0}")]
    Read(#[source] io::Error),
    /// It ends too early.
    #[error("the file ends in the middle of a message")]
    Cut,
    /// These are not the bytes of a message type.
    #[error("no message: its type has bytes that no message type has")]
    Type,
    /// The time is beyond the year 2500.
    #[error("no message: its time is in the far future")]
    Time,
    /// More than a node takes or gives.
    #[error("no message: {0} bytes, and the longest have 4,000,000")]
    Length(usize),
    /// Records that were passed over: what is wrong with the first, and how many.
    #[error("{0}; {1} such {were} passed over", were = if *.1 == 1 { "record was" } else { "records were" })]
    Skipped(Box<Fault>, u64),
}
