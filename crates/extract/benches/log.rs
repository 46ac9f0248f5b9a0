//! How soon a line that a node writes is an event, and what it costs to wait for one.
//!
//! `cargo bench -p po-extract --bench log` prints a line per case, `cargo test` runs each a few times.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bus::{Bus, Delivery, Limits, Subscription};
use event::{Filter, Kind, KindId, Source};
use extract::log::follow::Begin;
use extract::log::{self, Config, Target};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Runtime;
use tokio::sync::watch;

struct Following {
    runtime: Runtime,
    events: Subscription,
    stop: Arc<AtomicBool>,
    worker: Option<std::thread::JoinHandle<()>>,
}

impl Following {
    fn new(log: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let bus = Bus::local();
        let filter = Filter::kinds([KindId::HealthAttached, KindId::ConnStep]);
        let events = runtime.block_on(bus.subscribe(filter, Limits::default())).expect("an open bus");
        let out = bus.publisher("bench".parse().expect("a name"), Source::Log);
        let (_, unknown) = watch::channel(None);
        let stop = Arc::new(AtomicBool::new(false));
        let (told, target) = (stop.clone(), Target::Told(log.to_owned()));
        let config = Config { log_from: Begin::End, ..Config::default() };
        let worker = std::thread::spawn(move || {
            log::run(&config, target, Box::new(|_| None), None, unknown, &out, &told).expect("a file that can be read");
        });
        let mut following = Self { runtime, events, stop, worker: Some(worker) };
        following.next();
        following
    }

    /// The peer of the next event; nothing for one without.
    fn next(&mut self) -> Option<u64> {
        match self.runtime.block_on(self.events.next()) {
            Some(Delivery::Event(event)) => match &event.kind {
                Some(Kind::ConnStep(step)) => Some(step.peer),
                _ => None,
            },
            other => panic!("an event, not {other:?}"),
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

fn log() -> (tempfile::TempDir, File) {
    let folder = tempfile::tempdir().expect("a folder");
    let log = OpenOptions::new().create(true).append(true).open(folder.path().join("debug.log")).expect("a file");
    (folder, log)
}

/// From the moment at which a line is written to the event in a subscriber's hands, sorted.
fn latencies(every: Duration, count: u64) -> Vec<Duration> {
    let (folder, mut log) = log();
    let mut following = Following::new(&folder.path().join("debug.log"));
    let (told, written) = std::sync::mpsc::channel();
    let writer = std::thread::spawn(move || {
        for number in 0..count {
            // not in step with whoever reads
            std::thread::sleep(every.mul_f64(0.5 + (number * 7 % 10) as f64 / 10.0));
            let line = format!("2026-01-01T00:00:00Z [net] Cleared nodestate for peer={number}\n");
            let now = Instant::now();
            log.write_all(line.as_bytes()).expect("room");
            told.send(now).expect("somebody waits");
        }
    });
    let mut latencies = Vec::new();
    for number in 0..count {
        assert_eq!(following.next(), Some(number));
        latencies.push(written.recv().expect("it was written").elapsed());
    }
    writer.join().expect("a writer");
    latencies.sort();
    latencies
}

/// The part of a core that this process uses while nothing is logged.
fn idle(length: Duration) -> f64 {
    let (folder, mut log) = log();
    let mut following = Following::new(&folder.path().join("debug.log"));
    log.write_all(b"2026-01-01T00:00:00Z [net] Cleared nodestate for peer=0\n").expect("room");
    following.next();
    let cpu = || Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).expect("a length of time");
    let before = cpu();
    std::thread::sleep(length);
    (cpu() - before).as_secs_f64() / length.as_secs_f64()
}

fn main() {
    let quick = !std::env::args().any(|arg| arg == "--bench");
    for (what, micros, count) in [("200 ms", 200_000, 100), ("10 ms", 10_000, 1000), ("200 µs", 200, 20_000)] {
        let latencies = latencies(Duration::from_micros(micros), if quick { 5 } else { count });
        let (median, p99, most) =
            (latencies[latencies.len() / 2], latencies[latencies.len() * 99 / 100], latencies[latencies.len() - 1]);
        println!("a line every {what} or so is an event after {median:?} in the median, {p99:?} in 99 of 100, {most:?} at most");
    }
    let idle = idle(Duration::from_millis(if quick { 10 } else { 20_000 }));
    println!("a log in which nothing happens takes {:.4} % of a core", idle * 100.0);
}
