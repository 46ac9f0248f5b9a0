//! A truth file: what is true of a recording, by somebody who knows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use detect::entity::Host;
use detect::score::Truth;
use detect::{FLEET, Guard, Scope};
use event::text::{Printable, Rfc3339};
use event::{EntityKind, Network, NodeName, Severity, Source};
use ipnet::IpNet;
use serde::Deserialize;
use toml::Spanned;

use super::ScoreError;
use crate::detect::Setting;

/// A larger file is no truth file.
const LARGEST: u64 = 16 << 20;
/// Faults that are named; more are counted.
const FAULTS: usize = 20;
/// A truth may begin or end outside of the recording by so much: times of labels are rounded, nanoseconds.
const ROUNDED: u64 = 60_000_000_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    thresholds: BTreeMap<String, Spanned<f64>>,
    #[serde(default)]
    truth: Vec<Label>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Label {
    detector: Spanned<String>,
    node: Spanned<String>,
    kind: Spanned<String>,
    entity: Option<Spanned<String>>,
    begin: Spanned<String>,
    end: Spanned<String>,
    severity: Option<Spanned<String>>,
    #[serde(default)]
    consequence: bool,
}

/// A truth file that says what cannot be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the truth file {} is wrong: {}", file.display(), sentence(.faults))]
pub struct LabelError {
    /// Which.
    pub file: PathBuf,
    /// Lines, from 1, and what is wrong with each; line 0 is the file as a whole.
    pub faults: Vec<(usize, String)>,
}

fn sentence(faults: &[(usize, String)]) -> String {
    let one = |(line, what): &(usize, String)| if *line == 0 { what.clone() } else { format!("line {line}: {what}") };
    let named: Vec<String> = faults.iter().take(FAULTS).map(one).collect();
    let more = faults.len().saturating_sub(FAULTS);
    if more > 0 { format!("{}; and {more} more", named.join("; ")) } else { named.join("; ") }
}

/// What is true, and where it is said.
#[derive(Debug)]
pub(super) struct Labels {
    file: PathBuf,
    thresholds: Vec<(usize, Setting)>,
    truths: Vec<Said>,
}

/// A truth with its lines.
#[derive(Debug)]
struct Said {
    truth: Truth,
    node: usize,
    begin: usize,
    end: usize,
}

impl Labels {
    /// # Errors
    ///
    /// It cannot be read, or says what cannot be, whatever the recording.
    pub(super) fn read(file: &Path) -> Result<Self, ScoreError> {
        let unreadable = || format!("failed to read the truth file {}", file.display());
        let length = std::fs::metadata(file).with_context(unreadable)?.len();
        if length > LARGEST {
            let what = format!("it has {length} bytes, more than {LARGEST}");
            return Err(LabelError { file: file.to_owned(), faults: vec![(0, what)] }.into());
        }
        let text = std::fs::read_to_string(file).with_context(unreadable)?;
        Ok(Self::of_text(file, &text)?)
    }

    fn of_text(file: &Path, text: &str) -> Result<Self, LabelError> {
        let refused = |faults| LabelError { file: file.to_owned(), faults };
        let mut faults = Faults { text, found: Vec::new() };
        let content: File = toml::from_str(text)
            .map_err(|error| refused(vec![(error.span().map_or(0, |span| faults.line(span.start)), error.message().to_owned())]))?;
        let mut thresholds = Vec::new();
        for (name, value) in &content.thresholds {
            let setting = format!("{name}={}", value.get_ref()).parse::<Setting>();
            thresholds.extend(faults.check(value, setting).map(|setting| (faults.line_of(value), setting)));
        }
        let truths = content.truth.into_iter().filter_map(|label| truth(label, &mut faults)).collect();
        let Faults { mut found, .. } = faults;
        found.sort_by_key(|(line, _)| *line);
        if found.is_empty() { Ok(Self { file: file.to_owned(), thresholds, truths }) } else { Err(refused(found)) }
    }

    /// What the detectors start with.
    pub(super) fn thresholds(&self) -> impl Iterator<Item = &Setting> {
        self.thresholds.iter().map(|(_, setting)| setting)
    }

    /// What is true of a recording of these nodes, that has these times.
    ///
    /// # Errors
    ///
    /// It cannot be of this recording.
    pub(super) fn of(self, nodes: &[&str], span: Option<(u64, u64)>) -> Result<Vec<Truth>, LabelError> {
        let Self { file, thresholds, truths } = self;
        let mut faults = Vec::new();
        let stranger = |node: &str| match node == FLEET || nodes.contains(&node) {
            true => None,
            false if nodes.is_empty() => {
                Some(format!("there is no node `{node}`: the recording has nothing that detectors look at"))
            }
            false => Some(format!("there is no node `{node}` in the recording; it has {}", nodes.join(", "))),
        };
        for (line, Setting { node, .. }) in &thresholds {
            faults.extend(node.as_ref().and_then(|node| stranger(node.as_str())).map(|what| (*line, what)));
        }
        let (first, last) = span.unwrap_or_default();
        let outside = |time: u64| {
            let within = (first.saturating_sub(ROUNDED)..=last.saturating_add(ROUNDED)).contains(&time);
            let shown = [time, first, last].map(Rfc3339::from_nanos);
            let [time, first, last] = shown;
            (span.is_some() && !within).then(|| format!("{time} is outside of the recording, which goes from {first} to {last}"))
        };
        for Said { truth, node, begin, end } in &truths {
            faults.extend(stranger(&truth.node).map(|what| (*node, what)));
            faults.extend(outside(truth.begin).map(|what| (*begin, what)));
            faults.extend(outside(truth.end).map(|what| (*end, what)));
        }
        faults.sort_by_key(|(line, _)| *line);
        if faults.is_empty() { Ok(truths.into_iter().map(|said| said.truth).collect()) } else { Err(LabelError { file, faults }) }
    }
}

/// What is wrong, and where.
struct Faults<'a> {
    text: &'a str,
    found: Vec<(usize, String)>,
}

impl Faults<'_> {
    fn line(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
    }

    fn line_of<T>(&self, place: &Spanned<T>) -> usize {
        self.line(place.span().start)
    }

    fn check<T, V>(&mut self, place: &Spanned<T>, result: Result<V, String>) -> Option<V> {
        result.map_err(|what| self.found.push((self.line_of(place), what))).ok()
    }
}

fn truth(label: Label, faults: &mut Faults<'_>) -> Option<Said> {
    let Label { detector, node, kind, entity, begin, end, severity, consequence } = label;
    let scope = faults.check(&detector, scope(detector.get_ref()));
    let of = faults.check(&node, node.get_ref().parse::<NodeName>().map_err(|error| error.to_string()));
    let about = faults.check(&kind, about(kind.get_ref()));
    if let (Some(scope), Some(of), Some(about)) = (scope, &of, about) {
        faults.check(&node, fits(scope, of.as_str(), about));
    }
    if let (Some(about), Some(entity)) = (about, &entity) {
        faults.check(entity, one_of(about, entity.get_ref()));
    }
    let least = match &severity {
        None => Some(Severity::Warn),
        Some(word) => faults.check(word, least(word.get_ref())),
    };
    let from = faults.check(&begin, time(begin.get_ref()));
    let to = faults.check(&end, time(end.get_ref()));
    if let (Some(from), Some(to)) = (from, to)
        && to < from
    {
        faults.check(&end, Err::<(), _>("it ends before it begins".to_owned()));
    }
    let lines = [&node, &begin, &end].map(|place| faults.line_of(place));
    let truth = Truth {
        detector: detector.into_inner(),
        node: of?.to_string(),
        entity_kind: about?.word().to_owned(),
        entity: entity.map(Spanned::into_inner).unwrap_or_default(),
        begin: from?,
        end: to?,
        severity: least?,
        consequence,
    };
    let [node, begin, end] = lines;
    Some(Said { truth, node, begin, end })
}

fn shown(text: &str) -> Printable<'_> {
    Printable(text)
}

/// Whether a detector looks at one node, or at all of them.
fn scope(detector: &str) -> Result<Scope, String> {
    let entry = detect::all().iter().find(|entry| entry.about.id == detector);
    entry.map(|entry| entry.about.scope).ok_or_else(|| format!("there is no detector `{}`", shown(detector)))
}

fn about(kind: &str) -> Result<EntityKind, String> {
    let kinds = (1..64).filter_map(|number| EntityKind::try_from(number).ok());
    kinds.clone().find(|known| known.word() == kind).ok_or_else(|| {
        let words = kinds.map(EntityKind::word).collect::<Vec<_>>().join(", ");
        format!("findings are about no `{}`; they are about one of {words}", shown(kind))
    })
}

/// Findings of the fleet have its name in place of a node's.
fn fits(scope: Scope, node: &str, about: EntityKind) -> Result<(), String> {
    let of_fleet = scope == Scope::Fleet || about == EntityKind::Fleet;
    if of_fleet && node != FLEET {
        return Err(format!("what all nodes together have is told of `{FLEET}`, not of `{node}`"));
    }
    Ok(())
}

/// Whether somebody, or something, of this kind can be called so.
fn one_of(kind: EntityKind, text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    let (right, hint) = match kind {
        EntityKind::Node | EntityKind::Fleet => (false, "leave it out: `node` says which"),
        EntityKind::Peer => (has_port(text), "a peer is its address with the port, as `203.0.113.7:8333` or `[2001:db8::7]:8333`"),
        EntityKind::Address => {
            let host = Host::of(text, Network::Unspecified).map(|host| host.to_string());
            (host.as_deref() == Some(text), "an address has no port, as `203.0.113.7`")
        }
        EntityKind::Range => (is_range(text), "a range is an IPv4 /24 or an IPv6 /64, /48 or /32, as `203.0.113.0/24`"),
        EntityKind::Asn => (text.strip_prefix("AS").is_some_and(|number| number.parse::<u32>().is_ok()), "write it as `AS64496`"),
        EntityKind::Fingerprint => {
            let is_hex = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            (is_hex, "a fingerprint is sixteen digits of hex")
        }
        EntityKind::Source => {
            let mut words = (1..64).filter_map(|number| Source::try_from(number).ok()).map(Source::word);
            (words.any(|word| word == text), "a source is one of events, as `rpc` or `ebpf`")
        }
        EntityKind::Guard => (Guard::ALL.into_iter().any(|guard| guard.id() == text), "guards are G1 to G8"),
        EntityKind::Network => {
            let mut words = (1..64).filter_map(|number| Network::try_from(number).ok()).map(Network::word);
            (words.any(|word| word == text), "a network is one of peers, as `ipv4` or `onion`")
        }
        EntityKind::Agent | EntityKind::Listed | EntityKind::Unspecified => return Ok(()),
    };
    if right { Ok(()) } else { Err(format!("`{}` is no {}: {hint}", shown(text), kind.word())) }
}

/// `host:port`, where a host with colons stands in brackets. The host may be a name that an operator gave.
fn has_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    !host.is_empty() && (bracketed || !host.contains(':')) && port.parse::<u16>().is_ok()
}

fn is_range(text: &str) -> bool {
    let Ok(net) = text.parse::<IpNet>() else { return false };
    let lengths: &[u8] = if matches!(net, IpNet::V4(_)) { &[24] } else { &[32, 48, 64] };
    lengths.contains(&net.prefix_len()) && net.trunc().to_string() == text
}

fn least(word: &str) -> Result<Severity, String> {
    let mut known = [Severity::Info, Severity::Warn, Severity::Critical].into_iter();
    let of = known.find(|severity| severity.word() == word);
    of.ok_or_else(|| format!("`{}` is no severity; it is one of info, warn, critical", shown(word)))
}

fn time(text: &str) -> Result<u64, String> {
    let time = text.parse::<jiff::Timestamp>().ok().and_then(|time| u64::try_from(time.as_nanosecond()).ok());
    time.ok_or_else(|| format!("`{}` is no time: write it as `2026-03-02T06:10:00Z`", shown(text)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRUTH: &str = r#"
[[truth]]
detector = "D39"
node = "alice"
kind = "node"
begin = "2026-03-02T06:10:00Z"
end = "2026-03-02T06:20:00Z"
"#;

    /// What is said of the truth with some text in place of other.
    #[track_caller]
    fn check(from: &str, to: &str, expect: &str) {
        assert!(TRUTH.contains(from), "{from}");
        let labels = Labels::of_text(Path::new("a.truth.toml"), &TRUTH.replace(from, to));
        let (first, last) = (time("2026-03-02T06:00:00Z").unwrap(), time("2026-03-02T06:25:00Z").unwrap());
        let said = labels.and_then(|labels| labels.of(&["alice", "carol"], Some((first, last))));
        let said = said.err().map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(said.strip_prefix("the truth file a.truth.toml is wrong: ").unwrap_or(&said), expect);
    }

    #[test]
    fn what_cannot_be_is_told_with_its_line() {
        check("D39", "D39", "");
        check("D39", "D99", "line 3: there is no detector `D99`");
        check("alice", "bob", "line 4: there is no node `bob` in the recording; it has alice, carol");
        check("alice", "a b", &format!("line 4: {}", "a b".parse::<NodeName>().unwrap_err()));
        check("06:20", "06:05", "line 7: it ends before it begins");
        check(
            "2026-03-02T06:20",
            "2026-03-03T06:20",
            "line 7: 2026-03-03T06:20:00Z is outside of the recording, which goes from 2026-03-02T06:00:00Z to 2026-03-02T06:25:00Z",
        );
        check("2026-03-02T06:10:00Z", "soon", "line 6: `soon` is no time: write it as `2026-03-02T06:10:00Z`");
        check("\"node\"\n", "\"fleet\"\n", "line 4: what all nodes together have is told of `_fleet`, not of `alice`");
        check("D39", "D55", "line 4: what all nodes together have is told of `_fleet`, not of `alice`");
        check("\"node\"\n", "\"node\"\nseverity = \"loud\"\n", "line 6: `loud` is no severity; it is one of info, warn, critical");
        check(
            "[[truth]]",
            "[thresholds]\n\"guard.restart\" = 0\n\"weather\" = 1\n[[truth]]",
            "line 4: there is no threshold `weather`",
        );
        check(
            "[[truth]]",
            "[thresholds]\n\"bob:guard.restart\" = 0\n[[truth]]",
            "line 3: there is no node `bob` in the recording; it has alice, carol",
        );
        check(
            "begin",
            "started",
            "line 6: unknown field `started`, expected one of `detector`, `node`, `kind`, `entity`, `begin`, `end`, `severity`, `consequence`",
        );
        // all of them at once
        check(
            "D39\"\nnode = \"alice",
            "D99\"\nnode = \"bo b",
            &format!("line 3: there is no detector `D99`; line 4: {}", "bo b".parse::<NodeName>().unwrap_err()),
        );
    }

    #[track_caller]
    fn entity(kind: &str, text: &str, right: bool) {
        let kind = about(kind).unwrap();
        assert_eq!(one_of(kind, text).is_ok(), right, "{} {text}: {:?}", kind.word(), one_of(kind, text));
    }

    #[test]
    fn an_entity_is_of_its_kind() {
        entity("node", "", true);
        entity("node", "alice", false);
        entity("peer", "203.0.113.7:8333", true);
        entity("peer", "[2001:db8::7]:8333", true);
        entity("peer", "seed.example.org:8333", true);
        entity("peer", "203.0.113.7", false);
        entity("peer", "2001:db8::7", false);
        entity("address", "203.0.113.7", true);
        entity("address", "2001:db8::7", true);
        entity("address", "203.0.113.7:8333", false);
        entity("range", "203.0.113.0/24", true);
        entity("range", "2001:db8:1::/48", true);
        entity("range", "203.0.113.7/24", false);
        entity("range", "203.0.0.0/16", false);
        entity("source", "rpc", true);
        entity("source", "weather", false);
        entity("guard", "G8", true);
        entity("guard", "G9", false);
        entity("asn", "AS64496", true);
        entity("asn", "64496", false);
        entity("network", "onion", true);
        entity("agent", "/anything/", true);
        let error = one_of(EntityKind::Address, "203.0.113.7:8333").unwrap_err();
        assert_eq!(error, "`203.0.113.7:8333` is no address: an address has no port, as `203.0.113.7`");
    }

    /// The example of the manual is a truth file, and says what is written around it.
    #[test]
    fn the_manuals_example_is_right() {
        let page = include_str!("../../../../../docs/scoring.md");
        let (_, rest) = page.split_once("```toml\n").unwrap();
        let (example, _) = rest.split_once("```").unwrap();
        let labels = Labels::of_text(Path::new("storm.truth.toml"), example).unwrap();
        let settings: Vec<_> = labels.thresholds().map(|setting| (setting.name, setting.value)).collect();
        assert_eq!(settings, [("guard.restart", 0.0)]);
        let truths: Vec<_> = labels.truths.iter().map(|said| &said.truth).collect();
        let told: Vec<_> = truths.iter().map(|truth| (truth.detector.as_str(), truth.severity, truth.consequence)).collect();
        assert_eq!(told, [("D39", Severity::Warn, false), ("D28", Severity::Info, false), ("D09", Severity::Warn, true)]);
        assert_eq!((truths[1].entity_kind.as_str(), truths[1].entity.as_str()), ("peer", "203.0.113.7:50112"));
        assert_eq!(truths[0].end - truths[0].begin, 600_000_000_000);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,300}", entity in "\\PC{0,60}") {
            let _ = Labels::of_text(Path::new("x"), &text);
            let _ = Labels::of_text(Path::new("x"), &TRUTH.replace("\"node\"\n", &format!("\"peer\"\nentity = {entity:?}\n")));
            for kind in (1..16).filter_map(|number| EntityKind::try_from(number).ok()) {
                let _ = one_of(kind, &entity);
            }
        }
    }
}
