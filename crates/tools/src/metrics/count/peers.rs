//! The peers of a moment, as the node lists them.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use event::{ConnectionType, Network, PeerInfo, StatePeers};

use crate::metrics::label::{List, SYSTEMS, System};
use crate::metrics::lists::Lists;
use crate::metrics::node::{Node, seconds};
use crate::metrics::statistic::Statistics;
use crate::metrics::table::{self, Chosen, Clock, Fate, FeeFilter, Statistic};
use crate::metrics::vocabulary::{self, Client, Protocol};

/// A clock that is further off is worth a look, seconds.
const CLOCK: i64 = 10;

/// A peer that has not answered for longer is in trouble, nanoseconds.
const UNANSWERED: u64 = 5_000_000_000;

/// 1 satoshi per virtual byte, in satoshi per 1000.
const ONE: i64 = 1000;

/// Nobody pays that: Bitcoin Core asks for it while it wants no transactions (`MAX_MONEY`, rounded to some 9,170,000).
const NOBODY_PAYS: i64 = 9_000_000;

pub fn peers(node: &mut Node, lists: &Lists, m: &StatePeers) {
    let cells = &mut node.cells;
    // a peer that left must not stay in the count: everything begins anew
    table::PEERS.fill(cells, 0.0);
    table::PEERS_TRANSPORT.fill(cells, 0.0);
    table::PEERS_PROTOCOL.fill(cells, 0.0);
    table::PEERS_CLIENT.fill(cells, 0.0);
    table::PEERS_HIGH_BANDWIDTH.fill(cells, 0.0);
    table::PEERS_CLOCK.fill(cells, 0.0);
    table::PEERS_FEE_FILTER.fill(cells, 0.0);
    table::PEERS_LIST.fill(cells, if lists.is_empty() { f64::NAN } else { 0.0 });
    for peer in &m.peers {
        table::PEERS.add(cells, (peer.connection_type(), peer.network()), 1.0);
        table::PEERS_TRANSPORT.add(cells, (peer.transport(),), 1.0);
        if let Some(version) = peer.version {
            table::PEERS_PROTOCOL.add(cells, (Protocol::of(version),), 1.0);
            table::PEERS_CLIENT.add(cells, (Client::of(peer.user_agent()),), 1.0);
        }
        for (chosen, by) in [(peer.high_bandwidth_to(), Chosen::Node), (peer.high_bandwidth_from(), Chosen::Peer)] {
            table::PEERS_HIGH_BANDWIDTH.add(cells, (by,), f64::from(u8::from(chosen)));
        }
        match peer.time_offset() {
            offset if offset > CLOCK => table::PEERS_CLOCK.add(cells, (Clock::Ahead,), 1.0),
            offset if offset < -CLOCK => table::PEERS_CLOCK.add(cells, (Clock::Behind,), 1.0),
            _ => {}
        }
        if let Some(filter) = peer.min_fee_filter {
            table::PEERS_FEE_FILTER.add(cells, (fee_filter(filter),), 1.0);
        }
        if let (false, Some(address)) = (lists.is_empty(), vocabulary::ip(&peer.address)) {
            for list in lists.of(address) {
                table::PEERS_LIST.add(cells, (List(list), peer.connection_type()), 1.0);
            }
        }
    }
    let count = |of: &dyn Fn(&PeerInfo) -> bool| m.peers.iter().filter(|peer| of(peer)).count() as f64;
    table::PEERS_ADDRESS_RELAY.set(cells, (), count(&|peer| peer.addr_relay_enabled()));
    table::PEERS_TRANSACTION_RELAY.set(cells, (), count(&|peer| peer.relay_transactions()));
    table::PEERS_RATE_LIMITED.set(cells, (), count(&|peer| peer.addr_rate_limited() > 0));
    table::PEERS_INFLIGHT.set(cells, (), count(&|peer| !peer.inflight.is_empty()));
    table::PEERS_SILENT.set(cells, (), count(&|peer| peer.ping_wait() > UNANSWERED));
    table::PEERS_BELOW_1.set(cells, (), count(&relays_below_1));
    let heights: HashSet<u32> = m.peers.iter().flat_map(|peer| &peer.inflight).copied().collect();
    table::HEIGHTS_INFLIGHT.set(cells, (), heights.len() as f64);
    let pings = |of: fn(&PeerInfo) -> Option<u64>| Statistics::of(m.peers.iter().filter_map(of).map(seconds).collect());
    let statistics = [
        (table::PEER_PINGS, pings(|peer| peer.ping)),
        (table::PEER_MINIMUM_PINGS, pings(|peer| peer.minimum_ping)),
        (table::PEER_QUEUES, queues(m)),
    ];
    for (gauge, of) in statistics {
        for (statistic, value) in of.each() {
            gauge.set_or_forget(cells, (statistic,), value);
        }
    }
    let known = table::PEER_QUEUES.get(cells, (Statistic::Mean,)).is_some();
    let sum: u64 = m.peers.iter().filter(|peer| peer.relay_transactions()).filter_map(|peer| peer.inv_to_send).sum();
    table::PEER_QUEUE_SUM.set_or_forget(cells, (), known.then_some(sum as f64));
    table::INBOUND_GROUPS.set(cells, (), groups(m).len() as f64);
    systems(node, m);
    gossip(node, m);
}

fn fee_filter(filter: i64) -> FeeFilter {
    match filter {
        ..=0 => FeeFilter::Zero,
        1..ONE => FeeFilter::Below1,
        ONE => FeeFilter::At1,
        NOBODY_PAYS.. => FeeFilter::Everything,
        _ => FeeFilter::Above1,
    }
}

fn relays_below_1(peer: &PeerInfo) -> bool {
    let mut messages = peer.bytes_sent_per_message.iter().chain(&peer.bytes_received_per_message);
    peer.relay_transactions() && peer.min_fee_filter.is_some_and(|filter| filter < ONE) && messages.any(|of| of.r#type == "tx")
}

/// Transactions waiting per peer.
fn queues(m: &StatePeers) -> Statistics {
    let relaying = m.peers.iter().filter(|peer| peer.relay_transactions());
    Statistics::of(relaying.filter_map(|peer| peer.inv_to_send).map(|queue| queue as f64).collect())
}

/// The /16 networks of inbound IPv4 peers.
fn groups(m: &StatePeers) -> HashSet<[u8; 2]> {
    let inbound = |peer: &&PeerInfo| peer.connection_type() == ConnectionType::Inbound && peer.network() == Network::Ipv4;
    let group = |peer: &PeerInfo| match vocabulary::ip(&peer.address)?.to_canonical() {
        IpAddr::V4(address) => Some([address.octets()[0], address.octets()[1]]),
        IpAddr::V6(_) => None,
    };
    m.peers.iter().filter(inbound).filter_map(group).collect()
}

/// Autonomous systems: the largest by number, so that a crowd of small ones makes no series.
fn systems(node: &mut Node, m: &StatePeers) {
    let mut systems: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    for peer in &m.peers {
        if let Some(number) = peer.mapped_as {
            let (all, outbound) = systems.entry(number).or_default();
            *all += 1;
            *outbound += u64::from(peer.connection_type() != ConnectionType::Inbound);
        }
    }
    let cells = &mut node.cells;
    table::PEERS_SYSTEM.fill(cells, f64::NAN);
    node.systems.clear();
    // a node without a map has no unmapped peers either: it has no answer
    let gauges = [table::SYSTEMS_SEEN, table::PEERS_UNMAPPED, table::OUTBOUND_SHARED];
    if systems.is_empty() {
        for gauge in gauges {
            gauge.set_or_forget(cells, (), None);
        }
        return;
    }
    let mapped = |peer: &&PeerInfo| matches!(peer.network(), Network::Ipv4 | Network::Ipv6) && peer.mapped_as.is_none();
    let shared: u64 = systems.values().map(|(_, outbound)| *outbound).filter(|outbound| *outbound > 1).sum();
    let values = [systems.len() as f64, m.peers.iter().filter(mapped).count() as f64, shared as f64];
    for (gauge, value) in gauges.into_iter().zip(values) {
        gauge.set(cells, (), value);
    }
    let mut largest: Vec<(u32, u64)> = systems.into_iter().map(|(number, (all, _))| (number, all)).collect();
    // the same ones again where many are of one size
    largest.sort_unstable_by_key(|(number, all)| (std::cmp::Reverse(*all), *number));
    for (place, (number, all)) in largest.into_iter().enumerate() {
        if place < SYSTEMS {
            node.systems.push(number);
        }
        table::PEERS_SYSTEM.add(cells, (System(place),), all as f64);
    }
}

/// What came between two looks, so that what left with its peer is not taken back.
fn gossip(node: &mut Node, m: &StatePeers) {
    let mut now: Vec<(u64, u64, u64)> =
        m.peers.iter().map(|peer| (peer.id, peer.addr_processed(), peer.addr_rate_limited())).collect();
    now.sort_unstable();
    if let Some(before) = &node.peers {
        for (id, processed, limited) in &now {
            // a peer that is new since then began at 0
            let (then, then_limited) = match before.binary_search_by_key(id, |peer| peer.0) {
                Ok(at) => (before[at].1, before[at].2),
                Err(_) => (0, 0),
            };
            let counts = [(Fate::Processed, processed, then), (Fate::RateLimited, limited, then_limited)];
            for (fate, count, then) in counts {
                table::PEER_ADDRESSES.add(&mut node.cells, (fate,), count.saturating_sub(then));
            }
        }
    }
    node.peers = Some(now);
}
