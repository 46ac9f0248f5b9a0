//! Recordings into another file: a slice, several as one, or a segment with larger frames.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use event::Event;
use event::archive::Packer;
use event::archive::segment::Header;

use super::amount::counted;
use super::input;
use super::progress::Progress;
use super::segment::{End, ReadError, Segment, Writer};
use super::select::Selection;
use super::store::{REPLACING, unfinished};

/// What takes time is done once, where nobody waits for it.
pub const LEVEL: i32 = 12;

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// What is to be copied cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The name of the file tells what its content does not.
    #[error("the file name {} tells the name of the node `{node}`", path.display())]
    Named {
        /// Which.
        path: PathBuf,
        /// Which node.
        node: String,
    },
    /// There is such a file: nothing good is written over.
    #[error("{} exists already", path.display())]
    Exists {
        /// Which.
        path: PathBuf,
    },
    /// Somebody else makes such a file.
    #[error("{} is being written by another process", path.display())]
    Busy {
        /// Which.
        path: PathBuf,
    },
    /// Nothing of what was asked for is there, or may leave: a file without events would only be in the way.
    #[error("{}", if *withheld > 0 { format!("all of that may not leave: {}", counted(*withheld, "event", "events")) } else { "nothing of that is in the recordings".to_owned() })]
    Empty {
        /// Events that may not leave.
        withheld: u64,
    },
    /// The copy cannot be written.
    #[error("failed to write {}: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What was copied.
#[derive(Debug, Default)]
pub struct Copied {
    /// Events.
    pub events: u64,
    /// Events that may not leave: of kinds that say too much.
    pub withheld: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// What could not be read; everything else was.
    pub fault: Option<ReadError>,
}

/// Writes what is selected of some recordings into a new file, merged by time.
///
/// The file takes its name when it is whole.
///
/// # Errors
///
/// A recording is none, nothing of it is selected, or the file exists or cannot be written.
pub fn copy(paths: &[PathBuf], selection: &Selection, to: &Path, now: u64) -> Result<Copied, CopyError> {
    copy_watched(paths, selection, to, now, &Progress::default())
}

/// As [`copy`]; `progress` is how much was read.
///
/// # Errors
///
/// As [`copy`].
pub fn copy_watched(
    paths: &[PathBuf],
    selection: &Selection,
    to: &Path,
    now: u64,
    progress: &Progress,
) -> Result<Copied, CopyError> {
    let header = header(paths, selection, now)?;
    let events = input::open_watched(paths, selection, progress)?;
    into_new(to, |part| write(events, &header, part))
}

/// Writes events that are no recording yet into a new file, in their order, unless `progress` is told to stop.
///
/// # Errors
///
/// Nothing is selected, or the file exists or cannot be written.
pub fn import(
    events: impl Iterator<Item = Event>,
    selection: &Selection,
    to: &Path,
    now: u64,
    progress: &Progress,
) -> Result<Copied, CopyError> {
    let header = header(&[], selection, now)?;
    let go_on = |event| if progress.is_stopped() { Err(ReadError::Stopped) } else { Ok(event) };
    let push = |packer: &mut Packer, event: Event| {
        packer.push(&event);
        true
    };
    let wanted = |event: &Result<Event, ReadError>| event.as_ref().map_or(true, |event| selection.event(event));
    into_new(to, |part| pack(events.map(go_on).filter(wanted), Writer::create(part, &header, LEVEL)?, push))
}

/// What a copy says of itself.
pub(super) fn header(paths: &[PathBuf], selection: &Selection, now: u64) -> Result<Header, ReadError> {
    let mut header = Header { created: now, ..common(paths)? };
    if let Some(kinds) = &selection.kinds {
        // whoever misses something should see that it was left out
        let names: Vec<&str> = kinds.iter().map(event::KindId::name).collect();
        header.kinds = names.join(",");
    }
    Ok(header)
}

/// Has a file written that is to be `to`: it takes its name when it is whole.
pub(super) fn into_new(to: &Path, write: impl FnOnce(&Path) -> io::Result<Copied>) -> Result<Copied, CopyError> {
    if to.exists() {
        return Err(CopyError::Exists { path: to.to_owned() });
    }
    let part = part_of(to);
    let failed = |source| CopyError::Write { path: to.to_owned(), source };
    if part.exists() && !left_behind(&part).map_err(failed)? {
        return Err(CopyError::Busy { path: to.to_owned() });
    }
    let made = match write(&part) {
        // somebody was quicker
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(CopyError::Busy { path: to.to_owned() }),
        Ok(copied) if copied.events == 0 => {
            fs::remove_file(&part).map_err(failed)?;
            return Err(copied.fault.map_or(CopyError::Empty { withheld: copied.withheld }, CopyError::Read));
        }
        Ok(copied) => take_name(&part, to).map(|()| copied),
        Err(error) => Err(error),
    };
    made.map_err(|error| {
        // it is ours, and nothing
        let _ = fs::remove_file(&part);
        match error.kind() {
            io::ErrorKind::AlreadyExists => CopyError::Exists { path: to.to_owned() },
            io::ErrorKind::Interrupted => ReadError::Stopped.into(),
            _ => failed(error),
        }
    })
}

/// Clears away what somebody left behind who was ended; false where somebody is still at it.
fn left_behind(part: &Path) -> io::Result<bool> {
    let file = File::open(part)?;
    if rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(false);
    }
    fs::remove_file(part).map(|()| true)
}

/// Gives a file its name, but not in place of one that came in between.
fn take_name(part: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, part, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // a file system that cannot promise that: a link does not replace anything either
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            fs::hard_link(part, to)?;
            fs::remove_file(part)
        }
        Err(error) => Err(error.into()),
    }
}

/// Where a file grows before it has its name.
fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// What all of these say of themselves: a copy knows no more than its sources.
fn common(paths: &[PathBuf]) -> Result<Header, ReadError> {
    let mut headers = Vec::new();
    let look = |file: &Path| {
        match Segment::open(file, |_, _| true) {
            Ok(segment) => headers.extend(segment.map(|segment| segment.header)),
            Err(ReadError::Foreign { empty: false, .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    };
    input::each_file(paths, look, input::told_later)?;
    let same = |of: fn(&Header) -> &String| {
        let mut texts: Vec<&str> = headers.iter().map(|header| of(header).as_str()).collect();
        texts.sort_unstable();
        texts.dedup();
        texts.join(" + ")
    };
    Ok(Header {
        writer: version(),
        kinds: same(|header| &header.kinds),
        profile: same(|header| &header.profile),
        ..Header::default()
    })
}

/// This release.
pub(crate) fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

fn write(events: input::Opened, header: &Header, path: &Path) -> io::Result<Copied> {
    pack(events.into_iter(), Writer::create(path, header, LEVEL)?, |packer, raw| {
        packer.push_bytes(&raw.bytes).expect("a reader gives back events only");
        true
    })
}

/// Writes a segment of what `push` puts into the packer; it says whether it did.
pub(super) fn pack<T>(
    events: impl Iterator<Item = Result<T, ReadError>>,
    mut writer: Writer,
    mut push: impl FnMut(&mut Packer, T) -> bool,
) -> io::Result<Copied> {
    let mut packer = Packer::default();
    let mut copied = Copied::default();
    for item in events {
        match item {
            Ok(event) => {
                let pushed = push(&mut packer, event);
                *if pushed { &mut copied.events } else { &mut copied.withheld } += 1;
                if packer.is_full() {
                    writer.frame(&mut packer)?;
                }
            }
            // nobody wants the rest of it
            Err(ReadError::Stopped) => return Err(io::ErrorKind::Interrupted.into()),
            Err(error) => copied.fault = Some(error),
        }
    }
    writer.frame(&mut packer)?;
    copied.bytes = writer.finish()?;
    Ok(copied)
}

/// Rewrites a segment with frames as large as they may be: what is alike then stands together, and takes half the room or less. Gives back
/// how many bytes it takes now; `None` where there is nothing to gain.
///
/// The segment is replaced in one step, and only by one that holds the same: whatever goes wrong, it is there.
///
/// # Errors
///
/// It cannot be read or written, or is damaged. Then it stays as it is.
pub fn seal(path: &Path) -> Result<Option<u64>, CopyError> {
    // what its index does not tell would be gone
    let Some(segment) = Segment::scanned(path)? else { return Ok(None) };
    let small =
        |frames: &[event::archive::segment::Entry]| frames.windows(2).any(|two| two.iter().all(|entry| entry.head.bytes < SMALL));
    if segment.end == End::Finished && !small(&segment.entries) {
        return Ok(None);
    }
    if let Some(fault) = segment.faults.first() {
        return Err(segment.damaged(fault.offset, &fault.what).into());
    }
    let part = unfinished(path);
    let failed = |source| CopyError::Write { path: part.clone(), source };
    let attempt = || -> Result<u64, CopyError> {
        let events = input::open(&[path.to_owned()], &Selection::default())?;
        let copied = write(events, &segment.header, &part).map_err(failed)?;
        if let Some(fault) = copied.fault {
            return Err(fault.into());
        }
        let expected: u64 = segment.entries.iter().map(|entry| entry.head.events).sum();
        if read_back(&part)? != expected {
            return Err(failed(io::Error::other("it does not hold what it should")));
        }
        let alone = REPLACING.lock().expect("nothing panics while it holds the lock");
        // deleted meanwhile, for its age or for the room
        if !path.exists() {
            return Err(failed(io::ErrorKind::NotFound.into()));
        }
        fs::rename(&part, path).map_err(failed)?;
        drop(alone);
        if let Some(directory) = path.parent() {
            File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
        }
        Ok(copied.bytes)
    };
    let result = attempt();
    if result.is_err() {
        let _ = fs::remove_file(&part);
    }
    result.map(Some)
}

/// A frame with fewer bytes of events was closed by time, and gains by having company.
const SMALL: u64 = 1 << 20;

/// How many events a segment gives back that was just written.
fn read_back(path: &Path) -> Result<u64, CopyError> {
    let mut events = 0;
    for raw in input::open(&[path.to_owned()], &Selection::default())? {
        raw?;
        events += 1;
    }
    Ok(events)
}
