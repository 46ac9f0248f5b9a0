//! Sizes and ages as people write them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A number of bytes: `64MiB`, `500GB`, `4096`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Size(pub u64);

/// Longest first, as all end in `B`. The first of a size is what it is written in.
const SIZES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unit = SIZES.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
        let (digits, bytes) = unit.unwrap_or((text, 1));
        let number: u64 = digits.trim_end().parse().map_err(|_| format!("`{text}` is no size: write it as `64MiB` or `500GB`"))?;
        number.checked_mul(bytes).map(Self).ok_or_else(|| format!("`{text}` is too much"))
    }
}

/// As a person reads it: `1.4 GB`.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SIZES[4..].iter().find(|(_, bytes)| self.0 >= *bytes) {
            Some((unit, bytes)) if *bytes > 1 => write!(f, "{:.1} {unit}", self.0 as f64 / *bytes as f64),
            _ => write!(f, "{} B", self.0),
        }
    }
}

/// So many of something: `1 file`, `2 files`.
pub fn counted(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

/// A length of time of more than nothing: `90d`, `12h`, `30m`, `10s`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Age(pub Duration);

const AGES: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

impl FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no length of time: write it as `90d`, `12h`, `30m` or `10s`");
        let (digits, seconds) =
            AGES.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds))).ok_or_else(wrong)?;
        let number: u64 = digits.trim_end().parse().map_err(|_| wrong())?;
        number
            .checked_mul(*seconds)
            .filter(|seconds| *seconds > 0)
            .map(|seconds| Self(Duration::from_secs(seconds)))
            .ok_or_else(wrong)
    }
}

/// In the largest unit of which there are at least two: `90 days`, `36 hours`.
impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let words = ["days", "hours", "minutes"];
        match AGES.iter().map(|(_, seconds)| *seconds).zip(words).find(|(unit, _)| seconds >= 2 * unit) {
            Some((unit, word)) => write!(f, "{} {word}", seconds / unit),
            None => f.write_str(&counted(seconds, "second", "seconds")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes, shown) in [
            ("64MiB", 64 << 20, "67.1 MB"),
            ("500GB", 500_000_000_000, "500.0 GB"),
            ("3", 3, "3 B"),
            ("1kB", 1000, "1.0 kB"),
            ("0B", 0, "0 B"),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
            assert_eq!(Size(bytes).to_string(), shown);
        }
        for text in ["", "MiB", "8 megs", "-1", "1.5MiB", "99999999999GiB"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    #[test]
    fn ages_are_read_and_written() {
        for (text, seconds, shown) in
            [("90d", 7_776_000, "90 days"), ("1d", 86_400, "24 hours"), ("100s", 100, "100 seconds"), ("1s", 1, "1 second")]
        {
            assert_eq!(text.parse(), Ok(Age(Duration::from_secs(seconds))), "{text}");
            assert_eq!(Age(Duration::from_secs(seconds)).to_string(), shown);
        }
        for text in ["", "d", "10", "0d", "-1d", "1.5h", "99999999999999999999d"] {
            assert!(text.parse::<Age>().is_err(), "{text}");
        }
    }
}
