//! What it costs to read debug.log. `cargo bench -p po-event --bench log`; `cargo test` runs each case once.
//!
//! `DEBUG_LOG=FILE` names a log to read, such as `cargo run --release -p po-event --example record_log -- reference FILE BITCOIND` makes;
//! without, a small one of the fixtures is read many times.

use std::hint::black_box;

use event::log::{Options, Parser, split};

/// As much is read for each case, so that a small file takes long enough to be measured.
const BYTES: usize = 2_000_000_000;

/// Of so many rounds the best counts: what is slower than that is the machine's doing.
const ROUNDS: usize = 5;

fn main() {
    let measure = std::env::args().any(|argument| argument == "--bench");
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/log/v31/play.log");
    let file = std::env::var("DEBUG_LOG").unwrap_or_else(|_| fixture.to_owned());
    let log = std::fs::read(&file).unwrap_or_else(|error| panic!("failed to read {file}: {error}"));
    println!("{file}: {} bytes", log.len());
    case(measure, "lines to events", &log, parse);
    case(measure, "lines that no pattern matches, as long as these", &unmatched(&log), parse);
    case(measure, "one unmatched statement", &one_statement(&log), parse);
    case(measure, "splitting alone", &log, |log| lines(log).map(|line| split(line).message.len() as u64).sum());
    case(measure, "finding the ends of lines alone", &log, |log| lines(log).count() as u64);
    if measure {
        counts(&log);
    }
}

fn lines(log: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut from = 0;
    memchr::memchr_iter(b'\n', log).map(move |to| {
        let line = &log[from..to];
        from = to + 1;
        line
    })
}

/// The events that a log gives, each made and dropped.
fn parse(log: &[u8]) -> u64 {
    let mut parser = Parser::new(Options::default());
    let mut events = 0;
    for line in lines(log) {
        parser.line(line, &mut |time, kind| {
            black_box((time, &kind));
            events += 1;
        });
    }
    events
}

/// The same lines with messages that begin with other letters.
fn unmatched(log: &[u8]) -> Vec<u8> {
    let mut other = Vec::with_capacity(log.len());
    for line in lines(log) {
        let message = split(line).message;
        let mut line = line.to_vec();
        let from = line.len() - message.len();
        for c in line[from..].iter_mut().take(4) {
            c.make_ascii_uppercase();
            if !c.is_ascii_uppercase() {
                *c = b'Q';
            }
        }
        other.extend(line);
        other.push(b'\n');
    }
    other
}

/// What an RPC client that asks all the time makes of a log with `-debug=http`.
fn one_statement(log: &[u8]) -> Vec<u8> {
    let line = b"2025-11-05T12:34:56.123456Z [http] [http] Received a POST request for / from 127.0.0.1:51234\n";
    line.repeat((log.len() / line.len()).max(1))
}

fn case(measure: bool, name: &str, log: &[u8], run: impl Fn(&[u8]) -> u64) {
    let result = black_box(run(log));
    if !measure {
        return;
    }
    let times = (BYTES / log.len().max(1) / ROUNDS).max(1);
    let best = (0..ROUNDS)
        .map(|_| {
            let start = processor_time();
            for _ in 0..times {
                black_box(run(log));
            }
            (processor_time() - start) / times as f64
        })
        .fold(f64::INFINITY, f64::min);
    let count = memchr::memchr_iter(b'\n', log).count() as f64;
    println!(
        "{name}: {:.0} MB/s, {:.2} million lines/s, {:.0} ns per line of {:.0} bytes (result {result})",
        log.len() as f64 / best / 1e6,
        count / best / 1e6,
        best / count * 1e9,
        log.len() as f64 / count,
    );
}

/// Seconds that this thread ran: others may be at work on the machine (Linux, `/proc/thread-self/schedstat`).
fn processor_time() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells");
    let nanos: u64 = text.split(' ').next().and_then(|nanos| nanos.parse().ok()).expect("it begins with nanoseconds");
    nanos as f64 / 1e9
}

/// Lines per pattern, and what is left.
fn counts(log: &[u8]) {
    let mut parser = Parser::new(Options::default());
    for line in lines(log) {
        parser.line(line, &mut |_, _| ());
    }
    for (pattern, lines) in parser.counts().filter(|(_, lines)| *lines > 0) {
        println!("{lines:>9}  {pattern}");
    }
    println!("{:?}", parser.totals());
}
