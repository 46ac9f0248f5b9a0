//! How often something happened lately.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

const BUCKETS: usize = 30;

/// A count over the last `window`, in thirty buckets: what is older than the window is gone, up to a thirtieth of the window late.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SlidingCount {
    /// Nanoseconds that a bucket stands for.
    width: NonZeroU64,
    /// Number of the newest bucket since the epoch.
    newest: u64,
    buckets: [u64; BUCKETS],
}

impl SlidingCount {
    /// A count over so many nanoseconds.
    pub fn new(window: u64) -> Self {
        Self { width: NonZeroU64::new(window / BUCKETS as u64).unwrap_or(NonZeroU64::MIN), newest: 0, buckets: [0; BUCKETS] }
    }

    /// So many at this time. What is older than the window does not count.
    pub fn add(&mut self, time: u64, count: u64) {
        self.advance(time);
        let bucket = time / self.width;
        if bucket.saturating_add(BUCKETS as u64) > self.newest {
            let place = &mut self.buckets[(bucket % BUCKETS as u64) as usize];
            *place = place.saturating_add(count);
        }
    }

    /// How many in the window that ends now.
    pub fn get(&mut self, now: u64) -> u64 {
        self.advance(now);
        self.buckets.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    fn advance(&mut self, time: u64) {
        let bucket = time / self.width;
        if bucket <= self.newest {
            return;
        }
        if bucket - self.newest >= BUCKETS as u64 {
            self.buckets = [0; BUCKETS];
        } else {
            for gone in self.newest + 1..=bucket {
                self.buckets[(gone % BUCKETS as u64) as usize] = 0;
            }
        }
        self.newest = bucket;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_older_than_the_window_is_gone() {
        let mut count = SlidingCount::new(300);
        count.add(1000, 3);
        count.add(1100, 4);
        assert_eq!(count.get(1299), 7);
        assert_eq!(count.get(1300), 4);
        assert_eq!(count.get(1400), 0);
        // what came late counts where it belongs
        count.add(1200, 5);
        assert_eq!((count.get(1400), count.get(1499), count.get(1500)), (5, 5, 0));
        // and not at all when it is older than the window
        count.add(1000, 9);
        assert_eq!(count.get(1500), 0);
    }

    proptest! {
        /// Between the exact count over the window and that over the window less one bucket.
        #[test]
        fn it_is_as_good_as_its_buckets(mut times in proptest::collection::vec(0_u64..10_000, 0..200)) {
            times.sort_unstable();
            let mut count = SlidingCount::new(3000);
            times.iter().for_each(|time| count.add(*time, 1));
            let now = times.last().copied().unwrap_or_default();
            let within = |length: u64| times.iter().filter(|time| **time + length > now).count() as u64;
            let got = count.get(now);
            prop_assert!(within(2900) <= got && got <= within(3000), "{} <= {got} <= {}", within(2900), within(3000));
        }
    }
}
