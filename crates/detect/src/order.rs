//! Events in the order of (time, node, source, run, sequence), whatever order they come in.
//!
//! Sources state what happened up to two seconds late ([`LATENESS`]), so an event waits until the newest is two seconds younger. What comes
//! later than that is refused, and counted. The same events in another order within these bounds come out the same.
//!
//! # Clocks
//!
//! - One event from the future does not make all others late: the clock jumps ahead by more than a minute only when sixty-four events in a
//!   row say so. Until then such events wait.
//! - A clock that was set back shows in a beat that is older than the beat before it. What waits of its node then comes out, and its order
//!   begins anew.
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
/// Nodes remembered; the one that was silent for longest gives way.
const NODES: usize = 1024;

/// The events that wait for their turn.
#[derive(Debug, Default)]
pub struct Order {
    waiting: BinaryHeap<Reverse<Waiting>>,
    bytes: usize,
    /// Time of the newest event.
    newest: u64,
    /// Events in a row that came from another time.
    ahead: u32,
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
    /// Of each source the newest beat: run, sequence, time.
    beats: [(u64, u64, u64); SOURCES],
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
        let mut place = Place::InOrder;
        if let Some(Kind::HealthBeat(_)) = &event.kind
            && lane.is_set_back(&event)
        {
            place = Place::SetBack;
            lane.newest = time;
        }
        if place == Place::InOrder && time < lane.released {
            return Place::Late;
        }
        let other_time = self.newest > 0 && time > self.newest.saturating_add(JUMP);
        if !other_time {
            lane.newest = lane.newest.max(time);
        }
        if place == Place::SetBack {
            // its own future is no future any more; of the others' nothing is changed
            self.newest = self.lanes.values().map(|lane| lane.newest).max().unwrap_or(time);
        } else if other_time {
            self.ahead += 1;
            if self.ahead >= BELIEVED {
                self.newest = time;
                self.ahead = 0;
            }
        } else {
            if time.saturating_add(JUMP) > self.newest {
                self.ahead = 0;
            }
            self.newest = self.newest.max(time);
        }
        self.bytes += event.memory();
        self.waiting.push(Reverse(Waiting { time, event }));
        place
    }

    /// The next event whose turn it is.
    pub fn next_due(&mut self) -> Option<Arc<Event>> {
        let Reverse(first) = self.waiting.peek()?;
        let due = first.time.saturating_add(LATENESS) <= self.newest;
        let full = self.waiting.len() > MOST || self.bytes > MOST_BYTES;
        if !due && full {
            self.hurried += 1;
        }
        if due || full { self.next_waiting() } else { None }
    }

    /// The next event, whether or not it is its turn: nothing follows.
    pub fn next_waiting(&mut self) -> Option<Arc<Event>> {
        let Reverse(Waiting { time, event }) = self.waiting.pop()?;
        self.bytes = self.bytes.saturating_sub(event.memory());
        if let Some(lane) = self.lanes.get_mut(&event.node) {
            lane.released = lane.released.max(time);
        }
        Some(event)
    }

    /// The node's clock was set back: takes out what waits of it, but for what came after, in order.
    pub fn begin_anew(&mut self, node: &str, beat: &Event) -> Vec<Arc<Event>> {
        let all = std::mem::take(&mut self.waiting).into_sorted_vec();
        let (mut out, mut kept) = (Vec::new(), BinaryHeap::new());
        for Reverse(one) in all.into_iter().rev() {
            let new = one.event.time == beat.time && one.event.sequence == beat.sequence && one.event.source == beat.source;
            if one.event.node == node && !new {
                self.bytes = self.bytes.saturating_sub(one.event.memory());
                out.push(one.event);
            } else {
                kept.push(Reverse(one));
            }
        }
        self.waiting = kept;
        if let Some(lane) = self.lanes.get_mut(node) {
            lane.released = beat.time.saturating_sub(SECOND);
            lane.beats = Default::default();
        }
        out
    }

    pub(crate) fn save(&self) -> Saved {
        let mut waiting: Vec<_> = self.waiting.iter().map(|Reverse(one)| one).collect();
        waiting.sort();
        Saved {
            waiting: waiting.into_iter().map(|one| SavedEvent((*one.event).clone())).collect(),
            newest: self.newest,
            ahead: self.ahead,
            lanes: self.lanes.clone(),
            hurried: self.hurried,
        }
    }

    pub(crate) fn restore(saved: Saved) -> Self {
        let Saved { waiting, newest, ahead, lanes, hurried } = saved;
        let mut order = Self { newest, ahead, lanes, hurried, ..Self::default() };
        for SavedEvent(event) in waiting {
            order.bytes += event.memory();
            order.waiting.push(Reverse(Waiting { time: event.time, event: Arc::new(event) }));
        }
        order
    }
}

impl Lane {
    fn is_set_back(&mut self, beat: &Event) -> bool {
        let (run, sequence, time) = &mut self.beats[beat.source() as usize];
        let same = *run == beat.run;
        let back = if same {
            beat.sequence > *sequence && beat.time.saturating_add(LATENESS) < *time
        } else {
            *time > 0 && beat.time.saturating_add(JUMP) < *time && beat.run > *run
        };
        if !same && beat.run > *run || same && beat.sequence > *sequence {
            (*run, *sequence, *time) = (beat.run, beat.sequence, beat.time);
        }
        back
    }
}

/// What is kept of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Saved {
    waiting: Vec<SavedEvent>,
    newest: u64,
    ahead: u32,
    lanes: BTreeMap<String, Lane>,
    hurried: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedEvent(#[serde(with = "wire")] Event);
