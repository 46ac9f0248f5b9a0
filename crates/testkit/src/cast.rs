//! Who appears in the scenario: addresses, self-descriptions and gossip, all from one seed.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{SystemTime, UNIX_EPOCH};

use bitcoin::p2p::address::{AddrV2, AddrV2Message, Address};
use bitcoin::p2p::message::NetworkMessage;
use bitcoin::p2p::{ServiceFlags, address};

use crate::peer;

const USER_AGENTS: &[&str] = &[
    "/Satoshi:29.2.0/",
    "/Satoshi:30.0.0/",
    "/Satoshi:28.1.0/",
    "/Satoshi:27.0.0/Knots:20240801/",
    "/btcwire:0.5.0/btcd:0.24.2/",
    "/bitcoinj:0.16.3/",
    "/dsn.tm.kit.edu/bitcoin:0.9.99/",
];

/// A stream of numbers that only depends on its seed (SplitMix64).
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.next() as u8)
    }

    /// An address to dial from or to listen on, none like the nodes' own 127.0.0.1.
    pub(crate) fn local(&mut self) -> Ipv4Addr {
        let [a, b, c] = self.bytes();
        Ipv4Addr::new(127, a.max(1), b, c.clamp(1, 254))
    }

    /// A peer as one meets them.
    pub(crate) fn stranger(&mut self) -> peer::Options {
        let pruned = self.next().is_multiple_of(4);
        let base = if pruned { ServiceFlags::NETWORK_LIMITED } else { ServiceFlags::NETWORK };
        peer::Options {
            source: self.local(),
            services: base | ServiceFlags::WITNESS,
            user_agent: USER_AGENTS[self.next() as usize % USER_AGENTS.len()].to_owned(),
            ..peer::Options::default()
        }
    }

    /// A peer that main may dial: it disconnects from those that do not offer all blocks while it has none itself.
    pub(crate) fn server(&mut self) -> peer::Options {
        peer::Options { services: ServiceFlags::NETWORK | ServiceFlags::WITNESS, ..self.stranger() }
    }

    /// Addresses of nodes that exist nowhere: Bitcoin Core takes them for routable, the Internet does not.
    ///
    /// IPv4 from 240.0.0.0/4 (reserved), IPv6 from 3fff::/20 (documentation, RFC 9637), and random Tor v3 and I2P
    /// names.
    pub(crate) fn gossip(&mut self, count: usize) -> NetworkMessage {
        let time = now();
        NetworkMessage::AddrV2((0..count).map(|_| self.gossiped(time)).collect())
    }

    fn gossiped(&mut self, time: u32) -> AddrV2Message {
        let [a, b, c] = self.bytes();
        let addr = match self.next() % 8 {
            0 => AddrV2::TorV3(self.bytes()),
            1 => AddrV2::I2p(self.bytes()),
            2 | 3 => {
                let [d, e, f] = [(); 3].map(|()| self.next() as u16);
                AddrV2::Ipv6(Ipv6Addr::new(0x3fff, u16::from(a), d, e, f, 0, 0, 1))
            }
            _ => AddrV2::Ipv4(Ipv4Addr::new(240 | (a & 0x0f).min(14), a, b, c)),
        };
        let port = if matches!(addr, AddrV2::I2p(_)) { 0 } else { 8333 };
        AddrV2Message { time, services: ServiceFlags::NETWORK | ServiceFlags::WITNESS, addr, port }
    }

    /// The same in the older message, which knows IPv4 and IPv6 only.
    pub(crate) fn old_gossip(&mut self) -> NetworkMessage {
        let [a, b, c] = self.bytes();
        NetworkMessage::Addr(vec![(now(), old_address(Ipv4Addr::new(240 | (a & 0x0f).min(14), a, b, c)))])
    }
}

/// An `addr` of one entry too many.
pub(crate) fn oversized_gossip() -> NetworkMessage {
    let entry = (now(), old_address(Ipv4Addr::new(240, 0, 0, 1)));
    NetworkMessage::Addr(vec![entry; 1001])
}

fn old_address(ip: Ipv4Addr) -> Address {
    address::Address::new(&(ip, 8333).into(), ServiceFlags::NETWORK | ServiceFlags::WITNESS)
}

fn now() -> u32 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_secs() as u32
}
