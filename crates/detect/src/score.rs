//! How good the detectors are, by what is known to be true.
//!
//! What counts is what would have woken somebody. A truth is found by a finding of its detector about its node and entity that reaches the
//! severity of the truth (warn, unless it says otherwise) between begin and end, or up to a minute later. What was open before, or is milder,
//! finds nothing; so a detector that says a word of everything gains nothing by it. Several findings about one truth count once.
//!
//! A finding that reaches warn outside of every truth is a false alarm, however long it stays open. A finding about a whole (a range, the
//! node, the fleet) belongs to the truths about its parts: twelve peers that listen are one node with too many listeners. It does not find
//! them, though. Where only some detectors are looked at, only their findings are counted.

use std::collections::BTreeMap;

use event::{EntityKind, Event, Finding, Severity};

use crate::finding::Statement;
use crate::of;
use crate::time::{MINUTE, SECOND, seconds};

/// What a detector should find.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Truth {
    /// `D39`.
    pub detector: String,
    /// Name of the node.
    pub node: String,
    /// In the word of the schema: `node`, `peer`, …
    pub entity_kind: String,
    /// The address of a peer with its port, a range, the name of a source; empty for the node itself, and where any will do.
    pub entity: String,
    /// When it begins, nanoseconds since the epoch.
    pub begin: u64,
    /// When it is over.
    pub end: u64,
    /// The mildest that finds it: warn, but for what is meant as information.
    pub severity: Severity,
}

/// A finding from its opening to its end.
#[derive(Clone, PartialEq, Debug)]
pub struct Found {
    /// Name of the node.
    pub node: String,
    /// As it was last told.
    pub finding: Finding,
    /// When it was opened.
    pub opened: u64,
    /// When it was told for the first time that it is so severe, the mildest first.
    reached: Vec<(i32, u64)>,
}

/// What a run of the detectors came to, per detector.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Score {
    /// By number of the detector.
    pub tallies: BTreeMap<String, Tally>,
}

/// What a detector found and what not.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Tally {
    /// Truths there were.
    pub truths: u64,
    /// Truths that were found.
    pub found: u64,
    /// Findings of severity warn or worse.
    pub alarms: u64,
    /// Of those, how many belong to no truth.
    pub false_alarms: u64,
    /// Findings of severity info.
    pub infos: u64,
    /// Times from the beginning of a truth to the moment that its finding was severe enough, nanoseconds, sorted.
    pub delays: Vec<u64>,
}

/// A finding is still about a truth that was over so long ago.
const GRACE: u64 = MINUTE;
/// A truth may begin so much later than its finding: times of labels are rounded, and clocks differ.
const EARLY: u64 = 2 * SECOND;

/// Puts together what was told of each finding, by the time of opening.
pub fn found(statements: impl IntoIterator<Item = Statement>) -> Vec<Found> {
    let mut all: Vec<Found> = Vec::new();
    let mut places: BTreeMap<(String, String), usize> = BTreeMap::new();
    for Statement { time, node, kind, .. } in statements {
        let event = Event { kind: Some(kind), ..Event::default() };
        let Some(finding) = of(&event).cloned() else { continue };
        let place = *places.entry((node.to_string(), finding.id.clone())).or_insert_with(|| {
            let opened = finding.opened;
            all.push(Found { node: node.to_string(), finding: finding.clone(), opened, reached: Vec::new() });
            all.len() - 1
        });
        let Found { reached, finding: latest, .. } = &mut all[place];
        if reached.last().is_none_or(|(severity, _)| *severity < finding.severity) {
            reached.push((finding.severity, time));
        }
        *latest = finding;
    }
    all
}

/// Compares what was found with what is true. With `only`, other detectors are left out.
pub fn score(found: &[Found], truths: &[Truth], only: Option<&str>) -> Score {
    let mut score = Score::default();
    let wanted = |detector: &str| only.is_none_or(|only| only == detector);
    for truth in truths.iter().filter(|truth| wanted(&truth.detector)) {
        let tally = score.tallies.entry(truth.detector.clone()).or_default();
        tally.truths += 1;
        let finding = found.iter().filter(|found| found.is_about(truth, truth.severity));
        if let Some(told) = finding.filter_map(|found| found.told(truth.severity)).min() {
            tally.found += 1;
            tally.delays.push(told.saturating_sub(truth.begin));
        }
    }
    for one in found.iter().filter(|found| wanted(&found.finding.detector)) {
        let tally = score.tallies.entry(one.finding.detector.clone()).or_default();
        if one.told(Severity::Warn).is_none() {
            tally.infos += 1;
            continue;
        }
        tally.alarms += 1;
        let belongs = |truth: &Truth| one.is_about(truth, Severity::Warn) || one.is_about_all_of(truth);
        tally.false_alarms += u64::from(!truths.iter().any(belongs));
    }
    for tally in score.tallies.values_mut() {
        tally.delays.sort_unstable();
    }
    score
}

impl Found {
    /// When it was told that it is at least so severe; absent if it never was.
    pub fn told(&self, severity: Severity) -> Option<u64> {
        self.reached.iter().find(|(reached, _)| *reached >= severity as i32).map(|(_, time)| *time)
    }

    /// Whether it reached this severity at the truth's time, about the truth's entity.
    fn is_about(&self, truth: &Truth, severity: Severity) -> bool {
        let Some(entity) = &self.finding.entity else { return false };
        let kind = EntityKind::try_from(entity.kind).unwrap_or_default();
        let same = truth.entity.is_empty()
            || match kind {
                EntityKind::Node => true,
                EntityKind::Peer | EntityKind::Address | EntityKind::Range => entity.address == truth.entity,
                _ => entity.name == truth.entity,
            };
        self.is_then(truth, severity) && self.node == truth.node && kind.word() == truth.entity_kind && same
    }

    /// Whether it is about something that the truth's entity is a part of.
    fn is_about_all_of(&self, truth: &Truth) -> bool {
        let kind = self.finding.entity.as_ref().map_or(EntityKind::Unspecified, event::FindingEntity::kind);
        let whole = match kind {
            EntityKind::Fleet => true,
            EntityKind::Node => self.node == truth.node,
            EntityKind::Range => self.node == truth.node && truth.entity_kind == EntityKind::Peer.word(),
            _ => false,
        };
        whole && self.is_then(truth, Severity::Warn)
    }

    /// Of the same detector, at the same time.
    fn is_then(&self, truth: &Truth, severity: Severity) -> bool {
        let then = truth.begin.saturating_sub(EARLY)..=truth.end.saturating_add(GRACE);
        self.finding.detector == truth.detector && self.told(severity).is_some_and(|told| then.contains(&told))
    }
}

impl Score {
    /// Adds another run.
    pub fn add(&mut self, other: &Self) {
        for (detector, theirs) in &other.tallies {
            let mine = self.tallies.entry(detector.clone()).or_default();
            mine.truths += theirs.truths;
            mine.found += theirs.found;
            mine.alarms += theirs.alarms;
            mine.false_alarms += theirs.false_alarms;
            mine.infos += theirs.infos;
            mine.delays.extend(&theirs.delays);
            mine.delays.sort_unstable();
        }
    }

    /// Everything together.
    pub fn total(&self) -> Tally {
        let mut all = Self::default();
        for tally in self.tallies.values() {
            all.add(&Self { tallies: [(String::new(), tally.clone())].into() });
        }
        all.tallies.remove("").unwrap_or_default()
    }

    /// A table for people.
    pub fn table(&self) -> String {
        let mut text =
            String::from("| detector | truths | precision | recall | F1 | false alarms | time to detect: median | longest |\n");
        text.push_str("|---|---|---|---|---|---|---|---|\n");
        let total = self.total();
        for (detector, tally) in self.tallies.iter().map(|(name, tally)| (name.as_str(), tally)).chain([("all", &total)]) {
            let number = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.3}"));
            let delay = |value: Option<u64>| value.map_or("–".to_owned(), |nanos| format!("{:.1} s", seconds(nanos)));
            let Tally { truths, false_alarms, delays, .. } = tally;
            text.push_str(&format!(
                "| {detector} | {truths} | {} | {} | {} | {false_alarms} | {} | {} |\n",
                number(tally.precision()),
                number(tally.recall()),
                number(tally.f1()),
                delay(delays.get(delays.len() / 2).copied()),
                delay(delays.last().copied()),
            ));
        }
        text
    }
}

impl Tally {
    /// Share of the alarms that are right; absent without alarms.
    pub fn precision(&self) -> Option<f64> {
        (self.alarms > 0).then(|| 1.0 - self.false_alarms as f64 / self.alarms as f64)
    }

    /// Share of the truths that were found; absent without truths.
    pub fn recall(&self) -> Option<f64> {
        (self.truths > 0).then(|| self.found as f64 / self.truths as f64)
    }

    /// The harmonic mean of both; absent where either is.
    pub fn f1(&self) -> Option<f64> {
        let (precision, recall) = (self.precision()?, self.recall()?);
        Some(if precision + recall > 0.0 { 2.0 * precision * recall / (precision + recall) } else { 0.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SECOND;
    use event::{FindingCleared, FindingEntity, FindingOpened, FindingUpdated, Kind};
    use expect_test::expect;

    fn told(detector: &str, id: &str, severity: Severity, from: u64, to: u64) -> [Statement; 2] {
        let finding = Finding {
            detector: detector.into(),
            id: id.into(),
            entity: Some(FindingEntity { kind: EntityKind::Node.into(), ..FindingEntity::default() }),
            severity: severity.into(),
            opened: from * SECOND,
            ..Finding::default()
        };
        let statement = |time: u64, kind| Statement { time: time * SECOND, node: "alice".into(), node_run: None, kind };
        let finding = Some(finding);
        [statement(from, FindingOpened { finding: finding.clone() }.into()), statement(to, FindingCleared { finding }.into())]
    }

    fn truth(detector: &str, begin: u64, end: u64) -> Truth {
        let (begin, end) = (begin * SECOND, end * SECOND);
        let (node, entity_kind, severity) = ("alice".into(), "node".into(), Severity::Warn);
        Truth { detector: detector.into(), node, entity_kind, entity: String::new(), begin, end, severity }
    }

    #[test]
    fn a_whole_belongs_to_its_parts_and_does_not_find_them() {
        let peer = |begin| Truth { entity_kind: "peer".into(), entity: "240.0.0.1:8333".into(), ..truth("D1", begin, begin + 100) };
        let told = told("D1", "a", Severity::Warn, 110, 150);
        let of = |begin| score(&found(told.clone()), &[peer(begin)], None).total();
        assert_eq!((of(100).found, of(100).false_alarms), (0, 0));
        assert_eq!((of(500).found, of(500).false_alarms), (0, 1));
    }

    /// Found, false alarms, delay in seconds.
    fn of(told: &[Statement], truth: Truth) -> (u64, u64, Option<u64>) {
        let Tally { found, false_alarms, delays, .. } = score(&found(told.to_vec()), &[truth], None).total();
        (found, false_alarms, delays.first().map(|nanos| nanos / SECOND))
    }

    #[test]
    fn what_wakes_nobody_finds_nothing() {
        let info = told("D1", "a", Severity::Info, 110, 150);
        assert_eq!(of(&info, truth("D1", 100, 200)), (0, 0, None));
        let informs = Truth { severity: Severity::Info, ..truth("D1", 100, 200) };
        assert_eq!(of(&info, informs.clone()), (1, 0, Some(10)));
        // worse will do
        assert_eq!(of(&told("D1", "a", Severity::Warn, 120, 150), informs), (1, 0, Some(20)));
    }

    #[test]
    fn what_was_open_before_finds_nothing() {
        let before = told("D1", "a", Severity::Warn, 90, 150);
        assert_eq!(of(&before, truth("D1", 100, 200)), (0, 1, None));
        // but for what clocks round
        assert_eq!(of(&before, truth("D1", 91, 200)), (1, 0, Some(0)));
    }

    #[test]
    fn a_finding_counts_from_when_it_was_severe() {
        let [opened, cleared] = told("D1", "a", Severity::Info, 90, 150);
        let finding = of_finding(&cleared.kind, Severity::Warn);
        let raised = Statement { time: 130 * SECOND, kind: FindingUpdated { finding }.into(), ..opened.clone() };
        assert_eq!(of(&[opened, raised, cleared], truth("D1", 100, 200)), (1, 0, Some(30)));
    }

    fn of_finding(kind: &Kind, severity: Severity) -> Option<Finding> {
        let event = Event { kind: Some(kind.clone()), ..Event::default() };
        crate::of(&event).map(|finding| Finding { severity: severity.into(), ..finding.clone() })
    }

    #[test]
    fn what_is_found_missed_and_cried() {
        let told = [
            told("D1", "a", Severity::Warn, 110, 150),
            // the same truth again
            told("D1", "b", Severity::Critical, 180, 190),
            // before it
            told("D1", "c", Severity::Warn, 10, 99),
            told("D1", "d", Severity::Info, 1000, 1001),
            told("D2", "e", Severity::Warn, 5000, 5001),
        ];
        let truths = [truth("D1", 100, 200), truth("D1", 3000, 3100), truth("D2", 4990, 4995)];
        let score = score(&found(told.into_iter().flatten()), &truths, None);
        expect![[r#"
            | detector | truths | precision | recall | F1 | false alarms | time to detect: median | longest |
            |---|---|---|---|---|---|---|---|
            | D1 | 2 | 0.667 | 0.500 | 0.571 | 1 | 10.0 s | 10.0 s |
            | D2 | 1 | 1.000 | 1.000 | 1.000 | 0 | 10.0 s | 10.0 s |
            | all | 3 | 0.750 | 0.667 | 0.706 | 1 | 10.0 s | 10.0 s |
        "#]]
        .assert_eq(&score.table());
    }
}
