//! The unprivileged side as a whole: from the tracer's buffer to observations.

use std::collections::VecDeque;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use event::{ConnectionType, HealthAttached, HealthDetached, Kind, Network};
use rustix::time::{ClockId, clock_gettime};

use crate::control::{Heard, Problem, Report};
use crate::decoder::{Decoder, Observation, Totals};
use crate::peers::Peer;
use crate::reader::Reader;
use crate::record;
use crate::tracer::Tracer;

/// A clock offset that differs by less than this is jitter of measuring it; following it would make times step back.
const CLOCK_JITTER: u64 = 1_000;

/// What comes out of a [`Source`].
#[derive(Clone, PartialEq, Debug)]
pub enum Item {
    /// An event, to be published.
    Observation(Observation),
    /// News of the tracer, for the log. What belongs into the stream comes as an observation, too.
    Report(Report),
}

/// Reads what a tracer captures. Needs no capability.
#[derive(Debug)]
pub struct Source {
    reader: Reader,
    decoder: Decoder,
    tracer: Tracer,
    clock: i64,
    /// Heard, but not given out yet.
    heard: VecDeque<Report>,
    /// Records that were none of this program's.
    strange: u64,
}

impl Source {
    /// Waits until the tracer has attached, or waits for a node itself where it was told to. `keep_raw` keeps the payload of
    /// decoded messages too.
    ///
    /// # Errors
    ///
    /// What the tracer says stands in the way.
    pub fn open(tracer: Tracer, keep_raw: bool) -> Result<Self, Problem> {
        let mut reader = None;
        let mut heard = VecDeque::new();
        let reader = loop {
            let (report, fds) = match tracer.channel().and_then(|channel| channel.receive(true)) {
                Ok(Heard::Message(report, fds)) => (report, fds),
                Ok(_) => return Err(Problem::broken("the tracing process ended without a word")),
                Err(error) => return Err(Problem::broken(format!("failed to hear the tracing process: {error}"))),
            };
            match report {
                Report::Failed(problem) => return Err(problem),
                Report::Ready { buffer } => {
                    let [ring, counters] = fds.try_into().map_err(|_| Problem::broken("the tracing process sent no buffer"))?;
                    let mapped = Reader::new(ring, buffer, &counters);
                    reader = Some(mapped.map_err(|error| Problem::broken(format!("failed to map the buffer: {error}")))?);
                }
                report => {
                    let settled = !matches!(report, Report::Attaching { .. });
                    heard.push_back(report);
                    if settled && let Some(reader) = reader.take() {
                        break reader;
                    }
                }
            }
        };
        let mut source = Self { reader, decoder: Decoder::new(keep_raw), tracer, clock: 0, heard, strange: 0 };
        for report in &source.heard {
            announce(&mut source.decoder, report);
        }
        Ok(source)
    }

    /// Makes peers known that were connected before there were probes: id, address, connection type, network.
    pub fn seed<'a>(&mut self, pid: u32, peers: impl IntoIterator<Item = (u64, &'a str, ConnectionType, Network)>) {
        for (id, address, connection_type, network) in peers {
            self.decoder.seed(pid, id, Peer { address: address.into(), connection_type, network });
        }
    }

    /// Gives out what there is, oldest first; waits up to `max_wait` if there is nothing. Returns the number of records.
    ///
    /// # Errors
    ///
    /// The tracer has ended. What was in the buffer is given out before.
    pub fn next_batch(&mut self, max_wait: Duration, mut each: impl FnMut(Item)) -> Result<u64, Problem> {
        let deadline = Instant::now() + max_wait;
        loop {
            self.follow_clock();
            let reported = self.report(&mut each);
            let records = self.read(&mut each);
            reported?;
            let left = deadline.saturating_duration_since(Instant::now());
            if records > 0 || left.is_zero() {
                return Ok(records);
            }
            let channel = self.tracer.channel().map_err(Problem::broken)?;
            self.reader.wait(left, Some(channel.as_fd())).map_err(|error| Problem::broken(format!("failed to wait: {error}")))?;
        }
    }

    /// How many probes fired, and what became of them. `fired = seen + lost` holds whenever no probe is just firing and the
    /// buffer was read to its end.
    pub fn totals(&self) -> Totals {
        let counters = self.reader.counters();
        Totals {
            fired: counters.fired,
            seen: self.decoder.seen(),
            lost: counters.lost + self.decoder.unreadable() + self.strange,
            faults: counters.faults.iter().sum(),
        }
    }

    /// Process id of the tracer.
    pub fn tracer_pid(&self) -> u32 {
        self.tracer.pid()
    }

    /// Gives out what the tracer says.
    fn report(&mut self, each: &mut impl FnMut(Item)) -> Result<(), Problem> {
        let ended = listen(&self.tracer, &mut self.decoder, &mut self.heard);
        while let Some(report) = self.heard.pop_front() {
            match report {
                Report::Failed(problem) => return Err(problem),
                // records of the life that ended come before the word that it has
                Report::Detached { .. } => drop(self.read(each)),
                _ => {}
            }
            self.pass(report, each);
        }
        ended
    }

    fn pass(&self, report: Report, each: &mut impl FnMut(Item)) {
        if let Some((node_run, kind)) = kind_of(&report) {
            let time = now(ClockId::Realtime).cast_unsigned();
            each(Item::Observation(Observation { time, node_run: Some(node_run), kind }));
        }
        each(Item::Report(report));
    }

    /// Gives out the records that are there.
    fn read(&mut self, each: &mut impl FnMut(Item)) -> u64 {
        let Self { reader, decoder, tracer, heard, strange, .. } = self;
        let records = reader.drain(|bytes| {
            // a process that nobody has announced: that was done before its first record, so it can be heard by now
            if record::tgid(bytes).is_some_and(|tgid| !decoder.knows(tgid)) {
                let _ = listen(tracer, decoder, heard);
            }
            if decoder.decode(bytes, |observation| each(Item::Observation(observation))).is_err() {
                *strange += 1;
            }
        });
        self.tell_losses(each);
        records
    }

    /// Losses after the last record. While there are records to come, these tell.
    fn tell_losses(&mut self, each: &mut impl FnMut(Item)) {
        if self.reader.lost() > self.decoder.told() && self.reader.is_drained() {
            let time = now(ClockId::Realtime).cast_unsigned();
            let losses = self.reader.counters().losses;
            let node_run = self.decoder.last_run();
            self.decoder.losses(losses, |kind| each(Item::Observation(Observation { time, node_run, kind })));
        }
    }

    /// Unix time is set by people and daemons; the difference to the kernel's clock is measured again for each batch.
    fn follow_clock(&mut self) {
        let measure = || {
            let (before, unix, after) = (now(ClockId::Monotonic), now(ClockId::Realtime), now(ClockId::Monotonic));
            ((after - before).unsigned_abs(), unix - (before + (after - before) / 2))
        };
        // one that was interrupted between the clocks knows no better than how long that took
        let (mut width, mut offset) = measure();
        for _ in 0..8 {
            if width <= CLOCK_JITTER {
                break;
            }
            (width, offset) = measure().min((width, offset));
        }
        if offset.abs_diff(self.clock) > CLOCK_JITTER.max(width / 2) {
            self.clock = offset;
            self.decoder.set_clock(offset);
        }
    }
}

/// Hears everything that the tracer has said by now. The decoder learns at once whose records follow.
fn listen(tracer: &Tracer, decoder: &mut Decoder, heard: &mut VecDeque<Report>) -> Result<(), Problem> {
    loop {
        match tracer.channel().and_then(|channel| channel.receive(false)) {
            Ok(Heard::Nothing) => return Ok(()),
            Ok(Heard::Message(report, _)) => {
                announce(decoder, &report);
                heard.push_back(report);
            }
            Ok(Heard::End) => return Err(Problem::broken("the tracing process has ended")),
            Err(error) => return Err(Problem::broken(format!("failed to hear the tracing process: {error}"))),
        }
    }
}

/// Tells the decoder whose records follow.
fn announce(decoder: &mut Decoder, report: &Report) {
    if let Report::Attaching { pid, node_run, .. } = report {
        decoder.attaching(*pid, *node_run);
    }
}

/// The event that a report is.
fn kind_of(report: &Report) -> Option<(u64, Kind)> {
    Some(match report.clone() {
        Report::Attached { pid, node_run, exe: target, attached, missing, unlisted } => {
            (node_run, HealthAttached { pid: Some(pid), target, attached, missing, unlisted }.into())
        }
        Report::Detached { pid, node_run, exe: target, reason } => {
            (node_run, HealthDetached { pid: Some(pid), target, reason }.into())
        }
        Report::Ready { .. } | Report::Waiting(_) | Report::Attaching { .. } | Report::Trouble(_) | Report::Failed(_) => {
            return None;
        }
    })
}

/// Nanoseconds.
fn now(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}
