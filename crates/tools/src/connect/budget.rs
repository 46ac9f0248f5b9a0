//! How much is dialled: so many a second, so many at once, one at a time in a neighbourhood.

use std::collections::HashSet;
use std::time::Duration;

use super::target::{Neighbourhood, Target};

/// Visits begin together, no more often than this, nanoseconds: whoever is dialled is written down before, and the disk takes one sync for all.
const STEP: u64 = 100_000_000;

/// A bucket that fills at the rate, the places for visits under way, and the neighbourhoods in which there is one.
#[derive(Debug)]
pub struct Budget {
    /// Dials per second.
    rate: f64,
    parallel: usize,
    tokens: f64,
    /// When the bucket was last filled, nanoseconds.
    filled: Option<u64>,
    /// When visits last began, nanoseconds.
    begun: Option<u64>,
    busy: HashSet<Neighbourhood>,
}

impl Budget {
    /// Nothing is under way, and one may begin.
    pub fn new(rate: f64, parallel: usize) -> Self {
        Self { rate, parallel, tokens: 1.0, filled: None, begun: None, busy: HashSet::new() }
    }

    /// How many visits may begin now. What was not used is not saved up: a quiet hour is no reason to hurry later.
    pub fn room(&mut self, now: u64) -> usize {
        let most = (self.rate * STEP as f64 / 1e9).max(1.0);
        // a clock that goes back gives nothing
        let passed = self.filled.map_or(0, |filled| now.saturating_sub(filled));
        self.filled = Some(now);
        self.tokens = (self.tokens + passed as f64 / 1e9 * self.rate).min(most);
        if self.step_left() > 0 {
            return 0;
        }
        let places = self.parallel.saturating_sub(self.busy.len());
        // the cast cuts, which is what is wanted
        (self.tokens as usize).min(places)
    }

    /// Whether only time is missing: there is a place.
    pub fn needs_time(&self) -> bool {
        (self.tokens < 1.0 || self.step_left() > 0) && self.busy.len() < self.parallel
    }

    /// How long until visits may begin together again, nanoseconds.
    fn step_left(&self) -> u64 {
        match (self.begun, self.filled) {
            // a clock that went back is no reason to wait
            (Some(begun), Some(now)) if now >= begun => STEP.saturating_sub(now - begun),
            _ => 0,
        }
    }

    /// How long until the next may begin, where only time is missing.
    pub fn wait(&self) -> Duration {
        let tokens = Duration::from_secs_f64(((1.0 - self.tokens) / self.rate).clamp(0.001, 3600.0));
        tokens.max(Duration::from_nanos(self.step_left()))
    }

    /// Whether nobody is visited near there.
    pub fn is_free(&self, target: &Target) -> bool {
        !self.busy.contains(&target.neighbourhood())
    }

    /// A visit begins.
    pub fn begin(&mut self, target: &Target) {
        self.tokens -= 1.0;
        self.begun = self.filled;
        self.busy.insert(target.neighbourhood());
    }

    /// A visit is over.
    pub fn end(&mut self, target: &Target) {
        self.busy.remove(&target.neighbourhood());
    }

    /// How many visits are under way.
    pub fn under_way(&self) -> usize {
        self.busy.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn target(third: u8, last: u8) -> Target {
        Target::of_ip([1, 1, third, last].into(), 8333)
    }

    #[test]
    fn one_a_second_and_no_more_after_a_quiet_hour() {
        let mut budget = Budget::new(1.0, 8);
        assert_eq!(budget.room(0), 1);
        budget.begin(&target(0, 1));
        assert_eq!(budget.room(SECOND / 2), 0);
        assert_eq!(budget.wait(), Duration::from_millis(500));
        assert_eq!(budget.room(SECOND), 1);
        assert_eq!(budget.room(3600 * SECOND), 1);
        // the clock went back
        budget.begin(&target(1, 1));
        assert_eq!(budget.room(SECOND), 0);
        assert_eq!(budget.room(2 * SECOND), 1);
    }

    #[test]
    fn many_begin_together_so_that_the_disk_syncs_once_for_all() {
        let mut budget = Budget::new(1000.0, 500);
        assert_eq!(budget.room(0), 1);
        assert_eq!(budget.room(SECOND), 100);
        budget.begin(&target(0, 1));
        assert_eq!(budget.room(SECOND + STEP / 2), 0);
        assert!(budget.needs_time() && budget.wait() == Duration::from_nanos(STEP / 2));
        assert_eq!(budget.room(SECOND + STEP), 100);
    }

    #[test]
    fn eight_at_once_and_one_per_neighbourhood() {
        let mut budget = Budget::new(1000.0, 8);
        for third in 0..8 {
            assert!(budget.room(u64::from(third) * SECOND) >= 1);
            budget.begin(&target(third, 1));
        }
        assert_eq!((budget.room(100 * SECOND), budget.under_way()), (0, 8));
        assert!(!budget.is_free(&target(3, 200)) && budget.is_free(&target(9, 200)));
        budget.end(&target(3, 1));
        assert_eq!(budget.room(100 * SECOND), 1);
        assert!(budget.is_free(&target(3, 200)));
    }
}
