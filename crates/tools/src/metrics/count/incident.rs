//! Incidents: how many are open.

use std::collections::BTreeMap;

use event::{IncidentDelivered, IncidentState, Kind, Severity};

use crate::metrics::cells::Cells;
use crate::metrics::label::Label as _;
use crate::metrics::node::Node;
use crate::metrics::table;
use crate::metrics::vocabulary::Receiver;

/// Incidents that are followed; far more than ever last, because what comes too fast is one storm.
const MOST: usize = 1024;

/// Receivers of messages that are followed.
const RECEIVERS: usize = 64;

/// What is known of incidents, and of messages about them.
#[derive(Debug, Default)]
pub struct Incidents {
    /// Those that last, by number: where in its life each is, and how bad.
    lasting: BTreeMap<u64, (IncidentState, Severity)>,
    /// What receivers said last, by kind and place.
    delivered: BTreeMap<(usize, u32), IncidentDelivered>,
}

/// A statement about an incident.
pub fn said(node: &mut Node, kind: &Kind) {
    let opened = matches!(kind, Kind::IncidentOpened(_) | Kind::IncidentReopened(_));
    let Some(incident) = detect::incident::of(kind) else { return };
    let lasting = &mut node.incidents.lasting;
    if let Some(before) = lasting.remove(&incident.number) {
        change(&mut node.cells, before, -1.0);
    }
    if incident.state() != IncidentState::Resolved && lasting.len() < MOST {
        let now = (incident.state(), incident.severity());
        lasting.insert(incident.number, now);
        change(&mut node.cells, now, 1.0);
    }
    if opened {
        table::INCIDENTS_OPENED.add(&mut node.cells, (incident.severity(),), 1);
    }
}

/// How messages go.
pub fn delivered(node: &mut Node, said: &IncidentDelivered) {
    let kind = Receiver::of(&said.receiver);
    let all = &mut node.incidents.delivered;
    let place = (kind.index(), said.place);
    if all.len() < RECEIVERS || all.contains_key(&place) {
        all.insert(place, said.clone());
    }
    let alike: Vec<&IncidentDelivered> = all.range((kind.index(), 0)..=(kind.index(), u32::MAX)).map(|(_, said)| said).collect();
    let sum = |of: fn(&IncidentDelivered) -> u64| alike.iter().map(|said| of(said)).fold(0, u64::saturating_add) as f64;
    let rows = [
        (table::INCIDENT_MESSAGES, sum(|said| said.sent)),
        (table::INCIDENT_MESSAGES_FAILED, sum(|said| said.failed)),
        (table::INCIDENT_MESSAGES_LOST, sum(|said| said.refused.saturating_add(said.dropped))),
        (table::INCIDENT_MESSAGES_WAITING, sum(|said| said.waiting)),
    ];
    // one that never took anything is worst off, and has no time
    let success = alike.iter().map(|said| said.last_success).min().flatten();
    for (row, value) in rows {
        row.set(&mut node.cells, (kind,), value);
    }
    table::INCIDENT_MESSAGES_SUCCESS.set_or_forget(&mut node.cells, (kind,), success.map(|seconds| seconds as f64));
}

/// Whoever kept the book is gone: nobody knows what is open, and what waits. What was opened stays counted.
pub fn forget(cells: &mut Cells) {
    table::INCIDENTS.fill(cells, f64::NAN);
    for gauge in [
        table::INCIDENT_MESSAGES,
        table::INCIDENT_MESSAGES_FAILED,
        table::INCIDENT_MESSAGES_LOST,
        table::INCIDENT_MESSAGES_WAITING,
        table::INCIDENT_MESSAGES_SUCCESS,
    ] {
        gauge.fill(cells, f64::NAN);
    }
}

/// One more or one less; where none is left there is no series.
fn change(cells: &mut Cells, labels: (IncidentState, Severity), by: f64) {
    let now = table::INCIDENTS.get(cells, labels).unwrap_or(0.0) + by;
    table::INCIDENTS.set_or_forget(cells, labels, (now > 0.0).then_some(now));
}
