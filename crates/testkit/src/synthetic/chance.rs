//! What chance decides: distributions over the one stream of numbers that a seed gives.

use crate::cast::Random;

impl Random {
    /// Evenly from 0 up to, but not including, 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Evenly from 0 up to, but not including, `limit`; 0 where that is 0.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        // multiply-shift: its bias is 2⁻⁶⁴ times the limit, far below what anybody could see here
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }

    /// Evenly between two numbers.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// True in `share` of all cases.
    pub(crate) fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// The wait for something that happens every `mean` on average, and whose past does not matter.
    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// How often something happens that happens `mean` times on average.
    pub(crate) fn poisson(&mut self, mean: f64) -> u64 {
        if mean > 50.0 {
            // the sum of two uniforms spreads widely enough for a count that is never looked at alone
            let spread = (self.unit() + self.unit() - 1.0) * mean.sqrt() * 2.4;
            return (mean + spread).round().max(0.0) as u64;
        }
        let limit = (-mean).exp();
        let (mut count, mut product) = (0, self.unit());
        while product > limit {
            count += 1;
            product *= self.unit();
        }
        count
    }

    /// One of several; `None` of nothing.
    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len() as u64) as usize)
    }

    /// An index, in proportion to the weights.
    pub(crate) fn weighted(&mut self, weights: impl Iterator<Item = u32> + Clone) -> usize {
        let total: u64 = weights.clone().map(u64::from).sum();
        let mut left = self.below(total);
        for (index, weight) in weights.enumerate() {
            if left < u64::from(weight) {
                return index;
            }
            left -= u64::from(weight);
        }
        0
    }
}

/// Spreads a number over 64 bits: what has a name of its own without being remembered (the end of SplitMix64).
pub(crate) fn mix(number: u64) -> u64 {
    let z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// 32 bytes that stand for the hash of something.
pub(crate) fn hash(of: u64, what: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (index, part) in bytes.chunks_exact_mut(8).enumerate() {
        part.copy_from_slice(&mix(of ^ mix(what.wrapping_mul(5).wrapping_add(index as u64))).to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean of many draws, which has to lie within a hundredth of what was asked for.
    #[track_caller]
    fn check_mean(expected: f64, mut draw: impl FnMut(&mut Random) -> f64) {
        let mut random = Random::new(7);
        let mean = (0..200_000).map(|_| draw(&mut random)).sum::<f64>() / 200_000.0;
        assert!((mean - expected).abs() < expected * 0.01, "{mean} is not {expected}");
    }

    #[test]
    fn distributions_have_their_means() {
        check_mean(600.0, |random| random.exponential(600.0));
        check_mean(3.0, |random| random.poisson(3.0) as f64);
        check_mean(400.0, |random| random.poisson(400.0) as f64);
        check_mean(0.25, |random| f64::from(u8::from(random.chance(0.25))));
        check_mean(4.5, |random| random.below(10) as f64);
        check_mean(1.75, |random| random.weighted([1, 0, 7].into_iter()) as f64);
    }
}
