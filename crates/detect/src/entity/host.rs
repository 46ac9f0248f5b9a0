//! The address of a peer, without its port.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use event::Network;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

/// Where a peer is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Host {
    /// Also what IPv6 writes as `::ffff:a.b.c.d`.
    V4(Ipv4Addr),
    /// Of the Internet.
    V6(Ipv6Addr),
    /// fc00::/8, on that network.
    Cjdns(Ipv6Addr),
    /// The name without `.onion`: 56 characters of base 32.
    Onion(Box<str>),
    /// The name without `.b32.i2p`: 52 characters of base 32.
    I2p(Box<str>),
}

impl Host {
    /// Reads an address as the node states it: `a.b.c.d:port`, `[v6]:port`, `….onion:port`, `….b32.i2p:0`; the port may be missing.
    ///
    /// `None` for what says nothing of who the peer is: names that an operator typed, and every inbound connection over Tor, which has the
    /// address of the node's own daemon.
    pub fn of(address: &str, network: Network) -> Option<Self> {
        let name = address.rsplit_once(':').map_or(address, |(name, _)| name);
        if let Some(onion) = name.strip_suffix(".onion") {
            return base32(onion, 56).map(Self::Onion);
        }
        if let Some(i2p) = name.strip_suffix(".b32.i2p") {
            return base32(i2p, 52).map(Self::I2p);
        }
        if network == Network::Onion {
            return None;
        }
        let ip = address.parse::<SocketAddr>().map(|socket| socket.ip()).or_else(|_| address.parse::<IpAddr>()).ok()?;
        Some(match ip.to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip),
            // fc00::/8 is CJDNS to a node that was told so
            IpAddr::V6(ip) if network == Network::Cjdns => Self::Cjdns(ip),
            IpAddr::V6(ip) => Self::V6(ip),
        })
    }

    /// The address, where it is one of the Internet's.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::V4(ip) => Some((*ip).into()),
            Self::V6(ip) => Some((*ip).into()),
            _ => None,
        }
    }

    /// The smallest range that one customer is usually given: a /24 of IPv4, a /64 of IPv6. `None` where there are no ranges.
    pub fn range(&self) -> Option<IpNet> {
        self.wider(24, 64)
    }

    /// The range of this length, one for IPv4 and one for IPv6. `None` where there are no ranges.
    pub fn wider(&self, v4: u8, v6: u8) -> Option<IpNet> {
        match self {
            Self::V4(ip) => Ipv4Net::new(*ip, v4).ok().map(|net| net.trunc().into()),
            Self::V6(ip) => Ipv6Net::new(*ip, v6).ok().map(|net| net.trunc().into()),
            _ => None,
        }
    }

    /// The network that it is on.
    pub fn network(&self) -> Network {
        match self {
            Self::V4(_) => Network::Ipv4,
            Self::V6(_) => Network::Ipv6,
            Self::Cjdns(_) => Network::Cjdns,
            Self::Onion(_) => Network::Onion,
            Self::I2p(_) => Network::I2p,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(ip) => ip.fmt(f),
            Self::V6(ip) | Self::Cjdns(ip) => ip.fmt(f),
            Self::Onion(name) => write!(f, "{name}.onion"),
            Self::I2p(name) => write!(f, "{name}.b32.i2p"),
        }
    }
}

/// A name of this many characters of base 32, in small letters.
fn base32(name: &str, length: usize) -> Option<Box<str>> {
    let fits = name.len() == length && name.bytes().all(|b| b.is_ascii_alphabetic() || (b'2'..=b'7').contains(&b));
    fits.then(|| name.to_ascii_lowercase().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, network: Network, expect: Option<&str>) {
        assert_eq!(Host::of(address, network).map(|host| host.to_string()).as_deref(), expect, "{address}");
    }

    #[test]
    fn addresses_are_read_without_their_port() {
        check("203.0.113.7:8333", Network::Ipv4, Some("203.0.113.7"));
        check("203.0.113.7", Network::Ipv4, Some("203.0.113.7"));
        check("[2001:db8::7]:8333", Network::Ipv6, Some("2001:db8::7"));
        check("[::ffff:203.0.113.7]:8333", Network::Ipv4, Some("203.0.113.7"));
        check("[fc00::7]:8333", Network::Cjdns, Some("fc00::7"));
        let onion = format!("{}.onion", "a2".repeat(28));
        check(&format!("{onion}:8333"), Network::Onion, Some(&onion));
        check(&format!("{}.b32.i2p:0", "Zz".repeat(26)), Network::I2p, Some(&format!("{}.b32.i2p", "zz".repeat(26))));
    }

    #[test]
    fn whoever_hides_behind_the_nodes_own_daemon_has_no_address() {
        check("127.0.0.1:51234", Network::Onion, None);
        check("127.0.0.1:51234", Network::NotPubliclyRoutable, Some("127.0.0.1"));
    }

    #[test]
    fn what_is_no_address_has_none() {
        for text in ["", ":", "seed.example.org:8333", "short.onion:8333", "1.2.3:1", &"a".repeat(10_000)] {
            check(text, Network::Unspecified, None);
        }
    }

    #[test]
    fn ranges_are_those_of_customers() {
        let ranges = |address: &str| {
            let host = Host::of(address, Network::Unspecified).unwrap();
            [host.range(), host.wider(16, 48), host.wider(8, 32)].map(|range| range.unwrap().to_string())
        };
        assert_eq!(ranges("203.0.113.7"), ["203.0.113.0/24", "203.0.0.0/16", "203.0.0.0/8"]);
        assert_eq!(ranges("2604:d500:4:1::9"), ["2604:d500:4:1::/64", "2604:d500:4::/48", "2604:d500::/32"]);
        let onion = Host::Onion("a".repeat(56).into());
        assert_eq!(onion.range(), None);
    }
}
