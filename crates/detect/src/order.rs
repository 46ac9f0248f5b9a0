//! Events in the order of (time, node, source, run, sequence), whatever order they come in.
//!
//! Sources state what happened up to two seconds late ([`LATENESS`]), so an event waits until the newest of its node is two seconds younger,
//! and the newest of all nodes, too. What comes later than that is refused, and counted. The same events in another order within these
//! bounds come out the same.
//!
//! # Clocks
//!
//! - Each node has its own clock, and what is late is measured by it alone: one that is ahead takes nothing from another. Its events wait for
//!   those of the others, up to a minute. Where clocks differ by more, which sixty-four events of a node in a row must show, the difference
//!   is learned, and taken off for the order; events themselves stay as they are.
//! - Nobody waits for a node that is silent for longer than ten seconds.
//! - One event from the future does not make all others late: until so many agree such events wait.
//! - A clock that was set back shows in a beat that is older than the beat before it. What waits of its node then comes out, and its order
//!   begins anew. Across a restart of the observer the number of the run is made from the same clock and shows nothing; three such beats in
//!   a row do, where they are older by more than a minute.
//!
//! # Bounds
//!
//! By number and by bytes. When it is full the oldest comes out before its time; what then comes late because of that is counted as
//! late.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use event::primary::{LATENESS, SOURCES};
use event::{Event, Kind};
use serde::{Deserialize, Serialize};

use crate::time::{MINUTE, SECOND};
use crate::wire;

/// Events that wait, at most.
const MOST: usize = 65_536;
/// Bytes of them, at most.
const MOST_BYTES: usize = 64 << 20;
/// Further ahead is another time, nanoseconds.
const JUMP: u64 = MINUTE;
/// Events in a row that make it believed.
const BELIEVED: u32 = 64;
/// A node that is silent for longer is not waited for, nanoseconds. Beats come each second.
const PATIENCE: u64 = 10 * SECOND;
/// Beats in a row of another run that make it believed that the clock was set back in between.
const BEATS: u32 = 3;
/// Nodes remembered; the one that was silent for longest gives way.
const NODES: usize = 1024;

/// The events that wait for their turn.
#[derive(Debug, Default)]
pub struct Order {
    waiting: BinaryHeap<Reverse<Waiting>>,
    bytes: usize,
    /// Time of the newest event of all nodes, by the common clock.
    newest: u64,
    /// Events that came so far and were of the common time.
    ordinary: u64,
    lanes: BTreeMap<String, Lane>,
    /// Events that came out before their time, because too many waited.
    pub hurried: u64,
}

/// What is known of one node's order.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Lane {
    /// Time of the last event that came out.
    released: u64,
    newest: u64,
    /// How far its clock is ahead of the common one, nanoseconds.
    ahead: i64,
    /// What time it was, by the common clock, when something last came of it.
    heard: u64,
    /// Events of it in a row that came from another time.
    strange: u32,
    /// How many of all nodes that were of the common time had come before.
    strange_from: u64,
    /// Of each source the newest beat: run, sequence, time.
    beats: [(u64, u64, u64); SOURCES],
    /// Of each source another run that beats by a clock of the past, and how often in a row.
    doubts: [(u64, u32); SOURCES],
}

/// What becomes of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// It waits for its turn.
    InOrder,
    /// Too late: it is not looked at.
    Late,
    /// The node's clock was set back: its order begins anew with this event.
    SetBack,
}

#[derive(Debug)]
struct Waiting {
    /// By the common clock.
    time: u64,
    event: Arc<Event>,
}

impl Waiting {
    fn key(&self) -> (u64, &str, i32, u64, u64) {
        let Event { node, source, run, sequence, .. } = &*self.event;
        (self.time, node, *source, *run, *sequence)
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        self.time.cmp(&other.time).then_with(|| self.key().cmp(&other.key()))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Waiting {}

impl Order {
    /// Takes an event in.
    pub fn push(&mut self, event: Arc<Event>) -> Place {
        let time = event.time;
        if self.lanes.len() >= NODES && !self.lanes.contains_key(&event.node) {
            let oldest = self.lanes.iter().min_by_key(|(name, lane)| (lane.newest, *name)).map(|(name, _)| name.clone());
            oldest.map(|name| self.lanes.remove(&name));
        }
        if !self.lanes.contains_key(&event.node) {
            self.lanes.insert(event.node.clone(), Lane::default());
        }
        let lane = self.lanes.get_mut(&event.node).expect("it was just put there");
        let is_beat = matches!(event.kind, Some(Kind::HealthBeat(_)));
        if is_beat && lane.is_set_back(&event) {
            return self.set_back(event);
        }
        if time < lane.released {
            return Place::Late;
        }
        let mut place = lane.common(time);
        let ahead = self.newest > 0 && place > self.newest.saturating_add(JUMP);
        let behind = place.saturating_add(JUMP) < self.newest;
        if !ahead {
            lane.newest = lane.newest.max(time);
        }
        let mut shifted = false;
        if ahead || behind {
            if lane.strange == 0 {
                lane.strange_from = self.ordinary;
            }
            lane.strange += 1;
            if lane.strange >= BELIEVED {
                lane.strange = 0;
                // where others go on meanwhile it is the node that has another time, and otherwise it is another time
                shifted = self.ordinary > lane.strange_from;
                if shifted {
                    lane.ahead = difference(time, self.newest);
                    place = self.newest;
                } else {
                    self.newest = place;
                }
                lane.newest = time;
            }
        } else {
            lane.strange = 0;
            self.ordinary += 1;
            self.newest = self.newest.max(place);
        }
        lane.heard = self.newest;
        if shifted {
            self.place_anew(&event.node);
        }
        self.bytes += event.memory();
        self.waiting.push(Reverse(Waiting { time: place, event }));
        Place::InOrder
    }

    /// The node's clock was set back: its own future is no future any more, and of the others' nothing is changed.
    fn set_back(&mut self, event: Arc<Event>) -> Place {
        let others = self.lanes.iter().filter(|(name, lane)| **name != event.node && lane.newest > 0);
        let others = others.map(|(_, lane)| lane.common(lane.newest)).max();
        let time = event.time;
        let lane = self.lanes.entry(event.node.clone()).or_default();
        let differs = |others: &u64| others.abs_diff(time) > JUMP;
        lane.ahead = others.filter(differs).map_or(0, |others| difference(time, others));
        lane.newest = time;
        lane.strange = 0;
        let place = lane.common(time);
        self.newest = others.map_or(place, |others| others.max(place));
        lane.heard = self.newest;
        self.bytes += event.memory();
        self.waiting.push(Reverse(Waiting { time: place, event }));
        Place::SetBack
    }

    /// What waits of a node gets its place by what is now known of its clock.
    fn place_anew(&mut self, node: &str) {
        let Some(lane) = self.lanes.get(node) else { return };
        let anew = |Reverse(one): Reverse<Waiting>| match &*one.event.node == node {
            true => Reverse(Waiting { time: lane.common(one.event.time), ..one }),
            false => Reverse(one),
        };
        self.waiting = std::mem::take(&mut self.waiting).into_iter().map(anew).collect();
    }

    /// The next event whose turn it is, and its time by the common clock.
    pub fn next_due(&mut self) -> Option<(u64, Arc<Event>)> {
        let Reverse(first) = self.waiting.peek()?;
        let due = first.time.saturating_add(LATENESS) <= self.newest
            && self.lanes.get(&first.event.node).is_none_or(|lane| {
                let awaited = lane.heard.saturating_add(PATIENCE) > self.newest;
                !awaited || first.event.time.saturating_add(LATENESS) <= lane.newest
            });
        let full = self.waiting.len() > MOST || self.bytes > MOST_BYTES;
        if !due && full {
            self.hurried += 1;
        }
        if due || full { self.next_waiting() } else { None }
    }

    /// The next event, whether or not it is its turn: nothing follows.
    pub fn next_waiting(&mut self) -> Option<(u64, Arc<Event>)> {
        let Reverse(Waiting { time, event }) = self.waiting.pop()?;
        self.bytes = self.bytes.saturating_sub(event.memory());
        if let Some(lane) = self.lanes.get_mut(&event.node) {
            lane.released = lane.released.max(event.time);
        }
        Some((time, event))
    }

    /// A node's time by the common clock.
    pub fn common(&self, node: &str, time: u64) -> u64 {
        self.lanes.get(node).map_or(time, |lane| lane.common(time))
    }

    /// How far each node's clock is ahead of the others', nanoseconds, as far as that had to be learned.
    pub fn clocks(&self) -> impl Iterator<Item = (&str, i64)> {
        self.lanes.iter().filter(|(_, lane)| lane.ahead != 0).map(|(name, lane)| (name.as_str(), lane.ahead))
    }

    /// The node's clock was set back: takes out what waits of it, but for what came after, in order.
    pub fn begin_anew(&mut self, node: &str, beat: &Event) -> Vec<(u64, Arc<Event>)> {
        let all = std::mem::take(&mut self.waiting).into_sorted_vec();
        let (mut out, mut kept) = (Vec::new(), BinaryHeap::new());
        for Reverse(one) in all.into_iter().rev() {
            let new = one.event.time == beat.time && one.event.sequence == beat.sequence && one.event.source == beat.source;
            if one.event.node == node && !new {
                self.bytes = self.bytes.saturating_sub(one.event.memory());
                out.push((one.time, one.event));
            } else {
                kept.push(Reverse(one));
            }
        }
        self.waiting = kept;
        if let Some(lane) = self.lanes.get_mut(node) {
            lane.released = beat.time.saturating_sub(SECOND);
            lane.beats = Default::default();
            lane.doubts = Default::default();
        }
        out
    }

    pub(crate) fn save(&self) -> Saved {
        let mut waiting: Vec<_> = self.waiting.iter().map(|Reverse(one)| one).collect();
        waiting.sort();
        Saved {
            waiting: waiting.into_iter().map(|one| (one.time, SavedEvent((*one.event).clone()))).collect(),
            newest: self.newest,
            ordinary: self.ordinary,
            lanes: self.lanes.clone(),
            hurried: self.hurried,
        }
    }

    pub(crate) fn restore(saved: Saved) -> Self {
        let Saved { waiting, newest, ordinary, lanes, hurried } = saved;
        let mut order = Self { newest, ordinary, lanes, hurried, ..Self::default() };
        for (time, SavedEvent(event)) in waiting {
            order.bytes += event.memory();
            order.waiting.push(Reverse(Waiting { time, event: Arc::new(event) }));
        }
        order
    }
}

impl Lane {
    /// A time of the node by the common clock.
    fn common(&self, time: u64) -> u64 {
        time.saturating_add_signed(self.ahead.saturating_neg())
    }

    fn is_set_back(&mut self, beat: &Event) -> bool {
        let (run, sequence, time) = &mut self.beats[beat.source() as usize];
        let doubt = &mut self.doubts[beat.source() as usize];
        let same = *run == beat.run;
        let past = *time > 0 && beat.time.saturating_add(JUMP) < *time;
        let back = match () {
            () if same => beat.sequence > *sequence && beat.time.saturating_add(LATENESS) < *time,
            () if beat.run > *run => past,
            // the start of a run is of the same clock: it went back, too; or the beat is left over from before
            () if past => {
                let beats = if doubt.0 == beat.run { doubt.1 + 1 } else { 1 };
                *doubt = (beat.run, beats);
                beats >= BEATS
            }
            () => false,
        };
        if same {
            *doubt = (0, 0);
        }
        if !same && beat.run > *run || same && beat.sequence > *sequence {
            (*run, *sequence, *time) = (beat.run, beat.sequence, beat.time);
        }
        back
    }
}

/// How much later the first is.
fn difference(time: u64, than: u64) -> i64 {
    let signed = |nanos: u64| i64::try_from(nanos).unwrap_or(i64::MAX);
    if time >= than { signed(time - than) } else { -signed(than - time) }
}

/// What is kept of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Saved {
    waiting: Vec<(u64, SavedEvent)>,
    newest: u64,
    ordinary: u64,
    lanes: BTreeMap<String, Lane>,
    hurried: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedEvent(#[serde(with = "wire")] Event);
