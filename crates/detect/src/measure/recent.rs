//! The last values, with their times.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Up to 128 values with their times, the oldest first; the oldest gives way.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Recent<T> {
    values: VecDeque<(u64, T)>,
}

/// Values kept.
const MOST: usize = 128;

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self { values: VecDeque::new() }
    }
}

impl<T> Recent<T> {
    /// Adds the newest.
    pub fn add(&mut self, time: u64, value: T) {
        if self.values.len() == MOST {
            self.values.pop_front();
        }
        self.values.push_back((time, value));
    }

    /// Forgets what is older.
    pub fn forget(&mut self, before: u64) {
        while self.values.front().is_some_and(|(time, _)| *time < before) {
            self.values.pop_front();
        }
    }

    /// The newest.
    pub fn last(&self) -> Option<&(u64, T)> {
        self.values.back()
    }

    /// The oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &(u64, T)> {
        self.values.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}
