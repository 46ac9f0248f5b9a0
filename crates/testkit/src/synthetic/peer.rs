//! A peer: who it is, and how it behaves.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use event::{ConnectionType, Network};

use super::chance::mix;
use super::program::{self, Program};
use crate::cast::Random;

/// How a peer behaves once it is connected.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Manner {
    /// Announces transactions.
    pub(super) announces: bool,
    /// Share of the announced transactions that it asks for.
    pub(super) requests: f64,
    /// Wants transactions announced: the flag of its `version`.
    pub(super) relay: bool,
    /// Takes part in address relay, with so many addresses per second.
    pub(super) gossip: Option<f64>,
    /// Announces and delivers blocks.
    pub(super) blocks: bool,
    /// Sends pings of its own.
    pub(super) pings: bool,
    /// Goes on with the greeting after its `version`.
    pub(super) greets: bool,
    /// Sets a bloom filter.
    pub(super) filters: bool,
}

impl Manner {
    /// Does nothing but be there, and answer pings.
    pub(super) const STILL: Self = Self {
        announces: false,
        requests: 0.0,
        relay: true,
        gossip: None,
        blocks: false,
        pings: false,
        greets: true,
        filters: false,
    };

    /// As the software behaves in normal use.
    pub(super) fn usual(program: &Program, gossip: [f64; 2], random: &mut Random) -> Self {
        if !program.relays {
            return Self { relay: false, pings: true, ..Self::STILL };
        }
        // most ask for few, as they have other peers; nobody who relays asks for none
        let requests = 0.02 + 0.2 * random.unit().powi(3);
        // the talkative ones are few
        let gossip = Some(gossip[0] + (gossip[1] - gossip[0]) * random.unit().powi(2));
        Self { announces: true, requests, gossip, blocks: true, pings: true, ..Self::STILL }
    }
}

/// Somebody who is connected.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) id: u64,
    pub(super) address: String,
    pub(super) network: Network,
    pub(super) kind: ConnectionType,
    pub(super) program: &'static Program,
    pub(super) agent: &'static str,
    pub(super) manner: Manner,
    /// Nanoseconds since the epoch.
    pub(super) connected: u64,
    pub(super) ready: bool,
    pub(super) v2: bool,
    /// Seconds there and back.
    pub(super) round_trip: f64,
    /// Never chosen to make room.
    pub(super) protected: bool,
    /// That is so by lot, as one of those whom eviction protects for what they do.
    pub(super) drawn: bool,
    /// Transactions waiting to be announced to it, beyond what the next trickle takes.
    pub(super) queue: f64,
    /// Transactions that there were at the last trickle.
    pub(super) told: u64,
    /// Bytes on the wire.
    pub(super) sent: u64,
    pub(super) received: u64,
    /// Seconds since the epoch, 0 for never.
    pub(super) last_transaction: u64,
    pub(super) last_block: u64,
    /// The node chose it for blocks without asking.
    pub(super) chosen: bool,
    pub(super) addresses: Addresses,
}

/// Bitcoin Core's limiter of addresses, per peer (`net_processing.cpp`, `MAX_ADDR_RATE_PER_SECOND` and what is around it).
#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses {
    tokens: f64,
    at: u64,
    pub(super) processed: u64,
    pub(super) limited: u64,
}

impl Addresses {
    pub(super) fn new(at: u64) -> Self {
        Self { tokens: 1.0, at, processed: 0, limited: 0 }
    }

    /// The node asked for addresses.
    pub(super) fn asked(&mut self) {
        self.tokens += 1000.0;
    }

    /// So many addresses arrived.
    pub(super) fn take(&mut self, count: u64, now: u64) {
        if self.tokens < 1000.0 {
            let elapsed = now.saturating_sub(self.at) as f64 / 1e9;
            self.tokens = (self.tokens + elapsed * 0.1).min(1000.0);
        }
        self.at = now;
        for _ in 0..count {
            if self.tokens < 1.0 {
                self.limited += 1;
            } else {
                self.tokens -= 1.0;
                self.processed += 1;
            }
        }
    }
}

/// Who somebody is before there is a connection.
#[derive(Clone, Debug)]
pub(super) struct Stranger {
    pub(super) address: String,
    pub(super) network: Network,
    pub(super) program: &'static Program,
    pub(super) agent: &'static str,
    pub(super) manner: Manner,
    pub(super) v2: bool,
    pub(super) round_trip: f64,
    /// One of many who come for a deed.
    pub(super) deed: bool,
}

impl Stranger {
    /// Somebody with this address and the usual manners.
    pub(super) fn at(ip: IpAddr, gossip: [f64; 2], random: &mut Random) -> Self {
        let program = program::any(random);
        let network = if ip.is_ipv4() { Network::Ipv4 } else { Network::Ipv6 };
        Self {
            address: SocketAddr::new(ip, ephemeral_port(random)).to_string(),
            network,
            program,
            agent: program.agent,
            manner: Manner::usual(program, gossip, random),
            v2: program.services & program::P2P_V2 != 0,
            round_trip: random.between(0.01, 0.25),
            deed: false,
        }
    }
}

/// A port that a system gives to whoever dials.
pub(super) fn ephemeral_port(random: &mut Random) -> u16 {
    32_768 + random.below(28_000) as u16
}

/// An address that Bitcoin Core takes for routable, and nobody has: 240.0.0.0/4 is reserved.
///
/// The first sixteen bits come from the first argument, the rest from the second: some ranges have many nodes, most have few.
pub(super) fn ipv4(range: f64, host: u64) -> Ipv4Addr {
    let range = (range * range * 3840.0) as u32;
    Ipv4Addr::from(0xf000_0000 | (range << 16) | ((mix(host) as u32) & 0xffff).clamp(1, 0xfffe))
}

/// Likewise, from the range for documentation (RFC 9637).
pub(super) fn ipv6(host: u64) -> Ipv6Addr {
    let [a, b] = [mix(host), mix(host ^ 6)];
    Ipv6Addr::new(0x3fff, (a as u16) & 0x0fff, (a >> 16) as u16, (a >> 32) as u16, b as u16, (b >> 16) as u16, (b >> 32) as u16, 1)
}

/// A name on I2P.
pub(super) fn i2p(host: u64) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let letter = |index: u64| char::from(ALPHABET[(mix(host ^ (index << 32)) % 32) as usize]);
    format!("{}.b32.i2p:0", (0..52).map(letter).collect::<String>())
}
