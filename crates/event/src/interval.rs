//! Lengths of time as people write them.

use std::time::Duration;

/// Longest first, as `ms` also ends in `s`.
const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
const LONGEST: Duration = Duration::from_hours(24);

/// Reads `10s`, `500ms`, `2m` or `1h`: more than nothing, and at most a day.
///
/// # Errors
///
/// A sentence that says how it is written.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no length of time: write it as `10s`, `500ms`, `2m` or `1h`");
    let (digits, millis) = UNITS.iter().find_map(|(unit, millis)| Some((text.strip_suffix(unit)?, millis))).ok_or_else(wrong)?;
    let number: u64 = digits.trim_end().parse().map_err(|_| wrong())?;
    let length = number.checked_mul(*millis).map(Duration::from_millis);
    length
        .filter(|length| !length.is_zero() && *length <= LONGEST)
        .ok_or_else(|| format!("`{text}` is not between `1ms` and `24h`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read() {
        for (text, millis) in [("10s", 10_000), ("500ms", 500), ("2m", 120_000), ("24h", 86_400_000), ("1 s", 1_000)] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "10", "-1s", "1.5s", "0s", "25h", "99999999999999999999s", "9999999999999999h", "10 sec"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
