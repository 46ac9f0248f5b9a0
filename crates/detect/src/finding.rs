//! How a detector says what it holds to be the case.

use std::sync::Arc;

use event::{EntityKind, Event, Finding, FindingEntity, FindingEvidence, FindingInput, Kind, Severity, Source, Verdict};
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::desk::Desk;
use crate::detector::About;
use crate::guard::Guard;
use crate::ledger::{Account, Ledger};

/// Whom or what a finding is about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Entity {
    /// The node.
    Node,
    /// A connection.
    Peer(u64),
    /// An address, without port.
    Address(String),
    /// `203.0.113.0/24`
    Range(String),
    /// An autonomous system.
    Asn(u32),
    /// A handshake fingerprint.
    Fingerprint(u64),
    /// All nodes.
    Fleet,
    /// A source of events, by its number.
    Source(i32),
    /// A guard.
    Guard(String),
    /// A network, by its number.
    Network(i32),
    /// A user agent.
    Agent(String),
    /// An entry of a list.
    Listed(String),
}

impl Entity {
    /// A source of events.
    pub fn source(source: Source) -> Self {
        Self::Source(source.into())
    }

    /// The peer, if it is one.
    pub fn peer(&self) -> Option<u64> {
        match self {
            Self::Peer(id) => Some(*id),
            _ => None,
        }
    }

    /// As it leaves; the address of a peer is looked up.
    pub(crate) fn message(&self, address: impl FnOnce(u64) -> String) -> FindingEntity {
        /// Peer-chosen text in a finding is cut to so many characters.
        const LONGEST: usize = 128;
        let cut = |text: &str| event::text::Printable(&text.chars().take(LONGEST).collect::<String>()).to_string();
        let of = |kind: EntityKind| FindingEntity { kind: kind.into(), ..FindingEntity::default() };
        let named = |kind: EntityKind, name: String| FindingEntity { name, ..of(kind) };
        match self {
            Self::Node => of(EntityKind::Node),
            Self::Fleet => of(EntityKind::Fleet),
            Self::Peer(id) => FindingEntity { peer: Some(*id), address: address(*id), ..of(EntityKind::Peer) },
            Self::Address(text) => FindingEntity { address: cut(text), ..of(EntityKind::Address) },
            Self::Range(text) => FindingEntity { address: cut(text), ..of(EntityKind::Range) },
            Self::Asn(number) => named(EntityKind::Asn, format!("AS{number}")),
            Self::Fingerprint(hash) => named(EntityKind::Fingerprint, format!("{hash:016x}")),
            Self::Source(number) => named(EntityKind::Source, Source::try_from(*number).unwrap_or_default().word().to_owned()),
            Self::Network(number) => {
                named(EntityKind::Network, event::Network::try_from(*number).unwrap_or_default().word().to_owned())
            }
            Self::Guard(id) => named(EntityKind::Guard, cut(id)),
            Self::Agent(text) => named(EntityKind::Agent, cut(text)),
            Self::Listed(name) => named(EntityKind::Listed, cut(name)),
        }
    }

    /// Bytes that no other entity has.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("a name and a number, into memory")
    }
}

/// What a detector holds of an entity at this moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Judgement {
    /// The criterion is met.
    Fires(Severity),
    /// Between the threshold to raise and the threshold to clear: what is, stays.
    Holds,
    /// The criterion is not met.
    Clear,
    /// It cannot be told.
    Unknown,
}

/// What there is to say of a criterion that is met.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Case {
    /// How strongly: 1 is just enough.
    pub score: f64,
    /// What to do about it.
    pub verdict: Verdict,
    /// What it rests on; the first explains the score.
    pub inputs: Vec<FindingInput>,
    /// When the window of the numbers began.
    pub from: u64,
    /// Where to look.
    pub evidence: Vec<FindingEvidence>,
    /// One sentence, without what a peer chose.
    pub summary: String,
}

/// A number that a finding rests on.
pub fn input(name: &str, value: f64, unit: &str, threshold: impl Into<Option<f64>>) -> FindingInput {
    FindingInput { name: name.to_owned(), value, unit: unit.to_owned(), threshold: threshold.into() }
}

/// Where an event is in an archive.
pub fn evidence(event: &Event) -> FindingEvidence {
    let Event { source, run, sequence, time, .. } = *event;
    FindingEvidence { source, run, from_sequence: sequence, to_sequence: sequence, time }
}

/// Where a detector tells what it holds to be the case.
pub struct Findings<'a> {
    pub(crate) about: &'static About,
    pub(crate) context: Context<'a>,
    pub(crate) desk: &'a mut Desk,
    pub(crate) ledger: &'a mut Ledger,
}

impl Findings<'_> {
    /// Says what is the case with an entity. `case` is asked for only where something is to be told, and every few seconds while it fires.
    ///
    /// Say it as often as it is known, [`Judgement::Clear`] included: an entity of which nothing is said for long expires.
    pub fn judge(&mut self, entity: &Entity, judgement: Judgement, case: impl FnOnce() -> Case) {
        let judgement = self.guarded(entity, judgement);
        if matches!(judgement, Judgement::Fires(_)) || !self.desk.is_empty() {
            self.desk.judge(self.about, &self.context, self.ledger, entity, judgement, case);
        }
    }

    /// A guard that only the detector can apply kept it from an alarm. However often it is said of one that lasts, it is counted once a minute.
    pub fn suppressed(&mut self, guard: Guard) {
        self.ledger.keep_back(self.about, &self.context, guard, None);
    }

    /// A connection, an address or whatever a detector counts was left out of its numbers because of a guard. Each is counted.
    pub fn left_out(&mut self, guard: Guard) {
        self.ledger.leave_out(&self.context, guard);
    }

    /// A table was full and so many entries were forgotten before their time.
    pub fn evicted(&mut self, count: u64) {
        self.ledger.evict(self.context.node, count);
    }

    /// Whether the finding about an entity is open.
    pub fn is_open(&self, entity: &Entity) -> bool {
        self.desk.is_open(entity)
    }

    /// What the engine counts.
    pub fn account(&self) -> &Account {
        self.ledger.account(self.context.node)
    }

    /// What guards and missing events make of a judgement.
    fn guarded(&mut self, entity: &Entity, judgement: Judgement) -> Judgement {
        let About { guards, needs, window, fooled_by, .. } = *self.about;
        match judgement {
            Judgement::Fires(_) => {
                if let Some(guard) = guards.iter().find(|guard| self.context.holds(**guard, entity.peer())) {
                    self.ledger.keep_back(self.about, &self.context, *guard, Some(entity));
                    return Judgement::Holds;
                }
                if self.context.is_blind(fooled_by, window) {
                    self.ledger.keep_back(self.about, &self.context, Guard::Blind, Some(entity));
                    return Judgement::Unknown;
                }
                judgement
            }
            Judgement::Clear if !self.desk.is_empty() && self.context.is_blind(needs, window) => Judgement::Unknown,
            _ => judgement,
        }
    }
}

/// Something to publish: when, of which node, what.
#[derive(Clone, PartialEq, Debug)]
pub struct Statement {
    /// Nanoseconds since the epoch, event time.
    pub time: u64,
    /// The node.
    pub node: Arc<str>,
    /// The life of the node.
    pub node_run: Option<u64>,
    /// One of the kinds of the family `finding`.
    pub kind: event::Kind,
}

/// The finding that an event tells of.
pub fn of(event: &Event) -> Option<&Finding> {
    match event.kind.as_ref()? {
        Kind::FindingOpened(m) => m.finding.as_ref(),
        Kind::FindingUpdated(m) => m.finding.as_ref(),
        Kind::FindingCleared(m) => m.finding.as_ref(),
        Kind::FindingExpired(m) => m.finding.as_ref(),
        _ => None,
    }
}
