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
use crate::finding::of;
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
    /// It follows from another's deed: it may be found and need not be.
    pub consequence: bool,
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
    /// Of those, how many belong to a consequence only.
    pub consequences: u64,
    /// Findings of severity info.
    pub infos: u64,
    /// Times from the beginning of a truth to the moment that its finding was severe enough, nanoseconds, sorted.
    pub delays: Vec<u64>,
    /// Times from the beginning of a truth to the first finding about it, however mild, nanoseconds, sorted.
    pub first_words: Vec<u64>,
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
    for truth in truths.iter().filter(|truth| wanted(&truth.detector) && !truth.consequence) {
        let tally = score.tallies.entry(truth.detector.clone()).or_default();
        tally.truths += 1;
        let finding = found.iter().filter(|found| found.is_about(truth, truth.severity));
        if let Some(told) = finding.filter_map(|found| found.told(truth.severity)).min() {
            tally.found += 1;
            tally.delays.push(told.saturating_sub(truth.begin));
        }
        if let Some(word) = found.iter().filter_map(|found| found.first_word(truth)).min() {
            tally.first_words.push(word.saturating_sub(truth.begin));
        }
    }
    for one in found.iter().filter(|found| wanted(&found.finding.detector)) {
        let tally = score.tallies.entry(one.finding.detector.clone()).or_default();
        if one.told(Severity::Warn).is_none() {
            tally.infos += 1;
            continue;
        }
        tally.alarms += 1;
        let belongs = |truth: &&Truth| one.is_about(truth, Severity::Warn) || one.is_about_all_of(truth);
        let mut matching = truths.iter().filter(belongs).peekable();
        match matching.peek() {
            None => tally.false_alarms += 1,
            Some(_) => tally.consequences += u64::from(matching.all(|truth| truth.consequence)),
        }
    }
    for tally in score.tallies.values_mut() {
        tally.delays.sort_unstable();
        tally.first_words.sort_unstable();
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
        self.is_of(truth) && self.is_then(truth, severity)
    }

    /// When it was first told, however mildly, at the truth's time and about the truth's entity.
    fn first_word(&self, truth: &Truth) -> Option<u64> {
        let mut told = self.reached.iter().map(|(_, time)| *time);
        told.find(|time| self.is_of(truth) && truth.covers(*time))
    }

    /// Of the truth's detector, and about its entity.
    fn is_of(&self, truth: &Truth) -> bool {
        let Some(entity) = &self.finding.entity else { return false };
        let kind = EntityKind::try_from(entity.kind).unwrap_or_default();
        let same = truth.entity.is_empty()
            || match kind {
                EntityKind::Node => true,
                EntityKind::Peer | EntityKind::Address | EntityKind::Range => entity.address == truth.entity,
                _ => entity.name == truth.entity,
            };
        self.finding.detector == truth.detector && self.node == truth.node && kind.word() == truth.entity_kind && same
    }

    /// Whether it is about something that the truth's entity is a part of. A consequence excuses no more than it says, but for a fleet of which
    /// most have it (G8).
    fn is_about_all_of(&self, truth: &Truth) -> bool {
        let kind = self.finding.entity.as_ref().map_or(EntityKind::Unspecified, event::FindingEntity::kind);
        let whole = match kind {
            EntityKind::Fleet => true,
            _ if truth.consequence => false,
            EntityKind::Node => self.node == truth.node,
            EntityKind::Range => self.node == truth.node && truth.entity_kind == EntityKind::Peer.word(),
            _ => false,
        };
        whole && self.is_then(truth, Severity::Warn)
    }

    /// Of the same detector, at the same time.
    fn is_then(&self, truth: &Truth, severity: Severity) -> bool {
        self.finding.detector == truth.detector && self.told(severity).is_some_and(|told| truth.covers(told))
    }
}

impl Truth {
    /// Whether what is told then may be about it.
    fn covers(&self, time: u64) -> bool {
        (self.begin.saturating_sub(EARLY)..=self.end.saturating_add(GRACE)).contains(&time)
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
            mine.consequences += theirs.consequences;
            mine.infos += theirs.infos;
            mine.delays.extend(&theirs.delays);
            mine.delays.sort_unstable();
            mine.first_words.extend(&theirs.first_words);
            mine.first_words.sort_unstable();
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
        let mut text = String::from(
            "| detector | truths | precision | recall | F1 | false alarms | consequences | time to detect: median | longest | first word: \
             median | longest |\n",
        );
        text.push_str("|---|---|---|---|---|---|---|---|---|---|---|\n");
        let total = self.total();
        for (detector, tally) in self.tallies.iter().map(|(name, tally)| (name.as_str(), tally)).chain([("all", &total)]) {
            let number = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.3}"));
            let Tally { truths, false_alarms, consequences, delays, first_words, .. } = tally;
            let ([median, longest], [first, last]) = (times(delays), times(first_words));
            text.push_str(&format!(
                "| {detector} | {truths} | {} | {} | {} | {false_alarms} | {consequences} | {median} | {longest} | {first} | {last} |\n",
                number(tally.precision()),
                number(tally.recall()),
                number(tally.f1()),
            ));
        }
        text
    }
}

/// The median and the longest of sorted times, for people.
pub fn times(sorted: &[u64]) -> [String; 2] {
    [sorted.get(sorted.len() / 2), sorted.last()]
        .map(|value| value.map_or("–".to_owned(), |nanos| format!("{:.1} s", seconds(*nanos))))
}

impl Tally {
    /// Share of the alarms that are right, consequences left out; absent without others.
    pub fn precision(&self) -> Option<f64> {
        let judged = self.alarms - self.consequences;
        (judged > 0).then(|| 1.0 - self.false_alarms as f64 / judged as f64)
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
        Truth { detector: detector.into(), node, entity_kind, entity: String::new(), begin, end, severity, consequence: false }
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
    fn a_consequence_may_be_found_and_need_not_be() {
        let follows = |begin| Truth { consequence: true, ..truth("D2", begin, begin + 100) };
        let told = [told("D1", "a", Severity::Warn, 110, 150), told("D2", "b", Severity::Warn, 120, 150)].concat();
        let of = |follows: Truth| {
            let tally = score(&found(told.clone()), &[truth("D1", 100, 200), follows], None).total();
            (tally.truths, tally.found, tally.alarms, tally.false_alarms, tally.consequences, tally.precision())
        };
        assert_eq!(of(follows(100)), (1, 1, 2, 0, 1, Some(1.0)));
        assert_eq!(of(follows(500)), (1, 1, 2, 1, 0, Some(0.5)));
        // nor does it excuse what is about a whole
        assert_eq!(of(Truth { entity_kind: "agent".into(), ..follows(100) }), (1, 1, 2, 1, 0, Some(0.5)));
        // and where it is a truth besides, it is that
        let both = score(&found(told.clone()), &[truth("D2", 100, 200), follows(100)], Some("D2")).total();
        assert_eq!((both.found, both.consequences, both.precision()), (1, 0, Some(1.0)));
        // all findings being consequences, there is no precision
        assert_eq!(score(&found(told), &[follows(100)], Some("D2")).total().precision(), None);
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
        let told = [opened, raised, cleared];
        assert_eq!(of(&told, truth("D1", 100, 200)), (1, 0, Some(30)));
        // the first word was earlier, where it was about this
        let first_word = |begin| score(&found(told.to_vec()), &[truth("D1", begin, 200)], None).total().first_words;
        assert_eq!((first_word(100), first_word(80)), (vec![30 * SECOND], vec![10 * SECOND]));
    }

    fn of_finding(kind: &Kind, severity: Severity) -> Option<Finding> {
        let event = Event { kind: Some(kind.clone()), ..Event::default() };
        crate::finding::of(&event).map(|finding| Finding { severity: severity.into(), ..finding.clone() })
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
            | detector | truths | precision | recall | F1 | false alarms | consequences | time to detect: median | longest | first word: median | longest |
            |---|---|---|---|---|---|---|---|---|---|---|
            | D1 | 2 | 0.667 | 0.500 | 0.571 | 1 | 0 | 10.0 s | 10.0 s | 10.0 s | 10.0 s |
            | D2 | 1 | 1.000 | 1.000 | 1.000 | 0 | 0 | 10.0 s | 10.0 s | 10.0 s | 10.0 s |
            | all | 3 | 0.750 | 0.667 | 0.706 | 1 | 0 | 10.0 s | 10.0 s | 10.0 s | 10.0 s |
        "#]]
        .assert_eq(&score.table());
    }
}
