//! The program's own process, from `/proc/self`.

use std::fs;

/// What client libraries show of a process. Absent where the system does not say.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Process {
    /// CPU time, seconds.
    pub cpu: Option<f64>,
    /// Memory in RAM, bytes.
    pub resident: Option<f64>,
    /// Address space, bytes.
    pub virtual_size: Option<f64>,
    /// Open files.
    pub files: Option<f64>,
    /// How many it may open.
    pub files_limit: Option<f64>,
    /// When it was started, Unix seconds.
    pub started: Option<f64>,
}

impl Process {
    /// As it is now.
    pub fn now() -> Self {
        let read = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).ok();
        let stat = read("stat").unwrap_or_default();
        let files = fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as f64);
        let page = rustix::param::page_size() as f64;
        let process = Self::of_stat(&stat, rustix::param::clock_ticks_per_second() as f64, page, boot());
        // the folder that was read counted itself
        Self { files: files.map(|files| files - 1.0), files_limit: read("limits").and_then(|text| limit(&text)), ..process }
    }

    /// What `/proc/self/stat` says (proc_pid_stat(5)).
    fn of_stat(stat: &str, ticks: f64, page: f64, boot: Option<f64>) -> Self {
        // the name of the program stands in parentheses and may hold any
        let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        // the first after the name is the third
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let seconds = |number: usize| Some(field(number)? / ticks);
        Self {
            cpu: seconds(14).zip(seconds(15)).map(|(user, system)| user + system),
            virtual_size: field(23),
            resident: field(24).map(|pages| pages * page),
            started: boot.zip(seconds(22)).map(|(boot, since)| boot + since),
            files: None,
            files_limit: None,
        }
    }
}

/// When the machine was started.
fn boot() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

fn limit(limits: &str) -> Option<f64> {
    limits.lines().find_map(|line| line.strip_prefix("Max open files"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_system() {
        let stat = "4242 (peer) observer) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 9 0 1000 123456 42 0 0";
        let process = Process::of_stat(stat, 100.0, 4096.0, Some(1_700_000_000.0));
        assert_eq!(process.cpu, Some(3.0));
        assert_eq!(process.started, Some(1_700_000_010.0));
        assert_eq!((process.virtual_size, process.resident), (Some(123_456.0), Some(172_032.0)));
        assert_eq!(Process::of_stat("", 100.0, 4096.0, None), Process::default());
    }

    #[test]
    fn this_process() {
        let process = Process::now();
        assert!(process.resident.is_some_and(|bytes| bytes > 1e5), "{process:?}");
        assert!(process.files.is_some_and(|files| files >= 3.0), "{process:?}");
        assert_eq!(limit("Max open files            1024                 4096                 files"), Some(1024.0));
    }
}
