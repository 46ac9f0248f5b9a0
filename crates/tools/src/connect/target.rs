//! An advertised address, as something that can be dialled.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;
use detect::entity::Host;
use event::{Network, NetworkAddress, text};

/// Where to dial: a host of a network, and a port. Small, because many wait.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    network: Place,
    /// The address as BIP 155 has it, with zeros behind it.
    address: [u8; 32],
    port: u16,
}

/// The networks that can be dialled.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Place {
    V4,
    V6,
    Onion,
    I2p,
    Cjdns,
}

/// What counts as one neighbourhood, where one visit at a time is enough: a /24 of IPv4, a /48 of IPv6 or CJDNS, one name of Tor or I2P.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Neighbourhood(Place, [u8; 6]);

/// Why an entry of gossip is no target at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malformed {
    /// Of a network that cannot be dialled, or that this release does not know.
    Network,
    /// Its length does not fit its network, or its beginning does not.
    Address,
    /// No port where there must be one.
    Port,
}

impl Target {
    /// The target that an entry of gossip names. An IPv4 address in IPv6 is the former.
    ///
    /// # Errors
    ///
    /// It names none.
    pub fn of(entry: &NetworkAddress) -> Result<Self, Malformed> {
        let network = match entry.network() {
            Network::Ipv4 => Place::V4,
            Network::Ipv6 => Place::V6,
            Network::Onion => Place::Onion,
            Network::I2p => Place::I2p,
            Network::Cjdns => Place::Cjdns,
            // gossip's word for an address that leads nowhere: the rules say why
            Network::NotPubliclyRoutable if entry.address.len() == 4 => Place::V4,
            Network::NotPubliclyRoutable => Place::V6,
            _ => return Err(Malformed::Network),
        };
        let port = u16::try_from(entry.port).map_err(|_| Malformed::Port)?;
        if entry.address.len() != network.length() || network == Place::Cjdns && entry.address[0] != 0xfc {
            return Err(Malformed::Address);
        }
        // a name of I2P is a destination by itself (BIP 155)
        if (port == 0) != (network == Place::I2p) {
            return Err(Malformed::Port);
        }
        let mut address = [0; 32];
        address[..entry.address.len()].copy_from_slice(&entry.address);
        Ok(Self { network, address, port }.canonical())
    }

    /// An address of IPv4 or IPv6.
    pub fn of_ip(ip: IpAddr, port: u16) -> Self {
        let mut address = [0; 32];
        let network = match ip {
            IpAddr::V4(ip) => {
                address[..4].copy_from_slice(&ip.octets());
                Place::V4
            }
            IpAddr::V6(ip) => {
                address[..16].copy_from_slice(&ip.octets());
                Place::V6
            }
        };
        Self { network, address, port }.canonical()
    }

    fn canonical(self) -> Self {
        match self.ip() {
            Some(IpAddr::V6(ip)) if self.network == Place::V6 => match ip.to_ipv4_mapped() {
                Some(v4) => Self::of_ip(v4.into(), self.port),
                None => self,
            },
            _ => self,
        }
    }

    /// Its network.
    pub fn network(&self) -> Network {
        match self.network {
            Place::V4 => Network::Ipv4,
            Place::V6 => Network::Ipv6,
            Place::Onion => Network::Onion,
            Place::I2p => Network::I2p,
            Place::Cjdns => Network::Cjdns,
        }
    }

    /// The address as gossip has it.
    pub fn address(&self) -> &[u8] {
        &self.address[..self.network.length()]
    }

    /// Its port; 0 for I2P.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address, where it is one of IPv4, IPv6 or CJDNS.
    pub fn ip(&self) -> Option<IpAddr> {
        match self.network {
            Place::V4 => Some(Ipv4Addr::new(self.address[0], self.address[1], self.address[2], self.address[3]).into()),
            Place::V6 | Place::Cjdns => {
                let octets: [u8; 16] = self.address[..16].try_into().expect("16 of 32 bytes");
                Some(Ipv6Addr::from(octets).into())
            }
            Place::Onion | Place::I2p => None,
        }
    }

    /// The host, as lists of strangers name it.
    pub fn host(&self) -> Option<Host> {
        match (self.network, self.ip()) {
            (Place::Cjdns, Some(IpAddr::V6(ip))) => Some(Host::Cjdns(ip)),
            (_, Some(IpAddr::V4(ip))) => Some(Host::V4(ip)),
            (_, Some(IpAddr::V6(ip))) => Some(Host::V6(ip)),
            (_, None) => Host::of(&self.name(), self.network()),
        }
    }

    /// The host as text: what a proxy is asked for.
    pub fn name(&self) -> String {
        text::Address(self.network(), self.address()).to_string()
    }

    /// What is dialled one at a time.
    pub fn neighbourhood(&self) -> Neighbourhood {
        let mut range = [0; 6];
        let length = if self.network == Place::V4 { 3 } else { 6 };
        range[..length].copy_from_slice(&self.address[..length]);
        Neighbourhood(self.network, range)
    }

    /// The address in the form of an event.
    pub fn to_bytes(self) -> Bytes {
        Bytes::copy_from_slice(self.address())
    }
}

impl Place {
    fn length(self) -> usize {
        match self {
            Self::V4 => 4,
            Self::V6 | Self::Cjdns => 16,
            Self::Onion | Self::I2p => 32,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.network {
            Place::V6 | Place::Cjdns => write!(f, "[{}]:{}", self.name(), self.port),
            _ => write!(f, "{}:{}", self.name(), self.port),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(network: Network, address: &[u8], port: u32) -> NetworkAddress {
        NetworkAddress { network: network.into(), address: Bytes::copy_from_slice(address), port, ..Default::default() }
    }

    #[track_caller]
    fn check(network: Network, address: &[u8], port: u32, expect: Result<&str, Malformed>) {
        let target = Target::of(&entry(network, address, port)).map(|target| target.to_string());
        assert_eq!(target.as_deref().map_err(|error| *error), expect);
    }

    #[test]
    fn entries_of_gossip_are_targets_or_not() {
        let mapped: [u8; 16] = "::ffff:1.2.3.4".parse::<Ipv6Addr>().unwrap().octets();
        check(Network::Ipv4, &[1, 2, 3, 4], 8333, Ok("1.2.3.4:8333"));
        check(Network::Ipv6, &mapped, 8333, Ok("1.2.3.4:8333"));
        check(Network::Ipv6, &[0x2a; 16], 1, Ok("[2a2a:2a2a:2a2a:2a2a:2a2a:2a2a:2a2a:2a2a]:1"));
        check(Network::Cjdns, &[0xfc; 16], 8333, Ok("[fcfc:fcfc:fcfc:fcfc:fcfc:fcfc:fcfc:fcfc]:8333"));
        check(Network::I2p, &[0; 32], 0, Ok(&format!("{}.b32.i2p:0", "a".repeat(52))));
        check(Network::NotPubliclyRoutable, &[10, 2, 3, 4], 8333, Ok("10.2.3.4:8333"));
        check(Network::Ipv4, &[1, 2, 3], 8333, Err(Malformed::Address));
        check(Network::Cjdns, &[0xfd; 16], 8333, Err(Malformed::Address));
        check(Network::Ipv4, &[1, 2, 3, 4], 0, Err(Malformed::Port));
        check(Network::Ipv4, &[1, 2, 3, 4], 65_536, Err(Malformed::Port));
        check(Network::I2p, &[0; 32], 8333, Err(Malformed::Port));
        check(Network::Torv2, &[0; 10], 8333, Err(Malformed::Network));
        check(Network::Other, &[0; 10], 8333, Err(Malformed::Network));
    }

    #[test]
    fn neighbours_are_neighbours() {
        let of = |ip: &str| Target::of_ip(ip.parse().unwrap(), 8333).neighbourhood();
        assert_eq!(of("1.2.3.4"), of("1.2.3.255"));
        assert_ne!(of("1.2.3.4"), of("1.2.4.4"));
        assert_eq!(of("2a00:1:2::1"), of("2a00:1:2:ffff::"));
        assert_ne!(of("2a00:1:2::1"), of("2a00:1:3::1"));
        assert_ne!(of("0.0.0.0"), of("::"));
    }
}
