//! Finished logs: plain and compressed give the same events, as one run of a source.

use std::collections::BTreeMap;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use event::{Event, Kind, KindId, NodeName, Source};
use extract::log::convert::{self, Form, Job, Progress};
use extract::log::finished::{Input, ReadError, Summary};
use extract::log::{Config, finished};
use extract::recording::Recording;
use tempfile::TempDir;

fn alice() -> NodeName {
    "alice".parse().unwrap()
}

pub struct Read {
    pub events: Vec<Event>,
    pub summary: Summary,
    pub error: Option<finished::ReadError>,
}

pub fn read(bytes: &[u8]) -> Read {
    let config = Config { log_unmatched: true, ..Config::default() };
    read_as(bytes, &config)
}

fn read_as(bytes: &[u8], config: &Config) -> Read {
    let mut events = Vec::new();
    let input = match Input::new(Cursor::new(bytes.to_vec()), "debug.log") {
        Ok(input) => input,
        Err(error) => return Read { events, summary: Summary::default(), error: Some(error) },
    };
    let (summary, result) = input.read(config, &alice(), 3, &AtomicBool::new(false), |event| {
        events.push(event.clone());
        Ok(())
    });
    Read { events, summary, error: result.err() }
}

/// Two lives of a node, a second and some apart.
const LOG: &str = "\n\n\n\n
2026-01-01T00:00:00Z Bitcoin Core version v31.0.0 (release build)
2026-01-01T00:00:00Z [net] Cleared nodestate for peer=7
2026-01-01T00:00:02Z something that nobody knows
\n\n\n\n
2026-01-01T00:00:10Z Bitcoin Core version v31.0.0 (release build)
2026-01-01T00:00:10Z [net] Cleared nodestate for peer=1
";

/// Midnight of the first of January 2026.
const MIDNIGHT: u64 = 1_767_225_600;

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_log_is_one_run_of_a_source_with_a_beat_in_each_second() {
    let Read { events, summary, error } = read(LOG.as_bytes());
    assert!(error.is_none(), "{error:?}");
    let seconds = |event: &Event| event.time / 1_000_000_000 - MIDNIGHT;
    let shown: Vec<String> = events
        .iter()
        .map(|event| {
            let life = event.node_run.map_or("-".to_owned(), |run| (run - MIDNIGHT).to_string());
            format!("{} {life} {}", seconds(event), event.id().unwrap())
        })
        .filter(|line| !line.contains("health.template"))
        .collect();
    assert_eq!(
        shown,
        [
            "0 - health.attached",
            "0 0 log.life",
            "0 0 conn.step",
            "2 0 health.beat",
            "2 0 log.line",
            "10 0 health.beat",
            "10 10 log.life",
            "10 10 conn.step",
            "10 10 health.parser",
            "10 10 health.detached",
            "10 10 health.beat",
        ]
    );
    for (sequence, event) in events.iter().enumerate() {
        let envelope = (event.node.as_str(), event.source(), event.run, event.sequence, event.replay);
        assert_eq!(envelope, ("alice", Source::Log, MIDNIGHT * 1_000_000_000 + 3, sequence as u64, false));
    }
    // the last beat proves that everything came
    let Some(Kind::HealthBeat(beat)) = &events.last().unwrap().kind else { panic!("a beat") };
    assert_eq!(beat.last_sequence, Some(events.len() as u64 - 2));
    let told: BTreeMap<&str, u64> = beat.totals.iter().map(|total| (total.kind.as_str(), total.total)).collect();
    let mut counted = BTreeMap::new();
    for event in &events[..events.len() - 1] {
        *counted.entry(event.id().unwrap().name()).or_insert(0) += 1;
    }
    assert_eq!(told, counted);
    assert_eq!((summary.starts, summary.lines.lines, summary.lines.matched, summary.lines.unmatched), (2, 5, 4, 1));
    assert_eq!(summary.bytes, LOG.len() as u64);
    assert_eq!(summary.events.values().sum::<u64>(), events.len() as u64);
}

#[test]
fn compressed_logs_give_the_same() {
    let plain = read(LOG.as_bytes());
    let (first, second) = LOG.as_bytes().split_at(LOG.len() / 2);
    for (form, bytes) in [
        ("gzip", gzip(LOG.as_bytes())),
        ("gzip in two members", [gzip(first), gzip(second)].concat()),
        ("zstd", zstd::encode_all(LOG.as_bytes(), 3).unwrap()),
        ("zstd in two frames", [zstd::encode_all(first, 3).unwrap(), zstd::encode_all(second, 3).unwrap()].concat()),
    ] {
        let read = read(&bytes);
        assert!(read.error.is_none(), "{form}: {:?}", read.error);
        assert_eq!(read.events, plain.events, "{form}");
        assert_eq!(read.summary, plain.summary, "{form}");
    }
}

#[test]
fn a_log_without_times_is_of_the_time_of_its_file() {
    let Read { events, error, .. } = read(b"[net] Cleared nodestate for peer=7\n[net] Cleared nodestate for peer=8\n");
    assert!(error.is_none(), "{error:?}");
    assert!(events.iter().all(|event| event.time / 1_000_000_000 >= MIDNIGHT), "{events:?}");
}

#[test]
fn lines_that_nobody_knows_are_given_on_request_only() {
    let events = read_as(LOG.as_bytes(), &Config::default()).events;
    assert!(events.iter().all(|event| event.id() != Some(KindId::LogLine)));
}

/// Files in a folder, and what comes of them.
struct World {
    folder: TempDir,
}

impl World {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let folder = TempDir::new().unwrap();
        for (name, bytes) in files {
            std::fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The error of each, `-` for none.
    fn convert(&self, logs: &[&str], output: &str, form: Form, workers: usize) -> Vec<String> {
        let logs: Vec<PathBuf> = logs.iter().map(|log| self.path(log)).collect();
        let jobs = Job::of(&logs, Some(&self.path(output)), form);
        let progress = Progress::of(&jobs);
        let stop = AtomicBool::new(false);
        let reports = convert::run(&jobs, workers, form, &Config::default(), &alice(), &progress, &stop);
        assert_eq!(reports.iter().map(|report| report.log.clone()).collect::<Vec<_>>(), logs);
        let text = |error: ReadError| error.to_string().replace(&self.folder.path().display().to_string(), "DIR");
        reports.into_iter().map(|report| report.error.map_or("-".to_owned(), text)).collect()
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn recorded(&self, name: &str) -> Vec<Event> {
        Recording::open(&self.path(name)).unwrap().map(Result::unwrap).collect()
    }
}

#[test]
fn each_log_becomes_a_recording_and_none_hinders_the_others() {
    let packed = gzip(LOG.repeat(1000).as_bytes());
    let world = World::new(&[
        ("a/debug.log", LOG.as_bytes()),
        ("b/debug.log", LOG.as_bytes()),
        ("cut.gz", &packed[..packed.len() / 2]),
        ("letter.txt", b"Dear node,\nhow are you?\n"),
        ("last", LOG.as_bytes()),
    ]);
    for workers in [1, 3] {
        let output = format!("out/{workers}");
        let errors = world.convert(
            &["a/debug.log", "b/debug.log", "cut.gz", "letter.txt", "none", "last"],
            &output,
            Form::Recording,
            workers,
        );
        assert_eq!(errors[..2], ["-", "-"]);
        assert!(errors[2].starts_with("failed to read the log DIR/cut.gz at byte "), "{}", errors[2]);
        assert_eq!(errors[3], "DIR/letter.txt is no log of a node: nothing in it looks like a line of a node's log, up to byte 24");
        assert_eq!(errors[4], "failed to open the log DIR/none: No such file or directory (os error 2)");
        assert_eq!(errors[5], "-");
        assert_eq!(world.names(&output), ["cut.gz.rec", "debug.log-2.rec", "debug.log.rec", "last.rec"]);
        let runs: Vec<u64> = ["debug.log.rec", "debug.log-2.rec", "last.rec"]
            .map(|name| {
                let events = world.recorded(&format!("{output}/{name}"));
                assert_eq!(events.iter().filter(|event| event.id() == Some(KindId::ConnStep)).count(), 2);
                events[0].run
            })
            .into();
        // they begin in the same moment, and are told apart
        assert_eq!(runs.iter().collect::<std::collections::BTreeSet<_>>().len(), 3, "{runs:?}");
        // what was read before the damage is there, and so is the damage
        let cut = world.recorded(&format!("{output}/cut.gz.rec"));
        assert!(cut.iter().filter(|event| event.id() == Some(KindId::ConnStep)).count() > 100);
        let problem =
            cut.iter().find_map(|event| if let Some(Kind::HealthLogFile(problem)) = &event.kind { Some(problem) } else { None });
        assert!(problem.unwrap().file.ends_with("/cut.gz"));
    }
}

#[test]
fn one_log_may_have_a_file_and_nothing_is_overwritten() {
    let world = World::new(&[("debug.log", LOG.as_bytes())]);
    assert_eq!(world.convert(&["debug.log"], "my.rec", Form::Recording, 1), ["-"]);
    let before = std::fs::read(world.path("my.rec")).unwrap();
    let again = world.convert(&["debug.log"], "my.rec", Form::Json, 1);
    let expected = "failed to write the events of the log DIR/debug.log: DIR/my.rec: it is there already, and is not overwritten";
    assert_eq!(again, [expected]);
    assert_eq!(std::fs::read(world.path("my.rec")).unwrap(), before);
    assert_eq!(world.names("."), ["debug.log", "my.rec"]);
}

#[test]
fn json_is_an_object_per_line() {
    let world = World::new(&[("debug.log", LOG.as_bytes())]);
    assert_eq!(world.convert(&["debug.log"], "out/", Form::Json, 1), ["-"]);
    let text = std::fs::read_to_string(world.path("out/debug.log.jsonl")).unwrap();
    let kinds: Vec<String> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["kind"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!((kinds[0].as_str(), kinds.iter().filter(|kind| *kind == "conn.step").count()), ("health.attached", 2));
}

/// Disks of tests are hard to fill; this one is full always.
#[test]
fn a_full_disk_is_named() {
    let full = Path::new("/dev/full");
    if !full.exists() {
        return testkit::skipped("no /dev/full");
    }
    let input = Input::new(Cursor::new(LOG.as_bytes()), "debug.log").unwrap();
    let mut disk = std::fs::OpenOptions::new().write(true).open(full).unwrap();
    let (_, result) = input.read(&Config::default(), &alice(), 0, &AtomicBool::new(false), |_| disk.write_all(b"x"));
    assert_eq!(
        result.unwrap_err().to_string(),
        "failed to write the events of the log debug.log: No space left on device (os error 28)"
    );
}

/// A pipe that nobody writes to, before and after its first line.
#[test]
fn waiting_for_a_pipe_ends_when_told() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    for written in ["", "2026-01-01T00:00:00Z [net] Cleared nodestate for peer=7\n"] {
        let jobs = Job::of(std::slice::from_ref(&path), Some(&folder.path().join("out.rec")), Form::Recording);
        let (progress, stop) = (Progress::of(&jobs), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let work = scope.spawn(|| convert::run(&jobs, 1, Form::Recording, &Config::default(), &alice(), &progress, &stop));
            // opened only when somebody reads, and held open
            let writer = (!written.is_empty()).then(|| {
                let mut writer = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
                writer.write_all(written.as_bytes()).unwrap();
                writer
            });
            let read = || Ok((progress.done.load(Ordering::Relaxed) == written.len() as u64).then_some(()));
            testkit::wait::until("what was written to be read", testkit::wait::LONG, read).unwrap();
            stop.store(true, Ordering::Relaxed);
            let reports = work.join().unwrap();
            drop(writer);
            assert!(matches!(reports[0].error, Some(ReadError::Stopped { .. })), "{:?}", reports[0].error);
        });
    }
}

#[test]
fn a_log_through_a_pipe_is_read_to_its_end() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // waits for the other end, which does not
        scope.spawn(|| std::fs::write(&path, LOG).unwrap());
        let input = Input::open(&path, std::sync::Arc::default(), &stop).unwrap();
        let (summary, result) = input.read(&Config::default(), &alice(), 0, &stop, |_| Ok(()));
        assert_eq!((result.is_ok(), summary.lines.lines), (true, 5));
    });
}

#[test]
fn two_runs_do_not_write_one_output() {
    let world = World::new(&[("debug.log", LOG.as_bytes()), ("my.rec.part", b"of another run")]);
    let expected = "failed to write the events of the log DIR/debug.log: DIR/my.rec: DIR/my.rec.part is there: another run writes it, or \
                    was killed";
    assert_eq!(world.convert(&["debug.log"], "my.rec", Form::Recording, 1), [expected]);
    assert_eq!(std::fs::read(world.path("my.rec.part")).unwrap(), b"of another run");
}
