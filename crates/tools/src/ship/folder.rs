//! A directory here, a folder there: what is in it, what was sent of it.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::pace::Pace;
use super::{ShipError, shipped};
use crate::archive::store;
use crate::target::{Checksum, Target, TargetError};

/// The form of the manifest.
const VERSION: u32 = 1;

/// A directory whose files are sent.
pub struct Folder {
    directory: PathBuf,
    /// What it is called there.
    name: String,
    /// What tells this machine's directory from another's of the same name.
    origin: String,
    /// What is there; `None` before it was asked for.
    manifest: Option<Manifest>,
    /// Logs that are there, by what they are called here: rotation renames them.
    known: HashSet<(PathBuf, u64, u64)>,
}

/// What became of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It was sent, read back, and is the same.
    Arrived,
    /// It was there already.
    Known,
    /// It was enough for now.
    Waits,
}

/// What a folder there holds.
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Form of this file.
    pub version: u32,
    /// Whose it is.
    pub origin: String,
    /// Its files, by name.
    pub files: BTreeMap<String, Entry>,
}

/// A file that is there: sent, read back, compared.
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Size and checksum.
    #[serde(flatten)]
    pub sum: Checksum,
    /// When it was last written here, nanoseconds since the epoch.
    pub modified: u64,
    /// When it was found to be there, RFC 3339.
    pub shipped: String,
}

/// A file that could be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct File {
    /// Where it is.
    pub path: PathBuf,
    /// What it is called there.
    pub name: String,
    /// Size.
    pub bytes: u64,
    modified: u64,
}

impl Folder {
    /// A directory of a machine.
    pub fn new(directory: &Path, machine: &str) -> Self {
        let whole = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
        let name = format!("{machine}/{}", in_path(whole.display().to_string().trim_start_matches('/')));
        // no identity goes out, only what tells two of them apart; a machine without one cannot be told apart
        let id = fs::read_to_string("/etc/machine-id").unwrap_or_default();
        let origin = Checksum::of_bytes(format!("{} {}", id.trim(), whole.display()).as_bytes()).sha256[..16].to_owned();
        Self { directory: directory.to_owned(), name, origin, manifest: None, known: HashSet::new() }
    }

    /// Its name there.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is here and not there, the oldest first.
    ///
    /// # Errors
    ///
    /// The directory cannot be read, or what is there is somebody else's.
    pub fn new_files(&mut self, target: &Target, place: &str, settled: Duration) -> Result<Vec<File>, ShipError> {
        if self.manifest.is_none() {
            self.manifest = Some(read(target, place, &self.name, &self.origin)?);
        }
        let unreadable = |source| TargetError::Read { path: self.directory.clone(), source };
        let files = self.waiting(settled).map_err(unreadable)?;
        self.known.retain(|(path, ..)| path.exists());
        Ok(files)
    }

    /// What is finished here and, as far as is known here, not there, the oldest first.
    ///
    /// # Errors
    ///
    /// The directory cannot be read.
    pub fn waiting(&self, settled: Duration) -> std::io::Result<Vec<File>> {
        let entry = |file: &File| self.manifest.as_ref().and_then(|manifest| manifest.files.get(&file.name));
        let mut files = finished(&self.directory, settled)?;
        files.retain(|file| {
            let same = |entry: &Entry| entry.sum.bytes == file.bytes && entry.modified == file.modified;
            !entry(file).is_some_and(same) && !self.known.contains(&key(file))
        });
        Ok(files)
    }

    /// Sends a file and reads it back.
    ///
    /// # Errors
    ///
    /// It did not arrive. Nothing here or there says that it did.
    pub fn ship(&mut self, file: &File, target: &Target, pace: &mut Pace, stop: &AtomicBool) -> Result<Outcome, ShipError> {
        let Some(manifest) = &mut self.manifest else { return Ok(Outcome::Waits) };
        let sum = match Checksum::of(&file.path) {
            Ok(sum) => sum,
            // deleted for its age, or renamed
            Err(_) if !file.path.exists() => return Ok(Outcome::Known),
            Err(error) => return Err(error.into()),
        };
        let name = if is_log(&file.name) { log_name(file, &sum) } else { file.name.clone() };
        let outcome = match manifest.files.get(&name) {
            Some(entry) if entry.sum == sum && is_log(&file.name) => {
                self.known.insert(key(file));
                return Ok(Outcome::Known);
            }
            // touched, and the same
            Some(entry) if entry.sum == sum => Outcome::Known,
            _ => {
                let path = format!("{}/{name}", self.name);
                match target.send(&file.path, &path, &sum, &mut |bytes| pace.wait(bytes, stop)) {
                    Err(TargetError::Stopped) => return Ok(Outcome::Waits),
                    sent => sent?,
                }
                target.check(&path, &sum)?;
                Outcome::Arrived
            }
        };
        if state(&file.path) != Some((file.bytes, file.modified)) || sum.bytes != file.bytes {
            return Err(ShipError::Changed { path: file.path.clone() });
        }
        let shipped = jiff::Timestamp::now().to_string();
        let before = manifest.files.insert(name.clone(), Entry { sum, modified: file.modified, shipped });
        let bytes = serde_json::to_vec_pretty(manifest).expect("it has nothing that JSON has not");
        if let Err(error) = target.write(&format!("{}/{NAME}", self.name), &bytes) {
            // what is not listed is not there
            match before {
                Some(before) => manifest.files.insert(name, before),
                None => manifest.files.remove(&name),
            };
            return Err(error.into());
        }
        if is_log(&file.name) {
            self.known.insert(key(file));
        }
        self.list()?;
        Ok(outcome)
    }

    /// Tells retention what is there.
    fn list(&self) -> Result<(), ShipError> {
        let Some(manifest) = &self.manifest else { return Ok(()) };
        let kept = store::segments(&self.directory).unwrap_or_default();
        if kept.is_empty() {
            return Ok(());
        }
        let name = |path: &Path| path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
        let there = |kept: store::Kept| {
            let name = name(&kept.path)?;
            let entry = manifest.files.get(&name)?;
            Some((name, entry.sum.bytes))
        };
        let files = kept.into_iter().filter_map(there).collect();
        let failed = |source| TargetError::Write { path: self.directory.join(shipped::NAME), source };
        Ok(shipped::write(&self.directory, &files).map_err(failed)?)
    }
}

const NAME: &str = "manifest.json";

fn read(target: &Target, place: &str, folder: &str, origin: &str) -> Result<Manifest, ShipError> {
    let wrong = |what: String| ShipError::Manifest { folder: folder.to_owned(), place: place.to_owned(), what };
    let Some(bytes) = target.read(&format!("{folder}/{NAME}"))? else {
        return Ok(Manifest { version: VERSION, origin: origin.to_owned(), files: BTreeMap::new() });
    };
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    if manifest.version != VERSION {
        return Err(wrong(format!("it has version {}, and this release reads {VERSION}", manifest.version)));
    }
    if manifest.origin != origin {
        return Err(ShipError::Taken { folder: folder.to_owned(), place: place.to_owned() });
    }
    Ok(manifest)
}

/// Files that nobody writes to any more: segments but for the one that is being written, logs that were rotated.
fn finished(directory: &Path, settled: Duration) -> std::io::Result<Vec<File>> {
    let mut segments = store::segments(directory)?;
    if store::is_written(directory) {
        segments.pop();
    }
    let mut paths: Vec<PathBuf> = segments.into_iter().map(|kept| kept.path).collect();
    let mut logs: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(is_log) && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            logs.push(entry.path());
        }
    }
    logs.sort();
    paths.extend(logs);
    let now = nanos(SystemTime::now());
    let file = |path: PathBuf| {
        let name = path.file_name()?.to_str()?.to_owned();
        let (bytes, modified) = state(&path)?;
        let quiet = now.saturating_sub(modified) >= u64::try_from(settled.as_nanos()).unwrap_or(u64::MAX);
        quiet.then_some(File { path, name, bytes, modified })
    };
    Ok(paths.into_iter().filter_map(file).collect())
}

/// `debug.log.1`, `debug.log-20260501.gz`, but not the one that grows.
fn is_log(name: &str) -> bool {
    name.strip_prefix("debug.log").is_some_and(|rest| rest.starts_with(['.', '-']))
}

/// What a log is called there: rotation gives its name to another one, so it is called by its time and content.
fn log_name(file: &File, sum: &Checksum) -> String {
    let seconds = i64::try_from(file.modified / 1_000_000_000).unwrap_or(0);
    let time = jiff::Timestamp::from_second(seconds).unwrap_or_default().strftime("%Y%m%dT%H%M%SZ").to_string();
    let extension = ["gz", "zst", "xz"].into_iter().find(|extension| file.name.ends_with(&format!(".{extension}")));
    let extension = extension.map(|extension| format!(".{extension}")).unwrap_or_default();
    format!("debug.log-{time}-{}{extension}", &sum.sha256[..8])
}

fn state(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.len(), nanos(metadata.modified().ok()?)))
}

fn nanos(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

fn key(file: &File) -> (PathBuf, u64, u64) {
    (file.path.clone(), file.bytes, file.modified)
}

/// A name that every file system and store takes.
pub(super) fn in_path(name: &str) -> String {
    let fine = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let name: String = name.chars().map(fine).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_that_were_rotated_are_told_from_the_one_that_grows() {
        for name in ["debug.log.1", "debug.log.2.gz", "debug.log-20260501", "debug.log-20260501.zst"] {
            assert!(is_log(name), "{name}");
        }
        for name in ["debug.log", "debug.logs", "peers.dat", "wallet.dat", "debug"] {
            assert!(!is_log(name), "{name}");
        }
    }

    #[test]
    fn names_are_folders_everywhere() {
        assert_eq!(in_path("var/lib/peer observer"), "var-lib-peer-observer");
        assert_eq!(in_path("../ü"), "-----".get(..4).unwrap());
        assert_eq!(in_path(""), "-");
    }
}
