//! Export: recordings as tables that every tool for data opens.
//!
//! There is a table per kind ([`table`]), partitioned by day and node the way Hive names folders, which DuckDB, Polars, pandas, Spark and
//! ClickHouse understand:
//!
//! ```text
//! manifest.json
//! net_inv/day=2026-05-01/node=alice/1f0c22ab-0.parquet
//! conn_opened/day=2026-05-01/node=alice/1f0c22ab-0.parquet
//! ```
//!
//! **Batches.** Segments of one directory that were begun on the same day are exported together; any other recording is a batch of its
//! own. A batch is read once, from its first event to its last, and is done when all of its files are. Recordings that were exported once
//! are not read again, so that an archive that grows is exported night by night, and nothing is lost when old segments are deleted.
//!
//! **Resuming.** A file has its name only when it is whole, and stands in the manifest from then on, with its checksum. What is listed is
//! not made again: rows that are in it are read once more and passed over. The order of events in a batch is always the same.
//!
//! **Speed.** Bytes of an event go straight into columns ([`rows`]), without an event in between.
//!
//! Invariants: memory is bounded, whatever the recordings hold ([`parts::Limits`]), but for the list of files that were made. What was not
//! exported is counted in the manifest.

pub mod manifest;
pub mod manual;
pub mod parts;
pub mod rows;
pub mod table;

mod account;
mod lines;
mod parquet;
mod plan;
mod wire;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use event::redact::Redactor;
use event::schema::numbers;
use event::{Event, KindId, NodeName};

use crate::archive::{self, Raw, ReadError, Selection, info, input, redacted};
use crate::target::{Checksum, Target, TargetError};
use account::Counting;
use manifest::{Asked, Manifest};
use parts::{Limits, Parts, Saved};
use rows::Envelope;

/// What tables are written as.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Format {
    /// Columns, compressed: for years of data.
    Parquet,
    /// Lines with commas, for spreadsheets; lists are JSON.
    Csv,
    /// A JSON object a line, as everywhere in this program.
    Json,
}

impl Format {
    fn word(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }

    fn name(self, stem: &str, number: u32) -> String {
        let extension = match self {
            Self::Json => "jsonl",
            other => other.word(),
        };
        format!("{stem}-{number}.{extension}")
    }
}

/// What to export.
pub struct Job {
    /// Files, or directories of segments.
    pub recordings: Vec<PathBuf>,
    /// Which part of them.
    pub selection: Selection,
    /// What tables are written as.
    pub format: Format,
    /// Under which licence the export may be used.
    pub license: Option<String>,
    /// Makes events fit to be shown to others. It learns from all of the recordings before the first event leaves, whatever is selected
    /// of them and whatever was exported before.
    pub redactor: Option<Redactor>,
    /// How much is done at once.
    pub limits: Limits,
}

/// How far an export is.
#[derive(Debug, Default)]
pub struct Progress {
    /// Events that there are; 0 where the recordings do not say.
    pub total: AtomicU64,
    /// Events that were read.
    pub done: AtomicU64,
    /// How much of the recordings was read before that, for what they say of the nodes' own addresses.
    pub learning: archive::Progress,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Exported {
    /// Events that were read.
    pub events: u64,
    /// Rows that they became.
    pub rows: u64,
    /// Files that were made, and the bytes of them.
    pub files: u64,
    /// Likewise.
    pub bytes: u64,
    /// Recordings that had been exported before.
    pub known: u64,
    /// Events that are in no table: of unknown kinds, held back, or none.
    pub left_out: u64,
    /// Those of them that may not leave.
    pub withheld: u64,
    /// What made the events fit to leave, with what it learned; `None` where nothing had to be read.
    pub redactor: Option<Redactor>,
    /// The first place that could not be read; everything else was.
    pub fault: Option<ReadError>,
}

/// Why there is no export, or none to its end.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// There are no such recordings.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Files cannot be written.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// What is there already is an export of something else.
    #[error("{place} holds an export with another {what}")]
    Another {
        /// Where.
        place: String,
        /// In what they differ.
        what: &'static str,
    },
    /// What is there already was redacted under another key: the same stranger would be two.
    #[error("{place} holds an export under another key")]
    OtherKey {
        /// Where.
        place: String,
    },
    /// The name of the place tells what its content does not.
    #[error("the name of {place} tells the name of the node `{node}`")]
    Named {
        /// Where.
        place: String,
        /// Which node.
        node: String,
    },
    /// What is there already is no manifest that this release reads.
    #[error("{place}/{} cannot be read: {what}", manifest::NAME)]
    Manifest {
        /// Where.
        place: String,
        /// Why.
        what: String,
    },
    /// A recording is not what it was.
    #[error("{} was exported together with others, and is another one now", path.display())]
    Replaced {
        /// Which.
        path: PathBuf,
    },
    /// Recordings became shorter between two attempts.
    #[error("{stem} has more rows than its recordings have now")]
    Changed {
        /// Which table.
        stem: String,
    },
    /// Somebody ended it.
    #[error("the export was ended before it was done")]
    Stopped,
}

impl ExportError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Read(error) => error.hint(),
            Self::Target(error) => error.hint(),
            Self::Another { .. } | Self::Manifest { .. } | Self::Replaced { .. } | Self::Changed { .. } => {
                "export to another place; nothing that is there is changed"
            }
            Self::OtherKey { .. } => "give the key that it was made with, `--redact-key FILE`, or export to another place",
            Self::Named { .. } => "choose a name that says nothing of where it comes from",
            Self::Stopped => "the same command goes on where this one ended",
        }
    }
}

impl Job {
    fn asked(&self) -> Asked {
        let times = &self.selection.times;
        let kinds = self.selection.kinds.as_ref();
        let node =
            |name: &NodeName| self.redactor.as_ref().map_or_else(|| name.to_string(), |redactor| redactor.node(name.as_str()));
        Asked {
            format: self.format.word().to_owned(),
            schema: schema(),
            license: self.license.clone(),
            redacted: self.redactor.is_some(),
            key: self.redactor.as_ref().map(Redactor::key_check),
            from: Some(*times.start()).filter(|from| *from > 0),
            to: Some(*times.end()).filter(|to| *to < u64::MAX),
            kinds: kinds.map(|kinds| kinds.iter().map(|id| id.name().to_owned()).collect()),
            nodes: self.selection.nodes.iter().map(node).collect(),
            peers: self.selection.peers.clone(),
        }
    }
}

/// What tells one schema from another.
fn schema() -> String {
    Checksum::of_bytes(numbers().as_bytes()).sha256[..16].to_owned()
}

/// Exports recordings. What is there of them already is not made again.
///
/// # Errors
///
/// There are no such recordings, or files cannot be written. What cannot be read of a recording is no error: everything else is exported,
/// and the manifest says what was not.
pub fn run(mut job: Job, target: &Target, place: &str, progress: &Progress, stop: &AtomicBool) -> Result<Exported, ExportError> {
    let mut manifest = begin(&job, target, place)?;
    let plan = plan::plan(&job.recordings, &mut manifest, job.redactor.as_ref())?;
    progress.total.store(plan.total(), Ordering::Relaxed);
    let mut exported = Exported { known: plan.known, ..Exported::default() };
    let mut unlearned = None;
    if plan.batches.is_empty() {
        job.redactor = None;
    }
    if let Some(redactor) = &mut job.redactor {
        if let Some(node) = named(&job.recordings, target, place)? {
            return Err(ExportError::Named { place: place.to_owned(), node });
        }
        unlearned = learn(redactor, &job.recordings, &progress.learning, stop)?;
    }
    let mut saved = Saved::new();
    target.write(manifest::NAME, &manifest.to_bytes())?;
    for planned in plan.batches {
        let before = manifest.files.len();
        let done = batch(&mut job, &planned, target, &mut manifest, &mut saved, progress, stop, &mut exported);
        // what is finished of it is known even where the rest is not to be had
        let saved = target.write(manifest::NAME, &manifest.to_bytes());
        exported.files += (manifest.files.len() - before) as u64;
        exported.bytes += manifest.files[before..].iter().map(|file| file.sum.bytes).sum::<u64>();
        done?;
        saved?;
    }
    // what could not be read before may have said something, too
    exported.fault = exported.fault.or(unlearned);
    exported.redactor = job.redactor;
    Ok(exported)
}

/// The node whose name stands in that of the place: of a directory, which is copied or packed as it is called, or anywhere in that of a
/// store.
fn named(recordings: &[PathBuf], target: &Target, place: &str) -> Result<Option<String>, ExportError> {
    let mut nodes = BTreeSet::new();
    for file in files(recordings)? {
        // what cannot be read is told when it is exported
        let Ok(info) = info::info(&[file], 0) else { continue };
        nodes.extend(info.sources.into_iter().map(|source| source.node));
    }
    let name = match target {
        Target::Directory(path) => {
            path.canonicalize().unwrap_or_else(|_| path.clone()).file_name().map(|name| name.to_string_lossy().into_owned())
        }
        #[cfg(feature = "s3")]
        Target::S3(_) => Some(place.to_owned()),
    };
    Ok(redacted::tells(name.as_deref().unwrap_or(place), &nodes))
}

fn files(recordings: &[PathBuf]) -> Result<Vec<PathBuf>, ReadError> {
    let files: Result<Vec<_>, _> = recordings.iter().map(|path| input::files(path)).collect();
    Ok(files?.concat())
}

/// Own addresses are known before the first event leaves: also those that are stated in what is not selected, or was exported before.
/// What cannot be read is given back.
fn learn(
    redactor: &mut Redactor,
    recordings: &[PathBuf],
    progress: &archive::Progress,
    stop: &AtomicBool,
) -> Result<Option<ReadError>, ExportError> {
    let go_on = || !stop.load(Ordering::Relaxed);
    let mut fault = None;
    for file in files(recordings)? {
        let unread = redacted::learn(&[file], redactor, progress, go_on).unwrap_or_else(Some);
        fault = fault.or(unread);
    }
    if go_on() { Ok(fault) } else { Err(ExportError::Stopped) }
}

/// The manifest of what is there already, or a new one.
fn begin(job: &Job, target: &Target, place: &str) -> Result<Manifest, ExportError> {
    let asked = job.asked();
    let Some(bytes) = target.read(manifest::NAME)? else { return Ok(Manifest::new(asked)) };
    let unreadable = |what: String| ExportError::Manifest { place: place.to_owned(), what };
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
    if manifest.version != manifest::VERSION {
        return Err(unreadable(format!("it has version {}, and this release reads {}", manifest.version, manifest::VERSION)));
    }
    let known = &manifest.asked;
    let differences = [
        (known.format != asked.format, "format"),
        (known.schema != asked.schema, "schema, of another release"),
        (known.license != asked.license, "licence"),
        (known.redacted != asked.redacted, "redaction"),
        // one key, or what is asked for cannot be compared
        (known.key == asked.key && *known != asked, "selection"),
    ];
    match differences.into_iter().find(|(differs, _)| *differs) {
        Some((_, what)) => Err(ExportError::Another { place: place.to_owned(), what }),
        None if known.key != asked.key => Err(ExportError::OtherKey { place: place.to_owned() }),
        None => Ok(manifest),
    }
}

#[expect(clippy::too_many_arguments, reason = "what a batch needs of an export; a struct of it would have one user")]
fn batch(
    job: &mut Job,
    planned: &plan::Planned,
    target: &Target,
    manifest: &mut Manifest,
    saved: &mut Saved,
    progress: &Progress,
    stop: &AtomicBool,
    exported: &mut Exported,
) -> Result<(), ExportError> {
    // an attempt that was ended left its files and an account of a part
    if manifest.batch(&planned.batch.id).is_none() {
        manifest.batches.push(planned.batch.clone());
    }
    let mut counting = Counting::default();
    let mut parts = Parts::new(target, job.format, job.limits, &planned.batch.id, manifest);
    for file in &planned.files {
        let recording = match input::open(std::slice::from_ref(file), &job.selection) {
            Ok(recording) => recording,
            Err(error) => {
                fault(error, job.redactor.is_some(), &mut counting, exported);
                continue;
            }
        };
        for raw in recording {
            if stop.load(Ordering::Relaxed) {
                return Err(ExportError::Stopped);
            }
            match raw {
                Ok(raw) => {
                    progress.done.fetch_add(1, Ordering::Relaxed);
                    one(raw, &mut job.redactor, &mut parts, manifest, &mut counting)?;
                }
                Err(error) => fault(error, job.redactor.is_some(), &mut counting, exported),
            }
        }
        saved.now_and_then(manifest, target)?;
    }
    parts.finish(manifest, &mut counting, saved)?;
    let account = counting.account();
    exported.events += account.events;
    exported.rows += account.rows;
    exported.left_out += account.unknown_kinds.values().sum::<u64>() + account.unreadable + account.held_back;
    exported.withheld += account.held_back;
    if let Some(batch) = manifest.batch(&planned.batch.id) {
        batch.finished = true;
        batch.account = account;
    }
    Ok(())
}

/// A place that cannot be read. A redacted export does not say where on whose disk.
fn fault(error: ReadError, redacted: bool, counting: &mut Counting, exported: &mut Exported) {
    counting.fault(if redacted { error.place() } else { error.to_string() });
    exported.fault.get_or_insert(error);
}

fn one(
    raw: Raw,
    redactor: &mut Option<Redactor>,
    parts: &mut Parts<'_>,
    manifest: &mut Manifest,
    counting: &mut Counting,
) -> Result<(), ExportError> {
    let mut bytes = raw.bytes.clone();
    if let Some(redactor) = redactor {
        let Some(event) = raw.event() else {
            counting.unreadable();
            return Ok(());
        };
        match redactor.redact(event) {
            Some(event) => bytes = event.to_bytes(),
            None => {
                counting.held_back();
                return Ok(());
            }
        }
    }
    let written;
    let envelope = match Envelope::of(&bytes) {
        Ok(envelope) => envelope,
        // in another form than the encoder's: written anew
        Err(_) => match Event::from_bytes(bytes.clone()) {
            Ok(event) => {
                written = event.to_bytes();
                bytes = written.clone();
                Envelope::of(&written).unwrap_or_default()
            }
            Err(_) => {
                counting.unreadable();
                return Ok(());
            }
        },
    };
    counting.event(&envelope);
    let number = envelope.kind.map_or(0, |(number, _)| number);
    let Ok(at) = KindId::ALL.binary_search_by_key(&number, |id| *id as u32) else {
        counting.unknown(number);
        return Ok(());
    };
    let id = KindId::ALL[at];
    if id == KindId::HealthLost
        && let Ok(event) = Event::from_bytes(bytes.clone())
    {
        counting.lost(&event);
    }
    if !parts.push(id, envelope.node, envelope.time, &bytes, manifest, counting)? {
        counting.unreadable();
    }
    Ok(())
}
