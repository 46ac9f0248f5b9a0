//! One node, as far as a screen shows it: made of its events, in bounded memory, with no clock but theirs.

use std::collections::VecDeque;

use event::primary::{SILENCE, SOURCES};
use event::{Direction, Event, HealthBeat, Kind, KindId, LossStage, Source, StateProcess};

use super::findings::Findings;
use super::number;
use super::peers::{self, Peers};
use super::series::{Measure, Track, Window};
use crate::logger::{Colour, Line};

/// Lines kept of what happened.
pub const LINES: usize = 64;

/// Characters kept of each; no screen is wider.
const LINE: usize = 400;

/// Message types come first among the kinds; the last is `net.undecodable`.
const TYPES: usize = KindId::NetUndecodable.index() + 1;

/// A beat that is so much behind says that the clock was set back, and an event that is so much ahead does not move the time; nanoseconds.
const FAR: u64 = 60_000_000_000;

/// What a source said is not shown any more when it has not beaten for so long; nanoseconds.
const OLD: u64 = 30_000_000_000;

/// For so long detectors that began anew may leave findings unsaid before those are taken for lost, nanoseconds: twice `finding.remind`.
const UNSAID: u64 = 3_600_000_000_000;

/// Whoever reckons the start of a process from its uptime is off by a second now and then.
const SAME_RUN: u64 = 2;

/// Everything there is to show of a node.
#[derive(Clone, Debug)]
pub struct Node {
    pub name: String,
    /// When its process was started, Unix seconds.
    pub run: Option<u64>,
    /// The life before.
    run_before: Option<u64>,
    /// Its time, nanoseconds since the epoch; 0 before the first event.
    pub now: u64,
    /// Whether beats say what time it is.
    beaten: bool,
    /// Whether it is a recording that speaks.
    pub replay: bool,
    pub track: Track,
    pub peers: Peers,
    /// Messages by type: received, sent.
    types: Vec<[Window; 2]>,
    lives: [Life; SOURCES],
    /// `31.0.0`
    pub version: Option<String>,
    pub chain: Option<String>,
    pub pool: Option<Pool>,
    pub headers: Option<Headers>,
    pub block: Option<Block>,
    /// How often a block was taken off the chain.
    pub disconnected: u64,
    /// For how long our ping has not been answered, nanoseconds.
    pub waiting: Option<u64>,
    pub process: Option<Process>,
    /// What detectors hold to be the case.
    pub findings: Findings,
    /// Bytes that it may still write to its disk.
    pub disk: Option<u64>,
    /// Events that were lost, by [`LossStage`].
    lost: [u64; LossStage::Transport as usize + 1],
    /// What happened lately, as lines, the oldest first.
    pub happened: VecDeque<String>,
}

/// What is known of a source.
#[derive(Clone, Copy, Debug, Default)]
struct Life {
    heard: bool,
    /// Absent until it says.
    attached: Option<bool>,
    /// Time of the last beat, nanoseconds; 0 before the first.
    beat: u64,
    /// How far it is behind, nanoseconds.
    lag: u64,
    /// Its run, and when that was first heard of, nanoseconds.
    run: (u64, u64),
}

/// How a source is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Health {
    /// It watches, as far as it says.
    Up,
    /// It has lost its node.
    Detached,
    /// It has not beaten for longer than it should.
    Silent,
}

/// The mempool, as the node says.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    pub transactions: Option<u64>,
    /// Virtual bytes.
    pub size: Option<u64>,
    /// Bytes of memory, and how many it may take.
    pub usage: Option<u64>,
    pub limit: Option<u64>,
    /// Satoshi per 1000 virtual bytes.
    pub minimum: Option<i64>,
}

/// How far the chain is, as the node says.
#[derive(Clone, Copy, Debug)]
pub struct Headers {
    pub blocks: Option<u32>,
    pub headers: Option<u32>,
    /// In the initial block download.
    pub downloading: bool,
}

/// The last block that was connected.
#[derive(Clone, Debug)]
pub struct Block {
    /// The end of its hash: the beginning is zeros.
    pub hash: String,
    pub height: i32,
    /// When it was connected, nanoseconds since the epoch.
    pub time: u64,
    pub transactions: Option<u64>,
    /// Nanoseconds.
    pub duration: Option<u64>,
}

/// The node's process, as the system says.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    /// When that was, nanoseconds since the epoch.
    time: u64,
    /// CPU time so far, nanoseconds: of all threads, and of the one that handles messages.
    used: u64,
    handler: u64,
    /// CPU time per second of the latter, since the look before.
    pub handler_share: Option<f64>,
    /// Bytes in RAM.
    pub resident: u64,
}

impl Node {
    /// A node of which nothing is known but its name.
    pub fn new(name: String) -> Self {
        Self {
            name,
            run: None,
            run_before: None,
            now: 0,
            beaten: false,
            replay: false,
            track: Track::default(),
            peers: Peers::default(),
            types: vec![Default::default(); TYPES],
            lives: [Life::default(); SOURCES],
            version: None,
            chain: None,
            pool: None,
            headers: None,
            block: None,
            disconnected: 0,
            waiting: None,
            process: None,
            findings: Findings::default(),
            disk: None,
            lost: Default::default(),
            happened: VecDeque::new(),
        }
    }

    /// Learns what time it is, who lives, and which life of the node this is. Comes before anything is counted; `false` for what is left of the
    /// life before.
    pub fn live(&mut self, event: &Event, kind: &Kind) -> bool {
        self.replay = event.replay;
        let is = |known: Option<u64>| known.zip(event.node_run).is_some_and(|(known, run)| known.abs_diff(run) <= SAME_RUN);
        if event.node_run.is_some() && !is(self.run) {
            if is(self.run_before) {
                return false;
            }
            self.reborn(event.node_run);
        }
        let source = event.source();
        self.tell_time(source, event.time, kind);
        let life = &mut self.lives[source as usize];
        life.heard = true;
        if event.run > life.run.0 {
            life.run = (event.run, event.time);
        }
        match kind {
            Kind::HealthBeat(beat) => self.beat(source, event.time, beat),
            Kind::HealthAttached(_) => life.attached = Some(true),
            Kind::HealthDetached(_) => {
                life.attached = Some(false);
                self.forget(source);
            }
            _ => {}
        }
        true
    }

    /// The process is another one: nothing that was said of its peers holds.
    fn reborn(&mut self, run: Option<u64>) {
        if self.run.is_some() {
            self.peers.begin_anew();
            (self.pool, self.headers, self.process, self.waiting) = (None, None, None, None);
            for measure in [Measure::Queue, Measure::Ping, Measure::Processor] {
                self.track.set(measure, None);
            }
        }
        self.run_before = std::mem::replace(&mut self.run, run);
    }

    /// Beats have the time of the clock. Other events move it on, so that a recording without beats has a time; but not far: a line of a log
    /// may have any time.
    fn tell_time(&mut self, source: Source, time: u64, kind: &Kind) {
        let is_beat = matches!(kind, Kind::HealthBeat(_));
        // beats of several sources come a little out of order; further back, the clock was set
        let moves = match is_beat {
            true => time > self.now || time.saturating_add(FAR) < self.now,
            false if self.beaten => time > self.now && time - self.now < FAR && source != Source::Log,
            false => time > self.now,
        };
        self.beaten |= is_beat;
        if moves {
            self.now = time;
            self.track.advance(self.second());
        }
    }

    fn beat(&mut self, source: Source, time: u64, beat: &HealthBeat) {
        for life in &mut self.lives {
            // the clock was set back: nobody has beaten in the future
            life.beat = life.beat.min(self.now);
        }
        let life = &mut self.lives[source as usize];
        (life.beat, life.lag) = (time, beat.lag);
        // detectors that were killed said of nothing that it is over
        if source == Source::Detect && time > life.run.1.saturating_add(UNSAID) {
            self.findings.only_of(life.run.0);
        }
        for number in 1..SOURCES {
            let beat = self.lives[number].beat;
            if beat > 0 && beat.saturating_add(OLD) < self.now {
                self.forget(Source::try_from(number as i32).unwrap_or_default());
            }
        }
    }

    /// A source sees nothing any more: what it said last does not stay true.
    fn forget(&mut self, source: Source) {
        match source {
            Source::Rpc => {
                (self.pool, self.headers) = (None, None);
                self.track.set(Measure::Queue, None);
                self.peers.forget_answers();
            }
            Source::P2p => {
                self.waiting = None;
                self.track.set(Measure::Ping, None);
            }
            Source::Detect => self.findings.forget(),
            Source::Proc => {
                (self.process, self.disk) = (None, None);
                self.track.set(Measure::Processor, None);
            }
            _ => {}
        }
    }

    /// Takes in an event of the primary witness of its kind.
    pub fn observe(&mut self, event: &Event, kind: &Kind) {
        let second = event.time / 1_000_000_000;
        if let Some(net) = kind.net() {
            let (messages, bytes, way) = match net.direction {
                Direction::Outbound => (Measure::Sent, Measure::BytesSent, 1),
                Direction::Inbound | Direction::Unspecified => (Measure::Received, Measure::BytesReceived, 0),
            };
            self.track.add(messages, second, 1);
            self.track.add(bytes, second, net.size.into());
            if let Some(of) = self.types.get_mut(kind.id().index()) {
                of[way].add(second, 1);
            }
            self.peers.message(event.time, &net);
        }
        match kind {
            Kind::NetVersion(m) if m.direction() == Direction::Inbound => {
                self.peers.seen(m.peer, event.time).client = peers::kept(&m.user_agent);
            }
            Kind::ConnOpened(m) => {
                let peer = self.peers.seen(m.peer, event.time);
                (peer.address, peer.connection_type, peer.network) = (peers::kept(&m.address), m.connection_type(), m.network());
                peer.opened = Some(second);
            }
            Kind::ConnClosed(m) => self.peers.gone(m.peer),
            Kind::ConnMisbehaving(m) => {
                let peer = self.peers.seen(m.peer, event.time);
                peer.misbehaved = peer.misbehaved.saturating_add(1);
            }
            Kind::MempoolAdded(_) => self.track.add(Measure::Added, second, 1),
            Kind::MempoolRejected(_) => self.track.add(Measure::Rejected, second, 1),
            Kind::ChainBlockConnected(m) => {
                self.block = Some(Block {
                    hash: m.hash.iter().take(4).rev().map(|byte| format!("{byte:02x}")).collect(),
                    height: m.height,
                    time: event.time,
                    transactions: m.transactions,
                    duration: m.duration,
                });
            }
            Kind::ChainBlockDisconnected(_) => self.disconnected += 1,
            Kind::StatePeers(m) => {
                self.peers.listed(event.time, m);
                let queues = m.peers.iter().filter_map(|peer| peer.inv_to_send);
                // before Bitcoin Core 31 nobody says
                let known = m.peers.is_empty() || m.peers.iter().any(|peer| peer.inv_to_send.is_some());
                self.track.set(Measure::Queue, known.then(|| queues.map(|queue| queue as f64).sum()));
            }
            Kind::StateMempool(m) => {
                self.pool = Some(Pool {
                    transactions: m.size,
                    size: m.bytes,
                    usage: m.usage,
                    limit: m.max_mempool,
                    minimum: m.mempool_min_fee,
                });
            }
            Kind::StateBlockchain(m) => {
                self.chain = m.chain.as_deref().map(|chain| number::plain(chain, 8)).or(self.chain.take());
                self.headers = Some(Headers { blocks: m.blocks, headers: m.headers, downloading: m.initial_block_download() });
            }
            Kind::StateProfile(m) => {
                self.version(m.version);
                self.chain = m.chain.as_deref().map(|chain| number::plain(chain, 8)).or(self.chain.take());
            }
            Kind::StateNetwork(m) => self.version(m.version),
            Kind::StateProcess(m) => self.process(event.time, m),
            Kind::StateDisk(m) => self.disk = Some(m.available),
            Kind::ProbePing(m) => {
                self.track.set(Measure::Ping, Some(m.round_trip_nanos as f64 / 1e9));
                self.waiting = None;
            }
            Kind::ProbeUnanswered(m) => self.waiting = Some(m.waiting_nanos),
            Kind::FindingOpened(_) | Kind::FindingUpdated(_) | Kind::FindingCleared(_) | Kind::FindingExpired(_) => {
                self.findings.take(event);
            }
            Kind::HealthLost(m) => self.lost(m.stage(), m.count, second),
            _ => {}
        }
        if is_news(kind) {
            self.happened(event);
        }
    }

    fn version(&mut self, version: Option<u32>) {
        if let Some(version) = version {
            self.version = Some(format!("{}.{}.{}", version / 10_000, version / 100 % 100, version % 100));
        }
    }

    fn process(&mut self, time: u64, m: &StateProcess) {
        let handler = m.threads.iter().filter(|thread| thread.name == "b-msghand");
        let mut now = Process {
            time,
            used: m.user_nanos.saturating_add(m.system_nanos),
            handler: handler.map(|thread| thread.user_nanos.saturating_add(thread.system_nanos)).fold(0, u64::saturating_add),
            handler_share: None,
            resident: m.resident,
        };
        if let Some(before) = self.process {
            let passed = time.saturating_sub(before.time) as f64;
            let share = |now: u64, before: u64| (passed > 0.0 && now >= before).then(|| (now - before) as f64 / passed);
            now.handler_share = share(now.handler, before.handler);
            self.track.set(Measure::Processor, share(now.used, before.used));
        }
        self.process = Some(now);
    }

    /// So many were lost at this place in the stream.
    pub fn lost(&mut self, stage: LossStage, count: u64, second: u64) {
        let of = &mut self.lost[stage as usize];
        *of = of.saturating_add(count);
        self.track.add(Measure::Lost, second, count);
    }

    fn happened(&mut self, event: &Event) {
        if self.happened.len() == LINES {
            self.happened.pop_front();
        }
        // the node stands in the title, and its name is as long as the time is short
        let of_this = Event { node: String::new(), ..event.clone() };
        self.happened.push_back(number::plain(&Line(&of_this, Colour::Off).to_string(), LINE));
    }

    /// Its time, Unix seconds.
    pub fn second(&self) -> u64 {
        self.now / 1_000_000_000
    }

    /// How a source is; nothing for one that was never heard.
    pub fn health(&self, source: Source) -> Option<Health> {
        let life = &self.lives[source as usize];
        life.heard.then(|| match () {
            () if life.attached == Some(false) => Health::Detached,
            () if life.beat > 0 && life.beat.saturating_add(SILENCE) < self.now => Health::Silent,
            () => Health::Up,
        })
    }

    /// How far the slowest source is behind, seconds.
    pub fn lag(&self) -> f64 {
        let lags = self.lives.iter().filter(|life| life.beat.saturating_add(SILENCE) >= self.now).map(|life| life.lag);
        lags.max().unwrap_or(0) as f64 / 1e9
    }

    /// What was lost where, as far as anything was.
    pub fn losses(&self) -> impl Iterator<Item = (LossStage, u64)> + '_ {
        let stage = |number: usize| LossStage::try_from(number as i32).unwrap_or_default();
        self.lost.iter().enumerate().filter(|(_, count)| **count > 0).map(move |(number, count)| (stage(number), *count))
    }

    /// Message types of the last seconds, the most frequent first: name, received and sent per second.
    pub fn types(&self) -> Vec<(&'static str, f64, f64)> {
        let now = self.second();
        let rates = |(number, of): (usize, &[Window; 2])| (KindId::ALL[number].short_name(), of[0].rate(now), of[1].rate(now));
        let mut types: Vec<_> =
            self.types.iter().enumerate().map(rates).filter(|(_, received, sent)| received + sent > 0.0).collect();
        types.sort_by(|a, b| (b.1 + b.2).total_cmp(&(a.1 + a.2)).then(a.0.cmp(b.0)));
        types
    }
}

/// Whether an event deserves a line: rare, and worth knowing.
fn is_news(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::ConnEvicted(_)
            | Kind::ConnMisbehaving(_)
            | Kind::ChainBlockConnected(_)
            | Kind::ChainBlockDisconnected(_)
            | Kind::ChainInvalid(_)
            | Kind::HealthLost(_)
            | Kind::HealthAttached(_)
            | Kind::HealthDetached(_)
            | Kind::HealthDiverged(_)
            | Kind::FindingOpened(_)
            | Kind::FindingCleared(_)
            | Kind::FindingExpired(_)
    )
}
