//! What was read of a batch, and what could not be: bounded, whatever the recordings hold.

use std::collections::HashMap;

use event::{Event, Kind, Source};

use super::manifest::{Account, Stream};
use super::rows::Envelope;

/// Faults that are told in words; of the rest only the number.
const FAULTS: usize = 100;
/// Runs of sources that are listed. An archive of a hundred nodes has thousands.
const STREAMS: usize = 10_000;
/// Kinds that are not known and are counted one by one.
const UNKNOWN: usize = 100;

/// Adds up.
#[derive(Default)]
pub(super) struct Counting {
    account: Account,
    /// Places in the list of sources, by run and source.
    known: HashMap<(u64, u64), Vec<usize>>,
}

impl Counting {
    /// An event was read.
    pub fn event(&mut self, envelope: &Envelope<'_>) {
        self.account.events += 1;
        let Some(at) = self.stream(envelope) else {
            self.account.more_sources += 1;
            return;
        };
        let stream = &mut self.account.sources[at];
        match envelope.sequence.checked_sub(stream.to) {
            _ if stream.events == 0 => (stream.from, stream.to) = (envelope.sequence, envelope.sequence),
            Some(0) | None => stream.repeated += 1,
            Some(steps) => {
                stream.missing = stream.missing.saturating_add(steps - 1);
                stream.to = envelope.sequence;
            }
        }
        stream.events += 1;
    }

    fn stream(&mut self, envelope: &Envelope<'_>) -> Option<usize> {
        let Self { account, known } = self;
        let key = (envelope.run, envelope.source);
        let places = known.entry(key).or_default();
        if let Some(at) = places.iter().find(|at| account.sources[**at].node == envelope.node) {
            return Some(*at);
        }
        if account.sources.len() == STREAMS {
            if places.is_empty() {
                known.remove(&key);
            }
            return None;
        }
        let source = i32::try_from(envelope.source).ok().and_then(|number| Source::try_from(number).ok());
        let source = source.map_or_else(|| envelope.source.to_string(), |source| source.word().to_owned());
        let (node, run) = (envelope.node.to_owned(), envelope.run.to_string());
        places.push(account.sources.len());
        account.sources.push(Stream { node, source, run, events: 0, from: 0, to: 0, missing: 0, repeated: 0 });
        Some(account.sources.len() - 1)
    }

    /// A place could not be read.
    pub fn fault(&mut self, text: String) {
        if self.account.faults.len() < FAULTS {
            self.account.faults.push(text);
        } else {
            self.account.more_faults += 1;
        }
    }

    /// An event of a kind that this release does not know.
    pub fn unknown(&mut self, number: u32) {
        let kinds = &mut self.account.unknown_kinds;
        // as many numbers as somebody likes to make up: together, as those without one
        let number = if kinds.len() < UNKNOWN || kinds.contains_key(&number) { number } else { 0 };
        *kinds.entry(number).or_default() += 1;
    }

    /// Bytes that were no event.
    pub fn unreadable(&mut self) {
        self.account.unreadable += 1;
    }

    /// An event that may not leave.
    pub fn held_back(&mut self) {
        self.account.held_back += 1;
    }

    /// A loss that somebody reported.
    pub fn lost(&mut self, event: &Event) {
        if let Some(Kind::HealthLost(lost)) = &event.kind {
            let total = self.account.lost.entry(lost.stage().word().to_owned()).or_default();
            *total = total.saturating_add(lost.count);
        }
    }

    /// Rows were written.
    pub fn written(&mut self, rows: u64, unfit: u64, unknown: u64) {
        self.account.rows += rows;
        self.account.unfit += unfit;
        self.account.unknown_fields += unknown;
    }

    /// So far.
    pub fn account(self) -> Account {
        self.account
    }
}
