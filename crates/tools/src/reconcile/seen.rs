//! What the probes saw: bytes per peer and counter, now and at moments of the last seconds.

use std::collections::{BTreeSet, HashMap, VecDeque};

use event::{Direction, Event, Kind};

use super::wire::{Counter, MessageType};

/// Cells remembered: peers times the types that each uses. One that finds no place belongs to a peer that is not compared.
const CELLS: usize = 1 << 16;
/// Messages remembered one by one, for moments in the past: some seconds of the busiest node. 16 MiB.
const RECENT: usize = 1 << 19;
/// How long a message is remembered by itself, nanoseconds: longer than an answer may take and a message wait.
const SPAN: u64 = 10_000_000_000;

/// Messages and the bytes of their payloads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Count {
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

/// Messages of one peer under one of the node's counters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Cell {
    pub(super) peer: u64,
    pub(super) counter: Counter,
}

/// Up to three moments at which one wants to know what had been seen.
pub(super) type Moments = [u64; 3];

#[derive(Debug, Default)]
pub(super) struct Seen {
    cells: HashMap<Cell, u32>,
    totals: Vec<(Cell, Count)>,
    recent: VecDeque<Recent>,
    /// Before this nothing is known message by message.
    horizon: u64,
    /// Peers of which something is missing.
    partial: BTreeSet<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Recent {
    time: u64,
    cell: u32,
    bytes: u32,
}

impl Seen {
    /// Counts a message of the probes; anything else is none.
    pub(super) fn observe(&mut self, event: &Event) {
        let Some(kind) = &event.kind else { return };
        let Some(net) = kind.net() else { return };
        let message_type = match kind {
            Kind::NetUndecodable(undecodable) => MessageType::of_name(&undecodable.message_type),
            Kind::NetAlert(_) | Kind::NetReject(_) | Kind::NetFeature(_) => MessageType::Other,
            known => MessageType::Known(known.id()),
        };
        let counter = Counter { direction: net.direction, message_type };
        let Some(cell) = self.cell(Cell { peer: net.peer, counter }) else { return };
        let count = &mut self.totals[cell as usize].1;
        count.messages += 1;
        count.bytes += u64::from(net.size);
        self.recent.push_back(Recent { time: event.time, cell, bytes: net.size });
        let old = event.time.saturating_sub(SPAN);
        while let Some(first) = self.recent.front().copied().filter(|first| first.time < old || self.recent.len() > RECENT) {
            self.horizon = self.horizon.max(first.time);
            self.recent.pop_front();
        }
    }

    /// What had been seen of every cell at each of the moments of its direction; `None` if one of them is too long ago.
    pub(super) fn at(&self, moments: impl Fn(Direction) -> Moments) -> Option<Vec<(Cell, [Count; 3])>> {
        let [inbound, outbound] = [Direction::Inbound, Direction::Outbound].map(&moments);
        if inbound.iter().chain(&outbound).any(|moment| *moment < self.horizon) {
            return None;
        }
        let mut cells: Vec<_> = self.totals.iter().map(|(cell, count)| (*cell, [*count; 3])).collect();
        for recent in &self.recent {
            let (cell, counts) = &mut cells[recent.cell as usize];
            let moments = if cell.counter.direction == Direction::Inbound { inbound } else { outbound };
            for (count, moment) in counts.iter_mut().zip(moments) {
                if recent.time > moment {
                    count.messages -= 1;
                    count.bytes -= u64::from(recent.bytes);
                }
            }
        }
        cells.retain(|(cell, _)| !self.partial.contains(&cell.peer));
        Some(cells)
    }

    /// Forgets everybody but these peers, if there are more than so many cells.
    pub(super) fn crowded(&mut self, cells: usize, peers: impl FnOnce() -> BTreeSet<u64>) {
        if self.totals.len() > cells {
            self.keep(&peers());
        }
    }

    fn keep(&mut self, peers: &BTreeSet<u64>) {
        let mut moved = vec![None; self.totals.len()];
        let mut kept = Vec::new();
        for (place, (cell, count)) in self.totals.drain(..).enumerate() {
            if peers.contains(&cell.peer) {
                moved[place] = u32::try_from(kept.len()).ok();
                kept.push((cell, count));
            }
        }
        self.totals = kept;
        self.cells = (0..).zip(&self.totals).map(|(place, (cell, _))| (*cell, place)).collect();
        self.recent.retain_mut(|recent| match moved[recent.cell as usize] {
            Some(place) => {
                recent.cell = place;
                true
            }
            None => false,
        });
        self.partial.retain(|peer| peers.contains(peer));
    }

    /// Whether nothing of a peer is missing since it was first seen.
    pub(super) fn is_whole(&self, peer: u64) -> bool {
        !self.partial.contains(&peer)
    }

    fn cell(&mut self, cell: Cell) -> Option<u32> {
        if let Some(place) = self.cells.get(&cell) {
            return Some(*place);
        }
        if self.totals.len() >= CELLS {
            if self.partial.len() < CELLS {
                self.partial.insert(cell.peer);
            }
            return None;
        }
        let place = u32::try_from(self.totals.len()).ok()?;
        self.totals.push((cell, Count::default()));
        self.cells.insert(cell, place);
        Some(place)
    }
}
