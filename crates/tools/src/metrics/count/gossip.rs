//! Addresses that peers pass on. A flood of them is what this has to keep up with: up to 1,000 per message, as fast as they come.

use std::net::IpAddr;

use event::{Direction, NetAddr, NetAddrv2, Network, NetworkAddress};

use crate::metrics::addrman::bits;
use crate::metrics::node::Node;
use crate::metrics::table::{self, Gossip, When};
use crate::metrics::vocabulary::{self, Service};

pub fn addr(node: &mut Node, time: u64, m: &NetAddr) {
    addresses(node, time, Gossip::Addr, m.direction(), m.network(), &m.address, &m.addresses);
}

pub fn addrv2(node: &mut Node, time: u64, m: &NetAddrv2) {
    addresses(node, time, Gossip::Addrv2, m.direction(), m.network(), &m.address, &m.addresses);
}

fn addresses(
    node: &mut Node,
    time: u64,
    message: Gossip,
    direction: Direction,
    connection: Network,
    peer: &str,
    addresses: &[NetworkAddress],
) {
    let cells = &mut node.cells;
    table::ADDRESSES_PER_MESSAGE.observe(cells, (message, direction), addresses.len() as f64);
    if addresses.is_empty() {
        table::EMPTY_GOSSIP.add(cells, (connection, direction), 1);
    }
    let now = (time / 1_000_000_000) as i64;
    let sender = Sender::of(peer);
    for address in addresses {
        let network = address.network();
        table::ADDRESSES.add(cells, (network, direction), 1);
        for bit in bits(address.services) {
            table::ADDRESS_SERVICES.add(cells, (Service::of_bit(bit), direction), 1);
        }
        let age = now - i64::from(address.time);
        let when = if age < 0 { When::Future } else { When::Past };
        table::ADDRESS_CLAIMS.observe(cells, (when, direction), age.unsigned_abs() as f64);
        // whom a message comes from matters; what a node sends, it sends to many
        if direction == Direction::Inbound {
            match sender.compare(network, &address.address) {
                Likeness::Same => table::SELF_ANNOUNCEMENTS.add(cells, (network, direction), 1),
                Likeness::Neighbour => table::SUBNET_ANNOUNCEMENTS.add(cells, (network, direction), 1),
                Likeness::None => {}
            }
        }
    }
}

/// Who sent the addresses, in the bytes that gossip would use.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Sender {
    Ipv4([u8; 4]),
    Ipv6([u8; 16]),
    /// Onion or I2P: 32 bytes of a key or a hash.
    Key([u8; 32]),
    Unknown,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Likeness {
    Same,
    /// In the same /24 or /64.
    Neighbour,
    None,
}

impl Sender {
    fn of(peer: &str) -> Self {
        match vocabulary::ip(peer).map(|ip| ip.to_canonical()) {
            Some(IpAddr::V4(address)) => Self::Ipv4(address.octets()),
            Some(IpAddr::V6(address)) => Self::Ipv6(address.octets()),
            None => {
                let host = peer.rsplit_once(':').map_or(peer, |(host, _)| host);
                let name = host.strip_suffix(".onion").or_else(|| host.strip_suffix(".b32.i2p"));
                name.and_then(key).map_or(Self::Unknown, Self::Key)
            }
        }
    }

    #[inline]
    fn compare(&self, network: Network, address: &[u8]) -> Likeness {
        let like = |own: &[u8], kept: usize| {
            if own == address {
                Likeness::Same
            } else if own.len() == address.len() && own[..kept] == address[..kept] {
                Likeness::Neighbour
            } else {
                Likeness::None
            }
        };
        match (self, network) {
            (Self::Ipv4(own), Network::Ipv4) => like(own, 3),
            (Self::Ipv6(own), Network::Ipv6) => like(own, 8),
            // neighbours in CJDNS and among keys have nothing in common
            (Self::Ipv6(own), Network::Cjdns) if own == address => Likeness::Same,
            (Self::Key(own), Network::Onion | Network::I2p) if own == address => Likeness::Same,
            _ => Likeness::None,
        }
    }
}

/// The first 32 bytes of a name in base 32 (RFC 4648, lower case): an onion address goes on with checksum and version.
fn key(name: &str) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    let (mut buffer, mut held, mut at) = (0_u32, 0, 0);
    for letter in name.bytes() {
        let value = match letter {
            b'a'..=b'z' => letter - b'a',
            b'2'..=b'7' => letter - b'2' + 26,
            _ => return None,
        };
        buffer = (buffer << 5 | u32::from(value)) & 0xfff;
        held += 5;
        if held >= 8 {
            held -= 8;
            *key.get_mut(at)? = (buffer >> held) as u8;
            at += 1;
            if at == key.len() {
                return Some(key);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(peer: &str, network: Network, address: &[u8], expect: Likeness) {
        assert_eq!(Sender::of(peer).compare(network, address), expect, "{peer}");
    }

    #[test]
    fn announcing_oneself_and_neighbours() {
        check("203.0.113.7:8333", Network::Ipv4, &[203, 0, 113, 7], Likeness::Same);
        check("203.0.113.7:8333", Network::Ipv4, &[203, 0, 113, 8], Likeness::Neighbour);
        check("203.0.113.7:8333", Network::Ipv4, &[203, 0, 114, 7], Likeness::None);
        let mut address = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        check("[2001:db8::1]:8333", Network::Ipv6, &address, Likeness::Same);
        address[15] = 2;
        check("[2001:db8::1]:8333", Network::Ipv6, &address, Likeness::Neighbour);
        check("[2001:db8::1]:8333", Network::Ipv6, &address[..4], Likeness::None);
        check("[fc00::1]:8333", Network::Cjdns, &[0; 16], Likeness::None);
        check("node.example:8333", Network::Ipv4, &[203, 0, 113, 7], Likeness::None);
    }

    /// What the schema writes as text is read back here.
    #[test]
    fn onion_and_i2p_peers_have_keys() {
        let bytes: Vec<u8> = (0..32).map(|number| number * 7).collect();
        for (network, text) in [(Network::Onion, ".onion"), (Network::I2p, ".b32.i2p")] {
            let name = event::text::Address(network, &bytes).to_string();
            assert!(name.ends_with(text), "{name}");
            check(&format!("{name}:8333"), network, &bytes, Likeness::Same);
            check(&format!("{name}:8333"), network, &[1; 32], Likeness::None);
        }
        assert_eq!(Sender::of("short.onion:1"), Sender::Unknown);
        assert_eq!(Sender::of("UPPER.onion"), Sender::Unknown);
    }

    proptest::proptest! {
        #[test]
        fn no_name_makes_it_panic(text: String) {
            let _ = (Sender::of(&text), Sender::of(&format!("{text}.onion:1")));
        }
    }
}
