//! Incidents as text, for people: in a terminal, and in messages.
//!
//! Everything here reads an `Incident` and nothing else, so what was redacted before stays so.

use std::fmt::{self, Write as _};

use detect::About;
use event::text::{Printable, Rfc3339};
use event::{Event, Finding, FindingEnd, FindingEntity, FindingInput, Incident, IncidentState, Kind, Severity, Verdict};

use super::runbook;
use super::slice::Slice;

/// Nodes and strangers that are named before it says how many more there are.
const NAMED: usize = 8;
/// Numbers of a finding that are named.
const NUMBERS: usize = 4;

/// A line for a list.
pub fn line(incident: &Incident) -> String {
    let (state, severity) = (incident.state().word(), incident.severity().word());
    let opened = Rfc3339::from_nanos(incident.opened);
    format!("{:>5}  {state:<12} {severity:<8} {opened}  {}", incident.number, told(incident))
}

/// What it is, how many findings say so, and who looks at it.
fn told(incident: &Incident) -> String {
    let mut told = vec![counted(incident.findings)];
    told.extend(lasting(incident));
    told.extend(match incident.reopened {
        0 => None,
        1 => Some("back once".to_owned()),
        times => Some(format!("back {times} times")),
    });
    told.extend((!incident.owner.is_empty()).then(|| format!("{} looks at it", Printable(&incident.owner))));
    format!("{} ({})", title(incident), told.join(", "))
}

/// How many of its findings last; of one that is over nobody asks.
fn lasting(incident: &Incident) -> Option<String> {
    match (incident.state(), incident.lasting, incident.findings) {
        (IncidentState::Resolved, ..) => None,
        (_, 0, _) => Some("none lasts".to_owned()),
        (_, 1, 1) => Some("it lasts".to_owned()),
        (_, 1, _) => Some("1 lasts".to_owned()),
        (_, lasting, _) => Some(format!("{lasting} last")),
    }
}

/// A change in a line, for who follows: what happened, to which incident, how bad it is, and who did it.
pub fn news(kind: &Kind, incident: &Incident) -> String {
    let by = match kind {
        Kind::IncidentNoted(said) => said.by.as_str(),
        Kind::IncidentAcknowledged(said) => said.by.as_str(),
        Kind::IncidentResolved(said) => said.by.as_str(),
        _ => "",
    };
    let by = if by.is_empty() { String::new() } else { format!(" by {}", Printable(by)) };
    let (state, severity) = (incident.state().word(), incident.severity().word());
    format!("{}{by}: {severity}, {state}, {}", incident.number, told(incident))
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
        [_] => write!(text, " at more than one node"),
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
        Kind::IncidentChanged(changed) if changed.unheard > 0 => "not found again",
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
        let incidents = if numbers.len() == 1 { "incident" } else { "incidents" };
        out.push(("Similar", format!("{incidents} {}", numbers.join(", "))));
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
    let numbers: Vec<String> = finding.inputs.iter().take(NUMBERS).map(|input| Input(input).to_string()).collect();
    if !numbers.is_empty() {
        let _ = write!(text, " {}.", numbers.join("; "));
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
    let Some(resolved) = incident.resolved else { return text };
    let _ = write!(text, ", until {}", Rfc3339::from_nanos(resolved));
    match incident.end() {
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

/// That findings count as over because nobody knows.
pub fn unheard(findings: u64) -> String {
    let go = if findings == 1 { "it goes" } else { "they go" };
    format!("the detectors were started anew, and have not said {} again: nobody knows whether {go} on", counted(findings))
}

fn events(count: u64) -> String {
    if count == 1 { "1 event".to_owned() } else { format!("{count} events") }
}

fn counted(findings: u64) -> String {
    if findings == 1 { "1 finding".to_owned() } else { format!("{findings} findings") }
}

/// A number that a finding rests on: what it is, how much, of what. A share is in percent, and its name does not say so again.
struct Input<'a>(&'a FindingInput);

impl fmt::Display for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(FindingInput { name, value, unit, threshold }) = self;
        let share = unit.strip_prefix("share");
        let name = Printable(name).to_string().replace('_', " ");
        let name = if share.is_some() { name.strip_suffix(" share").unwrap_or(&name) } else { &name };
        let times = if share.is_some() { 100.0 } else { 1.0 };
        let unit = match share {
            Some(rest) => format!(" %{rest}"),
            // what the name says is not said again
            None if unit.is_empty()
                || name == *unit
                || name.starts_with(&format!("{unit} "))
                || name.ends_with(&format!(" {unit}")) =>
            {
                String::new()
            }
            None => format!(" {unit}"),
        };
        let unit = Printable(&unit).to_string();
        let of_one = if *value == 1.0 { singular(&unit) } else { &unit };
        write!(f, "{name}: {}{of_one}", Number(value * times))?;
        match threshold {
            Some(threshold) if share.is_some() => write!(f, " (threshold {} %)", Number(threshold * times)),
            Some(threshold) => write!(f, " (threshold {})", Number(*threshold)),
            None => Ok(()),
        }
    }
}

/// The word for one of what a unit counts.
fn singular(unit: &str) -> &str {
    unit.strip_suffix("sses").map_or_else(|| unit.strip_suffix('s').unwrap_or(unit), |_| &unit[..unit.len() - 2])
}

/// A number as people read it: to two places behind the point, or two digits of what is smaller.
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number) = *self;
        let places = match number.abs() {
            whole if whole.fract() == 0.0 || !whole.is_finite() => 0,
            large if large >= 100.0 => 0,
            medium if medium >= 10.0 => 1,
            small if small >= 0.01 => 2,
            tiny if tiny >= 0.000_1 => 4,
            _ => 6,
        };
        let text = format!("{number:.places$}");
        f.write_str(if places > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text })
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
            told(&format!("{} kept in {}", events(kept.events), Printable(&kept.file)), "", &kept.problem)
        }
        (Some(Kind::IncidentChanged(changed)), _) if changed.unheard > 0 => told(&unheard(changed.unheard), "", ""),
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
        (_, file) if slice.problem.is_empty() => format!("{file}, {}, {} bytes", events(slice.events), slice.bytes),
        (_, file) => format!("{file}, {}, not whole: {}", events(slice.events), Printable(&slice.problem)),
    };
    format!("{from} to {to}, {}{peer}: {what}", Printable(node))
}

#[cfg(test)]
mod tests;
