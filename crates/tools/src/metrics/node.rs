//! What is kept per node: its cells, who speaks for it, and what the next event is compared with.

use event::primary::SOURCES;
use event::{Direction, Event, HealthBeat, Kind, KindId, Source};

use super::addrman::Dump;
use super::blocks::Blocks;
use super::cells::Cells;
use super::count::finding::{self, Findings};
use super::count::incident::{self, Incidents};
use super::label::Fact;
use super::table::{self, ROWS};

/// A source that has not beaten for longer is gone, nanoseconds of event time.
const SILENCE: u64 = 60_000_000_000;

/// … but for what archives and ships: that speaks once a round, and a round may take its time.
const TOOL_SILENCE: u64 = 3_600_000_000_000;

/// Who has been silent for longer is expected back no more, nanoseconds: an alert that is never over gets ignored.
const GIVEN_UP: u64 = 86_400_000_000_000;

/// For so long detectors that began anew may leave findings unsaid before those are taken for lost, nanoseconds: twice `finding.remind`.
const UNSAID: u64 = 3_600_000_000_000;

/// A run that was first heard of so long after it began was not heard from its beginning, nanoseconds.
const BEGINNING: u64 = 120_000_000_000;

/// … and others must have beaten so often since: a clock that jumps makes nobody silent.
const BEATS: u32 = 30;

/// A node.
#[derive(Debug)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// What was counted.
    pub cells: Cells,
    /// Autonomous systems by place, for the label `asn`.
    pub systems: Vec<u32>,
    /// What it says that it is.
    pub about: About,
    /// Version number, 310000 for 31.0. Absent until the node says.
    pub version: Option<u32>,
    /// Compact blocks under way.
    pub blocks: Blocks,
    /// The last ping of each peer.
    pub pings: Pings,
    /// Per peer, in the order of ids: addresses processed and thrown away. Absent before the first look.
    pub peers: Option<Vec<(u64, u64, u64)>>,
    /// Orphans at the last look, by the beginning of their wtxid, ascending. Absent before the first.
    pub orphans: Option<Vec<u64>>,
    /// What detectors hold to be the case.
    pub findings: Findings,
    /// What became of that.
    pub incidents: Incidents,
    /// The last dump of the address manager.
    pub addrman: Option<Box<Dump>>,
    /// What the joins said last, with the run that they belong to.
    pub joined: (u64, [[u64; 5]; 3]),
    /// Lines of debug.log by category, matched and unmatched, as the parser said last, with the run that they belong to.
    pub log_lines: (u64, Vec<[u64; 2]>),
    /// When the longest queue of late was proven, nanoseconds, and how long it was.
    pub backlog: (u64, f64),
    /// The compact block that is being looked at, and since when.
    pub matching: Option<([u8; 32], u64)>,
    /// This life of the node's process, and the one before.
    runs: [Option<u64>; 2],
    lives: [Life; SOURCES],
    /// Who stated a kind last, by number of the source.
    speakers: [u8; KindId::ALL.len()],
    /// When something was heard, in ticks of [`super::fleet::Fleet`]; absent during a replay.
    pub(super) heard: Option<u32>,
}

/// What a node says that it is. Empty where it has not said.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct About {
    /// `31.0.0`
    pub version: String,
    /// `main`
    pub chain: String,
    /// `x86_64`
    pub architecture: String,
}

impl About {
    /// The word of a label.
    pub fn word(&self, fact: Fact) -> &str {
        match fact {
            Fact::Version => &self.version,
            Fact::Chain => &self.chain,
            Fact::Architecture => &self.architecture,
        }
    }
}

/// What is known of a source.
#[derive(Clone, Copy, Debug, Default)]
struct Life {
    heard: bool,
    /// Absent until it said, or stated a fact.
    attached: Option<bool>,
    gone: bool,
    /// Time of the last beat; 0 before the first.
    beat: u64,
    /// Beats of others since.
    others: u32,
    /// Time of the last fact; 0 before the first.
    fact: u64,
    /// Its run, and when that was first heard of.
    run: (u64, u64),
}

impl Node {
    /// A node of which nothing is known but its name.
    pub fn new(name: String) -> Self {
        Self {
            name,
            cells: Cells::new(&ROWS),
            systems: vec![],
            about: About::default(),
            version: None,
            blocks: Blocks::default(),
            pings: Pings::default(),
            peers: None,
            orphans: None,
            findings: Findings::default(),
            incidents: Incidents::default(),
            addrman: None,
            joined: Default::default(),
            log_lines: (0, vec![]),
            backlog: (0, 0.0),
            matching: None,
            runs: [None; 2],
            lives: [Life::default(); SOURCES],
            speakers: [0; KindId::ALL.len()],
            heard: None,
        }
    }

    /// Learns from an event who lives. Comes before it is counted.
    #[inline]
    pub fn live(&mut self, event: &Event, kind: &Kind) {
        if event.node_run.is_some() && event.node_run != self.runs[0] {
            self.run(event.node_run);
        }
        let source = event.source();
        let life = &mut self.lives[source as usize];
        life.heard = true;
        if event.run > life.run.0 {
            life.run = (event.run, event.time);
        }
        match kind {
            Kind::HealthBeat(beat) => self.beat(source, event.time, beat),
            Kind::HealthAttached(_) => self.up(source, true),
            Kind::HealthDetached(_) => {
                self.lives[source as usize].attached = Some(false);
                self.leave(source);
            }
            // a source that is told to be lost, compared or joined need not watch anything
            _ if kind.id().family() == "health" => {}
            _ => {
                life.fact = event.time;
                if life.attached.is_none() {
                    self.up(source, true);
                }
            }
        }
    }

    /// What is counted now is what this source says.
    #[inline]
    pub fn believe(&mut self, source: Source, kind: KindId) {
        self.speakers[kind.index()] = source as u8;
    }

    /// Another life of the node's process began, unless this is the rest of the one before.
    fn run(&mut self, run: Option<u64>) {
        // whoever reckons the start from an uptime is off by a second now and then
        let same = |known: Option<u64>| known.zip(run).is_some_and(|(known, run)| known.abs_diff(run) <= 2);
        if self.runs.into_iter().any(same) {
            return;
        }
        if self.runs[0].is_some() {
            table::NODE_RESTARTS.add(&mut self.cells, (), 1);
            // what the observer says of itself does not depend on the node's life
            self.forget(|id| id.family() != "health");
            self.systems.clear();
            self.about = About::default();
            self.version = None;
            // ids of peers begin anew
            self.pings = Pings::default();
            self.peers = None;
            self.orphans = None;
            self.backlog = (0, 0.0);
        }
        self.runs = [run, self.runs[0]];
        if let Some(run) = run {
            table::NODE_START.set(&mut self.cells, (), run as f64);
        }
    }

    fn beat(&mut self, source: Source, time: u64, beat: &HealthBeat) {
        let before = self.lives[source as usize].beat;
        let (mut silent, mut given_up) = ([false; SOURCES], [false; SOURCES]);
        for (at, life) in self.lives.iter_mut().enumerate() {
            if at == source as usize {
                (life.beat, life.others) = (time, 0);
                continue;
            }
            if time < before {
                // the clock was set back: nobody has beaten in the future
                life.beat = life.beat.min(time);
            }
            life.others = life.others.saturating_add(1);
            let missed = if life.beat > 0 && life.others >= BEATS { time.saturating_sub(life.beat) } else { 0 };
            let patience = if at == Source::Tool as usize { TOOL_SILENCE } else { SILENCE };
            silent[at] = !life.gone && missed > patience;
            given_up[at] = life.gone && missed > GIVEN_UP;
        }
        table::SOURCE_BEAT.set(&mut self.cells, (source,), seconds(time));
        table::SOURCE_LAG.set(&mut self.cells, (source,), beat.lag as f64 / 1e9);
        // a tool has no node to attach to: while it beats, it watches
        let is_tool = matches!(source, Source::Detect | Source::Connect | Source::Tool);
        let watches = is_tool || self.lives[source as usize].attached.unwrap_or_else(|| is_attached(beat));
        self.up(source, watches);
        if source == Source::Detect {
            self.doubt_findings(time);
        }
        for (number, (is_silent, is_given_up)) in silent.into_iter().zip(given_up).enumerate() {
            let source = Source::try_from(number as i32).unwrap_or_default();
            if is_silent {
                self.leave(source);
            }
            if is_given_up {
                self.give_up(source);
            }
        }
    }

    /// Whether a run of a source was heard from its beginning: then its totals are what happened since one listens.
    pub fn is_whole(&self, source: Source, run: u64) -> bool {
        let (known, since) = self.lives[source as usize].run;
        run != known || since.saturating_sub(run) <= BEGINNING
    }

    /// Detectors that were killed say of no finding that it is over. Those that keep a state tell of theirs again before long.
    fn doubt_findings(&mut self, time: u64) {
        let (run, since) = self.lives[Source::Detect as usize].run;
        if time > since.saturating_add(UNSAID) {
            finding::only_of(self, run);
        }
    }

    fn up(&mut self, source: Source, attached: bool) {
        let life = &mut self.lives[source as usize];
        life.attached = Some(attached);
        life.gone = false;
        table::SOURCE_UP.set(&mut self.cells, (source,), f64::from(u8::from(attached)));
    }

    /// A source watches no more: what it said last is not true for long.
    fn leave(&mut self, source: Source) {
        let life = &mut self.lives[source as usize];
        life.gone = true;
        // that it has no node it said itself; that it is silent nobody says
        let said = life.attached == Some(false);
        table::SOURCE_UP.set_or_forget(&mut self.cells, (source,), said.then_some(0.0));
        for gauge in [table::SOURCE_LAG, table::SOURCE_ATTACHED, table::SOURCE_MISSING] {
            gauge.set_or_forget(&mut self.cells, (source,), None);
        }
        match source {
            Source::Detect => self.forget_findings(),
            Source::Tool => self.forget_incidents(),
            _ => {}
        }
        let speakers = self.speakers;
        self.forget(|kind| speakers[kind.index()] == source as u8);
    }

    /// Nothing was heard of the node for long: nobody watches it.
    pub fn silent(&mut self) {
        for number in 1..SOURCES {
            let life = self.lives[number];
            if life.heard && !life.gone {
                self.leave(Source::try_from(number as i32).unwrap_or_default());
            }
        }
        self.forget_findings();
        self.forget(|_| true);
        table::NODE_START.set_or_forget(&mut self.cells, (), None);
    }

    /// Nothing was heard for so long that nobody expects it: the node, and everybody who watched it, was taken out of service.
    pub fn given_up(&mut self) {
        for number in 0..SOURCES {
            self.give_up(Source::try_from(number as i32).unwrap_or_default());
        }
    }

    /// A source is not expected back. Should it come, it begins anew; its counters have stayed.
    fn give_up(&mut self, source: Source) {
        self.lives[source as usize] = Life { heard: self.lives[source as usize].heard, ..Life::default() };
        for gauge in [table::SOURCE_UP, table::SOURCE_BEAT, table::SOURCE_EVENT] {
            gauge.set_or_forget(&mut self.cells, (source,), None);
        }
    }

    /// Nobody says any more whether they last.
    fn forget_findings(&mut self) {
        self.findings.forget();
        table::FINDINGS.fill(&mut self.cells, f64::NAN);
    }

    /// Nobody says any more what becomes of them, and of the messages about them.
    fn forget_incidents(&mut self) {
        self.incidents = Incidents::default();
        incident::forget(&mut self.cells);
    }

    /// The node did not answer for this kind: what it answered before is old.
    pub fn forget_kind(&mut self, kind: KindId) {
        self.forget(|id| id == kind);
    }

    /// Takes away the values that are made of these kinds. What is known of the sources themselves stays, and so does what was found, and what
    /// came of it: who says that says itself what becomes of it when the node is another.
    fn forget(&mut self, of: impl Fn(KindId) -> bool) {
        for (row, offset) in ROWS.iter().zip(table::OFFSETS) {
            let of_source = |id: &KindId| matches!(id, KindId::HealthBeat | KindId::HealthAttached | KindId::HealthDetached);
            let stays = |id: &KindId| of_source(id) || matches!(id.family(), "finding" | "incident");
            if row.shape.vanishes()
                && row.from.len() < KindId::ALL.len()
                && row.from.iter().filter(|id| !stays(id)).any(|id| of(*id))
            {
                self.cells.forget(offset, row);
            }
        }
    }

    /// Which sources were ever heard, a bit each, by number.
    pub fn sources(&self) -> u16 {
        self.lives.iter().enumerate().map(|(at, life)| u16::from(life.heard) << at).sum()
    }

    /// What changes too often to be written down each time.
    pub fn settle(&mut self) {
        for (number, life) in self.lives.iter().enumerate().filter(|(_, life)| life.fact > 0) {
            let source = Source::try_from(number as i32).unwrap_or_default();
            table::SOURCE_EVENT.set(&mut self.cells, (source,), seconds(life.fact));
        }
    }

    /// Changes the number of connections, where it is known.
    pub fn add_connections(&mut self, direction: Direction, count: f64) {
        if let Some(before) = table::CONNECTIONS.get(&self.cells, (direction,)) {
            table::CONNECTIONS.set(&mut self.cells, (direction,), (before + count).max(0.0));
        }
    }
}

/// Whether a source is attached, by what it has published: for who began to listen later.
fn is_attached(beat: &HealthBeat) -> bool {
    let total = |id: KindId| beat.totals.iter().find(|total| total.kind == id.name()).map_or(0, |total| total.total);
    let (attached, detached) = (total(KindId::HealthAttached), total(KindId::HealthDetached));
    let facts = || beat.totals.iter().any(|total| !total.kind.starts_with("health."));
    attached > detached || attached == 0 && detached == 0 && facts()
}

/// Nanoseconds as seconds.
pub fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

/// The last ping of each peer: a peer has one place, by its id. Ids are given in order, so the peers of a node do not meet unless there are
/// more than places between the oldest and the youngest; then one interval is not measured.
#[derive(Debug, Default)]
pub struct Pings(Vec<(u64, u64)>);

impl Pings {
    const PLACES: usize = 1024;

    /// The time since this peer's ping before, nanoseconds; absent for the first, and where the clock was set back.
    pub fn since(&mut self, peer: u64, time: u64) -> Option<u64> {
        if self.0.is_empty() {
            // no peer has this id
            self.0 = vec![(u64::MAX, 0); Self::PLACES];
        }
        let place = &mut self.0[(peer % Self::PLACES as u64) as usize];
        let (known, before) = std::mem::replace(place, (peer, time));
        if known == peer { time.checked_sub(before) } else { None }
    }
}
