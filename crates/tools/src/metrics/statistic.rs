//! A few numbers that say how many are distributed.

use super::table::Statistic;

/// The statistics of some values; absent where there are none.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Statistics([Option<f64>; 5]);

impl Statistics {
    /// Of these.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.retain(|value| value.is_finite());
        values.sort_unstable_by(f64::total_cmp);
        let count = values.len();
        let Some((first, last)) = values.first().zip(values.last()) else { return Self([None; 5]) };
        let median = (values[(count - 1) / 2] + values[count / 2]) / 2.0;
        let mean = values.iter().sum::<f64>() / count as f64;
        // the smallest value that nine in ten do not exceed
        let p90 = values[(count * 9).div_ceil(10) - 1];
        Self([Some(*first), Some(median), Some(mean), Some(p90), Some(*last)])
    }

    /// Each with its name.
    pub fn each(self) -> impl Iterator<Item = (Statistic, Option<f64>)> {
        Statistic::ALL.iter().copied().zip(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics() {
        let of = |values: &[f64]| Statistics::of(values.to_vec()).0;
        assert_eq!(of(&[]), [None; 5]);
        assert_eq!(of(&[f64::NAN]), [None; 5]);
        assert_eq!(of(&[3.0]), [Some(3.0); 5]);
        let ten: Vec<f64> = (1..=10).rev().map(f64::from).collect();
        assert_eq!(of(&ten), [1.0, 5.5, 5.5, 9.0, 10.0].map(Some));
    }
}
