//! Hashes as text: half of what a log of transactions consists of.

use bytes::Bytes;

/// What a digit is worth; 255 for what is no digit.
const VALUES: [u8; 256] = {
    let mut values = [255; 256];
    let mut digit = 0;
    while digit < 16 {
        let c = b"0123456789abcdef"[digit];
        values[c as usize] = digit as u8;
        values[c.to_ascii_uppercase() as usize] = digit as u8;
        digit += 1;
    }
    values
};

/// A hash in display order, as the bytes in internal order.
pub(super) fn hash(text: &[u8]) -> Option<Bytes> {
    let text: &[u8; 64] = text.try_into().ok()?;
    let mut hash = [0; 32];
    let mut wrong = 0;
    for (byte, pair) in hash.iter_mut().rev().zip(text.chunks_exact(2)) {
        let (high, low) = (VALUES[pair[0] as usize], VALUES[pair[1] as usize]);
        wrong |= high | low;
        *byte = (high << 4) | (low & 15);
    }
    // digits are below 16
    (wrong < 16).then(|| Bytes::copy_from_slice(&hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_read_as_everywhere_else() {
        let text = "00000000000000000001D4e9cbb37bb3a3c7e0ee6ff8a1cf2c2a1a0bcdef0123";
        assert_eq!(hash(text.as_bytes()), crate::text::parse_hash(text));
        assert!(hash(text.as_bytes()).is_some());
        for at in 0..64 {
            let mut wrong = text.as_bytes().to_vec();
            wrong[at] = b'g';
            assert_eq!(hash(&wrong), None, "{at}");
        }
        assert_eq!(hash(&text.as_bytes()[1..]), None);
    }
}
