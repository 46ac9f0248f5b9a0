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
        What: The queue of announcements grows, the message handler is saturated. largest queue 20000 transactions (threshold 10000). handler 0.99. Seen by D28, too.
        Where: alice (3 findings)
        Whom: range 203.0.113.0/24
        Since: 2025-06-15T15:06:40Z
        How sure: an innocent cause is possible: look at the evidence; 2.0 times what is just enough, 3 findings
        What it does not prove: that anybody means harm: a rush of ordinary transactions does the same
        What to do next: 1. Look at the mempool's growth. A rush of real transactions (an auction, a mint) passes; nothing has to be done but to watch for lost
        Similar: incidents 4
    "#]].assert_eq(&text);
}

#[test]
fn the_end_says_what_is_known_of_it() {
    let mut incident = incident();
    incident.set_state(IncidentState::Resolved);
    incident.resolved = incident.opened + 60_000_000_000;
    incident.set_end(FindingEnd::Silent);
    expect!["2025-06-15T15:06:40Z, until 2025-06-15T15:07:40Z; nobody knows whether it goes on"].assert_eq(&since(&incident));
    assert!(paragraphs(&incident).iter().all(|(heading, _)| *heading != "What to do next"));
}
