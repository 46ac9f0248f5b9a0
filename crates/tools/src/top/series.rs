//! Values by second of event time: what sparklines and rates are made of.

/// Seconds kept: more than any screen is wide.
pub const LENGTH: u64 = 300;

/// Seconds that a rate is the mean of. The current one is not among them: it is not over yet.
const RATE: u64 = 10;

/// What is followed of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Measure {
    /// Messages that the node received.
    Received,
    /// Messages that it sent.
    Sent,
    /// Bytes of their payloads.
    BytesReceived,
    /// Bytes of their payloads.
    BytesSent,
    /// Transactions that entered its mempool.
    Added,
    /// Transactions that it did not take.
    Rejected,
    /// Events that were lost.
    Lost,
    /// Transactions waiting to be announced to all peers together, as of the last answer.
    Queue,
    /// The last round trip through its message queue, seconds.
    Ping,
    /// CPU time per second of its process, as of the last two looks.
    Processor,
}

const MEASURES: usize = Measure::Processor as usize + 1;

impl Measure {
    /// Whether a value stays until there is another; else it counts what happened within its second.
    const fn stays(self) -> bool {
        matches!(self, Self::Queue | Self::Ping | Self::Processor)
    }
}

/// The last seconds of every measure.
#[derive(Clone, Debug)]
pub struct Track {
    /// The current second; 0 before the first.
    now: u64,
    /// The first second that is known.
    since: u64,
    rows: Vec<[f32; LENGTH as usize]>,
}

impl Default for Track {
    fn default() -> Self {
        Self { now: 0, since: 0, rows: vec![[f32::NAN; LENGTH as usize]; MEASURES] }
    }
}

impl Track {
    /// Time goes on. A step back of the clock, or one further than what is kept, begins anew.
    pub fn advance(&mut self, second: u64) {
        if second == self.now {
            return;
        }
        let steps = second.saturating_sub(self.now);
        if self.now == 0 || second < self.now || steps >= LENGTH {
            *self = Self { now: second, since: second, ..Self::default() };
            self.begin(None);
            return;
        }
        for _ in 0..steps {
            let before = self.now;
            self.now += 1;
            self.begin(Some(before));
        }
        self.since = self.since.max(self.now.saturating_sub(LENGTH - 1));
    }

    /// Fills the place of the current second with what holds before anything happens in it.
    fn begin(&mut self, before: Option<u64>) {
        let place = place(self.now);
        for (number, row) in self.rows.iter_mut().enumerate() {
            let stays = [Measure::Queue, Measure::Ping, Measure::Processor].iter().any(|of| *of as usize == number);
            row[place] = match before {
                Some(before) if stays => row[self::place(before)],
                None if stays => f32::NAN,
                _ => 0.0,
            };
        }
    }

    /// Adds to a second that is still kept.
    pub fn add(&mut self, measure: Measure, second: u64, count: u64) {
        debug_assert!(!measure.stays());
        if (self.since..=self.now).contains(&second) {
            self.rows[measure as usize][place(second)] += count as f32;
        }
    }

    /// From the current second on it is this; absent is not a number.
    pub fn set(&mut self, measure: Measure, value: Option<f64>) {
        debug_assert!(measure.stays());
        self.rows[measure as usize][place(self.now)] = value.map_or(f32::NAN, |value| value as f32);
    }

    /// Per second over the last ten that are over, or as many as are known.
    pub fn rate(&self, measure: Measure) -> Option<f64> {
        let known = (self.now - self.since).min(RATE);
        let sum: f64 = self.last(measure, known as usize).map(f64::from).sum();
        (known > 0).then(|| sum / known as f64)
    }

    /// The last seconds that are over, the oldest first; fewer where fewer are known.
    pub fn last(&self, measure: Measure, count: usize) -> impl Iterator<Item = f32> + '_ {
        let known = (self.now - self.since).min(count as u64).min(LENGTH - 1);
        (self.now - known..self.now).map(move |second| self.rows[measure as usize][place(second)])
    }

    /// The value that stays, as of now.
    pub fn value(&self, measure: Measure) -> Option<f64> {
        debug_assert!(measure.stays());
        Some(self.rows[measure as usize][place(self.now)]).filter(|value| !value.is_nan()).map(f64::from)
    }
}

fn place(second: u64) -> usize {
    (second % LENGTH) as usize
}

/// A count of the last seconds, small enough for every peer to have some.
#[derive(Clone, Copy, Debug, Default)]
pub struct Window {
    second: u64,
    cells: [u32; RATE as usize + 1],
}

impl Window {
    /// Adds to a second: the last that was added to, or a later one. What comes late belongs to the last.
    pub fn add(&mut self, second: u64, count: u64) {
        const CELLS: u64 = RATE + 1;
        if second > self.second {
            let passed = (second - self.second).min(CELLS);
            for step in 0..passed {
                self.cells[((second - step) % CELLS) as usize] = 0;
            }
            self.second = second;
        }
        let cell = &mut self.cells[(self.second % CELLS) as usize];
        *cell = cell.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// Per second over the ten seconds before this one.
    pub fn rate(&self, now: u64) -> f64 {
        let over = now.saturating_sub(RATE)..now;
        let kept = self.second.saturating_sub(RATE)..=self.second;
        let sum: u64 =
            over.filter(|second| kept.contains(second)).map(|second| u64::from(self.cells[(second % (RATE + 1)) as usize])).sum();
        sum as f64 / RATE as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(track: &Track, count: usize) -> Vec<f32> {
        track.last(Measure::Received, count).collect()
    }

    #[test]
    fn seconds_without_anything_are_zeros() {
        let mut track = Track::default();
        track.advance(1000);
        track.add(Measure::Received, 1000, 3);
        track.advance(1003);
        track.add(Measure::Received, 1002, 5);
        assert_eq!(counted(&track, 9), [3.0, 0.0, 5.0]);
        assert_eq!(track.rate(Measure::Received), Some(8.0 / 3.0));
        track.advance(1020);
        assert_eq!(track.rate(Measure::Received), Some(0.0));
        assert_eq!(counted(&track, 2), [0.0, 0.0]);
    }

    #[test]
    fn a_level_stays_until_it_is_another() {
        let mut track = Track::default();
        track.advance(1000);
        track.set(Measure::Queue, Some(7.0));
        track.advance(1002);
        assert_eq!(track.value(Measure::Queue), Some(7.0));
        track.set(Measure::Queue, None);
        track.advance(1003);
        assert_eq!(track.last(Measure::Queue, 2).next(), Some(7.0));
        assert_eq!(track.value(Measure::Queue), None);
    }

    #[test]
    fn a_clock_that_jumps_begins_anew() {
        let mut track = Track::default();
        for second in [1000, 5, u64::MAX, 1000, 1000 + LENGTH] {
            track.advance(second);
            assert_eq!(track.rate(Measure::Received), None);
            track.add(Measure::Received, second, 1);
            // what is long over, and what is to come, is not on the screen
            track.add(Measure::Received, second.wrapping_sub(1), 1);
            track.add(Measure::Received, second.wrapping_add(1), 1);
        }
        track.advance(1001 + LENGTH);
        assert_eq!(counted(&track, 9), [1.0]);
    }

    #[test]
    fn only_what_is_kept_is_shown() {
        let mut track = Track::default();
        for second in 1..=2 * LENGTH {
            track.advance(second);
            track.add(Measure::Received, second, second);
        }
        let shown = counted(&track, usize::MAX);
        assert_eq!((shown.len() as u64, shown[0]), (LENGTH - 1, (LENGTH + 1) as f32));
    }

    #[test]
    fn a_window_forgets() {
        let mut window = Window::default();
        window.add(100, 10);
        window.add(105, 20);
        window.add(104, 5); // late: counted with the last
        assert_eq!(window.rate(105), 1.0);
        assert_eq!(window.rate(106), 3.5);
        assert_eq!(window.rate(111), 2.5);
        assert_eq!(window.rate(116), 0.0);
        window.add(200, 1);
        assert_eq!(window.rate(201), 0.1);
        assert_eq!(window.rate(u64::MAX), 0.0);
        window.add(u64::MAX, u64::MAX);
        assert_eq!(window.rate(u64::MAX), 0.0);
    }
}
