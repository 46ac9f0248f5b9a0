//! Pings under way.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Far more than a healthy node leaves unanswered; one that is stuck is not helped by more.
const MOST: usize = 16;

/// Longer than the call that hands a ping to the system takes (40 µs on a slow machine).
const CALL: Duration = Duration::from_millis(1);

/// Pings that were sent and not answered. An answer counts if its nonce is that of one of them, and once.
#[derive(Debug, Default)]
pub struct Pings(VecDeque<Ping>);

#[derive(Debug)]
struct Ping {
    nonce: u64,
    before: Instant,
    after: Instant,
}

impl Ping {
    /// Over loopback the call itself carries the ping to the node's socket, so its end is when the node can have it. But a call that took
    /// long has waited, perhaps for the node, and one that the answer has overtaken was interrupted: then its beginning is what is sure.
    fn round_trip(&self, answered: Instant) -> Duration {
        let sent = if self.after - self.before < CALL && answered > self.after { self.after } else { self.before };
        answered.saturating_duration_since(sent)
    }
}

/// A ping that was answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// How long it took.
    pub round_trip: Duration,
    /// How many that were sent later are still to be answered.
    pub outstanding: usize,
}

impl Pings {
    /// Whether there is room for another.
    pub fn have_room(&self) -> bool {
        self.0.len() < MOST
    }

    /// A ping with this nonce, which must be unpredictable, was given to the system by a call between these times.
    pub fn sent(&mut self, nonce: u64, before: Instant, after: Instant) {
        debug_assert!(self.have_room());
        self.0.push_back(Ping { nonce, before, after });
    }

    /// A pong with this nonce was read at this time. The node answers in order, so earlier pings will not be answered any more.
    pub fn answered(&mut self, nonce: u64, at: Instant) -> Option<Answer> {
        let place = self.0.iter().position(|ping| ping.nonce == nonce)?;
        let ping = self.0.drain(..=place).next_back()?;
        Some(Answer { round_trip: ping.round_trip(at), outstanding: self.0.len() })
    }

    /// Age of the oldest, if there is one.
    pub fn waiting(&self, now: Instant) -> Option<Duration> {
        self.0.front().map(|ping| now.saturating_duration_since(ping.before))
    }

    /// How many there are.
    pub fn outstanding(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counts_once_and_inventions_never() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut pings = Pings::default();
        assert_eq!(pings.answered(0, at(0)), None);
        for (nonce, millis) in [(7, 0), (8, 10), (9, 20)] {
            pings.sent(nonce, at(millis), at(millis));
        }
        assert_eq!(pings.waiting(at(25)), Some(Duration::from_millis(25)));
        assert_eq!(pings.answered(1, at(25)), None);
        assert_eq!(pings.answered(7, at(30)), Some(Answer { round_trip: Duration::from_millis(30), outstanding: 2 }));
        assert_eq!(pings.answered(7, at(31)), None);
        assert_eq!(pings.answered(9, at(32)), Some(Answer { round_trip: Duration::from_millis(12), outstanding: 0 }));
        assert_eq!(pings.answered(8, at(33)), None);
        assert_eq!(pings.waiting(at(40)), None);
    }

    #[test]
    fn the_call_is_not_the_nodes_time_unless_it_waited() {
        let start = Instant::now();
        let at = |micros| start + Duration::from_micros(micros);
        // begin and end of the call, the answer, and what counts
        for (before, after, answered, expect) in [(0, 40, 100, 60), (0, 5_000, 5_100, 5_100), (0, 400, 100, 100), (0, 40, 40, 40)] {
            let mut pings = Pings::default();
            pings.sent(1, at(before), at(after));
            assert_eq!(pings.answered(1, at(answered)).unwrap().round_trip, Duration::from_micros(expect));
        }
    }

    #[test]
    fn they_are_bounded() {
        let mut pings = Pings::default();
        let mut sent = 0;
        while pings.have_room() {
            pings.sent(sent, Instant::now(), Instant::now());
            sent += 1;
        }
        assert_eq!((sent, pings.outstanding()), (16, 16));
    }
}
