//! Looking at a process.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use event::{StateDisk, StateProcess, ThreadUse};

use super::parse::{self, Stat};
use super::threads::{Thread, Threads};

/// Looks at one process, again and again.
#[derive(Debug)]
pub struct Sampler {
    pid: u32,
    folder: PathBuf,
    /// When it was started, in clock ticks: the id may be another process's by now.
    started: Option<u64>,
    threads: Threads,
    nanos_per_tick: u64,
    page: u64,
}

/// The files that are read, and what is lost without them.
pub const FILES: [&str; 7] = ["stat", "status", "task", "schedstat", "fd", "limits", "io"];

impl Sampler {
    /// Prepares to look at a process.
    pub fn new(pid: u32) -> Self {
        Self {
            pid,
            folder: format!("/proc/{pid}").into(),
            started: None,
            threads: Threads::default(),
            nanos_per_tick: 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1),
            page: rustix::param::page_size() as u64,
        }
    }

    /// What it uses now; nothing if it has ended.
    pub fn sample(&mut self) -> Option<StateProcess> {
        let stat = parse::stat(&read(&self.folder, "stat")?)?;
        if *self.started.get_or_insert(stat.started) != stat.started {
            return None;
        }
        let status = read(&self.folder, "status").map(|text| parse::status(&text)).unwrap_or_default();
        let io = read(&self.folder, "io").and_then(|text| parse::io(&text));
        let threads = self.threads();
        Some(StateProcess {
            pid: self.pid,
            user_nanos: self.nanos(stat.user),
            system_nanos: self.nanos(stat.system),
            threads: self.threads.update(threads),
            thread_count: u32::try_from(stat.threads).unwrap_or(u32::MAX),
            resident: stat.resident.saturating_mul(self.page),
            virtual_size: stat.virtual_size,
            resident_peak: status.resident_peak,
            swapped: status.swapped,
            major_faults: stat.major_faults,
            open_files: fs::read_dir(self.folder.join("fd")).ok().map(|files| files.count() as u64),
            open_files_limit: read(&self.folder, "limits").and_then(|text| parse::open_files_limit(&text)),
            disk_read: io.map(|(read, _)| read),
            disk_written: io.map(|(_, written)| written),
        })
    }

    /// Which of [`FILES`] can be read, and which cannot.
    pub fn readable(&self) -> (Vec<String>, Vec<String>) {
        let named = FILES.iter().map(|file| (*file).to_owned());
        named.partition(|file| self.can_read(file))
    }

    /// Whether one of [`FILES`] can be read.
    pub fn can_read(&self, file: &str) -> bool {
        let path = self.folder.join(file);
        if matches!(file, "task" | "fd") { fs::read_dir(path).is_ok() } else { fs::read(path).is_ok() }
    }

    fn threads(&self) -> Vec<Thread> {
        let Ok(tasks) = fs::read_dir(self.folder.join("task")) else { return Vec::new() };
        // a thread may end while it is looked at
        tasks.flatten().filter_map(|task| self.thread(task.file_name().to_str()?.parse().ok()?, &task.path())).collect()
    }

    fn thread(&self, id: u32, folder: &Path) -> Option<Thread> {
        let Stat { name, user, system, started, .. } = parse::stat(&read(folder, "stat")?)?;
        let status = read(folder, "status").map(|text| parse::status(&text)).unwrap_or_default();
        let used = ThreadUse {
            name: String::new(),
            threads: 0,
            user_nanos: self.nanos(user),
            system_nanos: self.nanos(system),
            waiting_nanos: read(folder, "schedstat").and_then(|text| parse::waited(&text)),
            voluntary_switches: status.voluntary_switches,
            involuntary_switches: status.involuntary_switches,
        };
        Some(Thread { id, started, name, used })
    }

    fn nanos(&self, ticks: u64) -> u64 {
        ticks.saturating_mul(self.nanos_per_tick)
    }
}

/// When a process was started, in clock ticks since the machine was; nothing if it has ended, even if nobody has noticed yet.
pub fn started(pid: u32) -> Option<u64> {
    let text = read(Path::new("/proc"), &format!("{pid}/stat"))?;
    // dead, but not buried: nothing of it can be read any more
    let dead = text.rsplit_once(')').is_some_and(|(_, after)| after.trim_start().starts_with(['Z', 'X']));
    if dead { None } else { parse::stat(&text).map(|stat| stat.started) }
}

/// The file system that holds a folder.
///
/// # Errors
///
/// The folder is not there, or another user's.
pub fn disk(folder: &Path) -> io::Result<StateDisk> {
    let file_system = rustix::fs::statvfs(folder)?;
    let bytes = |blocks: u64| blocks.saturating_mul(file_system.f_frsize);
    Ok(StateDisk {
        size: bytes(file_system.f_blocks),
        available: bytes(file_system.f_bavail),
        free: bytes(file_system.f_bfree),
        files_free: (file_system.f_files > 0).then_some(file_system.f_favail),
    })
}

/// A file as text. Names of threads may be any bytes.
fn read(folder: &Path, file: &str) -> Option<String> {
    let bytes = fs::read(folder.join(file)).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn this_process_is_seen() {
        let mut sampler = Sampler::new(std::process::id());
        let first = sampler.sample().unwrap();
        assert!(first.resident > 0 && first.virtual_size >= first.resident && first.resident_peak >= Some(first.resident / 2));
        assert!(first.thread_count > 0 && first.threads.iter().any(|sum| sum.threads > 0));
        assert!(first.open_files >= Some(3), "{:?}", first.open_files);
        assert!(sampler.started.is_some() && started(std::process::id()) == sampler.started);
        let missing: Vec<_> = FILES.iter().filter(|file| !sampler.can_read(file)).collect();
        assert!(missing.is_empty(), "{missing:?}");
        let second = sampler.sample().unwrap();
        assert!(second.user_nanos + second.system_nanos >= first.user_nanos + first.system_nanos);
    }

    #[test]
    fn a_process_that_ended_is_gone() {
        let mut child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
        let mut sampler = Sampler::new(child.id());
        assert_eq!(sampler.sample().map(|state| state.thread_count), Some(1));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(sampler.sample(), None);
        assert_eq!(started(child.id()), None);
    }

    #[test]
    fn an_id_that_came_back_is_another_process() {
        let mut sampler = Sampler { started: Some(1), ..Sampler::new(std::process::id()) };
        assert_eq!(sampler.sample(), None);
    }

    #[test]
    fn a_disk_has_a_size() {
        let folder = tempfile::tempdir().unwrap();
        let disk = super::disk(folder.path()).unwrap();
        assert!(disk.size >= disk.free && disk.free >= disk.available && disk.size > 0, "{disk:?}");
        assert!(super::disk(&folder.path().join("none")).is_err());
    }
}
