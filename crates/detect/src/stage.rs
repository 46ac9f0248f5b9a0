//! For tests of detectors: events are played to an engine, and what it says is read as text.

use std::fmt::Write as _;
use std::sync::Arc;

use event::primary::{Witnesses, witnesses};
use event::{Event, HealthBeat, Kind, Severity, Source};

use crate::finding::Statement;
use crate::finding::of;
use crate::thresholds::Thresholds;
use crate::time::{SECOND, nanos, seconds};
use crate::{Engine, Entry};

/// When every play begins.
pub(crate) const BEGIN: u64 = 1_772_431_200 * SECOND;

/// A play: one node or several, their events, what is said about them.
pub(crate) struct Stage {
    pub(crate) engine: Engine,
    pub(crate) said: Vec<Statement>,
    pub(crate) node: &'static str,
    /// Nodes whose sources beat all the time, whichever is played at.
    pub(crate) fleet: &'static [&'static str],
    /// Start of the node's process, seconds before the play began.
    pub(crate) uptime: u64,
    sequences: [u64; 16],
    beating: Vec<Source>,
    now: u64,
    /// Every event, as it was played.
    pub(crate) played: Vec<Arc<Event>>,
}

impl Stage {
    /// These detectors, with these thresholds instead of the usual.
    pub(crate) fn new(entries: &'static [Entry], set: &[(&str, f64)]) -> Self {
        let mut thresholds = Thresholds::default();
        set.iter().for_each(|(name, value)| thresholds.set(None, name, *value).unwrap());
        Self {
            engine: Engine::with(entries, thresholds, 7),
            said: Vec::new(),
            node: "alice",
            fleet: &[],
            uptime: 100_000,
            sequences: [0; 16],
            beating: vec![Source::Ebpf, Source::Rpc, Source::Proc, Source::P2p],
            now: BEGIN,
            played: Vec::new(),
        }
    }

    /// An event, so many seconds after the beginning; sources beat until then. Its source is the best witness.
    pub(crate) fn at(&mut self, time: f64, kind: impl Into<Kind>) {
        let kind = kind.into();
        let source = match witnesses(kind.id()) {
            Witnesses::Of(list) => list[0],
            Witnesses::Own if kind.id().family() == "probe" => Source::P2p,
            Witnesses::Own if kind.id() == event::KindId::StateProcess => Source::Proc,
            Witnesses::Own if kind.id().family() == "state" => Source::Rpc,
            Witnesses::Own => Source::Ebpf,
        };
        self.from(source, time, kind);
    }

    /// Likewise, of this source.
    pub(crate) fn from(&mut self, source: Source, time: f64, kind: impl Into<Kind>) {
        let time = BEGIN + nanos(time);
        self.beat_until(time);
        self.play(source, time, kind.into());
    }

    /// Time passes, and sources beat.
    pub(crate) fn until(&mut self, time: f64) {
        self.beat_until(BEGIN + nanos(time));
    }

    /// A source falls silent.
    pub(crate) fn hush(&mut self, source: Source) {
        self.beating.retain(|beating| *beating != source);
    }

    /// Sequences go on from here.
    pub(crate) fn sequences_from(&mut self, sequence: u64) {
        self.sequences = [sequence; 16];
    }

    /// Nobody beats any more.
    pub(crate) fn silence(&mut self) {
        self.beating.clear();
    }

    /// It is heard again.
    pub(crate) fn unhush(&mut self, source: Source) {
        self.beating.push(source);
    }

    fn beat_until(&mut self, time: u64) {
        while self.now + SECOND <= time {
            self.now += SECOND;
            let (played_at, fleet) = (self.node, self.fleet);
            for node in [played_at].into_iter().chain(fleet.iter().copied().filter(|node| *node != played_at)) {
                self.node = node;
                for source in self.beating.clone() {
                    self.play(source, self.now, HealthBeat::default().into());
                }
            }
            self.node = played_at;
        }
    }

    fn play(&mut self, source: Source, time: u64, kind: Kind) {
        let sequence = self.sequences[source as usize];
        self.sequences[source as usize] += 1;
        let event = Event {
            node: self.node.to_owned(),
            node_run: Some(BEGIN / SECOND - self.uptime),
            source: source.into(),
            run: 1,
            sequence,
            time,
            replay: false,
            kind: Some(kind),
        };
        let event = Arc::new(event);
        self.played.push(event.clone());
        self.engine.observe(event, &mut self.said);
    }

    /// What was said since this was last asked, a line each.
    pub(crate) fn told(&mut self) -> String {
        self.engine.finish(&mut self.said);
        let mut text = String::new();
        for statement in self.said.drain(..) {
            line(&mut text, &statement);
        }
        text
    }
}

/// `12.0 opened D39 warn node: many wait`
pub(crate) fn line(text: &mut String, statement: &Statement) {
    let Statement { time, node, kind, .. } = statement;
    let event = Event { kind: Some(kind.clone()), ..Event::default() };
    let finding = of(&event).expect("a finding");
    let entity = finding.entity.as_ref().expect("an entity");
    let who = match entity.peer {
        Some(peer) => format!("peer {peer}"),
        None => format!("{} {}{}", entity.kind().word(), entity.address, entity.name).trim().to_owned(),
    };
    let severity = Severity::try_from(finding.severity).expect("a severity").word();
    let time = seconds(time.saturating_sub(BEGIN));
    let marks: String = [(finding.unknown, " unknown"), (finding.again, " again"), (!finding.part_of.is_empty(), " part")]
        .into_iter()
        .filter_map(|(on, mark)| on.then_some(mark))
        .collect();
    let at = if &**node == "alice" { String::new() } else { format!("{node} ") };
    writeln!(text, "{time:.0} {at}{} {} {severity} {who}{marks}: {}", kind.id().short_name(), finding.detector, finding.summary)
        .expect("into a string");
}
