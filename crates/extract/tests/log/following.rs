//! One thing after another happens to a log; after each, the follower has read all there is, once.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use extract::log::Target;
use extract::log::follow::{Begin, Follower, News};
use extract::log::lines::Line;
use tempfile::TempDir;

struct Log {
    folder: TempDir,
    follower: Follower,
    /// What was read and not yet looked at.
    seen: Vec<String>,
}

impl Log {
    /// A log with this in it, or none.
    fn new(content: Option<&str>, begin: Begin) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("debug.log");
        if let Some(content) = content {
            fs::write(&path, content).unwrap();
        }
        Self { follower: Follower::new(Target::Told(path), begin, None), folder, seen: Vec::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// As a node opens its log.
    fn open(&self) -> File {
        OpenOptions::new().append(true).create(true).open(self.path("debug.log")).unwrap()
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    /// Looks and reads until there is nothing more.
    fn step(&mut self) {
        let (seen, folder) = (&mut self.seen, self.folder.path().display().to_string());
        let mut out = |news: News<'_>| {
            seen.push(match news {
                News::Line(Line::Text { bytes, .. }) => String::from_utf8_lossy(bytes).into_owned(),
                News::Line(Line::Unfinished { offset, bytes }) => format!("# unfinished at {offset}, {} bytes", bytes.len()),
                News::Line(Line::Cut { offset, left_out }) => format!("# cut at {offset}, {left_out} left out"),
                News::Attached => "# attached".to_owned(),
                News::Detached(reason) => format!("# detached: {}", reason.replace(&folder, "DIR")),
                News::Problem(problem) => format!("# {} at {}", problem.problem().word(), problem.offset.unwrap()),
            });
        };
        loop {
            self.follower.look(&mut out);
            if self.follower.read(&mut out) == 0 {
                return;
            }
        }
    }

    /// Everything since the last time.
    #[track_caller]
    fn check(&mut self, expected: &[&str]) {
        self.step();
        assert_eq!(std::mem::take(&mut self.seen), expected);
    }

    /// Reads until a line comes, which may have to wait for the file to settle.
    fn step_until_a_line(&mut self) {
        let start = Instant::now();
        while self.seen.is_empty() {
            assert!(start.elapsed() < Duration::from_secs(30), "nothing came");
            self.step();
        }
    }
}

fn numbered(numbers: std::ops::Range<u32>) -> String {
    numbers.map(|number| format!("2026-01-01T00:00:00Z this is the line with the number {number:09}\n")).collect()
}

#[track_caller]
fn assert_numbers(lines: &[String], numbers: std::ops::Range<u32>) {
    let count = numbers.len();
    for (line, expected) in lines.iter().zip(numbered(numbers).lines()) {
        assert_eq!(line, expected);
    }
    assert_eq!(lines.len(), count);
}

#[test]
fn what_is_written_is_read_and_half_a_line_is_waited_for() {
    let mut log = Log::new(Some("old\nha"), Begin::End);
    let mut file = log.open();
    log.check(&["# attached"]);
    file.write_all(b"lf\none\ntw").unwrap();
    log.check(&["half", "one"]);
    file.write_all(b"o").unwrap();
    log.check(&[]);
    file.write_all(b"\n\nthree\n").unwrap();
    log.check(&["two", "", "three"]);
    let mut log = Log::new(Some("old\nha"), Begin::Start);
    log.check(&["# attached", "old"]);
}

#[test]
fn a_log_that_comes_later_is_read_from_its_beginning() {
    let mut log = Log::new(None, Begin::End);
    log.check(&["# detached: failed to open the log DIR/debug.log: No such file or directory (os error 2)"]);
    log.check(&[]);
    log.open().write_all(b"one\n").unwrap();
    log.check(&["# attached", "one"]);
}

#[test]
fn a_renamed_log_is_read_until_the_next_has_a_line() {
    let mut log = Log::new(Some(""), Begin::End);
    let mut old = log.open();
    log.check(&["# attached"]);
    old.write_all(b"1\n").unwrap();
    log.check(&["1"]);
    log.rename("debug.log", "debug.log.1");
    log.check(&[]);
    old.write_all(b"2\n").unwrap();
    log.check(&["2"]);
    // as logrotate does before it signals
    File::create(log.path("debug.log")).unwrap();
    old.write_all(b"3\n").unwrap();
    log.check(&["3"]);
    // unread when the next is begun
    old.write_all(b"4\n").unwrap();
    let mut new = log.open();
    new.write_all(b"5\n").unwrap();
    log.check(&["4", "5"]);
    new.write_all(b"6\n").unwrap();
    log.check(&["6"]);
}

#[test]
fn several_rotations_are_kept_in_order() {
    let mut log = Log::new(Some(""), Begin::End);
    log.check(&["# attached"]);
    for round in 0..5 {
        let mut file = log.open();
        file.write_all(format!("{round} a\n").as_bytes()).unwrap();
        // seen, but nothing read of it yet
        log.follower.look(&mut |_| {});
        log.rename("debug.log", &format!("debug.log.{round}"));
        file.write_all(format!("{round} b\n").as_bytes()).unwrap();
    }
    log.check(&["0 a", "0 b", "1 a", "1 b", "2 a", "2 b", "3 a", "3 b", "4 a", "4 b"]);
}

#[test]
fn files_that_were_the_log_while_nobody_looked_are_read() {
    let mut log = Log::new(Some(&numbered(0..100)), Begin::End);
    log.check(&["# attached"]);
    for round in 0..5 {
        log.open().write_all(format!("2026-01-01T00:00:0{}Z {round}\n", round + 1).as_bytes()).unwrap();
        log.rename("debug.log", &format!("debug.log.{round}"));
    }
    log.open().write_all(b"2026-01-01T00:00:09Z last\n").unwrap();
    log.step();
    let seconds: Vec<&str> = log.seen.iter().map(|line| &line[21..]).collect();
    assert_eq!(seconds, ["0", "1", "2", "3", "4", "last"]);
}

#[test]
fn a_deleted_log_is_read_on_and_so_is_the_next() {
    let mut log = Log::new(Some(""), Begin::End);
    let mut old = log.open();
    log.check(&["# attached"]);
    fs::remove_file(log.path("debug.log")).unwrap();
    old.write_all(b"1\nunfinis").unwrap();
    log.check(&["1"]);
    log.open().write_all(b"2\n").unwrap();
    log.check(&["# unfinished at 2, 7 bytes", "2"]);
}

#[test]
fn an_emptied_log_is_read_from_its_beginning() {
    let mut log = Log::new(Some(&numbered(0..100)), Begin::End);
    let mut file = log.open();
    log.check(&["# attached"]);
    file.set_len(0).unwrap();
    file.write_all(b"1\n").unwrap();
    let place = numbered(0..100).len();
    log.step_until_a_line();
    log.check(&[&format!("# shrunk at {place}"), "1"]);
    // and again, but by now it is longer than it was
    file.set_len(0).unwrap();
    file.write_all(numbered(5..300).as_bytes()).unwrap();
    log.step_until_a_line();
    log.step();
    assert_eq!(log.seen.remove(0), "# shrunk at 2");
    assert_numbers(&log.seen, 5..300);
}

/// What Bitcoin Core keeps (`src/logging.cpp`, `ShrinkDebugFile`).
const KEPT: usize = 10_000_000;

#[test]
fn a_shrunk_log_is_read_on_where_it_was() {
    for unread in [0, 1_000] {
        let lines = 180_000;
        let mut log = Log::new(Some(&numbered(0..lines - unread)), Begin::End);
        log.check(&["# attached"]);
        let mut file = log.open();
        file.write_all(numbered(lines - unread..lines).as_bytes()).unwrap();
        let content = fs::read(log.path("debug.log")).unwrap();
        assert!(content.len() > 11_000_000);
        // as the node does it: emptied, written anew, and opened for what follows; we look at each moment
        let mut file = File::create(log.path("debug.log")).unwrap();
        log.check(&[]);
        let (first, second) = content[content.len() - KEPT..].split_at(KEPT / 2);
        file.write_all(first).unwrap();
        log.check(&[]);
        file.write_all(second).unwrap();
        log.open().write_all(numbered(lines..lines + 10).as_bytes()).unwrap();
        log.step_until_a_line();
        log.step();
        assert_numbers(&log.seen, lines - unread..lines + 10);
    }
}

#[test]
fn what_a_shrunk_log_lost_is_said() {
    let mut log = Log::new(Some(&numbered(0..190_000)), Begin::End);
    log.check(&["# attached"]);
    // more than is kept, and nobody read it
    fs::write(log.path("debug.log"), &numbered(190_000..400_000).as_bytes()[1_000_000..]).unwrap();
    log.step_until_a_line();
    log.step();
    assert_eq!(log.seen[0], format!("# shrunk at {}", numbered(0..190_000).len()));
    assert_eq!(log.seen.last().unwrap(), numbered(399_999..400_000).trim_end());
}

#[test]
fn a_copy_in_the_place_of_the_log_is_read_on_where_it_was() {
    let mut log = Log::new(Some(&numbered(0..1_000)), Begin::End);
    log.check(&["# attached"]);
    fs::write(log.path("copy"), numbered(0..1_010)).unwrap();
    log.rename("copy", "debug.log");
    log.step();
    assert_numbers(&std::mem::take(&mut log.seen), 1_000..1_010);
    // somebody keeps the end
    fs::write(log.path("copy"), numbered(900..1_020)).unwrap();
    log.rename("copy", "debug.log");
    log.step();
    assert_numbers(&std::mem::take(&mut log.seen), 1_010..1_020);
    // and this is another log
    fs::write(log.path("copy"), numbered(5_000..5_010)).unwrap();
    log.rename("copy", "debug.log");
    log.step();
    assert_numbers(&log.seen, 5_000..5_010);
}

#[test]
fn something_else_in_the_place_of_the_log_is_no_end() {
    let mut log = Log::new(Some(""), Begin::End);
    let mut file = log.open();
    log.check(&["# attached"]);
    fs::remove_file(log.path("debug.log")).unwrap();
    fs::create_dir(log.path("debug.log")).unwrap();
    file.write_all(b"1\n").unwrap();
    log.check(&["1"]);
    fs::remove_dir(log.path("debug.log")).unwrap();
    log.open().write_all(b"2\n").unwrap();
    log.check(&["2"]);
}

#[test]
fn what_is_no_file_is_said_once() {
    let mut log = Log::new(None, Begin::End);
    fs::create_dir(log.path("debug.log")).unwrap();
    log.check(&["# detached: failed to open the log DIR/debug.log: it is a directory"]);
    log.check(&[]);
}
