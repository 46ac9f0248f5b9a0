//! Which events somebody wants.

use serde::{Deserialize, Serialize};

use crate::{Event, KindId, NodeName};

/// A set of kinds.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct KindSet([u64; Self::WORDS]);

impl KindSet {
    const WORDS: usize = KindId::ALL.len().div_ceil(64);

    /// No kind.
    pub const NONE: Self = Self([0; Self::WORDS]);

    /// Every kind.
    pub fn all() -> Self {
        KindId::ALL.into_iter().collect()
    }

    /// Whether `id` is in it.
    pub const fn contains(&self, id: KindId) -> bool {
        self.0[id.index() / 64] & (1 << (id.index() % 64)) != 0
    }

    /// Adds a kind.
    pub const fn insert(&mut self, id: KindId) {
        self.0[id.index() / 64] |= 1 << (id.index() % 64);
    }

    /// Its kinds, by number.
    pub fn iter(&self) -> impl Iterator<Item = KindId> + '_ {
        KindId::ALL.into_iter().filter(|id| self.contains(*id))
    }

    /// The kinds whose dotted name matches a pattern; `*` stands for any run of characters, a family alone for all of it.
    ///
    /// # Errors
    ///
    /// A pattern that matches no kind: a typo should not look like silence.
    pub fn matching(pattern: &str) -> Result<Self, FilterError> {
        let pattern = pattern.trim();
        let hit = |id: &KindId| glob(pattern.as_bytes(), id.name().as_bytes()) || id.family() == pattern;
        let set: Self = KindId::ALL.into_iter().filter(hit).collect();
        if set == Self::NONE { Err(FilterError { pattern: pattern.to_owned(), near: nearest(pattern) }) } else { Ok(set) }
    }

    /// Both sets together.
    #[must_use]
    pub fn union(mut self, other: Self) -> Self {
        for (a, b) in self.0.iter_mut().zip(other.0) {
            *a |= b;
        }
        self
    }
}

impl FromIterator<KindId> for KindSet {
    fn from_iter<I: IntoIterator<Item = KindId>>(ids: I) -> Self {
        let mut set = Self::NONE;
        for id in ids {
            set.insert(id);
        }
        set
    }
}

/// A pattern that matches no kind.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no kind of event matches `{pattern}`{hint}", hint = near.map_or(String::new(), |near| format!("; did you mean `{near}`?")))]
pub struct FilterError {
    pattern: String,
    near: Option<&'static str>,
}

/// Which events a subscriber wants: of these kinds, from these nodes.
///
/// What is finer (one peer, one direction) is the subscriber's own business; a filter is what a bus can select by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filter {
    /// The kinds wanted.
    pub kinds: KindSet,
    /// The nodes wanted; empty means all.
    pub nodes: Vec<NodeName>,
}

impl Filter {
    /// Everything.
    pub fn all() -> Self {
        Self { kinds: KindSet::all(), nodes: Vec::new() }
    }

    /// These kinds of every node.
    pub fn kinds(kinds: impl IntoIterator<Item = KindId>) -> Self {
        Self { kinds: kinds.into_iter().collect(), nodes: Vec::new() }
    }

    /// Kinds by pattern (see [`KindSet::matching`]); no pattern means all. A pattern that begins with `!` takes away.
    ///
    /// # Errors
    ///
    /// A pattern that matches no kind.
    pub fn parse<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, FilterError> {
        let mut kinds: Option<KindSet> = None;
        for pattern in patterns {
            kinds = Some(match pattern.strip_prefix('!') {
                None => kinds.unwrap_or(KindSet::NONE).union(KindSet::matching(pattern)?),
                Some(pattern) => {
                    let without = KindSet::matching(pattern)?;
                    kinds.unwrap_or_else(KindSet::all).iter().filter(|id| !without.contains(*id)).collect()
                }
            });
        }
        Ok(Self { kinds: kinds.unwrap_or_else(KindSet::all), nodes: Vec::new() })
    }

    /// Only of these nodes; none means all.
    #[must_use]
    pub fn of_nodes(self, nodes: impl IntoIterator<Item = NodeName>) -> Self {
        Self { nodes: nodes.into_iter().collect(), ..self }
    }

    /// Whether it wants this event. Kinds that this release does not know match nothing.
    pub fn matches(&self, event: &Event) -> bool {
        event.id().is_some_and(|id| self.kinds.contains(id)) && self.matches_node(&event.node)
    }

    /// Whether it wants events of this node.
    pub fn matches_node(&self, node: &str) -> bool {
        self.nodes.is_empty() || self.nodes.iter().any(|n| n.as_str() == node)
    }
}

/// `*` matches any run of bytes. Linear in practice: backtracks to the last star only.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            p += 1;
            t += 1;
        } else if let Some((star_at, taken)) = star {
            star = Some((star_at, taken + 1));
            p = star_at + 1;
            t = taken + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

/// The kind whose name shares the longest run of letters with a pattern, if that is a word and more than half of it: good enough
/// for a hint.
fn nearest(pattern: &str) -> Option<&'static str> {
    let score = |id: &KindId| longest_run(pattern.as_bytes(), id.name().as_bytes());
    // the first of the best, so that the hint does not depend on the order of iteration
    let near = KindId::ALL.into_iter().rev().max_by_key(score)?;
    let run = score(&near);
    (run > 3 && run * 2 > pattern.len()).then_some(near.name())
}

/// The length of the longest run that both have. One pass for each byte of the pattern: strangers may ask, too.
fn longest_run(pattern: &[u8], name: &[u8]) -> usize {
    // how long a run ends before each place of the name
    let mut ends = vec![0; name.len() + 1];
    let mut longest = 0;
    for byte in pattern {
        for at in (0..name.len()).rev() {
            ends[at + 1] = if name[at] == *byte { ends[at] + 1 } else { 0 };
            longest = longest.max(ends[at + 1]);
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(patterns: &[&str], expect: &[KindId]) {
        let filter = Filter::parse(patterns.iter().copied()).unwrap();
        assert_eq!(filter.kinds.iter().collect::<Vec<_>>(), expect);
    }

    #[test]
    fn patterns_select_kinds() {
        check(&["net.ping"], &[KindId::NetPing]);
        check(&["net.p*"], &[KindId::NetPing, KindId::NetPong]);
        check(&["*.evicted", "*.misbehaving"], &[KindId::ConnEvicted, KindId::ConnMisbehaving]);
        let others: Vec<_> = KindId::ALL.into_iter().filter(|id| id.family() == "conn" && *id != KindId::ConnClosed).collect();
        check(&["conn", "!conn.closed"], &others);
    }

    #[test]
    fn no_pattern_is_everything_and_a_typo_is_an_error() {
        assert_eq!(Filter::parse([]).unwrap(), Filter::all());
        let error = Filter::parse(["net.pingg"]).unwrap_err().to_string();
        assert_eq!(error, "no kind of event matches `net.pingg`; did you mean `net.ping`?");
        let error = |pattern| Filter::parse([pattern]).unwrap_err().to_string();
        assert_eq!([error("nope"), error("")], ["no kind of event matches `nope`", "no kind of event matches ``"]);
    }

    #[test]
    fn the_longest_run_of_both_is_found_wherever_it_stands() {
        let run = |pattern: &str, name: &str| longest_run(pattern.as_bytes(), name.as_bytes());
        assert_eq!(["net.ping", "xnet.pi", "pinet", "ng", "", "éping", "q"].map(|p| run(p, "net.ping")), [8, 6, 3, 2, 0, 4, 0]);
        // what runs into one another is not counted together
        assert_eq!((run("aaab", "aab"), run("abab", "ababab"), run("neping", "net.ping")), (3, 4, 4));
    }

    #[test]
    fn a_first_pattern_that_takes_away_starts_from_all() {
        let without: Vec<_> = KindId::ALL.into_iter().filter(|id| id.family() != "net").collect();
        check(&["!net"], &without);
        check(&["!net.*", "net.ping", "!*"], &[]);
        assert!(Filter::parse(["!pong"]).is_err());
    }

    #[test]
    fn nodes_are_selected_by_their_whole_name() {
        let filter = Filter::all().of_nodes(["alice".parse().unwrap(), "bob".parse().unwrap()]);
        assert!(filter.matches_node("alice") && filter.matches_node("bob"));
        assert!(!filter.matches_node("ali") && !filter.matches_node("alice2") && !filter.matches_node(""));
        assert!(Filter::all().matches_node("anybody"));
    }

    #[test]
    fn stars_match_runs() {
        assert!(glob(b"*", b"") && glob(b"a*c*e", b"abcde") && glob(b"**", b"x"));
        assert!(!glob(b"", b"x") && !glob(b"a*b", b"ac") && !glob(b"ab", b"a"));
    }
}
