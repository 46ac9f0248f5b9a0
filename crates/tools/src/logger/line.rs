//! An event as a line for people.
//!
//! ```text
//! 10:31:07.123456 alice --> 12 inv items=35 (35 wtx) · 1.2.3.4:8333 outbound_full_relay
//! 10:31:07.201113 alice <-- 12 getdata items=2 (2 wtx) · 1.2.3.4:8333 outbound_full_relay
//! 10:31:08.000312 alice # CONN closed peer=12 address=1.2.3.4:8333 …
//! 10:31:08.000312 alice ! WARN opened D39 inv_queue node: many announcements wait: 12000 for one peer, …
//! 10:31:08.000312 _fleet # INCIDENT opened 17: warn, open, inv_queue (D39) at alice (1 finding, it lasts)
//! ```
//!
//! `-->` goes to the peer, `<--` comes from it; everything else begins with its family. Nothing here knows a kind by name, findings
//! and incidents excepted, which are sentences: a new kind in the schema is shown without a change.

use std::fmt;

use anstyle::{AnsiColor, Style};
use event::text::{Fields, Printable, Value};
use event::{Direction, Event, Finding, Incident, Kind, Net, Severity};

use crate::incidents::words;

/// Whether to use escape sequences for colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Colour {
    /// Use them.
    On,
    /// Plain text.
    Off,
}

/// Shows an event as a line, without the line break.
pub struct Line<'a>(pub &'a Event, pub Colour);

const DIM: Style = Style::new().dimmed();
const TO_PEER: Style = AnsiColor::Green.on_default();
const FROM_PEER: Style = AnsiColor::Cyan.on_default();
const TROUBLE: Style = AnsiColor::Red.on_default().bold();
const FACT: Style = AnsiColor::Yellow.on_default();

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(event, colour) = *self;
        let paint = |style: Style| Paint(if colour == Colour::On { style } else { Style::new() });
        let dim = paint(DIM);
        write!(f, "{dim}{}{dim:#} ", Clock(event.time))?;
        if !event.node.is_empty() {
            write!(f, "{} ", Printable(&event.node))?;
        }
        let Some(kind) = &event.kind else { return write!(f, "? a kind of event that this release does not know") };
        if let Some(incident) = detect::incident::of(kind) {
            return told(f, kind, incident, paint);
        }
        match (kind.net(), detect::finding::of(event)) {
            (Some(net), _) => message(f, kind, &net, paint),
            (None, Some(finding)) => found(f, kind, finding, paint),
            (None, None) => fact(f, kind, paint),
        }
    }
}

fn message(f: &mut fmt::Formatter<'_>, kind: &Kind, net: &Net<'_>, paint: impl Fn(Style) -> Paint) -> fmt::Result {
    let (arrow, style) = match net.direction {
        Direction::Outbound => ("-->", TO_PEER),
        Direction::Inbound => ("<--", FROM_PEER),
        Direction::Unspecified => ("---", FACT),
    };
    let style = paint(if matches!(kind, Kind::NetUndecodable(_)) { TROUBLE } else { style });
    write!(f, "{style}{arrow} {} {}{style:#}", net.peer, kind.id().short_name())?;
    // the seven that every message has are shown in their own way
    let common = ["peer", "direction", "address", "connection_type", "network", "size", "raw"];
    values(f, kind, &common)?;
    let dim = paint(DIM);
    write!(f, "{dim} · {} B", net.size)?;
    if !net.address.is_empty() {
        write!(f, " · {}", Printable(net.address))?;
    }
    if net.connection_type != event::ConnectionType::Unspecified {
        write!(f, " {}", net.connection_type.word())?;
    }
    write!(f, "{dim:#}")
}

fn fact(f: &mut fmt::Formatter<'_>, kind: &Kind, paint: impl Fn(Style) -> Paint) -> fmt::Result {
    let id = kind.id();
    let trouble = matches!(
        kind,
        Kind::HealthLost(_) | Kind::HealthDetached(_) | Kind::HealthDiverged(_) | Kind::ConnMisbehaving(_) | Kind::ConnEvicted(_)
    );
    let style = paint(if trouble { TROUBLE } else { FACT });
    write!(f, "{style}# {} {}{style:#}", id.family().to_ascii_uppercase(), id.short_name())?;
    values(f, kind, &[])
}

/// How bad, what it is and about whom, the sentence.
fn found(f: &mut fmt::Formatter<'_>, kind: &Kind, finding: &Finding, paint: impl Fn(Style) -> Paint) -> fmt::Result {
    let Finding { detector, name, summary, unknown, .. } = finding;
    let over = matches!(kind, Kind::FindingCleared(_) | Kind::FindingExpired(_));
    let style = paint(match finding.severity() {
        _ if over => TO_PEER,
        Severity::Critical | Severity::Warn => TROUBLE,
        Severity::Info | Severity::Unspecified => FACT,
    });
    let severity = finding.severity().word().to_ascii_uppercase();
    write!(f, "{style}! {severity} {} {} {}{style:#}", kind.id().short_name(), Printable(detector), Printable(name))?;
    if let Some(entity) = &finding.entity {
        write!(f, " {}", entity.kind().word())?;
        if let Some(peer) = entity.peer {
            write!(f, " {peer}")?;
        }
        for text in [&entity.address, &entity.name].into_iter().filter(|text| !text.is_empty()) {
            write!(f, " {}", Printable(text))?;
        }
    }
    write!(f, ": {}", Printable(summary))?;
    if *unknown {
        f.write_str(" (unknown: events are missing)")?;
    }
    let dim = paint(DIM);
    write!(f, "{dim} · {}{dim:#}", Printable(&finding.id))
}

/// What became of an incident: which, how bad it is, what it is about, who did it.
fn told(f: &mut fmt::Formatter<'_>, kind: &Kind, incident: &Incident, paint: impl Fn(Style) -> Paint) -> fmt::Result {
    let bad = matches!(incident.severity(), Severity::Critical | Severity::Warn);
    let style = paint(match kind {
        Kind::IncidentResolved(_) => TO_PEER,
        Kind::IncidentOpened(_) | Kind::IncidentReopened(_) if bad => TROUBLE,
        Kind::IncidentChanged(changed) if bad && (changed.worse || changed.spread) => TROUBLE,
        _ => FACT,
    });
    write!(f, "{style}# INCIDENT {}{style:#} {}", kind.id().short_name(), words::news(kind, incident))
}

/// What an event says besides whom it is about, in the words of a line.
pub struct Values<'a>(pub &'a Kind);

impl fmt::Display for Values<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        let common = ["peer", "direction", "address", "connection_type", "network", "size", "raw"];
        values(&mut text, self.0, &common)?;
        f.write_str(text.trim_start())
    }
}

fn values(f: &mut impl fmt::Write, of: &dyn Fields, skip: &[&str]) -> fmt::Result {
    let mut result = Ok(());
    of.fields(&mut |name, value| {
        if result.is_ok() && !skip.contains(&name) {
            result = one(f, name, value);
        }
    });
    result
}

fn one(f: &mut impl fmt::Write, name: &str, value: Value<'_>) -> fmt::Result {
    match value {
        // of a message inside, what it begins with: the hash of a header
        Value::Part(part) => first(f, part),
        Value::List(0, _) => Ok(()),
        Value::List(length, words) => {
            write!(f, " {name}={length}")?;
            counts(f, words)
        }
        Value::Scalar(value) => {
            let text = value.to_string();
            if text.is_empty() {
                Ok(())
            } else if text.contains(' ') {
                write!(f, " {name}={text:?}")
            } else {
                write!(f, " {name}={text}")
            }
        }
    }
}

fn first(f: &mut impl fmt::Write, of: &dyn Fields) -> fmt::Result {
    let mut result = None;
    of.fields(&mut |name, value| {
        result.get_or_insert_with(|| one(f, name, value));
    });
    result.unwrap_or(Ok(()))
}

/// ` (30 ipv4, 5 onion)`
fn counts(f: &mut impl fmt::Write, words: &mut dyn Iterator<Item = &'static str>) -> fmt::Result {
    // a handful of words at the most: they are names of an enumeration
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for word in words {
        match counts.iter_mut().find(|(known, _)| *known == word) {
            Some((_, count)) => *count += 1,
            None => counts.push((word, 1)),
        }
    }
    for (at, (word, count)) in counts.iter().enumerate() {
        write!(f, "{}{count} {word}", if at == 0 { " (" } else { ", " })?;
    }
    if counts.is_empty() { Ok(()) } else { f.write_char(')') }
}

/// Time of day in UTC, to the microsecond; blank where there is no time.
struct Clock(u64);

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAY: u64 = 86_400;
        if self.0 == 0 {
            return f.pad("--:--:--.------");
        }
        let (seconds, micros) = (self.0 / 1_000_000_000 % DAY, self.0 / 1000 % 1_000_000);
        write!(f, "{:02}:{:02}:{:02}.{micros:06}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
}

/// A style that is written with `{}` and ended with `{:#}`.
#[derive(Clone, Copy)]
struct Paint(Style);

impl fmt::Display for Paint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
