//! Who was dialled in the last day: so that nobody is dialled twice.
//!
//! The promise is *at most once in 24 hours*, also across restarts and crashes, and however often an address is advertised. So an address is
//! written down, and the disk has it, before it is dialled; what a crash may cost is a visit, never a second one.
//!
//! A host is visited at no more than [`PORTS`] of its ports in that time: gossip may name 65,535 of them.
//!
//! # The file
//!
//! A header of 32 bytes (`PO-TRIED`, the version, the key), then records of 16 bytes:
//!
//! | bytes | |
//! |---|---|
//! | 10 | SipHash-2-4 of network and address under the file's key, the first 80 bits |
//! | 2 | port |
//! | 4 | when, Unix seconds |
//!
//! Appended, and written anew when more than half of it is too old to count. What a crash left of the last record is cut off. The key makes the
//! hashes nobody's to choose: two of a million hosts are taken for one with a probability of 4·10⁻¹³, and then one of them goes without its
//! visit; nobody is visited twice. In memory an address takes 17 bytes, and up to twice that while the table grows; the table has a bound
//! ([`MOST`]), and when it is full nobody is dialled until the oldest are a day old.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use hashbrown::HashTable;
use rustix::fs::{FlockOperation, flock};
use siphasher::sip128::{Hasher128 as _, SipHasher24};

use super::target::Target;

/// For how long an address is remembered, seconds.
pub const PERIOD: u64 = 24 * 3600;
/// Ports of one host that are visited in that time: several nodes may share an address.
pub const PORTS: usize = 4;
/// The most that is remembered: 48 dials a second for a day.
pub const MOST: usize = 1 << 22;

const MAGIC: &[u8; 8] = b"PO-TRIED";
const VERSION: u8 = 1;
const HEADER: usize = 32;
const RECORD: usize = 16;
/// How often what is too old is looked for, seconds.
const SWEEP: u64 = 600;

/// Whether an address may be dialled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It was not dialled in a day.
    Fresh,
    /// It was.
    Repeated,
    /// As many ports of the host were as are visited in a day.
    EnoughPorts,
    /// There is no room to remember it.
    Full,
}

/// A file that cannot be used to remember.
#[derive(Debug, thiserror::Error)]
pub enum TriedError {
    /// It cannot be read or written.
    #[error("failed to open {} to remember who was dialled", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is something else.
    #[error("{} is not a list of who was dialled", .0.display())]
    Foreign(PathBuf),
    /// Another process dials by it.
    #[error("{} is in use by another process", .0.display())]
    Busy(PathBuf),
}

/// Who was dialled.
#[derive(Debug)]
pub struct Tried {
    table: HashTable<Record>,
    most: usize,
    key: [u8; 16],
    /// Remembered, and not on disk yet.
    pending: Vec<u8>,
    disk: Option<Disk>,
    swept: u64,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    host: [u8; 10],
    port: [u8; 2],
    time: [u8; 4],
}

#[derive(Debug)]
struct Disk {
    path: PathBuf,
    file: File,
    records: usize,
    /// Held for as long as this process lives.
    _lock: File,
}

impl Tried {
    /// Remembers for as long as the process lives.
    pub fn in_memory(key: [u8; 16]) -> Self {
        Self { table: HashTable::new(), most: MOST, key, pending: Vec::new(), disk: None, swept: 0 }
    }

    /// Goes on from a file, or begins one with this key.
    ///
    /// # Errors
    ///
    /// It cannot be used.
    pub fn open(path: &Path, key: [u8; 16], now: u64) -> Result<Self, TriedError> {
        let failed = |source| TriedError::Io { path: path.to_owned(), source };
        let lock = OpenOptions::new().create(true).append(true).open(beside(path, "lock")).map_err(failed)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| TriedError::Busy(path.to_owned()))?;
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(path).map_err(failed)?;
        let mut bytes = Vec::new();
        // a larger one would not be ours: it is written anew long before
        let largest = (HEADER + 2 * MOST * RECORD) as u64;
        Read::take(&file, largest + 1).read_to_end(&mut bytes).map_err(failed)?;
        let mut tried = Self::in_memory(key);
        // a header that a crash cut short: nothing was dialled before it was whole
        if bytes.len() < HEADER && MAGIC.starts_with(&bytes[..bytes.len().min(MAGIC.len())]) {
            file.set_len(0).map_err(failed)?;
            file.write_all(&tried.header()).and_then(|()| file.sync_all()).and_then(|()| sync_folder(path)).map_err(failed)?;
            tried.disk = Some(Disk { path: path.to_owned(), file, records: 0, _lock: lock });
            return Ok(tried);
        }
        let foreign = || TriedError::Foreign(path.to_owned());
        let header = bytes.first_chunk::<HEADER>().filter(|_| bytes.len() as u64 <= largest).ok_or_else(foreign)?;
        if header[..8] != *MAGIC || header[8] != VERSION {
            return Err(foreign());
        }
        tried.key = header[16..].try_into().expect("16 of 32 bytes");
        let records = bytes[HEADER..].chunks_exact(RECORD);
        let whole = records.len();
        for record in records {
            let part = |from: usize, to: usize| &record[from..to];
            let record = Record {
                host: part(0, 10).try_into().expect("10 bytes"),
                port: part(10, 12).try_into().expect("2 bytes"),
                time: part(12, 16).try_into().expect("4 bytes"),
            };
            if record.counts(now) {
                tried.insert(record);
            }
        }
        if bytes.len() != HEADER + whole * RECORD {
            file.set_len((HEADER + whole * RECORD) as u64).map_err(failed)?;
        }
        tried.disk = Some(Disk { path: path.to_owned(), file, records: whole, _lock: lock });
        tried.swept = now;
        tried.shorten().map_err(failed)?;
        Ok(tried)
    }

    /// How many are remembered, those too old to count included until they are looked for.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether nobody was dialled.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Whether an address may be dialled. `now` is Unix seconds; what was dialled at a later time, by a clock that went back since, counts.
    pub fn verdict(&self, target: &Target, now: u64) -> Verdict {
        let host = self.host(target);
        let port = target.port().to_be_bytes();
        let mut ports = 0;
        for known in self.table.iter_hash(short(&host)).filter(|known| known.host == host && known.counts(now)) {
            if known.port == port {
                return Verdict::Repeated;
            }
            ports += 1;
        }
        match ports {
            PORTS.. => Verdict::EnoughPorts,
            _ if self.table.len() >= self.most => Verdict::Full,
            _ => Verdict::Fresh,
        }
    }

    /// Remembers an address that is about to be dialled. It may be when [`Tried::commit`] has returned.
    pub fn remember(&mut self, target: &Target, now: u64) {
        let time = u32::try_from(now).unwrap_or(u32::MAX).to_be_bytes();
        let record = Record { host: self.host(target), port: target.port().to_be_bytes(), time };
        if self.disk.is_some() {
            self.pending.extend(record.host);
            self.pending.extend(record.port);
            self.pending.extend(record.time);
        }
        self.insert(record);
    }

    /// Writes down what is remembered. When this fails, it is tried again with what comes next; until then nobody may be dialled.
    ///
    /// # Errors
    ///
    /// The disk does not take it.
    pub fn commit(&mut self) -> io::Result<()> {
        let Some(disk) = &mut self.disk else { return Ok(()) };
        if self.pending.is_empty() {
            return Ok(());
        }
        let whole = (HEADER + disk.records * RECORD) as u64;
        if let Err(error) = disk.file.write_all(&self.pending).and_then(|()| disk.file.sync_data()) {
            // a part of a record would make every later one unreadable
            disk.file.set_len(whole)?;
            return Err(error);
        }
        disk.records += self.pending.len() / RECORD;
        self.pending.clear();
        Ok(())
    }

    /// Forgets what is too old to count, now and then.
    ///
    /// # Errors
    ///
    /// The shorter file cannot be written; the longer one is still good.
    pub fn sweep(&mut self, now: u64) -> io::Result<()> {
        if now < self.swept.saturating_add(SWEEP) {
            return Ok(());
        }
        self.swept = now;
        self.table.retain(|record| record.counts(now));
        if self.table.capacity() > 4 * self.table.len().max(1024) {
            self.table.shrink_to(2 * self.table.len(), |record| short(&record.host));
        }
        self.shorten()
    }

    /// Writes the file anew where most of it does not count any more.
    fn shorten(&mut self) -> io::Result<()> {
        let Some(disk) = &self.disk else { return Ok(()) };
        if disk.records < 1024.max(2 * self.table.len()) || !self.pending.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(HEADER + self.table.len() * RECORD);
        bytes.extend(self.header());
        for record in &self.table {
            bytes.extend(record.host);
            bytes.extend(record.port);
            bytes.extend(record.time);
        }
        let new = beside(&disk.path, "new");
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(&new)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&new, &disk.path)?;
        sync_folder(&disk.path)?;
        let file = OpenOptions::new().append(true).open(&disk.path)?;
        let records = self.table.len();
        if let Some(disk) = &mut self.disk {
            (disk.file, disk.records) = (file, records);
        }
        Ok(())
    }

    /// For tests: whatever is written from now on fails.
    #[cfg(test)]
    pub(super) fn break_disk(&mut self) {
        if let Some(disk) = &mut self.disk {
            disk.file = File::open(&disk.path).expect("it was there a moment ago");
        }
    }

    fn insert(&mut self, record: Record) {
        let hash = short(&record.host);
        let same = |known: &Record| known.host == record.host && known.port == record.port;
        match self.table.find_mut(hash, same) {
            Some(known) => known.time = known.time.max(record.time),
            None => {
                self.table.insert_unique(hash, record, |record| short(&record.host));
            }
        }
    }

    fn host(&self, target: &Target) -> [u8; 10] {
        use std::hash::Hasher as _;
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write(&i32::from(target.network()).to_le_bytes());
        hasher.write(target.address());
        hasher.finish128().as_bytes()[..10].try_into().expect("10 of 16 bytes")
    }

    fn header(&self) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(MAGIC);
        header[8] = VERSION;
        header[16..].copy_from_slice(&self.key);
        header
    }
}

impl Record {
    fn counts(&self, now: u64) -> bool {
        now < u64::from(u32::from_be_bytes(self.time)).saturating_add(PERIOD)
    }
}

/// For the table: the hash is as good as random already.
fn short(host: &[u8; 10]) -> u64 {
    u64::from_le_bytes(host[..8].try_into().expect("8 of 10 bytes"))
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(end);
    name.into()
}

/// A name is safe when its directory is.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const NOW: u64 = 1_750_000_000;

    fn target(number: u32) -> Target {
        Target::of_ip(Ipv4Addr::from(0x0100_0000 + number).into(), 8333)
    }

    fn with_port(port: u16) -> Target {
        Target::of_ip([1, 2, 3, 4].into(), port)
    }

    /// Dials whom it may.
    fn dial(tried: &mut Tried, target: &Target, now: u64) -> bool {
        let fresh = tried.verdict(target, now) == Verdict::Fresh;
        if fresh {
            tried.remember(target, now);
            tried.commit().unwrap();
        }
        fresh
    }

    #[test]
    fn each_is_dialled_once_a_day_across_restarts() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("tried");
        for day in 0..3 {
            let mut dialled = 0;
            for round in 0..4 {
                let now = NOW + day * PERIOD + round * 60;
                let mut tried = Tried::open(&path, [round as u8; 16], now).unwrap();
                // three hundred each time, two hundred of them known from the round before
                for number in 0..300 {
                    dialled += usize::from(dial(&mut tried, &target(round as u32 * 100 + number), now));
                }
            }
            assert_eq!(dialled, 600, "on day {day}");
        }
    }

    #[test]
    fn a_crash_costs_no_second_dial() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("tried");
        let mut tried = Tried::open(&path, [1; 16], NOW).unwrap();
        for number in 0..10 {
            assert!(dial(&mut tried, &target(number), NOW));
        }
        drop(tried);
        let whole = fs::read(&path).unwrap();
        // the last record as far as it came, and whatever a disk may leave behind it
        for cut in HEADER..=whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let tried = Tried::open(&path, [2; 16], NOW).unwrap();
            let known = (0..10).filter(|number| tried.verdict(&target(*number), NOW) == Verdict::Repeated).count();
            assert_eq!(known, (cut - HEADER) / RECORD);
            assert_eq!((fs::metadata(&path).unwrap().len() as usize - HEADER) % RECORD, 0);
        }
        // a header cut short was never dialled by
        for cut in 0..HEADER {
            fs::write(&path, &whole[..cut]).unwrap();
            assert!(Tried::open(&path, [2; 16], NOW).unwrap().is_empty());
        }
    }

    #[test]
    fn a_host_has_a_few_ports_visited() {
        let mut tried = Tried::in_memory([1; 16]);
        let dialled = (1000..2000).filter(|port| dial(&mut tried, &with_port(*port), NOW)).count();
        assert_eq!((dialled, tried.verdict(&with_port(1), NOW)), (PORTS, Verdict::EnoughPorts));
        assert_eq!(tried.verdict(&with_port(1), NOW + PERIOD), Verdict::Fresh);
    }

    #[test]
    fn a_clock_that_goes_back_forgets_nothing() {
        let mut tried = Tried::in_memory([1; 16]);
        assert!(dial(&mut tried, &target(1), NOW));
        assert!(!dial(&mut tried, &target(1), NOW - 10 * PERIOD));
        tried.sweep(NOW - 10 * PERIOD).unwrap();
        assert_eq!(tried.verdict(&target(1), NOW + 1), Verdict::Repeated);
    }

    #[test]
    fn a_full_table_dials_nobody_until_the_oldest_are_a_day_old() {
        let mut tried = Tried { most: 3, ..Tried::in_memory([1; 16]) };
        for number in 0..3 {
            assert!(dial(&mut tried, &target(number), NOW + u64::from(number)));
        }
        assert_eq!(tried.verdict(&target(9), NOW + 10), Verdict::Full);
        tried.sweep(NOW + PERIOD + 1).unwrap();
        assert_eq!((tried.verdict(&target(9), NOW + PERIOD + 1), tried.len()), (Verdict::Fresh, 1));
    }

    #[test]
    fn what_is_too_old_leaves_the_file() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("tried");
        let mut tried = Tried::open(&path, [1; 16], NOW).unwrap();
        for number in 0..3000 {
            tried.remember(&target(number), NOW);
        }
        tried.commit().unwrap();
        assert!(dial(&mut tried, &target(5000), NOW + PERIOD - 1));
        tried.sweep(NOW + PERIOD + 1).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len() as usize, HEADER + RECORD);
        assert!(dial(&mut tried, &target(1), NOW + PERIOD + 1));
        drop(tried);
        let tried = Tried::open(&path, [9; 16], NOW + PERIOD + 1).unwrap();
        let verdicts = [5000, 1, 2].map(|number| tried.verdict(&target(number), NOW + PERIOD + 1));
        assert_eq!(verdicts, [Verdict::Repeated, Verdict::Repeated, Verdict::Fresh]);
    }

    #[test]
    fn a_file_of_something_else_or_of_somebody_else_is_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("tried");
        fs::write(&path, "a configuration, or whatever it is that somebody named by mistake").unwrap();
        assert!(matches!(Tried::open(&path, [1; 16], NOW), Err(TriedError::Foreign(_))));
        fs::write(&path, "short").unwrap();
        assert!(matches!(Tried::open(&path, [1; 16], NOW), Err(TriedError::Foreign(_))));
        fs::remove_file(&path).unwrap();
        let held = Tried::open(&path, [1; 16], NOW).unwrap();
        assert!(matches!(Tried::open(&path, [1; 16], NOW), Err(TriedError::Busy(_))));
        drop(held);
        Tried::open(&path, [1; 16], NOW).unwrap();
    }

    /// A million distinct addresses, each offered twice in pieces between which the process starts anew: each is dialled once.
    #[test]
    fn a_million_are_each_dialled_once() {
        const MILLION: u32 = 1_000_000;
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("tried");
        let mut dialled = vec![0_u8; MILLION as usize];
        for piece in 0..4 {
            let mut tried = Tried::open(&path, [piece; 16], NOW).unwrap();
            for step in 0..MILLION / 2 {
                // coprime to a million: every piece has half of them, and all of them come twice
                let number = (step * 2 + u32::from(piece) % 2) * 7 % MILLION;
                let target = target(number);
                if tried.verdict(&target, NOW) == Verdict::Fresh {
                    tried.remember(&target, NOW);
                    dialled[number as usize] += 1;
                }
                if step % 50_000 == 0 {
                    tried.commit().unwrap();
                }
            }
            tried.commit().unwrap();
        }
        assert!(dialled.iter().all(|times| *times == 1));
    }
}
