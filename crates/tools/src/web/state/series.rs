//! A number per second, for the last ten minutes.

use std::collections::VecDeque;

/// Seconds that are shown.
pub const LENGTH: u64 = 600;
/// Seconds that are kept: the one that is not over is not shown.
const KEPT: u64 = LENGTH + 1;

const SECOND: u64 = 1_000_000_000;

/// A number per second of event time. What is older than the window is not added.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// The second of the last value, since the epoch.
    last: u64,
    values: VecDeque<u32>,
}

impl Series {
    /// Adds to the second of this time, nanoseconds since the epoch.
    pub fn add(&mut self, time: u64, amount: u64) {
        let second = time / SECOND;
        self.move_to(second);
        let Some(back) = self.last.checked_sub(second) else { return };
        let places = self.values.len();
        if let Some(value) =
            usize::try_from(back).ok().and_then(|back| places.checked_sub(back + 1)).and_then(|at| self.values.get_mut(at))
        {
            *value = value.saturating_add(u32::try_from(amount).unwrap_or(u32::MAX));
        }
    }

    /// Says what something is from the second of this time on, until something else is said.
    pub fn gauge(&mut self, time: u64, value: u64) {
        let second = time / SECOND;
        let before = self.values.back().copied();
        let gap = if self.values.is_empty() { 0 } else { second.saturating_sub(self.last).min(KEPT) };
        self.move_to(second);
        // nobody said anything in between: it was what it was
        for place in self.values.iter_mut().rev().take(usize::try_from(gap).unwrap_or(0)) {
            *place = before.unwrap_or(0);
        }
        if second >= self.last
            && let Some(last) = self.values.back_mut()
        {
            *last = u32::try_from(value).unwrap_or(u32::MAX);
        }
    }

    /// The second of the last value, since the epoch.
    pub fn last(&self) -> u64 {
        self.last
    }

    fn move_to(&mut self, second: u64) {
        if self.values.is_empty() || second >= self.last + KEPT {
            self.values.clear();
            self.values.push_back(0);
            self.last = second;
        }
        while self.last < second {
            self.last += 1;
            if self.values.len() as u64 >= KEPT {
                self.values.pop_front();
            }
            self.values.push_back(0);
        }
        // room for what comes out of order
        let late = self.last - second.min(self.last);
        while late < KEPT && (self.values.len() as u64) <= late {
            self.values.push_front(0);
        }
    }

    /// The values up to the second of this time, oldest first, [`LENGTH`] of them.
    pub fn window(&self, time: u64) -> Vec<u32> {
        let now = time / SECOND;
        let value = |back: u64| {
            let behind = (self.last + back).checked_sub(now)?;
            self.values.len().checked_sub(usize::try_from(behind).ok()? + 1).and_then(|at| self.values.get(at)).copied()
        };
        (0..LENGTH).rev().map(|back| value(back).unwrap_or(0)).collect()
    }

    /// Per second over the last minute before the second of this time, which is not over.
    pub fn rate(&self, time: u64) -> f64 {
        let sum: u64 = self.window(time).iter().rev().skip(1).take(60).map(|value| u64::from(*value)).sum();
        sum as f64 / 60.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tail(series: &Series, second: u64, length: usize) -> Vec<u32> {
        series.window(second * SECOND)[LENGTH as usize - length..].to_owned()
    }

    #[test]
    fn each_second_has_its_number() {
        let mut series = Series::default();
        for (second, amount) in [(100, 1), (100, 2), (103, 5), (101, 7), (99, 4)] {
            series.add(second * SECOND + 5, amount);
        }
        assert_eq!(tail(&series, 104, 7), [0, 4, 3, 7, 0, 5, 0]);
        assert_eq!(tail(&series, 102, 3), [3, 7, 0]);
        series.add(103 * SECOND + LENGTH * SECOND, 9);
        assert_eq!(tail(&series, 103 + LENGTH, 2), [0, 9]);
    }

    #[test]
    fn a_gauge_stays_what_it_was() {
        let mut series = Series::default();
        series.gauge(100 * SECOND, 3);
        series.gauge(104 * SECOND, 5);
        series.gauge(104 * SECOND, 6);
        series.gauge(102 * SECOND, 9);
        assert_eq!(tail(&series, 104, 6), [0, 3, 3, 3, 3, 6]);
    }

    #[test]
    fn the_window_up_to_the_last_second_that_is_over_is_whole() {
        let mut series = Series::default();
        (0..2 * LENGTH).for_each(|second| series.gauge(second * SECOND, 7));
        assert_eq!(series.window((2 * LENGTH - 2) * SECOND), vec![7; LENGTH as usize]);
    }

    #[test]
    fn a_rate_is_of_seconds_that_are_over() {
        let mut series = Series::default();
        (0..90).for_each(|second| series.add(second * SECOND, 3));
        assert_eq!(series.rate(89 * SECOND), 3.0);
        assert_eq!(series.rate((89 + 31) * SECOND), 1.5);
    }

    proptest! {
        #[test]
        fn no_times_make_it_panic_or_grow(times in proptest::collection::vec((any::<u64>(), any::<u64>()), 0..50), now in any::<u64>()) {
            let mut series = Series::default();
            for (time, amount) in times {
                series.add(time, amount);
                prop_assert!(series.values.len() as u64 <= KEPT);
            }
            prop_assert_eq!(series.window(now).len() as u64, LENGTH);
        }
    }
}
