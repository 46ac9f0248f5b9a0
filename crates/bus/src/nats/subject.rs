//! Subjects: `po.<node>.<family>.<kind>`, and `replay.<id>.<node>.<family>.<kind>`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use event::{Filter, KindId, KindSet, NodeName, NodeNameError};

/// Most subjects that one subscription asks the server for; beyond, it asks for more than it wants and sorts out itself.
const MAX_SUBJECTS: usize = 512;

/// What all subjects of a stream begin with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Root(String);

impl Root {
    pub(crate) fn live() -> Self {
        Self("po".to_owned())
    }

    pub(crate) fn replay(id: &ReplayId) -> Self {
        Self(format!("replay.{id}"))
    }

    pub(crate) fn is_live(&self) -> bool {
        self.0 == "po"
    }

    /// The subject of a kind.
    pub(crate) fn subject(&self, node: &str, id: KindId) -> String {
        format!("{}.{node}.{id}", self.0)
    }

    /// Node and kind of a subject. What could not be the name of a node, which ends on screens and in file names, is none of ours.
    /// `known` remembers the last one, which is usually the next one.
    pub(crate) fn split<'a>(&self, subject: &'a [u8], known: &mut Option<NodeName>) -> Option<(&'a str, &'a [u8])> {
        let rest = subject.strip_prefix(self.0.as_bytes())?.strip_prefix(b".")?;
        let dot = rest.iter().position(|byte| *byte == b'.')?;
        let node = std::str::from_utf8(&rest[..dot]).ok()?;
        if known.as_ref().is_none_or(|known| known.as_str() != node) {
            *known = Some(node.parse().ok()?);
        }
        Some((node, &rest[dot + 1..]))
    }

    /// The fewest subjects that cover a filter; none covers what another one does.
    pub(crate) fn covering(&self, filter: &Filter) -> Vec<String> {
        let kinds = kinds(filter.kinds);
        let any = ["*".to_owned()];
        let nodes: Vec<_> = filter.nodes.iter().map(ToString::to_string).collect();
        let mut nodes = if nodes.is_empty() { &any[..] } else { &nodes[..] };
        if nodes.len() * kinds.len() > MAX_SUBJECTS {
            nodes = &any;
        }
        let mut subjects: Vec<_> =
            nodes.iter().flat_map(|node| kinds.iter().map(move |kind| format!("{}.{node}.{kind}", self.0))).collect();
        subjects.sort();
        subjects.dedup();
        subjects
    }
}

/// `>` for all kinds, `net.>` for all of a family, otherwise one by one.
fn kinds(wanted: KindSet) -> Vec<String> {
    if wanted == KindSet::all() {
        return vec![">".to_owned()];
    }
    let mut families: BTreeMap<&str, Vec<KindId>> = BTreeMap::new();
    for id in KindId::ALL {
        families.entry(id.family()).or_default().push(id);
    }
    let mut out = Vec::new();
    for (family, all) in families {
        if all.iter().all(|id| wanted.contains(*id)) {
            out.push(format!("{family}.>"));
        } else {
            out.extend(all.iter().filter(|id| wanted.contains(**id)).map(ToString::to_string));
        }
    }
    out
}

/// The name of a replay: what keeps it apart from live events and from other replays. Letters, digits, `-` and `_`.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReplayId(NodeName);

impl Default for ReplayId {
    fn default() -> Self {
        Self("default".parse().expect("letters only"))
    }
}

impl FromStr for ReplayId {
    type Err = ReplayIdError;

    fn from_str(id: &str) -> Result<Self, ReplayIdError> {
        id.parse().map(Self).map_err(|_: NodeNameError| ReplayIdError(id.to_owned()))
    }
}

impl TryFrom<String> for ReplayId {
    type Error = ReplayIdError;

    fn try_from(id: String) -> Result<Self, ReplayIdError> {
        id.parse()
    }
}

impl From<ReplayId> for String {
    fn from(id: ReplayId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for ReplayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What no replay may be called.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no name for a replay: use 1 to 64 letters, digits, `-` and `_`")]
pub struct ReplayIdError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(patterns: &str, nodes: &[&str], expect: &[&str]) {
        let filter = Filter::parse(patterns.split_whitespace()).unwrap();
        let filter = filter.of_nodes(nodes.iter().map(|node| node.parse().unwrap()));
        assert_eq!(Root::live().covering(&filter), expect);
    }

    #[test]
    fn subjects_cover_a_filter() {
        check("", &[], &["po.*.>"]);
        check("", &["a", "b", "a"], &["po.a.>", "po.b.>"]);
        check("net", &[], &["po.*.net.>"]);
        check("conn.opened net.ping health", &["a"], &["po.a.conn.opened", "po.a.health.>", "po.a.net.ping"]);
    }

    #[test]
    fn very_many_nodes_are_asked_for_together() {
        let nodes: Vec<_> = (0..1000).map(|n| format!("n{n}")).collect();
        check("net.ping", &nodes.iter().map(String::as_str).collect::<Vec<_>>(), &["po.*.net.ping"]);
    }

    #[test]
    fn a_subject_is_split() {
        let split = |subject: &'static str| Root::live().split(subject.as_bytes(), &mut None);
        assert_eq!(split("po.alice.net.ping"), Some(("alice", &b"net.ping"[..])));
        assert_eq!(split("po.alice"), None);
        assert_eq!(split("poalice.net.ping"), None);
        assert_eq!(split("po.\x1b[2J.net.ping"), None);
        let replay = Root::replay(&"r1".parse().unwrap());
        assert_eq!(replay.split(b"replay.r1.alice.net.ping", &mut None), Some(("alice", &b"net.ping"[..])));
        assert_eq!(replay.split(b"replay.r2.alice.net.ping", &mut None), None);
    }
}
