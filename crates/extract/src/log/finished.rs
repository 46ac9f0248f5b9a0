//! A log that is done: a file from its first line to its last, plain or compressed.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use event::log::{Parser, Totals};
use event::{Event, HealthAttached, HealthBeat, HealthDetached, Kind, KindId, KindTotal, LifePhase, LogFileProblem};
use event::{NodeName, Source};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

use crate::clock::{now, since_epoch};

use super::lines::{Line, Lines, PIECE};
use super::place::Target;
use super::{Config, ENOUGH, FOREIGN, cut, follow, in_file, is_foreign_after, unfinished};

/// The first bytes of a gzip member (RFC 1952, section 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// The first bytes of a zstd frame (RFC 8878, section 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// A zstd frame may ask for a window of gigabytes; what `zstd --long` makes is read.
const LARGEST_WINDOW: u32 = 27;

const SECOND: u64 = 1_000_000_000;

/// How soon an order to stop is seen while nothing comes through a pipe.
const STOPPED_WITHIN: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// A log to read: a file, a pipe, or anything else that has bytes.
pub struct Input<'a> {
    name: String,
    bytes: Box<dyn Read + Send + 'a>,
    packed: bool,
    /// When it was written for the last time, nanoseconds since the epoch: the time of lines that have none.
    changed: u64,
}

/// What was read of a log.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// Bytes, unpacked.
    pub bytes: u64,
    /// Lines.
    pub lines: Totals,
    /// How often a node was started.
    pub starts: u64,
    /// Events, by kind.
    pub events: std::collections::BTreeMap<KindId, u64>,
}

/// Why a log was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be opened.
    #[error("failed to open the log {}: {source}", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The disk fails, or what is compressed is damaged or ends too early.
    #[error("failed to read the log {name} at byte {offset}{}: {source}", if *packed { " of what it unpacks to" } else { "" })]
    Read {
        /// Which.
        name: String,
        /// Up to where it was read.
        offset: u64,
        /// It is compressed.
        packed: bool,
        /// Why.
        source: io::Error,
    },
    /// It is something else.
    #[error("{name} is no log of a node: {FOREIGN}, up to byte {offset}")]
    Foreign {
        /// Which.
        name: String,
        /// Up to where it was read.
        offset: u64,
    },
    /// Where the events go to fails.
    #[error("failed to write the events of the log {name}: {source}")]
    Write {
        /// Of which.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// Somebody wants no more.
    #[error("the log {name} was not read to its end: told to stop")]
    Stopped {
        /// Which.
        name: String,
    },
}

impl ReadError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Open { source, .. } if source.kind() == io::ErrorKind::IsADirectory => "name the files in it",
            Self::Open { .. } => "is the path right, and may this user read the file?",
            Self::Read { packed: true, .. } => "what is before that place was read; was the file copied whole?",
            Self::Read { .. } => "what is before that place was read; does the disk fail?",
            Self::Foreign { .. } => "a node's log begins its lines with a time, or with a category in brackets",
            Self::Write { source, .. } if source.kind() == io::ErrorKind::AlreadyExists => {
                "remove it, or choose another `--output`"
            }
            Self::Write { .. } => "is there room on the disk?",
            Self::Stopped { .. } => "run it again to read the rest",
        }
    }
}

/// Counts what is taken from a file, for whoever shows progress.
struct Counted<R>(R, Arc<AtomicU64>);

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.0.read(buffer)?;
        self.1.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

/// Reads a file that may be a pipe, where somebody else decides when there is something to read.
struct Waiting<'a> {
    file: File,
    stop: &'a AtomicBool,
}

impl Read for Waiting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(io::Error::other("told to stop"));
            }
            let mut ready = [PollFd::new(&self.file, PollFlags::IN)];
            match poll(&mut ready, Some(&STOPPED_WITHIN)) {
                // a named pipe that nobody has opened yet is not ready, and none that everybody has left is without an end
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => match self.file.read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => return result,
                },
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl<'a> Input<'a> {
    /// Opens a file or a pipe; `-` is standard input. `progress` counts the bytes that were read of it; `stop` ends the waiting for a pipe.
    ///
    /// # Errors
    ///
    /// It cannot be opened or begun.
    pub fn open(path: &Path, progress: Arc<AtomicU64>, stop: &'a AtomicBool) -> Result<Self, ReadError> {
        let error = |source| ReadError::Open { path: path.to_owned(), source };
        let begin = |file, name: String| {
            let stopped = ReadError::Stopped { name: name.clone() };
            let input = Self::new(Counted(Waiting { file, stop }, progress), name);
            input.map_err(|error| if stop.load(Ordering::Relaxed) { stopped } else { error })
        };
        if path == Path::new("-") {
            return begin(Target::Stdin.open().map_err(error)?, Target::Stdin.to_string());
        }
        // does not wait until somebody opens the other end of a pipe
        let file = File::options().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path).map_err(error)?;
        let kind = file.metadata().map_err(error)?.file_type();
        if kind.is_dir() {
            return Err(error(io::ErrorKind::IsADirectory.into()));
        }
        if !kind.is_file() && !kind.is_fifo() {
            return Err(error(io::Error::new(io::ErrorKind::InvalidInput, "it is neither a file nor a pipe")));
        }
        let changed = file.metadata().and_then(|file| file.modified()).map_or_else(|_| now(), since_epoch);
        Ok(begin(file, path.display().to_string())?.changed_at(changed))
    }

    /// Reads from anywhere; `name` is for messages.
    ///
    /// # Errors
    ///
    /// Not even the beginning can be read.
    pub fn new(bytes: impl Read + Send + 'a, name: impl Into<String>) -> Result<Self, ReadError> {
        let name = name.into();
        let error = |name: String, source| ReadError::Read { name, offset: 0, packed: false, source };
        let mut bytes = BufReader::with_capacity(PIECE, bytes);
        let mut magic = Vec::new();
        // a pipe may give a byte at a time
        if let Err(source) = (&mut bytes).take(ZSTD_MAGIC.len() as u64).read_to_end(&mut magic) {
            return Err(error(name, source));
        }
        let (gzip, zstd) = (magic.starts_with(&GZIP_MAGIC), magic.starts_with(&ZSTD_MAGIC));
        let bytes = BufReader::with_capacity(PIECE, io::Cursor::new(magic).chain(bytes));
        let bytes: Box<dyn Read + Send + 'a> = if gzip {
            Box::new(flate2::bufread::MultiGzDecoder::new(bytes))
        } else if zstd {
            let mut decoder = zstd::Decoder::with_buffer(bytes).map_err(|source| error(name.clone(), source))?;
            decoder.window_log_max(LARGEST_WINDOW).map_err(|source| error(name.clone(), source))?;
            Box::new(decoder)
        } else {
            Box::new(bytes)
        };
        Ok(Self { name, bytes, packed: gzip || zstd, changed: now() })
    }

    /// When it was written for the last time, nanoseconds since the epoch: lines that have no time get this one. Now, if nobody says so.
    #[must_use]
    pub fn changed_at(self, changed: u64) -> Self {
        Self { changed, ..self }
    }

    /// Gives what the log says to `sink`, as the events of one run of a source, until its end or until told to stop.
    ///
    /// The events are those that following it would have given: with a beat in each second in which something was logged, so that
    /// whoever counts on beats can. `index` tells runs apart that begin in the same moment. What was read before an error was given.
    pub fn read(
        mut self,
        config: &Config,
        node: &NodeName,
        index: u64,
        stop: &AtomicBool,
        sink: impl FnMut(&Event) -> io::Result<()>,
    ) -> (Summary, Result<(), ReadError>) {
        let mut events = Events::new(node, self.name.clone(), index, sink);
        let mut parser = Parser::new(config.parser());
        parser.set_time(self.changed);
        let mut lines = Lines::at(0);
        let name = self.name.clone();
        let result = loop {
            let offset = lines.position();
            // all of it is not even one line
            let mut shapeless = false;
            let mut take = |line: Line<'_>| match line {
                Line::Text { offset, bytes } => {
                    parser.line(bytes, &mut |time, kind| events.fact(time, in_file(kind, &name, offset)));
                }
                Line::Cut { offset, left_out } => {
                    events.begin(parser.time());
                    events.now(cut(&name, offset, left_out));
                }
                Line::Unfinished { offset, bytes } => {
                    parser.settle(&mut |time, kind| events.fact(time, in_file(kind, &name, offset)));
                    events.begin(parser.time());
                    shapeless = parser.totals().lines == 0 && event::log::split(bytes).time.is_none();
                    events.now(unfinished(&name, offset, bytes));
                }
            };
            let read = lines.read(|buffer| self.bytes.read(buffer), &mut take);
            if let Ok(0) = read {
                lines.finish(&mut take);
                parser.settle(&mut |time, kind| events.fact(time, in_file(kind, &name, 0)));
            }
            if let Some(source) = events.failed.take() {
                return (events.summary, Err(ReadError::Write { name, source }));
            }
            match read {
                Ok(0) if shapeless || is_foreign_after(parser.totals(), 1) => {
                    break Err(ReadError::Foreign { name, offset: lines.position() });
                }
                Ok(0) => break Ok(()),
                Ok(_) if is_foreign_after(parser.totals(), ENOUGH) => {
                    break Err(ReadError::Foreign { name, offset: lines.position() });
                }
                Ok(_) | Err(_) if stop.load(Ordering::Relaxed) => break Err(ReadError::Stopped { name }),
                Ok(_) => {}
                Err(source) if source.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => break Err(ReadError::Read { name, offset, packed: self.packed, source }),
            }
        };
        if let Err(error) = &result {
            events.problem(error);
        }
        parser.health(&mut |time, kind| events.fact(time, kind));
        events.end(&result);
        (events.summary.bytes, events.summary.lines) = (lines.position(), parser.totals());
        match events.failed.take() {
            Some(source) => (events.summary, Err(ReadError::Write { name: self.name, source })),
            None => (events.summary, result),
        }
    }
}

/// Facts become events: as a publisher makes them of a live log, with the log's time in place of now.
struct Events<S> {
    /// The event before, whose envelope the next one takes over.
    event: Event,
    name: String,
    index: u64,
    begun: bool,
    /// When the next beat is due, nanoseconds.
    next_beat: u64,
    /// How many events there were of each kind.
    totals: [u64; KindId::ALL.len()],
    summary: Summary,
    sink: S,
    /// What the sink failed with; after that it gets nothing more.
    failed: Option<io::Error>,
}

impl<S: FnMut(&Event) -> io::Result<()>> Events<S> {
    fn new(node: &NodeName, name: String, index: u64, sink: S) -> Self {
        let event = Event { node: node.to_string(), source: Source::Log.into(), ..Event::default() };
        let totals = [0; KindId::ALL.len()];
        Self { event, name, index, begun: false, next_beat: 0, totals, summary: Summary::default(), sink, failed: None }
    }

    /// The run of the source begins with the log's first time.
    fn begin(&mut self, time: u64) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        self.event.run = time.saturating_add(self.index);
        self.event.time = time;
        self.next_beat = time.saturating_add(SECOND);
        let target = self.name.clone();
        self.push(HealthAttached { target, ..HealthAttached::default() }.into());
    }

    fn fact(&mut self, time: u64, kind: Kind) {
        self.begin(time);
        // or the clock was set back
        if time >= self.next_beat || time.saturating_add(2 * SECOND) <= self.next_beat {
            self.beat(time);
        }
        if let Kind::LogLife(life) = &kind
            && life.phase() == LifePhase::Started
        {
            self.event.node_run = Some(time / SECOND);
            self.summary.starts += 1;
        }
        self.event.time = time;
        self.push(kind);
    }

    /// Something that is not the node's words, at the time of the last line.
    fn now(&mut self, kind: impl Into<Kind>) {
        self.fact(self.event.time, kind.into());
    }

    fn beat(&mut self, time: u64) {
        let total = |(id, total): (KindId, u64)| KindTotal { kind: id.name().to_owned(), total };
        let beat = HealthBeat {
            last_sequence: self.event.sequence.checked_sub(1),
            totals: self.totals().map(total).collect(),
            ..HealthBeat::default()
        };
        self.event.time = time;
        self.next_beat = time.saturating_add(SECOND);
        self.push(beat.into());
    }

    fn problem(&mut self, error: &ReadError) {
        let (problem, offset) = match error {
            ReadError::Read { offset, packed: true, .. } => (LogFileProblem::Damaged, *offset),
            ReadError::Read { offset, .. } => (LogFileProblem::Unreadable, *offset),
            ReadError::Foreign { offset, .. } => (LogFileProblem::Foreign, *offset),
            ReadError::Open { .. } | ReadError::Write { .. } | ReadError::Stopped { .. } => return,
        };
        let detail = match error {
            ReadError::Read { source, .. } => source.to_string(),
            _ => FOREIGN.to_owned(),
        };
        self.now(follow::problem(problem, self.name.clone(), offset, detail));
    }

    fn end(&mut self, result: &Result<(), ReadError>) {
        let reason = result.as_ref().err().map_or_else(|| "the file ends".to_owned(), ToString::to_string);
        let target = self.name.clone();
        self.now(HealthDetached { pid: None, target, reason });
        // the last, so that whoever reads knows that it got all
        self.beat(self.event.time);
        self.summary.events = self.totals().collect();
    }

    fn totals(&self) -> impl Iterator<Item = (KindId, u64)> {
        KindId::ALL.into_iter().zip(self.totals).filter(|(_, total)| *total > 0)
    }

    fn push(&mut self, kind: Kind) {
        let id = kind.id();
        self.event.kind = Some(kind);
        if self.failed.is_none() {
            self.failed = (self.sink)(&self.event).err();
        }
        self.totals[id.index()] += 1;
        self.event.sequence += 1;
    }
}
