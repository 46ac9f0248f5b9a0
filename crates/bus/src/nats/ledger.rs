//! What a subscriber should have got, and what it got: completeness proven by `health.beat`, without IO.
//!
//! A beat says how many events of each kind its source published before it. What came between two beats of a run is compared with how
//! much those totals grew. Messages of one source arrive in its order, so nothing that belongs before a beat is still under way behind
//! it:
//!
//! - the first beat of a run only sets where counting begins, unless the run was heard from its first event on, or follows a run of the
//!   same source that was heard: then counting begins with it;
//! - an event counts once, in the order of sequences: one that comes again, or late, was counted or told as missed before;
//! - a lost beat loses nothing, the next one speaks for both;
//! - totals that shrink, or beats out of order, are somebody's mistake or lie: counting begins anew, so that one such message costs the
//!   proof of a beat or two and no more;
//! - kinds that this release does not know, or that nobody asked for, are not counted.

use std::collections::HashMap;

use event::{KindId, KindSet};

/// Most runs that are followed at a time. The one that was silent for longest gives way.
pub const MAX_RUNS: usize = 1024;

type Counts = [u64; KindId::ALL.len()];
const NONE: Counts = [0; KindId::ALL.len()];

/// Follows the runs of all sources that a subscriber hears.
#[derive(Debug)]
pub struct Ledger {
    wanted: KindSet,
    runs: Vec<Run>,
    places: HashMap<Name, usize>,
    /// Which run was looked at last: events come in rows.
    last: usize,
    clock: u64,
}

/// Node, source and run.
type Name = (Box<[u8]>, i32, u64);

#[derive(Debug)]
struct Run {
    name: Name,
    /// Totals at the last beat; absent before the first.
    base: Option<Box<Counts>>,
    /// What came since.
    got: Box<Counts>,
    /// Events before this sequence are not news, until the next beat.
    next: u64,
    beat: Option<u64>,
    touched: u64,
}

impl Ledger {
    /// For a subscriber that wants these kinds.
    pub fn new(wanted: KindSet) -> Self {
        Self { wanted, runs: Vec::new(), places: HashMap::new(), last: 0, clock: 0 }
    }

    /// An event came.
    pub fn event(&mut self, node: &[u8], source: i32, run: u64, sequence: u64, id: KindId) {
        let run = self.run(node, source, run, sequence);
        if sequence >= run.next {
            run.next = sequence.saturating_add(1);
            run.got[id.index()] += 1;
        }
    }

    /// A beat came: how many events are missing between it and the one before. Count the beat itself, as an event, afterwards.
    pub fn beat(
        &mut self,
        node: &[u8],
        source: i32,
        run: u64,
        sequence: u64,
        totals: impl IntoIterator<Item = (KindId, u64)>,
    ) -> u64 {
        let wanted = self.wanted;
        let run = self.run(node, source, run, sequence);
        if run.beat == Some(sequence) {
            return 0;
        }
        if run.beat.replace(sequence).is_some_and(|last| sequence < last) {
            run.base = None;
        }
        // also after an event that claimed a place far ahead
        run.next = sequence;
        let mut now = Box::new(NONE);
        for (id, total) in totals {
            now[id.index()] = total;
        }
        let got = std::mem::replace(&mut run.got, Box::new(NONE));
        let Some(base) = run.base.replace(now.clone()) else { return 0 };
        let missing = |id: KindId| {
            let at = id.index();
            // shrunk: no number to go by
            now[at].checked_sub(base[at]).map_or(0, |grown| grown.saturating_sub(got[at]))
        };
        wanted.iter().map(missing).fold(0, u64::saturating_add)
    }

    fn run(&mut self, node: &[u8], source: i32, run: u64, sequence: u64) -> &mut Run {
        self.clock += 1;
        let is = |name: &Name| name.2 == run && name.1 == source && *name.0 == *node;
        if !self.runs.get(self.last).is_some_and(|run| is(&run.name)) {
            let name = (node.into(), source, run);
            self.last = match self.places.get(&name) {
                Some(place) => *place,
                None => self.begin(name, sequence),
            };
        }
        let run = &mut self.runs[self.last];
        run.touched = self.clock;
        run
    }

    fn begin(&mut self, name: Name, sequence: u64) -> usize {
        let follows = |run: &Run| run.name.0 == name.0 && run.name.1 == name.1 && run.name.2 < name.2 && run.base.is_some();
        let from_the_start = sequence == 0 || self.runs.iter().any(follows);
        let base = from_the_start.then(|| Box::new(NONE));
        let run = Run { name: name.clone(), base, got: Box::new(NONE), next: 0, beat: None, touched: 0 };
        let place = if self.runs.len() < MAX_RUNS {
            self.runs.push(run);
            self.runs.len() - 1
        } else {
            let oldest = (0..MAX_RUNS).min_by_key(|at| self.runs[*at].touched).unwrap_or(0);
            self.places.remove(&self.runs[oldest].name);
            self.runs[oldest] = run;
            oldest
        };
        self.places.insert(name, place);
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use KindId::{HealthBeat, NetInv, NetPing};

    /// One source as a subscriber hears it.
    struct Heard {
        ledger: Ledger,
        run: u64,
    }

    impl Heard {
        fn new() -> Self {
            Self { ledger: Ledger::new([NetPing, NetInv].into_iter().collect()), run: 1 }
        }

        fn pings(&mut self, sequences: impl IntoIterator<Item = u64>) {
            for sequence in sequences {
                self.ledger.event(b"n", 1, self.run, sequence, NetPing);
            }
        }

        fn beat(&mut self, sequence: u64, pings: u64) -> u64 {
            let missed = self.ledger.beat(b"n", 1, self.run, sequence, [(NetPing, pings), (KindId::NetTx, sequence)]);
            self.ledger.event(b"n", 1, self.run, sequence, HealthBeat);
            missed
        }
    }

    #[test]
    fn nothing_is_missed_when_all_came() {
        let mut heard = Heard::new();
        heard.pings(0..5);
        assert_eq!(heard.beat(5, 5), 0);
        heard.pings(6..8);
        assert_eq!(heard.beat(8, 7), 0);
    }

    #[test]
    fn what_did_not_come_is_missed() {
        let mut heard = Heard::new();
        heard.pings(0..5);
        heard.pings(7..9);
        assert_eq!(heard.beat(9, 9), 2);
        assert_eq!(heard.beat(12, 11), 2);
        assert_eq!(heard.beat(13, 11), 0);
    }

    #[test]
    fn the_first_beat_of_a_run_that_was_joined_sets_the_base() {
        let mut heard = Heard::new();
        heard.pings(100..105);
        assert_eq!(heard.beat(105, 90), 0);
        heard.pings(106..108);
        assert_eq!(heard.beat(109, 93), 1);
    }

    #[test]
    fn a_lost_beat_loses_nothing() {
        let mut heard = Heard::new();
        heard.pings(0..2);
        assert_eq!(heard.beat(2, 2), 0);
        heard.pings(3..5);
        heard.pings(6..7);
        assert_eq!(heard.beat(8, 6), 1);
    }

    #[test]
    fn copies_and_latecomers_hide_no_loss() {
        let mut heard = Heard::new();
        heard.pings([0, 1, 1, 0, 1, 3]);
        assert_eq!(heard.beat(4, 4), 1);
        assert_eq!(heard.beat(4, 4), 0);
        heard.pings([2, 5]);
        assert_eq!(heard.beat(7, 6), 1);
    }

    #[test]
    fn the_next_run_of_a_source_is_counted_from_its_start() {
        let mut heard = Heard::new();
        heard.pings(0..2);
        assert_eq!(heard.beat(2, 2), 0);
        heard.run = 2;
        heard.pings(3..5);
        assert_eq!(heard.beat(5, 5), 3);
        heard.run = 1;
        assert_eq!(heard.beat(4, 3), 1);
    }

    #[test]
    fn totals_that_shrink_are_no_loss() {
        let mut heard = Heard::new();
        heard.pings(0..5);
        assert_eq!(heard.beat(5, 5), 0);
        assert_eq!(heard.beat(6, 1), 0);
        assert_eq!(heard.beat(8, 2), 1);
    }

    #[test]
    fn a_lie_is_forgotten_soon() {
        let mut heard = Heard::new();
        heard.pings([0, u64::MAX, 1, 2]);
        assert_eq!(heard.beat(3, 3), 1);
        heard.pings(4..6);
        assert_eq!(heard.beat(6, 5), 0);
        assert_eq!(heard.beat(u64::MAX, 5), 0);
        heard.pings(7..9);
        assert_eq!(heard.beat(9, 8), 0);
        heard.pings(10..12);
        assert_eq!(heard.beat(13, 11), 1);
    }

    #[test]
    fn strangers_cannot_fill_the_memory() {
        let mut ledger = Ledger::new(KindSet::all());
        for run in 0..3 * MAX_RUNS as u64 {
            ledger.event(b"n", 1, run, 5, NetPing);
        }
        assert_eq!((ledger.runs.len(), ledger.places.len()), (MAX_RUNS, MAX_RUNS));
    }
}
