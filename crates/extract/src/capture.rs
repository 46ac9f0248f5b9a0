//! What Bitcoin Core wrote with `-capturemessages`, as a recording: `message_capture/` whole, one peer's folder, or one file of it.
//!
//! There is a folder per remote address, with `msgs_recv.dat` and `msgs_sent.dat`. [`Capture`] reads all of them at once, in the order of
//! time, with no more than [`OPEN`] files open: a node that ran for a month has tens of thousands of folders.
//!
//! The files know less than the probes: no node, no life of it, no peer ids, no network, no type of connection. So the events state
//!
//! - `node`: [`NODE`]; `source`: `capture`; `run`: the time of the first record; `sequence`: the place in the order of time;
//! - `address`: the folder's name, read backwards; `network`: as that address looks. Peers over Tor come from 127.0.0.1;
//! - `connection_type`: `inbound` where the peer's `version` came first; else not stated;
//! - `peer`: a number per connection, counted from 0. A connection ends, as far as can be told, where another begins in the same folder:
//!   see `capture/connection.rs`.

mod connection;
mod record;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::fs::File;
use std::io::{self, BufReader, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use event::p2p::{Captured, Message, network_of};
use event::{Direction, Event, Network, Source};

use connection::Connection;
pub use record::{Fault, Place, Record, Skipped};

use crate::recording::RecordingError;

/// The node's name in events that are read from such files, which do not know it.
pub const NODE: &str = "capture";

/// How many files are open at a time. A node has 125 peers by default, two files each, but few talk within a second; what is not open
/// is opened again where it was.
pub const OPEN: usize = 128;

/// The files of a peer's folder.
const FILES: [(&str, Direction); 2] = [("msgs_recv.dat", Direction::Inbound), ("msgs_sent.dat", Direction::Outbound)];

/// Captured messages as events, in the order of time.
///
/// A record that a node cannot have written is passed over where the next one can be found; else its file ends there. Either is told after
/// everything that could be read.
pub struct Capture {
    peers: Vec<Peer>,
    files: Vec<Captures>,
    /// The next record of every file that has one.
    next: BinaryHeap<Reverse<Next>>,
    open: HashMap<usize, Open>,
    /// Counts what is read, to find the file that was not read for longest.
    clock: u64,
    broken: VecDeque<CaptureError>,
    keep_raw: bool,
    connections: u64,
    run: u64,
    sequence: u64,
}

/// A folder.
struct Peer {
    address: String,
    network: Network,
    connection: Connection,
}

/// A file.
struct Captures {
    path: PathBuf,
    peer: usize,
    direction: Direction,
    place: Place,
}

struct Open {
    input: BufReader<File>,
    last_read: u64,
}

/// Sorted by time; at one time by folder, and what was received first: an answer follows.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Next {
    time: u64,
    peer: usize,
    sent: bool,
    file: usize,
}

impl Capture {
    /// Whether a path looks like one: a folder, or a file with the name that Bitcoin Core gives.
    pub fn is_one(path: &Path) -> bool {
        path.is_dir() || direction(path).is_some()
    }

    /// Whether there is a capture in a folder, or the file is one.
    pub fn is_in(path: &Path) -> bool {
        Self::is_one(path) && find(path).is_ok_and(|files| !files.is_empty())
    }

    /// Opens `message_capture/`, a folder in it, or a file. With `keep_raw` the payloads of decoded messages are kept too.
    ///
    /// # Errors
    ///
    /// It cannot be read, or there is no capture in it.
    pub fn open(path: &Path, keep_raw: bool) -> Result<Self, RecordingError> {
        let mut files = find(path).map_err(|source| RecordingError::Open { path: path.to_owned(), source })?;
        if files.is_empty() {
            return Err(RecordingError::NoCapture { path: path.to_owned() });
        }
        // folders in any order are the same recording
        files.sort();
        let mut capture = Self {
            peers: Vec::new(),
            files: Vec::new(),
            next: BinaryHeap::new(),
            open: HashMap::new(),
            clock: 0,
            broken: VecDeque::new(),
            keep_raw,
            connections: 0,
            run: 0,
            sequence: 0,
        };
        let mut folder = None;
        for file in files {
            let parent = file.parent().map(Path::to_owned);
            if folder != parent || capture.peers.is_empty() {
                let address = address(parent.as_deref());
                let network = network_of(&address);
                capture.peers.push(Peer { address, network, connection: Connection::default() });
                folder = parent;
            }
            let direction = direction(&file).unwrap_or_default();
            let peer = capture.peers.len() - 1;
            capture.files.push(Captures { path: file, peer, direction, place: Place::default() });
            capture.look(capture.files.len() - 1);
        }
        capture.run = capture.next.peek().map_or(0, |Reverse(next)| next.time);
        Ok(capture)
    }

    /// Finds out when a file's next record is.
    fn look(&mut self, file: usize) {
        let looked = self.input(file).map_err(Fault::Read).and_then(|(place, input)| place.look(input));
        match looked {
            Ok(Some(time)) => {
                let Captures { peer, direction, .. } = self.files[file];
                self.next.push(Reverse(Next { time, peer, sent: direction == Direction::Outbound, file }));
            }
            Ok(None) => {
                self.open.remove(&file);
                self.skipped(file);
            }
            Err(fault) => self.fail(file, fault),
        }
    }

    /// The place in a file, and the file, ready to be read there.
    fn input(&mut self, file: usize) -> io::Result<(&mut Place, &mut BufReader<File>)> {
        self.clock += 1;
        let Captures { path, place, .. } = &mut self.files[file];
        if !self.open.contains_key(&file) {
            if self.open.len() >= OPEN
                && let Some(oldest) = self.open.iter().min_by_key(|(_, open)| open.last_read).map(|(file, _)| *file)
            {
                self.open.remove(&oldest);
            }
            let mut input = BufReader::new(File::open(path)?);
            input.seek(SeekFrom::Start(place.position()))?;
            self.open.insert(file, Open { input, last_read: self.clock });
        }
        let open = self.open.get_mut(&file).ok_or(io::ErrorKind::NotFound)?;
        open.last_read = self.clock;
        Ok((place, &mut open.input))
    }

    fn fail(&mut self, file: usize, fault: Fault) {
        self.open.remove(&file);
        self.skipped(file);
        let Captures { path, place, .. } = &self.files[file];
        self.broken.push_back(CaptureError { path: path.clone(), offset: place.offset(), fault });
    }

    /// At the end of a file: what of it was passed over.
    fn skipped(&mut self, file: usize) {
        let Captures { path, place, .. } = &mut self.files[file];
        if let Some(Skipped { count, offset, fault }) = place.skipped() {
            let fault = Fault::Skipped(Box::new(fault), count);
            self.broken.push_back(CaptureError { path: path.clone(), offset, fault });
        }
    }

    fn event(&mut self, file: usize, record: &Record) -> Event {
        let Captures { peer, direction, .. } = self.files[file];
        let peer = &mut self.peers[peer];
        let connections = &mut self.connections;
        let connection = &mut peer.connection;
        let id = connection.next(direction, record.message_type() == b"version", || {
            *connections += 1;
            *connections - 1
        });
        let kind = Message {
            peer: id,
            direction,
            address: &peer.address,
            connection_type: connection.connection_type(),
            network: peer.network,
            size: u32::try_from(record.payload.len()).unwrap_or(u32::MAX),
            message_type: record.message_type(),
            payload: &record.payload,
            captured: Captured::Whole,
            keep_raw: self.keep_raw,
        }
        .decode();
        let sequence = self.sequence;
        self.sequence += 1;
        Event { run: self.run, sequence, time: record.time, ..Event::new(NODE, Source::Capture, kind) }
    }
}

impl Iterator for Capture {
    type Item = Result<Event, RecordingError>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(Reverse(Next { file, .. })) = self.next.pop() {
            let taken = self.input(file).map_err(Fault::Read).and_then(|(place, input)| place.take(input));
            match taken {
                Ok(record) => {
                    let event = self.event(file, &record);
                    self.look(file);
                    return Some(Ok(event));
                }
                Err(fault) => self.fail(file, fault),
            }
        }
        self.broken.pop_front().map(|error| Err(RecordingError::Capture(error)))
    }
}

/// A file of a capture that cannot be read from some place on.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the capture {} at byte {offset}: {fault}", path.display())]
pub struct CaptureError {
    /// Which.
    pub path: PathBuf,
    /// Where the record in question begins.
    pub offset: u64,
    #[source]
    fault: Fault,
}

impl CaptureError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self.fault {
            Fault::Skipped(..) => {
                "everything else was read; a node writes no such records: was the file changed, or the disk damaged?"
            }
            _ => "nothing behind that place in that file can be read; a node that runs may be in the middle of writing it",
        }
    }
}

/// Which way the messages of a file went, by its name.
fn direction(path: &Path) -> Option<Direction> {
    let name = path.file_name()?;
    FILES.into_iter().find_map(|(known, direction)| (name == known).then_some(direction))
}

/// The files of a capture.
fn find(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        // that it is there is found out now, not after other recordings were read
        path.metadata()?;
        return Ok(vec![path.to_owned()]);
    }
    let within = |folder: &Path| FILES.map(|(name, _)| folder.join(name)).into_iter().filter(|file| file.is_file());
    let mut files: Vec<PathBuf> = within(path).collect();
    if files.is_empty() {
        for entry in path.read_dir()? {
            files.extend(within(&entry?.path()));
        }
    }
    Ok(files)
}

/// Address and port that a folder is named for: Bitcoin Core writes `_` for `:`, because Windows allows none.
fn address(folder: Option<&Path>) -> String {
    let name = folder.and_then(Path::file_name).unwrap_or_default();
    let text = name.to_string_lossy().replace('_', ":");
    // a file that was copied elsewhere says nothing about its peer
    if text.contains(':') { text } else { String::new() }
}

#[cfg(test)]
mod tests;
