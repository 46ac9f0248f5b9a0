//! Places in tables, keyed at random: what is looked up was chosen by strangers, who must not know which values meet at one place.

use std::hash::{BuildHasher as _, RandomState};

/// A random key.
#[derive(Clone)]
pub(crate) struct Seed([u64; 4]);

impl Default for Seed {
    fn default() -> Self {
        let state = RandomState::new();
        Self([1_u8, 2, 3, 4].map(|number| state.hash_one(number) | 1))
    }
}

impl Seed {
    /// Of a run of bytes: words of it are multiplied with words that nobody knows.
    #[inline]
    pub(crate) fn of_bytes(&self, bytes: &[u8]) -> u64 {
        let (pairs, rest) = bytes.as_chunks::<16>();
        let mut hash = self.0[0] ^ bytes.len() as u64;
        for pair in pairs {
            hash = self.pair(hash, pair);
        }
        if !rest.is_empty() {
            let mut pair = [0; 16];
            pair[..rest.len()].copy_from_slice(rest);
            hash = self.pair(hash, &pair);
        }
        fold(hash, self.0[3])
    }

    #[inline]
    fn pair(&self, hash: u64, pair: &[u8; 16]) -> u64 {
        let (words, _) = pair.as_chunks::<8>();
        fold(
            u64::from_le_bytes(words[0]) ^ hash,
            u64::from_le_bytes(words[1]) ^ self.0[1].wrapping_add(hash.rotate_left(17)) ^ self.0[2],
        )
    }

    #[inline]
    pub(crate) fn of_number(&self, number: u64) -> u64 {
        fold(number ^ self.0[0], self.0[1])
    }
}

const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}
