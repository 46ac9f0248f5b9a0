//! Slow drifts that no single value shows.

use serde::{Deserialize, Serialize};

/// The cumulative sum of deviations upwards (Page 1954). Give it negated values for a drift downwards.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Cusum {
    sum: f64,
}

impl Cusum {
    /// Half a standard deviation is let pass each time.
    const SLACK: f64 = 0.5;

    /// Adds a value against what is usual; gives the sum, which is an alarm above 5.
    pub fn add(&mut self, value: f64, usual: f64, deviation: f64) -> f64 {
        let step = (value - usual) / deviation.max(f64::MIN_POSITIVE) - Self::SLACK;
        if step.is_finite() {
            self.sum = (self.sum + step).max(0.0);
        }
        self.sum
    }

    /// The sum.
    pub fn get(&self) -> f64 {
        self.sum
    }

    /// The alarm is over.
    pub fn reset(&mut self) {
        self.sum = 0.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drift_adds_up_and_noise_does_not() {
        let mut drift = Cusum::default();
        assert!((0..9).all(|_| drift.add(1.0, 0.0, 1.0) < 5.0));
        assert!((0..2).map(|_| drift.add(1.0, 0.0, 1.0)).last() > Some(5.0));
        drift.reset();
        assert!((0..1000).all(|n| drift.add(f64::from(n % 2), 0.5, 1.0) < 1.0));
        assert_eq!(drift.add(f64::NAN, 0.0, 1.0), drift.get());
    }
}
