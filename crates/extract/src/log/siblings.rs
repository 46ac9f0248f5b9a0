//! Files that were the log for so short a time that nobody saw them under its name.
//!
//! Somebody rotates faster than we look, or we did not run for a while. Such a file lies beside the log now, under another name: it is
//! new, and goes on where what was read ends.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::place::{self, FileId, Target};
use super::tail::Tail;

/// More files than this beside a log are not looked at.
const MOST: usize = 1000;

/// Within so many bytes there is a line with a time.
const BEGINNING: usize = 16 << 10;

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

    /// Opens the files that were the log since the last call, in the order of their first lines. What was read until then ends with `tail`
    /// at `position`; `seen` are the files that we have.
    pub(super) fn missed(&mut self, target: &Target, tail: &Tail, position: u64, seen: &[FileId]) -> Vec<File> {
        let mut now = list(target);
        let before = std::mem::replace(&mut self.known, now.iter().map(|(id, _)| *id).collect());
        now.retain(|(id, _)| !before.contains(id) && !seen.contains(id));
        let opened = |(id, path): (FileId, PathBuf)| {
            // as careful as with the log itself
            let file = target.at(&path).open().ok()?;
            let same = file.metadata().is_ok_and(|metadata| place::id(&metadata) == id);
            // times of files are too coarse to order them by
            let first = goes_on(&file, tail, position).filter(|_| same)?;
            Some((first, file))
        };
        let mut missed: Vec<(u64, File)> = now.into_iter().filter_map(opened).collect();
        missed.sort_by_key(|(first, _)| *first);
        missed.into_iter().map(|(_, file)| file).collect()
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

/// The first time in a file that begins after what was read; nothing of a copy of it, of something older, and where it cannot be told.
fn goes_on(file: &File, tail: &Tail, position: u64) -> Option<u64> {
    if tail.find(file, position).ok()?.is_some() {
        return None;
    }
    let first = first_time(file).ok()??;
    (position == 0 || first >= tail.last_time()?).then_some(first)
}

/// Of the first line that has one. What is compressed has none.
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
        let text = |mut file: File| {
            let mut text = String::new();
            file.rewind().unwrap();
            file.read_to_string(&mut text).unwrap();
            text
        };
        let missed: Vec<String> = siblings.missed(&target, &tail, position, &seen).into_iter().map(text).collect();
        assert_eq!(missed, [line(11), line(12)]);
        assert!(siblings.missed(&target, &tail, position, &seen).is_empty(), "they are known now");
    }
}
