//! Incidents, as events of the family `incident` tell of them: the last word on each, what happened to it, what was kept of it.
//!
//! Nothing here knows the book. Each of these events repeats all that is known, so whoever hears them shows the same, also where the book is
//! on another machine; and one that is heard for the first time in the middle of its life is shown from there on.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use event::{Event, Incident, IncidentKept, IncidentState, Kind, Severity};

use super::peer::keep;
use crate::incidents::words;

/// Incidents remembered; the one that changed longest ago gives way, those that are over first.
const INCIDENTS: usize = 256;
/// What happened to one, the latest.
const ENTRIES: usize = 64;
/// Of what somebody wrote, bytes; a page for many incidents does not hold sixteen kilobytes of each note.
const TEXT: usize = 2 << 10;
/// Slices of evidence of one: as many as a book keeps.
const EVIDENCE: usize = 8;
/// How many times as many findings are worth an entry.
const MANY: u64 = 10;
/// Receivers of messages.
const RECEIVERS: usize = 32;

/// Incidents by book and number.
#[derive(Debug, Default)]
pub struct Incidents {
    known: BTreeMap<(String, u64), Known>,
    /// How messages about them go: the last `incident.delivered`, by kind and place.
    receivers: BTreeMap<(String, u32), Arc<Event>>,
}

/// One incident.
#[derive(Debug)]
pub struct Known {
    /// The last word on it: what has the highest revision.
    pub incident: Incident,
    /// Whether it was heard from its beginning.
    pub whole: bool,
    /// What happened to it, in the order in which it was told.
    pub timeline: VecDeque<Entry>,
    /// How many entries had to give way.
    pub left: u64,
    /// Findings when something was last written down.
    findings: u64,
    /// What is kept beside the book, or could not be.
    pub evidence: VecDeque<IncidentKept>,
}

/// What happened.
#[derive(Debug)]
pub struct Entry {
    /// When, nanoseconds since the epoch.
    pub time: u64,
    /// `opened`, `worse`, `resolved`, …
    pub what: &'static str,
    /// How bad it was then.
    pub severity: Severity,
    /// Who did it; empty if nobody did.
    pub by: String,
    /// What was written, or found.
    pub text: String,
    /// Whether the text is longer than what is here.
    pub cut: bool,
}

impl Incidents {
    pub fn observe(&mut self, event: &Arc<Event>) {
        let Some(kind) = &event.kind else { return };
        if let Kind::IncidentDelivered(said) = kind {
            let place = (said.receiver.clone(), said.place);
            if self.receivers.len() < RECEIVERS || self.receivers.contains_key(&place) {
                self.receivers.insert(place, Arc::clone(event));
            }
            return;
        }
        let Some(incident) = detect::incident::of(kind) else { return };
        let name = (incident.book.clone(), incident.number);
        match self.known.get_mut(&name) {
            Some(known) => known.hear(event.time, kind, incident),
            None => {
                if self.known.len() >= INCIDENTS {
                    self.forget_one();
                }
                let mut known = Known {
                    incident: incident.clone(),
                    whole: matches!(kind, Kind::IncidentOpened(_)),
                    timeline: VecDeque::new(),
                    left: 0,
                    findings: incident.findings,
                    evidence: VecDeque::new(),
                };
                // what is only said again did not happen now
                if !is_again(kind) {
                    known.write_down(event.time, kind, incident);
                }
                self.known.insert(name, known);
            }
        }
    }

    fn forget_one(&mut self) {
        let age = |known: &Known| (known.incident.state() != IncidentState::Resolved, known.incident.changed);
        let oldest = self.known.iter().min_by_key(|(_, known)| age(known)).map(|(name, _)| name.clone());
        oldest.and_then(|name| self.known.remove(&name));
    }

    /// Those that last first, then those that changed last.
    pub fn iter(&self) -> impl Iterator<Item = &Known> {
        let mut all: Vec<&Known> = self.known.values().collect();
        all.sort_unstable_by_key(|known| {
            let Incident { changed, number, .. } = known.incident;
            (known.incident.state() == IncidentState::Resolved, std::cmp::Reverse((changed, number)))
        });
        all.into_iter()
    }

    /// One by its number; where several books are heard, of the book that is named, or of the one that spoke last.
    pub fn find(&self, number: u64, book: Option<&str>) -> Option<&Known> {
        let fits = |known: &&Known| known.incident.number == number && book.is_none_or(|book| known.incident.book == book);
        self.known.values().filter(fits).max_by_key(|known| known.incident.changed)
    }

    /// What receivers of messages said last.
    pub fn receivers(&self) -> impl Iterator<Item = &Arc<Event>> {
        self.receivers.values()
    }
}

impl Known {
    fn hear(&mut self, time: u64, kind: &Kind, incident: &Incident) {
        // of two statements the higher is the later, whichever came first
        let newer = incident.revision > self.incident.revision;
        if newer {
            self.incident = incident.clone();
        }
        // of a change that nobody is told of it counts only how it is now
        if !is_again(kind) || newer && incident.findings >= MANY.saturating_mul(self.findings.max(1)) {
            self.write_down(time, kind, incident);
        }
    }

    fn write_down(&mut self, time: u64, kind: &Kind, incident: &Incident) {
        self.findings = self.findings.max(incident.findings);
        if let Kind::IncidentKept(kept) = kind {
            // what is said of the same slice later counts: it may have given way
            self.evidence.retain(|known| (known.from, known.to) != (kept.from, kept.to));
            keep(&mut self.evidence, IncidentKept { incident: None, ..IncidentKept::clone(kept) }, EVIDENCE);
        }
        let unheard;
        let (by, text) = match kind {
            Kind::IncidentNoted(said) => (said.by.as_str(), said.text.as_str()),
            Kind::IncidentAcknowledged(said) => (said.by.as_str(), ""),
            Kind::IncidentResolved(said) => (said.by.as_str(), said.text.as_str()),
            Kind::IncidentKept(kept) => ("", if kept.file.is_empty() { kept.problem.as_str() } else { kept.file.as_str() }),
            Kind::IncidentChanged(changed) if changed.unheard > 0 => {
                unheard = words::unheard(changed.unheard);
                ("", unheard.as_str())
            }
            _ => ("", incident.finding.as_ref().map_or("", |finding| finding.summary.as_str())),
        };
        let what = match kind {
            Kind::IncidentKept(kept) if kept.file.is_empty() => "no evidence was kept",
            kind => words::change(kind),
        };
        let end = text.floor_char_boundary(TEXT);
        if self.timeline.len() >= ENTRIES {
            self.left += 1;
        }
        let severity = incident.severity();
        let entry = Entry { time, what, severity, by: by.to_owned(), text: text[..end].to_owned(), cut: end < text.len() };
        keep(&mut self.timeline, entry, ENTRIES);
    }
}

/// Whether it tells only of more of the same, or of nothing new: a book says every few seconds how incidents are to which something happened,
/// and at its start what lasts, for those who began to listen since.
fn is_again(kind: &Kind) -> bool {
    matches!(kind, Kind::IncidentChanged(changed) if !changed.worse && !changed.spread && changed.unheard == 0)
}
