//! What the pages show of now: a plain value made of events. Its time is theirs, so a recording looks as it did live.
//!
//! Facts are taken from their primary witness only, so that nothing is shown twice. Everything is bounded; what does not fit gives way to
//! what is newer, and nodes beyond [`NODES`] are counted as strays.

mod addresses;
mod blocks;
mod findings;
mod health;
mod incidents;
mod peer;
mod pings;
mod series;
mod show;
mod transactions;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use event::primary::Primaries;
use event::{Event, Kind, KindId};

use addresses::Addresses;
use blocks::Blocks;
use findings::Findings;
use health::Health;
use incidents::Incidents;
use peer::{Mix, Peer};
use pings::Pings;
use series::Series;
use transactions::Transactions;

pub use show::{Choice, Unknown};

/// Nodes that are kept apart. A bus that others may write to can name any number of them.
const NODES: usize = 256;
/// Connected peers of a node; Bitcoin Core has 125 unless told otherwise.
const PEERS: usize = 4096;
/// Peers that have gone and are remembered, per node.
const GONE: usize = 250;
/// Events told in words on the first page, per node.
const NOTES: usize = 50;

/// The state of all nodes.
#[derive(Debug, Default)]
pub struct State {
    primaries: Primaries,
    nodes: BTreeMap<String, Node>,
    findings: Findings,
    incidents: Incidents,
    /// The newest event's, nanoseconds since the epoch.
    time: u64,
    strays: u64,
    missed: u64,
}

/// One node.
#[derive(Debug, Default)]
struct Node {
    node_run: Option<u64>,
    /// Time of the first event, nanoseconds since the epoch.
    since: u64,
    events: u64,
    /// What an operator wants to hear of.
    notes: VecDeque<Arc<Event>>,
    peers_inbound: Series,
    peers_outbound: Series,
    peers: HashMap<u64, Peer>,
    gone: VecDeque<Peer>,
    /// Peers that had to give way because there were too many.
    forgotten: u64,
    mix: Mix,
    traffic: Traffic,
    /// What it said of itself last, by kind.
    latest: BTreeMap<KindId, Arc<Event>>,
    transactions: Transactions,
    addresses: Addresses,
    blocks: Blocks,
    pings: Pings,
    health: Health,
}

/// Messages and bytes, seen from the node.
#[derive(Debug, Default)]
struct Traffic {
    messages_in: Series,
    messages_out: Series,
    bytes_in: Series,
    bytes_out: Series,
}

impl State {
    /// Looks at an event; true if it counts, being stated by its primary witness.
    pub fn observe(&mut self, event: &Arc<Event>) -> bool {
        let primary = self.primaries.admit(event);
        let Some(kind) = &event.kind else { return primary };
        self.pass(event.time);
        if !self.nodes.contains_key(&event.node) {
            if self.nodes.len() >= NODES {
                self.strays += 1;
                return primary;
            }
            self.nodes.insert(event.node.clone(), Node { since: event.time, ..Node::default() });
        }
        self.findings.observe(event);
        self.incidents.observe(event);
        if let Some(node) = self.nodes.get_mut(&event.node) {
            node.events += 1;
            node.health.observe(event, kind);
            if primary {
                node.observe(event, kind);
            }
        }
        primary
    }

    /// Looks at an event that is about all nodes, and of none of them.
    pub fn observe_fleet(&mut self, event: &Arc<Event>) -> bool {
        let primary = self.primaries.admit(event);
        self.pass(event.time);
        self.findings.observe(event);
        self.incidents.observe(event);
        primary
    }

    fn pass(&mut self, time: u64) {
        let newest = self.time;
        // a clock that jumped ahead for one event does not empty every window
        self.time = if newest == 0 { time } else { newest.max(time.min(newest.saturating_add(JUMP))) };
    }

    /// The subscription missed so many events.
    pub fn missed(&mut self, count: u64) {
        self.missed += count;
    }

    /// Time of the newest event, nanoseconds since the epoch; 0 before the first.
    pub fn time(&self) -> u64 {
        self.time
    }
}

/// A time further ahead of the newest than this counts as that far ahead, nanoseconds.
const JUMP: u64 = 24 * 3600 * 1_000_000_000;

impl Node {
    fn observe(&mut self, event: &Arc<Event>, kind: &Kind) {
        self.live(event);
        if let Some(net) = kind.net() {
            let inbound = net.direction == event::Direction::Inbound;
            let (messages, bytes) = match inbound {
                true => (&mut self.traffic.messages_in, &mut self.traffic.bytes_in),
                false => (&mut self.traffic.messages_out, &mut self.traffic.bytes_out),
            };
            messages.add(event.time, 1);
            bytes.add(event.time, u64::from(net.size));
            self.mix.add(kind.id(), net.direction, u64::from(net.size), event.time);
        }
        if let Some(id) = kind.peer() {
            self.peer(id, event.time).observe(event, kind);
        }
        if event.time / 1_000_000_000 > self.peers_inbound.last() {
            let inbound = self.peers.values().filter(|peer| peer.is_inbound()).count() as u64;
            self.peers_inbound.gauge(event.time, inbound);
            self.peers_outbound.gauge(event.time, self.peers.len() as u64 - inbound);
        }
        if NOTED.contains(&kind.id()) {
            peer::keep(&mut self.notes, Arc::clone(event), NOTES);
        }
        self.transactions.observe(event.time, kind);
        self.addresses.observe(event.time, kind);
        self.blocks.observe(event.time, kind);
        self.pings.observe(event.time, kind);
        match kind {
            Kind::ConnClosed(closed) => self.close(closed.peer, event.time),
            Kind::ConnEnded(ended) => {
                // it comes after the close, with the reason
                if let Some(peer) = self.gone.iter_mut().rev().find(|peer| peer.id == ended.peer) {
                    peer.end(ended);
                }
            }
            Kind::StatePeers(peers) => self.polled(event.time, peers),
            _ => {}
        }
        if matches!(kind.id().family(), "state" | "health") && !UNSUITED.contains(&kind.id()) {
            self.latest.insert(kind.id(), Arc::clone(event));
        }
    }

    /// Another life of the node: its peers are others.
    fn live(&mut self, event: &Event) {
        let Some(node_run) = event.node_run else { return };
        match self.node_run {
            Some(known) if known == node_run => {}
            // redacted runs have no order; what is late is of no interest either
            Some(known) if known > node_run && known < 1 << 63 => {}
            known => {
                self.node_run = Some(node_run);
                if known.is_some() {
                    self.peers.clear();
                    self.gone.clear();
                    self.latest.clear();
                }
            }
        }
    }

    fn peer(&mut self, id: u64, time: u64) -> &mut Peer {
        if !self.peers.contains_key(&id) {
            // what is said after its end is about one that has gone
            if let Some(at) = self.gone.iter().rposition(|peer| peer.id == id) {
                return &mut self.gone[at];
            }
            if self.peers.len() >= PEERS
                && let Some(oldest) = self.peers.values().min_by_key(|peer| peer.heard).map(|peer| peer.id)
            {
                self.peers.remove(&oldest);
                self.forgotten += 1;
            }
        }
        self.peers.entry(id).or_insert_with(|| Peer::new(id, time))
    }

    fn close(&mut self, id: u64, time: u64) {
        let Some(mut peer) = self.peers.remove(&id) else { return };
        peer.closed = Some(time);
        self.bury(peer);
    }

    fn bury(&mut self, mut peer: Peer) {
        peer.shrink();
        if self.gone.len() >= GONE {
            self.gone.pop_front();
        }
        self.gone.push_back(peer);
    }

    /// The node's own list: whoever is not on it has gone, unless he came a moment ago.
    fn polled(&mut self, time: u64, polled: &event::StatePeers) {
        for info in polled.peers.iter().take(PEERS) {
            self.peer(info.id, time).info = Some(Box::new(info.clone()));
        }
        let listed: std::collections::HashSet<u64> = polled.peers.iter().map(|info| info.id).collect();
        let fresh = |peer: &Peer| peer.since + 2_000_000_000 > time;
        let ids: Vec<u64> =
            self.peers.values().filter(|peer| !listed.contains(&peer.id) && !fresh(peer)).map(|peer| peer.id).collect();
        for id in ids {
            self.close(id, time);
        }
    }
}

/// What is told in words: what does not happen all the time, and should not be overlooked.
const NOTED: [KindId; 10] = [
    KindId::ConnEvicted,
    KindId::ConnMisbehaving,
    KindId::ConnRefused,
    KindId::MempoolReplaced,
    KindId::MempoolRefused,
    KindId::ChainBlockDisconnected,
    KindId::ChainInvalid,
    KindId::HealthLost,
    KindId::HealthDetached,
    KindId::HealthDiverged,
];

/// What is too long to be kept for a page that shows other things, or is shown in another form.
const UNSUITED: [KindId; 6] = [
    KindId::StatePeers,
    KindId::StateAddrmanRaw,
    KindId::StateFetched,
    KindId::HealthBeat,
    KindId::HealthLost,
    KindId::HealthTemplate,
];

#[cfg(test)]
mod tests;
