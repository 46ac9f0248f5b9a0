//! Which witness of a fact counts.
//!
//! Several sources may state one fact: the probes and the log both see a connection close. [`witnesses`] lists, per kind, who may state
//! it, the best first. Whoever counts (metrics, detectors, pages) asks [`Primaries::admit`] of each event and counts those that pass.
//!
//! # Which source is primary
//!
//! Per node, the first of the list that is alive: attached to its node, and its last sign of life no older than [`SILENCE`]. A sign of
//! life is `health.beat` or `health.attached`, or the first event of a run. The age is measured in event time, against the newest beat
//! of any source of the node: beats have the time of the clock, while a line of a log may have any. When nobody is alive, whoever was
//! primary stays so; a recording without beats has one primary for as long as nobody detaches.
//!
//! A source that said when it attached that it lacks what it would state a kind by (`health.attached.missing`: a node of another release
//! has fewer tracepoints) gives way, for this kind, to one that lacks nothing and is alive.
//!
//! # When it changes
//!
//! Every moment of event time has one primary, and that is never changed afterwards: an event counts if its source is the primary *at
//! the event's time*, however late it arrives. What happens at a border:
//!
//! - A better source comes to life, or the primary says that it is detached: the border is the time of that word, or just after the last
//!   fact that was counted already. Nothing is counted twice, and nothing is lost.
//! - The primary falls silent. That shows only [`SILENCE`] later, and the border is there. If it died, what the other stated in between
//!   is not counted: [`Account::uncovered`] says how much that was. If it was only late, its own statements of that time arrive, and
//!   count; then `uncovered` is too high. It is never too low by more than what came out of order.
//! - Two witnesses may give one fact different times, a log by up to a second. A fact so close to a border may be counted by both or by
//!   neither: [`Account::near`] is the number of statements for which that is possible.
//!
//! Only [`Primaries`] has a state, made of the events that it was shown; a restart knows everything again after the next beats, but for
//! what a source lacks, which only `health.attached` says.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Event, HealthBeat, Kind, KindId, KindSet, Source};

/// A source whose last sign of life is older is not primary while another is alive, nanoseconds. Sources beat each second.
pub const SILENCE: u64 = 3_000_000_000;

/// How far apart two witnesses may date the same fact, nanoseconds: a log without `-logtimemicros` has whole seconds.
const RESOLUTION: u64 = 1_000_000_000;

/// How much later than others a source may state what happened, nanoseconds.
pub const LATENESS: u64 = 2_000_000_000;

/// Borders remembered per node and list. What is older than all of them counts by the oldest.
const BORDERS: usize = 16;

/// Nodes remembered; the one that has been silent for longest gives way.
const NODES: usize = 1024;

/// Who may state facts of a kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Witnesses {
    /// Whoever states it speaks of itself, or of what nobody else sees.
    Own,
    /// These, the best first.
    Of(&'static [Source]),
}

/// The lists that have more than one source.
const RANKS: [&[Source]; 3] = [&[Source::Ebpf, Source::Log], &[Source::Ipc, Source::Log], &[Source::Ebpf, Source::Capture]];

/// The kinds that a source states by something that a node may not offer, where another may state them as well: tracepoints
/// (`crates/ebpf/src/probes.rs`).
const STATED_BY: [(KindId, &[&str]); 9] = [
    (KindId::ConnOpened, &["net:inbound_connection", "net:outbound_connection"]),
    (KindId::ConnClosed, &["net:closed_connection"]),
    (KindId::ConnEvicted, &["net:evicted_inbound_connection"]),
    (KindId::ConnMisbehaving, &["net:misbehaving_connection"]),
    (KindId::MempoolAdded, &["mempool:added"]),
    (KindId::MempoolRemoved, &["mempool:removed"]),
    (KindId::MempoolReplaced, &["mempool:replaced"]),
    (KindId::MempoolRejected, &["mempool:rejected"]),
    (KindId::ChainBlockConnected, &["validation:block_connected"]),
];

/// The tracepoints by which the probes state a kind, where the log may state it as well.
pub fn stated_by(id: KindId) -> &'static [&'static str] {
    STATED_BY.iter().find(|(stated, _)| *stated == id).map_or(&[], |(_, by)| by)
}

/// The kinds that a source which lacks these does not state, or not always.
fn lacking(missing: &[String]) -> KindSet {
    let lacks = |by: &&[&str]| by.iter().any(|name| missing.iter().any(|missing| missing == name));
    STATED_BY.into_iter().filter(|(_, by)| lacks(by)).map(|(id, _)| id).collect()
}

/// Who may state facts of a kind. There is no default: whoever adds a kind decides.
pub const fn witnesses(id: KindId) -> Witnesses {
    const PROBES: Witnesses = Witnesses::Of(&[Source::Ebpf]);
    const LOG: Witnesses = Witnesses::Of(&[Source::Log]);
    const JOIN: Witnesses = Witnesses::Of(&[Source::Join]);
    const PROBES_OR_LOG: Witnesses = Witnesses::Of(RANKS[0]);
    const IPC_OR_LOG: Witnesses = Witnesses::Of(RANKS[1]);
    const MESSAGES: Witnesses = Witnesses::Of(RANKS[2]);
    match id {
        KindId::NetVersion
        | KindId::NetVerack
        | KindId::NetWtxidrelay
        | KindId::NetSendaddrv2
        | KindId::NetSendtxrcncl
        | KindId::NetFeature
        | KindId::NetSendheaders
        | KindId::NetSendcmpct
        | KindId::NetFeefilter
        | KindId::NetPing
        | KindId::NetPong
        | KindId::NetGetaddr
        | KindId::NetAddr
        | KindId::NetAddrv2
        | KindId::NetInv
        | KindId::NetGetdata
        | KindId::NetNotfound
        | KindId::NetGetblocks
        | KindId::NetGetheaders
        | KindId::NetHeaders
        | KindId::NetBlock
        | KindId::NetTx
        | KindId::NetCmpctblock
        | KindId::NetGetblocktxn
        | KindId::NetBlocktxn
        | KindId::NetMempool
        | KindId::NetMerkleblock
        | KindId::NetFilterload
        | KindId::NetFilteradd
        | KindId::NetFilterclear
        | KindId::NetGetcfilters
        | KindId::NetCfilter
        | KindId::NetGetcfheaders
        | KindId::NetCfheaders
        | KindId::NetGetcfcheckpt
        | KindId::NetCfcheckpt
        | KindId::NetAlert
        | KindId::NetReject
        | KindId::NetUndecodable => MESSAGES,

        KindId::ConnOpened | KindId::ConnClosed | KindId::ConnEvicted | KindId::ConnMisbehaving => PROBES_OR_LOG,
        KindId::ConnRefused | KindId::ConnClosing => LOG,
        KindId::ConnEnded => JOIN,

        KindId::MempoolAdded | KindId::MempoolRemoved | KindId::MempoolReplaced | KindId::MempoolRejected => PROBES_OR_LOG,
        KindId::MempoolRefused => JOIN,

        KindId::ChainBlockConnected => PROBES_OR_LOG,
        KindId::ChainCoinsFlushed => PROBES,
        KindId::ChainTip => IPC_OR_LOG,

        // the log says more than anybody else, as far as it goes
        KindId::NetMessage
        | KindId::ConnAccepted
        | KindId::ConnAsked
        | KindId::ConnReady
        | KindId::ConnVersion
        | KindId::ConnStep
        | KindId::ConnMalformed
        | KindId::ConnSpared
        | KindId::ConnOutbound
        | KindId::ConnOwnAddress
        | KindId::ConnServiceTrouble
        | KindId::ConnAddresses
        | KindId::ConnAddrman
        | KindId::ConnTimeOffset
        | KindId::MempoolAnnounced
        | KindId::MempoolRequested
        | KindId::MempoolOverdue
        | KindId::MempoolAccepted
        | KindId::MempoolConfirmed
        | KindId::MempoolTrimmed
        | KindId::MempoolOrphan
        | KindId::MempoolPackage
        | KindId::MempoolFeeFilter
        | KindId::ChainHeader
        | KindId::ChainBlockDisconnected
        | KindId::ChainBlockChecked
        | KindId::ChainBlockReceived
        | KindId::ChainBlockRequested
        | KindId::ChainCompactBlock
        | KindId::ChainReconstructed
        | KindId::ChainCompactMissing
        | KindId::ChainCompactServed
        | KindId::ChainCompactSent
        | KindId::ChainHeadersSync
        | KindId::ChainHeadersIgnored
        | KindId::ChainSync
        | KindId::ChainInvalid
        | KindId::ChainBlockAnnounced
        | KindId::ChainTiming
        | KindId::ChainSignal => LOG,
        KindId::LogLine
        | KindId::LogLife
        | KindId::LogRpcRefused
        | KindId::HealthParser
        | KindId::HealthPatternSilent
        | KindId::HealthTemplate
        | KindId::HealthLogGap
        | KindId::HealthLogFile
        | KindId::HealthArchived
        | KindId::HealthShipped => Witnesses::Own,

        KindId::StateProfile
        | KindId::StatePeers
        | KindId::StateNetTotals
        | KindId::StateNetwork
        | KindId::StateMempool
        | KindId::StateOrphans
        | KindId::StateFeeEstimates
        | KindId::StateBlockchain
        | KindId::StateChainTips
        | KindId::StateChainTxStats
        | KindId::StateDeployments
        | KindId::StateIndexes
        | KindId::StateAddrman
        | KindId::StateAddrmanRaw
        | KindId::StateBans
        | KindId::StateMemory
        | KindId::StateUptime
        | KindId::StateFetched
        | KindId::StateProcess
        | KindId::StateDisk
        | KindId::ProbePing
        | KindId::ProbeUnanswered
        | KindId::ProbeAnnouncedAddresses
        | KindId::ProbeAnnouncedTransactions
        | KindId::ProbeAnnouncedBlocks
        | KindId::ProbeFeeFilter
        | KindId::ProbeRefused
        | KindId::ProbeUndecodable
        | KindId::ProbeAddress
        | KindId::HealthLost
        | KindId::HealthBeat
        | KindId::HealthAttached
        | KindId::HealthDetached
        | KindId::HealthReconciled
        | KindId::HealthDiverged
        | KindId::HealthJoined
        | KindId::FindingOpened
        | KindId::FindingUpdated
        | KindId::FindingCleared
        | KindId::FindingExpired
        | KindId::IncidentOpened
        | KindId::IncidentChanged
        | KindId::IncidentNoted
        | KindId::IncidentAcknowledged
        | KindId::IncidentResolved
        | KindId::IncidentReopened
        | KindId::IncidentKept
        | KindId::IncidentDelivered => Witnesses::Own,
    }
}

/// Who states facts of a kind about a node, the best first. Nobody where it is about whoever states it.
pub fn sources(id: KindId) -> &'static [Source] {
    match (witnesses(id), id.family()) {
        (Witnesses::Of(list), _) => list,
        (Witnesses::Own, "state") if matches!(id, KindId::StateProcess | KindId::StateDisk) => &[Source::Proc],
        (Witnesses::Own, "state") => &[Source::Rpc],
        (Witnesses::Own, "probe") if id != KindId::ProbeAddress => &[Source::P2p],
        (Witnesses::Own, "log") => &[Source::Log],
        (Witnesses::Own, _) => &[],
    }
}

/// What the filter did, and where it is not sure.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Account {
    /// How often another source became primary.
    pub switches: u64,
    /// Statements that did not count because their source was not primary yet, made after the last sign of life of the one that was.
    pub uncovered: u64,
    /// Statements, counted or not, so close to a border that their fact may have been counted twice or not at all.
    pub near: u64,
    /// Events of a source that is no witness of their kind.
    pub foreign: u64,
    /// Nodes forgotten, because there were too many.
    pub forgotten: u64,
}

/// The filter of everything that counts.
///
/// Its state can be kept, so that whoever counts in pieces counts the same as in one go.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Primaries {
    nodes: HashMap<String, Node>,
    account: Account,
}

impl Primaries {
    /// What has to be subscribed to besides what is counted, so that the filter knows who is alive.
    pub fn needs() -> KindSet {
        [KindId::HealthBeat, KindId::HealthAttached, KindId::HealthDetached].into_iter().collect()
    }

    /// Whether an event counts. Show it every event, in the order in which they come.
    pub fn admit(&mut self, event: &Event) -> bool {
        let Some(id) = event.id() else { return false };
        match witnesses(id) {
            Witnesses::Own => {
                if Self::needs().contains(id) {
                    self.node(event).live(event);
                }
                true
            }
            Witnesses::Of([only]) => {
                let admitted = event.source() == *only;
                self.account.foreign += u64::from(!admitted);
                admitted
            }
            Witnesses::Of(list) => {
                let Some(rank) = RANKS.iter().position(|rank| *rank == list).filter(|_| list.contains(&event.source())) else {
                    self.account.foreign += 1;
                    return false;
                };
                let node = self.node(event);
                node.live(event);
                node.spans_of(rank, id).admit(event)
            }
        }
    }

    /// The source that states facts of a kind now, where more than one may.
    pub fn primary(&self, node: &str, id: KindId) -> Option<Source> {
        match witnesses(id) {
            Witnesses::Own => None,
            Witnesses::Of([only]) => Some(*only),
            Witnesses::Of(list) => self.spans(node, id, list)?.current(),
        }
    }

    /// The source whose statement counts of what happened at `time`, where more than one may state facts of a kind.
    pub fn primary_at(&self, node: &str, id: KindId, time: u64) -> Option<Source> {
        match witnesses(id) {
            Witnesses::Own => None,
            Witnesses::Of([only]) => Some(*only),
            Witnesses::Of(list) => self.spans(node, id, list)?.at(time),
        }
    }

    /// When a primary that had fallen silent was last replaced by another, as far as that is remembered: what happened in the moments before,
    /// nobody may have stated.
    pub fn uncovered(&self, node: &str, id: KindId) -> Option<u64> {
        let Witnesses::Of(list) = witnesses(id) else { return None };
        self.spans(node, id, list)?.uncovered()
    }

    fn spans(&self, node: &str, id: KindId, list: &[Source]) -> Option<&Spans> {
        let rank = RANKS.iter().position(|rank| *rank == list)?;
        let node = self.nodes.get(node)?;
        Some(&node.spans[rank][usize::from(node.is_lacked(rank, id))])
    }

    /// Whether a source watches the node and has beaten lately.
    pub fn is_alive(&self, node: &str, source: Source) -> bool {
        self.nodes.get(node).is_some_and(|node| node.alive(source))
    }

    /// When a source last beat. Everything that it published before has been seen, where nothing was missed.
    pub fn beaten(&self, node: &str, source: Source) -> Option<u64> {
        self.nodes.get(node).map(|node| node.lives[source as usize].beat).filter(|beat| *beat > 0)
    }

    /// The newest beat of any source of a node: its time.
    pub fn now(&self, node: &str) -> Option<u64> {
        self.nodes.get(node).map(|node| node.now).filter(|now| *now > 0)
    }

    /// The clock of a node was set back to `time`: no source has beaten in the future. Beats of a source that goes on show it by themselves; those of
    /// another life of it do not.
    pub fn set_back(&mut self, node: &str, time: u64) {
        if let Some(node) = self.nodes.get_mut(node) {
            node.set_back(time);
        }
    }

    /// What the filter did so far.
    pub fn account(&self) -> Account {
        self.nodes.values().map(Node::account).fold(self.account, Account::plus)
    }

    fn node(&mut self, event: &Event) -> &mut Node {
        if !self.nodes.contains_key(&event.node) {
            let oldest = self.nodes.iter().min_by_key(|(name, node)| (node.now, *name)).map(|(name, _)| name.clone());
            if self.nodes.len() >= NODES
                && let Some(gone) = oldest.and_then(|name| self.nodes.remove(&name))
            {
                self.account = self.account.plus(gone.account());
                self.account.forgotten += 1;
            }
        }
        self.nodes.entry(event.node.clone()).or_default()
    }
}

impl Account {
    fn plus(self, other: Self) -> Self {
        Self {
            switches: self.switches + other.switches,
            uncovered: self.uncovered + other.uncovered,
            near: self.near + other.near,
            foreign: self.foreign + other.foreign,
            forgotten: self.forgotten + other.forgotten,
        }
    }
}

/// More than the largest number of a [`Source`].
pub const SOURCES: usize = Source::Capture as usize + 1;

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Node {
    /// Time of the newest beat.
    now: u64,
    lives: [Life; SOURCES],
    /// Of each list, for kinds that its sources state, and for those that one of them lacks.
    spans: [[Spans; 2]; RANKS.len()],
}

/// What is known of one source.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Life {
    /// Which life of it; 0 before anything was heard.
    run: u64,
    heard: bool,
    /// Absent until it says so, or its beat tells: then it is taken for attached, since it states facts.
    attached: Option<bool>,
    /// Time of the last sign of life.
    sign: u64,
    /// Time of the last beat.
    beat: u64,
    /// What it does not state, or not always.
    lacks: KindSet,
}

impl Node {
    fn account(&self) -> Account {
        let spans = |[all, lacked]: &[Spans; 2]| {
            // the same switches, and those that only some kinds saw
            all.account.plus(Account { switches: 0, ..lacked.account })
        };
        self.spans.iter().map(spans).fold(Account::default(), Account::plus)
    }

    /// Whether a source of a list lacks a kind.
    fn is_lacked(&self, rank: usize, id: KindId) -> bool {
        RANKS[rank].iter().any(|source| self.lives[*source as usize].lacks.contains(id))
    }

    fn spans_of(&mut self, rank: usize, id: KindId) -> &mut Spans {
        let lacked = self.is_lacked(rank, id);
        &mut self.spans[rank][usize::from(lacked)]
    }

    /// Learns from an event who is alive, and who is primary from now on.
    fn live(&mut self, event: &Event) {
        let source = event.source();
        let life = &mut self.lives[source as usize];
        if life.heard && event.run < life.run {
            // the rest of an earlier life
            return;
        }
        if !life.heard || event.run > life.run {
            *life = Life { run: event.run, heard: true, attached: None, sign: event.time, beat: 0, lacks: KindSet::NONE };
        }
        let mut sign = false;
        match &event.kind {
            Some(Kind::HealthAttached(attached)) => {
                sign = true;
                life.attached = Some(true);
                life.lacks = lacking(&attached.missing);
                life.sign = life.sign.max(event.time);
            }
            Some(Kind::HealthDetached(_)) => life.attached = Some(false),
            Some(Kind::HealthBeat(beat)) => {
                sign = true;
                life.attached = life.attached.or_else(|| Some(is_attached(beat)));
                let set_back = event.time < life.beat;
                life.sign = life.sign.max(event.time);
                life.beat = event.time;
                if set_back {
                    self.set_back(event.time);
                }
                self.now = self.now.max(event.time);
            }
            _ => {}
        }
        if sign {
            for spans in self.spans.iter_mut().flatten().filter(|spans| spans.current() == Some(source)) {
                spans.standby = [0, spans.standby[0]];
            }
        }
        self.choose(event.time);
    }

    /// A source that beats earlier than it did before lives by a clock that was set back. Nobody else's signs are from the future either.
    fn set_back(&mut self, time: u64) {
        self.now = time;
        for life in &mut self.lives {
            life.sign = life.sign.min(time);
            life.beat = life.beat.min(time);
        }
        for spans in self.spans.iter_mut().flatten() {
            // the moments after it come a second time: whoever is primary now has them all
            spans.borders.drain(..spans.borders.len().saturating_sub(1));
        }
    }

    fn alive(&self, source: Source) -> bool {
        let life = &self.lives[source as usize];
        life.heard && life.attached != Some(false) && life.sign.saturating_add(SILENCE) >= self.now
    }

    fn choose(&mut self, time: u64) {
        for (rank, list) in RANKS.iter().enumerate() {
            let alive = || list.iter().copied().filter(|source| self.alive(*source));
            let best = alive().next();
            let whole = alive().find(|source| self.lives[*source as usize].lacks == KindSet::NONE).or(best);
            for (lacked, best) in [best, whole].into_iter().enumerate() {
                let current = self.spans[rank][lacked].current();
                let Some(best) = best.filter(|best| current != Some(*best)) else { continue };
                let silent = current.filter(|source| self.lives[*source as usize].attached != Some(false) && !self.alive(*source));
                let border = match silent {
                    Some(source) => Border { from: self.now, since: self.lives[source as usize].sign, source: best },
                    None => Border { from: time, since: time, source: best },
                };
                self.spans[rank][lacked].change(border, silent.is_some());
            }
        }
    }
}

/// Whether a source is attached, by what it has published: for who began to listen later.
fn is_attached(beat: &HealthBeat) -> bool {
    let total = |id: KindId| beat.totals.iter().find(|total| total.kind == id.name()).map_or(0, |total| total.total);
    let (attached, detached) = (total(KindId::HealthAttached), total(KindId::HealthDetached));
    let facts = || beat.totals.iter().any(|total| !total.kind.starts_with("health."));
    attached > detached || attached == 0 && detached == 0 && facts()
}

/// Who is primary from when on.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Spans {
    /// By time. The first holds from the beginning.
    borders: VecDeque<Border>,
    /// Time of the newest fact that counted after the last border.
    counted: u64,
    /// Statements of others after the last sign of life of the primary, and between that and the one before: what happened after a
    /// beat may be stated before it.
    standby: [u64; 2],
    account: Account,
}

#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
struct Border {
    from: u64,
    /// The last sign of life of the one before; `from` if that is no question.
    since: u64,
    #[serde(serialize_with = "number", deserialize_with = "source")]
    source: Source,
}

/// A source by its number in the schema, which never changes.
fn number<S: Serializer>(source: &Source, serializer: S) -> Result<S::Ok, S::Error> {
    (*source as i32).serialize(serializer)
}

fn source<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Source, D::Error> {
    Source::try_from(i32::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

impl Spans {
    fn current(&self) -> Option<Source> {
        self.borders.back().map(|border| border.source)
    }

    fn at(&self, time: u64) -> Option<Source> {
        let then = self.borders.iter().rfind(|border| border.from <= time);
        then.or(self.borders.front()).map(|border| border.source)
    }

    fn uncovered(&self) -> Option<u64> {
        // a border that was announced is moved by less
        let silent = |border: &&Border| border.from.saturating_sub(border.since) > SILENCE;
        self.borders.iter().rev().find(silent).map(|border| border.from)
    }

    fn change(&mut self, mut border: Border, silent: bool) {
        // what counted does not count again when another states it; a fact from the future does not hold up the change
        border.from = border.from.max(self.counted.saturating_add(1).min(border.from.saturating_add(LATENESS)));
        self.counted = 0;
        let Some(last) = self.borders.back_mut() else {
            self.borders.push_back(border);
            return;
        };
        self.account.switches += 1;
        if silent {
            self.account.uncovered += self.standby.iter().sum::<u64>();
        }
        self.standby = [0, 0];
        if border.from <= last.from {
            // what was said of the time before the last border stays
            *last = Border { from: last.from, since: last.since, source: border.source };
            return;
        }
        if self.borders.len() == BORDERS {
            self.borders.pop_front();
        }
        self.borders.push_back(border);
    }

    fn admit(&mut self, event: &Event) -> bool {
        let (time, source) = (event.time, event.source());
        if self.borders.is_empty() {
            // whoever states facts watches, whatever it said of itself
            self.borders.push_back(Border { from: time, since: time, source });
        }
        let place = self.borders.iter().rposition(|border| border.from <= time).unwrap_or(0);
        let admitted = self.borders.get(place).is_some_and(|border| border.source == source);
        if admitted && place + 1 == self.borders.len() {
            self.counted = self.counted.max(time);
        }
        if self.borders.iter().skip(1).any(|border| border.from.abs_diff(time) <= RESOLUTION) {
            self.account.near += 1;
        }
        if !admitted {
            let last = self.borders.len().saturating_sub(1);
            let gap = |border: &&Border| border.source == source && border.since < time && time < border.from;
            if place == last {
                self.standby[0] += 1;
            } else if self.borders.get(place + 1).as_ref().is_some_and(gap) {
                self.account.uncovered += 1;
            }
        }
        admitted
    }
}

#[cfg(test)]
mod tests;
