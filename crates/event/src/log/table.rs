//! The rows, compiled and found by the first bytes of a message.

use std::sync::OnceLock;

use super::category::Category;
use super::pattern::Pattern;
use super::rows::{self, Row};
use crate::Kind;

/// How many bytes of a message choose the rows that are tried: enough that a line of no row rarely meets one.
const KEY: usize = 4;

/// Slots of the index; several times the rows, so that most keys of no row meet an empty one.
const SLOTS: usize = 1024;

/// A row, ready to be tried.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) row: &'static Row,
    pub(super) category: Category,
    pattern: Pattern,
}

/// All rows.
pub(super) struct Table {
    /// Rows of one key stand together, in the order of the catalogue.
    entries: Vec<Entry>,
    /// By the hash of a key; the next slot where another key has it.
    slots: Box<[Slot; SLOTS]>,
    /// Rows that begin with a gap: a hash.
    gap_first: std::ops::Range<usize>,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    key: u32,
    from: u16,
    to: u16,
}

/// What a line was found to be.
pub(super) enum Found {
    /// Place of the row, and the fact that it states, if any.
    Row(usize, Option<Kind>),
    Nothing,
}

impl Table {
    /// The one table; compiled at its first use.
    pub(super) fn get() -> &'static Self {
        static TABLE: OnceLock<Table> = OnceLock::new();
        TABLE.get_or_init(Self::new)
    }

    fn new() -> Self {
        let mut entries: Vec<Entry> = rows::all()
            .map(|row| Entry {
                row,
                category: Category::from_name(row.category.as_bytes()).unwrap_or(Category::NONE),
                pattern: Pattern::new(row.text),
            })
            .collect();
        // stable: of equal keys the order stays
        entries.sort_by_key(|entry| key(entry.pattern.start()).unwrap_or(0));
        let mut slots = Box::new([Slot::default(); SLOTS]);
        let mut gap_first = 0..0;
        let mut from = 0;
        for entries in entries.chunk_by(|a, b| key(a.pattern.start()) == key(b.pattern.start())) {
            let to = from + entries.len();
            match key(entries[0].pattern.start()) {
                None => gap_first = from..to,
                Some(key) => {
                    let mut at = slot(key);
                    while slots[at].to > 0 {
                        at = (at + 1) % SLOTS;
                    }
                    slots[at] = Slot { key, from: from as u16, to: to as u16 };
                }
            }
            from = to;
        }
        Self { entries, slots, gap_first }
    }

    /// The rows, by place.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Tries the rows that a message may be of. Leading spaces are indentation.
    pub(super) fn find(&self, message: &[u8]) -> Found {
        let indent = message.iter().take_while(|c| **c == b' ').count();
        let message = &message[indent..];
        let Some(key) = key(message) else { return Found::Nothing };
        let mut at = slot(key);
        while self.slots[at].to > 0 {
            let Slot { key: known, from, to } = self.slots[at];
            if known == key {
                if let found @ Found::Row(..) = self.among(from.into()..to.into(), message) {
                    return found;
                }
                break;
            }
            at = (at + 1) % SLOTS;
        }
        // a hash, and something behind it
        if message.len() > 64 && message[64] == b' ' && message[..8].iter().all(u8::is_ascii_hexdigit) {
            return self.among(self.gap_first.clone(), message);
        }
        Found::Nothing
    }

    fn among(&self, range: std::ops::Range<usize>, message: &[u8]) -> Found {
        for (place, entry) in range.clone().zip(&self.entries[range]) {
            let Some(gaps) = entry.pattern.fit(message) else { continue };
            match &entry.row.states {
                rows::States::Nothing => return Found::Row(place, None),
                rows::States::Fact(make) => {
                    if let Some(kind) = make(&gaps) {
                        return Found::Row(place, Some(kind));
                    }
                }
            }
        }
        Found::Nothing
    }
}

fn key(text: &[u8]) -> Option<u32> {
    text.first_chunk::<KEY>().map(|bytes| u32::from_le_bytes(*bytes))
}

fn slot(key: u32) -> usize {
    // the golden ratio spreads neighbouring keys (Knuth)
    (key.wrapping_mul(0x9e37_79b1) >> 22) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compiling is checked where it happens: a text that is not well formed panics.
    #[test]
    fn every_row_can_be_found() {
        let table = Table::get();
        assert_eq!(table.entries.len(), rows::all().count());
        for entry in table.entries() {
            let start = entry.pattern.start();
            assert!(start.is_empty() || key(start).is_some(), "{}: shorter than a key", entry.row.text);
            assert!(!start.starts_with(b" "), "{}: begins with a space", entry.row.text);
            assert!(entry.row.category.is_empty() || entry.category != Category::NONE, "{}: no such category", entry.row.text);
            let (since, until) = entry.row.releases;
            assert!(since <= until, "{}: {since} to {until}", entry.row.text);
        }
    }
}
