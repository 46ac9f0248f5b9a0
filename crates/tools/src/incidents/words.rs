//! Incidents as text, for people: in a terminal, and in messages.
//!
//! Everything here reads an `Incident` and nothing else, so what was redacted before stays so.

use std::fmt::{self, Write as _};

use detect::About;
use event::text::{Printable, Rfc3339};
use event::{Event, Finding, FindingEnd, FindingEntity, Incident, IncidentState, Kind, Severity, Verdict};

use super::runbook;
use super::slice::Slice;

/// Nodes and strangers that are named before it says how many more there are.
const NAMED: usize = 8;
/// Numbers of a finding that are named.
const NUMBERS: usize = 4;

/// A line for a list.
pub fn line(incident: &Incident) -> String {
    let Incident { number, findings, lasting, .. } = *incident;
    let (state, severity) = (incident.state().word(), incident.severity().word());
    let opened = Rfc3339::from_nanos(incident.opened);
    let owner = if incident.owner.is_empty() { String::new() } else { format!(", {} looks at it", Printable(&incident.owner)) };
    let again = if incident.reopened > 0 { format!(", back {} times", incident.reopened) } else { String::new() };
    let title = title(incident);
    format!("{number:>5}  {state:<12} {severity:<8} {opened}  {title} ({}, {lasting} last{again}{owner})", counted(findings))
}

/// What it is, in a few words: `inv_queue (D39) at alice`.
pub fn title(incident: &Incident) -> String {
    let mut text = String::new();
    let finding = incident.finding.as_ref();
    match finding {
        Some(finding) if incident.family != detect::incident::STORM => {
            let _ = write!(text, "{} ({})", Printable(&finding.name), Printable(&finding.detector));
        }
        _ => text.push_str("a storm of findings"),
    }
    let _ = match incident.places.as_slice() {
        [] => write!(text, " over the whole fleet"),
        [one] if incident.elsewhere == 0 => write!(text, " at {}", Printable(&one.node)),
        many => write!(text, " at {} nodes", many.len()),
    };
    text
}

/// What a change of an incident is called: `opened`, `worse`.
pub fn change(kind: &Kind) -> &'static str {
    match kind {
        Kind::IncidentOpened(_) => "opened",
        Kind::IncidentChanged(changed) if changed.worse => "worse",
        Kind::IncidentChanged(changed) if changed.spread => "at more nodes",
        Kind::IncidentChanged(_) => "many more findings",
        Kind::IncidentNoted(_) => "a note was added",
        Kind::IncidentAcknowledged(_) => "somebody looks at it",
        Kind::IncidentResolved(_) => "resolved",
        Kind::IncidentReopened(_) => "back",
        Kind::IncidentKept(_) => "evidence was kept",
        _ => "changed",
    }
}

/// What is known of it, in paragraphs: what, where, since when, how sure, what it does not prove, what to do next.
pub fn paragraphs(incident: &Incident) -> Vec<(&'static str, String)> {
    let nothing = Finding::default();
    let finding = incident.finding.as_ref().unwrap_or(&nothing);
    let about = about(&finding.detector);
    let mut out = vec![("What", what(incident, finding, about)), ("Where", places(incident))];
    if !incident.strangers.is_empty() {
        out.push(("Whom", strangers(incident)));
    }
    out.push(("Since", since(incident)));
    out.push(("How sure", sure(incident, finding)));
    let proof = about.map_or(finding.does_not_prove.as_str(), |about| about.does_not_prove);
    if !proof.is_empty() {
        out.push(("What it does not prove", Printable(proof).to_string()));
    }
    if incident.state() != IncidentState::Resolved {
        out.push(("What to do next", runbook::what_to_do(&incident.family, &finding.detector).to_owned()));
    }
    if !incident.similar.is_empty() {
        let numbers: Vec<String> = incident.similar.iter().map(ToString::to_string).collect();
        out.push(("Similar", format!("incidents {}", numbers.join(", "))));
    }
    out
}

fn about(detector: &str) -> Option<&'static About> {
    detect::all().iter().map(|entry| entry.about).find(|about| about.id == detector)
}

fn what(incident: &Incident, finding: &Finding, about: Option<&About>) -> String {
    let mut text = match about {
        _ if incident.family == detect::incident::STORM => {
            "More findings than incidents can be made of: each is in the timeline of this one. The worst of them: ".to_owned()
        }
        _ => String::new(),
    };
    let _ = match about {
        Some(about) => write!(text, "{}.", about.title),
        None => write!(text, "{} ({}).", Printable(&finding.name), Printable(&finding.detector)),
    };
    for input in finding.inputs.iter().take(NUMBERS) {
        let _ = write!(text, " {} {}", Printable(&input.name).to_string().replace('_', " "), Number(input.value));
        if !input.unit.is_empty() {
            let _ = write!(text, " {}", Printable(&input.unit));
        }
        if let Some(threshold) = input.threshold {
            let _ = write!(text, " (threshold {})", Number(threshold));
        }
        text.push('.');
    }
    let more: Vec<&str> = incident.detectors.iter().map(String::as_str).filter(|id| *id != finding.detector).collect();
    if !more.is_empty() {
        let more = more.join(" ");
        let _ = write!(text, " Seen by {}, too.", Printable(&more));
    }
    text
}

fn places(incident: &Incident) -> String {
    if incident.places.is_empty() {
        return "the whole fleet".to_owned();
    }
    let names = incident.places.iter().map(|place| format!("{} ({})", Printable(&place.node), counted(place.findings)));
    let mut text = listed(names, incident.places.len());
    if incident.elsewhere > 0 {
        let _ = write!(text, ", and {} at further nodes", counted(incident.elsewhere));
    }
    text
}

fn strangers(incident: &Incident) -> String {
    let mut text = listed(incident.strangers.iter().map(|entity| Entity(entity).to_string()), incident.strangers.len());
    if incident.others > 0 {
        let _ = write!(text, ", and {} about others", counted(incident.others));
    }
    text
}

fn listed(names: impl Iterator<Item = String>, all: usize) -> String {
    let named: Vec<String> = names.take(NAMED).collect();
    let more = all - named.len();
    if more > 0 { format!("{}, and {more} more", named.join(", ")) } else { named.join(", ") }
}

fn since(incident: &Incident) -> String {
    let mut text = Rfc3339::from_nanos(incident.opened).to_string();
    if incident.resolved > 0 {
        let _ = write!(text, ", until {}", Rfc3339::from_nanos(incident.resolved));
    }
    match incident.end() {
        _ if incident.resolved == 0 => {}
        FindingEnd::Silent | FindingEnd::Crowded => text.push_str("; nobody knows whether it goes on"),
        FindingEnd::Gone => text.push_str("; whom it was about is gone"),
        FindingEnd::Cleared | FindingEnd::Unspecified => {}
    }
    text
}

fn sure(incident: &Incident, finding: &Finding) -> String {
    let verdict = match finding.verdict() {
        Verdict::Benign => "known, and harmless",
        Verdict::Investigate => "an innocent cause is possible: look at the evidence",
        Verdict::Act => "no innocent cause is known",
        Verdict::Unspecified => "nobody says",
    };
    let mut text = format!("{verdict}; {:.1} times what is just enough, {}", finding.score, counted(incident.findings));
    if incident.unknown {
        text.push_str("; events are missing, so it is neither confirmed nor over");
    }
    text
}

fn counted(findings: u64) -> String {
    if findings == 1 { "1 finding".to_owned() } else { format!("{findings} findings") }
}

/// A number as people read it.
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.fract() == 0.0 && self.0.abs() < 1e15 { write!(f, "{}", self.0) } else { write!(f, "{:.2}", self.0) }
    }
}

/// Whom or what a finding is about.
struct Entity<'a>(&'a FindingEntity);

impl fmt::Display for Entity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.kind().word())?;
        if let Some(peer) = self.0.peer {
            write!(f, " {peer}")?;
        }
        for text in [&self.0.address, &self.0.name].into_iter().filter(|text| !text.is_empty()) {
            write!(f, " {}", Printable(text))?;
        }
        Ok(())
    }
}

/// An entry of a timeline.
pub fn entry(event: &Event) -> String {
    let time = Rfc3339::from_nanos(event.time);
    let told = |what: &str, by: &str, text: &str| {
        let by = if by.is_empty() { String::new() } else { format!(" by {}", Printable(by)) };
        let text: Vec<String> = text.lines().map(|line| format!("\n    {}", Printable(line))).collect();
        format!("{time}  {what}{by}{}", text.concat())
    };
    match (&event.kind, detect::finding::of(event)) {
        (Some(kind), Some(finding)) => {
            let node = Printable(&event.node);
            let what = kind.id().short_name();
            let about = finding.entity.as_ref().map(|entity| Entity(entity).to_string()).unwrap_or_default();
            let (detector, name, severity) = (Printable(&finding.detector), Printable(&finding.name), finding.severity().word());
            format!("{time}  {what} {detector} {name} {severity} at {node}, {about}: {}", Printable(&finding.summary))
        }
        (Some(Kind::IncidentNoted(note)), _) => told("note", &note.by, &note.text),
        (Some(Kind::IncidentAcknowledged(done)), _) => told("acknowledged", &done.by, ""),
        (Some(Kind::IncidentResolved(done)), _) => told("resolved", &done.by, &done.text),
        (Some(Kind::IncidentKept(kept)), _) if kept.file.is_empty() => told("no evidence kept", "", &kept.problem),
        (Some(Kind::IncidentKept(kept)), _) => {
            told(&format!("{} events kept in {}", kept.events, Printable(&kept.file)), "", &kept.problem)
        }
        (Some(kind), None) => {
            let severity = detect::incident::of(kind).map_or(Severity::Unspecified, Incident::severity).word();
            told(&format!("incident {} ({severity})", change(kind)), "", "")
        }
        (None, _) => format!("{time}  something that this release does not know"),
    }
}

/// Evidence, in a line.
pub fn evidence(slice: &Slice) -> String {
    let (from, to) = (Rfc3339::from_nanos(slice.from), Rfc3339::from_nanos(slice.to));
    let node = if slice.node.is_empty() { "all nodes" } else { slice.node.as_str() };
    let peer = slice.peer.map(|peer| format!(", peer {peer}")).unwrap_or_default();
    let what = match (slice.is_wanted(), slice.file.as_str()) {
        (true, _) => "is still to be cut".to_owned(),
        (_, "") => format!("not kept: {}", Printable(&slice.problem)),
        (_, file) if slice.problem.is_empty() => format!("{file}, {} events, {} bytes", slice.events, slice.bytes),
        (_, file) => format!("{file}, {} events, not whole: {}", slice.events, Printable(&slice.problem)),
    };
    format!("{from} to {to}, {}{peer}: {what}", Printable(node))
}

#[cfg(test)]
mod tests;
