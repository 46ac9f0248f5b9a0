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
    /// What messages are about, in the order in which it came up.
    places: Vec<Place>,
    /// Places of `places`, found by what they are about.
    known: HashTable<u32>,
    /// Which place was asked for last. What comes again, comes in the same order: its successor is looked at first.
    last: u32,
    numbers: Vec<u64>,
    /// Those for which there is no room there, one by one: of messages that were made to take it.
    others: HashTable<(u64, u64)>,
    is_full: bool,
    seed: Seed,
}

/// Where the numbers of a message are.
struct Place {
    key: u64,
    start: u32,
    /// How many of its fields have one there.
    length: u32,
    /// Which place was asked for after it.
    next: u32,
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
        let at = self.place(about.key);
        let Some(place) = self.places.get_mut(at) else { return false };
        if field >= place.length as usize {
            let needed = (field + 1).max(LEAST).next_power_of_two();
            self.is_full |= self.numbers.len() + needed > ROOM;
            if !self.is_full {
                let start = self.numbers.len();
                self.numbers.extend_from_within(place.start as usize..(place.start + place.length) as usize);
                self.numbers.resize(start + needed, 0);
                (place.start, place.length) = (start as u32, needed as u32);
            }
        }
        (about.start, about.length) = (place.start, place.length);
        field < place.length as usize
    }

    /// The place of what a message is about; none where there is no more room.
    fn place(&mut self, key: u64) -> usize {
        let Self { places, known, last, seed, is_full, .. } = self;
        let is_it = |at: &u32| places.get(*at as usize).is_some_and(|place| place.key == key);
        let likely = places.get(*last as usize).map(|place| place.next).filter(is_it);
        if let Some(likely) = likely {
            *last = likely;
            return likely as usize;
        }
        let hash = seed.of_number(key);
        let at = known.find(hash, is_it).copied().unwrap_or(places.len() as u32);
        if at as usize == places.len() {
            if *is_full {
                return usize::MAX;
            }
            places.push(Place { key, start: 0, length: 0, next: 0 });
            known.insert_unique(hash, at, |at| seed.of_number(places[*at as usize].key));
        }
        places[*last as usize].next = at;
        *last = at;
        at as usize
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
