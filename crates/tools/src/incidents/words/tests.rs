use event::{EntityKind, FindingInput, IncidentPlace};
use expect_test::expect;

use super::*;

fn incident() -> Incident {
    let inputs = vec![
        FindingInput { name: "largest_queue".into(), value: 20_000.0, unit: "transactions".into(), threshold: Some(10_000.0) },
        FindingInput { name: "handler".into(), value: 0.987_654, ..FindingInput::default() },
    ];
    let finding = Finding {
        detector: "D39".into(),
        name: "inv_queue".into(),
        score: 2.0,
        verdict: Verdict::Investigate.into(),
        inputs,
        ..Finding::default()
    };
    let stranger = FindingEntity { kind: EntityKind::Range.into(), address: "203.0.113.0/24".into(), ..FindingEntity::default() };
    let mut incident = Incident {
        number: 17,
        family: "load".into(),
        detectors: vec!["D39".into(), "D28".into()],
        places: vec![IncidentPlace { node: "alice".into(), findings: 3 }],
        strangers: vec![stranger],
        findings: 3,
        lasting: 2,
        opened: 1_750_000_000_000_000_000,
        finding: Some(finding),
        similar: vec![4],
        ..Incident::default()
    };
    incident.set_state(IncidentState::Open);
    incident.set_severity(Severity::Warn);
    incident
}

#[test]
fn an_incident_in_words() {
    let incident = incident();
    let mut text = line(&incident) + "\n";
    for (heading, paragraph) in paragraphs(&incident) {
        text += &format!("{heading}: {}\n", paragraph.lines().next().unwrap_or_default());
    }
    expect![[r#"
           17  open         warn     2025-06-15T15:06:40Z  inv_queue (D39) at alice (3 findings, 2 last)
        What: The queue of announcements grows, the message handler is saturated. largest queue: 20000 transactions (threshold 10000); handler: 0.99. Seen by D28, too.
        Where: alice (3 findings)
        Whom: range 203.0.113.0/24
        Since: 2025-06-15T15:06:40Z
        How sure: an innocent cause is possible: look at the evidence; 2.0 times what is just enough, 3 findings
        What it does not prove: that anybody means harm: a rush of ordinary transactions does the same
        What to do next: 1. Look at the mempool's growth. A rush of real transactions (an auction, a mint) passes; nothing has to be done but to watch for lost
        Similar: incident 4
    "#]].assert_eq(&text);
}

#[test]
fn the_end_says_what_is_known_of_it() {
    let mut incident = incident();
    incident.set_state(IncidentState::Resolved);
    incident.resolved = Some(incident.opened + 60_000_000_000);
    incident.set_end(FindingEnd::Silent);
    expect!["2025-06-15T15:06:40Z, until 2025-06-15T15:07:40Z; nobody knows whether it goes on"].assert_eq(&since(&incident));
    assert!(paragraphs(&incident).iter().all(|(heading, _)| *heading != "What to do next"));
}

#[test]
fn numbers_are_said_with_what_they_are() {
    let check = |name: &str, value: f64, unit: &str, threshold: Option<f64>, expect: &str| {
        let input = FindingInput { name: name.into(), value, unit: unit.into(), threshold };
        assert_eq!(Input(&input).to_string(), expect);
    };
    check("limited_share", 0.99, "share", Some(0.2), "limited: 99 % (threshold 20 %)");
    check("dead", 0.256, "share of visits", Some(0.5), "dead: 25.6 % of visits (threshold 50 %)");
    check("share", 0.5, "share", None, "share: 50 %");
    check("tens", 20.0, "messages", None, "tens: 20 messages");
    check("messages", 1.0, "messages", Some(1.0), "messages: 1 (threshold 1)");
    check("pings_in_a_minute", 4_070.0, "pings", Some(120.0), "pings in a minute: 4070 (threshold 120)");
    check("hosts", 1.0, "addresses", None, "hosts: 1 address");
    check("lost", 1.0, "peers", Some(2.0), "lost: 1 peer (threshold 2)");
    check("handler", 0.987_654, "", None, "handler: 0.99");
    check("gap", 0.001_23, "seconds", None, "gap: 0.0012 seconds");
    check("drift", -12.34, "", None, "drift: -12.3");
}

#[test]
fn what_lasts_is_counted_in_words() {
    let check = |findings: u64, lasting: u64, reopened: u32, state: IncidentState, expect: &str| {
        let mut incident = Incident { findings, lasting, reopened, ..incident() };
        incident.set_state(state);
        let line = line(&incident);
        assert!(line.ends_with(expect), "{line}");
    };
    check(1, 1, 0, IncidentState::Open, "at alice (1 finding, it lasts)");
    check(1, 0, 0, IncidentState::Open, "at alice (1 finding, none lasts)");
    check(2, 1, 1, IncidentState::Open, "at alice (2 findings, 1 lasts, back once)");
    check(3, 2, 2, IncidentState::Acknowledged, "at alice (3 findings, 2 last, back 2 times)");
    // closed by somebody while it lasts
    check(1, 1, 0, IncidentState::Resolved, "at alice (1 finding)");
}

#[test]
fn times_that_are_not_there_are_absent() {
    let json = |incident: &Incident| serde_json::to_value(incident).unwrap();
    assert_eq!((json(&incident()).get("resolved"), json(&incident()).get("resolvedText")), (None, None));
    let over = json(&Incident { resolved: Some(1_750_000_000_000_000_000), ..incident() });
    assert_eq!((&over["resolved"], &over["resolvedText"]), (&"1750000000000000000".into(), &"2025-06-15T15:06:40Z".into()));
}
