//! `manifest.json`: what an export holds, how complete it is, and what is already done.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::archive::info::Time;
use crate::target::Checksum;

/// Its name.
pub const NAME: &str = "manifest.json";
/// The form of the manifest, and of the tree of files. It changes when a reader of the one before would be misled.
pub const VERSION: u32 = 1;

/// What an export holds.
#[derive(Clone, Serialize, Deserialize, PartialEq, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Form of this file.
    pub version: u32,
    /// The release that wrote it.
    pub release: String,
    /// What was asked for. Two exports of other things do not share a place.
    #[serde(flatten)]
    pub asked: Asked,
    /// Recordings that were exported together, in the order in which that was done.
    pub batches: Vec<Batch>,
    /// The files, in the order in which they were finished. What is not listed is unfinished, or no part of the export.
    pub files: Vec<FileEntry>,
}

/// What an export is asked for.
#[derive(Clone, Serialize, Deserialize, PartialEq, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// `parquet`, `csv` or `json`.
    pub format: String,
    /// SHA-256 of the schema's numbers (`proto/numbers.txt`), the first 16 digits: equal where tables have equal columns.
    pub schema: String,
    /// Under which licence the export may be used: what `--license` said; null where nothing was said.
    pub license: Option<String>,
    /// Whether it was made fit to be shown to others.
    pub redacted: bool,
    /// Equal under equal keys, where it was: an identifier that says nothing else.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
    /// Nanoseconds since the epoch.
    pub from: Option<u64>,
    /// Likewise.
    pub to: Option<u64>,
    /// Names of kinds; null for all.
    pub kinds: Option<Vec<String>>,
    /// Names of nodes, as the tables have them; empty for all.
    pub nodes: Vec<String>,
    /// Ids of peers; empty for all.
    pub peers: Vec<u64>,
}

/// Recordings that were exported together.
#[derive(Clone, Serialize, Deserialize, PartialEq, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct Batch {
    /// Stands in the names of its files.
    pub id: String,
    /// Which recordings.
    pub inputs: Vec<Input>,
    /// Whether all files of it are there.
    pub finished: bool,
    /// What was read.
    #[serde(flatten)]
    pub account: Account,
}

/// A recording.
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// Where it was; an identifier, where the export is redacted.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Its events, where it says how many: they stay when it is packed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub events: Option<u64>,
}

impl Input {
    /// Whether it holds what it held.
    pub fn is(&self, other: &Self) -> bool {
        let same = match (self.events, other.events) {
            (Some(one), Some(other)) => one == other,
            _ => self.bytes == other.bytes,
        };
        self.path == other.path && same
    }
}

/// What was read, and what could not be.
#[derive(Clone, Serialize, Deserialize, PartialEq, Debug, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct Account {
    /// Events that were read.
    pub events: u64,
    /// Rows that they became.
    pub rows: u64,
    /// Events of kinds that this release does not know, by number; 0 for events without a kind.
    pub unknown_kinds: BTreeMap<u32, u64>,
    /// Rows with fields that this release does not know.
    pub unknown_fields: u64,
    /// Bytes that were no events.
    pub unreadable: u64,
    /// Values that are null since they are none of their column's type: hashes of another length, times that no calendar has.
    pub unfit: u64,
    /// Events that may not leave, of a redacted export.
    pub held_back: u64,
    /// Losses that are reported in the recordings, by stage.
    pub lost: BTreeMap<String, u64>,
    /// Places that could not be read, in words.
    pub faults: Vec<String>,
    /// Places that could not be read, and are not listed.
    pub more_faults: u64,
    /// Who stated the events, and whether any is missing.
    pub sources: Vec<Stream>,
    /// Events of sources that are not listed.
    pub more_sources: u64,
}

/// One run of a source.
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Stream {
    /// The node's name.
    pub node: String,
    /// Who states it.
    pub source: String,
    /// When that life of the source began, nanoseconds since the epoch, as text.
    pub run: String,
    /// Events.
    pub events: u64,
    /// Sequence of the first.
    pub from: u64,
    /// The greatest sequence.
    pub to: u64,
    /// Sequences that are missing in between: not asked for, or lost.
    pub missing: u64,
    /// Events that are there twice, or out of order.
    pub repeated: u64,
}

/// A file of the export.
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq, Debug)]
#[serde(rename_all = "camelCase")]
pub struct FileEntry {
    /// Where, from the manifest.
    pub path: String,
    /// The kind's name.
    pub kind: String,
    /// As it stands in the path.
    pub node: String,
    /// As it stands in the path.
    pub day: String,
    /// Of which batch it is a part.
    pub batch: String,
    /// How many.
    pub rows: u64,
    /// The earliest time in it.
    pub first: String,
    /// The latest time in it.
    pub last: String,
    /// Size and checksum.
    #[serde(flatten)]
    pub sum: Checksum,
}

impl Manifest {
    /// Of an export that begins.
    pub fn new(asked: Asked) -> Self {
        let release = env!("CARGO_PKG_VERSION").to_owned();
        Self { version: VERSION, release, asked, batches: Vec::new(), files: Vec::new() }
    }

    /// As a file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("it has nothing that JSON has not");
        bytes.push(b'\n');
        bytes
    }

    /// Forgets a batch and its files: they are made again.
    pub fn forget(&mut self, batch: &str) {
        self.batches.retain(|known| known.id != batch);
        self.files.retain(|file| file.batch != batch);
    }

    /// The batch of that name.
    pub fn batch(&mut self, id: &str) -> Option<&mut Batch> {
        self.batches.iter_mut().find(|batch| batch.id == id)
    }
}

/// A time of an event, as it stands in the manifest.
pub(super) fn time(nanos: u64) -> String {
    Time(nanos).to_string()
}
