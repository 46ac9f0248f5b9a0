//! What capturing costs, measured on this machine without a node: a tracepoint of our own, fired in our own process.
//!
//! Needs CAP_BPF and CAP_PERFMON. The floor is a program that only counts: most of a tracepoint's cost is the trap into the
//! kernel, which nobody can save. Rounds alternate, because frequencies and neighbours change while one measures.

use std::fs::File;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{io, thread};

use libbpf_rs::skel::{OpenSkel, SkelBuilder as _};
use rustix::time::{ClockId, clock_gettime};

use crate::decoder::Decoder;
use crate::programs::{Capture, KernelError, Programs, open_file};
use crate::reader::Reader;
use crate::skel;

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Firings per round.
    pub firings: u32,
    /// Pairs of rounds, one for the floor and one that captures.
    pub pairs: u32,
    /// Bytes of payload.
    pub payload: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { firings: 100_000, pairs: 8, payload: 8 }
    }
}

/// What was measured: CPU time, medians over the rounds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Cost {
    /// Of one firing that nobody traces.
    pub untraced: Duration,
    /// Of one firing that is only counted: the floor.
    pub counted: Duration,
    /// Of one firing that is captured.
    pub captured: Duration,
    /// Of reading and decoding one record.
    pub read: Duration,
    /// Firings in all capturing rounds.
    pub fired: u64,
    /// Records read.
    pub seen: u64,
    /// Records lost.
    pub lost: u64,
}

/// Nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The kernel refused.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// Something else went wrong.
    #[error("failed to set up the measurement: {0}")]
    Io(#[from] io::Error),
}

/// Measures the cost of a `ping` message's way from a tracepoint to a decoded event.
///
/// # Errors
///
/// No permission, or a kernel that is too old.
pub fn measure(options: Options) -> Result<Cost, BenchError> {
    let exe = File::open("/proc/self/exe")?;
    let payload = vec![1; options.payload];
    let mut floor_storage = MaybeUninit::uninit();
    let floor = skel::FloorSkelBuilder::default().open(&mut floor_storage).and_then(OpenSkel::load);
    let floor = floor.map_err(|error| KernelError::new("load the counting program", error))?;
    let mut storage = MaybeUninit::uninit();
    let programs = Programs::load(&mut storage, &Capture::default())?;
    let counters = programs.counters().try_clone_to_owned()?;
    let mut reader = Reader::new(programs.ring().try_clone_to_owned()?, programs.buffer(), &counters)?;
    let mut decoder = Decoder::new(false);

    let pid = std::process::id();
    let (mut untraced, mut counted, mut captured, mut read) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.pairs.max(1) {
        untraced.push(fire(options.firings, &payload));
        let link = floor.progs.on_any.attach_usdt(pid as i32, open_file(&exe), "peer_observer", "bench");
        let link = link.map_err(|error| KernelError::new("attach the counting program", error))?;
        counted.push(fire(options.firings, &payload));
        drop(link);

        let link = programs.attach_site(pid, &exe, 1, true, ("peer_observer", "bench"))?;
        let ended = AtomicBool::new(false);
        let (firing, reading) = thread::scope(|scope| {
            let reading = scope.spawn(|| read_until(&ended, &mut reader, &mut decoder));
            let firing = fire(options.firings, &payload);
            ended.store(true, Ordering::Release);
            (firing, reading.join().unwrap_or_default())
        });
        captured.push(firing);
        read.push(reading / options.firings.max(1));
        drop(link);
    }
    let counters = reader.counters();
    Ok(Cost {
        untraced: median(untraced),
        counted: median(counted),
        captured: median(captured),
        read: median(read),
        fired: counters.fired,
        seen: decoder.seen(),
        lost: counters.lost,
    })
}

/// Fires as Bitcoin Core does; returns the CPU time of one firing.
#[inline(never)]
fn fire(times: u32, payload: &[u8]) -> Duration {
    let start = cpu_time();
    for _ in 0..times {
        probe::probe_lazy!(
            peer_observer,
            bench,
            7_i64,
            c"203.0.113.7:8333".as_ptr(),
            c"outbound-full-relay".as_ptr(),
            c"ping".as_ptr(),
            payload.len(),
            payload.as_ptr()
        );
    }
    (cpu_time() - start) / times.max(1)
}

/// Reads as a source does; returns the CPU time of this thread.
fn read_until(ended: &AtomicBool, reader: &mut Reader, decoder: &mut Decoder) -> Duration {
    let start = cpu_time();
    loop {
        // in this order: what was fired before the end is read after it
        let last = ended.load(Ordering::Acquire);
        let count = reader.drain(|bytes| {
            let _ = decoder.decode(bytes, |observation| drop(std::hint::black_box(observation)));
        });
        if count == 0 && (last || reader.wait(Duration::from_millis(100), None).is_err()) {
            break;
        }
    }
    cpu_time() - start
}

/// CPU time of this thread: time in which others had the CPU does not count.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}

fn median(mut durations: Vec<Duration>) -> Duration {
    durations.sort();
    durations.get(durations.len() / 2).copied().unwrap_or_default()
}

/// Holds probes that only count on the message tracepoints of a node, while `work` runs: what any tracing costs at least.
///
/// # Errors
///
/// No permission, or no such process with these tracepoints; or what `work` fails with.
pub fn with_floor<T>(pid: u32, work: impl FnOnce() -> Result<T, BenchError>) -> Result<T, BenchError> {
    let exe = File::open(format!("/proc/{pid}/exe"))?;
    let mut storage = MaybeUninit::uninit();
    let floor = skel::FloorSkelBuilder::default().open(&mut storage).and_then(OpenSkel::load);
    let floor = floor.map_err(|error| KernelError::new("load the counting program", error))?;
    let attach = |name| {
        let link = floor.progs.on_any.attach_usdt(pid.cast_signed(), open_file(&exe), "net", name);
        link.map_err(|error| KernelError::new("attach the counting program", error))
    };
    let _links = [attach("inbound_message")?, attach("outbound_message")?];
    work()
}
