//! How different two distributions are.

/// Jensen and Shannon's divergence of two lists of counts, in bits: 0 is alike, 1 has nothing in common. Lists of nothing are alike.
pub fn jensen_shannon(one: &[f64], other: &[f64]) -> f64 {
    let (sum, other_sum) = (one.iter().sum::<f64>(), other.iter().sum::<f64>());
    if sum <= 0.0 || other_sum <= 0.0 {
        return 0.0;
    }
    let at = |list: &[f64], place: usize, sum: f64| list.get(place).copied().unwrap_or_default().max(0.0) / sum;
    let part = |p: f64, middle: f64| if p > 0.0 { p * (p / middle).log2() } else { 0.0 };
    let places = 0..one.len().max(other.len());
    let divergence: f64 = places
        .map(|place| {
            let (p, q) = (at(one, place, sum), at(other, place, other_sum));
            let middle = f64::midpoint(p, q);
            f64::midpoint(part(p, middle), part(q, middle))
        })
        .sum();
    divergence.clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alike_is_nothing_and_disjoint_is_one() {
        assert_eq!(jensen_shannon(&[1.0, 3.0], &[2.0, 6.0]), 0.0);
        assert!((jensen_shannon(&[1.0], &[0.0, 5.0]) - 1.0).abs() < 1e-12);
        // H(3/4, 1/4) - (H(1/2, 1/2) + H(1, 0)) / 2
        let entropy = -(0.75_f64 * 0.75_f64.log2() + 0.25 * 0.25_f64.log2());
        assert!((jensen_shannon(&[1.0, 1.0], &[1.0]) - (entropy - 0.5)).abs() < 1e-12);
        assert_eq!(jensen_shannon(&[], &[1.0]), 0.0);
    }
}
