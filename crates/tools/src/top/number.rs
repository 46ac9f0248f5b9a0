//! Numbers as people read them: short, of a known width, with their unit. What is absent is `–`.

/// What stands for a value that nobody stated.
pub const ABSENT: &str = "–";

/// At most five characters: `0`, `0.3`, `999`, `1.2k`, `340M`.
pub fn count(value: f64) -> String {
    match value {
        0.0 => "0".into(),
        value if !value.is_finite() || value < 0.0 => ABSENT.into(),
        value if value < 9.95 && (value.fract() > 0.05 && value.fract() < 0.95) => format!("{value:.1}"),
        value if value < 999.5 => format!("{value:.0}"),
        value => scaled(value),
    }
}

/// As [`count`], with a unit after the prefix: `1.2 kB`, `17 B`.
pub fn bytes(value: f64) -> String {
    let text = match value {
        value if (0.0..0.5).contains(&value) => "0".into(),
        value if (0.5..999.5).contains(&value) => format!("{value:.0}"),
        value => count(value),
    };
    match text.strip_suffix(|last: char| last.is_ascii_alphabetic()) {
        Some(number) => format!("{number} {}B", &text[number.len()..]),
        None if text == ABSENT => text,
        None => format!("{text} B"),
    }
}

/// One to three digits and the prefix of a power of 1000.
fn scaled(value: f64) -> String {
    const PREFIXES: [char; 6] = ['k', 'M', 'G', 'T', 'P', 'E'];
    let mut value = value / 1000.0;
    for prefix in PREFIXES {
        if value < 9.95 {
            return format!("{value:.1}{prefix}");
        }
        if value < 999.5 {
            return format!("{value:.0}{prefix}");
        }
        value /= 1000.0;
    }
    ">999E".into()
}

/// A short span, from seconds: `85 µs`, `1.2 ms`, `340 ms`, `4.0 s`, `12 s`, then as [`age`].
pub fn duration(seconds: f64) -> String {
    match seconds {
        value if !value.is_finite() || value < 0.0 => ABSENT.into(),
        value if value < 999.5e-6 => format!("{:.0} µs", value * 1e6),
        value if value < 9.95e-3 => format!("{:.1} ms", value * 1e3),
        value if value < 0.9995 => format!("{:.0} ms", value * 1e3),
        value if value < 9.95 => format!("{value:.1} s"),
        value if value < 99.5 => format!("{value:.0} s"),
        value => age(value as u64),
    }
}

/// A long span, at most six characters: `59s`, `12m03`, `3h20`, `12d`.
pub fn age(seconds: u64) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match seconds {
        0..MINUTE => format!("{seconds}s"),
        MINUTE..HOUR => format!("{}m{:02}", seconds / MINUTE, seconds % MINUTE),
        HOUR..DAY => format!("{}h{:02}", seconds / HOUR, seconds % HOUR / MINUTE),
        days => match days / DAY {
            days @ 0..1000 => format!("{days}d"),
            days @ 1000..365_000 => format!("{}y", days / 365),
            _ => ">999y".into(),
        },
    }
}

/// With blanks between groups of three digits: `1 234 567`.
pub fn whole(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Satoshi per virtual byte, from satoshi per 1000: `1.00`, `0.1`, `12.5`.
pub fn feerate(per_1000: i64) -> String {
    let value = per_1000 as f64 / 1000.0;
    if value < 100.0 { format!("{value:.2}") } else { count(value) }
}

/// Text that somebody else chose, for a table: visible ASCII, a dot for anything else, so that it takes as many cells as it has characters and
/// moves nothing. At most `width`, with a `~` where it was cut.
pub fn plain(text: &str, width: usize) -> String {
    let visible = |letter: char| if letter == ' ' || letter.is_ascii_graphic() { letter } else { '·' };
    let mut letters = text.chars();
    let mut plain: String = letters.by_ref().take(width).map(visible).collect();
    if letters.next().is_some() && plain.pop().is_some() {
        plain.push('~');
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.04, "0"),
            (0.3, "0.3"),
            (1.0, "1"),
            (1.5, "1.5"),
            (9.96, "10"),
            (12.4, "12"),
            (999.4, "999"),
            (999.6, "1.0k"),
            (12_345.0, "12k"),
            (999_500.0, "1.0M"),
            (3.4e8, "340M"),
            (f64::MAX, ">999E"),
            (f64::NAN, "–"),
            (-1.0, "–"),
        ] {
            assert_eq!(count(value), text, "{value}");
        }
        assert_eq!([0.0, 0.7, 17.0, 1234.0, 5e6, f64::NAN].map(bytes), ["0 B", "1 B", "17 B", "1.2 kB", "5.0 MB", "–"]);
    }

    #[test]
    fn spans_are_short() {
        let shown = [0.0, 85e-6, 0.001_24, 0.34, 0.9996, 4.0, 12.3, 300.0, -1.0].map(duration);
        assert_eq!(shown, ["0 µs", "85 µs", "1.2 ms", "340 ms", "1.0 s", "4.0 s", "12 s", "5m00", "–"]);
        let shown = [0, 59, 60, 723, 3600, 12_000, 86_400, 86_400 * 1000].map(age);
        assert_eq!(shown, ["0s", "59s", "1m00", "12m03", "1h00", "3h20", "1d", "2y"]);
    }

    #[test]
    fn digits_stand_in_groups() {
        assert_eq!([0, 999, 1000, 1_234_567].map(whole), ["0", "999", "1 000", "1 234 567"]);
        assert_eq!([0, 100, 1000, 12_500, 123_456].map(feerate), ["0.00", "0.10", "1.00", "12.50", "123"]);
    }

    #[test]
    fn a_strangers_text_is_harmless() {
        assert_eq!(plain("/Satoshi:31.0.0/", 20), "/Satoshi:31.0.0/");
        assert_eq!(plain("/Satoshi:31.0.0/", 9), "/Satoshi~");
        assert_eq!(plain("a\u{1b}[2Jb\n漢\u{202e}é", 20), "a·[2Jb····");
        assert_eq!(plain("abc", 0), "");
    }

    proptest::proptest! {
        #[test]
        fn nothing_is_wider_than_its_column(value: f64, seconds: u64, text: String) {
            let width = |text: String| text.chars().count();
            assert!(width(count(value)) <= 5, "{}", count(value));
            assert!(width(bytes(value)) <= 7, "{}", bytes(value));
            assert!(width(duration(value)) <= 6, "{}", duration(value));
            assert!(width(age(seconds)) <= 6, "{}", age(seconds));
            assert!(width(plain(&text, 9)) <= 9);
        }
    }
}
