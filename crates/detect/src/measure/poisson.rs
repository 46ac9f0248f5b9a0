//! How surprising a count is, when events come by chance.

/// `-log10 P(X >= n)` for a Poisson distribution with this mean: 4 is one chance in ten thousand.
pub fn surprise(n: u64, mean: f64) -> f64 {
    if n == 0 || mean.is_nan() {
        return 0.0;
    }
    if mean <= 0.0 {
        return f64::INFINITY;
    }
    let count = n as f64;
    if count <= mean {
        // at most a few tenths; the sum from below
        let below: f64 = (0..n.min(100_000)).map(|k| (log_probability(k as f64, mean)).exp()).sum();
        return -(1.0 - below).max(f64::MIN_POSITIVE).log10();
    }
    // terms from `n` on shrink by more than `mean / n` each
    let (mut tail, mut term, mut k) = (1.0, 1.0, count);
    while term > 1e-12 * tail && k < count + 100_000.0 {
        k += 1.0;
        term *= mean / k;
        tail += term;
    }
    -(log_probability(count, mean) + f64::ln(tail)) / std::f64::consts::LN_10
}

fn log_probability(k: f64, mean: f64) -> f64 {
    k * mean.ln() - mean - log_factorial(k)
}

/// Stirling's series; below 16 the product itself.
fn log_factorial(k: f64) -> f64 {
    if k < 16.0 {
        return (2..=k as u32).map(|n| f64::from(n).ln()).sum();
    }
    let tail = 1.0 / (12.0 * k) - 1.0 / (360.0 * k.powi(3));
    k * k.ln() - k + 0.5 * (std::f64::consts::TAU * k).ln() + tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(n: u64, mean: f64, expect: f64) {
        let got = surprise(n, mean);
        assert!((got - expect).abs() < 1e-6 * expect.max(1.0), "{got} instead of {expect}");
    }

    #[test]
    fn tails_are_those_of_the_distribution() {
        check(0, 3.0, 0.0);
        check(1, 1.0, -(1.0 - f64::exp(-1.0)).log10());
        // P(X >= 3) for a mean of 1: 1 - e^-1 (1 + 1 + 1/2)
        check(3, 1.0, -(1.0 - 2.5 * f64::exp(-1.0)).log10());
        // P(X >= 2) for a mean of 5
        check(2, 5.0, -(1.0 - 6.0 * f64::exp(-5.0)).log10());
        assert!(surprise(40, 3.0) > 28.0 && surprise(1_000_000, 1.0).is_finite());
        assert_eq!(surprise(1, 0.0), f64::INFINITY);
    }

    proptest::proptest! {
        #[test]
        fn more_is_more_surprising(n in 1_u64..500, mean in 0.01_f64..300.0) {
            proptest::prop_assert!(surprise(n + 1, mean) >= surprise(n, mean) - 1e-9);
        }
    }
}
