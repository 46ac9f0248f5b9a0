//! What flows when nothing happens: transactions, addresses, pings.

use bytes::Bytes;
use event::{
    ConnectionType, Direction, Inventory, InventoryType, MempoolAdded, MempoolRejected, NetAddrv2, NetFilterload, NetGetdata,
    NetInv, NetPing, NetPong, NetTx, Network, NetworkAddress, OutPoint, Source,
};

use super::chance::{hash, mix};
use super::peer;
use super::world::{What, World};

/// States that a message passes: the common fields come from the peer, size and the rest from here.
macro_rules! message {
    ($world:expr, $peer:expr, $direction:ident, $size:expr, $type:ident { $($field:ident: $value:expr),* $(,)? }) => {{
        let (peer, size) = ($peer, $size);
        if let Some((address, connection_type, network)) = $world.carry(peer, event::Direction::$direction, size) {
            let direction = event::Direction::$direction.into();
            $world.say(
                event::Source::Ebpf,
                $type { peer, direction, address, connection_type, network, size, raw: None, $($field: $value),* },
            );
        }
    }};
}
pub(super) use message;

/// Bytes of a v1 header or of what v2 adds.
const FRAME: u64 = 24;

/// The most transactions that the node puts into one `inv` (Bitcoin Core `INVENTORY_BROADCAST_MAX`).
const LARGEST_INV: u64 = 1000;

/// Addresses of an answer to `getaddr`, and the most of any message.
const ANSWER: u64 = 1000;

impl World {
    /// A message of a peer passes; what it has in common with the others. `None` where the peer is gone.
    pub(super) fn carry(&mut self, peer: u64, direction: Direction, size: u32) -> Option<(String, i32, i32)> {
        let peer = self.peers.get_mut(&peer)?;
        let bytes = u64::from(size) + FRAME;
        match direction {
            Direction::Outbound => peer.sent += bytes,
            _ => peer.received += bytes,
        }
        Some((peer.address.clone(), peer.kind.into(), peer.network.into()))
    }

    /// Begins what a peer does for as long as it is connected.
    pub(super) fn begin_relay(&mut self, id: u64) {
        let Some(peer) = self.peers.get(&id) else { return };
        let (manner, kind) = (peer.manner, peer.kind);
        let relays = kind != ConnectionType::BlockRelayOnly;
        if manner.announces && relays {
            self.after_mean(self.announcing(), What::Announce(id));
        }
        if manner.relay && relays {
            let mean = self.trickling(kind);
            self.after_mean(mean, What::Trickle(id));
        }
        if let Some(rate) = manner.gossip.filter(|_| relays) {
            self.after_mean(1.6 / rate, What::Gossip(id));
        }
        let first = self.random.between(0.0, 120.0);
        self.after(first, What::Ping(id));
    }

    fn announcing(&self) -> f64 {
        4.0 * f64::from(self.population.thin)
    }

    /// Seconds between two announcements of the node (Bitcoin Core `INBOUND_INVENTORY_BROADCAST_INTERVAL` and its sibling).
    fn trickling(&self, kind: ConnectionType) -> f64 {
        let base = if kind == ConnectionType::Inbound { 5.0 } else { 2.0 };
        base * f64::from(self.population.thin)
    }

    pub(super) fn new_transactions(&mut self) {
        let rate = self.population.transactions_per_second / f64::from(self.population.thin);
        if rate > 0.0 {
            self.after_mean(1.0 / (rate * self.rhythm()), What::Transaction);
            self.remember();
            self.fresh = (self.fresh + 1).min(64);
        }
    }

    pub(super) fn announce(&mut self, id: u64) {
        if !self.peers.contains_key(&id) || self.transactions == 0 {
            return;
        }
        self.after_mean(self.announcing(), What::Announce(id));
        let fresh = std::mem::take(&mut self.fresh).min(self.transactions);
        let known = self.random.poisson(3.0).min(self.transactions - fresh);
        if fresh + known == 0 {
            return;
        }
        let first = self.transactions - fresh - known + 1;
        let items = self.inventory(first, fresh + known);
        message!(self, id, Inbound, inv_size(fresh + known), NetInv { items: items });
        if fresh > 0 {
            self.request(id, fresh);
        }
    }

    /// The node asks a peer for the last transactions, and gets them.
    fn request(&mut self, id: u64, fresh: u64) {
        let first = self.transactions - fresh + 1;
        let items = self.inventory(first, fresh);
        message!(self, id, Outbound, inv_size(fresh), NetGetdata { items: items });
        for number in first..=self.transactions {
            self.transfer(id, number, Direction::Inbound);
            let txid = self.transaction(number);
            if self.random.chance(0.02) {
                let reason = "insufficient fee".to_owned();
                self.say(Source::Ebpf, MempoolRejected { txid, reason, ..Default::default() });
            } else {
                let (vsize, fee) = (weight(number) / 4, (weight(number) / 4 * (1 + mix(number) % 20)) as i64);
                self.say(Source::Ebpf, MempoolAdded { txid, vsize: Some(vsize), fee: Some(fee), wtxid: None });
            }
        }
        let now = self.seconds();
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.last_transaction = now;
        }
    }

    /// A transaction goes from one to the other.
    pub(super) fn transfer(&mut self, id: u64, number: u64, direction: Direction) {
        let txid = self.transaction(number);
        let size = (weight(number) / 3) as u32;
        let spends = vec![OutPoint { txid: self.transaction(number.saturating_sub(1 + mix(number) % 500)), vout: 0 }];
        let Some((address, connection_type, network)) = self.carry(id, direction, size) else { return };
        self.say(
            Source::Ebpf,
            NetTx {
                peer: id,
                direction: direction.into(),
                address,
                connection_type,
                network,
                size,
                raw: None,
                wtxid: txid.clone(),
                txid,
                weight: weight(number),
                version: 2,
                locktime: 0,
                spends,
                outputs: 2,
                output_value: 1_000 + mix(number) % 100_000_000,
            },
        );
    }

    /// The node announces to a peer what it has, in batches that grow with what waits (Bitcoin Core `net_processing.cpp`,
    /// `INVENTORY_BROADCAST_TARGET`; 35 before version 31).
    pub(super) fn trickle(&mut self, id: u64) {
        let (made, now) = (self.transactions, self.seconds());
        let base = if self.node.version >= 310_000 { 70 } else { 35 };
        let Some(peer) = self.peers.get_mut(&id) else { return };
        // some it has announced itself
        let waiting = peer.queue + (made - peer.told) as f64 * 0.6;
        peer.told = made;
        let count = (waiting as u64).min(base + 5 * (waiting as u64 / 1000)).min(LARGEST_INV);
        peer.queue = waiting - count as f64;
        let (kind, requests) = (peer.kind, peer.manner.requests);
        peer.last_transaction = if count > 0 && peer.manner.announces { now } else { peer.last_transaction };
        let mean = self.trickling(kind);
        self.after_mean(mean, What::Trickle(id));
        if count == 0 {
            return;
        }
        let shown = count.min(self.transactions.max(1));
        let first = self.transactions.saturating_sub(shown) + 1;
        let items = self.inventory(first, count);
        message!(self, id, Outbound, inv_size(count), NetInv { items: items });
        let asked = self.random.poisson(shown as f64 * requests).min(shown);
        if asked > 0 {
            let items = self.inventory(first, asked);
            message!(self, id, Inbound, inv_size(asked), NetGetdata { items: items });
            for number in first..first + asked {
                self.transfer(id, number, Direction::Outbound);
            }
        }
    }

    fn inventory(&self, first: u64, count: u64) -> Vec<Inventory> {
        let item = |number| Inventory { r#type: InventoryType::Wtx.into(), hash: self.transaction(number), number: None };
        (first..first + count).map(item).collect()
    }

    /// A peer passes on addresses, and the node passes them on to two others (Bitcoin Core `RelayAddress`).
    pub(super) fn gossip(&mut self, id: u64) {
        let Some(rate) = self.peers.get(&id).and_then(|peer| peer.manner.gossip) else { return };
        let rate = rate * self.rhythm();
        self.after_mean(1.6 / rate, What::Gossip(id));
        let count = (1 + self.random.poisson(0.6)).min(10);
        let addresses: Vec<NetworkAddress> = (0..count).map(|_| self.known_address()).collect();
        self.tell_addresses(id, addresses.clone());
        let others: Vec<u64> =
            self.peers.values().filter(|p| p.ready && p.id != id && p.manner.gossip.is_some()).map(|p| p.id).collect();
        for _ in 0..2 {
            if let Some(&other) = self.random.pick(&others) {
                let size = address_size(&addresses);
                message!(self, other, Outbound, size, NetAddrv2 { addresses: addresses.clone() });
            }
        }
    }

    /// A peer sends addresses.
    pub(super) fn tell_addresses(&mut self, id: u64, addresses: Vec<NetworkAddress>) {
        let now = self.now;
        // of more than a message may have the node takes none, and counts none as too many
        if addresses.len() as u64 <= ANSWER
            && let Some(peer) = self.peers.get_mut(&id)
        {
            peer.addresses.take(addresses.len() as u64, now);
        }
        let size = address_size(&addresses);
        message!(self, id, Inbound, size, NetAddrv2 { addresses: addresses });
    }

    /// What a node answers to `getaddr`.
    pub(super) fn address_book(&mut self) -> Vec<NetworkAddress> {
        (0..ANSWER).map(|_| self.known_address()).collect()
    }

    /// The node answers a `getaddr`.
    pub(super) fn answer_getaddr(&mut self, id: u64) {
        let addresses = self.address_book();
        let size = address_size(&addresses);
        message!(self, id, Outbound, size, NetAddrv2 { addresses: addresses });
    }

    /// One of the addresses that everybody tells each other of these days.
    pub(super) fn known_address(&mut self) -> NetworkAddress {
        let day = (self.now - self.begin) as f64 / 86_400e9;
        let gone = (day * self.population.new_addresses as f64) as u64;
        let number = gone + self.random.below(self.population.known_addresses.max(1));
        let age = self.random.exponential(1800.0) as u64;
        address(number, (self.seconds() - age.min(86_400)) as u32)
    }

    pub(super) fn ping(&mut self, id: u64) {
        let Some(peer) = self.peers.get(&id) else { return };
        let (wait, pings) = (peer.round_trip, peer.manner.pings);
        self.after(120.0, What::Ping(id));
        let nonce = self.random.next();
        message!(self, id, Outbound, 8, NetPing { nonce: Some(nonce) });
        self.after(wait, What::Pong(id, nonce));
        if pings {
            let nonce = self.random.next();
            message!(self, id, Inbound, 8, NetPing { nonce: Some(nonce) });
            message!(self, id, Outbound, 8, NetPong { nonce: nonce });
        }
    }

    pub(super) fn pong(&mut self, id: u64, nonce: u64) {
        message!(self, id, Inbound, 8, NetPong { nonce: nonce });
    }

    /// A wallet says what it wants to hear of.
    pub(super) fn set_filter(&mut self, id: u64) {
        let filter = Bytes::copy_from_slice(&hash(id, 37));
        message!(self, id, Inbound, 42, NetFilterload { filter: filter, hash_functions: 11, tweak: 5, flags: 1 });
    }
}

/// Weight units.
fn weight(number: u64) -> u64 {
    // half are small payments, few are large
    440 + mix(number ^ 77) % 600 + if mix(number).is_multiple_of(20) { 8_000 } else { 0 }
}

fn inv_size(count: u64) -> u32 {
    (if count < 253 { 1 } else { 3 } + 36 * count) as u32
}

fn address_size(addresses: &[NetworkAddress]) -> u32 {
    let size: usize = addresses.iter().map(|entry| entry.address.len() + 11).sum();
    (size + if addresses.len() < 253 { 1 } else { 3 }) as u32
}

/// The address of this number, on the network that it has.
pub(super) fn address(number: u64, time: u32) -> NetworkAddress {
    let spread = mix(number ^ 0xadd2);
    let range = (mix(number ^ 0x16) >> 11) as f64 / (1_u64 << 53) as f64;
    let (network, address) = match spread % 100 {
        0..70 => (Network::Ipv4, Bytes::copy_from_slice(&peer::ipv4(range, number).octets())),
        70..80 => (Network::Ipv6, Bytes::copy_from_slice(&peer::ipv6(number).octets())),
        80..95 => (Network::Onion, Bytes::copy_from_slice(&hash(number, 3))),
        _ => (Network::I2p, Bytes::copy_from_slice(&hash(number, 4))),
    };
    let port = if network == Network::I2p { 0 } else { 8333 };
    NetworkAddress { time, services: 0x0c09, network: network.into(), address, port, network_id: None }
}
