//! Evidence: a slice of the archive around what a finding was computed from, kept beside the book when the archive has long forgotten it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use detect::incident::Told;
use detect::time::{MINUTE, SECOND};
use event::{EntityKind, Incident, IncidentKept, Kind, NodeName};
use serde::{Deserialize, Serialize};

use crate::archive::copy::{CopyError, copy};
use crate::archive::select::Selection;
use crate::archive::store::private_directory;

/// Slices of one incident: of its beginning, of each time that it got worse, and of its returns.
pub const MOST: usize = 8;
/// What is cut before and after, so that one sees how it came.
const MARGIN: u64 = 30 * SECOND;
/// How long after it was asked for a slice is cut at the latest.
const LATEST: u64 = 5 * MINUTE;
/// The longest slice; of a finding that was computed from more, the end.
const LONGEST: u64 = 10 * MINUTE;

/// A slice that is kept, or is still to be cut.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Slice {
    /// Of which incident.
    pub incident: u64,
    /// Its place among those of the incident.
    pub place: u32,
    /// From when to when, nanoseconds since the epoch.
    pub from: u64,
    /// Its end is in it.
    pub to: u64,
    /// The node; empty for all.
    pub node: String,
    /// The peer, if the finding is about one.
    pub peer: Option<u64>,
    /// When it was asked for, by our clock; nanoseconds since the epoch, 0 in what an older release wrote.
    pub asked: u64,
    /// When it was cut, or nobody could; nanoseconds since the epoch, 0 while it is to be.
    pub done: u64,
    /// Name of the file, beside the book; empty if there is none.
    pub file: String,
    /// Events in it.
    pub events: u64,
    /// Its size.
    pub bytes: u64,
    /// Why there is none, or why it is not whole.
    pub problem: String,
}

impl Slice {
    /// The slice that a change of an incident asks for, at this time by our clock.
    pub fn wanted(told: &Told, now: u64) -> Option<Self> {
        let worse = match &told.kind {
            Kind::IncidentOpened(_) | Kind::IncidentReopened(_) => true,
            Kind::IncidentChanged(changed) => changed.worse,
            _ => false,
        };
        let incident = detect::incident::of(&told.kind).filter(|_| worse)?;
        let finding = incident.finding.as_ref()?;
        let times = finding.evidence.iter().map(|evidence| evidence.time).filter(|time| *time > 0);
        let to = times.clone().chain([finding.window_to, told.time]).max()?.saturating_add(MARGIN);
        let from = times.chain([finding.window_from]).filter(|time| *time > 0).min().unwrap_or(told.time).saturating_sub(MARGIN);
        let entity = finding.entity.as_ref().filter(|entity| entity.kind() == EntityKind::Peer);
        Some(Self {
            incident: incident.number,
            from: from.max(to.saturating_sub(LONGEST)),
            to,
            // a peer id says something at this node only
            node: incident.finding_node.clone(),
            peer: entity.and_then(|entity| entity.peer),
            asked: now,
            ..Self::default()
        })
    }

    /// What its file is called, if there is one.
    pub fn name(&self) -> String {
        format!("{:06}-{}.poa", self.incident, self.place)
    }

    /// It, still to be cut, as one that holds what another asks for as well; `None` if it cannot be: it is cut, is of another node or peer, or
    /// would be too long.
    pub fn widened(&self, other: &Self) -> Option<Self> {
        let peer = if self.peer == other.peer { Some(self.peer) } else { self.peer.xor(other.peer).map(|_| None) };
        let (from, to) = (self.from.min(other.from), self.to.max(other.to));
        let fits = self.is_wanted() && self.incident == other.incident && self.node == other.node && to - from <= LONGEST;
        peer.filter(|_| fits).map(|peer| Self { from, to, peer, ..self.clone() })
    }

    /// Whether another asks for the same, whatever became of it.
    pub fn asks_for_as_much(&self, other: &Self) -> bool {
        (self.from, self.to, &self.node, self.peer) == (other.from, other.to, &other.node, other.peer)
    }

    /// Whether it is still to be cut.
    pub fn is_wanted(&self) -> bool {
        self.done == 0
    }

    /// Whether the archive has what there is to cut: it closes a frame after five seconds. The node's clock may be ahead of ours; so it is
    /// due some minutes after it was asked for in any case.
    pub fn is_due(&self, now: u64) -> bool {
        now >= self.to.saturating_add(10 * SECOND) || now >= self.asked.saturating_add(LATEST)
    }

    /// Cuts it out of these recordings into a directory. `room` is how many bytes may be kept; what is larger is given up again.
    pub fn cut(mut self, archives: &[PathBuf], directory: &Path, room: u64, now: u64) -> Self {
        self.done = now;
        if archives.is_empty() {
            "nothing is archived here".clone_into(&mut self.problem);
            return self;
        }
        let name = self.name();
        let to = directory.join(&name);
        let selection = Selection {
            times: self.from..=self.to,
            kinds: None,
            nodes: self.node.parse::<NodeName>().into_iter().collect(),
            peers: self.peer.into_iter().collect(),
        };
        // what a crash left behind is not in the book
        let made = private_directory(directory).and_then(|()| match fs::remove_file(&to) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        });
        let copied = made.map_err(|source| CopyError::Write { path: to.clone(), source });
        match copied.and_then(|()| copy(archives, &selection, &to, now)) {
            Err(CopyError::Empty { .. }) => "the archive holds nothing of this time".clone_into(&mut self.problem),
            Ok(copied) if copied.bytes > room => {
                let _ = fs::remove_file(&to);
                self.problem =
                    format!("it would take {}, which is more than there is room for", crate::archive::amount::Size(copied.bytes));
            }
            Ok(copied) => {
                (self.file, self.events, self.bytes) = (name, copied.events, copied.bytes);
                self.problem = copied.fault.map(|fault| fault.to_string()).unwrap_or_default();
            }
            Err(error) => self.problem = error.to_string(),
        }
        self
    }

    /// What is said of it.
    pub(super) fn kept(&self, incident: Incident) -> Kind {
        let Self { from, to, file, events, bytes, problem, .. } = self.clone();
        IncidentKept { incident: Some(incident), file, from, to, events, bytes, problem }.into()
    }
}

/// Deletes slices that no book knows any more: of incidents that were forgotten, and what a crash left behind. Other files stay.
pub fn sweep(directory: &Path, known: &BTreeSet<String>) -> std::io::Result<u64> {
    let mut swept = 0;
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    for entry in entries {
        let name = entry?.file_name();
        let Some(name) = name.to_str().filter(|name| is_ours(name) && !known.contains(*name)) else { continue };
        fs::remove_file(directory.join(name))?;
        swept += 1;
    }
    Ok(swept)
}

/// Whether a file is called as slices are: `000017-0.poa`.
fn is_ours(name: &str) -> bool {
    let parts = name.strip_suffix(".poa").and_then(|name| name.split_once('-'));
    parts.is_some_and(|(number, place)| {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        number.len() >= 6 && digits(number) && digits(place)
    })
}

/// Where the slices of a book are.
pub fn directory(book: &Path) -> PathBuf {
    let mut name = book.as_os_str().to_owned();
    name.push(".evidence");
    name.into()
}
