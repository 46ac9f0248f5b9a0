//! Round trips: of our own pings through the node's message queue.

use std::collections::VecDeque;

use event::Kind;

use super::peer::keep;

/// Round trips remembered: at the default of one a second, ten minutes.
const PINGS: usize = 600;

/// What our own connection to the node sees.
#[derive(Debug, Default)]
pub struct Pings {
    pub round_trips: VecDeque<Ping>,
    /// Since the last answer: when it was said, and for how long it was missing then, nanoseconds.
    pub unanswered: Option<(u64, u64)>,
}

/// One answer.
#[derive(Clone, Copy, Debug)]
pub struct Ping {
    /// When the answer came.
    pub time: u64,
    pub round_trip: u64,
    /// Pings sent later that are still to be answered.
    pub outstanding: u32,
}

impl Pings {
    pub fn observe(&mut self, time: u64, kind: &Kind) {
        match kind {
            Kind::ProbePing(ping) => {
                self.unanswered = None;
                keep(&mut self.round_trips, Ping { time, round_trip: ping.round_trip_nanos, outstanding: ping.outstanding }, PINGS);
            }
            Kind::ProbeUnanswered(waiting) => self.unanswered = Some((time, waiting.waiting_nanos)),
            _ => {}
        }
    }
}
