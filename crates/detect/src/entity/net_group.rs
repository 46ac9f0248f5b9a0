//! The network group of an address, as Bitcoin Core forms it: what its eviction and its tables of addresses go by.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use event::Network;
use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use super::{Asmap, Host};

/// A group of addresses that Bitcoin Core takes for one party (`src/netgroup.cpp`, `GetGroup`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum NetGroup {
    /// Addresses of an autonomous system, where the node has a map.
    Asn(u32),
    /// Addresses that are not on the Internet: loopback, private ranges and the like, all one group.
    Unroutable,
    /// A /16 of IPv4, also behind the forms that IPv6 has for it.
    V4(Ipv4Net),
    /// A /32 of IPv6; a /36 of Hurricane Electric's, which gives its range to everybody.
    V6(Ipv6Net),
    /// The first four bits of a name of Tor or I2P, or of an address of CJDNS.
    Named(i32, u8),
}

impl NetGroup {
    /// The group of an address, by the map of autonomous systems if the node has one.
    pub fn of(host: &Host, asmap: Option<&Asmap>) -> Self {
        let linked = match host {
            Host::V4(ip) => Some(*ip),
            Host::V6(ip) => linked_v4(*ip),
            _ => None,
        };
        if let (Some(asmap), Some(ip)) = (asmap, host.ip())
            && let Some(number) = asmap.lookup(linked.map_or(ip, Into::into))
        {
            return Self::Asn(number);
        }
        let first_bits = |name: &str| name.bytes().next().map_or(0, |letter| base32_value(letter) >> 1);
        match host {
            Host::V4(ip) if !routable_v4(*ip) => Self::Unroutable,
            Host::V6(ip) if !routable_v6(*ip) => Self::Unroutable,
            Host::Onion(name) => Self::Named(Network::Onion.into(), first_bits(name)),
            Host::I2p(name) => Self::Named(Network::I2p.into(), first_bits(name)),
            // the first byte is the same for all
            Host::Cjdns(ip) => Self::Named(Network::Cjdns.into(), ip.octets()[1] >> 4),
            Host::V4(ip) => Self::v4(*ip),
            Host::V6(ip) => match linked {
                Some(ip) => Self::v4(ip),
                None => Self::v6(*ip),
            },
        }
    }

    fn v4(ip: Ipv4Addr) -> Self {
        Self::V4(Ipv4Net::new_assert(ip, 16).trunc())
    }

    fn v6(ip: Ipv6Addr) -> Self {
        let hurricane_electric = ip.segments()[..2] == [0x2001, 0x0470];
        Self::V6(Ipv6Net::new_assert(ip, if hurricane_electric { 36 } else { 32 }).trunc())
    }
}

impl fmt::Display for NetGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asn(number) => write!(f, "AS{number}"),
            Self::Unroutable => f.write_str("unroutable"),
            Self::V4(net) => net.fmt(f),
            Self::V6(net) => net.fmt(f),
            Self::Named(network, bits) => {
                write!(f, "{}:{bits:x}", Network::try_from(*network).unwrap_or_default().word())
            }
        }
    }
}

/// The IPv4 address that an IPv6 one stands for (`CNetAddr::HasLinkedIPv4`): RFC 6145, 6052, 3964 and 4380.
fn linked_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let bytes = ip.octets();
    let last = || [bytes[12], bytes[13], bytes[14], bytes[15]];
    match ip.segments() {
        [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some(last().into()),
        [0x2002, ..] => Some([bytes[2], bytes[3], bytes[4], bytes[5]].into()),
        [0x2001, 0, ..] => Some(last().map(|byte| !byte).into()),
        _ => None,
    }
}

/// `CNetAddr::IsRoutable` for IPv4.
fn routable_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let benchmark = a == 198 && (18..20).contains(&b);
    let documentation = matches!([a, b, c], [192, 0, 2] | [198, 51, 100] | [203, 0, 113]);
    let local = a == 127 || a == 0;
    !(ip.is_private() || ip.is_link_local() || ip.is_broadcast() || shared || benchmark || documentation || local)
}

/// `CNetAddr::IsRoutable` for IPv6.
fn routable_v6(ip: Ipv6Addr) -> bool {
    let s = ip.segments();
    let documentation = s[..2] == [0x2001, 0x0db8];
    let orchid = s[0] == 0x2001 && (s[1] & 0xfff0 == 0x10 || s[1] & 0xfff0 == 0x20);
    let link_local = s[..4] == [0xfe80, 0, 0, 0];
    let unique_local = s[0] & 0xfe00 == 0xfc00;
    !(ip.is_unspecified() || ip.is_loopback() || documentation || orchid || link_local || unique_local)
}

fn base32_value(letter: u8) -> u8 {
    match letter {
        b'2'..=b'7' => letter - b'2' + 26,
        _ => letter.to_ascii_lowercase().wrapping_sub(b'a') & 0x1f,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, network: Network, expect: &str) {
        let host = Host::of(address, network).expect(address);
        assert_eq!(NetGroup::of(&host, None).to_string(), expect, "{address}");
    }

    /// The cases are those that Bitcoin Core decides in one way or the other in `GetGroup`; run against `src/test/netbase_tests.cpp`.
    #[test]
    fn groups_are_bitcoin_cores() {
        check("127.0.0.1", Network::Ipv4, "unroutable");
        check("10.0.0.1", Network::Ipv4, "unroutable");
        check("169.254.1.1", Network::Ipv4, "unroutable");
        check("100.64.0.1", Network::Ipv4, "unroutable");
        check("100.128.0.1", Network::Ipv4, "100.128.0.0/16");
        check("1.2.3.4", Network::Ipv4, "1.2.0.0/16");
        check("240.9.3.4", Network::Ipv4, "240.9.0.0/16");
        check("::ffff:0:102:304", Network::Ipv6, "1.2.0.0/16");
        check("64:ff9b::102:304", Network::Ipv6, "1.2.0.0/16");
        check("2002:102:304::9", Network::Ipv6, "1.2.0.0/16");
        check("2001:0:9999:9999:9999:9999:fefd:fcfb", Network::Ipv6, "1.2.0.0/16");
        check("2001:470:abcd:9999::1", Network::Ipv6, "2001:470:a000::/36");
        check("2001:2001:9999::1", Network::Ipv6, "2001:2001::/32");
        check("2001:db8::1", Network::Ipv6, "unroutable");
        check("fd00::1", Network::Ipv6, "unroutable");
        check("fc32:17ea::1", Network::Cjdns, "cjdns:3");
        check(&format!("{}.onion", "b".repeat(56)), Network::Onion, "onion:0");
        check(&format!("{}.b32.i2p", "7".repeat(52)), Network::I2p, "i2p:f");
    }
}
