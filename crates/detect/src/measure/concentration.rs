//! Whether much comes from few.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The largest share of all.
pub fn top_share(counts: impl IntoIterator<Item = u64>) -> f64 {
    let (top, sum) = counts.into_iter().fold((0, 0_u64), |(top, sum), count| (count.max(top), sum.saturating_add(count)));
    if sum == 0 { 0.0 } else { top as f64 / sum as f64 }
}

/// Herfindahl and Hirschman's index: the sum of the squares of all shares. 1 is one alone; one in `n` is what `n` equal ones have.
pub fn hhi(counts: impl IntoIterator<Item = u64> + Clone) -> f64 {
    let sum = counts.clone().into_iter().fold(0.0, |sum, count| sum + count as f64);
    if sum == 0.0 { 0.0 } else { counts.into_iter().map(|count| (count as f64 / sum).powi(2)).sum() }
}

/// The heaviest keys among any number of them: the space-saving sketch (Metwally, Agrawal, El Abbadi 2005).
///
/// A count is never too low, and too high by at most [`Heavy::error`] of its key, which is at most the sum of all counts divided by the
/// capacity. A key with a larger share than one in `capacity` is always there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Heavy<K: Ord> {
    capacity: usize,
    counts: BTreeMap<K, (u64, u64)>,
    total: u64,
}

impl<K: Ord + Clone> Heavy<K> {
    /// With room for so many keys.
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), counts: BTreeMap::new(), total: 0 }
    }

    /// So many of a key. `true` if another key gave way.
    pub fn add(&mut self, key: &K, count: u64) -> bool {
        self.total = self.total.saturating_add(count);
        if let Some((known, _)) = self.counts.get_mut(key) {
            *known = known.saturating_add(count);
            return false;
        }
        let mut error = 0;
        let full = self.counts.len() >= self.capacity;
        if full && let Some(least) = self.counts.iter().min_by_key(|(_, (count, _))| *count).map(|(key, _)| key.clone()) {
            error = self.counts.remove(&least).map_or(0, |(count, _)| count);
        }
        self.counts.insert(key.clone(), (error.saturating_add(count), error));
        full
    }

    /// The count of a key, at most; 0 for one that is not among the heaviest.
    pub fn get(&self, key: &K) -> u64 {
        self.counts.get(key).map_or(0, |(count, _)| *count)
    }

    /// By how much the count of a key may be too high.
    pub fn error(&self, key: &K) -> u64 {
        self.counts.get(key).map_or(0, |(_, error)| *error)
    }

    /// The heaviest, and what of it is certain.
    pub fn top(&self) -> Option<(&K, u64)> {
        self.counts.iter().map(|(key, (count, error))| (key, count - error)).max_by_key(|(_, sure)| *sure)
    }

    /// All counts together.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Everything halves: what is old weighs less.
    pub fn halve(&mut self) {
        self.counts.retain(|_, (count, error)| {
            *count /= 2;
            *error /= 2;
            *count > 0
        });
        self.total /= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shares() {
        assert_eq!(top_share([1, 2, 1]), 0.5);
        assert_eq!(hhi([5]), 1.0);
        assert_eq!(hhi([1, 1, 1, 1]), 0.25);
        assert_eq!((top_share([]), hhi(Vec::<u64>::new())), (0.0, 0.0));
    }

    proptest! {
        #[test]
        fn the_error_is_as_stated(keys in proptest::collection::vec(0_u8..40, 0..400)) {
            let mut heavy = Heavy::new(8);
            let mut exact = BTreeMap::<u8, u64>::new();
            for key in &keys {
                heavy.add(key, 1);
                *exact.entry(*key).or_default() += 1;
            }
            prop_assert_eq!(heavy.total(), keys.len() as u64);
            for (key, count) in exact {
                let got = heavy.get(&key);
                if got > 0 {
                    prop_assert!(count <= got && got - heavy.error(&key) <= count && heavy.error(&key) <= keys.len() as u64 / 8);
                } else {
                    prop_assert!(count <= keys.len() as u64 / 8, "{} of {} are missing", count, keys.len());
                }
            }
        }
    }
}
