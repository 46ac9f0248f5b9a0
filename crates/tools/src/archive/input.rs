//! Recordings as input: files of either form, and directories of segments, as one stream of events.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use event::Event;
use event::archive::Unpacker;
use event::archive::segment::Entry;
use event::recording::Reader;

use super::progress::Progress;
use super::segment::{End, ReadError, Segment};
use super::select::Selection;
use super::store;

/// The first bytes of a recording of the first form: a zstd frame (RFC 8878, section 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Events are put together in pieces of about so many bytes: they share one allocation.
const PIECE: usize = 128 << 10;

/// An event by its bytes.
#[derive(Clone, Debug)]
pub struct Raw {
    /// When it happened, nanoseconds since the epoch.
    pub time: u64,
    /// As protobuf.
    pub bytes: Bytes,
}

impl Raw {
    /// The event; `None` for bytes that are none, which a reader has sorted out.
    pub fn event(&self) -> Option<Event> {
        Event::from_bytes(self.bytes.clone()).ok()
    }
}

/// Opens recordings: files, or directories of segments. What is selected of them comes merged by time; the order within one recording
/// stays as it is.
///
/// # Errors
///
/// One of them cannot be read, or is no recording.
pub fn open(paths: &[PathBuf], selection: &Selection) -> Result<Opened, ReadError> {
    open_watched(paths, selection, &Progress::default())
}

/// As [`open`]; `progress` is how much was read.
///
/// # Errors
///
/// As [`open`].
pub fn open_watched(paths: &[PathBuf], selection: &Selection, progress: &Progress) -> Result<Opened, ReadError> {
    let selection = Arc::new(selection.clone());
    let input = |path: &PathBuf| Input::open(path, Arc::clone(&selection), progress.clone());
    Ok(Opened { inputs: paths.iter().map(input).collect::<Result<Vec<_>, _>>()?, progress: progress.clone() })
}

/// Recordings of which nothing was read yet.
pub struct Opened {
    inputs: Vec<Input>,
    progress: Progress,
}

impl Opened {
    /// The events themselves, without a detour through their bytes. Those of a kind that this release does not know have none.
    pub fn events(self) -> Merged<Event> {
        Merged::new(self)
    }
}

/// Their bytes, as whoever recorded them knew them.
impl IntoIterator for Opened {
    type Item = Result<Raw, ReadError>;
    type IntoIter = Merged<Raw>;

    fn into_iter(self) -> Merged<Raw> {
        Merged::new(self)
    }
}

/// When the earliest of these recordings begins, nanoseconds since the epoch; 0 if there are no events.
///
/// # Errors
///
/// As [`open`], or the beginning of one cannot be read.
pub fn beginning(paths: &[PathBuf]) -> Result<u64, ReadError> {
    let mut earliest = None;
    let look = |file: &Path| {
        let first = match Segment::open(file, |_, _| true) {
            Ok(segment) => segment.and_then(|segment| segment.entries.iter().map(|entry| entry.head.first).min()),
            Err(ReadError::Foreign { empty: false, .. }) => {
                FirstForm::open(file, Progress::default())?.next().transpose()?.map(|event| event.time)
            }
            Err(error) => return Err(error),
        };
        earliest = earliest.into_iter().chain(first).min();
        Ok(())
    };
    each_file(paths, look, told_later)?;
    Ok(earliest.unwrap_or(0))
}

/// When the first and the last event of these recordings happened, as far as their frames say it: `None` if one of them is of the first
/// form, or no recording of ours, and has to be read to know.
///
/// # Errors
///
/// As [`open`].
pub fn span(paths: &[PathBuf]) -> Result<Option<(u64, u64)>, ReadError> {
    let mut span: Option<(u64, u64)> = None;
    let mut headless = false;
    let look = |file: &Path| {
        let entries = match Segment::open(file, |_, _| true) {
            Ok(segment) => segment.map(|segment| segment.entries).unwrap_or_default(),
            Err(ReadError::Foreign { empty: false, .. }) => {
                headless = true;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        for head in entries.iter().map(|entry| &entry.head) {
            let (first, last) = span.unwrap_or((head.first, head.last));
            span = Some((first.min(head.first), last.max(head.last)));
        }
        Ok(())
    };
    each_file(paths, look, told_later)?;
    Ok(span.filter(|_| !headless))
}

/// Looks at each file of some recordings. One segment of a directory that cannot be read does not hold up the others; `unread` is told
/// of it.
///
/// # Errors
///
/// There is no such recording, or nothing of it can be read.
pub(crate) fn each_file(
    paths: &[PathBuf],
    mut look: impl FnMut(&Path) -> Result<(), ReadError>,
    mut unread: impl FnMut(ReadError),
) -> Result<(), ReadError> {
    for path in paths {
        let files = files(path)?;
        let mut bad = 0;
        for file in &files {
            if let Err(error) = look(file) {
                bad += 1;
                if bad == files.len() {
                    return Err(error);
                }
                unread(error);
            }
        }
    }
    Ok(())
}

/// What cannot be read is told by whoever reads all of it.
pub(crate) fn told_later(error: ReadError) {
    tracing::debug!(%error, "passed over for now");
}

/// The files of a recording: itself, or the segments of a directory in their order.
///
/// # Errors
///
/// It is not there, or there are none.
pub fn files(path: &Path) -> Result<Vec<PathBuf>, ReadError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let kept = store::segments(path).map_err(|source| ReadError::Open { path: path.to_owned(), source })?;
    if kept.is_empty() {
        return Err(ReadError::Nothing { path: path.to_owned() });
    }
    Ok(kept.into_iter().map(|kept| kept.path).collect())
}

/// What can be read of an event.
trait Reading: Sized {
    fn time(&self) -> u64;

    /// The next of a segment; goes on after an error.
    fn of_segment(frames: &mut Frames) -> Option<Result<Self, ReadError>>;

    fn of_event(event: Event) -> Self;
}

impl Reading for Raw {
    fn time(&self) -> u64 {
        self.time
    }

    fn of_segment(frames: &mut Frames) -> Option<Result<Self, ReadError>> {
        frames.next_with(|frames| frames.ready.pop_front(), Frames::piece)
    }

    fn of_event(event: Event) -> Self {
        Self { time: event.time, bytes: event.to_bytes() }
    }
}

impl Reading for Event {
    fn time(&self) -> u64 {
        self.time
    }

    fn of_segment(frames: &mut Frames) -> Option<Result<Self, ReadError>> {
        frames.next_with(Frames::event, |_| Ok(()))
    }

    fn of_event(event: Event) -> Self {
        event
    }
}

/// A recording that is being read: what is selected of it.
///
/// What cannot be read is passed over, and told at the end, so that everything else was read before.
pub struct Input {
    files: VecDeque<PathBuf>,
    selection: Arc<Selection>,
    current: Option<Current>,
    fault: Option<ReadError>,
    progress: Progress,
}

enum Current {
    Segment(Box<Frames>),
    First(Box<FirstForm>),
}

impl Input {
    /// Opens a file or a directory.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is no recording.
    fn open(path: &Path, selection: Arc<Selection>, progress: Progress) -> Result<Self, ReadError> {
        let mut input = Self { files: files(path)?.into(), selection, current: None, fault: None, progress };
        // what is wrong with a file should be known before anything starts; where there are more, they are read all the same
        while let Err(error) = input.advance() {
            if input.files.is_empty() {
                return Err(input.fault.take().unwrap_or(error));
            }
            input.fault(error);
        }
        Ok(input)
    }

    /// On to the next file in which something could be wanted; `false` behind the last one.
    fn advance(&mut self) -> Result<bool, ReadError> {
        self.current = None;
        while let Some(path) = self.files.pop_front() {
            match Segment::open(&path, |first, last| self.selection.span(first, last)) {
                Ok(None) => {
                    self.progress.add(path.metadata().map_or(0, |metadata| metadata.len()));
                    continue;
                }
                Ok(Some(segment)) => {
                    let frames = Frames::new(segment, Arc::clone(&self.selection), self.progress.clone());
                    self.current = Some(Current::Segment(Box::new(frames)));
                }
                Err(ReadError::Foreign { empty: false, .. }) => {
                    self.current = Some(Current::First(Box::new(FirstForm::open(&path, self.progress.clone())?)));
                }
                Err(error) => return Err(error),
            }
            return Ok(true);
        }
        Ok(false)
    }

    fn fault(&mut self, error: ReadError) {
        match self.fault {
            // told at the end
            None => self.fault = Some(error),
            Some(_) => tracing::warn!(%error, "passed over what cannot be read"),
        }
    }
}

impl Input {
    fn next<T: Reading>(&mut self) -> Option<Result<T, ReadError>> {
        loop {
            if self.progress.is_stopped() {
                return None;
            }
            let next = match &mut self.current {
                None => None,
                Some(Current::Segment(frames)) => T::of_segment(frames),
                Some(Current::First(first)) => {
                    let wanted = first.find(|event| event.as_ref().map_or(true, |event| self.selection.event(event)));
                    wanted.map(|event| event.map(T::of_event))
                }
            };
            match next {
                Some(Ok(event)) => return Some(Ok(event)),
                Some(Err(error)) => self.fault(error),
                None => match self.advance() {
                    Ok(true) => {}
                    Ok(false) => return self.fault.take().map(Err),
                    Err(error) => self.fault(error),
                },
            }
        }
    }
}

/// What is selected of a segment. Goes on after an error.
struct Frames {
    segment: Segment,
    selection: Arc<Selection>,
    entries: VecDeque<Entry>,
    /// The frame that is being read, and the nodes of its streams.
    frame: Option<(Unpacker, Vec<String>)>,
    place: u64,
    ready: VecDeque<Raw>,
    faults: VecDeque<ReadError>,
    decompressor: zstd::bulk::Decompressor<'static>,
    progress: Progress,
}

impl Frames {
    fn new(mut segment: Segment, selection: Arc<Selection>, progress: Progress) -> Self {
        let entries = std::mem::take(&mut segment.entries).into();
        let faults = segment.faults.iter().map(|fault| segment.damaged(fault.offset, &fault.what)).collect();
        if let End::Torn(offset) = segment.end {
            // what a writer leaves behind that was ended; nothing is known to be missing
            tracing::warn!(path = %segment.path.display(), offset, "the recording ends in the middle of a frame");
        }
        let decompressor = zstd::bulk::Decompressor::new().expect("there is memory for it");
        Self { segment, selection, entries, frame: None, place: 0, ready: VecDeque::new(), faults, decompressor, progress }
    }

    /// The next of what `ready` gives, after `more` had a look at the frame that is open.
    fn next_with<T>(
        &mut self,
        mut ready: impl FnMut(&mut Self) -> Option<T>,
        mut more: impl FnMut(&mut Self) -> Result<(), ReadError>,
    ) -> Option<Result<T, ReadError>> {
        loop {
            if let Some(fault) = self.faults.pop_front() {
                return Some(Err(fault));
            }
            if let Some(ready) = ready(self) {
                return Some(Ok(ready));
            }
            // what went wrong comes first
            if !self.faults.is_empty() {
                continue;
            }
            match self.fill() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => self.faults.push_back(error),
            }
            if let Err(error) = more(self) {
                self.faults.push_back(error);
            }
        }
    }

    /// Opens the next frame where none is open; `false` at the end.
    fn fill(&mut self) -> Result<bool, ReadError> {
        if self.progress.is_stopped() {
            return Ok(false);
        }
        if self.frame.is_some() {
            return Ok(true);
        }
        let Some(entry) = self.entries.pop_front() else { return Ok(false) };
        self.progress.add(entry.end() - entry.place);
        if !self.selection.frame(&entry.head) {
            return Ok(true);
        }
        let body = match self.segment.body(&entry) {
            Ok(body) => body,
            Err(error) => return self.doubt(&entry, error),
        };
        self.place = entry.place;
        let unpacker = Unpacker::new(&entry.head, &body, &mut self.decompressor);
        let unpacker = unpacker.map_err(|damage| self.segment.damaged(entry.place, &damage.to_string()))?;
        self.frame = Some((unpacker, entry.head.streams.into_iter().map(|stream| stream.node).collect()));
        Ok(true)
    }

    /// The next event of the frame that is open.
    fn event(&mut self) -> Option<Event> {
        loop {
            let (unpacker, nodes) = self.frame.as_mut()?;
            let selection = &self.selection;
            match unpacker.next_event(|envelope| selection.outside(envelope.time, envelope.kind, &nodes[envelope.stream])) {
                Ok(Some(event)) if selection.inside(&event) => return Some(event),
                Ok(Some(_)) => {}
                Ok(None) => self.frame = None,
                Err(damage) => {
                    self.frame = None;
                    self.faults.push_back(self.segment.damaged(self.place, &damage.to_string()));
                }
            }
        }
    }

    /// A frame cannot be read: either it is damaged, or the index was wrong, and is no better than none.
    fn doubt(&mut self, entry: &Entry, error: ReadError) -> Result<bool, ReadError> {
        if self.segment.end != End::Finished {
            return Err(error);
        }
        self.segment.rescan()?;
        let behind = |other: &Entry| other.place >= entry.place;
        let right = self.segment.entries.iter().find(|other| behind(other)) == Some(entry);
        self.entries = std::mem::take(&mut self.segment.entries).into_iter().filter(behind).collect();
        let faults = self.segment.faults.iter().filter(|fault| fault.offset >= entry.place);
        self.faults.extend(faults.map(|fault| self.segment.damaged(fault.offset, &fault.what)));
        if let End::Torn(offset) = self.segment.end {
            // whoever wrote the index had written more
            self.faults.push_back(self.segment.damaged(offset, "no frame is where the index has one"));
        }
        self.segment.end = End::Open;
        if right {
            // the index was right, the frame is damaged
            self.entries.pop_front();
            return Err(error);
        }
        Ok(true)
    }

    /// Puts the next piece of the frame that is open together.
    fn piece(&mut self) -> Result<(), ReadError> {
        let Some((unpacker, nodes)) = &mut self.frame else { return Ok(()) };
        let mut bytes = Vec::with_capacity(PIECE + PIECE / 4);
        let mut events: Vec<(usize, u64)> = Vec::new();
        let mut damage = None;
        while bytes.len() < PIECE {
            let start = bytes.len();
            match unpacker.next(&mut bytes) {
                Ok(Some(envelope)) => {
                    if self.selection.outside(envelope.time, envelope.kind, &nodes[envelope.stream]) {
                        events.push((bytes.len() - start, envelope.time));
                    } else {
                        bytes.truncate(start);
                    }
                }
                Ok(None) => {
                    self.frame = None;
                    break;
                }
                Err(error) => {
                    bytes.truncate(start);
                    self.frame = None;
                    damage = Some(self.segment.damaged(self.place, &error.to_string()));
                    break;
                }
            }
        }
        let mut bytes = Bytes::from(bytes);
        for (length, time) in events {
            let raw = Raw { time, bytes: bytes.split_to(length) };
            if !self.selection.looks_inside() || raw.event().is_some_and(|event| self.selection.inside(&event)) {
                self.ready.push_back(raw);
            }
        }
        damage.map_or(Ok(()), Err)
    }
}

/// A recording of the first form ([`event::recording`] under zstd). Nothing comes after an error: what follows a broken place cannot be
/// read.
struct FirstForm {
    path: PathBuf,
    input: zstd::Decoder<'static, Sips<BufReader<File>>>,
    /// How much of the file was read into events, and whom to tell.
    place: u64,
    progress: Progress,
    events: Reader,
    piece: Vec<u8>,
    done: bool,
}

impl FirstForm {
    fn open(path: &Path, progress: Progress) -> Result<Self, ReadError> {
        let failed = |source| ReadError::Open { path: path.to_owned(), source };
        let mut input = BufReader::with_capacity(1 << 16, File::open(path).map_err(failed)?);
        let start = input.fill_buf().map_err(failed)?;
        if !start.starts_with(&ZSTD_MAGIC) {
            return Err(ReadError::Foreign { path: path.to_owned(), empty: start.is_empty() });
        }
        let input = zstd::Decoder::with_buffer(Sips { input, taken: 0 }).map_err(failed)?;
        let (events, piece) = (Reader::default(), vec![0; 1 << 16]);
        Ok(Self { path: path.to_owned(), input, place: 0, progress, events, piece, done: false })
    }

    fn advance(&mut self) -> Result<Option<Event>, ReadError> {
        loop {
            if let Some(event) = self.events.next().map_err(|error| broken(&self.path, self.place, &error))? {
                return Ok(Some(event));
            }
            if self.progress.is_stopped() {
                return Ok(None);
            }
            match self.input.read(&mut self.piece) {
                Ok(0) => {
                    self.events.finish().map_err(|error| broken(&self.path, self.place, &error))?;
                    return Ok(None);
                }
                Ok(length) => {
                    self.events.push(&self.piece[..length]);
                    let place = self.input.get_ref().taken;
                    self.progress.add(place.saturating_sub(self.place));
                    self.place = place;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // whatever it is, there is no way on; what was taken since the last event is not to be had
                Err(source) => return Err(broken(&self.path, self.place, &source)),
            }
        }
    }
}

/// So much of the file was read by now; the error may say where it is in what that holds.
fn broken(path: &Path, read: u64, error: &dyn std::error::Error) -> ReadError {
    ReadError::Broken { path: path.to_owned(), offset: read, what: error.to_string() }
}

/// Hands out a file in small pieces. zstd forgets what it has made of a piece when something behind it in the same piece is wrong: the
/// smaller they are, the more is read, and the closer is the place that is told.
struct Sips<R> {
    input: R,
    taken: u64,
}

/// Small against the shortest blocks of zstd that are worth anything.
const SIP: usize = 256;

impl<R: io::BufRead> io::Read for Sips<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut sip = self.fill_buf()?;
        let length = sip.read(out)?;
        self.consume(length);
        Ok(length)
    }
}

impl<R: io::BufRead> io::BufRead for Sips<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.input.fill_buf().map(|piece| &piece[..piece.len().min(SIP)])
    }

    fn consume(&mut self, length: usize) {
        self.taken += length as u64;
        self.input.consume(length);
    }
}

impl Iterator for FirstForm {
    type Item = Result<Event, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.advance().transpose();
        self.done = !matches!(next, Some(Ok(_)));
        next
    }
}

/// Several recordings as one, in the order of time: events, or their bytes.
pub struct Merged<T> {
    inputs: Vec<Input>,
    /// The next of each; empty before the first is asked for.
    heads: Vec<Option<T>>,
    fault: Option<ReadError>,
    progress: Progress,
    /// Whether it was told that somebody ended it.
    ended: bool,
}

impl<T> Merged<T> {
    fn new(opened: Opened) -> Self {
        let Opened { inputs, progress } = opened;
        Self { inputs, heads: Vec::new(), fault: None, progress, ended: false }
    }
}

/// The next of an input; errors come at its end.
fn pull<T: Reading>(input: &mut Input, fault: &mut Option<ReadError>) -> Option<T> {
    match input.next()? {
        Ok(next) => Some(next),
        Err(error) => {
            if fault.is_some() {
                tracing::warn!(%error, "passed over what cannot be read");
            }
            fault.get_or_insert(error);
            None
        }
    }
}

/// The next of all of them.
fn earliest<T: Reading>(merged: &mut Merged<T>) -> Option<Result<T, ReadError>> {
    // nothing is to be put in order
    if let [input] = &mut merged.inputs[..] {
        return input.next();
    }
    let Merged { inputs, heads, fault, .. } = merged;
    if heads.is_empty() {
        heads.extend(inputs.iter_mut().map(|input| pull(input, fault)));
    }
    let earliest = heads.iter().enumerate().filter_map(|(at, head)| Some((head.as_ref()?.time(), at))).min();
    // the first of those of one time, so that the order does not depend on anything else
    let Some((_, first)) = earliest else { return fault.take().map(Err) };
    let next = pull(&mut inputs[first], fault);
    std::mem::replace(&mut heads[first], next).map(Ok)
}

impl<T: Reading> Iterator for Merged<T> {
    type Item = Result<T, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = earliest(self);
        // it may have ended for that
        if self.progress.is_stopped() {
            return (!std::mem::replace(&mut self.ended, true)).then_some(Err(ReadError::Stopped));
        }
        next
    }
}
