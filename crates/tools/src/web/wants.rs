//! What a client asks for: a subscription, parsed and checked once.

use std::time::Duration;

use event::{Event, Filter, KindSet, NodeName};
use serde::{Deserialize, Serialize};

/// How an event is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// The one JSON form, every field.
    #[default]
    Full,
    /// Time, node, kind, peer, direction, size, number of entries.
    Brief,
}

/// A subscription, as it is written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ask {
    /// Patterns; absent means every kind, an empty list none.
    pub kinds: Option<Vec<String>>,
    /// Names; none means every node.
    pub nodes: Vec<String>,
    /// Ids; none means every peer, and what is about no peer.
    pub peers: Vec<PeerId>,
    /// How events are written.
    pub form: Form,
    /// Only what the primary witness states: each fact once.
    pub primary: bool,
    /// Events are sent together, at most so many milliseconds after the first of them.
    pub interval_ms: u64,
}

/// A number, or a number in a string: 64 bits are strings in our JSON, but people type numbers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PeerId {
    /// As JSON knows numbers.
    Number(u64),
    /// As our JSON writes them.
    Text(String),
}

/// Two frames of a screen: nobody sees the difference, and a batch is worth its overhead.
const INTERVAL: u64 = 20;
/// From a frame of a fast screen to a second.
const INTERVALS: std::ops::RangeInclusive<u64> = 5..=1000;
/// Entries of each list of a subscription.
const ENTRIES: usize = 256;

/// Of the largest peer id.
const DIGITS: usize = 20;

impl Default for Ask {
    fn default() -> Self {
        Self { kinds: None, nodes: vec![], peers: vec![], form: Form::Full, primary: false, interval_ms: INTERVAL }
    }
}

/// What a client wants. Clients whose wants are equal share their frames.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wants {
    kinds: KindSet,
    nodes: Vec<NodeName>,
    peers: Vec<u64>,
    /// How events are written.
    pub form: Form,
    primary: bool,
    /// How long events may wait to be sent together.
    pub interval: Duration,
}

/// Why a subscription cannot be.
#[derive(PartialEq, Eq, Debug, thiserror::Error)]
pub enum AskError {
    /// It is no JSON, or not of this shape.
    #[error("not a subscription: {0}")]
    Malformed(String),
    /// A pattern that matches nothing.
    #[error(transparent)]
    Kind(#[from] event::FilterError),
    /// A name that no node can have.
    #[error(transparent)]
    Node(#[from] event::NodeNameError),
    /// A peer that is no number.
    #[error("`{0}` is no peer id: a peer id is a number")]
    Peer(String),
    /// A list that is too long.
    #[error("a subscription has at most {ENTRIES} entries of each sort")]
    TooLong,
    /// An interval that is out of range.
    #[error("`interval_ms` is {} to {}", INTERVALS.start(), INTERVALS.end())]
    Interval,
}

impl Ask {
    /// Reads what a client sent.
    ///
    /// # Errors
    ///
    /// It is no JSON, or not of this shape.
    pub fn parse(text: &str) -> Result<Self, AskError> {
        // serde would take a list of values as well
        if !text.trim_start().starts_with('{') {
            return Err(AskError::Malformed("it is an object".into()));
        }
        // the words of the parser, without what the client sent
        serde_json::from_str(text).map_err(|error| AskError::Malformed(shortened(&error.to_string())))
    }

    /// Reads the query of an address: `kinds=net.*,conn&nodes=alice&peers=1,2&form=brief`.
    ///
    /// # Errors
    ///
    /// A key that is unknown or a value of the wrong type.
    pub fn of_query(pairs: &[(String, String)]) -> Result<Self, AskError> {
        let mut ask = Self::default();
        let list = |value: &str| value.split(',').filter(|item| !item.is_empty()).map(str::to_owned).collect::<Vec<_>>();
        for (key, value) in pairs {
            match key.as_str() {
                "kinds" => ask.kinds.get_or_insert_default().extend(list(value)),
                "nodes" => ask.nodes.extend(list(value)),
                "peers" => ask.peers.extend(list(value).into_iter().map(PeerId::Text)),
                "form" if value == "full" => ask.form = Form::Full,
                "form" if value == "brief" => ask.form = Form::Brief,
                "form" => return Err(AskError::Malformed("`form` is `full` or `brief`".into())),
                "primary" => {
                    ask.primary = value.parse().map_err(|_| AskError::Malformed("`primary` is `true` or `false`".into()))?;
                }
                "interval_ms" => ask.interval_ms = value.parse().map_err(|_| AskError::Interval)?,
                other => return Err(AskError::Malformed(format!("there is no `{}`", shortened(other)))),
            }
        }
        Ok(ask)
    }

    /// What it comes to.
    ///
    /// # Errors
    ///
    /// Something in it that cannot be.
    pub fn wants(&self) -> Result<Wants, AskError> {
        let patterns = self.kinds.as_deref().unwrap_or_default();
        if [patterns.len(), self.nodes.len(), self.peers.len()].into_iter().any(|length| length > ENTRIES) {
            return Err(AskError::TooLong);
        }
        if !INTERVALS.contains(&self.interval_ms) {
            return Err(AskError::Interval);
        }
        // the error repeats the pattern
        if patterns.iter().any(|pattern| pattern.len() > NodeName::MAX) {
            return Err(AskError::Malformed("a pattern has at most 64 characters".into()));
        }
        let kinds = match &self.kinds {
            Some(none) if none.is_empty() => KindSet::NONE,
            _ => Filter::parse(patterns.iter().map(String::as_str))?.kinds,
        };
        let mut nodes = vec![];
        for name in &self.nodes {
            nodes.push(
                name.parse::<NodeName>()
                    .map_err(|_| AskError::Malformed("a node's name has 1 to 64 letters, digits, `-` and `_`".into()))?,
            );
        }
        let mut peers = vec![];
        for peer in &self.peers {
            peers.push(match peer {
                PeerId::Number(id) => *id,
                // zeros before it may be any number, and the answer repeats them
                PeerId::Text(text) if text.len() > DIGITS => return Err(AskError::Peer(shortened(text))),
                PeerId::Text(text) => text.parse().map_err(|_| AskError::Peer(shortened(text)))?,
            });
        }
        nodes.sort_unstable();
        nodes.dedup();
        peers.sort_unstable();
        peers.dedup();
        let interval = Duration::from_millis(self.interval_ms);
        Ok(Wants { kinds, nodes, peers, form: self.form, primary: self.primary, interval })
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

impl Wants {
    /// Whether it wants this event.
    pub fn event(&self, event: &Event, primary: bool) -> bool {
        event.id().is_some_and(|id| self.kinds.contains(id))
            && (primary || !self.primary)
            && (self.nodes.is_empty() || self.nodes.binary_search_by(|name| name.as_str().cmp(&event.node)).is_ok())
            && (self.peers.is_empty() || event.peer().is_some_and(|peer| self.peers.binary_search(&peer).is_ok()))
    }

    /// The kinds in it.
    pub fn kinds(&self) -> KindSet {
        self.kinds
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::{NetPing, Source};
    use proptest::prelude::*;

    fn ping(node: &str, peer: u64) -> Event {
        Event::new(node, Source::Ebpf, NetPing { peer, ..Default::default() })
    }

    #[track_caller]
    fn wants(text: &str) -> Wants {
        Ask::parse(text).unwrap().wants().unwrap()
    }

    #[test]
    fn an_event_is_wanted_by_kind_node_and_peer() {
        let all = wants("{}");
        assert!(all.event(&ping("a", 1), true) && all.event(&ping("b", 2), false));
        let some = wants(r#"{"kinds":["net.p*"],"nodes":["b","a"],"peers":[7,"3"],"primary":true}"#);
        assert!(some.event(&ping("a", 3), true) && some.event(&ping("b", 7), true));
        let many: Vec<String> = (0..200).map(|number| format!("n{number}")).collect();
        let named = wants(&format!(r#"{{"nodes":{many:?}}}"#));
        assert!(many.iter().all(|name| named.event(&ping(name, 1), true)) && !named.event(&ping("n", 1), true));
        assert!(!some.event(&ping("c", 3), true) && !some.event(&ping("a", 4), true) && !some.event(&ping("a", 3), false));
        assert!(!wants(r#"{"kinds":["!net"]}"#).event(&ping("a", 3), true));
        assert!(!wants(r#"{"kinds":[]}"#).event(&ping("a", 3), true));
    }

    #[test]
    fn the_same_wants_are_equal_however_they_are_written() {
        let one = r#"{"kinds":["net.ping","net.pong"],"peers":[2,1],"nodes":["b","a","a"]}"#;
        assert_eq!(wants(one), wants(r#"{"kinds":["net.p*"],"peers":["1",2,2],"nodes":["a","b"]}"#));
        let query = [("kinds", "net.ping,net.pong"), ("peers", "1,2"), ("nodes", "a,b")];
        let query: Vec<_> = query.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        assert_eq!(wants(one), Ask::of_query(&query).unwrap().wants().unwrap());
    }

    #[track_caller]
    fn refused(text: &str, because: &str) {
        let error = Ask::parse(text).and_then(|ask| ask.wants()).unwrap_err().to_string();
        assert!(error.contains(because) && error.len() < 300, "{error}");
    }

    #[test]
    fn what_cannot_be_is_refused_in_words() {
        refused("", "not a subscription");
        refused("[]", "not a subscription");
        refused(r#"{"kind":["net.ping"]}"#, "unknown field `kind`");
        refused(r#"{"kinds":["net.pingg"]}"#, "did you mean `net.ping`?");
        refused(r#"{"nodes":["a b"]}"#, "a node's name");
        refused(r#"{"peers":["x"]}"#, "`x` is no peer id");
        refused(r#"{"peers":[-1]}"#, "not a subscription");
        refused(&format!(r#"{{"peers":["{}1"]}}"#, "0".repeat(20)), "is no peer id");
        refused(r#"{"interval_ms":0}"#, "5 to 1000");
        refused(&format!(r#"{{"peers":{:?}}}"#, (0..257).collect::<Vec<_>>()), "at most 256");
        refused(&format!(r#"{{"kinds":["{}"]}}"#, "x".repeat(10_000)), "at most 64 characters");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,300}", key in "[a-z_]{0,12}", value in ".{0,100}") {
            let _ = Ask::parse(&text).and_then(|ask| ask.wants());
            let _ = Ask::parse(&format!("{{{key:?}:[{value:?}]}}")).and_then(|ask| ask.wants());
            let _ = Ask::of_query(&[(key, value)]).and_then(|ask| ask.wants());
        }
    }
}
