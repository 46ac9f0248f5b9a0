//! An archive as a directory: its segments, who writes them, how long they are kept.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use event::archive::segment::Header;
use jiff::Timestamp;

use super::amount::{Age, Size, counted};
use super::segment::Writer;
use crate::ship::shipped;

/// Segments are called `<number>-<time of beginning>.poa`.
const EXTENSION: &str = "poa";
/// A segment that is being rewritten; it is nothing until it has its name.
const UNFINISHED: &str = "poa.new";
/// Held by whoever writes.
const LOCK: &str = ".lock";
/// How far back a forecast looks.
const LATELY: Duration = Duration::from_hours(24);
/// Less tells nothing about a day.
const LEAST: Duration = Duration::from_mins(10);

/// A segment of an archive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// Where it is.
    pub path: PathBuf,
    /// Its place in the order.
    pub number: u64,
    /// When it was begun, nanoseconds since the epoch.
    pub created: u64,
    /// Bytes.
    pub size: u64,
}

/// The segments of a directory, in the order in which they were written.
///
/// # Errors
///
/// The directory cannot be read.
pub fn segments(directory: &Path) -> io::Result<Vec<Kept>> {
    let mut kept = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some((number, created)) = name.to_str().and_then(parse) else { continue };
        // deleted in between, by whoever keeps it small
        let Ok(metadata) = entry.metadata() else { continue };
        kept.push(Kept { path: entry.path(), number, created, size: metadata.len() });
    }
    kept.sort_by_key(|kept| kept.number);
    Ok(kept)
}

/// When a segment was begun, nanoseconds since the epoch, by its name.
pub fn created(path: &Path) -> Option<u64> {
    parse(path.file_name()?.to_str()?).map(|(_, created)| created)
}

fn name(number: u64, created: u64) -> String {
    let seconds = i64::try_from(created / 1_000_000_000).unwrap_or(0);
    let time = Timestamp::from_second(seconds).unwrap_or_default();
    format!("{number:08}-{}.{EXTENSION}", time.strftime("%Y%m%dT%H%M%SZ"))
}

fn parse(name: &str) -> Option<(u64, u64)> {
    let (number, time) = name.strip_suffix(EXTENSION)?.strip_suffix('.')?.split_once('-')?;
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", time).ok()?;
    let time = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    Some((number.parse().ok()?, u64::try_from(time.as_nanosecond()).ok()?))
}

/// An archive that this process writes to, and nobody else.
pub struct Store {
    directory: PathBuf,
    /// Holds the lock until it is closed.
    _lock: File,
}

/// Why nothing can be written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory cannot be made or written to.
    #[error("failed to write to the archive {}: {source}", path.display())]
    Failed {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else writes to it.
    #[error("the archive {} is being written by another process", path.display())]
    Busy {
        /// Which.
        path: PathBuf,
    },
}

impl StoreError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Failed { .. } => "the directory must be writable by this user; `--archive` names another one",
            Self::Busy { .. } => "each process needs an archive of its own; `archive merge` joins them",
        }
    }
}

impl Store {
    /// Opens a directory for writing, and makes it where it is missing. What was left behind needs no repair.
    ///
    /// # Errors
    ///
    /// It cannot be written, or somebody else writes to it.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Failed { path: directory.to_owned(), source };
        private_directory(directory).map_err(failed)?;
        // whoever may look into the directory may see that somebody writes there
        let lock = File::create(directory.join(LOCK)).map_err(failed)?;
        match rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(StoreError::Busy { path: directory.to_owned() }),
            Err(error) => return Err(failed(error.into())),
        }
        // halves of segments that somebody was rewriting when he was ended: the whole ones are still there
        for entry in fs::read_dir(directory).map_err(failed)?.flatten() {
            if entry.file_name().to_str().is_some_and(|name| name.ends_with(UNFINISHED)) {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(Self { directory: directory.to_owned(), _lock: lock })
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Begins a segment behind all others.
    ///
    /// # Errors
    ///
    /// The directory cannot be written.
    pub fn begin(&self, header: &Header, level: i32) -> io::Result<Writer> {
        let number = segments(&self.directory)?.last().map_or(1, |last| last.number.saturating_add(1));
        let writer = Writer::create(&self.directory.join(name(number, header.created)), header, level)?;
        self.sync()?;
        Ok(writer)
    }

    /// Returns when the names in the directory are on the disk.
    ///
    /// # Errors
    ///
    /// The disk does not confirm it.
    pub fn sync(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    /// Deletes the oldest segments until the rest is within the limits, but never the latest one, and none that has to be somewhere else
    /// first. Gives back what was deleted.
    ///
    /// # Errors
    ///
    /// One cannot be deleted.
    pub fn retain(&self, limits: &Limits, now: u64) -> io::Result<Vec<Kept>> {
        let kept = segments(&self.directory)?;
        let mut gone = limits.exceeding(&kept, now);
        if gone > 0 && limits.shipped_only {
            let shipped = shipped::read(&self.directory);
            let name = |kept: &Kept| kept.path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
            // one that was packed since has another size, and is sent again
            let there = |kept: &&Kept| name(kept).and_then(|name| shipped.get(&name).copied()) == Some(kept.size);
            gone = kept[..gone].iter().take_while(there).count();
        }
        let _alone = REPLACING.lock().expect("nothing panics while it holds the lock");
        for segment in &kept[..gone] {
            fs::remove_file(&segment.path)?;
        }
        Ok(kept.into_iter().take(gone).collect())
    }
}

/// Makes a directory, and those it lies in, where they are missing: nobody but its owner may look into it. One that is there stays as it is.
///
/// # Errors
///
/// It cannot be made.
pub(crate) fn private_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Whether somebody writes to an archive: then its last segment is unfinished.
pub fn is_written(directory: &Path) -> bool {
    let Ok(lock) = File::open(directory.join(LOCK)) else { return false };
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockShared).is_err()
}

/// Whether this user may write to an archive there, without trying it.
///
/// # Errors
///
/// Why not.
pub fn may_write(directory: &Path) -> io::Result<()> {
    use rustix::fs::{Access, access};
    // a directory that is missing is made
    let there = directory.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    if !there.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(access(there, Access::WRITE_OK | Access::EXEC_OK)?)
}

/// Held while a finished segment is deleted, or replaced by a smaller one: what was deleted does not come back.
pub(crate) static REPLACING: Mutex<()> = Mutex::new(());

/// Where a rewritten segment grows before it takes the place of the one it was made of.
pub(crate) fn unfinished(path: &Path) -> PathBuf {
    path.with_extension(UNFINISHED)
}

/// How much is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    /// Bytes of all segments.
    pub size: Option<Size>,
    /// How long ago.
    pub age: Option<Age>,
    /// Delete only what is in another place, too ([`crate::ship`]).
    pub shipped_only: bool,
}

impl Limits {
    /// How many segments, from the oldest, are beyond the limits.
    fn exceeding(&self, kept: &[Kept], now: u64) -> usize {
        let mut size: u64 = kept.iter().map(|kept| kept.size).sum();
        let age = |age: Age| u64::try_from(age.0.as_nanos()).unwrap_or(u64::MAX);
        let oldest = self.age.map_or(0, |limit| now.saturating_sub(age(limit)));
        let begun = begun(kept, now);
        let mut gone = 0;
        while gone + 1 < kept.len() {
            let large = self.size.is_some_and(|limit| size > limit.0);
            // all of it happened before the next one was begun; where a clock went back between the two, after it was begun itself
            let old = begun[gone].max(begun[gone + 1]) < oldest;
            if !large && !old {
                break;
            }
            size -= kept[gone].size;
            gone += 1;
        }
        gone
    }
}

/// When segments were begun. One of a clock that was ahead, which says a time that is still to come, was begun before the next one.
fn begun(kept: &[Kept], now: u64) -> Vec<u64> {
    let mut next = now;
    let mut begun: Vec<u64> = Vec::with_capacity(kept.len());
    for kept in kept.iter().rev() {
        next = if kept.created <= now { kept.created } else { next };
        begun.push(next);
    }
    begun.reverse();
    begun
}

/// How an archive grows, and how long that can go on.
#[derive(Clone, Copy, PartialEq, Debug, serde::Serialize)]
pub struct Forecast {
    /// Bytes of all segments.
    pub bytes: u64,
    /// Segments.
    pub segments: u64,
    /// Bytes that a day takes, by the last 24 hours; absent where there is too little to go by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_day: Option<u64>,
    /// Bytes that the disk has left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free: Option<u64>,
    /// Days until the disk is full, at that rate and if nothing is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days_left: Option<f64>,
}

impl Forecast {
    /// Looks at an archive.
    ///
    /// # Errors
    ///
    /// The directory cannot be read.
    pub fn of(directory: &Path, now: u64) -> io::Result<Self> {
        let kept = segments(directory)?;
        let free = rustix::fs::statvfs(directory).ok().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        Ok(Self::new(&kept, free, now))
    }

    fn new(kept: &[Kept], free: Option<u64>, now: u64) -> Self {
        let since = now.saturating_sub(LATELY.as_nanos() as u64);
        let lately = kept.iter().filter(|kept| kept.created >= since);
        let span = lately.clone().map(|kept| now.saturating_sub(kept.created)).max().unwrap_or(0);
        let bytes: u64 = lately.map(|kept| kept.size).sum();
        let enough = span >= LEAST.as_nanos() as u64;
        let bytes_per_day = enough.then(|| (bytes as f64 / span as f64 * LATELY.as_nanos() as f64) as u64);
        let days_left = free.zip(bytes_per_day.filter(|rate| *rate > 0)).map(|(free, rate)| free as f64 / rate as f64);
        Self { bytes: kept.iter().map(|kept| kept.size).sum(), segments: kept.len() as u64, bytes_per_day, free, days_left }
    }
}

/// `1.2 GB in 14 segments, 80.1 MB a day, disk full in 312 days`
impl std::fmt::Display for Forecast {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in {}", Size(self.bytes), counted(self.segments, "segment", "segments"))?;
        if let Some(rate) = self.bytes_per_day {
            write!(f, ", {} a day", Size(rate))?;
        }
        match self.days_left {
            Some(days) if days < 3650.0 => write!(f, ", disk full in {days:.0} days"),
            Some(_) => write!(f, ", the disk lasts for years"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000_000_000;

    fn kept(hours: &[u64], size: u64) -> Vec<Kept> {
        let segment = |(number, hour): (u64, &u64)| Kept { path: PathBuf::new(), number, created: hour * HOUR, size };
        (1..).zip(hours).map(segment).collect()
    }

    #[test]
    fn names_are_read_as_they_were_written() {
        let name = name(7, 1_750_000_000_123_456_789);
        assert_eq!(name, "00000007-20250615T150640Z.poa");
        assert_eq!(parse(&name), Some((7, 1_750_000_000_000_000_000)));
        for other in ["00000007-20250615T150640Z.poa.new", "7.poa", "a-20250615T150640Z.poa", "00000007-2025.poa", ".lock"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn limits_take_the_oldest_and_leave_the_latest() {
        let all = kept(&[1, 2, 3, 4], 100);
        let size = |bytes| Limits { size: Some(Size(bytes)), ..Limits::default() }.exceeding(&all, 5 * HOUR);
        assert_eq!([400, 399, 250, 0].map(size), [0, 1, 2, 3]);
        // the second one ends when the third begins, two hours ago
        let age = |seconds| Limits { age: Some(Age(Duration::from_secs(seconds))), ..Limits::default() }.exceeding(&all, 5 * HOUR);
        assert_eq!([10_000_000, 7300, 7100, 1].map(age), [0, 1, 2, 3]);
        assert_eq!(Limits::default().exceeding(&all, u64::MAX), 0);
    }

    /// A board without a battery begins in 1970, one with a bad one in 2099, until somebody tells it the time.
    #[test]
    fn a_clock_that_was_wrong_deletes_nothing_early_and_keeps_nothing_for_ever() {
        let exceeding = |hours: &[u64], now: u64| {
            Limits { age: Some(Age(Duration::from_hours(10))), ..Limits::default() }.exceeding(&kept(hours, 100), now * HOUR)
        };
        // what was begun at 100 is no older because the next one says 0
        assert_eq!(exceeding(&[100, 0, 101, 102], 103), 0);
        assert_eq!(exceeding(&[100, 0, 101, 102], 112), 2);
        // nor younger because the next one says 9000
        assert_eq!(exceeding(&[100, 9000, 101, 102], 103), 0);
        assert_eq!(exceeding(&[100, 9000, 101, 102], 112), 2);
        assert_eq!(exceeding(&[9000, 9001, 9002, 101, 102], 112), 3);
        assert_eq!(exceeding(&[9000, 9001], 112), 0);
    }

    #[test]
    fn a_forecast_goes_by_the_last_day() {
        let forecast = Forecast::new(&kept(&[1, 90, 96], 1_000_000_000), Some(40_000_000_000), 100 * HOUR);
        // two segments in ten hours
        assert_eq!((forecast.bytes_per_day, forecast.days_left.map(f64::round)), (Some(4_800_000_000), Some(8.0)));
        assert_eq!(forecast.to_string(), "3.0 GB in 3 segments, 4.8 GB a day, disk full in 8 days");
        let young = Forecast::new(&kept(&[100], 5), None, 100 * HOUR + 1);
        assert_eq!(young.to_string(), "5 B in 1 segment");
    }

    #[test]
    fn one_writes_and_others_wait() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b");
        let store = Store::open(&path).unwrap();
        assert!(matches!(Store::open(&path), Err(StoreError::Busy { .. })));
        drop(store);
        let store = Store::open(&path).unwrap();
        let header = Header { created: HOUR, ..Header::default() };
        let first = store.begin(&header, 1).unwrap();
        // a clock that went back does not change the order
        let second = store.begin(&Header::default(), 1).unwrap();
        let order: Vec<_> = segments(&path).unwrap().into_iter().map(|kept| kept.path).collect();
        assert_eq!(order, [first.path(), second.path()]);
    }

    #[test]
    fn what_is_nowhere_else_is_not_deleted() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        for _ in 0..4 {
            store.begin(&Header::default(), 1).unwrap().finish().unwrap();
        }
        let names = || {
            let names = segments(directory.path()).unwrap().into_iter();
            names.map(|kept| (kept.path.file_name().unwrap().to_str().unwrap().to_owned(), kept.size)).collect::<Vec<_>>()
        };
        let limits = Limits { size: Some(Size(0)), shipped_only: true, ..Limits::default() };
        assert!(store.retain(&limits, 0).unwrap().is_empty());
        let all = names();
        // the second was packed after it was sent
        let shipped = [all[0].clone(), (all[1].0.clone(), all[1].1 + 1), all[2].clone()].into();
        shipped::write(directory.path(), &shipped).unwrap();
        assert_eq!(store.retain(&limits, 0).unwrap().len(), 1);
        assert_eq!(names(), all[1..]);
        assert_eq!(store.retain(&Limits { shipped_only: false, ..limits }, 0).unwrap().len(), 2);
    }

    #[test]
    fn nobody_else_may_look_into_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let others = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o077;
        let path = directory.path().join("a/b");
        let segment = Store::open(&path).unwrap().begin(&Header::default(), 1).unwrap();
        assert_eq!([path.as_path(), &directory.path().join("a"), segment.path()].map(others), [0; 3]);
        // one that was there is the business of who made it
        let open = directory.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
        let segment = Store::open(&open).unwrap().begin(&Header::default(), 1).unwrap();
        assert_eq!([open.as_path(), segment.path()].map(others), [0o055, 0]);
    }

    #[test]
    fn who_writes_is_seen_by_others() {
        let directory = tempfile::tempdir().unwrap();
        assert!(!is_written(directory.path()));
        let store = Store::open(directory.path()).unwrap();
        assert!(is_written(directory.path()));
        drop(store);
        assert!(!is_written(directory.path()));
    }

    #[test]
    fn what_nobody_finished_is_cleared_away() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("00000007-20250615T150640Z.poa.new");
        fs::write(&path, "half").unwrap();
        Store::open(directory.path()).unwrap();
        assert!(!path.exists());
    }
}
