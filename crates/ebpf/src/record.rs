//! Records: the bytes that the kernel side wrote, taken apart. Every length is checked; no bytes make this panic.

use std::fmt;

use crate::args::{Args, until_nul};
use crate::probes::{PROBES, Probe, Shape};
use crate::skel;

/// One firing of a tracepoint.
#[derive(Debug)]
pub struct Record<'a> {
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub time: u64,
    /// Number of the record, from 0; lost ones have numbers too.
    pub number: u64,
    /// How many records were lost until then, over all probes.
    pub lost: u64,
    /// The process, as the initial pid namespace knows it.
    pub tgid: u32,
    /// Which tracepoint fired.
    pub probe: &'static Probe,
    /// Something of it could not be read, and is empty or zero.
    pub fault: bool,
    /// Not even the arguments could be read: nothing in the body is to be believed.
    pub blind: bool,
    /// A string was longer than its slot.
    pub truncated: bool,
    /// Present after a loss: how many records of each probe were lost since loading.
    pub losses: Option<Losses<'a>>,
    /// What the tracepoint passed.
    pub body: Body<'a>,
}

/// What a tracepoint passed.
#[derive(Debug)]
pub enum Body<'a> {
    /// The two message tracepoints.
    Message(Message<'a>),
    /// All others.
    Fact(Args<'a>),
}

/// A P2P message.
#[derive(PartialEq, Eq, Debug)]
pub struct Message<'a> {
    /// Peer id.
    pub peer: i64,
    /// Payload size as the node states it.
    pub size: u64,
    /// Message type, without padding.
    pub message_type: &'a [u8],
    /// Address and connection type of the peer; only where they may not be known yet.
    pub names: Option<(&'a [u8], &'a [u8])>,
    /// The payload, or its beginning, or nothing if it could not be read.
    pub payload: &'a [u8],
}

/// Lost records per probe, since loading.
#[derive(Clone, Copy, Debug)]
pub struct Losses<'a>(&'a [u8]);

impl<'a> Losses<'a> {
    /// Count per place in the kernel side's table, which is longer than [`PROBES`].
    pub fn iter(self) -> impl Iterator<Item = u64> + 'a {
        self.0.as_chunks().0.iter().map(|bytes| u64::from_ne_bytes(*bytes))
    }
}

/// Bytes that are no record of this program.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{length} bytes from the kernel are no record of this program")]
pub struct NotARecord {
    length: usize,
}

/// A field of a C structure at the beginning of `$bytes`; its place and type are the compiler's.
macro_rules! field {
    ($bytes:expr, $structure:ident.$($field:ident).+: $type:ty) => {{
        const AT: usize = std::mem::offset_of!(skel::$structure, $($field).+);
        const _: fn(&skel::$structure) -> &$type = |structure| &structure.$($field).+;
        $bytes.get(AT..).and_then(|bytes| bytes.first_chunk()).map(|bytes| <$type>::from_ne_bytes(*bytes))
    }};
}

impl<'a> Record<'a> {
    /// Takes a record apart.
    ///
    /// # Errors
    ///
    /// Too short, or of a probe that is not in the table.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, NotARecord> {
        Self::parse_parts(bytes).ok_or(NotARecord { length: bytes.len() })
    }

    fn parse_parts(bytes: &'a [u8]) -> Option<Self> {
        let flags = u32::from(field!(bytes, header.flags: u16)?);
        let has = |flag: skel::flag| flags & flag.0 != 0;
        let probe = PROBES.get(usize::from(field!(bytes, header.probe: u16)?))?;
        let is_message = matches!(probe.shape, Shape::Message(_));
        let fixed = if is_message { size_of::<skel::message>() } else { size_of::<skel::header>() };

        let (fixed, rest) = bytes.split_at_checked(fixed)?;
        let (losses, rest) = if has(skel::flag::FLAG_LOSSES) {
            let (losses, rest) = rest.split_at_checked(size_of::<skel::losses>())?;
            (Some(Losses(losses)), rest)
        } else {
            (None, rest)
        };
        let body = if is_message {
            Body::Message(Message::parse(fixed, rest, has(skel::flag::FLAG_NAMES))?)
        } else {
            Body::Fact(Args::new(probe, rest)?)
        };
        Some(Self {
            time: field!(bytes, header.time: u64)?,
            number: field!(bytes, header.number: u64)?,
            lost: field!(bytes, header.lost: u64)?,
            tgid: field!(bytes, header.tgid: u32)?,
            probe,
            fault: has(skel::flag::FLAG_FAULT),
            blind: has(skel::flag::FLAG_BLIND),
            truncated: has(skel::flag::FLAG_TRUNCATED),
            losses,
            body,
        })
    }
}

/// The process of a record, without looking at the rest of it.
pub(crate) fn tgid(bytes: &[u8]) -> Option<u32> {
    field!(bytes, header.tgid: u32)
}

impl<'a> Message<'a> {
    fn parse(fixed: &'a [u8], rest: &'a [u8], has_names: bool) -> Option<Self> {
        let type_at = std::mem::offset_of!(skel::message, r#type);
        let (names, payload) = if has_names {
            let (names, payload) = rest.split_at_checked(size_of::<skel::names>())?;
            let (address, connection_type) = names.split_at_checked(std::mem::offset_of!(skel::names, connection_type))?;
            (Some((until_nul(address), until_nul(connection_type))), payload)
        } else {
            (None, rest)
        };
        Some(Self {
            peer: field!(fixed, message.peer: i64)?,
            size: field!(fixed, message.size: u64)?,
            message_type: until_nul(fixed.get(type_at..)?),
            names,
            payload: payload.get(..field!(fixed, message.captured: u32)? as usize)?,
        })
    }
}

impl fmt::Display for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{} {} of process {}", self.number, self.probe.full_name, self.tgid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A record as the kernel side would write it.
    fn bytes(probe: u16, flags: u32, rest: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [1_u64, 2, 3] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(4_u32.to_ne_bytes());
        bytes.extend(probe.to_ne_bytes());
        bytes.extend((flags as u16).to_ne_bytes());
        assert_eq!(bytes.len(), size_of::<skel::header>());
        bytes.extend(rest);
        bytes
    }

    fn message(flags: u32, captured: u32, rest: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend(7_i64.to_ne_bytes());
        body.extend(5_u64.to_ne_bytes());
        body.extend(captured.to_ne_bytes());
        body.extend([0; 4]);
        body.extend(b"ping\0\0\0\0\0\0\0\0\0\0\0\0");
        body.extend(rest);
        bytes(0, flags, &body)
    }

    #[test]
    fn a_message_has_all_its_parts() {
        let flags = skel::flag::FLAG_LOSSES.0 | skel::flag::FLAG_NAMES.0;
        let mut rest = vec![0; size_of::<skel::losses>()];
        rest[8] = 9;
        let mut names = vec![0; size_of::<skel::names>()];
        names[..9].copy_from_slice(b"1.2.3.4:5");
        names[264..271].copy_from_slice(b"inbound");
        rest.extend(names);
        rest.extend(b"hello and more");
        let bytes = message(flags, 5, &rest);
        let record = Record::parse(&bytes).unwrap();
        assert_eq!(record.to_string(), "#2 net:inbound_message of process 4");
        assert_eq!(record.losses.unwrap().iter().take(3).collect::<Vec<_>>(), [0, 9, 0]);
        let Body::Message(message) = record.body else { panic!("{record:?}") };
        let expected =
            Message { peer: 7, size: 5, message_type: b"ping", names: Some((b"1.2.3.4:5", b"inbound")), payload: b"hello" };
        assert_eq!(message, expected);
    }

    #[test]
    fn every_way_to_be_too_short_is_refused() {
        let flags = skel::flag::FLAG_LOSSES.0 | skel::flag::FLAG_NAMES.0;
        let rest = vec![0; size_of::<skel::losses>() + size_of::<skel::names>() + 5];
        let whole = message(flags, 5, &rest);
        assert!(Record::parse(&whole).is_ok());
        for length in 0..whole.len() {
            assert_eq!(Record::parse(&whole[..length]).err(), Some(NotARecord { length }));
        }
        for (number, probe) in PROBES.iter().enumerate().skip(2) {
            let whole = bytes(number as u16, 0, &vec![0; probe.slots_size()]);
            assert!(Record::parse(&whole).is_ok());
            assert!(Record::parse(&whole[..whole.len() - 1]).is_err(), "{}", probe.full_name);
        }
    }

    #[test]
    fn an_unknown_probe_is_refused() {
        assert!(Record::parse(&bytes(PROBES.len() as u16, 0, &[0; 4096])).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..1200), probe in 0..20_u16, flags in 0..64_u16) {
            let _ = Record::parse(&bytes);
            if let Some(place) = bytes.get_mut(28..32) {
                place[..2].copy_from_slice(&probe.to_ne_bytes());
                place[2..].copy_from_slice(&flags.to_ne_bytes());
            }
            if let Ok(record) = Record::parse(&bytes) {
                let _ = format!("{record:?}");
            }
        }
    }
}
