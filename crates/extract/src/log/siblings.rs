//! Files that were the log for so short a time that nobody saw them under its name.
//!
//! Somebody rotates faster than we look, or we did not run for a while. Such a file lies beside the log now, under another name: it is
//! new, and goes on where what was read ends.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::place::{self, FileId, Target};
use super::tail::Tail;

/// More files than this beside a log are not looked at.
const MOST: usize = 1000;

/// So often a folder is listed until it is twice the same.
const TRIES: usize = 8;

/// Within so many bytes there is a line with a time.
const BEGINNING: usize = 16 << 10;

/// The first time in a file that has none.
const NEVER: u64 = u64::MAX;

/// A file that was the log.
#[derive(Debug)]
pub(super) struct Sibling {
    pub(super) file: File,
    pub(super) id: FileId,
    /// What was the log earlier is less: when it was made, where the filesystem knows, and its first time. One that has none yet is last:
    /// filesystems have coarse clocks.
    pub(super) order: (u64, u64),
}

impl Sibling {
    pub(super) fn new(file: File) -> io::Result<Self> {
        let id = place::id(&file.metadata()?);
        let order = (id.created, first_time(&file)?.unwrap_or(NEVER));
        Ok(Self { file, id, order })
    }
}

/// The files beside a log whose names begin with its own, as they were at some time.
#[derive(Debug, Default)]
pub(super) struct Siblings {
    known: BTreeSet<FileId>,
}

impl Siblings {
    /// What lies beside the log now; all of it is old.
    pub(super) fn of(target: &Target) -> Self {
        Self { known: list(target).into_iter().map(|(id, _)| id).collect() }
    }

    /// Opens the files that were the log since the last call, in no order. What was read until then, of the file `current`, ends with `tail`
    /// at `position`; `held` are the files that we have. The one that has the log's name now is left for the next look.
    pub(super) fn missed(&mut self, target: &Target, current: &File, tail: &Tail, position: u64, held: &[FileId]) -> Vec<Sibling> {
        // where nothing was read yet, what is older than its first line is old
        let since = tail.last_time().or_else(|| first_time(current).ok()?);
        let mut judged = BTreeMap::new();
        let mut ids = BTreeSet::new();
        // while somebody renames files, a list may lack one, or have a name that is another's by now
        for _ in 0..TRIES {
            let mut now = list(target);
            now.retain(|(_, path)| Some(path.as_path()) != target.path());
            let before = std::mem::replace(&mut ids, now.iter().map(|(id, _)| *id).collect());
            now.retain(|(id, _)| !self.known.contains(id) && !held.contains(id) && !judged.contains_key(id));
            let mut settled = before == ids;
            for (id, path) in now {
                // as careful as with the log itself
                match target.at(&path).open().and_then(Sibling::new) {
                    Ok(sibling) if sibling.id == id => {
                        let missed = goes_on(&sibling, tail, position, since);
                        judged.insert(id, missed.then_some(sibling));
                    }
                    Err(error) if error.kind() != io::ErrorKind::NotFound => drop(judged.insert(id, None)),
                    _ => settled = false,
                }
            }
            if settled {
                break;
            }
        }
        self.known.retain(|id| ids.contains(id));
        self.known.extend(judged.keys().chain(held));
        judged.into_values().flatten().collect()
    }
}

/// Regular files.
fn list(target: &Target) -> Vec<(FileId, PathBuf)> {
    let Some((folder, name)) = target.path().and_then(|path| Some((path.parent()?, path.file_name()?))) else { return Vec::new() };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    // a folder that may not be read has nothing for us
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().as_bytes().starts_with(name.as_bytes()));
    let sibling = |entry: std::fs::DirEntry| {
        let metadata = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
        Some((place::id(&metadata), entry.path()))
    };
    named.filter_map(sibling).take(MOST).collect()
}

/// Whether a file begins after what was read: not a copy of it, something older, or where it cannot be told.
fn goes_on(sibling: &Sibling, tail: &Tail, position: u64, since: Option<u64>) -> bool {
    let is_copy = tail.find(&sibling.file, position).map_or(true, |place| place.is_some());
    let (_, first) = sibling.order;
    !is_copy && first != NEVER && since.map_or(position == 0, |since| first >= since)
}

/// The first time in a file. What is compressed has none.
fn first_time(file: &File) -> io::Result<Option<u64>> {
    let mut beginning = vec![0; BEGINNING];
    let length = file.read_at(&mut beginning, 0)?;
    Ok(beginning[..length].split(|byte| *byte == b'\n').find_map(|line| event::log::split(line).time))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Seek as _};
    use tempfile::TempDir;

    fn line(second: u32) -> String {
        format!("2026-01-01T00:00:{second:02}Z a line\n")
    }

    /// A file that is deleted gives its inode to the next.
    #[test]
    fn a_file_with_the_inode_of_one_that_was_known_is_new() {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        let target = Target::Told(path("debug.log"));
        std::fs::write(path("debug.log"), line(1)).unwrap();
        let current = File::open(path("debug.log")).unwrap();
        let tail = Tail::before(line(1).len() as u64, &current).unwrap();
        let held = [place::id(&current.metadata().unwrap())];
        let mut reused = 0;
        for _ in 0..20 {
            std::fs::write(path("debug.log.3"), line(0)).unwrap();
            let before = place::id(&path("debug.log.3").metadata().unwrap());
            if before.created == 0 {
                return testkit::skipped("a filesystem that does not know when a file was made");
            }
            let mut siblings = Siblings::of(&target);
            std::fs::remove_file(path("debug.log.3")).unwrap();
            // the clock of a filesystem is coarse
            let after = loop {
                std::fs::write(path("debug.log.2"), line(2)).unwrap();
                let after = place::id(&path("debug.log.2").metadata().unwrap());
                if after.created != before.created {
                    break after;
                }
                std::fs::remove_file(path("debug.log.2")).unwrap();
            };
            reused += u32::from(after.inode == before.inode);
            assert_eq!(siblings.missed(&target, &current, &tail, line(1).len() as u64, &held).len(), 1);
            std::fs::remove_file(path("debug.log.2")).unwrap();
        }
        if reused == 0 {
            testkit::skipped("a filesystem that gives no inode again");
        }
    }

    #[test]
    fn what_goes_on_where_we_were_was_the_log() {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        let target = Target::Told(path("debug.log"));
        let read = line(1).repeat(100) + &line(10);
        let position = read.len() as u64;
        std::fs::write(path("debug.log.1"), &read).unwrap();
        std::fs::write(path("debug.log.9"), line(20)).unwrap();
        let mut siblings = Siblings::of(&target);
        let current = File::open(path("debug.log.1")).unwrap();
        let tail = Tail::before(position, &current).unwrap();
        std::fs::write(path("debug.log"), line(13)).unwrap();
        let seen = ["debug.log", "debug.log.1"].map(|name| place::id(&path(name).metadata().unwrap()));
        // a copy, something older, something else, something of another name
        std::fs::write(path("debug.log.copy"), &read).unwrap();
        std::fs::write(path("debug.log.old"), line(9)).unwrap();
        std::fs::write(path("debug.log.gz"), [0x1f, 0x8b, 8, 0]).unwrap();
        std::fs::write(path("other.log"), line(11)).unwrap();
        // two that we did not see
        std::fs::write(path("debug.log.3"), line(11)).unwrap();
        std::fs::write(path("debug.log.2"), line(12)).unwrap();
        let text = |sibling: Sibling| {
            let (mut text, mut file) = (String::new(), sibling.file);
            file.rewind().unwrap();
            file.read_to_string(&mut text).unwrap();
            text
        };
        let mut missed = siblings.missed(&target, &current, &tail, position, &seen);
        missed.sort_by_key(|sibling| sibling.order);
        assert_eq!(missed.into_iter().map(text).collect::<Vec<_>>(), [line(11), line(12)]);
        assert!(siblings.missed(&target, &current, &tail, position, &seen).is_empty(), "they are known now");
    }
}
