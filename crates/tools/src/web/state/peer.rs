//! One peer of one node: who it is, what passes between them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use event::{ConnEnded, ConnectionType, Direction, EndReason, Event, Kind, KindId, Network, PeerInfo};

use super::super::brief;
use super::series::Series;

/// Messages remembered: what a conversation needs to be read.
const MESSAGES: usize = 200;
/// Messages remembered of one that has gone.
const LAST_WORDS: usize = 50;
/// Events of its life remembered.
const TIMELINE: usize = 40;
/// Pings without an answer that are remembered.
const PINGS: usize = 8;
/// Round trips remembered: at a ping each two minutes, two hours.
const ROUND_TRIPS: usize = 60;

/// One peer.
#[derive(Debug)]
pub struct Peer {
    pub id: u64,
    /// When it was first heard of, nanoseconds since the epoch.
    pub since: u64,
    /// When it was last heard of.
    pub heard: u64,
    /// When its connection was opened; absent where the observer came later and nobody said.
    pub opened: Option<u64>,
    pub closed: Option<u64>,
    /// Only a list of the node's, which lacked it, says that it has gone.
    pub presumed: bool,
    pub address: String,
    pub network: Network,
    pub connection_type: ConnectionType,
    pub reason: Option<(EndReason, String)>,
    /// What it said of itself.
    pub version: Option<Version>,
    pub fee_filter: Option<i64>,
    pub pings: Pings,
    pub misbehaved: u32,
    pub evicted: bool,
    /// The node's own word of it.
    pub info: Option<Box<PeerInfo>>,
    pub mix: Mix,
    pub messages_in: Series,
    pub messages_out: Series,
    pub conversation: VecDeque<Message>,
    /// Messages that are not remembered any more.
    pub left: u64,
    pub timeline: VecDeque<Arc<Event>>,
}

/// Pings between the node and a peer, as the messages show.
#[derive(Clone, Debug, Default)]
pub struct Pings {
    pub sent: u64,
    pub answered: u64,
    pub received: u64,
    /// The last of them, nanoseconds.
    pub round_trips: VecDeque<u64>,
    /// Nonce, and when it was sent.
    open: VecDeque<(u64, u64)>,
}

impl Pings {
    /// Since when an answer is missing.
    pub fn waiting_since(&self) -> Option<u64> {
        self.open.front().map(|(_, sent)| *sent)
    }

    fn answered(&mut self, nonce: u64, time: u64) {
        let Some(at) = self.open.iter().position(|(open, _)| *open == nonce) else { return };
        // who answers a later one does not answer those before it any more
        let sent = self.open.drain(..=at).next_back().map_or(time, |(_, sent)| sent);
        self.answered += 1;
        keep(&mut self.round_trips, time.saturating_sub(sent), ROUND_TRIPS);
    }
}

/// Of its `version` message.
#[derive(Clone, Debug)]
pub struct Version {
    pub version: u32,
    pub services: u64,
    pub user_agent: String,
    pub start_height: i32,
    pub relay: bool,
}

/// A message of a conversation.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    pub time: u64,
    pub kind: KindId,
    pub direction: Direction,
    pub size: u32,
    pub sequence: u64,
    /// Entries that it carries.
    pub count: Option<u32>,
    /// Of the transaction or block that it is about, or the first of them.
    pub hash: Option<[u8; 32]>,
}

/// Messages by type and direction.
#[derive(Clone, Debug, Default)]
pub struct Mix(HashMap<(KindId, Direction), Amount>);

/// How much of one type.
#[derive(Clone, Copy, Debug, Default)]
pub struct Amount {
    pub count: u64,
    pub bytes: u64,
    /// When the last one was seen.
    pub last: u64,
}

impl Mix {
    /// Adds a message.
    pub fn add(&mut self, kind: KindId, direction: Direction, bytes: u64, time: u64) {
        let amount = self.0.entry((kind, direction)).or_default();
        amount.count += 1;
        amount.bytes += bytes;
        amount.last = amount.last.max(time);
    }

    /// By type and direction.
    pub fn iter(&self) -> impl Iterator<Item = (KindId, Direction, Amount)> {
        let mut all: Vec<_> = self.0.iter().map(|((kind, direction), amount)| (*kind, *direction, *amount)).collect();
        all.sort_unstable_by_key(|(kind, direction, _)| (*kind as u16, *direction as i32));
        all.into_iter()
    }

    /// Messages and bytes in one direction.
    pub fn total(&self, way: Direction) -> (u64, u64) {
        let of_way = self.0.iter().filter(|((_, direction), _)| *direction == way);
        of_way.fold((0, 0), |(count, bytes), (_, amount)| (count + amount.count, bytes + amount.bytes))
    }
}

impl Peer {
    pub fn new(id: u64, time: u64) -> Self {
        Self {
            id,
            since: time,
            heard: time,
            opened: None,
            closed: None,
            presumed: false,
            address: String::new(),
            network: Network::Unspecified,
            connection_type: ConnectionType::Unspecified,
            reason: None,
            version: None,
            fee_filter: None,
            pings: Pings::default(),
            misbehaved: 0,
            evicted: false,
            info: None,
            mix: Mix::default(),
            messages_in: Series::default(),
            messages_out: Series::default(),
            conversation: VecDeque::new(),
            left: 0,
            timeline: VecDeque::new(),
        }
    }

    /// `time` is the event's, unless that is out of the question.
    pub fn observe(&mut self, event: &Arc<Event>, kind: &Kind, time: u64) {
        self.heard = self.heard.max(time);
        if let Some(net) = kind.net() {
            self.message(time, event.sequence, kind, &net);
        }
        if !kind.address().is_empty() && self.address != kind.address() {
            kind.address().clone_into(&mut self.address);
        }
        match kind {
            Kind::ConnOpened(opened) => {
                self.opened = Some(time);
                self.is(opened.connection_type(), opened.network());
            }
            Kind::ConnClosed(closed) => {
                self.opened = self.opened.or(closed.established.map(|seconds| seconds.saturating_mul(1_000_000_000)));
                self.is(closed.connection_type(), closed.network());
            }
            Kind::ConnEvicted(_) => self.evicted = true,
            Kind::ConnMisbehaving(_) => self.misbehaved = self.misbehaved.saturating_add(1),
            _ => {}
        }
        if kind.id().family() == "conn" {
            keep(&mut self.timeline, Arc::clone(event), TIMELINE);
        }
    }

    fn message(&mut self, time: u64, sequence: u64, kind: &Kind, net: &event::Net<'_>) {
        self.is(net.connection_type, net.network);
        let inbound = net.direction == Direction::Inbound;
        if inbound { &mut self.messages_in } else { &mut self.messages_out }.add(time, 1);
        self.mix.add(kind.id(), net.direction, u64::from(net.size), time);
        let count = brief::entries(kind).map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        let message =
            Message { time, kind: kind.id(), direction: net.direction, size: net.size, sequence, count, hash: about(kind) };
        self.left += u64::from(self.conversation.len() >= MESSAGES);
        keep(&mut self.conversation, message, MESSAGES);
        match kind {
            Kind::NetVersion(version) if inbound => {
                self.version = Some(Version {
                    version: version.version,
                    services: version.services,
                    user_agent: version.user_agent.clone(),
                    start_height: version.start_height,
                    relay: version.relay,
                });
            }
            Kind::NetFeefilter(filter) if inbound => self.fee_filter = Some(filter.feerate),
            Kind::NetPing(ping) if !inbound => {
                self.pings.sent += 1;
                if let Some(nonce) = ping.nonce {
                    keep(&mut self.pings.open, (nonce, time), PINGS);
                }
            }
            Kind::NetPing(_) => self.pings.received += 1,
            Kind::NetPong(pong) if inbound => self.pings.answered(pong.nonce, time),
            _ => {}
        }
    }

    /// What not every witness knows.
    fn is(&mut self, connection_type: ConnectionType, network: Network) {
        if connection_type != ConnectionType::Unspecified {
            self.connection_type = connection_type;
        }
        if network != Network::Unspecified {
            self.network = network;
        }
    }

    /// Whether the peer opened the connection, as far as anybody said.
    pub fn is_inbound(&self) -> bool {
        match self.connection_type {
            ConnectionType::Unspecified => self.info.as_ref().is_some_and(|info| info.inbound == Some(true)),
            known => known == ConnectionType::Inbound,
        }
    }

    /// Keeps less of one that has gone.
    pub fn shrink(&mut self) {
        let more = self.conversation.len().saturating_sub(LAST_WORDS);
        self.conversation.drain(..more);
        self.conversation.shrink_to_fit();
        self.left += more as u64;
        (self.messages_in, self.messages_out) = (Series::default(), Series::default());
    }

    /// Why it ended.
    pub fn end(&mut self, ended: &ConnEnded) {
        self.reason = Some((ended.reason(), ended.detail.clone()));
    }
}

/// The hash of what a message is about.
fn about(kind: &Kind) -> Option<[u8; 32]> {
    let hash = match kind {
        Kind::NetInv(inv) => &inv.items.first()?.hash,
        Kind::NetGetdata(getdata) => &getdata.items.first()?.hash,
        Kind::NetNotfound(notfound) => &notfound.items.first()?.hash,
        Kind::NetTx(tx) => &tx.wtxid,
        Kind::NetBlock(block) => &block.header.as_ref()?.hash,
        Kind::NetCmpctblock(compact) => &compact.header.as_ref()?.hash,
        Kind::NetHeaders(headers) => &headers.headers.first()?.hash,
        Kind::NetGetblocktxn(getblocktxn) => &getblocktxn.block,
        Kind::NetBlocktxn(blocktxn) => &blocktxn.block,
        _ => return None,
    };
    hash.as_ref().try_into().ok()
}

/// Adds to what is remembered; the oldest gives way.
pub fn keep<T>(all: &mut VecDeque<T>, item: T, most: usize) {
    if all.len() >= most {
        all.pop_front();
    }
    all.push_back(item);
}
