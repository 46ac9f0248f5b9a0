//! The peers of a node: who is connected, how much they say, and in which order they are shown.

use std::cmp::Ordering;
use std::collections::HashMap;

use event::{ConnectionType, Direction, Net, Network, StatePeers};

use super::number::{self, ABSENT};
use super::series::Window;

/// Peers that are followed per node. A node with default settings has at most 125.
pub const MOST: usize = 2048;

/// A peer that is younger than this may be missing in the node's list, which was made before it came; nanoseconds.
const YOUNG: u64 = 5_000_000_000;

/// Characters kept of what a peer calls itself, and of an address.
const TEXT: usize = 64;

/// Everybody who is connected.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    by_id: HashMap<u64, Peer>,
    /// How often somebody was forgotten who may still be there, because there were too many.
    pub forgotten: u64,
}

/// One of them. What nobody stated is absent.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    pub id: u64,
    pub address: String,
    pub connection_type: ConnectionType,
    pub network: Network,
    /// What it calls itself.
    pub client: String,
    /// When it was connected, Unix seconds.
    pub opened: Option<u64>,
    /// Nanoseconds.
    pub ping: Option<u64>,
    /// For how long it has not answered one, nanoseconds.
    pub waiting: Option<u64>,
    /// Transactions that wait to be announced to it.
    pub queue: Option<u64>,
    /// Bytes on the wire, from it and to it.
    pub totals: Option<(u64, u64)>,
    /// How often it broke the rules.
    pub misbehaved: u32,
    pub messages: Window,
    /// Payload bytes from it.
    pub received: Window,
    /// Payload bytes to it.
    pub sent: Window,
    /// When something of it was seen first, and last: nanoseconds.
    first: u64,
    last: u64,
}

impl Peers {
    /// How many there are, by direction: in, out.
    pub fn count(&self) -> (usize, usize) {
        let of = |way| self.by_id.values().filter(|peer| peer.direction() == way).count();
        (of(Direction::Inbound), of(Direction::Outbound))
    }

    /// The peer of this id, made known if it is not.
    pub fn seen(&mut self, id: u64, time: u64) -> &mut Peer {
        if !self.by_id.contains_key(&id) && self.by_id.len() >= MOST {
            // who has been silent for longest: of those that nobody said had left, it is the likeliest
            let silent = self.by_id.values().min_by_key(|peer| (peer.last, peer.id)).map(|peer| peer.id);
            if silent.and_then(|id| self.by_id.remove(&id)).is_some() {
                self.forgotten += 1;
            }
        }
        let peer = self.by_id.entry(id).or_insert_with(|| Peer { id, first: time, ..Peer::default() });
        peer.last = peer.last.max(time);
        peer
    }

    /// A message went by.
    pub fn message(&mut self, time: u64, net: &Net<'_>) {
        let second = time / 1_000_000_000;
        let peer = self.seen(net.peer, time);
        if peer.address.is_empty() {
            peer.address = kept(net.address);
        }
        if peer.connection_type == ConnectionType::Unspecified {
            (peer.connection_type, peer.network) = (net.connection_type, net.network);
        }
        peer.messages.add(second, 1);
        match net.direction {
            Direction::Inbound => peer.received.add(second, net.size.into()),
            Direction::Outbound => peer.sent.add(second, net.size.into()),
            Direction::Unspecified => {}
        }
    }

    /// It left.
    pub fn gone(&mut self, id: u64) {
        self.by_id.remove(&id);
    }

    /// What the node says of all of them. Whoever is not on the list has left, unless it came a moment ago.
    pub fn listed(&mut self, time: u64, list: &StatePeers) {
        for info in &list.peers {
            let peer = self.seen(info.id, time);
            peer.address = kept(&info.address);
            (peer.connection_type, peer.network) = (info.connection_type(), info.network());
            if let Some(client) = info.user_agent.as_deref().filter(|client| !client.is_empty()) {
                peer.client = kept(client);
            }
            peer.opened = info.connected.or(peer.opened);
            (peer.ping, peer.waiting, peer.queue) = (info.ping, info.ping_wait, info.inv_to_send);
            peer.totals = info.bytes_received.zip(info.bytes_sent);
        }
        let mut listed: Vec<u64> = list.peers.iter().map(|info| info.id).collect();
        listed.sort_unstable();
        self.by_id.retain(|id, peer| listed.binary_search(id).is_ok() || peer.first.saturating_add(YOUNG) > time);
    }

    /// Ids begin anew: nobody of before is there.
    pub fn begin_anew(&mut self) {
        self.by_id.clear();
    }

    /// What the node's answers said of them is old.
    pub fn forget_answers(&mut self) {
        for peer in self.by_id.values_mut() {
            (peer.ping, peer.waiting, peer.queue, peer.totals) = (None, None, None, None);
        }
    }

    /// Those to show, in order. `now` is in seconds.
    pub fn sorted(&self, only: Option<Direction>, order: Order, now: u64) -> Vec<&Peer> {
        let mut peers: Vec<&Peer> = self.by_id.values().filter(|peer| only.is_none_or(|way| peer.direction() == way)).collect();
        peers.sort_by_cached_key(|peer| (order.key(peer, now), peer.id));
        peers
    }
}

impl Peer {
    pub fn direction(&self) -> Direction {
        match self.connection_type {
            ConnectionType::Unspecified => Direction::Unspecified,
            ConnectionType::Inbound => Direction::Inbound,
            _ => Direction::Outbound,
        }
    }
}

/// As much of somebody's text as is kept.
pub fn kept(text: &str) -> String {
    number::plain(text, TEXT)
}

/// A column of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Column {
    Id,
    Type,
    Network,
    Address,
    Messages,
    Received,
    Sent,
    Ping,
    Queue,
    Age,
    AllReceived,
    AllSent,
    Misbehaved,
    Client,
}

impl Column {
    /// What fits 80 cells; the address takes what is left.
    pub const NARROW: &[Self] =
        &[Self::Id, Self::Type, Self::Address, Self::Messages, Self::Received, Self::Sent, Self::Ping, Self::Queue, Self::Age];

    /// All.
    pub const WIDE: &[Self] = &[
        Self::Id,
        Self::Type,
        Self::Network,
        Self::Address,
        Self::Messages,
        Self::Received,
        Self::Sent,
        Self::Ping,
        Self::Queue,
        Self::Age,
        Self::AllReceived,
        Self::AllSent,
        Self::Misbehaved,
        Self::Client,
    ];

    pub fn title(self) -> &'static str {
        match self {
            Self::Id => "peer",
            Self::Type => "type",
            Self::Network => "net",
            Self::Address => "address",
            Self::Messages => "msg/s",
            Self::Received => "in/s",
            Self::Sent => "out/s",
            Self::Ping => "ping",
            Self::Queue => "queue",
            Self::Age => "age",
            Self::AllReceived => "in",
            Self::AllSent => "out",
            Self::Misbehaved => "bad",
            Self::Client => "client",
        }
    }

    /// Cells that it takes; the address is given what is left.
    pub fn width(self) -> usize {
        match self {
            Self::Type | Self::Id | Self::Age | Self::Ping | Self::Queue | Self::Messages => 6,
            Self::Network => 5,
            Self::Received | Self::Sent | Self::AllReceived | Self::AllSent => 7,
            Self::Misbehaved => 3,
            Self::Client => 26,
            Self::Address => 0,
        }
    }

    /// Words begin at the left, numbers end at the right.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Type | Self::Network | Self::Address | Self::Client)
    }

    /// Of a peer, as text. `now` is in seconds.
    pub fn cell(self, peer: &Peer, now: u64) -> String {
        let or_absent = |value: Option<String>| value.unwrap_or_else(|| ABSENT.into());
        let text = |text: &str| if text.is_empty() { ABSENT.into() } else { text.to_owned() };
        match self {
            Self::Id => peer.id.to_string(),
            Self::Type => type_word(peer.connection_type).into(),
            Self::Network => network_word(peer.network).into(),
            Self::Address => text(&peer.address),
            Self::Client => text(&peer.client),
            Self::Messages => number::count(peer.messages.rate(now)),
            Self::Received => number::bytes(peer.received.rate(now)),
            Self::Sent => number::bytes(peer.sent.rate(now)),
            // what it owes is worse than what it needed
            Self::Ping => match (peer.waiting, peer.ping) {
                (Some(waiting), ping) if waiting > ping.unwrap_or(0) => format!(">{}", number::age(waiting / 1_000_000_000)),
                (_, ping) => or_absent(ping.map(|nanos| number::duration(nanos as f64 / 1e9))),
            },
            Self::Queue => or_absent(peer.queue.map(|queue| number::count(queue as f64))),
            Self::Age => or_absent(peer.opened.map(|opened| number::age(now.saturating_sub(opened)))),
            Self::AllReceived => or_absent(peer.totals.map(|(received, _)| number::bytes(received as f64))),
            Self::AllSent => or_absent(peer.totals.map(|(_, sent)| number::bytes(sent as f64))),
            Self::Misbehaved => number::count(peer.misbehaved.into()),
        }
    }
}

/// The table has six cells for it.
fn type_word(connection_type: ConnectionType) -> &'static str {
    match connection_type {
        ConnectionType::Unspecified => ABSENT,
        ConnectionType::Inbound => "in",
        ConnectionType::OutboundFullRelay => "full",
        ConnectionType::BlockRelayOnly => "block",
        ConnectionType::Manual => "manual",
        ConnectionType::Feeler => "feeler",
        ConnectionType::AddrFetch => "fetch",
        ConnectionType::PrivateBroadcast => "priv",
        ConnectionType::Other => "other",
    }
}

/// And five for this.
fn network_word(network: Network) -> &'static str {
    match network {
        Network::Unspecified => ABSENT,
        Network::NotPubliclyRoutable => "local",
        Network::Internal => "int",
        other => other.word(),
    }
}

/// By what peers are sorted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Order {
    pub by: Column,
    /// Instead of the usual: the most first for numbers, A first for words.
    pub reversed: bool,
}

impl Order {
    fn key(self, peer: &Peer, now: u64) -> Key {
        let number = |value: Option<f64>| match value {
            Some(value) => Key::Number(if self.reversed { value } else { -value }),
            None => Key::Absent,
        };
        let whole = |value: Option<u64>| number(value.map(|value| value as f64));
        match self.by {
            Column::Id => whole(Some(peer.id)),
            Column::Messages => number(Some(peer.messages.rate(now))),
            Column::Received => number(Some(peer.received.rate(now))),
            Column::Sent => number(Some(peer.sent.rate(now))),
            Column::Ping => whole(peer.waiting.max(peer.ping)),
            Column::Queue => whole(peer.queue),
            Column::Age => whole(peer.opened.map(|opened| now.saturating_sub(opened))),
            Column::AllReceived => whole(peer.totals.map(|totals| totals.0)),
            Column::AllSent => whole(peer.totals.map(|totals| totals.1)),
            Column::Misbehaved => whole(Some(peer.misbehaved.into())),
            Column::Type | Column::Network | Column::Address | Column::Client => match self.by.cell(peer, now) {
                text if text == ABSENT => Key::Absent,
                text if self.reversed => Key::Reversed(std::cmp::Reverse(text)),
                text => Key::Text(text),
            },
        }
    }
}

/// A place in the order. What is absent comes last, whichever way.
#[derive(Debug)]
enum Key {
    Number(f64),
    Text(String),
    Reversed(std::cmp::Reverse<String>),
    Absent,
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Reversed(a), Self::Reversed(b)) => a.cmp(b),
            (Self::Absent, Self::Absent) => Ordering::Equal,
            (Self::Absent, _) => Ordering::Greater,
            // keys of one order are of one form
            _ => Ordering::Less,
        }
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Key {}

#[cfg(test)]
mod tests {
    use super::*;
    use event::PeerInfo;

    const NOW: u64 = 1_750_000_000;
    const NANOS: u64 = 1_000_000_000;

    fn net(peer: u64, connection_type: ConnectionType, size: u32) -> Net<'static> {
        Net {
            peer,
            direction: Direction::Inbound,
            address: "203.0.113.7:8333",
            connection_type,
            network: Network::Ipv4,
            size,
            raw: None,
        }
    }

    fn listed(id: u64, queue: Option<u64>) -> PeerInfo {
        PeerInfo { id, connection_type: ConnectionType::Inbound.into(), inv_to_send: queue, ..Default::default() }
    }

    fn ids(peers: &Peers, by: Column, reversed: bool) -> Vec<u64> {
        peers.sorted(None, Order { by, reversed }, NOW).into_iter().map(|peer| peer.id).collect()
    }

    #[test]
    fn who_is_not_listed_has_left() {
        let mut peers = Peers::default();
        peers.message(NOW * NANOS, &net(1, ConnectionType::Inbound, 1));
        peers.message((NOW + 58) * NANOS, &net(2, ConnectionType::OutboundFullRelay, 1));
        peers.listed((NOW + 60) * NANOS, &StatePeers { peers: vec![listed(3, None)] });
        assert_eq!(ids(&peers, Column::Id, true), [2, 3], "1 has left, 2 came while the list was made");
        assert_eq!(peers.count(), (1, 1));
        peers.gone(3);
        assert_eq!(ids(&peers, Column::Id, true), [2]);
    }

    #[test]
    fn the_most_first_and_the_absent_last() {
        let mut peers = Peers::default();
        let queues = [(1, Some(5)), (2, None), (3, Some(50)), (4, Some(5))];
        peers.listed(0, &StatePeers { peers: queues.map(|(id, queue)| listed(id, queue)).into() });
        assert_eq!(ids(&peers, Column::Queue, false), [3, 1, 4, 2]);
        assert_eq!(ids(&peers, Column::Queue, true), [1, 4, 3, 2]);
        assert_eq!(ids(&peers, Column::Address, false), [1, 2, 3, 4], "nobody has one");
    }

    #[test]
    fn words_are_sorted_as_words() {
        let mut peers = Peers::default();
        for (id, of) in [(1, ConnectionType::Manual), (2, ConnectionType::BlockRelayOnly), (3, ConnectionType::Unspecified)] {
            peers.message(NOW * NANOS, &net(id, of, 1));
        }
        assert_eq!(ids(&peers, Column::Type, false), [2, 1, 3]);
        assert_eq!(ids(&peers, Column::Type, true), [1, 2, 3]);
        assert_eq!(peers.sorted(Some(Direction::Outbound), Order { by: Column::Id, reversed: true }, NOW).len(), 2);
    }

    #[test]
    fn memory_is_bounded() {
        let mut peers = Peers::default();
        for id in 0..3 * MOST as u64 {
            peers.message(id, &net(id, ConnectionType::Inbound, 1));
        }
        assert_eq!((peers.by_id.len(), peers.forgotten), (MOST, 2 * MOST as u64));
        assert!(peers.by_id.contains_key(&(3 * MOST as u64 - 1)), "the youngest is known");
    }

    #[test]
    fn a_ping_that_is_owed_shows() {
        let peer = |ping, waiting| Peer { ping, waiting, ..Peer::default() };
        assert_eq!(Column::Ping.cell(&peer(Some(40_000_000), Some(90 * NANOS)), NOW), ">1m30");
        assert_eq!(Column::Ping.cell(&peer(Some(40_000_000), Some(1000)), NOW), "40 ms");
        assert_eq!(Column::Ping.cell(&peer(None, None), NOW), ABSENT);
    }

    #[test]
    fn cells_fit_their_columns() {
        let most = Peer {
            id: 999_999,
            connection_type: ConnectionType::PrivateBroadcast,
            network: Network::NotPubliclyRoutable,
            opened: Some(0),
            ping: Some(u64::MAX),
            queue: Some(u64::MAX),
            totals: Some((u64::MAX, u64::MAX)),
            misbehaved: 999,
            ..Peer::default()
        };
        for column in Column::WIDE.iter().filter(|column| column.width() > 0) {
            let cell = column.cell(&most, NOW);
            assert!(cell.chars().count() <= column.width(), "{column:?}: {cell}");
        }
    }
}
