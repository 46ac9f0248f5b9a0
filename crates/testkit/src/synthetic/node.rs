//! Who comes and goes: slots, eviction, handshakes, and the node's own beginning.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use event::{
    ConnClosed, ConnClosing, ConnEnded, ConnEvicted, ConnOpened, ConnReady, ConnRefusal, ConnRefused, ConnectionType, EndReason,
    HealthAttached, NetFeefilter, NetGetaddr, NetGetheaders, NetPing, NetPong, NetSendaddrv2, NetSendcmpct, NetSendheaders,
    NetVerack, NetVersion, NetWtxidrelay, Network, Source, Transport,
};

use super::peer::{self, Addresses, Manner, Peer, Stranger};
use super::program::{self, Greeting};
use super::relay::message;
use super::world::{SECOND, What, World};

/// Full-relay connections that a node keeps, and block-relay-only ones (Bitcoin Core `net.h`).
const FULL_RELAY: usize = 8;
const BLOCK_RELAY: usize = 2;
pub(super) const OUTBOUND: usize = FULL_RELAY + BLOCK_RELAY;

/// Inbound peers that eviction never touches, in a full node: by network group, ping, transactions, blocks (Bitcoin Core
/// `node/eviction.cpp`). There are never more, however many of the others were evicted.
const PROTECTED: u64 = 28;

/// The network group of those who want to be dialled. `peer::ipv4` has none of it but by chance.
pub(super) const ATTACKERS: [u8; 2] = [254, 77];

/// What the node says of itself to peers.
const OWN_ADDRESS: &str = "240.255.255.254:8333";

impl World {
    /// Every source begins to watch.
    pub(super) fn attach(&mut self) {
        for index in 0..self.stamps.len() {
            let source = self.stamps[index].source;
            self.say(source, HealthAttached { target: "bitcoind".into(), attached: vec!["all".into()], ..Default::default() });
        }
        self.say_profile();
    }

    /// Those who are connected already when the watching begins.
    pub(super) fn settle(&mut self) {
        let outbound = OUTBOUND.min(self.population.peers);
        for index in 0..outbound {
            let kind = if index < FULL_RELAY { ConnectionType::OutboundFullRelay } else { ConnectionType::BlockRelayOnly };
            self.settled(kind);
        }
        for _ in outbound..self.population.peers.min(outbound + self.knobs.slots) {
            self.settled(ConnectionType::Inbound);
        }
        self.choose();
    }

    fn settled(&mut self, kind: ConnectionType) {
        let mut stranger = self.stranger();
        if kind != ConnectionType::Inbound {
            stranger = self.candidate_server();
        }
        let id = self.connect(stranger, kind);
        let life = if kind == ConnectionType::Inbound { self.remaining_life() } else { self.random.exponential(4.0 * 86_400.0) };
        let age = self.random.exponential(life.max(600.0)) as u64 * SECOND;
        let oldest = self.now - (self.now / SECOND - self.node_run).saturating_mul(SECOND);
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.connected = peer.connected.saturating_sub(age).max(oldest);
            peer.ready = true;
        }
        self.after(life, What::Leave(id));
        self.begin_relay(id);
    }

    /// Somebody who may dial the node.
    pub(super) fn stranger(&mut self) -> Stranger {
        let gossip = self.population.addresses_per_second;
        let (range, host, which) = (self.random.unit(), self.random.next(), self.random.unit());
        let (onion, i2p, ipv6) = (self.population.onion, self.population.i2p, self.population.ipv6);
        let ipv4 = Stranger::at(IpAddr::V4(peer::ipv4(range, host)), gossip, &mut self.random);
        if which < onion {
            // every inbound connection over Tor comes from the node's own Tor daemon
            let address = format!("127.0.0.1:{}", peer::ephemeral_port(&mut self.random));
            let round_trip = self.random.between(0.3, 1.2);
            Stranger { address, network: Network::Onion, round_trip, ..ipv4 }
        } else if which < onion + i2p {
            let round_trip = self.random.between(0.5, 2.5);
            Stranger { address: peer::i2p(host), network: Network::I2p, round_trip, ..ipv4 }
        } else if which < onion + i2p + ipv6 {
            Stranger::at(IpAddr::V6(peer::ipv6(host)), gossip, &mut self.random)
        } else {
            ipv4
        }
    }

    /// Somebody whom the node dials: of no network group that it is connected to already (Bitcoin Core `ThreadOpenConnections`), unless
    /// an attacker has seen to it that it dials him.
    fn candidate_server(&mut self) -> Stranger {
        let server = loop {
            let server = self.server();
            let same = |peer: &Peer| peer.kind != ConnectionType::Inbound && net_group(&peer.address) == net_group(&server.address);
            if !self.peers.values().any(same) {
                break server;
            }
        };
        let Some(left) = self.knobs.attackers.checked_sub(1) else { return server };
        self.knobs.attackers = left;
        let [a, b] = ATTACKERS;
        let host = self.random.below(1 << 16) as u16;
        let address = format!("{a}.{b}.{}.{}:8333", host >> 8, host & 0xff);
        Stranger { address, manner: Manner { pings: true, ..Manner::STILL }, ..server }
    }

    /// Somebody whom the node may dial.
    fn server(&mut self) -> Stranger {
        let gossip = self.population.addresses_per_second;
        let (range, host) = (self.random.unit(), self.random.next());
        let ip = peer::ipv4(range, host);
        let stranger = Stranger::at(IpAddr::V4(ip), gossip, &mut self.random);
        let program = program::relaying(&mut self.random);
        let manner = Manner::usual(program, gossip, &mut self.random);
        Stranger { address: format!("{ip}:8333"), program, agent: program.agent, manner, ..stranger }
    }

    /// Seconds that a new inbound connection lasts: most are brief, few last for days.
    pub(super) fn life(&mut self) -> f64 {
        let mean = match self.random.unit() {
            0.0..0.76 => 60.0,
            0.76..0.96 => 1_800.0,
            0.96..0.992 => 19_200.0,
            _ => 115_200.0,
        };
        self.random.exponential(mean)
    }

    /// The rest for somebody met at any moment: long lives are met more often, in proportion to their length.
    fn remaining_life(&mut self) -> f64 {
        let mean = match self.random.unit() {
            0.0..0.023 => 60.0,
            0.023..0.21 => 1_800.0,
            0.21..0.52 => 19_200.0,
            _ => 115_200.0,
        };
        self.random.exponential(mean)
    }

    pub(super) fn inbound(&self) -> usize {
        self.peers.values().filter(|peer| peer.kind == ConnectionType::Inbound).count()
    }

    /// Somebody dials the node, and the next one will.
    pub(super) fn arrive(&mut self) {
        let rate = self.population.inbound_per_minute / 60.0 * self.knobs.arrivals * self.rhythm();
        // while nobody comes, the question is asked again
        let wait = if rate > 0.0 { self.random.exponential(1.0 / rate) } else { 10.0 };
        self.after(wait, What::Arrive);
        if rate > 0.0 && self.up {
            let (stranger, life) = (self.stranger(), self.life());
            self.accept(stranger, life);
        }
    }

    /// An inbound connection, where there is room or somebody has to make it.
    pub(super) fn accept(&mut self, stranger: Stranger, life: f64) -> Option<u64> {
        if !self.up {
            return None;
        }
        let full = self.inbound() >= self.knobs.slots;
        let victim = if full { self.candidate() } else { None };
        if full && victim.is_none() {
            self.say(Source::Log, ConnRefused { reason: ConnRefusal::Full.into(), ..Default::default() });
            return None;
        }
        if let Some(victim) = victim {
            self.evict(victim);
        }
        let deed = stranger.deed;
        let id = self.connect(stranger, ConnectionType::Inbound);
        self.say_opened(id);
        // the node's socket thread gets round to it after the newcomer has its place
        if let Some(victim) = victim {
            self.close(victim, EndReason::Evicted);
        }
        self.took_a_slot(deed, victim.is_some());
        let wait = self.peers.get(&id).map_or(0.1, |peer| peer.round_trip);
        self.after(wait, What::Greet(id, 0));
        self.after(life, What::Leave(id));
        Some(id)
    }

    fn connect(&mut self, stranger: Stranger, kind: ConnectionType) -> u64 {
        let id = self.next_peer;
        self.next_peer += 1;
        let drawn = kind == ConnectionType::Inbound && self.random.below(self.knobs.slots.max(1) as u64) < PROTECTED;
        let drawn = drawn && self.peers.values().filter(|peer| peer.drawn).count() < PROTECTED as usize;
        let Stranger { address, network, program, agent, manner, v2, round_trip, .. } = stranger;
        let peer = Peer {
            id,
            address,
            network,
            kind,
            program,
            agent,
            manner,
            connected: self.now,
            ready: false,
            v2,
            round_trip,
            drawn,
            protected: drawn,
            queue: 0.0,
            told: self.transactions,
            sent: 0,
            received: 0,
            last_transaction: 0,
            last_block: 0,
            chosen: false,
            addresses: Addresses::new(self.now),
        };
        self.peers.insert(id, peer);
        id
    }

    fn say_opened(&mut self, id: u64) {
        let Some(peer) = self.peers.get(&id) else { return };
        let inbound = peer.kind == ConnectionType::Inbound;
        let count = self.peers.values().filter(|other| (other.kind == ConnectionType::Inbound) == inbound).count();
        let (address, connection_type, network) = (peer.address.clone(), peer.kind.into(), peer.network.into());
        self.say(Source::Ebpf, ConnOpened { peer: id, address, connection_type, network, count: Some(count as u64) });
    }

    /// Who has to go: of those not protected the older half stays, peers over Tor and I2P before others in up to half of those places; of the rest, in the
    /// network group with most of them, the newest (Bitcoin Core `node/eviction.cpp`, `ProtectEvictionCandidatesByRatio`).
    fn candidate(&self) -> Option<u64> {
        let may = |peer: &&Peer| peer.kind == ConnectionType::Inbound && !peer.protected && peer.connected < self.now;
        let mut rest: Vec<&Peer> = self.peers.values().filter(may).collect();
        rest.sort_by_key(|peer| (peer.connected, peer.id));
        let is_hidden = |peer: &&Peer| matches!(peer.network, Network::Onion | Network::I2p);
        let hidden: BTreeSet<u64> = rest.iter().copied().filter(is_hidden).take(rest.len() / 4).map(|peer| peer.id).collect();
        let older = rest.len() / 2 - hidden.len();
        let rest = rest.into_iter().filter(|peer| !hidden.contains(&peer.id)).skip(older);
        let mut groups: BTreeMap<&str, (usize, u64, u64)> = BTreeMap::new();
        for peer in rest {
            let group = groups.entry(net_group(&peer.address)).or_default();
            *group = (group.0 + 1, group.1.max(peer.connected), group.2.max(peer.id));
        }
        groups.into_values().max().map(|(_, _, id)| id)
    }

    fn evict(&mut self, id: u64) {
        let Some(peer) = self.peers.get(&id) else { return };
        let (address, connection_type, network) = (peer.address.clone(), peer.kind.into(), peer.network.into());
        let established = Some(peer.connected / SECOND);
        self.say(Source::Ebpf, ConnEvicted { peer: id, address, connection_type, network, established });
    }

    /// A connection ends.
    pub(super) fn close(&mut self, id: u64, reason: EndReason) {
        let Some(peer) = self.peers.remove(&id) else { return };
        let established = Some(peer.connected / SECOND);
        let (address, kind, network) = (peer.address, peer.kind, peer.network);
        if reason != EndReason::Shutdown {
            let closing = ConnClosing { peer: id, address: address.clone(), reason: reason.into(), detail: String::new() };
            self.say(Source::Log, closing);
        }
        let (connection_type, network) = (kind.into(), network.into());
        self.say(Source::Ebpf, ConnClosed { peer: id, address: address.clone(), connection_type, network, established });
        self.say(
            Source::Join,
            ConnEnded {
                peer: id,
                address,
                connection_type,
                network,
                established,
                reason: reason.into(),
                detail: String::new(),
                reason_source: Source::Log.into(),
            },
        );
        if kind != ConnectionType::Inbound && self.up {
            let wait = self.random.between(1.0, 20.0);
            self.after(wait, What::Dial);
        }
        if peer.chosen {
            self.choose();
        }
    }

    /// The node fills its outbound slots, one at a time.
    pub(super) fn dial(&mut self) {
        let of = |kind| self.peers.values().filter(|peer| peer.kind == kind).count();
        let kind = if of(ConnectionType::OutboundFullRelay) < FULL_RELAY {
            ConnectionType::OutboundFullRelay
        } else if of(ConnectionType::BlockRelayOnly) < BLOCK_RELAY {
            ConnectionType::BlockRelayOnly
        } else {
            return;
        };
        if !self.up {
            return;
        }
        let server = self.candidate_server();
        let id = self.connect(server, kind);
        self.say_opened(id);
        let life = self.random.exponential(4.0 * 86_400.0);
        self.after(0.05, What::Greet(id, 0));
        self.after(life, What::Leave(id));
        self.after(0.5, What::Dial);
    }

    /// Three peers that may send blocks unasked, outbound ones first.
    pub(super) fn choose(&mut self) {
        let mut able: Vec<(bool, u64)> = self
            .peers
            .values()
            .filter(|peer| peer.ready && peer.manner.blocks)
            .map(|peer| (peer.kind == ConnectionType::Inbound, peer.id))
            .collect();
        able.sort_unstable();
        let chosen: Vec<u64> = able.into_iter().take(3).map(|(_, id)| id).collect();
        for peer in self.peers.values_mut() {
            peer.chosen = chosen.contains(&peer.id);
        }
    }

    /// The handshake: who dialled speaks first, each side answers `version` with `verack`, and the rest follows.
    pub(super) fn greet(&mut self, id: u64, step: u8) {
        let Some(peer) = self.peers.get(&id) else { return };
        let (inbound, wait, greets) = (peer.kind == ConnectionType::Inbound, peer.round_trip, peer.manner.greets);
        match (step, inbound) {
            (0, true) => {
                self.hear_version(id);
                self.say_version(id);
                self.say_features(id);
                if greets {
                    self.after(wait, What::Greet(id, 1));
                }
            }
            (0, false) => {
                self.say_version(id);
                self.after(wait, What::Greet(id, 1));
            }
            (1, false) => {
                self.hear_version(id);
                self.say_features(id);
                self.hear_greeting(id);
                if let Some(peer) = self.peers.get_mut(&id) {
                    peer.addresses.asked();
                }
                message!(self, id, Outbound, 0, NetGetaddr {});
                self.after(wait + 1.0, What::Greet(id, 2));
                self.choose();
            }
            (1, true) => self.hear_greeting(id),
            _ => {
                let answer = self.address_book();
                if self.peers.get(&id).is_some_and(|peer| peer.manner.gossip.is_some()) {
                    self.tell_addresses(id, answer);
                }
            }
        }
    }

    fn hear_version(&mut self, id: u64) {
        let Some(peer) = self.peers.get(&id) else { return };
        let (program, agent, relay) = (peer.program, peer.agent, peer.manner.relay);
        if peer.kind == ConnectionType::Inbound {
            self.said_hello(agent, program);
        }
        let (time, start_height) = (self.seconds() as i64, self.chain.height - self.random.below(2) as i32);
        let nonce = self.random.next();
        let receiver = if program.echoes { OWN_ADDRESS } else { "0.0.0.0:0" };
        message!(
            self,
            id,
            Inbound,
            86 + agent.len() as u32,
            NetVersion {
                version: program.version,
                services: program.services,
                time: time,
                receiver_services: program::NETWORK,
                receiver_address: receiver.to_owned(),
                sender_services: program.services,
                sender_address: "0.0.0.0:0".to_owned(),
                nonce: nonce,
                user_agent: agent.to_owned(),
                start_height: start_height,
                relay: relay,
            }
        );
    }

    fn say_version(&mut self, id: u64) {
        let (time, start_height) = (self.seconds() as i64, self.chain.height);
        let nonce = self.random.next();
        let receiver = self.peers.get(&id).map_or_else(String::new, |peer| peer.address.clone());
        message!(
            self,
            id,
            Outbound,
            102,
            NetVersion {
                version: 70016,
                services: 0x0c09,
                time: time,
                receiver_services: 0,
                receiver_address: receiver,
                sender_services: 0x0c09,
                sender_address: "0.0.0.0:0".to_owned(),
                nonce: nonce,
                user_agent: "/Satoshi:31.0.0/".to_owned(),
                start_height: start_height,
                relay: true,
            }
        );
    }

    fn say_features(&mut self, id: u64) {
        message!(self, id, Outbound, 0, NetWtxidrelay {});
        message!(self, id, Outbound, 0, NetSendaddrv2 {});
        message!(self, id, Outbound, 0, NetVerack {});
    }

    /// What a peer sends after the node's `verack`, and what the node says then.
    fn hear_greeting(&mut self, id: u64) {
        let Some(peer) = self.peers.get(&id) else { return };
        let (program, kind, manner, v2) = (peer.program, peer.kind, peer.manner, peer.v2);
        let nonce = self.random.next();
        let locator = vec![self.chain.tip.clone()];
        for greeting in program.greeting {
            match greeting {
                Greeting::Wtxidrelay => message!(self, id, Inbound, 0, NetWtxidrelay {}),
                Greeting::Sendaddrv2 => message!(self, id, Inbound, 0, NetSendaddrv2 {}),
                Greeting::Sendheaders => message!(self, id, Inbound, 0, NetSendheaders {}),
                Greeting::Verack => message!(self, id, Inbound, 0, NetVerack {}),
                Greeting::Getaddr if kind == ConnectionType::Inbound => {
                    message!(self, id, Inbound, 0, NetGetaddr {});
                    self.answer_getaddr(id);
                }
                Greeting::Getaddr => (),
                Greeting::Sendcmpct => message!(self, id, Inbound, 9, NetSendcmpct { announce: false, version: 2 }),
                Greeting::Ping => {
                    message!(self, id, Inbound, 8, NetPing { nonce: Some(nonce) });
                    message!(self, id, Outbound, 8, NetPong { nonce: nonce });
                }
                Greeting::Getheaders => {
                    let stop = bytes::Bytes::from_static(&[0; 32]);
                    message!(self, id, Inbound, 69, NetGetheaders { version: 70016, locator: locator.clone(), stop: stop });
                }
                Greeting::Feefilter => message!(self, id, Inbound, 8, NetFeefilter { feerate: 100 }),
            }
        }
        message!(self, id, Outbound, 9, NetSendcmpct { announce: false, version: 2 });
        message!(self, id, Outbound, 8, NetFeefilter { feerate: 100 });
        if manner.filters {
            self.set_filter(id);
        }
        let transport = if v2 { Transport::V2 } else { Transport::V1 };
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.ready = true;
            let (address, version) = (peer.address.clone(), program.version);
            self.say(
                Source::Log,
                ConnReady {
                    peer: id,
                    address,
                    connection_type: kind.into(),
                    transport: transport.into(),
                    version,
                    ..Default::default()
                },
            );
        }
        self.begin_relay(id);
    }

    /// The node's process ends, and everybody is gone.
    pub(super) fn stop(&mut self) {
        self.up = false;
        self.forget_blocks();
        let all: Vec<u64> = self.peers.keys().copied().collect();
        for id in all {
            self.close(id, EndReason::Shutdown);
        }
    }

    /// The node's process begins again, under the same sources with new lives.
    pub(super) fn start(&mut self) {
        self.up = true;
        self.node_run = self.seconds();
        self.handler_nanos = 0.0;
        self.next_peer = 0;
        for index in 0..self.stamps.len() {
            let run = self.now;
            self.stamps[index].restart(run);
        }
        self.attach();
        self.after(0.5, What::Dial);
        self.catch_up();
    }
}

/// The network group of an IPv4 address: the first sixteen bits. Others are taken as groups of their own, which they mostly are.
fn net_group(address: &str) -> &str {
    let dots = address.match_indices('.').nth(1);
    dots.map_or(address, |(end, _)| &address[..end])
}
