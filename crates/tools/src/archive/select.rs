//! Which part of a recording somebody wants.

use std::ops::RangeInclusive;
use std::str::FromStr;

use event::archive::Head;
use event::{Event, Filter, FilterError, KindId, KindSet, NodeName};

/// A part of a recording: a time, kinds, nodes, peers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Selection {
    /// Nanoseconds since the epoch; both ends are in it.
    pub times: RangeInclusive<u64>,
    /// Kinds; `None` for all, those that this release does not know included.
    pub kinds: Option<KindSet>,
    /// Nodes; empty for all.
    pub nodes: Vec<NodeName>,
    /// Peers, by id; empty for all events, those that are not about a peer included.
    pub peers: Vec<u64>,
}

impl Default for Selection {
    fn default() -> Self {
        Self { times: 0..=u64::MAX, kinds: None, nodes: Vec::new(), peers: Vec::new() }
    }
}

impl Selection {
    /// Whether any event of a frame could be wanted.
    pub(crate) fn frame(&self, head: &Head) -> bool {
        let numbers = |kinds: &KindSet| kinds.iter().any(|id| head.has_kind(id as u32));
        self.span(head.first, head.last)
            && self.kinds.as_ref().is_none_or(numbers)
            && head.streams.iter().any(|stream| {
                let peers = stream.peers.as_ref();
                self.node(&stream.node)
                    && (self.peers.is_empty() || peers.is_none_or(|listed| self.peers.iter().any(|peer| listed.contains(peer))))
            })
    }

    /// Whether anything between these times could be wanted.
    pub(crate) fn span(&self, first: u64, last: u64) -> bool {
        first <= *self.times.end() && last >= *self.times.start()
    }

    /// Whether an event of this time and kind from this node could be wanted: all that is known without decoding it.
    pub(crate) fn outside(&self, time: u64, kind: u32, node: &str) -> bool {
        let of_number = || KindId::ALL.binary_search_by_key(&kind, |id| *id as u32).ok().map(|at| KindId::ALL[at]);
        let wanted = |kinds: &KindSet| of_number().is_some_and(|id| kinds.contains(id));
        self.times.contains(&time) && self.kinds.as_ref().is_none_or(wanted) && self.node(node)
    }

    /// Whether an event is wanted.
    pub fn event(&self, event: &Event) -> bool {
        self.outside(event.time, event.id().map_or(0, |id| id as u32), &event.node) && self.inside(event)
    }

    /// What is known of it only when it is decoded.
    pub(crate) fn inside(&self, event: &Event) -> bool {
        self.peers.is_empty() || event.peer().is_some_and(|peer| self.peers.contains(&peer))
    }

    /// Whether an event must be decoded to know.
    pub(crate) fn looks_inside(&self) -> bool {
        !self.peers.is_empty()
    }

    fn node(&self, node: &str) -> bool {
        self.nodes.is_empty() || self.nodes.iter().any(|name| name.as_str() == node)
    }
}

/// What selects, as flags.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
pub struct Part {
    /// Only what happened from this time on: `2026-05-01T12:00:00Z`, or since the beginning of the recording: `+90s`, `+10m`
    #[arg(long, value_name = "TIME")]
    pub from: Option<Moment>,

    /// Only what happened up to this time, written as for `--from`
    #[arg(long, value_name = "TIME")]
    pub to: Option<Moment>,

    /// Only these kinds of events, by name or pattern: `net.ping`, `conn`, `!net.inv`
    #[arg(long = "kinds", id = "part_kinds", value_delimiter = ',', value_name = "PATTERN")]
    pub kinds: Vec<String>,

    /// Only events of these nodes
    #[arg(long = "node", id = "part_node", value_delimiter = ',', value_name = "NAME")]
    pub node: Vec<NodeName>,

    /// Only what concerns these peers, by id
    #[arg(long = "peer", id = "part_peer", value_delimiter = ',', value_name = "ID")]
    pub peer: Vec<u64>,
}

impl Part {
    /// The part of a recording that begins at `beginning`; it is asked for only where a time counts from there.
    ///
    /// # Errors
    ///
    /// A pattern that matches no kind, or whatever `beginning` fails with.
    pub fn selection<E: From<FilterError>>(&self, beginning: impl FnOnce() -> Result<u64, E>) -> Result<Selection, E> {
        let kinds = if self.kinds.is_empty() { None } else { Some(Filter::parse(self.kinds.iter().map(String::as_str))?.kinds) };
        let counts = |moment: &Option<Moment>| matches!(moment, Some(Moment::Since(_)));
        let beginning = if counts(&self.from) || counts(&self.to) { beginning()? } else { 0 };
        let from = self.from.map_or(0, |moment| moment.nanos(beginning));
        let to = self.to.map_or(u64::MAX, |moment| moment.nanos(beginning));
        Ok(Selection { times: from..=to, kinds, nodes: self.node.clone(), peers: self.peer.clone() })
    }
}

/// A moment of a recording.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    /// Nanoseconds since the epoch.
    At(u64),
    /// Nanoseconds since the recording's beginning.
    Since(u64),
}

impl Moment {
    /// Nanoseconds since the epoch, in a recording that begins at `beginning`.
    pub fn nanos(self, beginning: u64) -> u64 {
        match self {
            Self::At(nanos) => nanos,
            Self::Since(nanos) => beginning.saturating_add(nanos),
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no time: write it as `2026-05-01T12:00:00Z`, or as `+90s` after the beginning");
        if let Some(length) = text.strip_prefix('+') {
            // an age is of more than nothing, and a recording begins at its beginning
            if ["0s", "0m", "0h", "0d", "0"].contains(&length) {
                return Ok(Self::Since(0));
            }
            let age: super::amount::Age = length.parse().map_err(|_| wrong())?;
            return Ok(Self::Since(u64::try_from(age.0.as_nanos()).unwrap_or(u64::MAX)));
        }
        let time: jiff::Timestamp = text.parse().map_err(|_| wrong())?;
        u64::try_from(time.as_nanosecond()).map(Self::At).map_err(|_| wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::Source;

    fn part(from: &str, to: &str) -> Selection {
        let moment = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
        Part { from: moment(from), to: moment(to), ..Part::default() }.selection::<FilterError>(|| Ok(1_000_000_000)).unwrap()
    }

    #[test]
    fn times_are_read() {
        assert_eq!(part("1970-01-01T00:00:02Z", "+10s").times, 2_000_000_000..=11_000_000_000);
        assert_eq!(part("", "1970-01-01T01:00:00.000000001+01:00").times, 0..=1);
        assert_eq!([part("+0s", ""), part("+0", "")].map(|part| *part.times.start()), [1_000_000_000; 2]);
        for text in ["yesterday", "+10", "", "1960-01-01T00:00:00Z"] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
    }

    #[test]
    fn events_are_selected() {
        let ping = event::NetPing { peer: 7, ..Default::default() };
        let event = Event { time: 50, ..Event::new("alice", Source::Ebpf, ping) };
        let all = Selection::default();
        let selects = |change: &dyn Fn(&mut Selection)| {
            let mut selection = all.clone();
            change(&mut selection);
            selection.event(&event)
        };
        assert!(selects(&|_| ()) && selects(&|s| s.times = 50..=50) && !selects(&|s| s.times = 51..=60));
        assert!(selects(&|s| s.peers = vec![1, 7]) && !selects(&|s| s.peers = vec![1]));
        assert!(selects(&|s| s.nodes = vec!["alice".parse().unwrap()]) && !selects(&|s| s.nodes = vec!["bob".parse().unwrap()]));
        let kinds = |id: KindId| Some([id].into_iter().collect::<KindSet>());
        assert!(selects(&|s| s.kinds = kinds(KindId::NetPing)) && !selects(&|s| s.kinds = kinds(KindId::NetPong)));
        let unknown = Event { kind: None, ..event.clone() };
        assert!(all.event(&unknown) && !Selection { kinds: kinds(KindId::NetPing), ..all }.event(&unknown));
    }
}
