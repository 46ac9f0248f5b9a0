//! How fast files are sent.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::archive::amount::Size;

/// Lets so many bytes pass in a second, over all files.
#[derive(Debug)]
pub struct Pace {
    rate: Option<u64>,
    /// When what was sent so far would have been sent at that rate.
    due: Option<Instant>,
}

/// A pause is taken in pieces, so that it can be cut short.
const PIECE: Duration = Duration::from_millis(50);

impl Pace {
    /// At this rate; without one, as fast as it goes.
    pub fn new(rate: Option<Size>) -> Self {
        Self { rate: rate.map(|rate| rate.0.max(1)), due: None }
    }

    /// Waits until these bytes may be sent. `false` when told to stop before.
    pub fn wait(&mut self, bytes: usize, stop: &AtomicBool) -> bool {
        let pause = self.pause(bytes, Instant::now());
        let end = Instant::now() + pause;
        loop {
            if stop.load(Ordering::Relaxed) {
                return false;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(PIECE));
        }
    }

    fn pause(&mut self, bytes: usize, now: Instant) -> Duration {
        let Some(rate) = self.rate else { return Duration::ZERO };
        // a pause in between is no credit for later
        let due = self.due.map_or(now, |due| due.max(now));
        self.due = Some(due + Duration::from_secs_f64(bytes as f64 / rate as f64));
        due - now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_holds_over_any_pieces() {
        let mut pace = Pace::new(Some(Size(1000)));
        let start = Instant::now();
        let mut now = start;
        for bytes in [100, 400, 1500, 0, 2000] {
            now += pace.pause(bytes, now);
        }
        // the last piece is on its way
        assert_eq!((now - start).as_millis(), 2000);
        // after a long pause nothing is caught up with
        now += Duration::from_secs(100);
        assert_eq!(pace.pause(1000, now).as_millis(), 0);
        assert_eq!(pace.pause(1000, now).as_millis(), 1000);
    }

    #[test]
    fn without_a_rate_nobody_waits() {
        let mut pace = Pace::new(None);
        assert_eq!(pace.pause(usize::MAX, Instant::now()), Duration::ZERO);
    }

    #[test]
    fn a_pause_is_cut_short() {
        let mut pace = Pace::new(Some(Size(1)));
        let stop = AtomicBool::new(true);
        assert!(!pace.wait(1 << 30, &stop) && !pace.wait(1, &stop));
    }
}
