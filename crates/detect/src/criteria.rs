//! Several criteria of one entity, weighed together.

use event::{FindingInput, Severity};

use crate::Judgement;
use crate::finding::input;

/// A value and what it is compared with. It is met above the threshold, and over below half of it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Criterion {
    /// As the input of a finding is called.
    pub name: &'static str,
    /// Absent where it is not known.
    pub value: Option<f64>,
    /// As in the table of thresholds.
    pub unit: &'static str,
    /// Above this it is a warning.
    pub warn: f64,
    /// Above this it is critical; infinite where it never is.
    pub critical: f64,
}

/// What criteria come to together.
#[derive(Clone, PartialEq, Debug)]
pub struct Weighed {
    /// The worst of them.
    pub judgement: Judgement,
    /// How often the strongest exceeds its threshold.
    pub score: f64,
    /// Which is the strongest.
    pub name: &'static str,
    /// All that are known, the strongest first.
    pub inputs: Vec<FindingInput>,
}

/// Weighs criteria. With none that is known the judgement is [`Judgement::Unknown`].
pub fn weigh(criteria: &[Criterion]) -> Weighed {
    let score = |one: &Criterion| {
        one.value.map(|value| {
            if one.warn > 0.0 {
                value / one.warn
            } else if value > 0.0 {
                f64::MAX
            } else {
                0.0
            }
        })
    };
    let mut known: Vec<(f64, &Criterion, f64)> = criteria.iter().filter_map(|one| Some((score(one)?, one, one.value?))).collect();
    known.sort_by(|a, b| b.0.total_cmp(&a.0));
    let judgement = match known.first() {
        None => Judgement::Unknown,
        Some(_) if known.iter().any(|(_, one, value)| *value > one.critical) => Judgement::Fires(Severity::Critical),
        Some((score, ..)) if *score > 1.0 => Judgement::Fires(Severity::Warn),
        Some((score, ..)) if *score > 0.5 => Judgement::Holds,
        Some(_) => Judgement::Clear,
    };
    Weighed {
        judgement,
        score: known.first().map_or(0.0, |(score, ..)| *score),
        name: known.first().map_or("", |(_, one, _)| one.name),
        inputs: known.iter().map(|(_, one, value)| input(one.name, *value, one.unit, one.warn)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: [Option<f64>; 2], expect: Judgement) {
        let of = |name, value| Criterion { name, value, unit: "", warn: 10.0, critical: 20.0 };
        assert_eq!(weigh(&[of("a", values[0]), of("b", values[1])]).judgement, expect);
    }

    #[test]
    fn the_worst_counts() {
        check([None, None], Judgement::Unknown);
        check([Some(5.0), None], Judgement::Clear);
        check([Some(0.0), Some(5.1)], Judgement::Holds);
        check([Some(10.0), Some(10.1)], Judgement::Fires(Severity::Warn));
        check([Some(20.1), Some(10.1)], Judgement::Fires(Severity::Critical));
    }
}
