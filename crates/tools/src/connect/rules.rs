//! What is never dialled, whoever advertises it.
//!
//! Gossip is chosen by strangers, and a dial is something they could aim at others. So only what could be a node of the Internet is a target:
//! no private or reserved range, no port that belongs to another protocol, nothing on the operator's lists, nobody in the nodes' own ranges.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use detect::entity::lists::List;
use event::Network;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::target::{Malformed, Neighbourhood, Target};

/// Why an address is not dialled.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Refusal {
    /// No address of a network that this release can dial.
    Malformed,
    /// Loopback, private, reserved, or made for documentation, multicast or tunnels.
    Reserved,
    /// A port that Bitcoin Core avoids: another protocol lives there.
    BadPort,
    /// On one of the operator's lists.
    Excluded,
    /// In the range of a watched node's own address.
    OwnRange,
    /// Its network is not configured.
    NoRoute,
}

impl Refusal {
    /// Every one.
    pub const ALL: [Self; 6] = [Self::Malformed, Self::Reserved, Self::BadPort, Self::Excluded, Self::OwnRange, Self::NoRoute];

    /// In a few words.
    pub fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Reserved => "private or reserved",
            Self::BadPort => "bad port",
            Self::Excluded => "excluded",
            Self::OwnRange => "own range",
            Self::NoRoute => "network not configured",
        }
    }
}

impl From<Malformed> for Refusal {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// Ports that Bitcoin Core does not connect to by itself (`IsBadPort`, `src/netbase.cpp`, Bitcoin Core 31; `doc/p2p-bad-ports.md` has the
/// reasons).
#[rustfmt::skip]
const BAD_PORTS: [u16; 80] = [
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110, 111, 113, 115, 117, 119,
    123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990,
    993, 995, 1719, 1720, 1723, 2049, 3306, 3389, 3659, 4045, 5060, 5061, 5432, 5900, 6000, 6566, 6665, 6666, 6667,
];

/// The rest of them, behind the IRC ports.
const MORE_BAD_PORTS: [u16; 5] = [6668, 6669, 6697, 10080, 27017];

/// Whether another protocol lives at this port.
pub fn is_bad_port(port: u16) -> bool {
    BAD_PORTS.binary_search(&port).is_ok() || MORE_BAD_PORTS.contains(&port)
}

/// Whether an address is on the public Internet: what IANA's registries of special-purpose addresses (RFC 6890) leave, without multicast,
/// and without the ranges of IPv6 in which an IPv4 address hides.
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18..=19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    )
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    // 2000::/3 is all of global unicast; 2001::/23 is for protocols (Teredo, ORCHID), 2001:db8::/32 and 3fff::/20 for documents, 2002::/16
    // is 6to4
    a & 0xe000 == 0x2000 && !matches!((a, b), (0x2001, 0..=0x1ff | 0xdb8) | (0x2002, _) | (0x3fff, 0..=0xfff))
}

/// What can be dialled from here, and what must not be.
#[derive(Debug, Default)]
pub struct Rules {
    /// Networks that can be dialled.
    pub networks: HashSet<Network>,
    /// Ranges that are dialled although they are not on the Internet: a network made for a test.
    pub test_ranges: Vec<IpNet>,
    /// The operator's lists of who does not want a visit.
    pub excluded: Vec<List>,
}

impl Rules {
    /// Whether somebody may be dialled; `own` are the nodes' own neighbourhoods.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn check(&self, target: &Target, own: &HashSet<Neighbourhood>) -> Result<(), Refusal> {
        let ip = target.ip().filter(|_| target.network() != Network::Cjdns);
        let test = ip.is_some_and(|ip| self.test_ranges.iter().any(|range| range.contains(&ip)));
        if ip.is_some_and(|ip| !is_public(ip)) && !test {
            return Err(Refusal::Reserved);
        }
        if !self.networks.contains(&target.network()) {
            return Err(Refusal::NoRoute);
        }
        if is_bad_port(target.port()) {
            return Err(Refusal::BadPort);
        }
        if !test && own.contains(&target.neighbourhood()) {
            return Err(Refusal::OwnRange);
        }
        if !self.excluded.is_empty()
            && let Some(host) = target.host()
            && self.excluded.iter().any(|list| list.find(Some(&host), None).is_some())
        {
            return Err(Refusal::Excluded);
        }
        Ok(())
    }
}

/// A range in which a test may dial, as `127.0.0.0/8` or `::1/128`.
///
/// # Errors
///
/// A sentence that says how it is written.
pub fn range(text: &str) -> Result<IpNet, String> {
    let wrong = || format!("`{text}` is no range of addresses: write it as `127.0.0.0/8`");
    let one = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => IpNet::V4(Ipv4Net::from(ip)),
        IpAddr::V6(ip) => IpNet::V6(Ipv6Net::from(ip)),
    };
    text.parse::<IpNet>().map(|net| net.trunc()).or_else(|_| text.parse::<IpAddr>().map(one)).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules { networks: [Network::Ipv4, Network::Ipv6].into(), ..Rules::default() }
    }

    #[track_caller]
    fn check(rules: &Rules, address: &str, expect: Result<(), Refusal>) {
        let address: std::net::SocketAddr = address.parse().unwrap();
        let own = [Target::of_ip("9.9.9.9".parse().unwrap(), 1).neighbourhood()].into();
        assert_eq!(rules.check(&Target::of_ip(address.ip(), address.port()), &own), expect, "{address}");
    }

    #[test]
    fn bad_ports_are_sorted_and_all_there() {
        assert!(BAD_PORTS.is_sorted());
        let all: HashSet<u16> = BAD_PORTS.into_iter().chain(MORE_BAD_PORTS).collect();
        assert_eq!(all.len(), 85);
        assert!(is_bad_port(22) && is_bad_port(27017) && !is_bad_port(8333) && !is_bad_port(443) && !is_bad_port(18444));
    }

    #[test]
    fn only_the_internet_is_dialled() {
        let rules = rules();
        for public in ["1.1.1.1:8333", "172.15.0.1:8333", "172.32.0.1:8333", "100.63.0.1:1024", "[2a00:1450::1]:8333"] {
            check(&rules, public, Ok(()));
        }
        for reserved in [
            "0.1.2.3:8333",
            "10.0.0.1:8333",
            "100.64.0.1:8333",
            "127.0.0.1:8333",
            "169.254.1.1:8333",
            "172.16.0.1:8333",
            "192.0.0.8:8333",
            "192.0.2.1:8333",
            "192.88.99.1:8333",
            "192.168.1.1:8333",
            "198.18.0.1:8333",
            "198.51.100.1:8333",
            "203.0.113.1:8333",
            "224.0.0.1:8333",
            "255.255.255.255:8333",
            "[::]:8333",
            "[::1]:8333",
            "[::ffff:127.0.0.1]:8333",
            "[::ffff:10.0.0.1]:8333",
            "[64:ff9b::a00:1]:8333",
            "[100::1]:8333",
            "[2001::1]:8333",
            "[2001:10::1]:8333",
            "[2001:20::1]:8333",
            "[2001:db8::1]:8333",
            "[2002:a00:1::]:8333",
            "[3fff::1]:8333",
            "[fc00::1]:8333",
            "[fd00::1]:8333",
            "[fe80::1]:8333",
            "[ff02::1]:8333",
        ] {
            check(&rules, reserved, Err(Refusal::Reserved));
        }
    }

    #[test]
    fn ports_lists_and_neighbours_are_left_alone() {
        let list = List::read("exclude.txt", b"# who asked\n8.8.8.0/24\n2a00:1::/32\n").unwrap();
        let rules = Rules { excluded: vec![list], ..rules() };
        check(&rules, "1.1.1.1:22", Err(Refusal::BadPort));
        check(&rules, "8.8.8.8:8333", Err(Refusal::Excluded));
        check(&rules, "[2a00:1:2::3]:8333", Err(Refusal::Excluded));
        check(&rules, "9.9.9.1:8333", Err(Refusal::OwnRange));
        check(&Rules::default(), "1.1.1.1:8333", Err(Refusal::NoRoute));
    }

    #[test]
    fn a_test_network_is_dialled_only_where_it_is_named() {
        let rules = Rules { test_ranges: vec![range("127.0.0.0/8").unwrap(), range("::1").unwrap()], ..rules() };
        check(&rules, "127.1.2.3:18444", Ok(()));
        check(&rules, "[::1]:18444", Ok(()));
        check(&rules, "127.1.2.3:22", Err(Refusal::BadPort));
        check(&rules, "10.0.0.1:18444", Err(Refusal::Reserved));
        assert!(range("127.0.0.0/33").is_err() && range("localhost").is_err());
    }
}
