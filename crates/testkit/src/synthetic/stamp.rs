//! The envelope: every source numbers what it states, and beats each second.

use event::{HealthBeat, Kind, KindId, KindTotal, Source};

/// One life of one source.
#[derive(Debug)]
pub(super) struct Stamp {
    pub(super) source: Source,
    pub(super) run: u64,
    next: u64,
    totals: Vec<u64>,
    /// What the kernel saw happen and what it lost of that, where the source knows.
    lost: Option<u64>,
    fired: u64,
    /// Watches, and can be heard.
    pub(super) alive: bool,
}

impl Stamp {
    pub(super) fn new(source: Source, run: u64) -> Self {
        let lost = (source == Source::Ebpf).then_some(0);
        Self { source, run, next: 0, totals: vec![0; KindId::ALL.len()], lost, fired: 0, alive: true }
    }

    /// Begins another life.
    pub(super) fn restart(&mut self, run: u64) {
        *self = Self::new(self.source, run);
    }

    /// The sequence of the next event.
    pub(super) fn count(&mut self, kind: KindId) -> u64 {
        self.totals[kind.index()] += 1;
        if !matches!(kind.family(), "health") {
            self.fired += 1;
        }
        self.next += 1;
        self.next - 1
    }

    /// Events that never became any.
    pub(super) fn lose(&mut self, count: u64) {
        self.fired += count;
        if let Some(lost) = &mut self.lost {
            *lost += count;
        }
    }

    pub(super) fn beat(&self) -> Kind {
        let total = |id: &KindId| (id.name(), self.totals[id.index()]);
        let totals = KindId::ALL.iter().map(total).filter(|(_, total)| *total > 0);
        HealthBeat {
            last_sequence: self.next.checked_sub(1),
            totals: totals.map(|(kind, total)| KindTotal { kind: kind.to_owned(), total }).collect(),
            lag: 1_000_000,
            fired: self.lost.map(|_| self.fired),
            lost: self.lost,
        }
        .into()
    }
}
