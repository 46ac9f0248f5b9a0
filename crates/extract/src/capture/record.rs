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

    /// The time of the next record; `None` at the end of the file.
    ///
    /// # Errors
    ///
    /// There is something that is no record.
    pub fn look(&mut self, input: &mut impl Read) -> Result<Option<u64>, Fault> {
        if let Some(header) = &self.header {
            return Ok(Some(header.time));
        }
        let mut bytes = Vec::with_capacity(HEADER);
        input.take(HEADER as u64).read_to_end(&mut bytes).map_err(Fault::Read)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let header = parse(&bytes)?;
        let time = header.time;
        self.header = Some(header);
        Ok(Some(time))
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

fn parse(bytes: &[u8]) -> Result<Header, Fault> {
    let (time, rest) = bytes.split_first_chunk().ok_or(Fault::Cut)?;
    let (message_type, rest) = rest.split_first_chunk().ok_or(Fault::Cut)?;
    let (length, _) = rest.split_first_chunk().ok_or(Fault::Cut)?;
    // as the node has it, which drops a message with any other type (`CMessageHeader::IsMessageTypeValid`)
    if !unpadded(message_type).iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return Err(Fault::Type);
    }
    let time = u64::from_le_bytes(*time).checked_mul(1000).ok_or(Fault::Time)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    if length > MAX_PAYLOAD {
        return Err(Fault::Length(length));
    }
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
}
