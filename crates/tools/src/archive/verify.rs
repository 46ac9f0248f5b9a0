//! `archive verify`: every checksum, every event, every gap.

use std::path::{Path, PathBuf};

use event::Event;
use event::archive::Unpacker;
use event::archive::segment::Entry;

use super::info::{Info, Summary};
use super::input;
use super::progress::Progress;
use super::segment::{End, ReadError, Segment};
use super::sequences::Counting;
use super::store;

/// What came of it.
#[derive(Debug)]
pub struct Verified {
    /// What the recording is; its faults are all that were found.
    pub info: Info,
    /// Events that were read back.
    pub events: u64,
}

impl Verified {
    /// Whether everything that was written is there.
    pub fn is_whole(&self) -> bool {
        self.info.faults.is_empty() && self.info.missing() == 0 && self.info.lost.is_empty()
    }
}

/// Reads everything, and compares it with what its heads say.
///
/// # Errors
///
/// A recording cannot be opened, or is none.
pub fn verify(paths: &[PathBuf]) -> Result<Verified, ReadError> {
    verify_watched(paths, &Progress::default())
}

/// As [`verify()`]; `progress` is how much was read.
///
/// # Errors
///
/// As [`verify()`].
pub fn verify_watched(paths: &[PathBuf], progress: &Progress) -> Result<Verified, ReadError> {
    let mut summary = Summary::watched(progress);
    let mut events = 0;
    let mut unread = Vec::new();
    let look = |file: &Path| match Segment::scanned(file) {
        Ok(Some(segment)) => {
            events += frames(&segment, &mut summary, progress);
            Ok(())
        }
        Ok(None) => Ok(()),
        Err(ReadError::Foreign { empty: false, .. }) => summary.first_form(file),
        Err(error) => Err(error),
    };
    input::each_file(paths, look, |error| unread.push(error))?;
    if progress.is_stopped() {
        return Err(ReadError::Stopped);
    }
    unread.iter().for_each(|error| summary.fault(error));
    let info = summary.finish();
    // one of the first form was counted with its events
    let events = if info.files.iter().all(|file| file.frames.is_some()) { events } else { info.events };
    Ok(Verified { info, events })
}

fn frames(segment: &Segment, summary: &mut Summary, progress: &Progress) -> u64 {
    summary.segment(segment);
    if let End::Torn(offset) = segment.end
        && !is_written(&segment.path)
    {
        summary.fault(&segment.damaged(offset, "it ends in the middle of a frame"));
    }
    let mut decompressor = zstd::bulk::Decompressor::new().expect("there is memory for it");
    let mut events = 0;
    for entry in segment.entries.iter().take_while(|_| !progress.is_stopped()) {
        match frame(segment, entry, &mut decompressor, summary) {
            Ok(counting) => {
                summary.head(&entry.head, counting.stretches());
                events += entry.head.events;
            }
            Err(error) => summary.fault(&error),
        }
        progress.add(entry.end() - entry.place);
    }
    events
}

/// Whether somebody is about to write the rest of it.
fn is_written(segment: &Path) -> bool {
    let directory = segment.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let last =
        store::segments(directory).ok().and_then(|kept| kept.last().map(|kept| kept.path.file_name() == segment.file_name()));
    last == Some(true) && store::is_written(directory)
}

/// Reads a frame to its end; which sequences it has.
fn frame(
    segment: &Segment,
    entry: &Entry,
    decompressor: &mut zstd::bulk::Decompressor<'_>,
    summary: &mut Summary,
) -> Result<Counting, ReadError> {
    let body = segment.body(entry)?;
    let damaged = |what: &dyn std::fmt::Display| segment.damaged(entry.place, &what.to_string());
    let mut unpacker = Unpacker::new(&entry.head, &body, decompressor).map_err(|damage| damaged(&damage))?;
    let mut counting = Counting::new(&entry.head);
    let (mut events, mut bytes, mut out) = (0, 0, Vec::new());
    while let Some(envelope) = unpacker.next(&mut out).map_err(|damage| damaged(&damage))? {
        counting.push(envelope.stream, envelope.sequence);
        events += 1;
        bytes += out.len() as u64;
        let event = Event::from_bytes(std::mem::take(&mut out).into()).map_err(|error| damaged(&error))?;
        summary.lost(&event);
    }
    if (events, bytes) == (entry.head.events, entry.head.bytes) {
        Ok(counting)
    } else {
        Err(damaged(&"a frame with other events than its head says"))
    }
}
