//! When the node's process was started.

use std::path::Path;

use super::file::{Named, read_small};

/// Long enough for any process id and the blanks around it.
const LONGEST: u64 = 64;

/// One life of a process. The pid alone may be used again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Process {
    pub(super) pid: u32,
    /// Clock ticks after boot: stays the same when the clock is set.
    ticks: u64,
    /// Unix seconds, rounded down as everywhere in this program.
    pub(super) started: u64,
}

impl Process {
    /// The process that a pid file names; `None` when there is no such file or process.
    pub(super) fn of_pid_file(file: &Path) -> Option<Self> {
        // whose it is does not matter: nothing but a number comes of it
        Self::of_pid(read_small(file, Named::ByOperator, LONGEST).ok()?.trim().parse().ok()?)
    }

    fn of_pid(pid: u32) -> Option<Self> {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        let ticks = start_ticks(&String::from_utf8_lossy(&stat))?;
        let system = std::fs::read_to_string("/proc/stat").ok()?;
        let boot: u64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
        Some(Self { pid, ticks, started: boot.checked_add(ticks / rustix::param::clock_ticks_per_second())? })
    }
}

/// Field 22 of proc(5). The name in field 2 may hold anything, parentheses and blanks too.
fn start_ticks(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{SystemTime, UNIX_EPOCH};

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 777 0 0";
        assert_eq!(start_ticks(stat), Some(777));
        assert_eq!(start_ticks("42 (a"), None);
    }

    #[test]
    fn this_process_was_started_in_the_past_hour() {
        let process = Process::of_pid(std::process::id()).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert!((now - 3600..=now + 1).contains(&process.started), "{process:?} at {now}");
    }
}
