//! Numbers and bytes, one after another: reading them off a slice, and appending them.

use super::Damage;

/// Reads from the front of a slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl<'a> Cursor<'a> {
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Damage> {
        // most numbers are small
        match self.0 {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.0 = rest;
                Ok(u64::from(*byte))
            }
            _ => prost::encoding::decode_varint(&mut self.0).map_err(|_| Damage("a number ends too early")),
        }
    }

    /// A number that is used as an index or a length.
    pub(crate) fn length(&mut self) -> Result<usize, Damage> {
        usize::try_from(self.varint()?).map_err(|_| Damage("a length that no memory has"))
    }

    /// How many of something follow that takes at least one byte each: what is reserved for them is never more than their bytes allow.
    pub(crate) fn count(&mut self) -> Result<usize, Damage> {
        let count = self.length()?;
        if count > self.0.len() { Err(Damage("a count of more than there is")) } else { Ok(count) }
    }

    pub(crate) fn number(&mut self) -> Result<u32, Damage> {
        u32::try_from(self.varint()?).map_err(|_| Damage("a number that is too large"))
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Damage> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Damage("bytes end too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Damage("bytes end too early"))?;
        self.0 = rest;
        Ok(*taken)
    }

    /// Bytes with their length before them.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Damage> {
        let length = self.length()?;
        self.take(length)
    }

    pub(crate) fn text(&mut self) -> Result<String, Damage> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| Damage("text that is no text"))
    }

    pub(crate) fn end(&self) -> Result<(), Damage> {
        if self.0.is_empty() { Ok(()) } else { Err(Damage("more than there should be")) }
    }
}

#[inline]
pub(crate) fn put(out: &mut Vec<u8>, value: u64) {
    if value < 0x80 { out.push(value as u8) } else { put_long(out, value) }
}

/// In one piece: there is room to be made only once.
fn put_long(out: &mut Vec<u8>, mut value: u64) {
    let mut bytes = [0; 10];
    let mut length = 0;
    while value >= 0x80 {
        bytes[length] = value as u8 | 0x80;
        value >>= 7;
        length += 1;
    }
    bytes[length] = value as u8;
    out.extend_from_slice(&bytes[..=length]);
}

/// How many bytes [`put`] appends.
#[inline]
pub(crate) const fn varint_length(value: u64) -> usize {
    prost::encoding::encoded_len_varint(value)
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Small numbers for small differences, in either direction.
#[inline]
pub(crate) const fn zigzag(difference: u64) -> u64 {
    (difference << 1) ^ (((difference as i64) >> 63) as u64)
}

/// The difference that [`zigzag`] made this of.
#[inline]
pub(crate) const fn unzigzag(value: u64) -> u64 {
    (value >> 1) ^ (value & 1).wrapping_neg()
}

/// CRC-32 (IEEE), as zip and Ethernet have it.
pub fn checksum(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_survive() {
        for difference in [0, 1, u64::MAX, 1 << 63, (1 << 63) - 1, 12345, 12345_u64.wrapping_neg()] {
            assert_eq!(unzigzag(zigzag(difference)), difference);
        }
        assert_eq!((zigzag(0), zigzag(u64::MAX), zigzag(1)), (0, 1, 2));
    }

    #[test]
    fn numbers_survive() {
        let mut bytes = Vec::new();
        let numbers = [0, 1, 127, 128, 300, u64::MAX];
        numbers.iter().for_each(|number| put(&mut bytes, *number));
        let mut cursor = Cursor(&bytes);
        assert_eq!(numbers.map(|_| cursor.varint().unwrap()), numbers);
        assert!(cursor.end().is_ok() && cursor.varint().is_err());
    }
}
