//! Findings of replays that a book has: what is played again is known by them, whatever became of it since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use event::{Event, Kind};
use redb::{TableDefinition, WriteTransaction};

use super::{Book, BookError};

/// By finding: its incident, when something was said of it last, and its standing then.
pub(super) const REPLAYED: TableDefinition<'static, u64, (u64, u64, u32)> = TableDefinition::new("replayed");

/// What was said of a finding, in the order in which it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Stand {
    /// When, nanoseconds since the epoch.
    time: u64,
    /// At one time: opened, then worse, then over.
    standing: u32,
}

impl Stand {
    fn of(event: &Event) -> Self {
        let rank = match &event.kind {
            Some(Kind::FindingOpened(_)) => 0,
            Some(Kind::FindingUpdated(_)) => 1,
            _ => 2,
        };
        let severity = detect::finding::of(event).map_or(0, |finding| finding.severity.clamp(0, 15).unsigned_abs());
        Self { time: event.time, standing: rank << 4 | severity }
    }
}

/// What is known of some findings: their incidents, and what was said last.
#[derive(Default)]
pub(super) struct Replayed(BTreeMap<u64, (u64, Stand)>);

impl Replayed {
    /// Whether this was said before.
    pub(super) fn has(&self, event: &Event) -> bool {
        let known = finding(event).and_then(|id| self.0.get(&id));
        known.is_some_and(|(_, before)| *before >= Stand::of(event))
    }

    /// It belongs to this incident.
    pub(super) fn note(&mut self, event: &Event, number: u64) {
        if let Some(id) = finding(event) {
            self.0.insert(id, (number, Stand::of(event)));
        }
    }

    pub(super) fn keep(&self, transaction: &WriteTransaction) -> Result<(), redb::Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut table = transaction.open_table(REPLAYED)?;
        for (id, (number, Stand { time, standing })) in &self.0 {
            table.insert(id, (*number, *time, *standing))?;
        }
        Ok(())
    }
}

impl Book {
    /// What is known of the findings of replays among these.
    pub(super) fn replayed(&self, events: &[Arc<Event>]) -> Result<Replayed, BookError> {
        let ids: BTreeSet<u64> = events.iter().filter_map(|event| finding(event)).collect();
        if ids.is_empty() {
            return Ok(Replayed::default());
        }
        self.read(|transaction| {
            let table = match transaction.open_table(REPLAYED) {
                // as of a release that did not keep them
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Replayed::default()),
                table => table?,
            };
            let mut known = BTreeMap::new();
            for id in ids {
                if let Some(row) = table.get(id)? {
                    let (number, time, standing) = row.value();
                    known.insert(id, (number, Stand { time, standing }));
                }
            }
            Ok(Replayed(known))
        })
    }
}

/// The finding of a replay that an event tells of, by its number.
fn finding(event: &Event) -> Option<u64> {
    detect::finding::of(event).filter(|_| event.replay).map(detect::incident::id)
}
