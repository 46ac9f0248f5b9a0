//! Kernel probes on the node's tracepoints.
//!
//! The work is done in [`ebpf`], where nothing knows of a bus. Here its items are published, and a beat is given each second.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bus::Publisher;
use ebpf::control::{Problem, Report};
use ebpf::process::Target;
use ebpf::programs::Capture;
use ebpf::{Item, Source, tracer};
use event::Kind;

use crate::clock::now;
use crate::node;
use crate::size::Size;

/// What to capture, and with how much memory.
#[derive(Clone, PartialEq, Eq, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    /// Keep the bytes of every message, not only of those that cannot be decoded
    ///
    /// Makes events larger: by the size of every transaction and block that the node receives or sends.
    #[arg(long = "ebpf-raw", visible_alias = "raw")]
    pub ebpf_raw: bool,

    /// The buffer between kernel and reader
    ///
    /// A power of two. What does not fit while the reader is busy is lost, and counted. Memory is taken once, at start.
    #[arg(long = "ebpf-buffer", default_value = "8MiB", value_parser = buffer, value_name = "SIZE")]
    pub ebpf_buffer: Size,
}

/// Of two of the largest messages one would be lost in less.
const SMALLEST_BUFFER: u64 = 8 << 20;
const LARGEST_BUFFER: u64 = 1 << 30;

fn buffer(text: &str) -> Result<Size, String> {
    let size: Size = text.parse()?;
    if !size.0.is_power_of_two() || !(SMALLEST_BUFFER..=LARGEST_BUFFER).contains(&size.0) {
        return Err(format!("the buffer must be a power of two from {} to {}", Size(SMALLEST_BUFFER), Size(LARGEST_BUFFER)));
    }
    Ok(size)
}

impl Config {
    /// What the tracer has to do for this.
    pub fn tracer(&self, node: &node::Config, wait: bool) -> tracer::Config {
        let buffer = u32::try_from(self.ebpf_buffer.0).unwrap_or(u32::MAX);
        tracer::Config { target: node.target(), capture: Capture { buffer, ..Capture::default() }, wait }
    }
}

impl node::Config {
    /// Which process is meant.
    pub fn target(&self) -> Target {
        match (&self.datadir, &self.pid_file, self.pid) {
            (Some(datadir), ..) => Target::Datadir(datadir.clone()),
            (_, Some(file), _) => Target::PidFile(file.clone()),
            (.., Some(pid)) => Target::Pid(pid),
            (None, None, None) => Target::Any,
        }
    }
}

/// How long to wait for records before looking whether to stop.
const PATIENCE: Duration = Duration::from_millis(250);
const BEAT: Duration = Duration::from_secs(1);
/// Large enough to share the cost of publishing, small enough not to hold a burst back.
const BATCH: usize = 256;

/// Publishes what the tracer captures, until told to stop. Blocks: give it a thread of its own.
///
/// # Errors
///
/// The tracer cannot go on, and was not to stop. What it had captured is published before.
pub fn run(mut source: Source, out: &Publisher, stop: &AtomicBool) -> Result<(), Problem> {
    let mut state = State { batch: Vec::with_capacity(BATCH), node_run: None, lag: 0 };
    let mut next_beat = Instant::now() + BEAT;
    loop {
        // read before the last batch, so that nothing captured before the order to stop is left behind
        let last = stop.load(Ordering::Acquire);
        let patience = if last { Duration::ZERO } else { PATIENCE.min(next_beat.saturating_duration_since(Instant::now())) };
        let result = source.next_batch(patience, |item| state.take(item, out));
        state.flush(out);
        if last || result.is_err() || Instant::now() >= next_beat {
            let totals = source.totals();
            out.beat(now(), state.node_run, std::mem::take(&mut state.lag), Some(totals.fired), Some(totals.lost));
            next_beat = Instant::now() + BEAT;
        }
        if last || result.is_err() {
            // whoever stops the whole group of processes stops the tracer, too, and perhaps first
            return end(result, stop.load(Ordering::Acquire));
        }
    }
}

/// What comes of the last batch. Once told to stop, a tracer that has ended has done what it should.
fn end(result: Result<u64, Problem>, told: bool) -> Result<(), Problem> {
    if told { Ok(()) } else { result.map(drop) }
}

struct State {
    batch: Vec<(u64, Option<u64>, Kind)>,
    node_run: Option<u64>,
    /// Age of the youngest event of the last batch when it was published.
    lag: u64,
}

impl State {
    fn take(&mut self, item: Item, out: &Publisher) {
        match item {
            Item::Observation(observation) => {
                self.node_run = observation.node_run.or(self.node_run);
                self.batch.push((observation.time, observation.node_run, observation.kind));
                if self.batch.len() >= BATCH {
                    self.flush(out);
                }
            }
            Item::Report(report) => tell(&report),
        }
    }

    fn flush(&mut self, out: &Publisher) {
        if let Some((time, ..)) = self.batch.last() {
            self.lag = now().saturating_sub(*time);
            out.publish_batch(self.batch.drain(..));
        }
    }
}

fn tell(report: &Report) {
    match report {
        Report::Attached { pid, exe, attached, missing, unlisted, .. } => {
            tracing::info!(pid, exe, probes = attached.len(), "watching the node");
            if !missing.is_empty() {
                tracing::warn!(missing = missing.join(", "), "the node lacks tracepoints; the rest works without");
            }
            if !unlisted.is_empty() {
                tracing::info!(unlisted = unlisted.join(", "), "the node has tracepoints that this release does not know");
            }
        }
        Report::Detached { pid, reason, .. } => tracing::warn!(pid, reason, "lost the node; waiting for it"),
        Report::Waiting(problem) => tracing::info!(%problem, hint = problem.hint, "waiting for the node"),
        Report::Trouble(problem) => tracing::error!(%problem, hint = problem.hint, "found the node, but cannot watch it"),
        Report::Attaching { pid, exe, .. } => tracing::debug!(pid, exe, "attaching"),
        Report::Ready { buffer } => tracing::debug!(buffer, "probes are loaded"),
        // comes as an error
        Report::Failed(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ebpf::control::Class;

    #[test]
    fn a_tracer_may_end_when_all_ends() {
        let ended = || {
            let (class, message, hint) = (Class::Broken, "the tracing process has ended".into(), String::new());
            Err(Problem { class, message, hint })
        };
        assert_eq!(end(ended(), true), Ok(()));
        assert_eq!(end(ended(), false), ended().map(|_: u64| ()));
        assert_eq!((end(Ok(1), true), end(Ok(1), false)), (Ok(()), Ok(())));
    }
}
