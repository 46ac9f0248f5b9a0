//! A node that writes while its log is moved about: every line comes once, in order.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::world::{World, line};

/// Writes numbered lines as a node does: one call each, to the end of the file.
struct Writer {
    path: PathBuf,
    file: File,
    number: u32,
}

impl Writer {
    fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), file: open(path), number: 0 }
    }

    fn write(&mut self, lines: u32) {
        for _ in 0..lines {
            let line = format!(
                "2026-01-01T00:00:00.{:06}Z [net] a line that states nothing, number={}\n",
                self.number % 1_000_000,
                self.number
            );
            self.file.write_all(line.as_bytes()).unwrap();
            self.number += 1;
            // busy, but not more than a subscriber can take
            if self.number.is_multiple_of(100) {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
    }

    /// Somebody renames it; the node writes on for a while, until it has heard of it.
    fn rotate(&mut self, to: &str, create: bool) {
        fs::rename(&self.path, self.path.with_file_name(to)).unwrap();
        self.write(50);
        if create {
            File::create(&self.path).unwrap();
            self.write(50);
        }
        self.reopen();
    }

    fn reopen(&mut self) {
        self.file = open(&self.path);
    }

    /// Until another than this writer has the file open.
    fn wait_until_it_is_seen(&self) {
        let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let file = id(self.file.metadata().unwrap());
        testkit::wait::until("the file to be opened by who follows", testkit::wait::LONG, || {
            let open = fs::read_dir("/proc/self/fd")?.flatten().filter(|fd| fs::metadata(fd.path()).is_ok_and(|it| id(it) == file));
            Ok((open.count() > 1).then_some(()))
        })
        .unwrap();
    }

    fn delete(&mut self) {
        fs::remove_file(&self.path).unwrap();
        self.write(50);
        self.reopen();
    }

    /// The node ends and starts again, which keeps only the end of the log (Bitcoin Core `src/logging.cpp`, `ShrinkDebugFile`).
    fn restart_and_shrink(&mut self) {
        let content = fs::read(&self.path).unwrap();
        assert!(content.len() > 11_000_000, "{} bytes", content.len());
        fs::write(&self.path, &content[content.len() - 10_000_000..]).unwrap();
        self.reopen();
    }
}

fn open(path: &Path) -> File {
    OpenOptions::new().append(true).create(true).open(path).unwrap()
}

#[track_caller]
fn check(first_bytes: usize, write: impl FnOnce(&mut Writer) + Send + 'static) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("debug.log");
    let mut writer = Writer::new(&path);
    let filler = "2026-01-01T00:00:00.000000Z [net] older than the observer, and not its business\n";
    writer.file.write_all(filler.repeat(first_bytes / filler.len()).as_bytes()).unwrap();
    let world = World::follow(&path);
    let written = std::thread::spawn(move || {
        write(&mut writer);
        writer.number
    });
    let written = written.join().unwrap();
    let mut expected = 0;
    for event in world.stop() {
        let Some(message) = line(&event) else {
            assert_ne!(event.id(), Some(event::KindId::HealthLogFile), "{event:?}");
            continue;
        };
        assert_eq!(message, format!("a line that states nothing, number={expected}"));
        expected += 1;
    }
    assert_eq!(expected, written);
}

#[test]
fn nothing_is_lost_or_repeated_by_rotation() {
    check(0, |node| {
        for round in 0..20 {
            // faster than the follower looks, sometimes
            node.write(500);
            node.rotate(&format!("debug.log.{round}"), round % 2 == 0);
        }
        node.write(500);
    });
}

/// Somebody rotates so fast that one look sees several files, in any state.
#[test]
fn nothing_is_lost_or_repeated_by_rotations_that_follow_each_other_at_once() {
    check(0, |node| {
        for round in 0..200 {
            node.write([1, 2, 3, 700][round % 4]);
            fs::rename(&node.path, node.path.with_file_name(format!("debug.log.{round}"))).unwrap();
            node.reopen();
        }
        node.write(500);
    });
}

/// logrotate's `rotate 3`: the oldest is deleted, and the next log gets its inode.
#[test]
fn nothing_is_lost_when_a_file_gets_the_inode_of_one_that_was_deleted() {
    check(0, |node| {
        let old = |node: &Writer, number: u32| node.path.with_file_name(format!("debug.log.{number}"));
        for number in 1..4 {
            fs::write(old(node, number), "2020-01-01T00:00:00Z old\n").unwrap();
        }
        for round in 0..40 {
            node.write(300);
            // what is deleted has to be seen by then; the second of two is not
            for second in 0..=round % 2 {
                node.write(20);
                if second == 0 {
                    node.wait_until_it_is_seen();
                }
                let _ = fs::remove_file(old(node, 3));
                for number in [2, 1] {
                    let _ = fs::rename(old(node, number), old(node, number + 1));
                }
                fs::rename(&node.path, old(node, 1)).unwrap();
                node.reopen();
            }
        }
        node.write(500);
    });
}

#[test]
fn nothing_is_lost_or_repeated_when_the_log_is_deleted() {
    check(0, |node| {
        for _ in 0..10 {
            node.write(3000);
            // what was deleted before anybody saw it is gone
            node.wait_until_it_is_seen();
            node.delete();
        }
        node.write(500);
    });
}

#[test]
fn nothing_is_lost_or_repeated_when_the_log_is_shrunk() {
    check(12_000_000, |node| {
        for _ in 0..3 {
            node.write(15_000);
            node.restart_and_shrink();
        }
        node.write(500);
    });
}
