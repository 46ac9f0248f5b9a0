//! Labelled sets: recordings, and what is true of them. `docs/scoring.md` says how a set is laid out, and what is counted.

mod labels;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use detect::Engine;
use detect::entity::Knowledge;
use detect::score::{Score, Tally};
use detect::thresholds::Thresholds;
use serde_json::{Value, json};

pub use self::labels::LabelError;
use self::labels::Labels;
use super::knowledge::Shelf;
use super::notice::Notices;
use super::{Config, KnowledgeError};
use crate::archive::{self, Selection};
use crate::logger::Format;

/// How the name of a truth file ends.
const TRUTH: &str = ".truth.toml";
/// How the name of a recording ends, where it is a file.
const RECORDING: [&str; 2] = [".rec", ".poa"];

/// What a set came to.
pub struct Set {
    /// Each recording that has a truth file.
    pub scored: Vec<Scored>,
    /// Recordings that have none: of these nothing is known.
    pub unlabelled: Vec<String>,
}

/// What one recording came to.
pub struct Scored {
    /// Its name.
    pub name: String,
    /// What the detectors started with.
    pub thresholds: Thresholds,
    /// What was found and what not.
    pub score: Score,
}

/// A set that cannot be scored.
#[derive(Debug, thiserror::Error)]
pub enum ScoreError {
    /// What is said to be true cannot be.
    #[error(transparent)]
    Labels(#[from] LabelError),
    /// A list or a map cannot be used.
    #[error(transparent)]
    Knowledge(#[from] KnowledgeError),
    /// The directory is none, or a file in it cannot be read.
    #[error(transparent)]
    Unreadable(#[from] anyhow::Error),
}

/// Runs the detectors over every recording of a set, each with nothing learned before. What the configuration sets goes before what a truth file sets.
///
/// # Errors
///
/// The directory holds no set, a truth file says something that cannot be, or a recording cannot be read.
pub fn score(directory: &Path, config: &Config) -> Result<Set, ScoreError> {
    let knowledge = Shelf::read(&config.detect_list, config.detect_asmap.as_deref())?.knowledge()?;
    let (names, unlabelled) = names(directory)?;
    let scored = names.into_iter().map(|name| one(directory, name, config, &knowledge)).collect::<Result<_, _>>()?;
    Ok(Set { scored, unlabelled })
}

/// Names of the recordings that have a truth file, and file names of those that have none.
fn names(directory: &Path) -> anyhow::Result<(BTreeSet<String>, Vec<String>)> {
    let unreadable = || format!("failed to read the set {}", directory.display());
    let (mut labelled, mut recordings) = (BTreeSet::new(), Vec::new());
    for entry in std::fs::read_dir(directory).with_context(unreadable)? {
        let entry = entry.with_context(unreadable)?;
        let Ok(file) = entry.file_name().into_string() else { continue };
        if let Some(name) = file.strip_suffix(TRUTH) {
            labelled.insert(name.to_owned());
        } else if let Some(name) = RECORDING.iter().find_map(|end| file.strip_suffix(end)) {
            recordings.push((name.to_owned(), file));
        } else if holds_segments(&entry.path()) {
            recordings.push((file.clone(), format!("{file}/")));
        }
    }
    if labelled.is_empty() {
        bail!("{} is no labelled set: it has no file that ends with `{TRUTH}`", directory.display());
    }
    recordings.sort();
    let unlabelled = recordings.into_iter().filter(|(name, _)| !labelled.contains(name)).map(|(_, file)| file).collect();
    Ok((labelled, unlabelled))
}

fn holds_segments(path: &Path) -> bool {
    let is_segment = |entry: std::fs::DirEntry| entry.path().extension().is_some_and(|end| end == "poa");
    std::fs::read_dir(path).is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(is_segment)))
}

fn one(directory: &Path, name: String, config: &Config, knowledge: &Arc<Knowledge>) -> Result<Scored, ScoreError> {
    let file = directory.join(format!("{name}{TRUTH}"));
    let labels = Labels::read(&file)?;
    let forms = RECORDING.map(|end| directory.join(format!("{name}{end}"))).into_iter().chain([directory.join(&name)]);
    let recording: PathBuf =
        forms.into_iter().find(|path| path.exists()).with_context(|| format!("{} belongs to no recording", file.display()))?;
    let mut thresholds = Thresholds::default();
    labels.thresholds().chain(&config.detect_threshold).for_each(|setting| setting.apply(&mut thresholds));
    let mut engine = Engine::new(thresholds.clone(), 0);
    engine.know_of(Arc::clone(knowledge));
    let selection = Selection { kinds: Some(engine.kinds()), ..Selection::default() };
    let mut said = Vec::new();
    let mut span: Option<(u64, u64)> = None;
    for event in archive::open(&[recording], &selection).map_err(anyhow::Error::from)?.events() {
        let event = event.map_err(anyhow::Error::from)?;
        let (first, last) = span.unwrap_or((event.time, event.time));
        span = Some((first.min(event.time), last.max(event.time)));
        engine.observe(Arc::new(event), &mut said);
    }
    engine.finish(&mut said);
    let nodes: Vec<&str> = engine.nodes().map(|(name, _)| name).collect();
    let truths = labels.of(&nodes, span)?;
    Notices::default().say(&engine);
    let score = detect::score::score(&detect::score::found(said), &truths, None);
    Ok(Scored { name, thresholds, score })
}

/// Every recording with what it came to, and all of them together.
pub fn report(set: &Set, format: Format) -> String {
    let mut all = Score::default();
    set.scored.iter().for_each(|scored| all.add(&scored.score));
    match format {
        Format::Text => table(set, &all),
        Format::Json => lines(set, &all),
    }
}

fn table(set: &Set, all: &Score) -> String {
    let mut text = String::new();
    for Scored { name, thresholds, score } in &set.scored {
        writeln!(text, "{name}\n").expect("into a string");
        let mut changed = thresholds.changed().peekable();
        if changed.peek().is_some() {
            for (node, row, value) in changed {
                let node = node.map_or(String::new(), |node| format!("{node}:"));
                writeln!(text, "{node}{} = {value} (instead of {})", row.name, row.default).expect("into a string");
            }
            text.push('\n');
        }
        writeln!(text, "{}", score.table()).expect("into a string");
    }
    text += "all recordings\n\n";
    text += &all.table();
    if !set.unlabelled.is_empty() {
        writeln!(text, "\nnot scored, as no truth file belongs to them: {}", set.unlabelled.join(", ")).expect("into a string");
    }
    text
}

/// A line for each recording, and one for all of them.
fn lines(set: &Set, all: &Score) -> String {
    let mut text = String::new();
    for Scored { name, thresholds, score } in &set.scored {
        let changed = thresholds.changed().map(|(node, row, value)| {
            let node = node.unwrap_or_default();
            json!({ "node": node, "name": row.name, "value": value, "default": row.default })
        });
        let changed: Vec<Value> = changed.collect();
        let line = json!({ "recording": name, "thresholds": changed, "detectors": tallies(score), "all": tally(&score.total()) });
        writeln!(text, "{line}").expect("into a string");
    }
    let line = json!({
        "recordings": set.scored.len(), "unlabelled": set.unlabelled, "detectors": tallies(all), "all": tally(&all.total()),
    });
    writeln!(text, "{line}").expect("into a string");
    text
}

fn tallies(score: &Score) -> Value {
    score.tallies.iter().map(|(detector, one)| (detector.clone(), tally(one))).collect::<serde_json::Map<_, _>>().into()
}

fn tally(tally: &Tally) -> Value {
    let Tally { truths, found, alarms, false_alarms, consequences, infos, delays, first_words } = tally;
    let seconds = |sorted: &[u64]| {
        let of = |nanos: Option<&u64>| nanos.map(|nanos| detect::time::seconds(*nanos));
        json!({ "median": of(sorted.get(sorted.len() / 2)), "longest": of(sorted.last()) })
    };
    json!({
        "truths": truths, "found": found, "alarms": alarms, "false_alarms": false_alarms, "consequences": consequences, "infos": infos,
        "precision": tally.precision(), "recall": tally.recall(), "f1": tally.f1(),
        "time_to_detect_seconds": seconds(delays), "first_word_seconds": seconds(first_words),
    })
}
