//! From messages to what a subscription wants to read: everything that is decided about a message before it is queued.
//!
//! It runs where messages arrive, so that loss is found and told at its place: what the server lost, by the [`Ledger`]; what this
//! subscriber has no room for, by its [`Queue`].

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use event::{Event, Filter, Kind, KindId, KindSet, NodeName};
use prost::encoding::{WireType, decode_key, decode_varint};

use super::ledger::Ledger;
use super::parts::{Assembler, Part, header, numbers};
use super::subject::Root;
use crate::queue::Queue;
use crate::subscription::Counters;

/// What queueing a message takes beside its bytes.
const SLOT: usize = 64;

/// Subjects of replays that are followed at a time.
const MAX_SUBJECTS: usize = 64 << 10;
/// Senders on one of them.
const MAX_SENDERS: usize = 4;

/// One subscription, where messages arrive.
#[derive(Debug)]
pub(crate) struct Intake {
    root: Root,
    /// Seen last.
    node: Option<NodeName>,
    filter: Filter,
    queue: Arc<Queue<Bytes>>,
    counters: Arc<Counters>,
    ready: Vec<(Bytes, usize)>,
    assembler: Assembler,
    proof: Proof,
}

/// How loss between the publisher and here is found.
#[derive(Debug)]
enum Proof {
    /// Live: by beats.
    Beats(Ledger),
    /// In a replay, beats speak for what was recorded; there every message carries its number among those of its subject.
    Numbers(HashMap<Box<[u8]>, Numbered>),
}

/// Whose messages came on a subject of a replay, and which number is next: who replays, and tools that conclude something from it. At most
/// [`MAX_SENDERS`]; the one that was silent for longest gives way.
type Numbered = Vec<(u64, u64)>;

/// The header that numbers the messages of a replay: `<run of the replay>-<number>`.
pub(crate) const REPLAY_HEADER: &str = "Po-Replay";

impl Intake {
    pub(crate) fn new(root: Root, filter: Filter, queue: Arc<Queue<Bytes>>, counters: Arc<Counters>) -> Self {
        let proof = if root.is_live() { Proof::Beats(Ledger::new(filter.kinds)) } else { Proof::Numbers(HashMap::new()) };
        Self { root, node: None, filter, queue, counters, ready: Vec::new(), assembler: Assembler::default(), proof }
    }

    /// Takes a message. Anybody may have sent it.
    pub(crate) fn message(&mut self, subject: &[u8], headers: &[u8], payload: Bytes) {
        let Some((node, name)) = self.root.split(subject, &mut self.node) else { return self.counters.foreign_subject(1) };
        let payload = match if headers.is_empty() { Ok(None) } else { Part::parse(headers) } {
            Ok(None) => payload,
            Ok(Some(part)) => {
                let whole = self.assembler.push(node.as_bytes(), subject, part, &payload);
                self.counters.incomplete(self.assembler.take_given_up());
                match whole {
                    Some(whole) => whole,
                    None => return,
                }
            }
            Err(_) => return self.counters.undecodable(1),
        };
        let Some(envelope) = Envelope::peek(&payload) else { return self.counters.undecodable(1) };
        if envelope.node != node.as_bytes() {
            return self.counters.foreign_subject(1);
        }
        let Some(id) = envelope.kind.and_then(kind) else { return self.counters.unknown_kind(1) };
        if id.name().as_bytes() != name {
            return self.counters.foreign_subject(1);
        }
        // when very many nodes are wanted, the server was asked for all of them
        if !self.filter.matches_node(node) {
            return;
        }
        let Envelope { node: name, source, run, sequence, .. } = envelope;
        self.assembler.interrupt(name, u64::try_from(source).unwrap_or(u64::MAX), run);
        self.counters.incomplete(self.assembler.take_given_up());
        let missed = match &mut self.proof {
            Proof::Beats(ledger) => {
                let missed = if id == KindId::HealthBeat {
                    let totals = beat_totals(&payload);
                    ledger.beat(name, source, run, sequence, totals)
                } else {
                    0
                };
                ledger.event(name, source, run, sequence, id);
                missed
            }
            Proof::Numbers(subjects) => numbered(subjects, subject, headers),
        };
        if missed > 0 {
            self.flush();
            self.queue.push_missed(missed);
        }
        if self.filter.kinds.contains(id) {
            let size = payload.len() + SLOT;
            self.ready.push((payload, size));
        }
    }

    /// Call when no more messages are at hand: hands over those that were.
    pub(crate) fn flush(&mut self) {
        if !self.ready.is_empty() {
            self.queue.push_all(self.ready.drain(..));
        }
    }

    /// The stream ends here.
    pub(crate) fn close(&mut self) {
        self.flush();
        self.queue.close();
    }
}

/// How many messages of this subject are missing before this one.
fn numbered(subjects: &mut HashMap<Box<[u8]>, Numbered>, subject: &[u8], headers: &[u8]) -> u64 {
    let Some([run, number]) = header(headers, REPLAY_HEADER).and_then(|value| numbers(value, b'-')) else { return 0 };
    let next = (run, number.saturating_add(1));
    let Some(senders) = subjects.get_mut(subject) else {
        if subjects.len() >= MAX_SUBJECTS {
            subjects.clear();
        }
        subjects.insert(subject.into(), vec![next]);
        return 0;
    };
    if let Some(at) = senders.iter().position(|(before, _)| *before == run) {
        let (_, expected) = senders.remove(at);
        senders.push(next);
        return number.saturating_sub(expected);
    }
    if senders.len() >= MAX_SENDERS {
        senders.remove(0);
    }
    senders.push(next);
    // another replay of this name, or somebody who watches it: what comes first here is not his first message
    number
}

fn beat_totals(payload: &Bytes) -> Vec<(KindId, u64)> {
    match Event::from_bytes(payload.clone()).map(|event| event.kind) {
        Ok(Some(Kind::HealthBeat(beat))) => {
            beat.totals.iter().filter_map(|one| Some((KindId::from_name(&one.kind)?, one.total))).collect()
        }
        _ => Vec::new(),
    }
}

fn kind(number: u32) -> Option<KindId> {
    // sorted by number
    let at = KindId::ALL.binary_search_by_key(&number, |id| u32::from(*id as u16)).ok()?;
    Some(KindId::ALL[at])
}

/// What the bus needs to know of an event, read without decoding it: a tenth of the time, and nothing is allocated.
#[derive(Debug, PartialEq, Eq)]
struct Envelope<'a> {
    node: &'a [u8],
    source: i32,
    run: u64,
    sequence: u64,
    /// Number of the field of the kind.
    kind: Option<u32>,
}

impl<'a> Envelope<'a> {
    fn peek(mut bytes: &'a [u8]) -> Option<Self> {
        let mut envelope = Self { node: &[], source: 0, run: 0, sequence: 0, kind: None };
        while bytes.has_remaining() {
            let (field, wire) = decode_key(&mut bytes).ok()?;
            let mut value = 0;
            let mut slice = &[][..];
            match wire {
                WireType::Varint => value = decode_varint(&mut bytes).ok()?,
                WireType::LengthDelimited => {
                    let length = usize::try_from(decode_varint(&mut bytes).ok()?).ok()?;
                    (slice, bytes) = bytes.split_at_checked(length)?;
                }
                WireType::SixtyFourBit => bytes = bytes.get(8..)?,
                WireType::ThirtyTwoBit => bytes = bytes.get(4..)?,
                WireType::StartGroup | WireType::EndGroup => return None,
            }
            match field {
                1 => envelope.node = slice,
                3 => envelope.source = value as i32,
                4 => envelope.run = value,
                5 => envelope.sequence = value,
                // kinds begin at 100; the last one counts, as everywhere in protobuf
                100.. => envelope.kind = Some(field),
                _ => {}
            }
        }
        Some(envelope)
    }
}

/// The kinds that must be asked for, beside those wanted, so that completeness can be proven.
pub(crate) fn needed(kinds: KindSet) -> KindSet {
    kinds.union([KindId::HealthBeat].into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::{NetPing, Source};

    #[test]
    fn an_envelope_is_read_without_decoding() {
        let mut event = Event::new("alice", Source::Ebpf, NetPing { peer: 3, ..NetPing::default() });
        (event.node_run, event.run, event.sequence, event.time) = (Some(1), 2, u64::MAX, 4);
        let bytes = event.to_bytes();
        let expect = Envelope { node: b"alice", source: event.source, run: 2, sequence: u64::MAX, kind: Some(109) };
        assert_eq!(Envelope::peek(&bytes), Some(expect));
        for cut in 1..bytes.len() {
            // a prefix may end between two fields; it never makes it panic
            let _ = Envelope::peek(&bytes[..cut]);
        }
    }

    #[test]
    fn the_fields_of_the_envelope_are_those_of_the_schema() {
        let envelope = event::schema::PARTS.iter().find(|part| part.message == "Event").unwrap();
        let number = |name| envelope.fields.iter().find(|field| field.name == name).unwrap().number;
        assert_eq!(["node", "source", "run", "sequence"].map(number), [1, 3, 4, 5]);
        assert!(KindId::ALL.iter().all(|id| kind(*id as u32) == Some(*id) && *id as u32 >= 100));
        assert_eq!(kind(99), None);
    }
}
