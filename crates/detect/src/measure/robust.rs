//! How far a value is from what is usual, when a few values may be anything.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Median and median absolute deviation of the last values.
///
/// An attacker who raises values slowly raises what is usual: half of the window has to be his for that. Choose a window that is long
/// against what should be noticed, and do not add values while an alarm lasts.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Robust {
    values: VecDeque<f64>,
    /// Values kept.
    most: usize,
    /// Fewer say nothing: the warm-up.
    enough: usize,
}

impl Robust {
    /// Of the last `most` values, of which `enough` have to be there.
    pub fn new(most: usize, enough: usize) -> Self {
        Self { values: VecDeque::new(), most: most.max(1), enough: enough.max(1) }
    }

    /// Adds a value; what is no number is left out.
    pub fn add(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        if self.values.len() >= self.most {
            self.values.pop_front();
        }
        self.values.push_back(value);
    }

    /// The median; absent before the warm-up is over.
    pub fn median(&self) -> Option<f64> {
        (self.values.len() >= self.enough).then(|| median(self.values.iter().copied().collect()))
    }

    /// Deviations from the median in units of a normal distribution's standard deviation; absent before the warm-up is over.
    ///
    /// `least` is the smallest deviation that is taken for one unit: values that are all alike make everything else infinitely unusual.
    pub fn z(&self, value: f64, least: f64) -> Option<f64> {
        let middle = self.median()?;
        let deviation = median(self.values.iter().map(|known| (known - middle).abs()).collect());
        // of a normal distribution the median absolute deviation is so much smaller than the standard deviation
        const NORMAL: f64 = 1.4826;
        Some((value - middle) / (NORMAL * deviation).max(least))
    }

    /// Whether there are so many values, or as many as are kept: where the warm-up is an operator's to choose.
    pub fn has(&self, enough: f64) -> bool {
        self.values.len() as f64 >= enough.min(self.most as f64)
    }

    /// How many values there are, and how many are enough: how far the warm-up is.
    pub fn warm_up(&self) -> (usize, usize) {
        (self.values.len(), self.enough)
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    quantile(&mut values, 0.5)
}

/// The value below which this share of the values lies, between neighbours in proportion; 0 of none. Sorts them.
pub fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = share.clamp(0.0, 1.0) * values.len().saturating_sub(1) as f64;
    let (lower, part) = (place.floor(), place.fract());
    let at = |place: f64| values.get(place as usize).or(values.last()).copied().unwrap_or(0.0);
    if part == 0.0 { at(lower) } else { at(lower) * (1.0 - part) + at(lower + 1.0) * part }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outliers_do_not_move_it() {
        let mut robust = Robust::new(100, 10);
        (0..9).for_each(|n| robust.add(f64::from(n)));
        assert_eq!(robust.z(5.0, 0.1), None, "still warming up");
        robust.add(1e12);
        robust.add(f64::NAN);
        assert_eq!(robust.median(), Some(4.5));
        // deviations 0.5, 0.5, 1.5, …: their median is 2.5
        assert!((robust.z(4.5 + 1.4826 * 2.5, 0.1).unwrap() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn values_that_are_all_alike_have_a_least_deviation() {
        let mut robust = Robust::new(10, 3);
        (0..20).for_each(|_| robust.add(7.0));
        assert_eq!(robust.z(9.0, 1.0), Some(2.0));
        assert_eq!(robust.warm_up(), (10, 3));
    }
}
