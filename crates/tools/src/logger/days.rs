//! Which day lines are of: each begins with the time of day alone.

use std::fmt;
use std::time::Duration;

use event::text::Rfc3339;

/// Nanoseconds.
const DAY: u64 = 86_400_000_000_000;

/// Knows the day of the line before. Without one, the first line has its date said.
#[derive(Clone, Debug, Default)]
pub struct Days {
    day: Option<u64>,
}

impl Days {
    /// That what is of the same day goes without saying: for what happens now. `time` is since the Unix epoch.
    pub fn since(time: Duration) -> Self {
        Self { day: u64::try_from(time.as_nanos()).ok().map(|nanos| nanos / DAY) }
    }

    /// What stands before the line of something that happened then, nanoseconds since the epoch: the date, if it is another than that of the
    /// line before. Nobody knows that of an event without a time.
    pub fn turn(&mut self, time: u64) -> Option<Date> {
        let day = time / DAY;
        if time == 0 || self.day == Some(day) {
            return None;
        }
        self.day = Some(day);
        Some(Date(day))
    }
}

/// `=== 2025-07-01 UTC ===`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Date(u64);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DATE: usize = "2025-07-01".len();
        let text = Rfc3339::from_nanos(self.0.saturating_mul(DAY)).to_string();
        write!(f, "=== {} UTC ===", text.get(..DATE).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2025-07-01T23:59:59Z
    const LATE: u64 = 1_751_414_399_000_000_000;
    const SECOND: u64 = 1_000_000_000;

    fn turns(mut days: Days, times: &[u64]) -> Vec<String> {
        times.iter().map(|time| days.turn(*time).map_or(String::new(), |date| date.to_string())).collect()
    }

    #[test]
    fn a_date_is_said_where_it_changes() {
        let first = "=== 2025-07-01 UTC ===";
        let second = "=== 2025-07-02 UTC ===";
        let times = [LATE, LATE + SECOND / 2, 0, LATE + SECOND, LATE + 2 * SECOND, LATE];
        assert_eq!(turns(Days::default(), &times), [first, "", "", second, "", first]);
        // of today nothing is said until it is over
        assert_eq!(turns(Days::since(Duration::from_nanos(LATE)), &times), ["", "", "", second, "", first]);
    }
}
