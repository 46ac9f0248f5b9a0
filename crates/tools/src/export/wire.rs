//! Protobuf as it is written: tags, numbers, lengths. It reads what this program's encoder writes, and says of everything else that it is
//! another form, so that whoever reads can have the event written anew.

use super::table::Coding;

/// Not as the encoder writes it: fields in another order or twice, another type, or no protobuf at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Odd;

/// A value on the wire.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Raw<'a> {
    Number(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    /// Four bytes: the schema has no such field, a later one may.
    Other,
}

/// Reads the fields of a message one after another.
#[derive(Clone, Copy)]
pub(super) struct Message<'a>(pub &'a [u8]);

impl<'a> Message<'a> {
    /// The next field: number and value.
    // inlined, since what it returns is otherwise written in pieces and read as a whole, which stalls: a tenth of an export
    #[inline(always)]
    pub fn next(&mut self) -> Result<Option<(u32, Raw<'a>)>, Odd> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = varint(&mut self.0)?;
        let number = u32::try_from(tag >> 3).map_err(|_| Odd)?;
        let value = match tag & 7 {
            0 => Raw::Number(varint(&mut self.0)?),
            1 => Raw::Fixed64(fixed64(&mut self.0)?),
            2 => {
                let length = usize::try_from(varint(&mut self.0)?).map_err(|_| Odd)?;
                let (bytes, rest) = self.0.split_at_checked(length).ok_or(Odd)?;
                self.0 = rest;
                Raw::Bytes(bytes)
            }
            5 => {
                self.0 = self.0.get(4..).ok_or(Odd)?;
                Raw::Other
            }
            _ => return Err(Odd),
        };
        Ok(Some((number, value)))
    }
}

/// The elements of a packed list of numbers.
pub(super) struct Packed<'a>(pub &'a [u8], pub Coding);

impl Iterator for Packed<'_> {
    type Item = Result<u64, Odd>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let read = if self.1 == Coding::Fixed64 { fixed64(&mut self.0) } else { varint(&mut self.0) };
        if read.is_err() {
            self.0 = &[];
        }
        Some(read.map(|number| decoded(number, self.1)))
    }
}

/// A number as its coding has it.
#[inline]
pub(super) fn decoded(number: u64, coding: Coding) -> u64 {
    match coding {
        Coding::ZigZag => (number >> 1) ^ (number & 1).wrapping_neg(),
        _ => number,
    }
}

#[inline]
fn varint(bytes: &mut &[u8]) -> Result<u64, Odd> {
    let mut number = 0;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if *byte < 0x80 {
            *bytes = &bytes[at + 1..];
            return Ok(number);
        }
    }
    Err(Odd)
}

fn fixed64(bytes: &mut &[u8]) -> Result<u64, Odd> {
    let (number, rest) = bytes.split_first_chunk().ok_or(Odd)?;
    *bytes = rest;
    Ok(u64::from_le_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_are_written() {
        let read = |mut bytes: &[u8]| varint(&mut bytes).map(|number| (number, bytes.len()));
        assert_eq!(read(&[0x96, 0x01, 7]), Ok((150, 1)));
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]), Ok((u64::MAX, 0)));
        assert_eq!(read(&[0x80; 11]), Err(Odd));
        assert_eq!(read(&[0x80]), Err(Odd));
        assert_eq!([0, 1, 2, 3].map(|number| decoded(number, Coding::ZigZag) as i64), [0, -1, 1, -2]);
        assert_eq!(Packed(&[1, 0x96, 0x01], Coding::Varint).collect::<Result<Vec<_>, _>>(), Ok(vec![1, 150]));
    }

    #[test]
    fn a_field_that_is_cut_is_odd() {
        assert_eq!(Message(&[0x0a, 5, 1]).next(), Err(Odd));
        assert_eq!(Message(&[0x0d, 5, 1]).next(), Err(Odd));
        assert_eq!(Message(&[0x0b]).next(), Err(Odd), "groups are of another time");
        assert_eq!(Message(&[0x0a, 1, 9]).next(), Ok(Some((1, Raw::Bytes(&[9])))));
    }
}
