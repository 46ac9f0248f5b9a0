//! Gossip of addresses: how much, by whom, of which networks, how old.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use bytes::Bytes;
use event::{Direction, Kind, Network, NetworkAddress};

use super::peer::keep;
use super::series::Series;
use crate::connect::shares::Shares;

/// Peers that are kept apart.
const PEERS: usize = 4096;
/// Sets of service bits that are kept apart.
const SERVICES: usize = 64;
/// Addresses remembered to tell new ones from repeated ones, twice: the older half goes at once.
const KNOWN: usize = 20_000;
/// Messages remembered, and entries of each.
const LATEST: usize = 40;
const ENTRIES: usize = 10;

/// How old an address is said to be, seconds; the last is for everything older.
pub const AGES: [u64; 6] = [600, 3600, 10_800, 86_400, 604_800, u64::MAX];

/// Gossip at one node.
#[derive(Debug, Default)]
pub struct Addresses {
    pub entries_in: Series,
    pub entries_out: Series,
    /// Of addresses that were not heard of before, as far as is remembered.
    pub fresh_in: Series,
    pub networks: BTreeMap<i32, Both>,
    pub services: HashMap<u64, u64>,
    /// Service bits beyond those that are kept apart.
    pub other_services: u64,
    pub ages: [u64; AGES.len()],
    /// Claimed to have been seen in the future.
    pub ahead: u64,
    pub peers: HashMap<u64, Of>,
    pub latest: VecDeque<Gossip>,
    /// What visits to them came to.
    pub visits: Shares,
    known: [HashSet<u64>; 2],
}

/// Entries by direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Both {
    pub entries_in: u64,
    pub entries_out: u64,
}

/// A message with addresses.
#[derive(Clone, Debug)]
pub struct Gossip {
    pub time: u64,
    pub peer: u64,
    pub direction: Direction,
    pub count: usize,
    /// The first of them.
    pub addresses: Vec<NetworkAddress>,
}

/// What passed between the node and one peer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Of {
    pub entries: Both,
    pub messages_in: u64,
    pub messages_out: u64,
    pub getaddr_in: u64,
    pub getaddr_out: u64,
    pub last: u64,
}

impl Addresses {
    pub fn observe(&mut self, time: u64, kind: &Kind) {
        let addresses: &[NetworkAddress] = match kind {
            Kind::NetAddr(addr) => &addr.addresses,
            Kind::NetAddrv2(addrv2) => &addrv2.addresses,
            Kind::NetGetaddr(asked) => {
                let inbound = asked.direction() == Direction::Inbound;
                let of = self.of(asked.peer, time);
                *if inbound { &mut of.getaddr_in } else { &mut of.getaddr_out } += 1;
                return;
            }
            Kind::ProbeAddress(visit) => return self.visits.observe(visit),
            _ => return,
        };
        let Some(net) = kind.net() else { return };
        let inbound = net.direction == Direction::Inbound;
        let entries = addresses.len() as u64;
        if inbound { &mut self.entries_in } else { &mut self.entries_out }.add(time, entries);
        let of = self.of(net.peer, time);
        if inbound {
            (of.messages_in, of.entries.entries_in) = (of.messages_in + 1, of.entries.entries_in + entries);
        } else {
            (of.messages_out, of.entries.entries_out) = (of.messages_out + 1, of.entries.entries_out + entries);
        }
        // not slices of a large message
        let own =
            |address: &NetworkAddress| NetworkAddress { address: Bytes::copy_from_slice(&address.address), ..address.clone() };
        let first = addresses.iter().take(ENTRIES).map(own).collect();
        let gossip = Gossip { time, peer: net.peer, direction: net.direction, count: addresses.len(), addresses: first };
        keep(&mut self.latest, gossip, LATEST);
        for address in addresses {
            let both = self.networks.entry(address.network().into()).or_default();
            if !inbound {
                both.entries_out += 1;
                continue;
            }
            both.entries_in += 1;
            self.age(time, address);
            if self.services.len() < SERVICES || self.services.contains_key(&address.services) {
                *self.services.entry(address.services).or_default() += 1;
            } else {
                self.other_services += 1;
            }
            if self.is_new(address) {
                self.fresh_in.add(time, 1);
            }
        }
    }

    fn age(&mut self, time: u64, address: &NetworkAddress) {
        match (time / 1_000_000_000).checked_sub(u64::from(address.time)) {
            None => self.ahead += 1,
            Some(age) => {
                if let Some(at) = AGES.iter().position(|most| age <= *most) {
                    self.ages[at] += 1;
                }
            }
        }
    }

    fn of(&mut self, peer: u64, time: u64) -> &mut Of {
        if self.peers.len() >= PEERS && !self.peers.contains_key(&peer) {
            let oldest = self.peers.iter().min_by_key(|(_, of)| of.last).map(|(peer, _)| *peer);
            oldest.and_then(|oldest| self.peers.remove(&oldest));
        }
        let of = self.peers.entry(peer).or_default();
        of.last = time;
        of
    }

    fn is_new(&mut self, address: &NetworkAddress) -> bool {
        use std::hash::{BuildHasher as _, RandomState};
        // one of 2^64 is taken for another: nobody notices on a chart
        thread_local!(static HASHER: RandomState = RandomState::new());
        let name = HASHER.with(|hasher| hasher.hash_one((address.network, &address.address, address.port)));
        let [young, old] = &mut self.known;
        if young.contains(&name) || old.contains(&name) {
            return false;
        }
        if young.len() >= KNOWN {
            std::mem::swap(young, old);
            young.clear();
        }
        young.insert(name);
        true
    }
}

/// The network's name.
pub fn network(number: i32) -> &'static str {
    Network::try_from(number).unwrap_or_default().word()
}
