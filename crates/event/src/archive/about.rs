//! What numbers are about, and what they were before: those of one message stand together, and are looked up once.

use hashbrown::HashTable;

use super::mix;
use super::seed::Seed;

/// What the numbers of a message are about, and where those that were before are, once they were asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About {
    key: u64,
    start: u32,
    length: u32,
}

impl About {
    pub(crate) const fn new(key: u64) -> Self {
        Self { key, start: 0, length: 0 }
    }

    /// What a message is about that lies in this one, at a node.
    pub(crate) const fn part(&self, node: usize) -> Self {
        Self::new(mix(self.key, node as u64))
    }

    /// Its first field says what it is about.
    pub(crate) const fn name(&mut self, name: u64) {
        *self = Self::new(mix(self.key, name));
    }
}

/// What numbers were before.
#[derive(Default)]
pub(crate) struct Numbers {
    /// By what a message is about: where its numbers are, and how many of its fields have one there.
    places: HashTable<(u64, u32, u32)>,
    numbers: Vec<u64>,
    /// Those for which there is no room there, one by one: of messages that were made to take it.
    others: HashTable<(u64, u64)>,
    is_full: bool,
    seed: Seed,
}

/// Most numbers that stand together, half of which may be of fields that never come: 32 MB. A frame of a lively node has some thousands.
const ROOM: usize = 4 << 20;
/// Fewest of a message.
const LEAST: usize = 4;

impl Numbers {
    /// The number of a field before; 0 at first.
    #[inline]
    pub(crate) fn at(&mut self, about: &mut About, field: usize) -> &mut u64 {
        if field >= about.length as usize && !self.find(about, field) {
            let Self { others, seed, .. } = self;
            let place = mix(about.key, field as u64);
            let entry = others.entry(seed.of_number(place), |(known, _)| *known == place, |(known, _)| seed.of_number(*known));
            return &mut entry.or_insert((place, 0)).into_mut().1;
        }
        &mut self.numbers[about.start as usize + field]
    }

    /// Looks where the numbers of a message are, and makes room for one more; `false` if there is none.
    fn find(&mut self, about: &mut About, field: usize) -> bool {
        let Self { places, numbers, is_full, seed, .. } = self;
        let hash = seed.of_number(about.key);
        let known = places.find_mut(hash, |known| known.0 == about.key);
        let (start, length) = known.as_ref().map_or((0, 0), |known| (known.1, known.2));
        (about.start, about.length) = (start, length);
        if field < length as usize {
            return true;
        }
        let needed = (field + 1).max(LEAST).next_power_of_two();
        *is_full |= numbers.len() + needed > ROOM;
        if *is_full {
            return false;
        }
        (about.start, about.length) = (numbers.len() as u32, needed as u32);
        numbers.extend_from_within(start as usize..(start + length) as usize);
        numbers.resize(about.start as usize + needed, 0);
        let place = (about.key, about.start, about.length);
        match known {
            Some(known) => *known = place,
            None => drop(places.insert_unique(hash, place, |known| seed.of_number(known.0))),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_everything_has_its_number() {
        let mut numbers = Numbers::default();
        for round in 0..3 {
            for key in 0..50 {
                let mut about = About::new(key);
                for field in [7, 0, 3, 4, 100, 1] {
                    let number = numbers.at(&mut about, field);
                    assert_eq!(*number, if round == 0 { 0 } else { round * 1000 + key * 7 + field as u64 });
                    *number = (round + 1) * 1000 + key * 7 + field as u64;
                }
            }
        }
    }

    /// Who makes up fields without end gets slower, not larger.
    #[test]
    fn there_is_an_end_of_the_room() {
        let mut numbers = Numbers::default();
        let at = |n: u64| (About::new(n / 3), (n % 3) as usize * 1_000_000 + n as usize % 7);
        for round in 0..2 {
            for n in 0..200 {
                let (mut about, field) = at(n);
                let number = numbers.at(&mut about, field);
                assert_eq!(*number, round * (n + 1));
                *number = n + 1;
            }
        }
        assert!(numbers.numbers.len() <= ROOM && !numbers.others.is_empty());
    }

    #[test]
    fn a_name_changes_what_it_is_about() {
        let mut numbers = Numbers::default();
        let mut about = About::new(1);
        *numbers.at(&mut about, 2) = 5;
        about.name(9);
        assert_eq!(*numbers.at(&mut about, 2), 0);
        assert_eq!(*numbers.at(&mut About::new(1), 2), 5);
        assert_ne!(About::new(1).part(2).key, About::new(1).part(3).key);
    }
}
