//! Which sequences of a run of a source are there: how many are missing, how many are there twice.
//!
//! The contract is that sequences have no gap within a node, a source and a run. An envelope says more: when the node's process began
//! (findings do, beats do not). A frame keeps each envelope as a stream of its own, so that one run may be several streams, whose sequences
//! lie between one another: they are joined here before anything is counted.

use std::collections::BTreeMap;

use event::archive::{Damage, Head, Unpacker};

/// One run of a source: node, number of the source, run.
pub(crate) type Run = (String, i32, u64);

/// Events of one run of a source that stand behind one another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Stretch {
    /// The lowest sequence.
    pub first: u64,
    /// The highest.
    pub last: u64,
    pub events: u64,
    /// Sequences between them that are not there.
    pub missing: u64,
    /// Events that are there twice, or behind later ones.
    pub repeated: u64,
}

impl Stretch {
    fn count(&mut self, other: &Self) {
        self.last = self.last.max(other.last);
        self.events = self.events.saturating_add(other.events);
        self.missing = self.missing.saturating_add(other.missing);
        self.repeated = self.repeated.saturating_add(other.repeated);
    }
}

/// Those of one run of a source. Files may be given in any order, so what is missing is known only at the end.
#[derive(Default)]
pub(crate) struct Stretches(Vec<Stretch>);

impl Stretches {
    pub fn push(&mut self, next: Stretch) {
        match self.0.last_mut() {
            // as nearly always: one needs no more room than another
            Some(stretch) if stretch.last.checked_add(1) == Some(next.first) => stretch.count(&next),
            _ => self.0.push(next),
        }
    }

    /// All of them, with the gaps between them, and what lies where another one was already.
    pub fn sum(mut self) -> Stretch {
        self.0.sort_unstable_by_key(|stretch| (stretch.first, stretch.last));
        let mut stretches = self.0.into_iter();
        let Some(mut sum) = stretches.next() else { return Stretch::default() };
        for stretch in stretches {
            match stretch.first.checked_sub(sum.last.saturating_add(1)) {
                Some(gap) => sum.missing = sum.missing.saturating_add(gap),
                None => {
                    let overlap = (sum.last.min(stretch.last) - stretch.first).saturating_add(1);
                    sum.repeated = sum.repeated.saturating_add(overlap.min(stretch.events));
                }
            }
            sum.count(&stretch);
        }
        sum
    }
}

/// What the head of a frame says of its runs.
pub(crate) struct Told {
    pub stretches: Vec<(Run, Stretch)>,
    /// Whether the events would say the same. Where one is there twice or out of order, it may hide one that is missing, or look like it.
    pub certain: bool,
}

/// What the streams of a run add up to.
#[derive(Default)]
struct Sum {
    streams: u32,
    all: Stretch,
    /// Sequences that are there, each stream for itself.
    there: u64,
}

/// Joins the streams of a frame. The numbers are what somebody wrote there: they may be anything.
pub(crate) fn told(head: &Head) -> Told {
    let mut runs: BTreeMap<Run, Sum> = BTreeMap::new();
    for stream in &head.streams {
        let (first, last) = (stream.first.min(stream.last), stream.first.max(stream.last));
        let sum = runs.entry((stream.node.clone(), stream.source, stream.run)).or_default();
        sum.all.first = if sum.streams == 0 { first } else { sum.all.first.min(first) };
        sum.all.count(&Stretch { first, last, events: stream.events, missing: stream.missing, repeated: stream.repeated });
        sum.there = sum.there.saturating_add((last - first).saturating_add(1).saturating_sub(stream.missing));
        sum.streams += 1;
    }
    let mut certain = true;
    let join = |(run, Sum { streams, mut all, there }): (Run, Sum)| {
        let span = (all.last - all.first).saturating_add(1);
        certain &= all.repeated == 0 && there <= span;
        if streams > 1 {
            // what one stream leaves out, another one has
            all.missing = span.saturating_sub(there);
            all.repeated = all.repeated.saturating_add(there.saturating_sub(span));
        }
        (run, all)
    };
    let stretches = runs.into_iter().map(join).collect();
    Told { stretches, certain }
}

/// What the events of a frame say of its runs.
///
/// # Errors
///
/// The body is not what was written.
pub(crate) fn read(head: &Head, body: &[u8]) -> Result<Vec<(Run, Stretch)>, Damage> {
    let mut decompressor = zstd::bulk::Decompressor::new().expect("there is memory for it");
    let mut unpacker = Unpacker::new(head, body, &mut decompressor)?;
    let mut counting = Counting::new(head);
    let nothing = unpacker.next_event(|envelope| {
        counting.push(envelope.stream, envelope.sequence);
        false
    })?;
    debug_assert!(nothing.is_none(), "none was wanted");
    Ok(counting.stretches())
}

/// Counts the events of a frame one by one.
pub(crate) struct Counting {
    runs: Vec<(Run, Counted)>,
    /// Which of them a stream of the head is of.
    of_stream: Vec<usize>,
}

#[derive(Default)]
struct Counted {
    /// Sequences that follow one another, in the order in which they came.
    ranges: Vec<(u64, u64)>,
    events: u64,
    repeated: u64,
    highest: u64,
}

/// With so many gaps, a run of a frame is kept with all of them, so that another recording can fill them; one with more is a selection of
/// kinds, and is kept as one stretch: or memory would grow with the events.
const GAPS: usize = 64;

impl Counting {
    pub fn new(head: &Head) -> Self {
        let mut runs: Vec<(Run, Counted)> = Vec::new();
        let mut known = BTreeMap::new();
        let of_stream = head.streams.iter().map(|stream| {
            let run = (stream.node.clone(), stream.source, stream.run);
            *known.entry(run).or_insert_with_key(|run| {
                runs.push((run.clone(), Counted::default()));
                runs.len() - 1
            })
        });
        let of_stream = of_stream.collect();
        Self { runs, of_stream }
    }

    /// An event of one of the head's streams.
    pub fn push(&mut self, stream: usize, sequence: u64) {
        let counted = &mut self.runs[self.of_stream[stream]].1;
        counted.repeated += u64::from(counted.events > 0 && sequence <= counted.highest);
        counted.events += 1;
        counted.highest = counted.highest.max(sequence);
        match counted.ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(sequence) => *last = sequence,
            Some((first, last)) if (*first..=*last).contains(&sequence) => {}
            _ => counted.ranges.push((sequence, sequence)),
        }
    }

    pub fn stretches(self) -> Vec<(Run, Stretch)> {
        let of_run = |(run, counted): (Run, Counted)| counted.stretches().into_iter().map(move |stretch| (run.clone(), stretch));
        self.runs.into_iter().flat_map(of_run).collect()
    }
}

impl Counted {
    fn stretches(mut self) -> Vec<Stretch> {
        self.ranges.sort_unstable();
        let mut stretches: Vec<Stretch> = Vec::new();
        for (first, last) in self.ranges {
            match stretches.last_mut() {
                Some(before) if first <= before.last.saturating_add(1) => before.last = before.last.max(last),
                _ => stretches.push(Stretch { first, last, ..Stretch::default() }),
            }
        }
        for stretch in &mut stretches {
            stretch.events = (stretch.last - stretch.first).saturating_add(1);
        }
        let there = stretches.iter().fold(0_u64, |sum, stretch| sum.saturating_add(stretch.events));
        let (Some(highest), Some(lowest)) = (stretches.last().map(|stretch| stretch.last), stretches.first_mut()) else {
            return stretches;
        };
        // what is there twice is told once, wherever it was
        lowest.events += self.events.saturating_sub(there);
        lowest.repeated = self.repeated;
        if stretches.len() <= GAPS {
            return stretches;
        }
        let first = stretches[0].first;
        let missing = (highest - first).saturating_add(1).saturating_sub(there);
        vec![Stretch { first, last: highest, events: self.events, missing, repeated: self.repeated }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::archive::Packer;
    use event::{Event, HealthBeat, Source};

    /// The runs of a frame that has these sequences of one run, some with the node's life and some without, by its head and by its events.
    fn both(sequences: &[(u64, bool)]) -> (Told, Vec<Stretch>) {
        let mut packer = Packer::default();
        for (sequence, with_life) in sequences {
            let node_run = with_life.then_some(1_750_000_000);
            packer.push(&Event {
                run: 1,
                node_run,
                sequence: *sequence,
                ..Event::new("alice", Source::Detect, HealthBeat::default())
            });
        }
        let (head, frame) = packer.finish(&mut zstd::bulk::Compressor::new(1).unwrap()).unwrap();
        let stretches = read(&head, &frame[frame.len() - head.body_length()..]).unwrap();
        (told(&head), stretches.into_iter().map(|(_, stretch)| stretch).collect())
    }

    /// Missing and repeated, by the head where it is certain, and by the events.
    fn counts(sequences: &[(u64, bool)]) -> (Option<(u64, u64)>, (u64, u64)) {
        let (told, read) = both(sequences);
        assert_eq!(told.stretches.len(), 1, "one run");
        let mut all = Stretches::default();
        read.into_iter().for_each(|stretch| all.push(stretch));
        let read = all.sum();
        assert_eq!(read.events, sequences.len() as u64);
        let head = told.stretches[0].1;
        (told.certain.then_some((head.missing, head.repeated)), (read.missing, read.repeated))
    }

    #[test]
    fn streams_of_one_run_are_one() {
        let certain = |sequences: &[(u64, bool)], missing| assert_eq!(counts(sequences), (Some((missing, 0)), (missing, 0)));
        certain(&[(0, false), (1, false), (2, true), (3, false), (4, true), (5, true)], 0);
        certain(&[(0, false), (1, true), (2, true)], 0);
        certain(&[(7, true), (9, false), (10, true)], 1);
        certain(&[(3, false)], 0);
        certain(&[(u64::MAX - 1, false), (u64::MAX, true)], 0);
        certain(&[(0, false), (u64::MAX - 1, true)], u64::MAX - 2);
    }

    #[test]
    fn what_is_there_twice_hides_nothing() {
        let uncertain = |sequences: &[(u64, bool)], missing, repeated| {
            assert_eq!(counts(sequences), (None, (missing, repeated)), "{sequences:?}");
        };
        uncertain(&[(0, false), (0, false), (1, true), (1, true), (2, false), (2, false)], 0, 3);
        uncertain(&[(0, false), (1, true), (2, false), (0, false), (1, true), (2, false), (3, true)], 0, 3);
        uncertain(&[(0, false), (1, true), (1, true), (3, false)], 1, 1);
        // behind a later one
        uncertain(&[(0, false), (2, false), (1, false), (3, false)], 0, 1);
    }

    /// Another recording has what this one lacks; not so where there are too many gaps to remember.
    #[test]
    fn gaps_are_filled_by_others() {
        let of = |sequences: &mut dyn Iterator<Item = u64>| both(&sequences.map(|n| (n, n % 3 == 0)).collect::<Vec<_>>()).1;
        let sum = |parts: [Vec<Stretch>; 2]| {
            let mut all = Stretches::default();
            parts.into_iter().flatten().for_each(|stretch| all.push(stretch));
            let sum = all.sum();
            (sum.missing, sum.repeated)
        };
        let without = |gap: u64| of(&mut (0..100).filter(|n| *n != gap));
        assert_eq!(sum([without(7), without(80)]), (0, 98));
        assert_eq!(sum([without(7), without(7)]), (1, 99));
        let odd = of(&mut (0..1000).filter(|n| n % 2 == 1));
        assert_eq!((odd.len(), odd[0].missing), (1, 499));
    }
}
