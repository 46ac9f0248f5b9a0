//! Every scenario of `detectors/`, and what comes of it: `docs/detectors.md`.
//!
//! Without optimisation one seed is played, at strength 1; `cargo test --release -p po-detect --test truth` plays all of them and compares the page.
//! `TRUTH=D09` in the environment plays those of one detector only, `TRUTH=D09/fire` those of them that begin so, and prints what comes of it.
//!
//! Every attack is also cut into pieces, with the state kept in between: of each detector one without optimisation, all of them with it.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use detect::score::{self, Found, Score, Tally, Truth, times};
use detect::thresholds::{TABLE, Thresholds};
use detect::time::seconds;
use detect::{Engine, Guard, Sections, Statement};
use event::{EntityKind, Finding, Kind};
use expect_test::expect_file;
use testkit::synthetic::{self, Run};

/// A set of scenarios that were written after the thresholds, and that no threshold is chosen by.
struct HeldOut {
    /// Its directory.
    name: &'static str,
    /// Other seeds than those of the others.
    seeds: RangeInclusive<u64>,
    /// What it is, and what came of it when nobody had looked at it yet.
    about: &'static str,
}

const HELD_OUT: [HeldOut; 3] = [
    HeldOut {
        name: "held-out",
        seeds: 1001..=1005,
        about: "Written for the first ten detectors. Scored for the first time, on 22 November 2026, with findings of any severity counted as found, they \
                gave a precision of 0.657, a recall of 1.000 and F1 = 0.793. Of the 84 false alarms 61 were D01 in `surge-after-churn`, where so few \
                peers pass on so much that each exceeds what Bitcoin Core takes from one: right, but not in the labels. 14 were D50; 5 of them, of slow \
                answers only, were made information since then, the others go with withheld blocks. D02 was taught the time of day. \
                On 23 November 2026 labels got consequences (D01, D15 and D50), and D01, D10, D11 and the eviction of the \
                generator's node were mended, for reasons of their own, but of faults that this set had shown. So the scores below are no longer of what \
                nobody looked at.",
    },
    HeldOut {
        name: "held-out-second",
        seeds: 2001..=2005,
        about: "Written for all twenty, from the catalogue and from what ingredients do, by somebody who saw neither the detectors nor the thresholds. \
                Scored for the first time, on 23 November 2026, they gave a precision of 0.928, a recall of 0.940 and F1 = 0.934, and no alarm at any of the \
                eleven twins. Since then the label of `flood-of-three-giants` names the host, as Bitcoin Core disconnects each of its peers, and not one peer. \
                What was missed: a drip of 24 addresses a minute, which D01 sees since it looks at twenty minutes and compares peers, and \
                a loss that begins before the observer has learned for a day what is usual, which D09 sees since it tells of what is far below anything \
                seen. What was cried at besides: the names of the range of \
                `ranges-in-turn`, which are a consequence since the labels have them, and D10 once, for which the generator's eviction was mended.",
    },
    HeldOut {
        name: "held-out-third",
        seeds: 3001..=3005,
        about: "Written for all twenty, from the catalogue and from what ingredients do, by somebody who saw neither the detectors, nor the thresholds, nor the \
                other sets; the parameters keep clear of what makes a label ambiguous. Scored for the first time, on 23 November 2026, after the mending \
                that the other two sets had caused: precision 1.000, recall 1.000, F1 = 1.000, and no alarm at any of the fourteen twins; 24 alarms are \
                consequences, all of them D15 about single names in `two-ranges-and-impostors`, whose impostors are a truth of D15 about the node. \
                What two readers then found with recordings of their own was mended, twice; once the scores had two false alarms of D59, which \
                took ordinary newcomers over Tor for an imitation of G6, and its floor was raised. So the scores below are no longer of what nobody looked at.",
    },
];

/// The set of this directory.
fn held_out_set(directory: &str) -> Option<&'static HeldOut> {
    HELD_OUT.iter().find(|set| set.name == directory)
}

/// All of them, where that takes minutes and not an hour.
const SEEDS: u64 = if cfg!(debug_assertions) { 1 } else { 20 };
const STRENGTHS: &[f64] = if cfg!(debug_assertions) { &[1.0] } else { &[0.5, 1.0, 2.0] };

/// A scenario of a detector.
struct Case {
    /// Its directory: the number of a detector, or one of [`HELD_OUT`].
    detector: String,
    /// `fire`, `twin-nat`
    name: String,
    toml: String,
}

/// What runs of a scenario came to.
#[derive(Default)]
struct Played {
    score: Score,
    suppressed: [u64; Guard::ALL.len()],
    /// Alarms at a twin, in words.
    cries: Vec<String>,
    /// Of what was held out: detectors that missed something, and those that cried at nothing.
    missed: Vec<String>,
    wrong: Vec<String>,
    /// Detectors that found what only follows from a deed.
    followed: Vec<String>,
    /// Alarms about a node, or somebody at it, that name no event.
    bare: Vec<String>,
}

/// Alarms without evidence, and why no event can be named.
const BARE: [(&str, &str); 3] = [
    ("D19", "of a block that never came while somebody watched there is no event"),
    ("D54", "likewise"),
    ("D59", "a table that is full and a guard that keeps back are made by what nobody kept"),
];

/// What all seeds of a scenario came to, at one strength.
struct Outcome {
    case: usize,
    strength: f64,
    played: Played,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Which detector and scenarios are asked for, if not all.
fn only() -> Option<String> {
    std::env::var("TRUTH").ok()
}

/// Whether they are this one, by its place below `detectors/`.
fn is_asked(place: &str) -> bool {
    only().is_none_or(|only| place.starts_with(&only))
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for entry in detect::all() {
        let directory = repository().join("detectors").join(entry.about.id);
        let files = std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        let mut names: Vec<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        for needed in ["doc.md", "fire.toml", "twin.toml"] {
            assert!(names.iter().any(|name| name == needed), "{} has no {needed}", directory.display());
        }
        for name in names.iter().filter_map(|name| name.strip_suffix(".toml")) {
            let known = ["fire", "twin"].iter().any(|kind| name.starts_with(kind));
            assert!(known, "{name} is neither to be found nor a twin");
            if !is_asked(&format!("{}/{name}", entry.about.id)) {
                continue;
            }
            let toml = std::fs::read_to_string(directory.join(format!("{name}.toml"))).unwrap();
            cases.push(Case { detector: entry.about.id.to_owned(), name: name.to_owned(), toml });
        }
    }
    cases
}

/// What nobody looked at when thresholds were chosen.
fn held_out(set: &HeldOut) -> Vec<Case> {
    let directory = repository().join("detectors").join(set.name);
    let files = std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut names: Vec<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let names = names.iter().filter_map(|name| name.strip_suffix(".toml"));
    names
        .filter(|name| is_asked(&format!("{}/{name}", set.name)))
        .map(|name| Case {
            detector: set.name.to_owned(),
            name: name.to_owned(),
            toml: std::fs::read_to_string(directory.join(format!("{name}.toml"))).unwrap(),
        })
        .collect()
}

impl Case {
    fn is_held_out(&self) -> bool {
        held_out_set(&self.detector).is_some()
    }

    /// Whether anything is to be found in it.
    fn fires(&self) -> bool {
        self.name.starts_with("fire") || (self.is_held_out() && !self.name.starts_with("twin"))
    }

    /// Whose findings count: what an attack leads to besides is not judged, while a twin must leave everybody quiet. Held-out ones mix
    /// several, and everything counts.
    fn only(&self) -> Option<&str> {
        (self.fires() && !self.is_held_out()).then_some(self.detector.as_str())
    }

    fn load(&self, seed: u64, strength: f64) -> synthetic::Scenario {
        let scenario = synthetic::load(&self.toml, Run { seed, strength });
        scenario.unwrap_or_else(|error| panic!("{} {}: {error}", self.detector, self.name))
    }

    fn thresholds(&self, script: &synthetic::Script) -> Thresholds {
        let mut thresholds = Thresholds::default();
        for (section, values) in &script.given {
            assert_eq!(section, "thresholds", "{} {}: only thresholds can be given", self.detector, self.name);
            for (name, value) in values.as_table().unwrap() {
                let value = value.as_float().or(value.as_integer().map(|value| value as f64)).unwrap();
                thresholds.set(None, name, value).unwrap();
            }
        }
        thresholds
    }

    fn play(&self, seed: u64, strength: f64, sum: &mut Played) {
        let mut scenario = self.load(seed, strength);
        let truth = |truth: &synthetic::Truth| Truth {
            detector: truth.detector.clone(),
            node: truth.node.clone(),
            entity_kind: truth.entity_kind.to_owned(),
            entity: truth.entity.clone(),
            begin: truth.begin,
            end: truth.end,
            severity: truth.severity,
            consequence: truth.consequence,
        };
        let script = scenario.script();
        let (nodes, begin) = (script.nodes.clone(), script.begin);
        let mut engine = Engine::new(self.thresholds(script), seed);
        let mut said = Vec::new();
        scenario.by_ref().for_each(|event| engine.observe(Arc::new(event), &mut said));
        engine.finish(&mut said);
        let truths: Vec<Truth> = scenario.truths().iter().map(truth).collect();
        assert_eq!(engine.totals().late, 0, "a scenario comes in order");
        let found = score::found(said);
        sum.score.add(&score::score(&found, &truths, self.only()));
        if self.is_held_out() {
            for one in &found {
                let alone = score::score(std::slice::from_ref(one), &truths, None).total();
                let column = match (alone.false_alarms, alone.consequences) {
                    (1.., _) => &mut sum.wrong,
                    (_, 1..) => &mut sum.followed,
                    _ => continue,
                };
                column.push(one.finding.detector.clone());
                if only().is_some() {
                    let (at, finding) = (seconds(one.opened.saturating_sub(begin)), &one.finding);
                    let what = if alone.false_alarms > 0 { "cried" } else { "followed" };
                    println!(
                        "{}, seed {seed}, {at:.0} s, {what}: {} {:?}: {}",
                        self.name, finding.detector, finding.entity, finding.summary
                    );
                }
            }
            for truth in truths.iter().filter(|truth| !truth.consequence) {
                let missed = score::score(&found, std::slice::from_ref(truth), Some(&truth.detector)).total().found == 0;
                sum.missed.extend(missed.then(|| truth.detector.clone()));
            }
        }
        for node in nodes {
            sum.suppressed.iter_mut().zip(engine.account(&node).suppressed).for_each(|(sum, count)| *sum += count);
        }
        let of_node = |kind| matches!(kind, EntityKind::Node | EntityKind::Peer | EntityKind::Address | EntityKind::Range);
        let alarm = |found: &&Found| found.finding.severity >= event::Severity::Warn as i32;
        for Found { finding, .. } in found.iter().filter(alarm) {
            let named = BARE.iter().any(|(detector, _)| *detector == finding.detector);
            if !named && finding.evidence.is_empty() && finding.entity.as_ref().is_some_and(|entity| of_node(entity.kind())) {
                sum.bare.push(format!("seed {seed}: {}: {}", finding.detector, finding.summary));
            }
        }
        for one in found.iter().filter(|found| !self.fires() && found.finding.severity >= event::Severity::Warn as i32) {
            let (at, finding) = (seconds(one.opened.saturating_sub(begin)), &one.finding);
            sum.cries.push(format!("seed {seed}, {at:.0} s: {} {:?}: {}", finding.detector, finding.entity, finding.summary));
        }
    }

    /// Where a recording of it is cut: when two fifths and four fifths have passed, and while attacks that are announced are at their height.
    /// Those that show only when it is played are cut by what is found.
    fn cuts(&self, scenario: &synthetic::Scenario) -> Vec<u64> {
        const ATTACKS: usize = 3;
        let (begin, length) = (scenario.script().begin, scenario.script().length.as_nanos() as u64);
        let height = |truth: &synthetic::Truth| truth.begin + (truth.end.min(begin + length) - truth.begin) / 2;
        let mut cuts: Vec<u64> = scenario.truths().iter().take(ATTACKS).map(height).collect();
        cuts.extend([2, 4].map(|fifth| begin + length / 5 * fifth));
        cuts.sort_unstable();
        cuts.dedup();
        cuts
    }

    /// Plays it once as a whole and once in pieces, and says where they differ, if they do.
    fn play_in_pieces(&self) -> Result<(), String> {
        /// Findings of which the first word is followed by a cut.
        const OPENED: usize = 2;
        let mut scenario = self.load(1, 1.0);
        let mut cuts = self.cuts(&scenario).into_iter().peekable();
        let thresholds = self.thresholds(scenario.script());
        let (mut whole, mut pieces) = (Engine::new(thresholds.clone(), 1), Engine::new(thresholds.clone(), 1));
        let (mut of_whole, mut of_pieces) = (Vec::new(), Vec::new());
        let (mut opened, mut amidst) = (0, 0);
        for event in scenario.by_ref() {
            let event = Arc::new(event);
            let (time, told) = (event.time, of_pieces.len());
            whole.observe(event.clone(), &mut of_whole);
            pieces.observe(event, &mut of_pieces);
            let of_it = |statement: &&Statement| finding(statement).is_some_and(|finding| finding.detector == self.detector);
            let is_open = |statement: &Statement| matches!(statement.kind, Kind::FindingOpened(_));
            let first_word = of_pieces[told..].iter().filter(of_it).any(is_open) && opened < OPENED;
            if cuts.next_if(|cut| *cut <= time).is_some() || first_word {
                opened += usize::from(first_word);
                amidst +=
                    usize::from(of_pieces.iter().rfind(of_it).is_some_and(|last| finding(last).is_some_and(|last| last.end == 0)));
                let (restored, anew) = Engine::restore(&pieces.save(), thresholds.clone()).map_err(|error| error.to_string())?;
                if !anew.is_empty() {
                    return Err(format!("these begin anew: {anew:?}"));
                }
                pieces = restored;
            }
        }
        whole.finish(&mut of_whole);
        pieces.finish(&mut of_pieces);
        if let Some((whole, piece)) = of_whole.iter().zip(&of_pieces).find(|(whole, piece)| whole != piece) {
            return Err(format!("the whole says {whole:?}\nand pieces say {piece:?}"));
        }
        if of_whole.len() != of_pieces.len() {
            return Err(format!("{} statements of the whole, {} of pieces", of_whole.len(), of_pieces.len()));
        }
        let (whole, pieces) = (whole.save(), pieces.save());
        let (whole, pieces) = (Sections::read(&whole).unwrap(), Sections::read(&pieces).unwrap());
        // which source counts is kept in a map that has no order
        let differ = |name: &&str| *name != "primaries" && whole.body(name) != pieces.body(name);
        let differ: Vec<&str> = whole.names().map(|(name, _)| name).filter(differ).collect();
        if !differ.is_empty() {
            return Err(format!("at the end the state has another {differ:?}"));
        }
        if amidst == 0 { Err("no cut while a finding is open".to_owned()) } else { Ok(()) }
    }

    /// Where to look when a scenario fails: its name, and what it is about.
    fn title(&self) -> String {
        format!("`{}`: {}", self.name, self.load(1, 1.0).script().about)
    }
}

fn play_all(cases: &[Case]) -> Vec<Outcome> {
    let strengths = |case: &Case| {
        let all = case.fires() && !case.is_held_out();
        STRENGTHS.iter().copied().filter(|strength| *strength == 1.0 || all).collect::<Vec<_>>()
    };
    let jobs: Vec<(usize, f64)> =
        (0..).zip(cases).flat_map(|(at, case)| strengths(case).into_iter().map(move |strength| (at, strength))).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut outcomes = Vec::new();
        while let Some((case, strength)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)).copied() {
            let mut played = Played::default();
            let seeds = held_out_set(&cases[case].detector).map_or(1..=SEEDS, |set| set.seeds.clone());
            seeds.for_each(|seed| cases[case].play(seed, strength, &mut played));
            outcomes.push(Outcome { case, strength, played });
        }
        outcomes
    };
    let mut outcomes: Vec<Outcome> = thread::scope(|scope| {
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    outcomes.sort_by(|a, b| a.case.cmp(&b.case).then(a.strength.total_cmp(&b.strength)));
    outcomes
}

#[test]
fn detectors_find_what_is_true_and_nothing_else() {
    let cases = cases();
    let outcomes = play_all(&cases);
    if only().is_some() {
        let mut page = String::new();
        attacks(&mut page, &cases, &outcomes);
        HELD_OUT.iter().for_each(|set| held_out_set_scores(&mut page, set));
        println!("{page}");
    }
    let mut wrong = String::new();
    for Outcome { case, strength, played } in &outcomes {
        let case = &cases[*case];
        let Tally { truths, found, .. } = played.score.tallies.get(&case.detector).cloned().unwrap_or_default();
        if case.fires() && *strength >= 1.0 && (truths == 0 || found < truths) {
            writeln!(wrong, "{} {} × {strength}: found {found} of {truths}", case.detector, case.name).unwrap();
        }
        for cry in &played.cries {
            writeln!(wrong, "{} {}: {cry}", case.detector, case.name).unwrap();
        }
        for bare in &played.bare {
            writeln!(wrong, "{} {}: no evidence: {bare}", case.detector, case.name).unwrap();
        }
    }
    if SEEDS == 20 && only().is_none() {
        let mut held_out_scores = String::from(HELD_OUT_TITLE);
        HELD_OUT.iter().for_each(|set| held_out_set_scores(&mut held_out_scores, set));
        expect_file![repository().join("docs/detectors.md")].assert_eq(&page(&cases, &outcomes, &held_out_scores));
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// What a statement is about.
fn finding(statement: &Statement) -> Option<&Finding> {
    match &statement.kind {
        Kind::FindingOpened(told) => told.finding.as_ref(),
        Kind::FindingUpdated(told) => told.finding.as_ref(),
        Kind::FindingCleared(told) => told.finding.as_ref(),
        Kind::FindingExpired(told) => told.finding.as_ref(),
        _ => None,
    }
}

#[test]
fn attacks_in_pieces_are_found_as_in_the_whole() {
    let all = cases();
    let is_played = |case: &&Case| if cfg!(debug_assertions) { case.name == "fire" } else { case.fires() };
    let fires: Vec<&Case> = all.iter().filter(is_played).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut wrong = String::new();
        while let Some(case) = fires.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(why) = case.play_in_pieces() {
                writeln!(wrong, "{} {}: {why}", case.detector, case.name).unwrap();
            }
        }
        wrong
    };
    let wrong: String = thread::scope(|scope| {
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "\n{wrong}");
}

fn page(cases: &[Case], outcomes: &[Outcome], held_out_scores: &str) -> String {
    let mut page = String::from(
        "# Detectors\n\nGenerated by `cargo test --release -p po-detect --test truth`; do not edit. The directories in `detectors/` say what \
         each finding means and what to do.\n\nThe scores are of generated scenarios, 20 seeds each: numbers of the catalogue, not of the main \
         network. **Calibration on the main network is outstanding**; thresholds marked `O` are reasoned, not measured.\n\n| | detector | looks \
         at | guards |\n|---|---|---|---|\n",
    );
    for entry in detect::all() {
        let about = entry.about;
        let kinds: Vec<&str> = about.kinds.iter().map(|kind| kind.name()).collect();
        let guards: Vec<&str> = about.guards.iter().map(|guard| guard.id()).collect();
        let (id, name, title) = (about.id, about.name, about.title);
        let (kinds, guards) = (kinds.join(", "), guards.join(" "));
        writeln!(page, "| [{id}](../detectors/{id}/doc.md) | `{name}`: {title} | {kinds} | {guards} |").unwrap();
    }
    attacks(&mut page, cases, outcomes);
    twins(&mut page, cases, outcomes);
    let mut sum = Score::default();
    outcomes.iter().filter(|outcome| outcome.strength == 1.0).for_each(|outcome| sum.add(&outcome.played.score));
    write!(page, "\n## All together, at strength 1\n\n{}", sum.table()).unwrap();
    page.push_str(held_out_scores);
    page.push_str("\n## Given\n\nWhat scenarios set for themselves; everything else is as in the table below.\n\n");
    for case in cases {
        for (_, row, value) in case.thresholds(case.load(1, 1.0).script()).changed() {
            writeln!(page, "- {} `{}`: `{}` = {value}", case.detector, case.name, row.name).unwrap();
        }
    }
    page.push_str(
        "\n## Thresholds\n\nSet them in the configuration, for all nodes or for one:\n\n```toml\n[detect.thresholds]\n\"d39.queue_warn\" = \
         20000\n\n[detect.nodes.alice.thresholds]\n\"guard.restart\" = 60\n```\n\n[sources.md](sources.md) says what the sources are.\n\n| name | default | unit | source | meaning |\n|---|---|---|---|---|\n",
    );
    for row in TABLE {
        writeln!(page, "| `{}` | {} | {} | {} | {} |", row.name, row.default, row.unit, row.source, row.meaning).unwrap();
    }
    page
}

const HELD_OUT_TITLE: &str = "\n## Held out\n\nScenarios that were written after the thresholds, and that none was chosen by: several attacks at once, other \
     strengths, other nodes, other noise. Every alarm of every detector counts. The best published accuracy for one node's traffic is F1 = 0.97 (LION, \
     Fan and others).\n\nA *consequence* is a finding about what another detector's attack makes true as well, by the catalogue's criterion and by what the \
     generator knows (`crates/testkit/src/synthetic/consequence.rs` has all of them but two, which `ingredient/chain.rs` plans, and D13's, in `ingredient.rs`): it counts neither as found nor as \
     a false alarm, and precision is of the others. Labels have had them since 23 November 2026; scores of before count them as false alarms.\n";

fn held_out_set_scores(page: &mut String, set: &HeldOut) {
    let cases = held_out(set);
    if cases.is_empty() {
        return;
    }
    let outcomes = play_all(&cases);
    let mut sum = Score::default();
    outcomes.iter().for_each(|outcome| sum.add(&outcome.played.score));
    let (name, about, seeds) = (set.name, set.about, set.seeds.clone().count());
    write!(
        page,
        "\n### `detectors/{name}/`\n\n{} scenarios, {seeds} seeds each. {about}\n\n{}\n| scenario | missed | cried at nothing | consequences |\n|---|---|---|---|\n",
        cases.len(),
        sum.table(),
    )
    .unwrap();
    let count = |names: &[String]| {
        let mut by: std::collections::BTreeMap<&str, u32> = std::collections::BTreeMap::new();
        names.iter().for_each(|name| *by.entry(name).or_default() += 1);
        by.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
    };
    for Outcome { case, played, .. } in &outcomes {
        let (title, missed, wrong) = (cases[*case].title(), count(&played.missed), count(&played.wrong));
        writeln!(page, "| {title} | {missed} | {wrong} | {} |", count(&played.followed)).unwrap();
    }
}

fn attacks(page: &mut String, cases: &[Case], outcomes: &[Outcome]) {
    page.push_str(
        "\n## Attacks\n\nAt each strength: how many of all seeds were found, false alarms and consequences (see *Held out*) of the same detector, and how \
         long it took from the beginning, until it would have woken somebody and until the first word of it, information included.\n\n| | scenario | strength \
         | found | false alarms | consequences | median | longest | first word: median | longest |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for Outcome { case, strength, played } in outcomes.iter().filter(|outcome| cases[outcome.case].fires()) {
        let case = &cases[*case];
        let tally = played.score.tallies.get(&case.detector).cloned().unwrap_or_default();
        let Tally { truths, found, false_alarms, consequences, delays, first_words, .. } = tally;
        let ([median, longest], [first, last]) = (times(&delays), times(&first_words));
        let (detector, title) = (&case.detector, case.title());
        write!(page, "| {detector} | {title} | {strength} | {found}/{truths} | {false_alarms} | {consequences} ").unwrap();
        writeln!(page, "| {median} | {longest} | {first} | {last} |").unwrap();
    }
}

fn twins(page: &mut String, cases: &[Case], outcomes: &[Outcome]) {
    page.push_str(
        "\n## Benign twins\n\n| | scenario | alarms of any detector | infos | suppressed by guards |\n|---|---|---|---|---|\n",
    );
    for Outcome { case, played, .. } in outcomes.iter().filter(|outcome| !cases[outcome.case].fires()) {
        let case = &cases[*case];
        let Tally { alarms, infos, .. } = played.score.total();
        let guards = Guard::ALL.iter().zip(played.suppressed).filter(|(_, count)| *count > 0);
        let guards: Vec<String> = guards.map(|(guard, count)| format!("{} {count}", guard.id())).collect();
        writeln!(page, "| {} | {} | {alarms} | {infos} | {} |", case.detector, case.title(), guards.join(", ")).unwrap();
    }
}
