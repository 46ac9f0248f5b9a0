//! One statement's text with typed gaps, compiled once.
//!
//! `{peer:n}` is a gap named `peer`. Types: `n` digits, `i` digits with a sign, `f` a decimal number, `h` a hash, `x` hex digits, `w` up
//! to a space or the next letter of the text, `s` anything up to where the text goes on for the first time, `t` up to where it does so
//! for the last time and the rest fits. At the end `s` and `t` take the rest. `{ip}` is the peer's address, with `-logips`; `{as}` its
//! autonomous system;
//! `{D}` is how most disconnections end. A space stands for one or more.
//!
//! A line must fit from its first to its last byte. What a peer chose stands in gaps of type `t`, and never before the statement's first
//! words, so no choice of it makes another statement of a line.

use bytes::Bytes;
use memchr::{memchr, memrchr};

use super::hex;

/// The most gaps that a statement has.
const GAPS: usize = 16;

/// In how many places the end of a gap is looked for. A line that was made to hold many of them is none of ours.
const TRIES: usize = 8;

/// The longest text that is kept of a line.
pub(super) const MAX_TEXT: usize = 1024;

/// A compiled text.
#[derive(Debug)]
pub(super) struct Pattern {
    parts: Box<[Part]>,
    /// Of the gaps, in order.
    names: Box<[Box<str>]>,
}

#[derive(Debug)]
enum Part {
    Text(Box<[u8]>),
    /// With the text that ends it.
    Gap(Type, Option<Box<[u8]>>),
    /// ` peeraddr=…` or `, peeraddr=…`, or nothing.
    Address(Option<Box<[u8]>>),
    /// `, mapped_as=…`, or nothing.
    MappedAs,
}

#[derive(Clone, Copy, Debug)]
enum Type {
    Number,
    Signed,
    Decimal,
    Hash,
    Hex,
    Word,
    First,
    Last,
}

impl Pattern {
    /// Compiles a text.
    ///
    /// # Panics
    ///
    /// Where it is not well formed: texts are constants of this crate, and a test compiles them all.
    pub(super) fn new(text: &str) -> Self {
        let text = text.replace("{D}", "disconnecting peer={peer:n}{ip}");
        let (mut parts, mut names) = (Vec::new(), Vec::<Box<str>>::new());
        let mut rest = text.as_str();
        while let Some((before, from)) = rest.split_once('{') {
            add_text(&mut parts, before);
            let (gap, after) = from.split_once('}').unwrap_or_else(|| panic!("{text}: a gap does not end"));
            let (name, part) = match gap {
                "ip" => (gap, Part::Address(None)),
                "as" => (gap, Part::MappedAs),
                _ => {
                    let (name, of) = gap.split_once(':').unwrap_or_else(|| panic!("{text}: a gap is a name, a colon and a type"));
                    let of = Type::from_letter(of).unwrap_or_else(|| panic!("{text}: no such type of gap: {of}"));
                    (name, Part::Gap(of, None))
                }
            };
            names.push(name.into());
            parts.push(part);
            rest = after;
        }
        add_text(&mut parts, rest);
        assert!(names.len() <= GAPS, "{text}: too many gaps");
        Self { parts: parts.into(), names: names.into() }
    }

    /// The text before the first gap.
    pub(super) fn start(&self) -> &[u8] {
        match self.parts.first() {
            Some(Part::Text(text)) => text,
            _ => &[],
        }
    }

    /// What stands in the gaps, if `message` fits.
    pub(super) fn fit<'p, 'a>(&'p self, message: &'a [u8]) -> Option<Gaps<'p, 'a>> {
        let mut gaps = Gaps { names: &self.names, values: [None; GAPS] };
        rest_fits(&self.parts, message, &mut gaps.values).then_some(gaps)
    }
}

/// Whether the rest of a message is these parts; puts into `values` what stands in their gaps.
fn rest_fits<'a>(parts: &[Part], mut rest: &'a [u8], mut values: &mut [Option<&'a [u8]>]) -> bool {
    for (place, part) in parts.iter().enumerate() {
        let length = match part {
            Part::Text(text) => {
                // text that somebody chose may be empty: a space that follows is not part of ours then
                let free = matches!(parts.get(place + 1), Some(Part::Gap(Type::First | Type::Last, _)));
                let Some(length) = fitting(rest, text, free) else { return false };
                rest = &rest[length..];
                continue;
            }
            Part::Gap(Type::Last, Some(next)) => {
                // from the last place where the text goes on to the one before, until what follows fits as well
                let mut end = rest.len();
                for _ in 0..TRIES {
                    let Some(found) = find_last(&rest[..end], rest, next) else { return false };
                    values[0] = Some(&rest[..found]);
                    if rest_fits(&parts[place + 1..], &rest[found..], &mut values[1..]) {
                        return true;
                    }
                    end = found;
                }
                return false;
            }
            Part::Gap(of, next) => {
                let Some(length) = of.extent(rest, next.as_deref()) else { return false };
                Some(length)
            }
            Part::Address(next) => {
                let start =
                    [&b" peeraddr="[..], b", peeraddr="].into_iter().find(|start| rest.starts_with(start)).map_or(0, <[u8]>::len);
                rest = &rest[start..];
                let mapped = || find(rest, b", mapped_as=");
                let end = || next.as_deref().and_then(|next| find(rest, next)).or_else(mapped).unwrap_or(rest.len());
                (start > 0).then(end)
            }
            Part::MappedAs => match rest.strip_prefix(b", mapped_as=") {
                Some(number) => {
                    rest = number;
                    Type::Number.extent(rest, None)
                }
                None => None,
            },
        };
        if let Some(length) = length {
            values[0] = Some(&rest[..length]);
            rest = &rest[length..];
        }
        values = &mut values[1..];
    }
    rest.is_empty()
}

/// Puts a text behind the parts so far; the gap before is told where it ends.
fn add_text(parts: &mut Vec<Part>, text: &str) {
    if text.is_empty() {
        return;
    }
    if let Some(Part::Gap(_, next) | Part::Address(next)) = parts.last_mut() {
        *next = Some(text.as_bytes().into());
    }
    parts.push(Part::Text(text.as_bytes().into()));
}

impl Type {
    fn from_letter(letter: &str) -> Option<Self> {
        Some(match letter {
            "n" => Self::Number,
            "i" => Self::Signed,
            "f" => Self::Decimal,
            "h" => Self::Hash,
            "x" => Self::Hex,
            "w" => Self::Word,
            "s" => Self::First,
            "t" => Self::Last,
            _ => return None,
        })
    }

    /// How much of `rest` belongs to a gap of this type.
    fn extent(self, rest: &[u8], next: Option<&[u8]>) -> Option<usize> {
        let run = |fits: fn(&u8) -> bool| rest.iter().position(|c| !fits(c)).unwrap_or(rest.len());
        let length = match self {
            Self::Number => run(u8::is_ascii_digit),
            Self::Signed => {
                let sign = usize::from(matches!(rest.first(), Some(b'+' | b'-')));
                let digits = rest[sign..].iter().position(|c| !c.is_ascii_digit()).unwrap_or(rest.len() - sign);
                if digits == 0 { 0 } else { sign + digits }
            }
            Self::Decimal => run(|c| matches!(c, b'0'..=b'9' | b'.' | b'-')),
            Self::Hex => run(u8::is_ascii_hexdigit),
            // whether these are digits is found out when they are read
            Self::Hash => 64.min(rest.len()),
            Self::Word => {
                let ends = |c: &u8| *c == b' ' || next.is_some_and(|next| *c == next[0]);
                rest.iter().position(ends).unwrap_or(rest.len())
            }
            Self::First => return next.map_or(Some(rest.len()), |next| find(rest, next)),
            // one that something follows is tried in several places, see `rest_fits`
            Self::Last => return Some(rest.len()),
        };
        (length > 0).then_some(length)
    }
}

/// How much of `rest` is `text`, where a space stands for one or more; but for the last, if anything may follow it.
fn fitting(rest: &[u8], text: &[u8], free: bool) -> Option<usize> {
    if rest.starts_with(text) && (free || !text.ends_with(b" ") || rest.get(text.len()) != Some(&b' ')) {
        return Some(text.len());
    }
    let mut at = 0;
    for c in text {
        (rest.get(at) == Some(c)).then_some(())?;
        at += 1;
        if *c == b' ' {
            at += rest[at..].iter().take_while(|c| **c == b' ').count();
        }
    }
    Some(at)
}

/// Where `text` first stands.
fn find(rest: &[u8], text: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        from += memchr(text[0], &rest[from..])?;
        if fitting(&rest[from..], text, true).is_some() {
            return Some(from);
        }
        from += 1;
    }
}

/// Where `text` last begins within `window`, the beginning of `rest`.
fn find_last(window: &[u8], rest: &[u8], text: &[u8]) -> Option<usize> {
    let mut to = window.len();
    loop {
        to = memrchr(text[0], &window[..to])?;
        if fitting(&rest[to..], text, true).is_some() {
            return Some(to);
        }
    }
}

/// What stands in the gaps of a line.
#[derive(Debug)]
pub(super) struct Gaps<'p, 'a> {
    names: &'p [Box<str>],
    values: [Option<&'a [u8]>; GAPS],
}

impl<'a> Gaps<'_, 'a> {
    /// As it stands in the line; nothing where the pattern has no such gap.
    pub(super) fn raw(&self, name: &str) -> Option<&'a [u8]> {
        let at = self.names.iter().position(|known| **known == *name)?;
        self.values[at]
    }

    /// A number that must be there, and within the range of its type.
    pub(super) fn number<T: TryFrom<u64>>(&self, name: &str) -> Option<T> {
        digits(self.raw(name)?)?.try_into().ok()
    }

    /// A number that may have a sign.
    pub(super) fn signed<T: TryFrom<i64>>(&self, name: &str) -> Option<T> {
        let text = self.raw(name)?;
        let negative = text.first() == Some(&b'-');
        let magnitude = i64::try_from(digits(text.strip_prefix(b"+").or(text.strip_prefix(b"-")).unwrap_or(text))?).ok()?;
        (if negative { -magnitude } else { magnitude }).try_into().ok()
    }

    /// A decimal number.
    pub(super) fn decimal(&self, name: &str) -> Option<f64> {
        std::str::from_utf8(self.raw(name)?).ok()?.parse().ok()
    }

    /// A decimal number times ten to the `places`, exactly; further digits are dropped.
    pub(super) fn scaled(&self, name: &str, places: u32) -> Option<u64> {
        let text = self.raw(name)?;
        let point = memchr(b'.', text).unwrap_or(text.len());
        let fraction = text.get(point + 1..).unwrap_or_default();
        let fraction = &fraction[..fraction.len().min(places as usize)];
        let whole = digits(&text[..point])?.checked_mul(10_u64.pow(places))?;
        let part = if fraction.is_empty() { 0 } else { digits(fraction)? };
        whole.checked_add(part * 10_u64.pow(places - fraction.len() as u32))
    }

    /// A hash, in internal order.
    pub(super) fn hash(&self, name: &str) -> Option<Bytes> {
        hex::hash(self.raw(name)?)
    }

    /// A number in hex.
    pub(super) fn hex(&self, name: &str) -> Option<u64> {
        u64::from_str_radix(std::str::from_utf8(self.raw(name)?).ok()?, 16).ok()
    }

    /// Text, up to [`MAX_TEXT`]; empty where there is none.
    pub(super) fn text(&self, name: &str) -> String {
        self.raw(name).map_or_else(String::new, |text| bounded(text, MAX_TEXT))
    }

    /// A word.
    pub(super) fn word(&self, name: &str) -> &'a str {
        self.raw(name).and_then(|word| std::str::from_utf8(word).ok()).unwrap_or_default()
    }

    /// The peer's id.
    pub(super) fn peer(&self) -> Option<u64> {
        self.number("peer")
    }

    /// The peer's address, where the line has it.
    pub(super) fn ip(&self) -> String {
        self.text("ip")
    }

    /// Whether the optional gap is filled, and then what is in it.
    pub(super) fn mapped_as(&self) -> Option<u32> {
        self.number("as")
    }
}

/// The beginning of a text, what is not UTF-8 replaced.
pub(super) fn bounded(text: &[u8], most: usize) -> String {
    let text = String::from_utf8_lossy(&text[..text.len().min(most)]);
    text.into_owned()
}

/// A number that is all digits.
fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 20 {
        return None;
    }
    text.iter().try_fold(0_u64, |sum, c| {
        let digit = c.wrapping_sub(b'0');
        (digit < 10).then_some(())?;
        sum.checked_mul(10)?.checked_add(digit.into())
    })
}
