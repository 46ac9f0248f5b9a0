//! The detectors at work: events in, findings out, state kept.
//!
//! What means something is in the crate `detect`, which knows neither a bus nor a file. Here it is given events, from a bus
//! ([`run`]) or a recording ([`play`]), and what it finds is published, or printed; its state is written once a minute and at the end, so that
//! the next start goes on where this one ended.

mod knowledge;
mod notice;
mod page;
mod profiles;
pub mod score;
mod state;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bus::{Bus, Delivery, Publisher, Subscription};
use detect::finding::Statement;
use detect::thresholds::{Limit, Thresholds};
use detect::{Engine, FLEET};
use event::{Event, Filter, NodeName, Source};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

pub use knowledge::KnowledgeError;
use knowledge::Shelf;
use notice::Notices;
pub use page::{page, thresholds};
pub use profiles::profiles;
pub use state::StateFileError;

use crate::intake::Intake;

/// Thresholds, and where the state is kept.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
pub struct Config {
    /// Keep the detectors' state in this file, and go on from it
    ///
    /// What is usual at a node takes days to learn; without this it is learned anew at every start. Written once a minute and at the
    /// end. Parts of another form begin anew, and say so.
    #[arg(long, alias = "state", value_name = "FILE")]
    pub detect_state: Option<PathBuf>,

    /// Name strangers by these lists, besides those that come with the program
    ///
    /// TOML with evidence, or an address or prefix per line (`docs/entities.md`). A list never decides: it names whom the behaviour showed.
    /// Your own probes belong on one as `own`. Read again within a minute when it changes; one that became wrong stays in use as it was.
    #[arg(long, value_name = "FILE")]
    pub detect_list: Vec<PathBuf>,

    /// Group addresses by the autonomous systems of this map
    ///
    /// The file that Bitcoin Core takes for `-asmap`. Without it findings name ranges, but not whose they are. Read again like a list.
    #[arg(long, value_name = "FILE")]
    pub detect_asmap: Option<PathBuf>,

    /// Set a threshold, for all nodes or for one: `d39.queue_warn=20000`, `alice:guard.restart=60`
    ///
    /// May be given several times. `peer-observer detect --thresholds` lists all of them. In the configuration file they may also stand in
    /// tables: `[detect.thresholds]`, and `[detect.nodes.alice.thresholds]` for one node.
    #[arg(long, value_name = "THRESHOLD=NUMBER")]
    pub detect_threshold: Vec<Setting>,
}

/// A threshold that an operator sets.
#[derive(Clone, PartialEq, Debug)]
pub struct Setting {
    /// Only for this node.
    pub node: Option<NodeName>,
    /// Its name in the table.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or("a threshold is set as `d39.queue_warn=20000`")?;
        let (node, name) = match key.split_once(':') {
            Some((node, name)) => (Some(node.trim().parse::<NodeName>().map_err(|error| error.to_string())?), name),
            None => (None, key),
        };
        let value = value.trim().parse().map_err(|_| format!("`{value}` is no number"))?;
        let name = Limit::from_name(name.trim()).map_err(|error| error.to_string())?.row().name;
        Thresholds::default().set(None, name, value).map_err(|error| error.to_string())?;
        Ok(Self { node, name, value })
    }
}

impl Setting {
    fn apply(&self, thresholds: &mut Thresholds) {
        let Self { node, name, value } = self;
        let node = node.as_ref().map(NodeName::as_str);
        thresholds.set(node, name, *value).expect("it was checked when it was read");
    }
}

impl Config {
    /// The thresholds in force.
    ///
    /// # Panics
    ///
    /// Never: each was checked when it was read.
    pub fn thresholds(&self) -> Thresholds {
        let mut thresholds = Thresholds::default();
        self.detect_threshold.iter().for_each(|setting| setting.apply(&mut thresholds));
        thresholds
    }

    /// An engine that begins with the state that was kept, or anew. `live`: its hashes get a key that nobody can guess; over a recording
    /// or a replay everybody finds the same.
    ///
    /// # Errors
    ///
    /// The state, a list or the map is there and cannot be read, or is none. A state of another version, or a damaged one, is no error: it is said, and set aside.
    pub fn prepare(&self, live: bool) -> Result<Prepared, PrepareError> {
        let shelf = Shelf::read(&self.detect_list, self.detect_asmap.as_deref())?;
        let file = self.detect_state.clone().map(state::File::new);
        let engine = match &file {
            Some(file) => file.read(self.thresholds())?,
            None => None,
        };
        let key = || if live { state::key() } else { 0 };
        let mut engine = engine.unwrap_or_else(|| Engine::new(self.thresholds(), key()));
        if live {
            engine.restate();
            let nodes = engine.set_clocks_back(now());
            if nodes > 0 {
                tracing::warn!(
                    nodes,
                    "the detectors' state is of the future: the clock was set back, and they begin anew with most"
                );
            }
        }
        engine.know_of(shelf.knowledge()?);
        Ok(Prepared { engine, thresholds: self.thresholds(), file, shelf })
    }
}

/// Why detectors cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// Their state cannot be read.
    #[error(transparent)]
    State(#[from] StateFileError),
    /// A list or a map cannot be used.
    #[error(transparent)]
    Knowledge(#[from] KnowledgeError),
}

/// An engine, where its state goes, and what it knows of strangers.
pub struct Prepared {
    engine: Engine,
    thresholds: Thresholds,
    file: Option<state::File>,
    shelf: Shelf,
}

impl Prepared {
    /// What has to be delivered for it, of these nodes; of all where none is named. A threshold that is set for none of those that are named
    /// is said in the log.
    pub fn filter(&self, nodes: impl IntoIterator<Item = NodeName>) -> Filter {
        let nodes: Vec<NodeName> = nodes.into_iter().collect();
        if !nodes.is_empty() {
            say_strangers(&self.thresholds, &nodes.iter().map(NodeName::as_str).collect::<Vec<_>>());
        }
        Filter { kinds: self.engine.kinds(), nodes }
    }
}

/// Nodes with thresholds of their own that are none of `nodes`: a slip of a letter, and what was set is in force nowhere.
fn strangers<'a>(thresholds: &'a Thresholds, nodes: &[&str]) -> Vec<&'a str> {
    thresholds.nodes().filter(|name| *name != FLEET && !nodes.contains(name)).collect()
}

fn say_strangers(thresholds: &Thresholds, nodes: &[&str]) {
    for node in strangers(thresholds, nodes) {
        let known = nodes.join(" ");
        tracing::warn!(%node, %known, "thresholds are set for a node that is not there, and change nothing");
    }
}

/// How often the state is written, and files are looked at.
const KEEP: Duration = Duration::from_mins(1);

/// Watches a bus and publishes what is found, until `stop` and to the end of what was published by then; returns earlier when the
/// subscription ends. Everything that is published is also given to `show`. `node` is one of those that are watched, if one is known.
///
/// # Errors
///
/// The state cannot be written at the end. Before that it is said in the log, and tried again.
pub async fn run(
    prepared: Prepared,
    events: Subscription,
    bus: Bus,
    node: Option<NodeName>,
    stop: impl Future<Output = ()> + Send + 'static,
    mut show: impl FnMut(&Statement) -> anyhow::Result<()> + Send,
) -> anyhow::Result<()> {
    const BATCH: usize = 1024;
    let Prepared { mut engine, file, mut shelf, .. } = prepared;
    let name = node.unwrap_or_else(|| FLEET.parse().expect("it is made of letters and an underscore"));
    let mark = bus.publisher(name.clone(), Source::Detect);
    let mut out = Out { bus, nodes: BTreeMap::from([(name.to_string(), (mark.clone(), 0))]) };
    let mut intake = Intake::new(events, mark, stop);
    let mut batch = Vec::with_capacity(BATCH);
    let mut said = Vec::new();
    let mut notices = Notices::of(&engine);
    let mut keep = interval_at(Instant::now() + KEEP, KEEP);
    keep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = keep.tick() => {
                notices.say(&engine);
                if let Some(knowledge) = shelf.refresh() {
                    engine.know_of(knowledge);
                }
                if let Some(file) = &file
                    && let Err(error) = file.write(engine.save()).await
                {
                    tracing::warn!(error = format!("{error:#}"), "the detectors' state was not kept");
                }
            }
            more = intake.next_batch(&mut batch, BATCH) => {
                for delivery in batch.drain(..) {
                    match delivery {
                        Delivery::Event(event) => engine.observe(event, &mut said),
                        Delivery::Missed(count) => engine.missed(count),
                    }
                }
                for statement in said.drain(..) {
                    show(&statement)?;
                    out.publish(statement);
                }
                out.beat(&engine);
                if !more {
                    break;
                }
            }
        }
    }
    // what still waits to be put in order waits in the state; without one this is its last chance
    if let Some(file) = &file {
        file.write(engine.save()).await?;
    } else {
        engine.finish(&mut said);
        for statement in said.drain(..) {
            show(&statement)?;
            out.publish(statement);
        }
    }
    intake.close();
    Ok(())
}

/// Looks at a recording and gives what is found to `show`, until its end.
///
/// # Errors
///
/// What the recording has in place of an event, or the state cannot be written.
pub fn play<E: From<anyhow::Error>>(
    prepared: Prepared,
    events: impl IntoIterator<Item = Result<Event, E>>,
    mut show: impl FnMut(&Statement) -> Result<(), E>,
) -> Result<detect::Totals, E> {
    let Prepared { mut engine, thresholds, file, .. } = prepared;
    let mut said = Vec::new();
    let mut notices = Notices::of(&engine);
    let begun = Begun::of(&engine);
    let (mut given, mut newest) = (0, 0);
    for event in events {
        let event = event?;
        given += 1;
        newest = newest.max(event.time);
        engine.observe(Arc::new(event), &mut said);
        for statement in said.drain(..) {
            show(&statement)?;
        }
    }
    // pieces of one recording are looked at as a whole: what waits, waits for the next
    if let Some(file) = &file {
        file.write_now(&engine.save())?;
    } else {
        engine.finish(&mut said);
        for statement in said.drain(..) {
            show(&statement)?;
        }
    }
    if begun.has_seen(given, newest, &engine) {
        let late = engine.totals().late - begun.late;
        tracing::warn!(
            late,
            "the recording is older than what the detectors' state has seen, and was not looked at: was it looked at before? Without \
             --detect-state, or with a file that is not there yet, they begin anew"
        );
    } else {
        notices.say(&engine);
    }
    say_strangers(&thresholds, &engine.nodes().map(|(name, _)| name).collect::<Vec<_>>());
    Ok(engine.totals())
}

/// How far a state had come.
struct Begun {
    /// Time of the newest event that it looked at.
    newest: u64,
    late: u64,
}

impl Begun {
    fn of(engine: &Engine) -> Self {
        Self { newest: engine.nodes().map(|(_, now)| now).max().unwrap_or_default(), late: engine.totals().late }
    }

    /// Whether so many events, the newest of this time, are no news to it: most came too late. The last few wait in the state, and so
    /// are not counted as seen.
    fn has_seen(&self, given: u64, newest: u64, engine: &Engine) -> bool {
        const LAST: u64 = 10_000_000_000;
        let late = engine.totals().late - self.late;
        late > given / 2 && newest <= self.newest.saturating_add(LAST)
    }
}

/// Nanoseconds since the epoch.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

/// A statement as the event that it becomes where nobody publishes it.
pub fn event(statement: &Statement, sequence: u64) -> Event {
    let Statement { time, node, node_run, kind } = statement.clone();
    let source = Source::Detect.into();
    Event { node: node.to_string(), node_run, source, run: 0, sequence, time, replay: true, kind: Some(kind) }
}

/// The publishers of findings, one for each node.
struct Out {
    bus: Bus,
    nodes: BTreeMap<String, (Publisher, u64)>,
}

impl Out {
    fn of(&mut self, node: &str) -> Option<&mut (Publisher, u64)> {
        if !self.nodes.contains_key(node) {
            // a name that no subject can have comes from nobody who uses our publishers
            let publisher = self.bus.publisher(node.parse().ok()?, Source::Detect);
            self.nodes.insert(node.to_owned(), (publisher, 0));
        }
        self.nodes.get_mut(node)
    }

    fn publish(&mut self, statement: Statement) {
        let Statement { time, node, node_run, kind } = statement;
        if let Some((publisher, _)) = self.of(&node) {
            publisher.publish(time, node_run, kind);
        }
    }

    /// A beat for each node, once a second of its time: so that a subscriber can prove that it got every finding.
    fn beat(&mut self, engine: &Engine) {
        const BEAT: u64 = 1_000_000_000;
        // nodes that the engine has forgotten are no longer beaten for
        if self.nodes.len() > engine.nodes().count() + 1 {
            self.nodes.retain(|name, _| name == FLEET || engine.now(name).is_some());
        }
        for (name, now) in engine.nodes() {
            let Some((publisher, beaten)) = self.of(name) else { continue };
            if now >= beaten.saturating_add(BEAT) || now < *beaten {
                *beaten = now;
                publisher.beat(now, None, 0, None, None);
            }
        }
    }
}

#[cfg(test)]
mod tests;
