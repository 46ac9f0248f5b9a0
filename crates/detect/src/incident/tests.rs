use event::{
    EntityKind, Event, Finding, FindingCleared, FindingEntity, FindingOpened, FindingUpdated, HealthBeat, IncidentState, Kind,
    Severity, Source,
};
use expect_test::{Expect, expect};

use super::life::{self, Refused};
use super::{Correlator, SETTLE, STORM, of};
use crate::ledger::FLEET;
use crate::time::{HOUR, MINUTE, SECOND};

/// A time that clocks show.
const START: u64 = 1_750_000_000 * SECOND;

#[derive(Clone)]
struct About {
    detector: &'static str,
    entity: EntityKind,
    name: String,
    severity: Severity,
}

fn node(detector: &'static str) -> About {
    About { detector, entity: EntityKind::Node, name: String::new(), severity: Severity::Warn }
}

fn range(detector: &'static str, name: &str) -> About {
    About { entity: EntityKind::Range, name: name.to_owned(), ..node(detector) }
}

fn finding(id: u64, about: &About) -> Option<Finding> {
    let entity = FindingEntity { kind: about.entity.into(), address: about.name.clone(), ..FindingEntity::default() };
    Some(Finding {
        id: format!("{id:016x}"),
        detector: about.detector.to_owned(),
        name: "test".to_owned(),
        entity: Some(entity),
        severity: about.severity.into(),
        ..Finding::default()
    })
}

fn at(node: &str, second: u64, kind: impl Into<Kind>) -> Event {
    Event { time: START + second * SECOND, ..Event::new(node, Source::Detect, kind) }
}

fn opened(node: &str, second: u64, id: u64, about: &About) -> Event {
    at(node, second, FindingOpened { finding: finding(id, about) })
}

fn updated(node: &str, second: u64, id: u64, about: &About) -> Event {
    at(node, second, FindingUpdated { finding: finding(id, about) })
}

fn cleared(node: &str, second: u64, id: u64, about: &About) -> Event {
    at(node, second, FindingCleared { finding: finding(id, about) })
}

fn beat(node: &str, second: u64) -> Event {
    at(node, second, HealthBeat::default())
}

/// As said by a run of the detectors.
fn by(run: u64, event: Event) -> Event {
    Event { run, ..event }
}

/// What is told, a line each.
fn said(correlator: &mut Correlator, events: &[Event]) -> String {
    let mut out = String::new();
    for event in events {
        correlator.observe(event);
        for told in correlator.take_told() {
            let incident = of(&told.kind).unwrap();
            let nodes: Vec<&str> = incident.places.iter().map(|place| place.node.as_str()).collect();
            out.push_str(&format!(
                "{} {} {} {} {} {} at {}: {} of {} last{}\n",
                (told.time - START) / SECOND,
                told.kind.id().short_name(),
                incident.number,
                incident.state().word(),
                incident.family,
                incident.severity().word(),
                nodes.join(" "),
                incident.lasting,
                incident.findings,
                if incident.similar.is_empty() { String::new() } else { format!(", like {:?}", incident.similar) },
            ));
            if let Kind::IncidentChanged(changed) = &told.kind
                && changed.unheard > 0
            {
                out.insert_str(out.len() - 1, &format!(", {} unheard", changed.unheard));
            }
        }
    }
    out
}

#[track_caller]
fn check(events: &[Event], expect: Expect) {
    expect.assert_eq(&said(&mut Correlator::default(), events));
}

#[test]
fn an_incident_lasts_as_long_as_its_findings_and_a_while() {
    let queue = node("D39");
    let worse = About { severity: Severity::Critical, ..queue.clone() };
    check(
        &[
            opened("alice", 0, 1, &queue),
            updated("alice", 60, 1, &queue),
            updated("alice", 120, 1, &worse),
            cleared("alice", 300, 1, &worse),
            beat("alice", 419),
            beat("alice", 420),
            // within six hours it is the same, later another
            opened("alice", 3_600, 2, &queue),
            cleared("alice", 3_700, 2, &queue),
            beat("alice", 4_000),
            opened("alice", 40_000, 3, &queue),
        ],
        expect![[r#"
            0 opened 1 open load warn at alice: 1 of 1 last
            120 changed 1 open load critical at alice: 1 of 1 last
            420 resolved 1 resolved load critical at alice: 0 of 1 last
            3600 reopened 1 open load warn at alice: 1 of 2 last
            4000 resolved 1 resolved load warn at alice: 0 of 2 last
            40000 opened 2 open load warn at alice: 1 of 1 last, like [1]
        "#]],
    );
}

#[test]
fn what_belongs_together_is_one_incident() {
    check(
        &[
            // several detectors, one node
            opened("alice", 0, 1, &node("D10")),
            opened("alice", 1, 2, &range("D11", "203.0.113.0/24")),
            // the same range elsewhere
            opened("bob", 2, 3, &range("D11", "203.0.113.0/24")),
            // another range at a node where it is
            opened("bob", 3, 4, &range("D11", "198.51.100.0/24")),
            // another family
            opened("bob", 4, 5, &node("D39")),
            // the same family at a node of its own
            opened("carol", 5, 6, &node("D10")),
        ],
        expect![[r#"
                0 opened 1 open connections warn at alice: 1 of 1 last
                2 changed 1 open connections warn at alice bob: 3 of 3 last
                4 opened 2 open load warn at bob: 1 of 1 last
                5 opened 3 open connections warn at carol: 1 of 1 last, like [1]
        "#]],
    );
}

#[test]
fn a_finding_about_the_fleet_joins_what_is_known_of_its_family() {
    let fleet = About { entity: EntityKind::Fleet, ..node("D39") };
    check(
        &[
            opened("alice", 0, 1, &node("D39")),
            opened("bob", 1, 2, &node("D39")),
            opened(FLEET, 2, 3, &fleet),
            // from now on every node's is a part of it
            at("carol", 3, {
                let mut part = finding(4, &node("D39")).unwrap();
                part.part_of = "3".into();
                FindingOpened { finding: Some(part) }
            }),
        ],
        expect![[r#"
                0 opened 1 open load warn at alice: 1 of 1 last
                1 opened 2 open load warn at bob: 1 of 1 last, like [1]
                3 changed 1 open load warn at alice carol: 3 of 3 last
        "#]],
    );
}

#[test]
fn the_fourth_of_a_family_is_about_many_places() {
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    let events: Vec<Event> = names.iter().zip(0..).map(|(name, id)| opened(name, id, id, &node("D50"))).collect();
    check(
        &events,
        expect![[r#"
                0 opened 1 open blocks warn at a: 1 of 1 last
                1 opened 2 open blocks warn at b: 1 of 1 last, like [1]
                2 opened 3 open blocks warn at c: 1 of 1 last, like [2, 1]
                3 changed 1 open blocks warn at a d: 2 of 2 last
                5 changed 1 open blocks warn at a d e f: 4 of 4 last
        "#]],
    );
}

#[test]
fn people_and_detectors_agree_on_what_is_over() {
    let mut correlator = Correlator::default();
    let queue = node("D39");
    let mut log = said(&mut correlator, &[opened("alice", 0, 1, &queue)]);
    let act = |correlator: &mut Correlator, what: &str, by: &str| {
        let done = correlator.act(1, |incident| match what {
            "ack" => life::acknowledge(incident, by, START),
            "close" => life::close(incident, by, "", START),
            _ => life::note(incident, by, what, START),
        });
        done.map(|done| done.map(|told| told.kind.id()))
    };
    assert!(matches!(act(&mut correlator, "ack", "ann"), Some(Ok(_))));
    let twice = Refused::Acknowledged { number: 1, owner: "ann".into() };
    assert_eq!(act(&mut correlator, "ack", "ben"), Some(Err(twice)));
    assert!(matches!(act(&mut correlator, "known", "ben"), Some(Ok(_))));
    assert_eq!(act(&mut correlator, " ", "ben"), Some(Err(Refused::Empty)));
    assert!(matches!(act(&mut correlator, &"x".repeat(life::NOTE + 1), "ben"), Some(Err(Refused::Long { .. }))));
    assert!(matches!(act(&mut correlator, "close", "ann"), Some(Ok(_))));
    assert_eq!(act(&mut correlator, "close", "ben"), Some(Err(Refused::Resolved { number: 1 })));
    assert_eq!(act(&mut correlator, "ack", "ben"), Some(Err(Refused::Resolved { number: 1 })));
    // what was known when it was closed opens nothing; what is new does
    let worse = About { severity: Severity::Critical, ..queue.clone() };
    log += &said(&mut correlator, &[updated("alice", 10, 1, &queue), opened("alice", 20, 2, &queue)]);
    assert!(matches!(act(&mut correlator, "close", "ann"), Some(Ok(_))));
    log += &said(&mut correlator, &[updated("alice", 30, 2, &worse)]);
    expect![[r#"
        0 opened 1 open load warn at alice: 1 of 1 last
        20 reopened 1 open load warn at alice: 2 of 2 last
        30 reopened 1 open load critical at alice: 2 of 2 last
    "#]]
    .assert_eq(&log);
    assert_eq!(correlator.act(7, |incident| life::acknowledge(incident, "ann", 0)), None);
}

#[test]
fn a_finding_that_nobody_speaks_of_does_not_last() {
    let mut events = vec![opened("alice", 0, 1, &node("D39"))];
    events.extend((1..16).map(|number| beat("alice", number * 600)));
    check(
        &events,
        expect![[r#"
            0 opened 1 open load warn at alice: 1 of 1 last
            7800 resolved 1 resolved load warn at alice: 0 of 1 last
        "#]],
    );
}

#[test]
fn a_clock_that_is_wrong_disturbs_its_own_incidents_only() {
    let day = 24 * 3_600;
    check(
        &[
            opened("alice", 0, 1, &node("D39")),
            opened("bob", 1, 2, &node("D50")),
            opened("carol", 1, 3, &node("D59")),
            beat("bob", 400 * day),
            beat("alice", 60),
            beat("carol", 60),
            beat("alice", 700),
        ],
        expect![[r#"
                0 opened 1 open load warn at alice: 1 of 1 last
                1 opened 2 open blocks warn at bob: 1 of 1 last
                1 opened 3 open observer warn at carol: 1 of 1 last
        "#]],
    );
}

#[test]
fn the_incident_of_a_node_that_fell_silent_ends_by_the_time_of_the_others() {
    let mut events = vec![opened("alice", 0, 1, &node("D39")), beat("bob", 0), beat("carol", 0)];
    events.extend((1..40).flat_map(|number| ["bob", "carol"].map(|name| beat(name, number * 900))));
    check(
        &events,
        expect![[r#"
            0 opened 1 open load warn at alice: 1 of 1 last
            23400 resolved 1 resolved load warn at alice: 0 of 1 last
        "#]],
    );
}

#[test]
fn a_storm_is_few_incidents_and_nothing_is_forgotten() {
    const FINDINGS: u64 = 100_000;
    const DETECTORS: [&str; 12] = ["D01", "D02", "D09", "D10", "D11", "D14", "D19", "D39", "D42", "D50", "D59", "D99"];
    let mut correlator = Correlator::default();
    let (mut told, mut belonging) = (0, 0);
    let about = |id: u64| {
        let severity = [Severity::Info, Severity::Warn, Severity::Critical][(id % 3) as usize];
        let name = format!("{}.{}.{}.0/24", id % 223, id / 223 % 256, id % 7);
        About { severity, ..range(DETECTORS[(id % 12) as usize], &name) }
    };
    let name = |id: u64| format!("node-{}", id % 100);
    for id in 0..FINDINGS {
        belonging += usize::from(correlator.observe(&opened(&name(id), id / 50, id, &about(id))).is_some());
        told += correlator.take_told().len();
    }
    for id in 0..FINDINGS {
        belonging += usize::from(correlator.observe(&cleared(&name(id), 2_000 + id / 50, id, &about(id))).is_some());
        told += correlator.take_told().len();
    }
    for id in 0..100 {
        correlator.observe(&beat(&name(id), 5_000));
        told += correlator.take_told().len();
    }
    assert_eq!(belonging as u64, 2 * FINDINGS);
    let lives: Vec<_> = correlator.take_changed().into_iter().filter_map(|(_, live)| live).collect();
    let count = |what: fn(&event::Incident) -> u64| lives.iter().map(|live| what(&live.incident)).sum::<u64>();
    assert_eq!((count(|incident| incident.findings), count(|incident| incident.lasting)), (FINDINGS, 0));
    assert!(lives.len() <= 20, "{} incidents", lives.len());
    assert!(lives.iter().all(|live| live.incident.state() == IncidentState::Resolved));
    assert!(told <= 200, "{told} changes");
}

#[test]
fn what_does_not_fit_is_a_storm_but_for_what_is_critical() {
    // more families than there are, so that only the rate decides
    let families = ["D01", "D09", "D13", "D19", "D28", "D42", "D50", "D59"];
    let mut events = Vec::new();
    for (id, place) in (0..24_u64).zip(0..) {
        events.push(opened(&format!("n{}", id / 8), place, id, &node(families[(id % 8) as usize])));
    }
    events.push(opened("z", 100, 100, &About { severity: Severity::Critical, ..node("D777") }));
    let mut correlator = Correlator::default();
    let log = said(&mut correlator, &events);
    let storms = log.lines().filter(|line| line.contains(STORM) && line.contains(" opened ")).count();
    assert_eq!((log.lines().filter(|line| line.contains(" opened ")).count(), storms), (14, 1), "{log}");
    assert!(log.lines().last().unwrap().contains("opened 14 open other critical"), "{log}");
}

#[test]
fn it_goes_on_where_it_was() {
    let mut events = Vec::new();
    for id in 0..60_u64 {
        events.push(opened(["a", "b", "c"][(id % 3) as usize], id * 60, id, &range("D11", &format!("203.0.{}.0/24", id % 9))));
        if id >= 5 {
            events.push(cleared(["a", "b", "c"][((id - 5) % 3) as usize], id * 60 + 1, id - 5, &node("D11")));
        }
        events.push(beat(["a", "b", "c"][(id % 3) as usize], id * 60 + 2));
    }
    let whole = said(&mut Correlator::default(), &events);
    for cut in [1, 7, 40, 100, events.len() - 1] {
        let mut first = Correlator::default();
        let mut log = said(&mut first, &events[..cut]);
        let lives = first.take_changed().into_iter().filter_map(|(_, live)| live);
        let followed: Vec<_> = first.take_followed().into_iter().filter_map(|(id, of)| Some((id, of?))).collect();
        let bytes = postcard::to_stdvec(&(lives.collect::<Vec<_>>(), followed, first.usual())).unwrap();
        let (lives, followed, usual) = postcard::from_bytes::<(Vec<_>, Vec<_>, _)>(&bytes).unwrap();
        let mut second = Correlator::new(String::new(), usual, lives, followed);
        log += &said(&mut second, &events[cut..]);
        assert_eq!(log, whole, "cut at {cut}");
    }
}

#[test]
fn who_keeps_the_book_says_how_long_is_a_while() {
    let queue = node("D39");
    let check = |settle: u64, expect: Expect| {
        let mut correlator = Correlator::default();
        let begin = [opened("alice", 0, 1, &queue), cleared("alice", 60, 1, &queue), beat("alice", 70)];
        let first = said(&mut correlator, &begin);
        // an incident that is open already is meant as well
        correlator.settle_after(settle * SECOND);
        let rest = [beat("alice", 75), opened("alice", 170, 2, &queue), cleared("alice", 180, 2, &queue), beat("alice", 700)];
        expect.assert_eq(&(first + &said(&mut correlator, &rest)));
    };
    check(
        10,
        expect![[r#"
            0 opened 1 open load warn at alice: 1 of 1 last
            75 resolved 1 resolved load warn at alice: 0 of 1 last
            170 reopened 1 open load warn at alice: 1 of 2 last
            700 resolved 1 resolved load warn at alice: 0 of 2 last
        "#]],
    );
    check(
        500,
        expect![[r#"
            0 opened 1 open load warn at alice: 1 of 1 last
            700 resolved 1 resolved load warn at alice: 0 of 2 last
        "#]],
    );
}

#[test]
fn an_end_without_a_beginning_is_counted() {
    let mut correlator = Correlator::default();
    assert_eq!(correlator.observe(&cleared("alice", 0, 1, &node("D39"))), None);
    assert_eq!(correlator.usual().strays, 1);
    // what lasts since before the book is as good as new
    assert_eq!(correlator.observe(&updated("alice", 1, 2, &node("D39"))), Some(1));
}

#[test]
fn times_fit_together() {
    const { assert!(SETTLE < 30 * MINUTE && 30 * MINUTE < super::SILENT && super::SILENT < super::REOPEN && super::BURST_TIME <= HOUR) };
}

#[test]
fn a_clock_that_is_far_ahead_makes_no_storm_for_others() {
    const MONTH: u64 = 30 * 86_400;
    let families = ["D01", "D09", "D13", "D19", "D28", "D42", "D50", "D59"];
    let mut events: Vec<Event> = Vec::new();
    // a rack whose clocks are a month ahead
    for id in 0..12_u64 {
        let about = node(families[(id % 8) as usize]);
        let name = format!("rack{id}");
        events.push(opened(&name, MONTH + id, id, &about));
        events.push(cleared(&name, MONTH + 20 + id, id, &about));
        events.push(beat(&name, MONTH + 1_000));
    }
    let mut correlator = Correlator::default();
    let log = said(&mut correlator, &events);
    assert_eq!(log.matches(" opened ").count(), 12, "{log}");
    let log = said(&mut correlator, &[opened("erin", 0, 100, &node("D39")), opened("frank", 60, 101, &node("D50"))]);
    assert_eq!((log.matches(" opened ").count(), log.contains(STORM)), (2, false), "{log}");
    // and what they had is not open again for a month by what others see
    let one = range("D11", "203.0.113.0/24");
    said(&mut correlator, &[opened("rack0", MONTH + 2_000, 200, &one), cleared("rack0", MONTH + 2_010, 200, &one)]);
    let log = said(&mut correlator, &[beat("rack0", MONTH + 3_000), opened("erin", 120, 201, &one)]);
    assert!(log.contains(" resolved ") && log.contains(" opened ") && !log.contains("reopened"), "{log}");
}

#[test]
fn a_later_storm_is_the_storm_when_an_earlier_one_is_forgotten() {
    let families = ["D01", "D09", "D13", "D19", "D28", "D42", "D50", "D59"];
    let wave = |begin: u64| {
        let name = |id: u64| format!("n{}", id / 8);
        let about = |id: u64| node(families[(id % 8) as usize]);
        let mut events: Vec<Event> = (0..24).map(|id| opened(&name(id), begin + id, begin + id, &about(id))).collect();
        events.extend((0..24).map(|id| cleared(&name(id), begin + 100, begin + id, &about(id))));
        events
    };
    let storm = |log: &str| log.lines().filter(|line| line.contains(STORM) && line.contains(" opened ")).count();
    let mut correlator = Correlator::default();
    let mut log = said(&mut correlator, &wave(0));
    log += &said(&mut correlator, &["n0", "n1", "n2"].map(|name| beat(name, 1_000)));
    let first = (1..=correlator.usual().last).find(|number| correlator.incident(*number).unwrap().family == STORM).unwrap();
    let later = 36_000;
    log += &said(&mut correlator, &wave(later)[..24]);
    assert_eq!(storm(&log), 2, "{log}");
    correlator.forget(first);
    assert!(correlator.incident(first).is_none());
    let further = said(&mut correlator, &[opened("m", later + 30, 7, &node("D777"))]);
    assert_eq!(storm(&further), 0, "{further}");
}

#[test]
fn the_page_names_the_families_as_the_detectors_do() {
    let page = include_str!("../../../../docs/incidents.md");
    let mut families = std::collections::BTreeMap::<&str, Vec<&str>>::new();
    for entry in crate::all() {
        families.entry(entry.about.family.name()).or_default().push(entry.about.id);
    }
    for (family, detectors) in families {
        let row = format!("| {family} | {} |", detectors.join(" "));
        assert!(page.contains(&row), "docs/incidents.md has no row `{row}`");
    }
}

/// A program that was killed says of none of its findings that they are over, and the next run of it may know nothing of them.
#[test]
fn what_a_later_run_does_not_say_again_is_given_up() {
    let queue = node("D39");
    let beats = |run: u64, from: u64, to: u64| (from..=to).map(move |second| by(run, beat("alice", second)));
    let mut events = vec![by(7, opened("alice", 0, 1, &queue)), by(7, opened("alice", 1, 2, &queue))];
    events.push(by(7, opened("bob", 2, 3, &queue)));
    events.extend(beats(7, 2, 300));
    // killed; the next has the second from the state that was kept, and says so
    events.extend(beats(9, 400, 410));
    events.push(by(9, updated("alice", 411, 2, &queue)));
    events.extend(beats(9, 412, 700));
    events.push(by(9, cleared("alice", 701, 2, &queue)));
    events.extend(beats(9, 702, 900));
    check(
        &events,
        expect![[r#"
            0 opened 1 open load warn at alice: 1 of 1 last
            2 opened 2 open load warn at bob: 1 of 1 last, like [1]
            580 changed 1 open load warn at alice: 1 of 2 last, 1 unheard
            821 resolved 1 resolved load warn at alice: 0 of 2 last
        "#]],
    );
    // nobody said it again
    let mut correlator = Correlator::default();
    let mut events = vec![by(7, opened("alice", 0, 1, &queue)), by(7, beat("alice", 10))];
    events.extend(beats(9, 60, 400));
    let log = said(&mut correlator, &events);
    assert!(log.contains("240 changed 1 open load warn at alice: 0 of 1 last, 1 unheard\n360 resolved 1 "), "{log}");
    assert_eq!(correlator.incident(1).unwrap().end(), event::FindingEnd::Silent, "nobody knows");
}

/// Two programs that find at one node take nothing from each other, and neither do a recording and a release that did not say who it was.
#[test]
fn runs_that_are_alive_side_by_side_give_nothing_up() {
    let queue = node("D39");
    let mut events = vec![by(7, opened("alice", 0, 1, &queue)), opened("alice", 0, 2, &queue)];
    events.extend((1..1_000).map(|second| by([7, 9][second as usize % 2], beat("alice", second))));
    let mut correlator = Correlator::default();
    let log = said(&mut correlator, &events);
    assert!(!log.contains("unheard"), "{log}");
    // the first is gone, and what it found with it
    events = (1_000..1_200).map(|second| by(9, beat("alice", second))).collect();
    let log = said(&mut correlator, &events);
    assert!(log.contains("1 of 2 last, 1 unheard"), "{log}");
}
