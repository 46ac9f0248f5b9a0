//! Sizes as people write them.

use std::fmt;
use std::str::FromStr;

/// A number of bytes: `8MiB`, `512KiB`, `4096`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Size(pub u64);

const UNITS: [(&str, u32); 4] = [("GiB", 30), ("MiB", 20), ("KiB", 10), ("B", 0)];

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unit = UNITS.iter().find(|(unit, _)| text.ends_with(unit));
        let (digits, shift) = unit.map_or((text, 0), |(unit, shift)| (&text[..text.len() - unit.len()], *shift));
        let number: u64 = digits.trim().parse().map_err(|_| format!("`{text}` is no size: write it as `8MiB` or `512KiB`"))?;
        number.checked_mul(1 << shift).map(Self).ok_or_else(|| format!("`{text}` is too much"))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, shift) = UNITS.iter().find(|(_, shift)| self.0 > 0 && self.0.is_multiple_of(1 << shift)).unwrap_or(&UNITS[3]);
        write!(f, "{}{unit}", self.0 >> shift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes) in [("8MiB", 8 << 20), ("512KiB", 512 << 10), ("3B", 3), ("0B", 0), ("1025B", 1025), ("1GiB", 1 << 30)] {
            assert_eq!(text.parse(), Ok(Size(bytes)));
            assert_eq!(Size(bytes).to_string(), text);
        }
        assert_eq!("4096".parse(), Ok(Size(4096)));
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "MiB", "8 megs", "-1", "1.5MiB", "99999999999GiB"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }
}
