//! Files that are being made: one per kind, node and day, and another one where that grew large.
//!
//! Rows wait in memory until there are many; then those of the table that has the most are written. How many wait, how many tables and how
//! many files are open is bounded, whatever the recordings hold: a table that has to make room ends its file, and begins another one.

use std::collections::HashMap;
use std::io::{self, Write as _};

use ::parquet::errors::ParquetError;
use ::parquet::file::writer::SerializedFileWriter;
use event::{Event, KindId, NodeName};
use jiff::Timestamp;

use super::account::Counting;
use super::manifest::{FileEntry, Manifest, time};
use super::parquet::{self, Shape};
use super::rows::Rows;
use super::table::tables;
use super::{ExportError, Format, lines};
use crate::target::{Checksum, Growing, Target, TargetError};

/// Nanoseconds of a day.
const DAY: u64 = 86_400_000_000_000;

/// How much is done at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of rows that wait.
    pub waiting: usize,
    /// Tables with rows that wait, or files that are begun.
    pub tables: usize,
    /// Files that are begun.
    pub files: usize,
    /// A file ends when it has so many bytes.
    pub part: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { waiting: 24 << 20, tables: 1024, files: 128, part: 256 << 20 }
    }
}

/// Which table.
type Key = (usize, u64);

/// All files of a batch that are being made.
pub(super) struct Parts<'a> {
    target: &'a Target,
    format: Format,
    limits: Limits,
    batch: String,
    /// By node, then by kind and day.
    nodes: HashMap<String, HashMap<Key, Part>>,
    shapes: Vec<Option<Shape>>,
    /// What is finished of this batch, by path without number: how many files and rows.
    done: HashMap<String, (u32, u64)>,
    waiting: usize,
    tables: usize,
    files: usize,
}

struct Part {
    kind: usize,
    /// Its path, without number and extension.
    stem: String,
    number: u32,
    /// Rows of finished files, which come once more when an export goes on.
    skip: u64,
    rows: u64,
    first: u64,
    last: u64,
    waiting: Rows,
    /// Instead of rows, where tables are lines.
    lines: Vec<u8>,
    file: Option<Begun>,
}

enum Begun {
    Parquet(SerializedFileWriter<Growing>),
    Lines(Growing, u64),
}

impl<'a> Parts<'a> {
    /// Goes on where the manifest says that a batch is.
    pub fn new(target: &'a Target, format: Format, limits: Limits, batch: &str, manifest: &Manifest) -> Self {
        let mut done: HashMap<String, (u32, u64)> = HashMap::new();
        for file in manifest.files.iter().filter(|file| file.batch == batch) {
            let stem = file.path.rsplit_once('-').map_or(&file.path[..], |(stem, _)| stem);
            let (files, rows) = done.entry(stem.to_owned()).or_default();
            (*files, *rows) = (*files + 1, *rows + file.rows);
        }
        let shapes = tables().iter().map(|_| None).collect();
        Self {
            target,
            format,
            limits,
            batch: batch.to_owned(),
            nodes: HashMap::new(),
            shapes,
            done,
            waiting: 0,
            tables: 0,
            files: 0,
        }
    }

    /// Adds an event to its table; `false` for bytes that are none.
    pub fn push(
        &mut self,
        kind: KindId,
        node: &str,
        at: u64,
        event: &[u8],
        manifest: &mut Manifest,
        counting: &mut Counting,
    ) -> Result<bool, ExportError> {
        let key = (kind.index(), at / DAY);
        if self.nodes.get(node).is_none_or(|parts| !parts.contains_key(&key)) {
            self.begin(key, node, manifest, counting)?;
        }
        let part = self.nodes.get_mut(node).and_then(|parts| parts.get_mut(&key)).expect("it was begun");
        if part.skip > 0 {
            part.skip -= 1;
            counting.written(1, 0, 0);
            return Ok(true);
        }
        let table = &tables()[part.kind];
        match self.format {
            Format::Parquet => {
                let before = part.waiting.bytes;
                if !part.waiting.push(table, event) {
                    return Ok(false);
                }
                self.waiting += part.waiting.bytes - before;
            }
            Format::Csv | Format::Json => {
                let Ok(event) = Event::from_bytes(event.to_vec().into()) else { return Ok(false) };
                let before = part.lines.len();
                lines::write(&mut part.lines, self.format, table, &event);
                self.waiting += part.lines.len() - before;
                counting.written(1, 0, 0);
            }
        }
        part.rows += 1;
        (part.first, part.last) = (part.first.min(at), part.last.max(at));
        while self.waiting > self.limits.waiting {
            self.flush_largest(manifest, counting)?;
        }
        while self.files > self.limits.files {
            self.end_largest(manifest, counting)?;
        }
        Ok(true)
    }

    fn begin(&mut self, key: Key, node: &str, manifest: &mut Manifest, counting: &mut Counting) -> Result<(), ExportError> {
        while self.tables >= self.limits.tables {
            self.end_largest(manifest, counting)?;
        }
        let table = &tables()[key.0];
        let stem = format!("{}/day={}/node={}/{}", table.name, day(key.1), in_path(node), self.batch);
        let (number, skip) = self.done.get(&stem).copied().unwrap_or_default();
        // what was written by now is not skipped once more
        self.done.entry(stem.clone()).or_default().1 = 0;
        let waiting = Rows::new(table);
        let part =
            Part { kind: key.0, stem, number, skip, rows: 0, first: u64::MAX, last: 0, waiting, lines: Vec::new(), file: None };
        self.nodes.entry(node.to_owned()).or_default().insert(key, part);
        self.tables += 1;
        Ok(())
    }

    /// Writes the rows of the table that has the most.
    fn flush_largest(&mut self, manifest: &mut Manifest, counting: &mut Counting) -> Result<(), ExportError> {
        let Some((node, key)) = self.most(Part::waits) else { return Ok(()) };
        let part = self.nodes.get_mut(&node).and_then(|parts| parts.get_mut(&key)).expect("it was found there");
        self.waiting -= part.waits();
        self.files += usize::from(part.file.is_none());
        part.flush(self.target, self.format, &mut self.shapes, counting)?;
        if part.written() >= self.limits.part {
            self.end(&node, key, manifest, counting)?;
        }
        Ok(())
    }

    /// Ends the file that has the most bytes, or else the table that has the most rows.
    fn end_largest(&mut self, manifest: &mut Manifest, counting: &mut Counting) -> Result<(), ExportError> {
        let Some((node, key)) = self.most(|part| (part.file.is_some(), part.written(), part.rows)) else { return Ok(()) };
        self.end(&node, key, manifest, counting)
    }

    fn most<T: Ord>(&self, of: impl Fn(&Part) -> T) -> Option<(String, Key)> {
        let all = self.nodes.iter().flat_map(|(node, parts)| parts.iter().map(move |(key, part)| (node, key, part)));
        all.max_by_key(|(_, _, part)| of(part)).map(|(node, key, _)| (node.clone(), *key))
    }

    /// Ends all files.
    pub fn finish(mut self, manifest: &mut Manifest, counting: &mut Counting, saved: &mut Saved) -> Result<(), ExportError> {
        let mut all: Vec<(String, Key)> =
            self.nodes.iter().flat_map(|(node, parts)| parts.keys().map(|key| (node.clone(), *key))).collect();
        all.sort_unstable();
        for (node, key) in all {
            self.end(&node, key, manifest, counting)?;
            saved.now_and_then(manifest, self.target)?;
        }
        // there were more rows than there are now
        match self.done.into_iter().find(|(_, (_, skip))| *skip > 0) {
            Some((stem, _)) => Err(ExportError::Changed { stem }),
            None => Ok(()),
        }
    }

    fn end(&mut self, node: &str, key: Key, manifest: &mut Manifest, counting: &mut Counting) -> Result<(), ExportError> {
        let Some(parts) = self.nodes.get_mut(node) else { return Ok(()) };
        let Some(mut part) = parts.remove(&key) else { return Ok(()) };
        if parts.is_empty() {
            self.nodes.remove(node);
        }
        self.tables -= 1;
        self.waiting -= part.waits();
        self.files -= usize::from(part.file.is_some());
        if part.skip > 0 {
            self.done.insert(part.stem, (part.number, part.skip));
            return Ok(());
        }
        if part.rows == 0 {
            return Ok(());
        }
        if part.waits() > 0 {
            part.flush(self.target, self.format, &mut self.shapes, counting)?;
        }
        let name = self.format.name(&part.stem, part.number);
        let Some(file) = part.file.take() else { return Ok(()) };
        let sum = close(file, &name, self.target)?;
        // an export that ends too early goes on behind it
        self.done.insert(part.stem.clone(), (part.number + 1, 0));
        manifest.files.push(entry(part, name, node, &self.batch, sum));
        Ok(())
    }
}

fn close(file: Begun, name: &str, target: &Target) -> Result<Checksum, ExportError> {
    let growing = match file {
        Begun::Parquet(writer) => {
            let (path, failure) = (writer.inner().path().to_owned(), writer.inner().failure());
            // ends the file, too
            writer.into_inner().map_err(|error| match failure.error() {
                Some(source) => TargetError::Write { path, source }.into(),
                None => unwritten(path, error),
            })?
        }
        Begun::Lines(growing, _) => growing,
    };
    Ok(target.finish(name, growing)?)
}

fn entry(part: Part, path: String, node: &str, batch: &str, sum: Checksum) -> FileEntry {
    let day = part.first / DAY;
    FileEntry {
        path,
        kind: tables()[part.kind].id.name().to_owned(),
        node: in_path(node),
        day: self::day(day),
        batch: batch.to_owned(),
        rows: part.rows,
        first: time(part.first),
        last: time(part.last),
        sum,
    }
}

impl Part {
    fn written(&self) -> u64 {
        match &self.file {
            Some(Begun::Parquet(writer)) => writer.bytes_written() as u64,
            Some(Begun::Lines(_, bytes)) => *bytes,
            None => 0,
        }
    }

    /// Bytes that wait.
    fn waits(&self) -> usize {
        self.waiting.bytes + self.lines.len()
    }

    fn flush(
        &mut self,
        target: &Target,
        format: Format,
        shapes: &mut [Option<Shape>],
        counting: &mut Counting,
    ) -> Result<(), ExportError> {
        let table = &tables()[self.kind];
        counting.written(self.waiting.rows as u64, self.waiting.unfit, self.waiting.unknown);
        let name = format.name(&self.stem, self.number);
        if format != Format::Parquet {
            let (file, bytes) = match &mut self.file {
                Some(Begun::Lines(file, bytes)) => (file, bytes),
                none => {
                    let mut growing = target.begin(&name)?;
                    let head = lines::head(format, table);
                    put(&mut growing, head.as_bytes())?;
                    let Begun::Lines(file, bytes) = none.insert(Begun::Lines(growing, head.len() as u64)) else { return Ok(()) };
                    (file, bytes)
                }
            };
            *bytes += self.lines.len() as u64;
            put(file, &self.lines)?;
            self.lines.clear();
            return Ok(());
        }
        let shape = match &mut shapes[self.kind] {
            Some(shape) => shape,
            none => none.insert(Shape::of(table).map_err(|error| unwritten(name.clone().into(), error))?),
        };
        let writer = match &mut self.file {
            Some(Begun::Parquet(writer)) => writer,
            file => {
                let growing = target.begin(&name)?;
                let path = growing.path().to_owned();
                let writer = shape.begin(growing).map_err(|error| unwritten(path, error))?;
                let Begun::Parquet(writer) = file.insert(Begun::Parquet(writer)) else { return Ok(()) };
                writer
            }
        };
        let path = writer.inner().path().to_owned();
        parquet::write(writer, table, &mut self.waiting).map_err(|error| unwritten(path, error))
    }
}

fn put(file: &mut Growing, bytes: &[u8]) -> Result<(), ExportError> {
    let path = file.path().to_owned();
    file.write_all(bytes).map_err(|source| TargetError::Write { path, source }.into())
}

fn unwritten(path: std::path::PathBuf, error: ParquetError) -> ExportError {
    let source = match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => io::Error::other(error),
        },
        error => io::Error::other(error),
    };
    TargetError::Write { path, source }.into()
}

/// The manifest is written now and then, so that little is made twice.
pub(super) struct Saved {
    last: std::time::Instant,
}

/// How often at most.
const SAVE: std::time::Duration = std::time::Duration::from_secs(5);

impl Saved {
    /// Begins to count.
    pub fn new() -> Self {
        Self { last: std::time::Instant::now() }
    }

    /// Writes it, if that was a while ago.
    pub fn now_and_then(&mut self, manifest: &Manifest, target: &Target) -> Result<(), ExportError> {
        if self.last.elapsed() >= SAVE {
            target.write(super::manifest::NAME, &manifest.to_bytes())?;
            self.last = std::time::Instant::now();
        }
        Ok(())
    }
}

/// A day, counted from 1970, as `2026-05-01`.
fn day(number: u64) -> String {
    let seconds = i64::try_from(number.saturating_mul(86_400)).unwrap_or(i64::MAX);
    // 64 bits of nanoseconds end in the year 2554
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX).strftime("%Y-%m-%d").to_string()
}

/// A node's name as a part of a path. Names of nodes are; what a recording has instead is written in hex where it is none.
fn in_path(node: &str) -> String {
    const NONE: &str = "__HIVE_DEFAULT_PARTITION__";
    match node.parse::<NodeName>() {
        Ok(name) => name.as_str().to_owned(),
        Err(_) if node.is_empty() => NONE.to_owned(),
        Err(_) => {
            let sum = Checksum::of_bytes(node.as_bytes());
            format!("no-name-{}", &sum.sha256[..16])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leaves_its_place() {
        assert_eq!(in_path("alice-1"), "alice-1");
        assert_eq!(in_path(""), "__HIVE_DEFAULT_PARTITION__");
        for name in ["../../etc", "a/b", "a=b", "\u{202e}", "con:", &"x".repeat(300)] {
            assert!(in_path(name).parse::<NodeName>().is_ok(), "{name}");
        }
    }

    #[test]
    fn days_have_dates() {
        assert_eq!(day(0), "1970-01-01");
        assert_eq!(day(1_750_000_000_000_000_000 / DAY), "2025-06-15");
        assert_eq!(day(u64::MAX / DAY), "2554-07-21");
    }
}
