//! Which events a finding was computed from.

use std::collections::VecDeque;

use event::{Event, FindingEvidence};
use serde::{Deserialize, Serialize};

/// References to events: the first four since the evidence was last empty, and the latest sixteen.
///
/// Neighbours in the order of one source become one reference.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Evidence {
    first: Vec<Reference>,
    latest: VecDeque<Reference>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Reference {
    source: i32,
    run: u64,
    from: u64,
    to: u64,
    /// Of the first event.
    time: u64,
    /// Of the last event.
    until: u64,
}

const FIRST: usize = 4;
const LATEST: usize = 16;

impl Evidence {
    /// Adds an event.
    pub fn add(&mut self, event: &Event) {
        let Event { source, run, sequence, time, .. } = *event;
        if let Some(last) = self.latest.back_mut().or(self.first.last_mut())
            && (last.source, last.run, last.to.wrapping_add(1)) == (source, run, sequence)
        {
            last.to = sequence;
            last.until = time;
            return;
        }
        let reference = Reference { source, run, from: sequence, to: sequence, time, until: time };
        if self.first.len() < FIRST {
            self.first.push(reference);
            return;
        }
        if self.latest.len() == LATEST {
            self.latest.pop_front();
        }
        self.latest.push_back(reference);
    }

    /// When the latest event was.
    pub fn last(&self) -> Option<u64> {
        self.latest.back().or(self.first.last()).map(|reference| reference.until)
    }

    /// Forgets what ended before.
    pub fn forget(&mut self, before: u64) {
        self.first.retain(|reference| reference.until >= before);
        self.latest.retain(|reference| reference.until >= before);
        // so that the next are the first of a new story
        if self.first.is_empty() && !self.latest.is_empty() {
            self.first = self.latest.drain(..self.latest.len().min(FIRST)).collect();
        }
    }

    /// All of it, the oldest first.
    pub fn all(&self) -> Vec<FindingEvidence> {
        let message = |reference: &Reference| {
            let Reference { source, run, from, to, time, .. } = *reference;
            FindingEvidence { source, run, from_sequence: from, to_sequence: to, time }
        };
        self.first.iter().chain(&self.latest).map(message).collect()
    }
}
