//! The state of a reconciliation: pure, one node, event time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use event::{Direction, Event, FetchOutcome, HealthDiverged, HealthReconciled, Kind, PeerInfo, Source, StatePeers, Transport};

use super::seen::{Cell, Count, Seen};
use super::wire::{Counter, MessageType};

/// What is stated: time, node's life, kind.
pub type Fact = (u64, Option<u64>, Kind);

/// Polls that make a border.
pub(super) const POLLS: usize = 3;
/// A counter beyond this is none: no peer has sent so much. Sums over all cells stay numbers.
const MOST: u64 = 1 << 44;
/// Polls whose surroundings have not all been heard of; the oldest gives way.
const PENDING: usize = 8;
/// An answer that took longer says too little of its moment, nanoseconds.
const LONGEST_CALL: u64 = 1_000_000_000;
/// How long a message may wait within the node, as part of the window and in nanoseconds.
const WAIT_SHARE: u64 = 100;
const WAIT: std::ops::RangeInclusive<u64> = 50_000_000..=2_000_000_000;
/// Types with fewer messages are not compared, nor are types of which the probes saw nothing, below so many bytes.
const ENOUGH: u64 = 100;
const ENOUGH_BYTES: i64 = 64 << 10;
/// Beyond this share of the larger of both, types diverge.
const TOLERANCE: i64 = 100;
/// More cells than that of peers long gone are worth looking for.
const CROWD: usize = 4096;
/// Starts of one process that differ by no more are the same start, seconds.
const SAME_START: u64 = 3;

/// Compares what the probes saw of one node with the node's own counters.
#[derive(Debug)]
pub struct Reconciler {
    interval: u64,
    wait: u64,
    seen: Seen,
    /// An answer whose duration follows.
    answer: Option<Poll>,
    /// By time.
    pending: VecDeque<Poll>,
    /// Of the next border.
    measured: Vec<Measured>,
    last: Option<Border>,
    lost: Lost,
    /// Lost when the next border began.
    lost_at_border: Lost,
    node_run: Option<u64>,
    /// The life of the probes' side.
    run: Option<u64>,
}

/// Events known to be lost.
#[derive(Clone, Copy, Debug, Default)]
struct Lost {
    inbound: u64,
    outbound: u64,
    /// Of any kind.
    any: u64,
}

/// An answer of the node.
#[derive(Debug)]
struct Poll {
    start: u64,
    end: u64,
    node_run: Option<u64>,
    peers: BTreeMap<u64, Counters>,
}

#[derive(Debug)]
struct Counters {
    transport: Transport,
    bytes: BTreeMap<Counter, u64>,
}

/// A poll beside what the probes had seen then.
#[derive(Debug)]
struct Measured {
    end: u64,
    node_run: Option<u64>,
    peers: BTreeMap<u64, Transport>,
    cells: BTreeMap<Cell, Reading>,
}

/// Of one cell at one moment, or, as a difference, over a window.
#[derive(Clone, Copy, Debug, Default)]
struct Reading {
    /// Bytes that the node counted.
    node: i64,
    /// Bytes that the probes saw, on the wire.
    seen: i64,
    messages: i64,
    /// Counted but not seen: at the most, as it seems, and at the least.
    unseen: [i64; 3],
}

#[derive(Debug)]
struct Border {
    end: u64,
    lost: Lost,
    peers: BTreeMap<u64, Transport>,
    cells: BTreeMap<Cell, Reading>,
}

/// A counter over a window, all peers together.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    reading: Reading,
    peers: u32,
}

impl Reconciler {
    /// Compares so often.
    pub fn new(interval: Duration) -> Self {
        let interval = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
        Self {
            interval,
            wait: (interval / WAIT_SHARE).clamp(*WAIT.start(), *WAIT.end()),
            seen: Seen::default(),
            answer: None,
            pending: VecDeque::new(),
            measured: Vec::new(),
            last: None,
            lost: Lost::default(),
            lost_at_border: Lost::default(),
            node_run: None,
            run: None,
        }
    }

    /// Looks at an event; all have to be of one node.
    pub fn observe(&mut self, event: &Event, out: &mut impl FnMut(Fact)) {
        match event.source() {
            Source::Ebpf => self.of_probes(event, out),
            Source::Rpc => self.of_node(event),
            _ => {}
        }
    }

    /// So many events did not reach us.
    pub fn missed(&mut self, count: u64) {
        self.lost.any = self.lost.any.saturating_add(count);
    }

    fn of_probes(&mut self, event: &Event, out: &mut impl FnMut(Fact)) {
        if self.run.replace(event.run).is_some_and(|run| run != event.run) {
            self.reset();
        }
        match &event.kind {
            // what happened before, or happens until the next of it, was not seen
            Some(Kind::HealthAttached(_) | Kind::HealthDetached(_)) => self.reset(),
            Some(Kind::HealthLost(lost)) => match lost.probe.as_str() {
                "net:inbound_message" => self.lost.inbound = self.lost.inbound.saturating_add(lost.count),
                "net:outbound_message" => self.lost.outbound = self.lost.outbound.saturating_add(lost.count),
                "" => self.lost.any = self.lost.any.saturating_add(lost.count),
                _ => {}
            },
            Some(Kind::HealthBeat(_)) => self.beat(event.time, out),
            _ => self.seen.observe(event),
        }
    }

    fn of_node(&mut self, event: &Event) {
        match &event.kind {
            Some(Kind::StatePeers(state)) => {
                self.follow(event.node_run);
                self.seen.crowded(CROWD, || state.peers.iter().map(|peer| peer.id).collect());
                let due = self.last.as_ref().is_none_or(|last| event.time >= last.end.saturating_add(self.interval));
                if due && self.measured.len() + self.pending.len() < POLLS {
                    self.answer = Some(Poll::of(event, state));
                }
            }
            Some(Kind::StateFetched(fetched)) if fetched.method == "getpeerinfo" => {
                let answer = self.answer.take().filter(|poll| poll.end == event.time && fetched.outcome() == FetchOutcome::Ok);
                if let Some(mut poll) = answer.filter(|_| fetched.duration <= LONGEST_CALL) {
                    poll.start = poll.end.saturating_sub(fetched.duration);
                    self.pending.push_back(poll);
                    if self.pending.len() > PENDING {
                        self.pending.pop_front();
                    }
                }
            }
            Some(Kind::HealthDetached(_)) => self.reset(),
            _ => {}
        }
    }

    /// The probes have stated everything until now.
    fn beat(&mut self, now: u64, out: &mut impl FnMut(Fact)) {
        while self.pending.front().is_some_and(|poll| poll.end.saturating_add(self.wait) < now) {
            let Some(poll) = self.pending.pop_front() else { break };
            let (start, end, wait) = (poll.start, poll.end, self.wait);
            let seen = self.seen.at(|direction| match direction {
                // counted first, seen later
                Direction::Inbound => [start, end, end.saturating_add(wait)],
                // seen first, counted later
                _ => [start.saturating_sub(wait), end, end],
            });
            let Some(seen) = seen else { continue };
            if self.measured.is_empty() {
                self.lost_at_border = self.lost;
            }
            self.measured.push(poll.measure(&seen, &self.seen));
        }
        if self.measured.len() < POLLS {
            return;
        }
        let node_run = self.measured.last().and_then(|measured| measured.node_run);
        let mut border = Border::of(std::mem::take(&mut self.measured), self.lost_at_border);
        border.carry(self.last.as_ref());
        if let Some(last) = self.last.take() {
            // of now, not of the border: what is stated as past comes too late for whoever puts events in order
            self.compare(&last, &border, |kind| out((now, node_run, kind)));
        }
        self.last = Some(border);
    }

    fn compare(&self, first: &Border, last: &Border, mut out: impl FnMut(Kind)) {
        let window = last.end.saturating_sub(first.end);
        let stayed = |peer: &u64| last.peers.get(peer).is_some_and(|transport| first.peers.get(peer) == Some(transport));
        let peers = last.peers.keys().filter(|peer| stayed(peer)).count() as u32;
        let mut sums = BTreeMap::<Counter, Sum>::new();
        for (cell, reading) in last.cells.iter().filter(|(cell, _)| stayed(&cell.peer)) {
            let before = first.cells.get(cell).copied().unwrap_or_default();
            let sum = sums.entry(cell.counter).or_default();
            let mut change = reading.since(before);
            if cell.counter.direction == Direction::Inbound
                && last.peers.get(&cell.peer) == Some(&Transport::V2)
                && let Some(more) = cell.counter.message_type.long_name()
            {
                change = change.without_long_names(more.cast_signed());
            }
            sum.reading = sum.reading.plus(change);
            sum.peers += 1;
        }
        sums.retain(|_, sum| sum.is_enough());
        let lost = self.lost.since(first.lost);
        for (counter, sum) in &sums {
            if sum.diverges(*counter, lost.of(counter.direction)) {
                let diverged = HealthDiverged {
                    window,
                    message_type: counter.message_type.name().to_owned(),
                    direction: counter.direction.into(),
                    peers: sum.peers,
                    messages: sum.reading.messages.max(0).cast_unsigned(),
                    seen_bytes: sum.reading.seen.max(0).cast_unsigned(),
                    node_bytes: sum.reading.node.max(0).cast_unsigned(),
                    lost: lost.of(counter.direction),
                };
                out(diverged.into());
            }
        }
        let messages = sums.values().map(|sum| sum.reading.messages.max(0).cast_unsigned()).sum();
        let lost = lost.inbound.saturating_add(lost.outbound).saturating_add(lost.any);
        out(HealthReconciled { window, peers, types: sums.len() as u32, messages, lost }.into());
    }

    /// Follows the node's lives: peers of another one are others.
    fn follow(&mut self, node_run: Option<u64>) {
        if let (Some(before), Some(now)) = (self.node_run, node_run)
            && before.abs_diff(now) > SAME_START
        {
            self.reset();
        }
        self.node_run = node_run.or(self.node_run);
    }

    /// Begins anew: between what was before and what comes is a gap.
    fn reset(&mut self) {
        self.seen = Seen::default();
        self.answer = None;
        self.pending.clear();
        self.measured.clear();
        self.last = None;
    }
}

impl Lost {
    fn since(self, before: Self) -> Self {
        Self { inbound: self.inbound - before.inbound, outbound: self.outbound - before.outbound, any: self.any - before.any }
    }

    /// Messages of one direction that may be among them.
    fn of(self, direction: Direction) -> u64 {
        self.any.saturating_add(if direction == Direction::Inbound { self.inbound } else { self.outbound })
    }
}

impl Poll {
    fn of(event: &Event, state: &StatePeers) -> Self {
        let peers = state.peers.iter().filter_map(|peer| Some((peer.id, Counters::of(peer)?))).collect();
        Self { start: event.time, end: event.time, node_run: event.node_run, peers }
    }

    fn measure(self, seen: &[(Cell, [Count; 3])], whole: &Seen) -> Measured {
        let mut cells = BTreeMap::<Cell, Reading>::new();
        let peers: BTreeMap<_, _> =
            self.peers.iter().filter(|(peer, _)| whole.is_whole(**peer)).map(|(id, peer)| (*id, peer.transport)).collect();
        for (cell, counts) in seen {
            let Some(overhead) = peers.get(&cell.peer).and_then(|transport| cell.counter.message_type.overhead(*transport)) else {
                continue;
            };
            let wire = counts.map(|count| (count.bytes + count.messages * overhead).cast_signed());
            let messages = counts[1].messages.cast_signed();
            cells.insert(*cell, Reading { node: 0, seen: wire[1], messages, unseen: wire.map(|bytes| -bytes) });
        }
        for (id, peer) in self.peers.iter().filter(|(id, _)| peers.contains_key(id)) {
            for (counter, bytes) in &peer.bytes {
                let reading = cells.entry(Cell { peer: *id, counter: *counter }).or_default();
                reading.node = bytes.cast_signed();
                reading.unseen = reading.unseen.map(|unseen| unseen + bytes.cast_signed());
            }
        }
        Measured { end: self.end, node_run: self.node_run, peers, cells }
    }
}

impl Counters {
    /// `None` while it is open which transport the peer uses.
    fn of(peer: &PeerInfo) -> Option<Self> {
        MessageType::Other.overhead(peer.transport())?;
        let mut bytes = BTreeMap::new();
        for (direction, counters) in
            [(Direction::Inbound, &peer.bytes_received_per_message), (Direction::Outbound, &peer.bytes_sent_per_message)]
        {
            for counter in counters {
                let counted =
                    bytes.entry(Counter { direction, message_type: MessageType::of_name(&counter.r#type) }).or_insert(0_u64);
                *counted = counted.saturating_add(counter.bytes).min(MOST);
            }
        }
        Some(Self { transport: peer.transport(), bytes })
    }
}

impl Border {
    fn of(polls: Vec<Measured>, lost: Lost) -> Self {
        let mut polls = polls.into_iter();
        let first = polls.next().unwrap_or(Measured { end: 0, node_run: None, peers: BTreeMap::new(), cells: BTreeMap::new() });
        let mut border = Self { end: first.end, lost, peers: first.peers, cells: first.cells };
        for poll in polls {
            border.end = poll.end;
            border.peers.retain(|peer, transport| poll.peers.get(peer) == Some(transport));
            let before = std::mem::replace(&mut border.cells, poll.cells);
            for (cell, reading) in &mut border.cells {
                let before = before.get(cell).copied().unwrap_or_default();
                reading.unseen = std::array::from_fn(|place| match cell.counter.direction {
                    // what waits is counted and not seen: the fewest are nearest to the truth
                    Direction::Inbound => reading.unseen[place].min(before.unseen[place]),
                    // what waits is seen and not counted
                    _ => reading.unseen[place].max(before.unseen[place]),
                });
            }
        }
        let peers: BTreeSet<u64> = border.peers.keys().copied().collect();
        border.cells.retain(|cell, _| peers.contains(&cell.peer));
        border
    }

    /// What was counted and not seen before stays so: less of it now is what was seen and still has to be sent, for however long the peer
    /// takes to read. Nothing was counted before it was seen, but for what happened before anybody looked.
    fn carry(&mut self, last: Option<&Self>) {
        for (cell, reading) in self.cells.iter_mut().filter(|(cell, _)| cell.counter.direction == Direction::Outbound) {
            let stayed = last.filter(|last| last.peers.get(&cell.peer) == self.peers.get(&cell.peer));
            let known = stayed.and_then(|last| last.cells.get(cell)).map_or(0, |before| before.unseen[2].max(0));
            reading.unseen = reading.unseen.map(|unseen| unseen.max(known));
        }
    }
}

impl Reading {
    fn since(self, before: Self) -> Self {
        let [most, best, least] = self.unseen;
        let [most_before, best_before, least_before] = before.unseen;
        Self {
            node: self.node - before.node,
            seen: self.seen - before.seen,
            messages: self.messages - before.messages,
            unseen: [most - least_before, best - best_before, least - most_before],
        }
    }

    /// Without what names of types explain that weigh so much more: nobody sees which of its two names a message came by. Only where
    /// they explain all of it.
    fn without_long_names(self, more: i64) -> Self {
        let [most, best, least] = self.unseen;
        if best <= 0 || best % more != 0 || best / more > self.messages {
            return self;
        }
        Self { node: self.node - best, unseen: [most - best, 0, least - best], ..self }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            node: self.node + other.node,
            seen: self.seen + other.seen,
            messages: self.messages + other.messages,
            unseen: std::array::from_fn(|place| self.unseen[place] + other.unseen[place]),
        }
    }
}

impl Sum {
    fn is_enough(&self) -> bool {
        let Reading { node, messages, .. } = self.reading;
        if messages > 0 { messages >= ENOUGH.cast_signed() } else { node >= ENOUGH_BYTES }
    }

    /// Whether more is missing, or too much, than moments, waiting and known losses explain.
    fn diverges(&self, counter: Counter, lost: u64) -> bool {
        let Reading { node, seen, messages, unseen: [most, best, least] } = self.reading;
        if best.abs().saturating_mul(TOLERANCE) <= node.max(seen) {
            return false;
        }
        if best > 0 {
            // in messages as long as those that were seen
            let explained =
                messages > 0 && best.saturating_mul(messages) <= seen.saturating_mul(i64::try_from(lost).unwrap_or(i64::MAX));
            let unread = counter.message_type == MessageType::Other && counter.direction == Direction::Inbound;
            least > 0 && !explained && !unread
        } else {
            most < 0
        }
    }
}
