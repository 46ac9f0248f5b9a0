//! A bounded table of strangers that a flood of strangers cannot empty.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Values by key, at most a number of them, with fair ageing.
///
/// Newcomers are on trial: they share half of the room, and the one that was silent for longest gives way. Who is heard of again after
/// `trial` has a place among the known, who share the other half. So a flood of identities ages the flood: to push out somebody who is
/// known one has to be known, which takes the time of the trial for each.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Table<K: Ord, V> {
    values: BTreeMap<K, Value<V>>,
    /// By time of the last sign, then key: on trial, and known.
    trial: BTreeMap<(u64, K), ()>,
    known: BTreeMap<(u64, K), ()>,
    half: usize,
    length: u64,
    evicted: u64,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Value<V> {
    value: V,
    first: u64,
    last: u64,
    known: bool,
}

impl<K: Ord + Clone, V: Default> Table<K, V> {
    /// With room for `most`, and a trial of so many nanoseconds.
    pub fn new(most: usize, trial: u64) -> Self {
        Self {
            values: BTreeMap::new(),
            trial: BTreeMap::new(),
            known: BTreeMap::new(),
            half: (most / 2).max(1),
            length: trial,
            evicted: 0,
        }
    }

    /// With room for another number from now on. Where that is less nobody gives way at once, and the table does not grow.
    pub fn set_room(&mut self, most: usize) {
        self.half = (most / 2).max(1);
    }

    /// The value of a key, which is a sign of it; a new one if it is not there.
    pub fn touch(&mut self, key: &K, now: u64) -> &mut V {
        let (first, last, was_known) = match self.values.get(key) {
            Some(value) => (value.first, value.last, value.known),
            None => (now, now, false),
        };
        let now = now.max(last);
        let index = if was_known { &mut self.known } else { &mut self.trial };
        index.remove(&(last, key.clone()));
        let known = was_known || now >= first.saturating_add(self.length) && first < now;
        let (index, other) = if known { (&mut self.known, &mut self.trial) } else { (&mut self.trial, &mut self.known) };
        // room first: of those heard of at this very moment it might be the one to give way
        if index.len() >= self.half
            && let Some(((time, oldest), ())) = index.pop_first()
        {
            if known && other.len() < self.half {
                // back on trial, for which there is room
                other.insert((time, oldest.clone()), ());
                if let Some(value) = self.values.get_mut(&oldest) {
                    value.known = false;
                }
            } else {
                self.values.remove(&oldest);
                self.evicted += 1;
            }
        }
        index.insert((now, key.clone()), ());
        let value = self.values.entry(key.clone()).or_insert_with(|| Value { value: V::default(), first, last: now, known });
        value.last = now;
        value.known = known;
        &mut value.value
    }

    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.values.get(key).map(|value| &value.value)
    }

    /// The value of a key, to change it without a sign of it.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.values.get_mut(key).map(|value| &mut value.value)
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let value = self.values.remove(key)?;
        let index = if value.known { &mut self.known } else { &mut self.trial };
        index.remove(&(value.last, key.clone()));
        Some(value.value)
    }

    /// Forgets those of whom nothing was heard since.
    pub fn forget(&mut self, before: u64) {
        for index in [&mut self.trial, &mut self.known] {
            while let Some(entry) = index.first_entry().filter(|entry| entry.key().0 < before) {
                let ((_, key), ()) = entry.remove_entry();
                self.values.remove(&key);
            }
        }
    }

    /// All of them, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.values.iter().map(|(key, value)| (key, &value.value))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// How many gave way since they were last taken, or ever.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// How many gave way since this was last asked: tell them to [`Findings::evicted`](crate::Findings::evicted).
    pub fn take_evicted(&mut self) -> u64 {
        std::mem::take(&mut self.evicted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_flood_of_strangers_does_not_push_out_who_is_known() {
        let mut table = Table::<u32, u32>::new(100, 10);
        for now in 0..30 {
            for regular in 0..40 {
                *table.touch(&regular, now) += 1;
            }
        }
        for stranger in 1000..100_000 {
            table.touch(&stranger, 30);
        }
        assert!((0..40).all(|regular| table.get(&regular) == Some(&30)));
        assert_eq!(table.len(), 40 + 50);
        assert_eq!(table.take_evicted(), 99_000 - 50);
        assert_eq!(table.take_evicted(), 0);
    }

    #[test]
    fn of_those_of_one_moment_the_newcomer_has_its_place() {
        let mut table = Table::<u32, u32>::new(10, 5);
        // downwards, so that the newcomer is always the first of them
        (0..1000).rev().for_each(|stranger| *table.touch(&stranger, 7) += 1);
        assert_eq!((table.len(), table.take_evicted()), (5, 995));
        table.forget(8);
        assert!(table.is_empty());
    }

    #[test]
    fn the_silent_are_forgotten() {
        let mut table = Table::<u32, u32>::new(10, 5);
        table.touch(&1, 0);
        table.touch(&1, 9);
        table.touch(&2, 3);
        table.forget(4);
        assert_eq!((table.get(&1), table.get(&2), table.len()), (Some(&0), None, 1));
        assert_eq!(table.remove(&1), Some(0));
        assert!(table.is_empty());
    }

    proptest! {
        /// The two orders and the values never disagree, and the bound holds.
        #[test]
        fn it_stays_in_order(steps in proptest::collection::vec((0_u8..30, 0_u64..4, any::<bool>()), 0..300)) {
            let mut table = Table::<u8, u8>::new(10, 6);
            let mut now = 0;
            for (key, passed, remove) in steps {
                now += passed;
                if remove { table.remove(&key); } else { table.touch(&key, now); }
                prop_assert_eq!(table.trial.len() + table.known.len(), table.values.len());
                prop_assert!(table.trial.len() <= 5 && table.known.len() <= 5);
                for (key, value) in &table.values {
                    let index = if value.known { &table.known } else { &table.trial };
                    prop_assert!(index.contains_key(&(value.last, *key)));
                }
            }
        }
    }
}
