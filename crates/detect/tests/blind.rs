//! What becomes of findings when a source falls silent in the midst of an attack: nothing is over because nobody tells of it.
//!
//! Every attack of `detectors/` is played once as it is, and once for each source with that one silent from a minute after the first finding on. Without
//! optimisation only those that are short.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use detect::thresholds::Thresholds;
use detect::time::{HOUR, MINUTE, SECOND, seconds};
use detect::{Engine, Entry, Statement, finding};
use event::primary::sources;
use event::{Event, FindingEnd, Kind, Source};
use testkit::synthetic::{self, Run, Scenario};

/// Longer ones are played with optimisation only.
const LONGEST: Duration = if cfg!(debug_assertions) { Duration::from_hours(2) } else { Duration::MAX };
/// So long after its last beat a source is known to be silent.
const NOTICED: u64 = 15 * SECOND;

/// An attack and the detector that finds it.
struct Attack {
    /// `D39/fire`
    name: String,
    path: PathBuf,
    entry: &'static [Entry],
}

fn attacks() -> Vec<Attack> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../detectors");
    let mut attacks = Vec::new();
    for entry in detect::all().chunks(1) {
        let id = entry[0].about.id;
        let files = std::fs::read_dir(repository.join(id)).unwrap();
        let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        for path in files {
            let stem = path.file_stem().unwrap().to_str().unwrap();
            let name = format!("{id}/{stem}");
            let asked = std::env::var("TRUTH").ok().is_none_or(|only| name.starts_with(&only));
            if stem.starts_with("fire") && asked && load(&path).script().length <= LONGEST {
                attacks.push(Attack { name, path, entry });
            }
        }
    }
    attacks
}

fn load(path: &Path) -> Scenario {
    let toml = std::fs::read_to_string(path).unwrap();
    synthetic::load(&toml, Run { seed: 1, strength: 1.0 }).unwrap()
}

fn engine(entry: &'static [Entry], scenario: &Scenario) -> Engine {
    let mut thresholds = Thresholds::default();
    for (name, value) in scenario.script().given.values().filter_map(|section| section.as_table()).flatten() {
        let value = value.as_float().or(value.as_integer().map(|value| value as f64)).unwrap();
        thresholds.set(None, name, value).unwrap();
    }
    Engine::with(entry, thresholds, 1)
}

/// When findings were cleared, by their id. Those whose peer went did not clear.
fn cleared(said: &[Statement]) -> BTreeMap<String, u64> {
    let of = |statement: &Statement| {
        let event = Event { kind: Some(statement.kind.clone()), ..Event::default() };
        let finding = finding::of(&event).filter(|finding| finding.end() == FindingEnd::Cleared)?;
        matches!(statement.kind, Kind::FindingCleared(_)).then(|| (finding.id.clone(), statement.time))
    };
    said.iter().filter_map(of).collect()
}

/// Plays it to one engine for each source, which is shown nothing of that source from `silent` on.
fn play(attack: &Attack, silent: u64, hushed: &BTreeSet<Source>) -> Vec<(Source, Vec<Statement>)> {
    let scenario = load(&attack.path);
    let mut plays: Vec<_> = hushed.iter().map(|source| (*source, engine(attack.entry, &scenario), Vec::new())).collect();
    for event in scenario.take_while(|event| event.time < silent + HOUR + MINUTE) {
        let event = Arc::new(event);
        for (source, engine, said) in &mut plays {
            if event.source() != *source || event.time < silent {
                engine.observe(event.clone(), said);
            }
        }
    }
    plays.into_iter().map(|(source, _, said)| (source, said)).collect()
}

/// What is wrong with what is said of an attack when its sources fall silent.
fn wrong(attack: &Attack) -> Vec<String> {
    let about = attack.entry[0].about;
    let scenario = load(&attack.path);
    let begin = scenario.script().begin;
    let (mut engine, mut said, mut there) = (engine(attack.entry, &scenario), Vec::new(), BTreeSet::new());
    for event in scenario {
        there.insert(event.source());
        engine.observe(Arc::new(event), &mut said);
    }
    engine.finish(&mut said);
    let Some(first) = said.first() else { return vec![format!("{}: nothing is found", attack.name)] };
    let silent = first.time + MINUTE;
    let usual = cleared(&said);
    let kinds = about.kinds.iter().chain(about.needs);
    let used: BTreeSet<Source> = kinds.flat_map(|kind| sources(*kind)).copied().filter(|source| there.contains(source)).collect();
    // its findings are made of these, and nobody takes their place: the log of a scenario tells of no connection
    let needed: BTreeSet<Source> = about.needs.iter().filter_map(|kind| sources(*kind).first()).copied().collect();
    let mut wrong = Vec::new();
    for (source, said) in play(attack, silent, &used) {
        for (id, time) in cleared(&said).into_iter().filter(|(_, time)| *time < silent + HOUR) {
            let early = usual.get(&id).is_none_or(|usual| time < *usual) && time >= silent;
            let blind = needed.contains(&source) && time >= silent + NOTICED;
            if early || blind {
                let (at, silent) = (seconds(time - begin), seconds(silent - begin));
                wrong.push(format!("{}: {} silent from {silent:.0} s on, cleared at {at:.0} s", attack.name, source.word()));
            }
        }
    }
    wrong
}

#[test]
fn silence_ends_no_finding() {
    let attacks = attacks();
    let next = AtomicUsize::new(0);
    let work = || std::iter::from_fn(|| attacks.get(next.fetch_add(1, Ordering::Relaxed))).flat_map(wrong).collect::<Vec<_>>();
    let wrong: Vec<String> = thread::scope(|scope| {
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
