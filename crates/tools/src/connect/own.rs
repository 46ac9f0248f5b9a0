//! The watched nodes' own addresses: they are not dialled, and nobody dials from them.
//!
//! Whoever is dialled sees where from. A dial from a node's own address would tell the world that this node is watched, so the address from
//! which the system would dial is compared with what the nodes state of themselves (`state.network`, `state.peers`) before anything is sent.
//! Until a node has said so, nobody is dialled for it.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use event::{Event, Kind};

use super::target::{Neighbourhood, Target};

/// Nodes that are told apart, and addresses that one of them may have: far more than any has.
const NODES: usize = 1024;
const ADDRESSES: usize = 4096;

/// What nodes say of where they are.
#[derive(Debug, Default)]
pub struct Own {
    addresses: HashSet<IpAddr>,
    /// Of Tor and I2P.
    names: HashSet<String>,
    neighbourhoods: HashSet<Neighbourhood>,
    /// Nodes that have stated their addresses: those that they advertise, and those from which they have connections.
    stated: HashMap<String, [bool; 2]>,
    /// Nobody has to state anything: the operator answers for it.
    vouched: bool,
}

impl Own {
    /// The addresses that the operator names. `vouched`: nodes need not state theirs.
    pub fn new(named: &[IpAddr], vouched: bool) -> Self {
        let mut own = Self { vouched, ..Self::default() };
        for ip in named {
            own.add(*ip);
        }
        own
    }

    /// Learns from an event; `true` if it said an address that was not known.
    pub fn learn(&mut self, event: &Event) -> bool {
        let before = self.addresses.len() + self.names.len();
        match &event.kind {
            Some(Kind::StateNetwork(network)) => {
                for local in &network.local_addresses {
                    self.add_text(&local.address);
                }
                self.states(&event.node, 0);
            }
            Some(Kind::StatePeers(peers)) => {
                for bind in peers.peers.iter().filter_map(|peer| peer.address_bind.as_deref()) {
                    self.add_text(bind);
                }
                self.states(&event.node, 1);
            }
            _ => {}
        }
        self.addresses.len() + self.names.len() > before
    }

    fn states(&mut self, node: &str, what: usize) {
        if let Some(stated) = self.stated.get_mut(node) {
            stated[what] = true;
        } else if self.stated.len() < NODES {
            self.stated.entry(node.to_owned()).or_default()[what] = true;
        }
    }

    /// Whether it is known where a node is. A node that does not listen advertises nothing: only its connections tell.
    pub fn is_stated(&self, node: &str) -> bool {
        self.vouched || self.stated.get(node) == Some(&[true, true])
    }

    /// Whether somebody who may be dialled is a node of our own.
    pub fn is_own_target(&self, target: &Target) -> bool {
        match target.ip() {
            Some(ip) => self.is_own(ip),
            None => self.names.contains(&target.name()),
        }
    }

    /// Whether this is an address of a node's own.
    pub fn is_own(&self, ip: IpAddr) -> bool {
        self.addresses.contains(&ip.to_canonical())
    }

    /// The nodes' neighbourhoods.
    pub fn neighbourhoods(&self) -> &HashSet<Neighbourhood> {
        &self.neighbourhoods
    }

    fn add_text(&mut self, text: &str) {
        let ip = text.parse::<SocketAddr>().map(|address| address.ip()).or_else(|_| text.parse::<IpAddr>());
        if let Ok(ip) = ip {
            return self.add(ip);
        }
        let name = text.rsplit_once(':').map_or(text, |(name, _)| name).to_ascii_lowercase();
        if (name.ends_with(".onion") || name.ends_with(".b32.i2p")) && self.names.len() < ADDRESSES {
            self.names.insert(name);
        }
    }

    fn add(&mut self, ip: IpAddr) {
        let ip = ip.to_canonical();
        // every node has these; and a connection over Tor has them
        if !ip.is_loopback() && !ip.is_unspecified() && self.addresses.len() < ADDRESSES && self.addresses.insert(ip) {
            self.neighbourhoods.insert(Target::of_ip(ip, 0).neighbourhood());
        }
    }
}

/// The address from which the system would dial another one. Nothing is sent: a UDP socket is given a destination, which makes the system choose
/// a route. `None` where there is none.
pub fn source_towards(ip: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = if ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((ip, 8333)).ok()?;
    Some(socket.local_addr().ok()?.ip().to_canonical())
}

#[cfg(test)]
mod tests {
    use event::{LocalAddress, PeerInfo, Source, StateNetwork, StatePeers};

    use super::*;

    fn network(addresses: &[&str]) -> Event {
        let local = |address: &&str| LocalAddress { address: (*address).to_owned(), ..LocalAddress::default() };
        let state = StateNetwork { local_addresses: addresses.iter().map(local).collect(), ..StateNetwork::default() };
        Event::new("alice", Source::Rpc, state)
    }

    #[test]
    fn nodes_state_where_they_are() {
        let mut own = Own::new(&["9.9.9.9".parse().unwrap()], false);
        assert!(own.is_own("9.9.9.9".parse().unwrap()) && !own.is_stated("alice"));
        assert!(own.learn(&network(&["1.2.3.4", "2a00::1"])));
        assert!(!own.learn(&network(&["1.2.3.4"])) && !own.is_stated("alice"));
        let peer = |bind: &str| PeerInfo { address_bind: Some(bind.to_owned()), ..PeerInfo::default() };
        let peers = StatePeers { peers: vec![peer("192.168.1.5:8333"), peer("127.0.0.1:8334"), peer("[2a00::2]:1")] };
        assert!(own.learn(&Event::new("alice", Source::Rpc, peers)));
        for ip in ["1.2.3.4", "2a00::1", "2a00::2", "192.168.1.5", "::ffff:1.2.3.4"] {
            assert!(own.is_own(ip.parse().unwrap()), "{ip}");
        }
        assert!(!own.is_own("127.0.0.1".parse().unwrap()));
        assert!(own.is_stated("alice") && !own.is_stated("bob") && Own::new(&[], true).is_stated("bob"));
        assert!(own.neighbourhoods().contains(&Target::of_ip("1.2.3.200".parse().unwrap(), 1).neighbourhood()));
    }

    #[test]
    fn names_of_tor_and_i2p_are_own_too() {
        let of = |network: event::Network, byte: u8, port: u32| {
            let address = bytes::Bytes::from(vec![byte; 32]);
            Target::of(&event::NetworkAddress { network: network.into(), address, port, ..Default::default() }).unwrap()
        };
        let (tor, i2p) = (of(event::Network::Onion, 1, 8333), of(event::Network::I2p, 1, 0));
        let mut own = Own::new(&[], false);
        assert!(own.learn(&network(&[&tor.name(), &format!("{}:0", i2p.name().to_ascii_uppercase()), "x.example"])));
        assert!(own.is_own_target(&tor) && own.is_own_target(&of(event::Network::Onion, 1, 9999)) && own.is_own_target(&i2p));
        assert!(!own.is_own_target(&of(event::Network::Onion, 2, 8333)) && own.names.len() == 2);
    }

    #[test]
    fn the_system_says_from_where_it_would_dial() {
        assert_eq!(source_towards("127.0.0.9".parse().unwrap()), Some("127.0.0.1".parse().unwrap()));
    }
}
