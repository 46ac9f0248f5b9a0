//! Input that is not what it should be: each is named, and the rest goes on.

use std::fs;
use std::io::Write as _;

use event::{Kind, KindId, LogFileProblem, LogGapReason};
use extract::log::Target;
use extract::log::follow::Begin;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use crate::finished::{gzip, read};
use crate::world::{World, line};

const GOOD: &str = "2026-01-01T00:00:00Z [net] Cleared nodestate for peer=7\n";

/// How many lines of the good kind were understood, and what was said of the file.
#[track_caller]
fn check(bytes: &[u8], good: usize, problem: Option<(LogFileProblem, u64)>, error: Option<&str>) {
    let read = read(bytes);
    let count = |id| read.events.iter().filter(|event| event.id() == Some(id)).count();
    assert_eq!(count(KindId::ConnStep), good);
    assert_eq!(read.error.map(|error| error.to_string()).as_deref(), error);
    let said = read.events.iter().find_map(|event| match &event.kind {
        Some(Kind::HealthLogFile(problem)) => Some((problem.problem(), problem.offset())),
        _ => None,
    });
    assert_eq!(said, problem);
}

#[test]
fn an_empty_log_says_nothing() {
    check(b"", 0, None, None);
    check(b"\n\n\n\n\n", 0, None, None);
}

#[test]
fn garbage_between_good_lines_is_skipped() {
    let garbage: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let bytes = [GOOD.as_bytes(), &garbage, b"\n", GOOD.as_bytes(), b"\xff\xfe\n", GOOD.as_bytes()].concat();
    check(&bytes, 3, Some((LogFileProblem::Damaged, GOOD.len() as u64)), None);
}

#[test]
fn a_log_of_another_program_is_named() {
    let other = "Jan  1 00:00:00 host cron[1]: something\n";
    let text =
        |offset| format!("debug.log is no log of a node: nothing in it looks like a line of a node's log, up to byte {offset}");
    let bytes = other.repeat(3);
    check(bytes.as_bytes(), 0, Some((LogFileProblem::Foreign, 120)), Some(&text(120)));
    // one that writes the same times
    let dated = "2026-01-01T00:00:00Z level=info msg=\"hello\"\n";
    let same_times = read(dated.repeat(5000).as_bytes());
    assert!(same_times.error.unwrap().to_string().starts_with("debug.log is no log of a node"));
    // a long one is given up early
    let read = read(other.repeat(100_000).as_bytes());
    assert!(read.summary.bytes < 400_000, "{}", read.summary.bytes);
    assert!(read.error.unwrap().to_string().starts_with("debug.log is no log of a node"));
    // a recording is none, either
    let recording = zstd::encode_all(&[1; 1000][..], 3).unwrap();
    assert!(crate::finished::read(&recording).error.unwrap().to_string().contains("no log of a node"));
}

#[test]
fn damaged_compression_is_named_with_its_place() {
    let many = GOOD.repeat(10_000);
    let packed = gzip(many.as_bytes());
    let all = many.len() as u64;
    let name = |error: &std::io::Error| error.to_string();
    // cut in its trailer: everything was read
    let cut = read(&packed[..packed.len() - 4]);
    let Some(extract::log::finished::ReadError::Read { offset, packed: true, source, .. }) = &cut.error else {
        panic!("{:?}", cut.error)
    };
    assert_eq!((*offset, cut.summary.lines.matched), (all, 10_000), "{}", name(source));
    // damaged in the middle
    let mut flipped = packed.clone();
    flipped[packed.len() / 2] ^= 0xff;
    assert!(read(&flipped).error.is_some());
    // something behind it
    let more = read(&[&packed[..], b"more"].concat());
    assert_eq!(more.summary.lines.matched, 10_000);
    let zstd = zstd::encode_all(many.as_bytes(), 3).unwrap();
    let cut = read(&zstd[..zstd.len() / 2]);
    assert!(cut.error.unwrap().to_string().starts_with("failed to read the log debug.log at byte "));
    let beginning = read(&[0x1f, 0x8b]);
    let text = beginning.error.unwrap().to_string();
    assert!(text.starts_with("failed to read the log debug.log at byte 0 of what it unpacks to: "), "{text}");
}

/// As long as any that is read whole, and very much longer.
#[test]
fn a_line_of_a_hundred_megabytes_takes_no_memory() {
    let long = vec![b'x'; 100 << 20];
    let bytes = [GOOD.as_bytes(), b"2026-01-01T00:00:01Z ", &long, b"\n", GOOD.as_bytes()].concat();
    let read = read(&bytes);
    assert!(read.error.is_none(), "{:?}", read.error);
    let gap = read.events.iter().find_map(|event| match &event.kind {
        Some(Kind::HealthLogGap(gap)) => Some(gap),
        _ => None,
    });
    let gap = gap.unwrap();
    assert_eq!((gap.reason(), gap.offset()), (LogGapReason::LineCut, GOOD.len() as u64));
    assert_eq!(gap.bytes(), (long.len() + 21 - (1 << 20)) as u64);
    assert_eq!(read.events.iter().filter(|event| event.id() == Some(KindId::ConnStep)).count(), 2);
    assert!(read.events.iter().all(|event| event.memory() < 10_000));
}

/// A file that was cut, as by a full disk, within a longer id.
#[test]
fn half_a_line_at_the_end_is_no_fact() {
    let half = "2026-01-01T00:00:00Z [net] Cleared nodestate for peer=12";
    check(format!("{GOOD}{half}").as_bytes(), 1, Some((LogFileProblem::Unfinished, GOOD.len() as u64)), None);
    check(half.as_bytes(), 0, Some((LogFileProblem::Unfinished, 0)), None);
}

/// What `-shrinkdebugfile` leaves.
#[test]
fn a_log_that_begins_within_a_line_begins_with_the_first_whole_one() {
    let log = format!("12:34:56Z [net] Cleared nodestate for peer=77\n{GOOD}").replace("2026", "2020");
    for fragment in [0, 10] {
        let read = read(&log.as_bytes()[fragment..]);
        let times: std::collections::BTreeSet<u64> = read.events.iter().map(|event| event.time / 1_000_000_000).collect();
        assert_eq!(times.into_iter().collect::<Vec<_>>(), [1_577_836_800]);
        assert_eq!(read.events.iter().filter(|event| event.id() == Some(KindId::ConnStep)).count(), 1);
        assert_eq!((read.events[0].run, read.summary.lines.continuations), (1_577_836_800_000_000_003, 1));
    }
}

#[test]
fn a_clock_that_jumps_back_is_followed_and_said() {
    let log = "2026-01-01T00:01:00Z [net] Cleared nodestate for peer=7\n2026-01-01T00:00:00Z [net] Cleared nodestate for peer=8\n";
    let read = read(log.as_bytes());
    let times: Vec<u64> =
        read.events.iter().filter(|event| event.id() == Some(KindId::ConnStep)).map(|event| event.time / 1_000_000_000).collect();
    assert_eq!(times[0] - times[1], 60);
    check(log.as_bytes(), 2, Some((LogFileProblem::ClockBack, GOOD.len() as u64)), None);
    let beats: Vec<u64> =
        read.events.iter().filter(|event| event.id() == Some(KindId::HealthBeat)).map(|event| event.time / 1_000_000_000).collect();
    assert_eq!(beats, [times[1], times[1]], "before the line, and at the end");
}

#[test]
fn a_log_of_another_program_that_grows_is_named_once() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("other.log");
    fs::write(&path, "").unwrap();
    let mut world = World::follow(&path);
    fs::write(&path, "Jan  1 00:00:00 host cron[1]: something\n".repeat(3000)).unwrap();
    let event = world.wait_for(KindId::HealthLogFile);
    let Some(Kind::HealthLogFile(problem)) = &event.kind else { unreachable!() };
    assert_eq!((problem.problem(), problem.file.as_str()), (LogFileProblem::Foreign, path.to_str().unwrap()));
    assert!(world.stop().iter().all(|event| event.id() != Some(KindId::HealthLogFile)));
}

/// Without categories, and between blocks, a wallet's lines may be all there is for a long time.
#[test]
fn a_log_of_a_wallet_alone_is_a_nodes() {
    let line = "2026-01-01T00:00:00Z [default wallet] AddToWallet 6fb0 new Confirmed (block=6b3c, height=102, index=1)\n";
    assert!(read(line.repeat(5000).as_bytes()).error.is_none());
}

/// Writers come and go; a pipe stays.
#[test]
fn a_pipe_is_read_from_every_writer() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("pipe");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let mut world = World::start(Target::Told(path.clone()), Begin::End);
    world.wait_for(KindId::HealthAttached);
    for round in 0..3 {
        let mut writer = fs::OpenOptions::new().write(true).open(&path).unwrap();
        writer.write_all(format!("2026-01-01T00:00:00Z nobody knows round={round}\n").as_bytes()).unwrap();
        let event = world.wait_for(KindId::LogLine);
        assert_eq!(line(&event), Some(format!("nobody knows round={round}").as_str()));
    }
    world.stop();
}

#[test]
fn half_a_line_of_a_writer_that_went_away_is_no_part_of_the_next() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("pipe");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let mut world = World::start(Target::Told(path.clone()), Begin::End);
    world.wait_for(KindId::HealthAttached);
    let write = |text: &str| fs::OpenOptions::new().write(true).open(&path).unwrap().write_all(text.as_bytes()).unwrap();
    write(&format!("{GOOD}2026-01-01T00:00:00Z [net] Cleared nodes"));
    let event = world.wait_for(KindId::HealthLogFile);
    let Some(Kind::HealthLogFile(problem)) = &event.kind else { unreachable!() };
    assert_eq!((problem.problem(), problem.offset()), (LogFileProblem::Unfinished, GOOD.len() as u64));
    write(GOOD);
    world.wait_for(KindId::ConnStep);
    assert!(world.stop().iter().all(|event| !matches!(event.id(), Some(KindId::HealthLogFile | KindId::ConnStep))));
}
