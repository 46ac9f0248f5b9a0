//! An incident as a page that needs nothing else, and the latest as an Atom feed (RFC 4287).

use std::fmt::{self, Write as _};

use event::text::{Printable, Rfc3339};
use event::{Event, Incident};
use serde_json::json;

use super::runbook;
use super::slice::Slice;
use super::words;

/// All there is of an incident.
#[derive(Clone, Debug, Default)]
pub struct Whole {
    /// Itself.
    pub incident: Incident,
    /// What happened.
    pub timeline: Vec<Event>,
    /// How many entries came before these, and are left out.
    pub left: u64,
    /// What is kept.
    pub slices: Vec<Slice>,
}

/// Text within markup. What nobody sees is written out, so that no line reads as another one.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, line) in self.0.split('\n').enumerate() {
            if at > 0 {
                f.write_char('\n')?;
            }
            for c in Printable(line).to_string().chars() {
                match c {
                    '&' => f.write_str("&amp;")?,
                    '<' => f.write_str("&lt;")?,
                    '>' => f.write_str("&gt;")?,
                    '"' => f.write_str("&quot;")?,
                    '\'' => f.write_str("&#39;")?,
                    c => f.write_char(c)?,
                }
            }
        }
        Ok(())
    }
}

/// As JSON: the one form of events, and what is beside them.
pub fn json(whole: &Whole) -> serde_json::Result<serde_json::Value> {
    let detector = whole.incident.finding.as_ref().map_or("", |finding| finding.detector.as_str());
    Ok(json!({
        "incident": serde_json::to_value(&whole.incident)?,
        "title": words::title(&whole.incident),
        "runbook": runbook::what_to_do(&whole.incident.family, detector),
        "evidence": serde_json::to_value(&whole.slices)?,
        "timeline": serde_json::to_value(&whole.timeline)?,
        "left": event::text::U64(whole.left),
    }))
}

/// As text.
pub fn text(whole: &Whole) -> String {
    let Whole { incident, timeline, slices, left } = whole;
    let mut out = format!("incident {}: {}\n", incident.number, words::title(incident));
    let _ = write!(out, "{}, {}", incident.state().word(), incident.severity().word());
    if !incident.owner.is_empty() {
        let _ = write!(out, ", {} looks at it", Printable(&incident.owner));
    }
    out.push('\n');
    for (heading, text) in words::paragraphs(incident) {
        let _ = write!(out, "\n{heading}\n");
        indented(&mut out, text.lines());
    }
    if !slices.is_empty() {
        out.push_str("\nEvidence\n");
        indented(&mut out, slices.iter().map(words::evidence));
    }
    out.push_str("\nTimeline\n");
    indented(&mut out, before(*left).into_iter());
    indented(&mut out, timeline.iter().map(words::entry));
    out
}

/// What is said where the beginning of a timeline is left out.
fn before(left: u64) -> Option<String> {
    let entries = if left == 1 { "1 entry before these is".to_owned() } else { format!("{left} entries before these are") };
    (left > 0).then(|| format!("{entries} left out: `--most` says how many are shown"))
}

fn indented(out: &mut String, lines: impl Iterator<Item = impl fmt::Display>) {
    for line in lines {
        line.to_string().lines().for_each(|line| {
            let _ = writeln!(out, "  {line}");
        });
    }
}

/// As a page: no script, nothing fetched, readable in the dark and on paper.
pub fn html(whole: &Whole) -> String {
    const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}\
        h2{font-size:1rem;margin:1.5rem 0 .25rem}p{margin:0;white-space:pre-wrap;overflow-wrap:anywhere}\
        li{white-space:pre-wrap;overflow-wrap:anywhere;margin:.25rem 0}.c{font-weight:bold}";
    let Whole { incident, timeline, slices, left } = whole;
    let title = format!("Incident {}: {}", incident.number, words::title(incident));
    let title = Escaped(&title);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n<h1>{title}</h1>\n<p class=\"c\">{}, {}</p>\n",
        incident.state().word(),
        incident.severity().word(),
    );
    for (heading, text) in words::paragraphs(incident) {
        let _ = write!(out, "<h2>{heading}</h2>\n<p>{}</p>\n", Escaped(&text));
    }
    let mut list = |heading: &str, lines: &mut dyn Iterator<Item = String>| {
        let _ = write!(out, "<h2>{heading}</h2>\n<ol>\n");
        for line in lines {
            let _ = writeln!(out, "<li>{}</li>", Escaped(&line));
        }
        out.push_str("</ol>\n");
    };
    if !slices.is_empty() {
        list("Evidence", &mut slices.iter().map(words::evidence));
    }
    list("Timeline", &mut before(*left).into_iter().chain(timeline.iter().map(words::entry)));
    out.push_str("</html>\n");
    out
}

/// What a feed is of where no book is kept: of every book that is heard of.
pub const EVERY_BOOK: &str = "incidents";

/// As a feed, of a book or of [`EVERY_BOOK`]. Identifiers are of the book and the incident, so that a reader knows again what it had, wherever
/// the feed lies. `now` is nanoseconds since the epoch: a feed of nothing is as old as that.
pub fn atom(book: &str, incidents: &[Incident], now: u64) -> String {
    let updated = incidents.iter().map(|incident| incident.changed).max().unwrap_or(now);
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\">\n\
         <title>Incidents</title>\n<id>tag:peer-observer,2026:{}</id>\n<updated>{}</updated>\n<author><name>peer-observer</name></author>\n",
        Escaped(book),
        Rfc3339::from_nanos(updated),
    );
    for incident in incidents {
        let title = format!("{} {}: {}", incident.number, incident.state().word(), words::title(incident));
        let body: Vec<String> =
            words::paragraphs(incident).into_iter().map(|(heading, text)| format!("{heading}: {text}")).collect();
        let _ = write!(
            out,
            "<entry>\n<title>{}</title>\n<id>tag:peer-observer,2026:{}/{}</id>\n<published>{}</published>\n<updated>{}</updated>\n\
             <category term=\"{}\"/>\n<content type=\"text\">{}</content>\n</entry>\n",
            Escaped(&title),
            // what is for strangers does not name the book
            Escaped(if incident.book.is_empty() { book } else { &incident.book }),
            incident.number,
            Rfc3339::from_nanos(incident.opened),
            Rfc3339::from_nanos(incident.changed),
            incident.severity().word(),
            Escaped(&body.join("\n\n")),
        );
    }
    out.push_str("</feed>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_is_the_same_when_there_is_nothing_in_it() {
        let incident = Incident { number: 7, book: "b1".into(), changed: 1_750_000_000_000_000_000, ..Default::default() };
        let full = atom("b1", &[incident], 0);
        let empty = atom("b1", &[], 1_750_000_000_000_000_000);
        let head = |feed: &str| feed.lines().take(6).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(head(&full), head(&empty));
        assert!(full.contains("<id>tag:peer-observer,2026:b1/7</id>") && empty.contains("<updated>2025-"), "{full}{empty}");
    }

    #[test]
    fn what_a_stranger_chose_is_no_markup() {
        let nasty = "</title><script>alert(1)</script>\u{202e}\u{7}";
        let finding = event::Finding { detector: nasty.into(), name: nasty.into(), ..Default::default() };
        let entity = event::FindingEntity { name: nasty.into(), ..Default::default() };
        let incident =
            Incident { number: 1, owner: nasty.into(), finding: Some(finding), strangers: vec![entity], ..Default::default() };
        let noted = event::IncidentNoted { incident: None, by: nasty.into(), text: nasty.into() };
        let whole = Whole {
            incident: incident.clone(),
            timeline: vec![Event::new("<b>", event::Source::Tool, noted)],
            slices: vec![],
            left: 3,
        };
        for text in [html(&whole), atom("<book>", &[incident], 1), super::text(&whole)] {
            assert!(!text.contains('\u{202e}') && !text.contains('\u{7}'), "{text}");
        }
        assert!(!html(&whole).contains("<script") && !html(&whole).contains("<b>"));
        assert!(!atom("<book>", &[whole.incident], 1).contains("<script"));
    }
}
