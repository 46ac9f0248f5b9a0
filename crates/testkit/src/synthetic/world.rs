//! The course of things at one node: an agenda of what is about to happen, by time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use bytes::Bytes;
use event::{Event, Kind, LossStage, Source};

use super::chance::{hash, mix};
use super::consequence::Deeds;
use super::ingredient::{Play, Playing};
use super::peer::Peer;
use super::script::{Node, Population, Script, Watch};
use super::stamp::Stamp;
use super::state::Poll;
use super::{Run, Truth};
use crate::cast::Random;

pub(super) const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;

/// Transactions whose ids are remembered: those that somebody may still announce.
const RECENT: usize = 4096;

/// What is about to happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum What {
    /// A source says that it is alive.
    Beat(usize),
    /// The node is asked.
    Poll(Poll),
    /// A transaction reaches the network.
    Transaction,
    /// A peer announces what it has.
    Announce(u64),
    /// The node announces what it has to a peer.
    Trickle(u64),
    /// A peer passes on addresses.
    Gossip(u64),
    /// The node pings a peer, or the peer answers.
    Ping(u64),
    Pong(u64, u64),
    /// The next step of a handshake.
    Greet(u64, u8),
    /// Somebody dials the node.
    Arrive,
    /// A peer goes.
    Leave(u64),
    /// The node dials.
    Dial,
    /// A block is found.
    Block,
    /// A step of a block's way into the chain.
    Fetch(super::blocks::Fetch),
    /// An ingredient's next step.
    Ingredient(usize),
    /// The node's process begins again.
    Start,
}

#[derive(PartialEq, Eq, Debug)]
struct Entry {
    time: u64,
    order: u64,
    what: What,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.time, self.order).cmp(&(other.time, other.order))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// What ingredients turn.
#[derive(Debug)]
pub(super) struct Knobs {
    /// Share of one processor that the message handler takes.
    pub(super) handler: f64,
    /// Seconds from our ping to the node's pong.
    pub(super) backlog: f64,
    /// Share of blocks that need no question; the population's unless turned.
    pub(super) reconstructed: f64,
    /// New connections against the usual.
    pub(super) arrivals: f64,
    /// Slots for inbound peers.
    pub(super) slots: usize,
    /// Seconds that every block takes longer, whoever sends it.
    pub(super) slow_blocks: f64,
    /// Peers that announce blocks first and do not deliver them.
    pub(super) withholders: Vec<u64>,
    /// Those of them who have withheld a block.
    pub(super) withheld_one: Vec<u64>,
    /// Share of blocks with which they are the first.
    pub(super) withheld: f64,
    /// Servers that the node dials next and that belong to an attacker.
    pub(super) attackers: u32,
    /// Blocks are found at all.
    pub(super) mining: bool,
    /// Nobody tells the node of blocks.
    pub(super) cut_off: bool,
}

/// One node and what happens to it.
pub(super) struct World {
    pub(super) name: String,
    pub(super) random: Random,
    pub(super) node: Node,
    pub(super) population: Population,
    pub(super) begin: u64,
    pub(super) end: u64,
    /// Of what is happening.
    pub(super) now: u64,
    /// Of the last event.
    last: u64,
    agenda: BinaryHeap<Reverse<Entry>>,
    order: u64,
    out: VecDeque<Event>,
    pub(super) stamps: Vec<Stamp>,
    /// Start of the node's process, Unix seconds.
    pub(super) node_run: u64,
    /// The node's process runs.
    pub(super) up: bool,
    pub(super) peers: BTreeMap<u64, Peer>,
    pub(super) next_peer: u64,
    /// Transactions so far, and the ids of the last ones.
    pub(super) transactions: u64,
    pub(super) recent: VecDeque<Bytes>,
    /// How many of the last ones nobody has announced yet.
    pub(super) fresh: u64,
    /// Transactions that blocks have taken.
    pub(super) confirmed: u64,
    pub(super) chain: super::blocks::Chain,
    pub(super) handler_nanos: f64,
    pub(super) polled: u64,
    pub(super) knobs: Knobs,
    pub(super) deeds: Deeds,
    playing: Vec<Option<Box<dyn Play>>>,
    truths: Vec<Truth>,
}

impl World {
    pub(super) fn new(name: &str, script: &Script, run: Run) -> Self {
        let seed = name.bytes().fold(run.seed, |seed, byte| mix(seed ^ u64::from(byte)));
        let mut random = Random::new(seed);
        let begin = script.begin;
        let end = begin + script.length.as_nanos() as u64;
        let outbound = super::node::OUTBOUND;
        let (playing, truths) = super::ingredient::plan(name, script, run, &mut random);
        let height = 939_000 + random.below(1000) as i32;
        let chain = if script.nodes.len() > 1 {
            super::blocks::Chain::shared(run.seed, begin)
        } else {
            super::blocks::Chain::new(height, Bytes::copy_from_slice(&hash(seed, 1)), begin)
        };
        let mut world = Self {
            name: name.to_owned(),
            node: script.node.clone(),
            population: script.population.clone(),
            begin,
            end,
            now: begin,
            last: begin,
            agenda: BinaryHeap::new(),
            order: 0,
            out: VecDeque::new(),
            stamps: script.node.sources.iter().map(|watch| Stamp::new(watch.source(), begin)).collect(),
            node_run: (begin - script.node.uptime.as_nanos() as u64) / SECOND,
            up: true,
            peers: BTreeMap::new(),
            next_peer: random.below(1 << 16),
            // what came in the half hour before
            transactions: (script.population.transactions_per_second * 1800.0) as u64 / u64::from(script.population.thin),
            recent: VecDeque::with_capacity(RECENT),
            fresh: 0,
            confirmed: 0,
            chain,
            handler_nanos: random.between(1e11, 1e12),
            polled: begin,
            knobs: Knobs {
                handler: 0.12,
                backlog: 0.004,
                reconstructed: script.population.reconstructed,
                arrivals: 1.0,
                slots: script.node.max_connections.saturating_sub(outbound + 1),
                slow_blocks: 0.0,
                withholders: Vec::new(),
                withheld_one: Vec::new(),
                withheld: 0.0,
                attackers: 0,
                mining: true,
                cut_off: false,
            },
            deeds: Deeds::default(),
            playing: playing.iter().map(|_| None).collect(),
            truths,
            random,
        };
        world.prepare(playing);
        world
    }

    /// What should be found.
    pub(super) fn truths(&self) -> &[Truth] {
        &self.truths
    }

    pub(super) fn truths_mut(&mut self) -> &mut Vec<Truth> {
        &mut self.truths
    }

    /// Nothing was to be seen of this peer's attack before now.
    pub(super) fn truth_begins(&mut self, detector: &str, peer: u64) {
        let Some(peer) = self.peers.get(&peer) else { return };
        let now = self.now;
        let truths = self.truths.iter_mut().filter(|truth| truth.detector == detector && truth.entity == peer.address);
        truths.for_each(|truth| truth.begin = now);
    }

    fn prepare(&mut self, playing: Playing) {
        self.attach();
        self.settle();
        for (index, (at, play)) in playing.into_iter().enumerate() {
            self.playing[index] = Some(play);
            self.at(at, What::Ingredient(index));
        }
        for index in 0..self.stamps.len() {
            let offset = self.random.below(SECOND);
            self.at(self.begin + offset, What::Beat(index));
        }
        for poll in Poll::ALL {
            let offset = self.random.below(SECOND);
            self.at(self.begin + offset, What::Poll(poll));
        }
        self.after(0.0, What::Transaction);
        self.after_mean(60.0 / self.population.inbound_per_minute, What::Arrive);
        self.next_block();
    }

    /// Puts something on the agenda; what would happen after the end never does.
    pub(super) fn at(&mut self, time: u64, what: What) {
        if time < self.end {
            self.order += 1;
            self.agenda.push(Reverse(Entry { time: time.max(self.now), order: self.order, what }));
        }
    }

    /// So many seconds from now.
    pub(super) fn after(&mut self, seconds: f64, what: What) {
        if seconds.is_finite() {
            self.at(self.now.saturating_add((seconds * 1e9) as u64), what);
        }
    }

    /// So many seconds from now on average; never where that is infinite.
    pub(super) fn after_mean(&mut self, mean: f64, what: What) {
        if mean.is_finite() {
            let seconds = self.random.exponential(mean);
            self.after(seconds, what);
        }
    }

    /// How busy the hour is against the average.
    pub(super) fn rhythm(&self) -> f64 {
        let hour = (self.now % DAY) as f64 / DAY as f64;
        1.0 - self.population.rhythm * (hour * std::f64::consts::TAU).cos()
    }

    /// A source states something, now.
    pub(super) fn say(&mut self, source: Source, kind: impl Into<Kind>) {
        let kind = kind.into();
        let Some(stamp) = self.stamps.iter_mut().find(|stamp| stamp.source == source && stamp.alive) else { return };
        // whatever happens at once happens one after the other
        self.last = self.now.max(self.last + 1 + self.random.below(20_000));
        self.out.push_back(Event {
            node: self.name.clone(),
            node_run: Some(self.node_run),
            source: source.into(),
            run: stamp.run,
            sequence: stamp.count(kind.id()),
            time: self.last,
            replay: false,
            kind: Some(kind),
        });
    }

    /// Events of a source were lost here.
    pub(super) fn lose(&mut self, source: Source, stage: LossStage, probe: &str, count: u64) {
        if let Some(stamp) = self.stamps.iter_mut().find(|stamp| stamp.source == source) {
            stamp.lose(count);
        }
        self.say(source, event::HealthLost { stage: stage.into(), probe: probe.to_owned(), count });
    }

    pub(super) fn seconds(&self) -> u64 {
        self.now / SECOND
    }

    /// The id of a transaction by its number.
    pub(super) fn transaction(&self, number: u64) -> Bytes {
        let place = (number + self.recent.len() as u64).checked_sub(self.transactions + 1);
        let known = place.and_then(|place| self.recent.get(place as usize)).cloned();
        known.unwrap_or_else(|| transaction_id(&self.name, number))
    }

    /// One more transaction exists.
    pub(super) fn remember(&mut self) {
        let id = transaction_id(&self.name, self.transactions + 1);
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(id);
        self.transactions += 1;
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Beat(index) => self.beat(index),
            What::Poll(poll) => self.poll(poll),
            What::Transaction => self.new_transactions(),
            What::Announce(peer) => self.announce(peer),
            What::Trickle(peer) => self.trickle(peer),
            What::Gossip(peer) => self.gossip(peer),
            What::Ping(peer) => self.ping(peer),
            What::Pong(peer, nonce) => self.pong(peer, nonce),
            What::Greet(peer, step) => self.greet(peer, step),
            What::Arrive => self.arrive(),
            What::Leave(peer) => self.close(peer, event::EndReason::SocketClosed),
            What::Dial => self.dial(),
            What::Block => self.block_found(),
            What::Fetch(fetch) => self.fetch(fetch),
            What::Ingredient(index) => self.play(index),
            What::Start => self.start(),
        }
    }

    fn beat(&mut self, index: usize) {
        self.at(self.now + SECOND, What::Beat(index));
        let stamp = &self.stamps[index];
        if stamp.alive {
            let (source, beat) = (stamp.source, stamp.beat());
            self.say(source, beat);
        }
    }

    fn play(&mut self, index: usize) {
        let Some(mut play) = self.playing[index].take() else { return };
        if let Some(wait) = play.step(self) {
            self.after(wait, What::Ingredient(index));
            self.playing[index] = Some(play);
        }
    }

    /// The next event, as long as there is one before the end.
    pub(super) fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.out.pop_front() {
                return Some(event);
            }
            let Reverse(entry) = self.agenda.pop()?;
            self.now = entry.time;
            self.happen(entry.what);
        }
    }
}

/// The same on every life of the node.
fn transaction_id(node: &str, number: u64) -> Bytes {
    Bytes::copy_from_slice(&hash(node.len() as u64, number))
}

impl Watch {
    pub(super) fn source(self) -> Source {
        match self {
            Self::Ebpf => Source::Ebpf,
            Self::Rpc => Source::Rpc,
            Self::Proc => Source::Proc,
            Self::P2p => Source::P2p,
            Self::Log => Source::Log,
            Self::Join => Source::Join,
        }
    }
}
