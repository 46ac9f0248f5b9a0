//! Which recordings are exported together, and which were exported before.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use event::redact::Redactor;

use super::ExportError;
use super::manifest::{Batch, Input, Manifest};
use crate::archive::segment::{End, ReadError, Segment};
use crate::archive::{input, store};
use crate::target::Checksum;

/// What is to be done.
pub(super) struct Plan {
    pub batches: Vec<Planned>,
    /// Recordings that were exported before.
    pub known: u64,
}

/// A batch that is to be done, or to be ended.
pub(super) struct Planned {
    pub batch: Batch,
    pub files: Vec<PathBuf>,
}

impl Plan {
    /// Events of all batches; 0 where one does not say.
    pub fn total(&self) -> u64 {
        let inputs = || self.batches.iter().flat_map(|planned| &planned.batch.inputs);
        if inputs().all(|input| input.events.is_some()) { inputs().filter_map(|input| input.events).sum() } else { 0 }
    }
}

/// A recording, and where it belongs.
struct Recording {
    file: PathBuf,
    input: Input,
    /// Directory and day, of a segment that does not grow any more.
    together: Option<(PathBuf, u64)>,
}

/// Compares recordings with the manifest. Batches whose recordings have grown are taken out of it, to be made again.
pub(super) fn plan(paths: &[PathBuf], manifest: &mut Manifest, redactor: Option<&Redactor>) -> Result<Plan, ExportError> {
    let mut recordings: Vec<Recording> = Vec::new();
    let mut named = HashSet::new();
    for path in paths {
        for file in input::files(path)? {
            let recording = recording(file, path.is_dir(), redactor)?;
            // who names a directory and a file of it means each event once
            if named.insert(recording.input.path.clone()) {
                recordings.push(recording);
            }
        }
    }
    let mut known = 0;
    let mut rest = Vec::new();
    for recording in recordings {
        let batch = manifest.batches.iter().find(|batch| batch.inputs.iter().any(|input| input.path == recording.input.path));
        let Some(batch) = batch else {
            rest.push(recording);
            continue;
        };
        let same = batch.inputs.iter().any(|input| input.is(&recording.input));
        match (same, batch.finished, batch.inputs.len()) {
            (true, true, _) => known += 1,
            (true, false, _) => rest.push(recording),
            (false, _, 1) => {
                // it was being written
                let id = batch.id.clone();
                manifest.forget(&id);
                rest.push(recording);
            }
            (false, ..) => return Err(ExportError::Replaced { path: recording.file }),
        }
    }
    let mut batches: Vec<Planned> = Vec::new();
    // those that were begun are ended as they were begun
    for batch in manifest.batches.iter().filter(|batch| !batch.finished) {
        let of = |input: &Input| rest.iter().find(|recording| recording.input.is(input)).map(|recording| recording.file.clone());
        let files: Vec<Option<PathBuf>> = batch.inputs.iter().map(of).collect();
        if let Some(files) = files.iter().cloned().collect::<Option<Vec<PathBuf>>>() {
            rest.retain(|recording| !files.contains(&recording.file));
            batches.push(Planned { batch: batch.clone(), files });
        } else if files.iter().any(Option::is_some) {
            let gone = batch.inputs.iter().zip(&files).find(|(_, file)| file.is_none());
            return Err(ExportError::Replaced { path: gone.map(|(input, _)| input.path.clone()).unwrap_or_default() });
        }
    }
    for group in rest.chunk_by(|one, other| one.together.is_some() && one.together == other.together) {
        let inputs: Vec<Input> = group.iter().map(|recording| recording.input.clone()).collect();
        let id = Checksum::of_bytes(inputs[0].path.as_os_str().as_encoded_bytes()).sha256[..8].to_owned();
        let batch = Batch { id, inputs, ..Batch::default() };
        batches.push(Planned { batch, files: group.iter().map(|recording| recording.file.clone()).collect() });
    }
    Ok(Plan { batches, known })
}

/// Nanoseconds of a day.
const DAY: u64 = 86_400_000_000_000;

fn recording(file: PathBuf, of_archive: bool, redactor: Option<&Redactor>) -> Result<Recording, ExportError> {
    let unreadable = |source| ReadError::Open { path: file.clone(), source };
    let bytes = std::fs::metadata(&file).map_err(unreadable)?.len();
    let whole = std::fs::canonicalize(&file).map_err(unreadable)?;
    // what cannot be read is told when its turn comes
    let segment = Segment::open(&file, |_, _| true).ok().flatten();
    let events =
        segment.as_ref().map(|segment| segment.entries.iter().fold(0_u64, |sum, entry| sum.saturating_add(entry.head.events)));
    let finished = segment.is_some_and(|segment| matches!(segment.end, End::Finished | End::Unindexed(_)));
    let together = if of_archive && finished { day(&file).map(|day| (directory(&whole), day)) } else { None };
    let path = match redactor {
        Some(redactor) => redactor.identifier(&whole.display().to_string()).into(),
        None => whole,
    };
    Ok(Recording { file, input: Input { path, bytes, events }, together })
}

fn directory(path: &Path) -> PathBuf {
    path.parent().map_or_else(PathBuf::new, Path::to_owned)
}

/// The day on which a segment was begun, by its name.
fn day(path: &Path) -> Option<u64> {
    store::created(path).map(|created| created / DAY)
}
