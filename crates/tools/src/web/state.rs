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

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use event::primary::Primaries;
use event::{Event, Kind, KindId, Source};

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
    /// Names of nodes that come later in a recording: it was moved back.
    later: BTreeSet<String>,
    findings: Findings,
    incidents: Incidents,
    /// The newest event's, nanoseconds since the epoch.
    time: u64,
    /// Of the last event, if it was far ahead of that.
    ahead: Option<u64>,
    /// What the time was when a clock was set back, and until when events of then may still come.
    left: Option<(u64, u64)>,
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
    /// Before any event of a recording whose nodes are these.
    pub fn moved_back(&mut self) -> Self {
        let mut later = std::mem::take(&mut self.later);
        later.extend(std::mem::take(&mut self.nodes).into_keys());
        Self { later, ..Self::default() }
    }

    /// Looks at an event; true if it counts, being stated by its primary witness.
    pub fn observe(&mut self, event: &Arc<Event>) -> bool {
        let primary = self.primaries.admit(event);
        let Some(kind) = &event.kind else { return primary };
        let is_set_back = |node: &Node| node.health.is_set_back(event);
        if matches!(kind, Kind::HealthBeat(_)) && self.nodes.get(&event.node).is_some_and(is_set_back) {
            self.set_back(event);
        }
        let time = self.go_on(event.time);
        if !self.nodes.contains_key(&event.node) {
            if self.nodes.len() >= NODES {
                self.strays += 1;
                return primary;
            }
            self.nodes.insert(event.node.clone(), Node { since: event.time, ..Node::default() });
        }
        self.findings.observe(event, false);
        self.incidents.observe(event);
        if let Some(node) = self.nodes.get_mut(&event.node) {
            node.events += 1;
            node.health.observe(event, kind);
            if let (Source::Log, Kind::ChainTip(tip)) = (event.source(), kind) {
                node.blocks.named_by_log(tip);
            }
            if primary {
                node.observe(event, kind, time);
            }
        }
        primary
    }

    /// Moves on to an event's time, and gives it; or the newest, where this event is the only one that is so far ahead.
    fn go_on(&mut self, time: u64) -> u64 {
        let before = self.ahead.take();
        let is_alone = before.is_none_or(|before| before.abs_diff(time) > JUMP);
        if self.time > 0 && time > self.time.saturating_add(JUMP) && is_alone {
            self.ahead = Some(time);
            return self.time;
        }
        let is_of_then = |(was, until): (u64, u64)| self.time < until && time.abs_diff(was) <= LATE;
        if time > self.time.saturating_add(PACE) && self.left.is_some_and(is_of_then) {
            return self.time;
        }
        self.time = self.time.max(time);
        time
    }

    /// The clock that a node's observer lives by was set back: what ends in the future would take nothing more until then.
    fn set_back(&mut self, event: &Event) {
        self.nodes.remove(&event.node);
        self.left = Some((self.time, event.time.saturating_add(LATE)));
        let of_others = self.nodes.values().filter_map(|node| node.health.beaten()).max();
        self.time = of_others.map_or(event.time, |time| time.max(event.time));
        self.ahead = None;
    }

    /// Looks at an event that is about all nodes, and of none of them.
    pub fn observe_fleet(&mut self, event: &Arc<Event>) -> bool {
        let primary = self.primaries.admit(event);
        self.go_on(event.time);
        self.findings.observe(event, true);
        self.incidents.observe(event);
        primary
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

/// A time further ahead of the newest than this is believed when the next event says so, too, nanoseconds: it would empty every window.
const JUMP: u64 = series::LENGTH * 1_000_000_000;

/// How late what a source still has to say may come when the clock is set back, nanoseconds.
const LATE: u64 = 10_000_000_000;
/// Events are no further apart while a source beats, nanoseconds.
const PACE: u64 = 2_000_000_000;

impl Node {
    /// `time` is the event's, unless that is out of the question.
    fn observe(&mut self, event: &Arc<Event>, kind: &Kind, time: u64) {
        self.live(event);
        if let Some(net) = kind.net() {
            let inbound = net.direction == event::Direction::Inbound;
            let (messages, bytes) = match inbound {
                true => (&mut self.traffic.messages_in, &mut self.traffic.bytes_in),
                false => (&mut self.traffic.messages_out, &mut self.traffic.bytes_out),
            };
            messages.add(time, 1);
            bytes.add(time, u64::from(net.size));
            self.mix.add(kind.id(), net.direction, u64::from(net.size), time);
        }
        if let Some(id) = kind.peer() {
            self.peer(id, time).observe(event, kind, time);
        }
        if time / 1_000_000_000 > self.peers_inbound.last() {
            let inbound = self.peers.values().filter(|peer| peer.is_inbound()).count() as u64;
            self.peers_inbound.gauge(time, inbound);
            self.peers_outbound.gauge(time, self.peers.len() as u64 - inbound);
        }
        if NOTED.contains(&kind.id()) {
            peer::keep(&mut self.notes, Arc::clone(event), NOTES);
        }
        self.transactions.observe(time, kind);
        self.addresses.observe(time, kind);
        self.blocks.observe(time, kind);
        self.pings.observe(time, kind);
        match kind {
            Kind::ConnClosed(closed) => self.close(closed.peer, time),
            Kind::ConnEnded(ended) => {
                // it comes after the close, with the reason
                if let Some(peer) = self.gone.iter_mut().rev().find(|peer| peer.id == ended.peer) {
                    peer.end(ended);
                }
            }
            Kind::StatePeers(peers) => self.polled(time, peers),
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
                    self.transactions.forget_peers();
                    self.addresses.peers.clear();
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
        let Some(mut peer) = self.peers.remove(&id) else {
            // what was presumed is known now
            self.gone.iter_mut().filter(|peer| peer.id == id).for_each(|peer| peer.presumed = false);
            return;
        };
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
            self.bring_back(info.id);
            self.peer(info.id, time).info = Some(Box::new(info.clone()));
        }
        let listed: std::collections::HashSet<u64> = polled.peers.iter().map(|info| info.id).collect();
        let fresh = |peer: &Peer| peer.since + 2_000_000_000 > time;
        let ids: Vec<u64> =
            self.peers.values().filter(|peer| !listed.contains(&peer.id) && !fresh(peer)).map(|peer| peer.id).collect();
        for id in ids {
            self.close(id, time);
            if let Some(peer) = self.gone.back_mut() {
                peer.presumed = true;
            }
        }
    }

    /// A list is as old as its call was long: who connected meanwhile is not on it, and on the next.
    fn bring_back(&mut self, id: u64) {
        if self.peers.contains_key(&id) || self.peers.len() >= PEERS {
            return;
        }
        let place = self.gone.iter().rposition(|peer| peer.id == id && peer.presumed);
        if let Some(mut peer) = place.and_then(|place| self.gone.remove(place)) {
            (peer.closed, peer.presumed) = (None, false);
            self.peers.insert(id, peer);
        }
    }
}

/// What is told in words: what does not happen all the time, and should not be overlooked.
const NOTED: [KindId; 11] = [
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
    KindId::FindingOpened,
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
