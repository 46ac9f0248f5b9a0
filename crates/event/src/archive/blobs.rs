//! Runs of bytes that an event holds: hashes, addresses, names. Each is kept once per frame.

use hashbrown::HashTable;

use super::seed::Seed;
use super::wire::put;

/// A hash: most runs of bytes are as long as that, and cannot be compressed.
pub(crate) const HASH: usize = 32;

/// What was seen in a frame, in the order in which it was seen first.
#[derive(Default)]
pub(crate) struct Blobs {
    /// Places of `places`, found by content.
    known: HashTable<u32>,
    seed: Seed,
    places: Vec<Place>,
    /// Those that are as long as a hash, one after another.
    pub(crate) hashes: Vec<u8>,
    /// All others.
    pub(crate) others: Vec<u8>,
    /// The length of each, as varints.
    pub(crate) lengths: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Place {
    start: usize,
    length: usize,
}

impl Blobs {
    /// The number of these bytes; the next one if they were not seen before. Where the same is said again, in the same order, it is the
    /// one behind that of the field's bytes before, or the same.
    pub(crate) fn number(&mut self, bytes: &[u8], before: u64) -> u64 {
        let Self { known, seed, places, hashes, others, lengths } = self;
        let content =
            |place: Place| &if place.length == HASH { &*hashes } else { &*others }[place.start..place.start + place.length];
        let is_it = |place: &Place| match bytes.first_chunk::<HASH>() {
            // most are that long, and compared in a few instructions
            Some(hash) if bytes.len() == HASH => {
                place.length == HASH && hashes[place.start..].first_chunk::<HASH>().is_some_and(|known| known == hash)
            }
            _ => place.length == bytes.len() && content(*place) == bytes,
        };
        for likely in [before.wrapping_add(1), before] {
            if places.get(likely as usize).is_some_and(is_it) {
                return likely;
            }
        }
        let hash = seed.of_bytes(bytes);
        if let Some(number) = known.find(hash, |number| is_it(&places[*number as usize])) {
            return u64::from(*number);
        }
        let number = u32::try_from(places.len()).expect("a frame is closed long before");
        known.insert_unique(hash, number, |number| seed.of_bytes(content(places[*number as usize])));
        let heap = if bytes.len() == HASH { hashes } else { others };
        places.push(Place { start: heap.len(), length: bytes.len() });
        heap.extend_from_slice(bytes);
        put(lengths, bytes.len() as u64);
        u64::from(number)
    }

    pub(crate) fn count(&self) -> usize {
        self.places.len()
    }

    /// Bytes that it adds to a frame, before compression.
    pub(crate) fn size(&self) -> usize {
        self.hashes.len() + self.others.len() + self.lengths.len()
    }
}
