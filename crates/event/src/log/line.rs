//! The grammar of a line: what Bitcoin Core puts before a message.
//!
//! `[*] `? time? `[thread] `? `[file:line] [function] `? `[category:level] `? message, each part switched by an option of its own. A part
//! that is not there leaves no trace, so the first bracket is told apart by what is in it and by what follows. Two names remain that are
//! both a thread's and a category's, `net` and `http`; alone before a message they are what the lines before had there.

use super::category::{Category, is_thread};
use crate::LogLevel;

/// A line in its parts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line<'a> {
    /// While it was written, lines of some source location were being suppressed.
    pub suppressing: bool,
    /// Nanoseconds since the Unix epoch. Absent with `-logtimestamps=0`, and in further lines of a message.
    pub time: Option<u64>,
    /// The mocked clock (`-mocktime`), nanoseconds since the Unix epoch.
    pub mocktime: Option<u64>,
    /// `msghand`; with `-logthreadnames`.
    pub thread: Option<&'a [u8]>,
    /// With `-logsourcelocations`.
    pub source: Option<SourceLocation<'a>>,
    /// [`Category::NONE`] for lines that are always written.
    pub category: Category,
    /// Stated, or implied.
    pub level: LogLevel,
    /// The rest.
    pub message: &'a [u8],
}

/// Where in Bitcoin Core a line comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SourceLocation<'a> {
    /// `net.cpp:1234`
    pub place: &'a [u8],
    /// A function's name, or its whole signature (29.1 to 30).
    pub function: &'a [u8],
}

/// Takes a line, without its line feed, apart. Never fails: what has no part is all message.
pub fn split(line: &[u8]) -> Line<'_> {
    Splitter::default().split(line)
}

/// Splits lines of one log, and knows from the ones before what the next one means.
#[derive(Clone, Default, Debug)]
pub(super) struct Splitter {
    clock: Clock,
    /// Whether lines begin with the name of a thread, as far as the lines so far tell.
    pub(super) threads: bool,
}

impl Splitter {
    pub(super) fn split<'a>(&mut self, line: &'a [u8]) -> Line<'a> {
        let (suppressing, rest) = match line.strip_prefix(b"[*] ") {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let (time, mocktime, rest) = self.times(rest);
        let mut line = Line {
            suppressing,
            time,
            mocktime,
            thread: None,
            source: None,
            category: Category::NONE,
            level: LogLevel::Info,
            message: rest,
        };
        if rest.first() == Some(&b'[') {
            self.brackets(&mut line);
        } else if time.is_some() {
            self.threads = false;
        }
        line
    }

    fn times<'a>(&mut self, line: &'a [u8]) -> (Option<u64>, Option<u64>, &'a [u8]) {
        let Some((time, length)) = self.clock.read(line) else { return (None, None, line) };
        match &line[length..] {
            [] => (Some(time), None, &[]),
            [b' ', rest @ ..] => {
                let mocked = rest.strip_prefix(b"(mocktime: ").and_then(|rest| {
                    let (mocktime, length) = stamp(rest)?;
                    Some((mocktime, rest[length..].strip_prefix(b") ")?))
                });
                match mocked {
                    Some((mocktime, rest)) => (Some(time), Some(mocktime), rest),
                    None => (Some(time), None, rest),
                }
            }
            // a time, but not as Bitcoin Core writes it
            _ => (None, None, line),
        }
    }

    fn brackets<'a>(&mut self, line: &mut Line<'a>) {
        let Some((first, after)) = bracket(line.message) else { return };
        let stated = category_and_level(first);
        let ambiguous = is_thread(first);
        if is_place(first) || (stated.is_some() && !ambiguous) {
            self.threads = false;
        } else {
            // a category or a place behind it settles it; else it is a name that only threads have, or what it was in the lines before
            let followed = bracket(after).is_some_and(|(second, _)| is_place(second) || category_and_level(second).is_some());
            let word = !first.contains(&b' ');
            let is_thread = followed || (ambiguous && stated.is_none()) || (self.threads && (word || ambiguous));
            if is_thread {
                self.threads = true;
                line.thread = Some(first);
                line.message = after;
            } else if stated.is_none() {
                return;
            }
        }
        self.place(line);
        if let Some((stated, after)) = bracket(line.message)
            && let Some((category, level)) = category_and_level(stated)
        {
            (line.category, line.level, line.message) = (category, level, after);
        }
    }

    fn place<'a>(&self, line: &mut Line<'a>) {
        if let Some((place, after)) = bracket(line.message)
            && is_place(place)
            && let Some((function, after)) = nested_bracket(after)
        {
            line.source = Some(SourceLocation { place, function });
            line.message = after;
        }
    }
}

/// The longest name of a thread, category or place; functions may be longer.
const LONGEST_NAME: usize = 128;

/// The longest signature of a function: templates make them long.
const LONGEST_FUNCTION: usize = 4096;

/// What stands in the bracket that `text` begins with, and what comes after it and a space.
fn bracket(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let inner = text.strip_prefix(b"[")?;
    let window = &inner[..inner.len().min(LONGEST_NAME)];
    let end = window.iter().position(|c| *c == b']')?;
    Some((&inner[..end], inner[end + 1..].strip_prefix(b" ")?))
}

/// Likewise where brackets may stand in the bracket.
fn nested_bracket(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let inner = text.strip_prefix(b"[")?;
    let mut depth = 1;
    for (at, c) in inner.iter().enumerate().take(LONGEST_FUNCTION) {
        match c {
            b'[' => depth += 1,
            b']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((&inner[..at], inner[at + 1..].strip_prefix(b" ")?));
        }
    }
    None
}

/// `net_processing.cpp:1234`
fn is_place(text: &[u8]) -> bool {
    let digits = text.iter().rev().take_while(|c| c.is_ascii_digit()).count();
    digits > 0 && text[..text.len() - digits].ends_with(b":") && text[..text.len() - digits].contains(&b'.')
}

/// `net`, `net:trace`, `warning`
fn category_and_level(text: &[u8]) -> Option<(Category, LogLevel)> {
    if let Some(category) = Category::from_name(text) {
        return (text != b"all").then_some((category, LogLevel::Debug));
    }
    match text.iter().position(|c| *c == b':') {
        Some(colon) => Some((Category::from_name(&text[..colon])?, level(&text[colon + 1..])?)),
        None => Some((Category::NONE, level(text)?)),
    }
}

fn level(text: &[u8]) -> Option<LogLevel> {
    Some(match text {
        b"trace" => LogLevel::Trace,
        b"debug" => LogLevel::Debug,
        b"info" => LogLevel::Info,
        b"warning" => LogLevel::Warning,
        b"error" => LogLevel::Error,
        _ => return None,
    })
}

/// `2025-11-05T12:34:56`
const TO_SECONDS: usize = 19;

/// Reads times; consecutive lines share their second, so it is worked out once.
#[derive(Clone, Default, Debug)]
struct Clock {
    text: [u8; TO_SECONDS],
    nanos: u64,
}

impl Clock {
    /// The time that `line` begins with, and its length.
    fn read(&mut self, line: &[u8]) -> Option<(u64, usize)> {
        let (text, rest) = line.split_first_chunk::<TO_SECONDS>()?;
        if !same(text, &self.text) {
            self.nanos = seconds(text)? * 1_000_000_000;
            self.text = *text;
        }
        let (fraction, length) = fraction(rest)?;
        Some((self.nanos + fraction, TO_SECONDS + length))
    }
}

/// Whether two times are the same; this happens once per line, and two numbers are compared faster than 19 bytes.
fn same(a: &[u8; TO_SECONDS], b: &[u8; TO_SECONDS]) -> bool {
    let parts = |text: &[u8; TO_SECONDS]| Some((text.first_chunk::<16>().copied()?, text.last_chunk::<8>().copied()?));
    let numbers = |text| parts(text).map(|(first, last)| (u128::from_le_bytes(first), u64::from_le_bytes(last)));
    numbers(a) == numbers(b)
}

/// A time as Bitcoin Core writes it, in nanoseconds since the Unix epoch, and its length.
pub(super) fn stamp(text: &[u8]) -> Option<(u64, usize)> {
    Clock::default().read(text)
}

/// `Z` or `.123456Z`, in nanoseconds.
fn fraction(text: &[u8]) -> Option<(u64, usize)> {
    match text {
        [b'Z', ..] => Some((0, 1)),
        [b'.', digits @ ..] => {
            let (digits, rest) = digits.split_first_chunk::<6>()?;
            (rest.first() == Some(&b'Z')).then_some(())?;
            let micros = digits.iter().try_fold(0, |sum, c| c.is_ascii_digit().then(|| sum * 10 + u64::from(c - b'0')))?;
            Some((micros * 1000, 8))
        }
        _ => None,
    }
}

/// Seconds since the Unix epoch of a time from 1970 to 2261, where nanoseconds end to fit.
fn seconds(text: &[u8; TO_SECONDS]) -> Option<u64> {
    const FORM: &[u8; TO_SECONDS] = b"0000-00-00T00:00:00";
    let fits = text.iter().zip(FORM).all(|(c, form)| if *form == b'0' { c.is_ascii_digit() } else { c == form });
    fits.then_some(())?;
    let number = |at: usize, digits: usize| text[at..at + digits].iter().fold(0, |sum, c| sum * 10 + u64::from(c - b'0'));
    let (year, month, day) = (number(0, 4), number(5, 2), number(8, 2));
    let (hour, minute, second) = (number(11, 2), number(14, 2), number(17, 2));
    // 60 is a leap second
    let sane = (1970..=2261).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60;
    (sane && second <= 60).then_some(())?;
    // years that begin in March have their leap day last
    let (shifted_year, shifted_month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        365 * shifted_year + shifted_year / 4 - shifted_year / 100 + shifted_year / 400 + (153 * shifted_month + 2) / 5 + day - 1;
    // 1970-01-01, counted the same way
    const EPOCH: u64 = 719_468;
    Some((days - EPOCH) * 86_400 + hour * 3600 + minute * 60 + second)
}
