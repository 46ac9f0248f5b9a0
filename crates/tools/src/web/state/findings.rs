//! What detectors concluded: the last word on each finding.

use std::collections::HashMap;
use std::sync::Arc;

use event::Event;
use serde_json::Value;

use super::super::schema;

/// Findings remembered, all nodes together; the oldest that are over give way first.
const FINDINGS: usize = 500;

/// Findings by id.
#[derive(Debug, Default)]
pub struct Findings(HashMap<String, Finding>);

/// One finding.
#[derive(Debug)]
pub struct Finding {
    /// When it was first heard of, nanoseconds since the epoch.
    pub since: u64,
    /// Whether it is neither cleared nor expired.
    pub active: bool,
    /// Whether it is about all nodes.
    pub fleet: bool,
    /// The last that was said of it; each repeats all that is known.
    pub event: Arc<Event>,
}

impl Findings {
    /// `fleet`: whether the event is about all nodes.
    pub fn observe(&mut self, event: &Arc<Event>, fleet: bool) {
        let Some(id) = event.id().filter(|id| id.family() == "finding") else { return };
        let name = name(event);
        let active = matches!(id.short_name(), "opened" | "updated");
        if let Some(finding) = self.0.get_mut(&name) {
            (finding.active, finding.event) = (active, Arc::clone(event));
            return;
        }
        if self.0.len() >= FINDINGS {
            let oldest = self.0.iter().min_by_key(|(_, finding)| (finding.active, finding.since)).map(|(name, _)| name.clone());
            oldest.and_then(|oldest| self.0.remove(&oldest));
        }
        self.0.insert(name, Finding { since: event.time, active, fleet, event: Arc::clone(event) });
    }

    /// Newest first.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Finding)> {
        let mut all: Vec<_> = self.0.iter().map(|(name, finding)| (name.as_str(), finding)).collect();
        all.sort_unstable_by_key(|(name, finding)| (std::cmp::Reverse(finding.since), *name));
        all.into_iter()
    }
}

/// Its own id, or, where it has none, its place in the stream.
fn name(event: &Event) -> String {
    let body = body(event);
    let own = [&body["id"], &body["finding"]["id"]].into_iter().find_map(Value::as_str).filter(|id| !id.is_empty());
    own.map_or_else(|| format!("{}-{}-{}", event.node, event.run, event.sequence), |id| format!("{}-{id}", event.node))
}

/// The message of an event without its envelope, as the one JSON form has it.
pub fn body(event: &Event) -> Value {
    let Some(id) = event.id() else { return Value::Null };
    let mut event = serde_json::to_value(event).expect("an event is JSON");
    event.get_mut(schema::field_of(id.name())).map(Value::take).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of every kind: the name of the field follows from the kind's.
    #[test]
    fn every_event_has_a_body() {
        for event in testkit::events::samples() {
            assert!(body(&event).is_object(), "{:?}", event.id());
        }
    }
}
