//! An event's bytes, taken apart without knowing its types: what is to be put into columns.

use std::ops::Range;

use super::layout::{LAYOUT, Type};

/// What stands at one place of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum What {
    /// A number.
    Varint(u64),
    /// Eight bytes.
    Fixed8(u64),
    /// Four bytes.
    Fixed4(u32),
    /// A run of bytes: where it is.
    Bytes { start: u32, length: u32 },
    /// A message of the schema; its tokens, so many, follow.
    Message { tokens: u32, part: u32 },
    /// A list of numbers in one run of bytes; so many tokens follow, with the key of the list.
    Packed { count: u32, fixed: bool },
}

/// A field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    /// Number and wire type, as on the wire.
    pub(crate) key: u32,
    pub(crate) what: What,
}

/// No message of the schema lies deeper in another one; what does is kept as bytes.
const MAX_DEPTH: u32 = 16;

/// The envelope of an event, and its kind's message as tokens.
#[derive(Debug)]
pub(crate) struct Parsed {
    /// Fields 1 to 4.
    pub(crate) prefix: Range<usize>,
    pub(crate) sequence: u64,
    pub(crate) time: u64,
    /// Fields 7 to 99.
    pub(crate) suffix: Range<usize>,
    /// Number of the kind.
    pub(crate) kind: Option<u32>,
}

/// Takes an event apart. `None` for bytes that would not come out the same: no protobuf, or not written as every encoder writes it
/// (fields by number, numbers as short as they can be, zeros left out). Such an event is kept as it is.
pub(crate) fn parse(event: &[u8], tokens: &mut Vec<Token>) -> Option<Parsed> {
    tokens.clear();
    let mut at = 0;
    let mut parsed = Parsed { prefix: 0..0, sequence: 0, time: 0, suffix: 0..0, kind: None };
    let mut last = 0;
    while at < event.len() {
        let start = at;
        let key = key(event, &mut at)?;
        let number = key >> 3;
        if number < last {
            return None;
        }
        match number {
            5 | 6 => {
                let value = if key & 7 == 0 { varint(event, &mut at)? } else { return None };
                if value == 0 || number == last {
                    return None;
                }
                if number == 5 {
                    parsed.sequence = value;
                } else {
                    parsed.time = value;
                }
            }
            1..100 => {
                skip(event, &mut at, key)?;
                let range = if number < 5 { &mut parsed.prefix } else { &mut parsed.suffix };
                *range = if range.start == range.end { start..at } else { range.start..at };
            }
            _ => {
                let length = if key & 7 == 2 { length(event, &mut at)? } else { return None };
                // one kind, and nothing behind it
                if at + length != event.len() {
                    return None;
                }
                let part = LAYOUT.kind(number);
                message(event, &mut at, event.len(), part, 0, tokens)?;
                parsed.kind = Some(number);
            }
        }
        last = number;
    }
    Some(parsed)
}

fn message(bytes: &[u8], at: &mut usize, end: usize, part: Option<usize>, depth: u32, out: &mut Vec<Token>) -> Option<()> {
    let part = part.map(|part| LAYOUT.part(part));
    while *at < end {
        let key = key(bytes, at)?;
        let what = match key & 7 {
            0 => What::Varint(varint(bytes, at)?),
            1 => What::Fixed8(u64::from_le_bytes(fixed(bytes, at)?)),
            5 => What::Fixed4(u32::from_le_bytes(fixed(bytes, at)?)),
            2 => {
                let length = length(bytes, at)?;
                let (start, stop) = (*at, *at + length);
                *at = stop;
                if stop > end {
                    return None;
                }
                let kind = part.and_then(|part| part.field(key >> 3)).map_or(Type::Single, |field| field.kind);
                match kind {
                    Type::Message(inner) if depth < MAX_DEPTH => {
                        let place = out.len();
                        out.push(Token { key, what: What::Message { tokens: 0, part: inner as u32 } });
                        message(bytes, &mut { start }, stop, Some(inner), depth + 1, out)?;
                        let tokens = u32::try_from(out.len() - place - 1).ok()?;
                        out[place].what = What::Message { tokens, part: inner as u32 };
                        continue;
                    }
                    Type::Varints | Type::Fixed => {
                        packed(bytes, start..stop, key, kind == Type::Fixed, out)?;
                        continue;
                    }
                    _ => What::Bytes { start: u32::try_from(start).ok()?, length: u32::try_from(length).ok()? },
                }
            }
            _ => return None,
        };
        out.push(Token { key, what });
    }
    (*at == end).then_some(())
}

fn packed(bytes: &[u8], range: Range<usize>, key: u32, fixed: bool, out: &mut Vec<Token>) -> Option<()> {
    let place = out.len();
    out.push(Token { key, what: What::Packed { count: 0, fixed } });
    let mut at = range.start;
    while at < range.end {
        let what = if fixed {
            What::Fixed8(u64::from_le_bytes(self::fixed(bytes, &mut at)?))
        } else {
            What::Varint(varint(bytes, &mut at)?)
        };
        out.push(Token { key, what });
    }
    out[place].what = What::Packed { count: u32::try_from(out.len() - place - 1).ok()?, fixed };
    (at == range.end).then_some(())
}

fn key(bytes: &[u8], at: &mut usize) -> Option<u32> {
    u32::try_from(varint(bytes, at)?).ok().filter(|key| key >> 3 > 0)
}

fn length(bytes: &[u8], at: &mut usize) -> Option<usize> {
    let length = usize::try_from(varint(bytes, at)?).ok()?;
    (length <= bytes.len() - *at).then_some(length)
}

fn skip(bytes: &[u8], at: &mut usize, key: u32) -> Option<()> {
    match key & 7 {
        0 => {
            varint(bytes, at)?;
        }
        1 => {
            fixed::<8>(bytes, at)?;
        }
        2 => *at += length(bytes, at)?,
        5 => {
            fixed::<4>(bytes, at)?;
        }
        _ => return None,
    }
    Some(())
}

fn fixed<const N: usize>(bytes: &[u8], at: &mut usize) -> Option<[u8; N]> {
    let value = bytes.get(*at..)?.first_chunk()?;
    *at += N;
    Some(*value)
}

/// A number that is written as short as it can be.
#[inline]
fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        value |= bits << shift;
        if byte < 0x80 {
            return (byte != 0 || shift == 0).then_some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(bytes: &[u8]) -> bool {
        parse(bytes, &mut Vec::new()).is_some()
    }

    #[test]
    fn what_would_not_come_out_the_same_is_refused() {
        // sequence 5, time 6
        assert!(accepted(&[0x28, 5, 0x30, 6]));
        for (bytes, why) in [
            (&[0x28, 0x85, 0x00][..], "a number that is longer than it need be"),
            (&[0x28, 0][..], "a zero that is written"),
            (&[0x30, 6, 0x28, 5][..], "fields out of order"),
            (&[0x28, 5, 0x28, 5][..], "a field twice"),
            (&[0xea, 0x06, 0][..].repeat(2)[..], "two kinds"),
            (&[0xea, 0x06, 1, 0x08][..], "a kind that is no message"),
            (&[0x28, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f][..], "a number beyond 64 bits"),
            (&[0x03][..], "field 0"),
        ] {
            assert!(!accepted(bytes), "{why}");
        }
    }
}
