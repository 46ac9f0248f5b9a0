//! The unprivileged side as a whole, with a real tracer: records, reports and losses in one stream.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

#[path = "probes/mod.rs"]
mod probes;

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ebpf::process::Target;
use ebpf::programs::Capture;
use ebpf::tracer::Config;
use ebpf::{Item, Observation, Source, Tracer, privileges};
use event::Kind;
use probes::Direction::Inbound;

/// A tracer of this very process. Tests here are one test: tracepoints belong to the process.
fn open(capture: Capture) -> Source {
    let test = std::env::current_exe().unwrap();
    let watch: PathBuf = test.parent().unwrap().parent().unwrap().join("examples/watch");
    assert!(watch.exists(), "build it first: cargo build -p po-ebpf --examples");
    let mut command = Command::new(watch);
    command.arg("tracer");
    let config = Config { target: Target::Pid(std::process::id()), capture, ..Config::default() };
    Source::open(Tracer::spawn(command, &config).unwrap(), false).unwrap_or_else(|problem| panic!("{problem}"))
}

fn batch(source: &mut Source) -> Vec<Observation> {
    let mut observations = Vec::new();
    let collect = |item| match item {
        Item::Observation(observation) => observations.push(observation),
        Item::Report(_) => {}
    };
    source.next_batch(Duration::from_millis(100), collect).unwrap();
    observations
}

#[test]
fn a_stream_has_everything_in_its_place() {
    if !privileges::effective().can_trace() {
        return testkit::skipped("needs CAP_BPF and CAP_PERFMON");
    }
    let mut source = open(Capture { buffer: 64 << 10, ..Capture::default() });
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    probes::inbound_connection(7, "203.0.113.7:8333", "inbound", 1, 3);
    probes::message(Inbound, 7, "203.0.113.7:8333", "inbound", "ping", &[1; 8]);
    let after = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let first = batch(&mut source);
    let names: Vec<_> = first.iter().map(|observation| observation.kind.id().name()).collect();
    assert_eq!(names, ["health.attached", "conn.opened", "net.ping"]);
    let run = first[0].node_run;
    assert!(run.is_some_and(|run| run.abs_diff(before / 1_000_000_000) < 60), "{run:?}");
    for observation in &first[1..] {
        assert_eq!(observation.node_run, run);
        // clocks are compared to within a microsecond
        assert!((before - 1000..after + 1000).contains(&observation.time), "{} {} {}", before, observation.time, after);
    }

    // more than there is room for, and nothing after it that could tell
    for _ in 0..2000 {
        probes::mempool_added(141, 1);
    }
    let mut seen = 0;
    let mut lost = 0;
    while seen + lost < 2000 {
        for observation in batch(&mut source) {
            match observation.kind {
                Kind::MempoolAdded(_) => seen += 1,
                Kind::HealthLost(loss) => {
                    assert_eq!((loss.probe.as_str(), observation.node_run), ("mempool:added", run));
                    lost += loss.count;
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(lost > 0 && seen > 0);
    let totals = source.totals();
    assert_eq!((totals.fired, totals.seen, totals.lost, totals.faults), (2002, seen + 2, lost, 0));
}
