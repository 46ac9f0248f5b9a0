//! What decoding an event would take in memory, found out from its bytes before anything is allocated.
//!
//! An element of a list may be two bytes on the wire and 700 in memory: 30 MB of empty peers are gigabytes of `PeerInfo`. So everything
//! that decodes foreign events asks here first. Only lists are counted: numbers and parts lie within their message, bytes are slices of
//! the input, and text takes what it takes on the wire.

use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use crate::DecodeError;

include!(concat!(env!("OUT_DIR"), "/costs.rs"));

/// A field that can take more memory than its bytes: a list, or a part that holds some.
struct Field {
    number: u32,
    /// Of one element, in memory; 0 for a part that is no list.
    size: usize,
    inner: Inner,
}

/// What one element is on the wire.
#[derive(Clone, Copy)]
enum Inner {
    /// Many of them may be packed into one field.
    Varint,
    /// Likewise; so many bytes each.
    Fixed(usize),
    /// Text, bytes, or a part without lists: nothing in it needs to be looked at.
    Whole,
    Message(&'static [Field]),
}

/// What lists of an event of this many bytes may take.
///
/// A list is a `Vec` that doubles, so it takes up to twice its elements. The elements of nearly every kind are mostly hashes, and come to
/// less than 4 times their bytes with that; the worst is a transaction id: 2 · 64 bytes for 36. What is not covered by it:
///
/// - the addresses of an `addrv2` that somebody made for it: networks that nobody knows, no address. They are 6 bytes and take 2 · 64:
///   22 times, and as a payload ends at 4 MB, 32 MiB at most;
/// - small lists of large elements: what a few peers without anything in them take.
///
/// Both lines hold for every event that a source makes, so the lower one counts.
fn budget(length: usize) -> usize {
    let (steep, flat) = (length.saturating_mul(24).saturating_add(64 << 10), length.saturating_mul(4).saturating_add(32 << 20));
    steep.min(flat)
}

/// Refuses what would take more than its budget. Whatever is wrong otherwise is left to the decoder, which finds it at the same place.
pub(crate) fn check(bytes: &[u8]) -> Result<(), DecodeError> {
    let budget = budget(bytes.len());
    match spend(bytes, budget) {
        Some(_) => Ok(()),
        None => Err(DecodeError::Inflated { length: bytes.len(), budget }),
    }
}

/// What is left of the budget; `None` when it does not suffice.
fn spend(mut bytes: &[u8], budget: usize) -> Option<usize> {
    let mut walk = Walk { left: budget };
    match walk.message(EVENT, &mut bytes, 0, prost_depth()) {
        Ok(()) | Err(Stop::Malformed) => Some(walk.left),
        Err(Stop::Spent) => None,
    }
}

/// How deep prost goes (`RECURSION_LIMIT`, not public).
const fn prost_depth() -> u32 {
    100
}

/// Why the rest is not looked at.
enum Stop {
    Spent,
    /// The decoder stops here as well.
    Malformed,
}

impl From<prost::DecodeError> for Stop {
    fn from(_: prost::DecodeError) -> Self {
        Self::Malformed
    }
}

/// A list as it grows. One that comes in pieces with other fields between them, which no encoder writes, is taken for several: it is
/// counted for no less than half of what it takes.
#[derive(Default)]
struct List {
    number: u32,
    length: usize,
    capacity: usize,
}

struct Walk {
    left: usize,
}

impl Walk {
    /// Goes through the fields of a message, until only `end` bytes are left: as the decoder does, which notices a part that reaches
    /// beyond its message only behind that part.
    fn message(&mut self, fields: &[Field], bytes: &mut &[u8], end: usize, depth: u32) -> Result<(), Stop> {
        if depth == 0 {
            return Err(Stop::Malformed);
        }
        let mut list = List::default();
        while bytes.len() > end {
            let (number, wire_type) = decode_key(bytes)?;
            let Some(field) = find(fields, number) else {
                skip_field(wire_type, number, bytes, DecodeContext::default())?;
                continue;
            };
            if list.number != number {
                list = List { number, ..List::default() };
            }
            match (field.inner, wire_type) {
                (Inner::Message(inner), WireType::LengthDelimited) => {
                    self.grow(&mut list, field.size, 1)?;
                    let length = length(bytes)?;
                    let end = bytes.len() - length;
                    self.message(inner, bytes, end, depth - 1)?;
                }
                (Inner::Varint, WireType::LengthDelimited) => {
                    let packed = take(bytes)?;
                    self.grow(&mut list, field.size, packed.iter().filter(|byte| **byte < 0x80).count())?;
                }
                (Inner::Fixed(width), WireType::LengthDelimited) => {
                    let packed = take(bytes)?;
                    self.grow(&mut list, field.size, packed.len() / width)?;
                }
                _ => {
                    self.grow(&mut list, field.size, 1)?;
                    skip_field(wire_type, number, bytes, DecodeContext::default())?;
                }
            }
        }
        if bytes.len() == end { Ok(()) } else { Err(Stop::Malformed) }
    }

    /// As a `Vec` does when elements are pushed.
    fn grow(&mut self, list: &mut List, size: usize, elements: usize) -> Result<(), Stop> {
        list.length += elements;
        if list.length > list.capacity {
            let least = match size {
                0 | 1 => 8,
                2..=1024 => 4,
                _ => 1,
            };
            let capacity = list.length.next_power_of_two().max(least);
            let more = (capacity - list.capacity).saturating_mul(size);
            list.capacity = capacity;
            self.left = self.left.checked_sub(more).ok_or(Stop::Spent)?;
        }
        Ok(())
    }
}

fn find(fields: &[Field], number: u32) -> Option<&Field> {
    // the envelope's own fields are below every kind
    if fields.first().is_none_or(|field| number < field.number) {
        return None;
    }
    fields.binary_search_by_key(&number, |field| field.number).ok().map(|at| &fields[at])
}

/// The length that stands here, if that many bytes follow.
fn length(bytes: &mut &[u8]) -> Result<usize, Stop> {
    let length = decode_varint(bytes)?;
    usize::try_from(length).ok().filter(|length| *length <= bytes.len()).ok_or(Stop::Malformed)
}

fn take<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], Stop> {
    let length = length(bytes)?;
    let (taken, rest) = bytes.split_at(length);
    *bytes = rest;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::*;

    const NO_LIMIT: usize = usize::MAX;

    fn cost(event: &Event) -> usize {
        NO_LIMIT - spend(&event.to_bytes(), NO_LIMIT).unwrap()
    }

    fn room<T>(list: &Vec<T>) -> usize {
        list.capacity() * size_of::<T>()
    }

    /// As it is decoded: lists have the room to which they grew.
    fn decoded(kind: impl Into<Kind>) -> Event {
        Event::from_bytes(Event::new("alice", Source::Ebpf, kind).to_bytes()).unwrap()
    }

    #[test]
    fn lists_are_counted_as_what_they_take() {
        for count in [0, 1, 4, 5, 8, 9, 100] {
            let sent = vec![MessageBytes { r#type: "ping".into(), bytes: 1 }; count];
            let peer = PeerInfo {
                address: "203.0.113.7:8333".into(),
                inflight: vec![300; 3 * count],
                permissions: vec!["noban".into(); count / 2],
                bytes_sent_per_message: sent,
                ..PeerInfo::default()
            };
            let event = decoded(StatePeers { peers: vec![peer; count] });
            let Some(Kind::StatePeers(peers)) = &event.kind else { unreachable!() };
            let inside = |peer: &PeerInfo| room(&peer.inflight) + room(&peer.permissions) + room(&peer.bytes_sent_per_message);
            assert_eq!(cost(&event), room(&peers.peers) + peers.peers.iter().map(inside).sum::<usize>(), "{count}");

            let short_ids = vec![7; count];
            let event = decoded(NetCmpctblock { short_ids, header: Some(BlockHeader::default()), ..Default::default() });
            let Some(Kind::NetCmpctblock(block)) = &event.kind else { unreachable!() };
            assert_eq!(cost(&event), block.short_ids.capacity() * 8, "{count}");

            let event = decoded(NetGetheaders { locator: vec![vec![1; 32].into(); count], ..Default::default() });
            let Some(Kind::NetGetheaders(asked)) = &event.kind else { unreachable!() };
            assert_eq!(cost(&event), room(&asked.locator), "{count}");
        }
    }

    #[test]
    fn what_has_no_lists_costs_nothing() {
        assert_eq!(cost(&decoded(NetPing { nonce: Some(1), raw: Some(vec![1; 8].into()), ..Default::default() })), 0);
    }

    /// A part that claims to be longer than its message is decoded to its end before anybody notices.
    #[test]
    fn a_part_that_reaches_beyond_its_message_is_counted() {
        let peers = Event { kind: Some(StatePeers::default().into()), ..Event::default() }.to_bytes();
        let [key @ .., 0] = &peers[..] else { unreachable!() };
        let mut peer = Vec::new();
        // `bytes_sent_per_message = 38`, empty
        (0..100_000).for_each(|_| peer.extend([0xb2, 0x02, 0x00]));
        let mut bytes = key.to_vec();
        bytes.extend([4, 0x0a]);
        prost::encoding::encode_varint(peer.len() as u64, &mut bytes);
        bytes.extend(&peer);
        assert!(NO_LIMIT - spend(&bytes, NO_LIMIT).unwrap() >= 100_000 * size_of::<MessageBytes>());
        assert!(Event::from_bytes(bytes.into()).is_err());
    }
}
