//! A segment as a file: finding its frames, reading and writing them.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use event::archive::segment::{self, Entry, Header, HeaderError, Index, MAX_HEADER, TAIL, Tail};
use event::archive::{Damage, FIXED, Head, Packer};

/// What cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file or directory cannot be opened.
    #[error("failed to open the recording {}: {source}", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is something else.
    #[error("{} is {}", path.display(), if *empty { "empty: not even the beginning of a recording" } else { "no recording: it does not begin as one" })]
    Foreign {
        /// Which.
        path: PathBuf,
        /// There is nothing in it.
        empty: bool,
    },
    /// A directory without recordings.
    #[error("there is no recording in {}", path.display())]
    Nothing {
        /// Which.
        path: PathBuf,
    },
    /// A later release wrote it.
    #[error("{} is a segment of version {version}, and this release reads up to {}", path.display(), segment::VERSION)]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its version.
        version: u16,
    },
    /// It is not as it was written.
    #[error("{} is damaged at byte {offset}: {what}", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// Where what cannot be read begins.
        offset: u64,
        /// Why.
        what: String,
    },
    /// It is not as it was written, and nothing tells where what comes behind begins.
    #[error("failed to read the recording {} at byte {offset}: {what}", path.display())]
    Broken {
        /// Which.
        path: PathBuf,
        /// Where what cannot be read begins.
        offset: u64,
        /// Why.
        what: String,
    },
    /// The disk fails.
    #[error("failed to read the recording {} at byte {offset}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// Somebody ended it.
    #[error("ended before everything was read")]
    Stopped,
}

impl ReadError {
    /// Where it is within its file, without saying which file: for whoever must not know its name.
    pub fn place(&self) -> String {
        match self {
            Self::Damaged { offset, what, .. } | Self::Broken { offset, what, .. } => format!("damaged at byte {offset}: {what}"),
            Self::Read { offset, .. } => format!("failed to read at byte {offset}"),
            Self::Newer { version, .. } => format!("a segment of version {version}"),
            Self::Open { .. } => "failed to open".to_owned(),
            Self::Foreign { .. } | Self::Nothing { .. } => "no recording".to_owned(),
            Self::Stopped => self.to_string(),
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Open { .. } => "is the path right, and may this user read the file?",
            Self::Foreign { empty: true, .. } => "was it copied whole? a recording that was not ended may be empty, too",
            Self::Foreign { empty: false, .. } | Self::Nothing { .. } => {
                "name a file or an archive of this program, or the node's `message_capture`"
            }
            Self::Newer { .. } => "read it with the release that wrote it, or a later one",
            Self::Damaged { .. } | Self::Read { .. } => {
                "everything else was read; was the file copied whole? `archive verify` lists every fault"
            }
            Self::Stopped => "the same command begins anew; nothing is left of what it had begun to write",
            Self::Broken { .. } => "nothing behind that place can be read; was the file copied whole?",
        }
    }
}

/// A place that could not be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Where it begins, in bytes.
    pub offset: u64,
    /// Why.
    pub what: String,
}

/// How a segment ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// With its index.
    Finished,
    /// Behind a frame: it is being written, or its writer was ended.
    Open,
    /// With an index that begins here and is damaged. Nothing is missing.
    Unindexed(u64),
    /// In the middle of a frame that begins here; likewise, or the file was cut.
    Torn(u64),
}

/// A segment that is being read.
pub struct Segment {
    /// Where it is.
    pub path: PathBuf,
    /// What it says of itself.
    pub header: Header,
    /// Its frames, in the order of the file.
    pub entries: Vec<Entry>,
    /// What lies between them and is none.
    pub faults: Vec<Fault>,
    /// How it ends.
    pub end: End,
    /// Bytes of the file.
    pub size: u64,
    file: File,
    start: u64,
    /// Where its index begins, by its tail.
    index: Option<u64>,
    /// How many bytes may still be read of what looks like a frame, while one is searched.
    doubts: u64,
}

/// Pieces in which a file is searched for the next frame.
const SEARCH: usize = 1 << 20;
/// What looks like a frame is read to find out, so many times as much as there is of the file: a disk leaves a few such places, somebody who
/// wants it to take hours leaves one every forty bytes. Beyond that, the search ends, and says so.
const DOUBTS: u64 = 2;
/// So much is never too much.
const LEAST_DOUBTS: u64 = 64 << 20;

impl Segment {
    /// Opens a segment and finds its frames: by its index, or from head to head. `None` if the index says that nothing in it is of a
    /// time that is `wanted`.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is no segment.
    pub fn open(path: &Path, wanted: impl FnOnce(u64, u64) -> bool) -> Result<Option<Self>, ReadError> {
        let failed = |source| ReadError::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let mut segment = Self {
            path: path.to_owned(),
            header: Header::default(),
            entries: Vec::new(),
            faults: Vec::new(),
            end: End::Open,
            size,
            file,
            start: 0,
            index: None,
            doubts: size.saturating_mul(DOUBTS).saturating_add(LEAST_DOUBTS),
        };
        segment.read_header()?;
        // an index that is wrong was never there
        if let Some(tail) = segment.tail() {
            segment.index = Some(tail.index);
            if !wanted(tail.first, tail.last) && segment.fits(&tail) {
                return Ok(None);
            }
            if let Some(entries) = segment.index(&tail) {
                segment.entries = entries;
                segment.end = End::Finished;
                return Ok(Some(segment));
            }
        }
        segment.scan()?;
        // its header is damaged, and there is nothing else
        if let (Some(Fault { offset, what }), true) = (segment.faults.first(), segment.entries.is_empty()) {
            return Err(ReadError::Broken { path: path.to_owned(), offset: *offset, what: what.clone() });
        }
        Ok(Some(segment))
    }

    /// Opens a segment and finds its frames from head to head, also where there is an index; one that says otherwise is a fault. For whoever
    /// must not be deceived: [`Segment::open`] believes an index that does not contradict itself.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is no segment.
    pub fn scanned(path: &Path) -> Result<Option<Self>, ReadError> {
        let Some(mut segment) = Self::open(path, |_, _| true)? else { return Ok(None) };
        if segment.end == End::Finished {
            let stated = std::mem::take(&mut segment.entries);
            segment.rescan()?;
            // a frame that is damaged is a fault of its own, and the index is right about it
            let is_stated = |entry: &Entry| {
                stated.binary_search_by_key(&entry.place, |stated| stated.place).is_ok_and(|at| stated[at] == *entry)
            };
            if let End::Unindexed(_) = segment.end
                && segment.entries.iter().all(is_stated)
            {
                segment.end = End::Finished;
            }
        }
        Ok(Some(segment))
    }

    /// Whether a file that begins with these bytes is a segment.
    pub fn is_one(start: &[u8]) -> bool {
        start.starts_with(&segment::MAGIC)
    }

    /// Reads a frame: its head is that of the entry, its body is whole.
    ///
    /// # Errors
    ///
    /// It is damaged, or the disk fails.
    pub fn body(&self, entry: &Entry) -> Result<Vec<u8>, ReadError> {
        let bytes = self.read(entry.place, entry.head_length + entry.head.body_length())?;
        let (head, _) = bytes.split_at(entry.head_length);
        // the index has a copy
        if Head::from_bytes(head).ok().as_ref() != Some(&entry.head) {
            return Err(self.damaged(entry.place, "a frame whose head is not that of the index"));
        }
        let mut body = bytes;
        body.drain(..entry.head_length);
        entry.head.verify(&body).map_err(|damage| self.damaged(entry.place, &damage.to_string()))?;
        Ok(body)
    }

    /// Forgets the index, and finds the frames one by one.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn rescan(&mut self) -> Result<(), ReadError> {
        self.entries.clear();
        self.faults.retain(|fault| fault.offset == 0);
        self.end = End::Open;
        self.scan()
    }

    /// The error for a place of this file.
    pub fn damaged(&self, offset: u64, what: &str) -> ReadError {
        ReadError::Damaged { path: self.path.clone(), offset, what: what.to_owned() }
    }

    fn read_header(&mut self) -> Result<(), ReadError> {
        let start = self.read(0, usize::try_from(self.size).unwrap_or(usize::MAX).min(MAX_HEADER))?;
        let path = || self.path.clone();
        match Header::from_bytes(&start) {
            Ok((header, length)) => {
                self.header = header;
                self.start = length as u64;
                Ok(())
            }
            Err(HeaderError::Foreign) => Err(ReadError::Foreign { path: path(), empty: start.is_empty() }),
            Err(HeaderError::Newer(version)) => Err(ReadError::Newer { path: path(), version }),
            // what it says of itself is lost, but not its frames
            Err(error @ (HeaderError::Damaged(_) | HeaderError::Cut)) => {
                self.faults.push(Fault { offset: 0, what: error.to_string() });
                self.start = segment::MAGIC.len() as u64;
                Ok(())
            }
        }
    }

    fn tail(&self) -> Option<Tail> {
        let place = self.size.checked_sub(TAIL as u64)?;
        let tail = Tail::from_bytes(&self.read(place, TAIL).ok()?).ok()?;
        (tail.index >= self.start && tail.index <= place).then_some(tail)
    }

    fn index(&self, tail: &Tail) -> Option<Vec<Entry>> {
        let length = usize::try_from(self.size - TAIL as u64 - tail.index).ok()?;
        // where the header is damaged, nobody knows where the frames begin
        let start = self.faults.is_empty().then_some(self.start);
        segment::read_index(tail, start, &self.read(tail.index, length).ok()?).ok()
    }

    /// Whether a tail may be believed without reading the index: whoever wants a minute of a year cannot read all of them.
    fn fits(&self, tail: &Tail) -> bool {
        let length = (self.size - TAIL as u64 - tail.index).min(Tail::GLANCE as u64);
        self.read(tail.index, length as usize).is_ok_and(|glance| tail.fits(self.start, &glance))
    }

    /// From head to head; behind what is none, on to the next frame that is whole.
    fn scan(&mut self) -> Result<(), ReadError> {
        let mut place = self.start;
        // a header that cannot be read ends nobody knows where, and is a fault already
        let mut told = !self.faults.is_empty();
        while place < self.size {
            let (next, end) = match self.head(place)? {
                Found::Frame(entry) => {
                    place = entry.end();
                    self.entries.push(*entry);
                    told = false;
                    continue;
                }
                // it was not good enough to be read; something may have been put behind it
                Found::Index => (self.frame_behind(self.index_end(place)?)?, End::Unindexed(place)),
                // nothing behind a head that is cut can be whole, unless it is a lie
                Found::Cut | Found::Nothing => (self.frame_behind(place + 1)?, End::Torn(place)),
            };
            let Some(next) = next else {
                self.end = end;
                return Ok(());
            };
            if !std::mem::take(&mut told) {
                self.faults.push(Fault { offset: place, what: format!("{} bytes that are no frame", next - place) });
            }
            place = next;
        }
        Ok(())
    }

    /// Where the next frame begins that is whole. A head alone is not enough: an index is full of them.
    fn frame_behind(&mut self, mut from: u64) -> Result<Option<u64>, ReadError> {
        while from < self.size {
            let piece = self.read(from, (self.size - from).min(SEARCH as u64) as usize)?;
            let mut at = 0;
            while let Some(found) = segment::next_frame(&piece, at) {
                let place = from + found as u64;
                // most of what looks like one is told by the bytes that are here
                let rest = &piece[found..];
                if (rest.len() < FIXED || Head::length(rest).is_ok()) && self.is_frame(place)? {
                    return Ok(Some(place));
                }
                if self.doubts == 0 {
                    let what = "searched no further: there is more that looks like frames than a file can have".to_owned();
                    self.faults.push(Fault { offset: place, what });
                    return Ok(None);
                }
                at = found + 1;
            }
            // the beginning of one may be the end of this piece
            let step = piece.len().saturating_sub(event::archive::MAGIC.len() - 1).max(1);
            from += step as u64;
            if piece.len() < SEARCH {
                break;
            }
        }
        Ok(None)
    }

    /// Whether a frame that is whole begins here; what it takes to know is noted.
    fn is_frame(&mut self, place: u64) -> Result<bool, ReadError> {
        let fixed = self.read(place, (self.size - place).min(FIXED as u64) as usize)?;
        let Ok(length) = Head::length(&fixed) else { return Ok(false) };
        self.doubts = self.doubts.saturating_sub(length as u64);
        let Found::Frame(entry) = self.head(place)? else { return Ok(false) };
        self.doubts = self.doubts.saturating_sub(entry.end() - place);
        Ok(self.body(&entry).is_ok())
    }

    /// Where an index ends that begins here, or the part of it that is as it was written.
    fn index_end(&self, mut place: u64) -> Result<u64, ReadError> {
        const PLACE: u64 = size_of::<u64>() as u64;
        while place + PLACE < self.size {
            let at = place + PLACE;
            let fixed = self.read(at, (self.size - at).min(FIXED as u64) as usize)?;
            match Head::length(&fixed) {
                Ok(length) if length as u64 <= self.size - at && Head::from_bytes(&self.read(at, length)?).is_ok() => {
                    place = at + length as u64;
                }
                _ => break,
            }
        }
        let tail = self.read(place, (self.size - place).min(TAIL as u64) as usize)?;
        Ok(if Tail::from_bytes(&tail).is_ok() { place + TAIL as u64 } else { place + 1 })
    }

    fn head(&self, place: u64) -> Result<Found, ReadError> {
        let left = self.size - place;
        let fixed = self.read(place, left.min(FIXED as u64) as usize)?;
        let length = match Head::length(&fixed) {
            Ok(length) => length,
            // an index begins with the place of the first frame; one that lies may begin with anything, where the tail says
            Err(_)
                if self.index == Some(place)
                    || segment::begins_tail(&fixed)
                    || self.entries.first().is_some_and(|first| fixed.starts_with(&first.place.to_le_bytes())) =>
            {
                return Ok(Found::Index);
            }
            Err(_) if left < FIXED as u64 => return Ok(Found::Cut),
            Err(_) => return Ok(Found::Nothing),
        };
        if length as u64 > left {
            return Ok(Found::Cut);
        }
        let Ok(head) = Head::from_bytes(&self.read(place, length)?) else { return Ok(Found::Nothing) };
        let entry = Entry { place, head_length: length, head };
        Ok(if entry.end() > self.size { Found::Cut } else { Found::Frame(Box::new(entry)) })
    }

    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, ReadError> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset).map_err(|source| ReadError::Read {
            path: self.path.clone(),
            offset,
            source,
        })?;
        Ok(bytes)
    }
}

enum Found {
    Frame(Box<Entry>),
    /// It would go on beyond the end of the file.
    Cut,
    Index,
    Nothing,
}

/// A segment that is being written.
///
/// Every frame goes to the file in one piece. What a failed write left behind is cut off again, so that a frame is either all there or not
/// at all; nothing that was written before is touched.
pub struct Writer {
    path: PathBuf,
    file: File,
    place: u64,
    index: Index,
    compressor: zstd::bulk::Compressor<'static>,
    /// A frame that could not be written yet.
    pending: Option<(Head, Vec<u8>)>,
}

impl Writer {
    /// Begins a segment in a new file, compressed at zstd's `level`. Nobody but its owner may read it: it has peers' addresses, and what
    /// they said.
    ///
    /// # Errors
    ///
    /// There is such a file, or it cannot be written.
    pub fn create(path: &Path, header: &Header, level: i32) -> io::Result<Self> {
        Self::with_mode(path, header, level, 0o600)
    }

    /// As [`Writer::create`], for events that were made fit for others; the umask says who may read it.
    ///
    /// # Errors
    ///
    /// As [`Writer::create`].
    pub fn for_others(path: &Path, header: &Header, level: i32) -> io::Result<Self> {
        Self::with_mode(path, header, level, 0o666)
    }

    fn with_mode(path: &Path, header: &Header, level: i32, mode: u32) -> io::Result<Self> {
        let mut file = File::options().write(true).create_new(true).mode(mode).open(path)?;
        // who finds it can see that somebody is at it; where files cannot be locked, nobody can
        let _ = rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive);
        let bytes = header.to_bytes();
        if let Err(error) = file.write_all(&bytes) {
            // nobody should wonder about an empty file
            let _ = std::fs::remove_file(path);
            return Err(error);
        }
        let compressor = zstd::bulk::Compressor::new(level)?;
        Ok(Self { path: path.to_owned(), file, place: bytes.len() as u64, index: Index::default(), compressor, pending: None })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes written.
    pub fn size(&self) -> u64 {
        self.place
    }

    /// Writes the events of a packer as a frame. What could not be written before comes first; call it again after an error.
    ///
    /// # Errors
    ///
    /// The file cannot be written. Until it can, nothing is lost.
    pub fn frame(&mut self, packer: &mut Packer) -> io::Result<()> {
        self.retry()?;
        self.pending = packer.finish(&mut self.compressor);
        self.retry()
    }

    /// Writes what could not be written before.
    ///
    /// # Errors
    ///
    /// It still cannot.
    pub fn retry(&mut self) -> io::Result<()> {
        let Some((head, bytes)) = self.pending.take() else { return Ok(()) };
        if let Err(error) = self.append(&bytes) {
            self.pending = Some((head, bytes));
            return Err(error);
        }
        self.index.push(self.place, &head, &bytes[..bytes.len() - head.body_length()]);
        self.place += bytes.len() as u64;
        Ok(())
    }

    /// Takes over a frame that another segment could not take.
    pub fn take_over(&mut self, other: &mut Self) {
        self.pending = other.pending.take();
    }

    /// Returns when everything written is on the disk.
    ///
    /// # Errors
    ///
    /// The disk does not confirm it.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Ends the segment with its index.
    ///
    /// # Errors
    ///
    /// The file cannot be written. Its frames are readable all the same.
    pub fn finish(mut self) -> io::Result<u64> {
        self.retry()?;
        let index = self.index.to_bytes(self.place);
        self.append(&index)?;
        self.file.sync_all()?;
        Ok(self.place + index.len() as u64)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.file.write_all_at(bytes, self.place);
        if written.is_err() {
            // if that fails, too, readers skip it, and the next attempt writes over it
            let _ = self.file.set_len(self.place);
        }
        written
    }
}

/// As an error of a reader would say it.
impl From<Damage> for Fault {
    fn from(damage: Damage) -> Self {
        Self { offset: 0, what: damage.to_string() }
    }
}
