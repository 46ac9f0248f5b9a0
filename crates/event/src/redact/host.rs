//! Addresses as what they are, from any of the forms in which they occur.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::Network;

/// BIP 155's numbers of networks.
const IPV4: u8 = 1;
const IPV6: u8 = 2;
const TORV2: u8 = 3;
const TORV3: u8 = 4;
const I2P: u8 = 5;
const CJDNS: u8 = 6;
/// Of no network that we know.
const OTHER: u8 = 255;

/// Where Tor v2 lives within IPv6: fd87:d87e:eb43::/48 (OnionCat; Bitcoin Core `src/netaddress.h`).
const TORV2_IN_IPV6: [u8; 6] = [0xfd, 0x87, 0xd8, 0x7e, 0xeb, 0x43];

/// An address without its port.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Host {
    network: u8,
    bytes: Vec<u8>,
}

impl Host {
    fn new(network: u8, bytes: impl Into<Vec<u8>>) -> Self {
        Self { network, bytes: bytes.into() }
    }

    /// From the bytes that gossip carries. The network decides only where the length leaves it open.
    pub(super) fn of_bytes(network: Network, bytes: &[u8]) -> Self {
        if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
            return IpAddr::from(v4).into();
        }
        if let Ok(v6) = <[u8; 16]>::try_from(bytes) {
            return IpAddr::from(v6).into();
        }
        match network {
            Network::Onion if bytes.len() == 32 => Self::new(TORV3, bytes),
            Network::I2p if bytes.len() == 32 => Self::new(I2P, bytes),
            Network::Torv2 if bytes.len() == 10 => Self::new(TORV2, bytes),
            _ => Self::new(OTHER, bytes),
        }
    }

    /// BIP 155's number.
    pub(super) fn network(&self) -> u8 {
        self.network
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether it is nobody's on the Internet: this machine, this house, nothing.
    pub(super) fn is_near(&self) -> bool {
        match self.bytes[..] {
            [a, b, _, _] if self.network == IPV4 => {
                let private = a == 10 || a == 172 && (16..32).contains(&b) || a == 192 && b == 168;
                // 100.64.0.0/10 is between a provider and its customers (RFC 6598)
                private || a == 0 || a == 127 || a == 169 && b == 254 || a == 100 && (64..128).contains(&b) || a == 255
            }
            [a, b, .., last] if self.network == IPV6 => {
                let unspecified_or_loopback = last <= 1 && self.bytes[..15].iter().all(|byte| *byte == 0);
                unspecified_or_loopback || a == 0xfd || a == 0xfe && b & 0xc0 == 0x80
            }
            _ => false,
        }
    }
}

impl From<IpAddr> for Host {
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(v4) => Self::new(IPV4, v4.octets()),
            IpAddr::V6(v6) => match v6.octets() {
                octets if octets.starts_with(&TORV2_IN_IPV6) => Self::new(TORV2, &octets[6..]),
                // as `p2p::network_of` has it
                octets if octets[0] == 0xfc => Self::new(CJDNS, octets),
                octets => Self::new(IPV6, octets),
            },
        }
    }
}

/// What stands where an address is expected.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// Nothing.
    Empty,
    /// An address and its port, 0 where there is none.
    Host(Host, u16),
    /// The name that an operator typed, in lower case, without port; or anything else.
    Name(String),
    /// Of an event that was redacted before.
    Identifier(String),
}

impl Form {
    /// Reads `a.b.c.d:port`, `[v6%zone]:port`, `….onion:port`, `….b32.i2p:port`, each with or without port.
    pub(super) fn of_text(text: &str) -> Self {
        let text = text.trim();
        if text.is_empty() {
            return Self::Empty;
        }
        if super::identifier(text.as_bytes()).is_some() {
            return Self::Identifier(text.to_owned());
        }
        let zoneless = without_zone(text);
        if let Ok(address) = zoneless.parse::<SocketAddr>() {
            return Self::Host(address.ip().into(), address.port());
        }
        let bare = zoneless.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&zoneless);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return Self::Host(ip.into(), 0);
        }
        // one colon: more are an IPv6 address that is none
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') => (host, port.parse().ok()),
            _ => (text, Some(0)),
        };
        let (host, port) = match port {
            Some(port) => (host.to_ascii_lowercase(), port),
            None => (text.to_ascii_lowercase(), 0),
        };
        match overlay(&host) {
            Some(overlay) => Self::Host(overlay, port),
            None => Self::Name(host),
        }
    }
}

/// The zone of `[fe80::1%eth0]:8333` names an interface of this machine.
fn without_zone(text: &str) -> String {
    match text.split_once('%') {
        Some((head, tail)) => match tail.find(']') {
            Some(end) => [head, &tail[end..]].concat(),
            None if head.parse::<Ipv6Addr>().is_ok() => head.to_owned(),
            None => text.to_owned(),
        },
        None => text.to_owned(),
    }
}

/// Tor and I2P: the address is in the name. A Tor v3 name holds 32 bytes of key, two of checksum and a version.
fn overlay(host: &str) -> Option<Host> {
    if let Some(name) = host.strip_suffix(".onion") {
        let bytes = base32(name)?;
        return match bytes.len() {
            35 => Some(Host::new(TORV3, &bytes[..32])),
            10 => Some(Host::new(TORV2, bytes)),
            _ => None,
        };
    }
    let bytes = base32(host.strip_suffix(".b32.i2p")?)?;
    (bytes.len() == 32).then(|| Host::new(I2P, bytes))
}

/// RFC 4648, lower case, without padding; what is left of the last digit is dropped.
fn base32(text: &str) -> Option<Vec<u8>> {
    let (mut bits, mut count, mut out) = (0_u32, 0, Vec::with_capacity(text.len() * 5 / 8));
    for digit in text.bytes() {
        let value = match digit {
            b'a'..=b'z' => digit - b'a',
            b'2'..=b'7' => digit - b'2' + 26,
            _ => return None,
        };
        bits = (bits << 5) | u32::from(value);
        count += 5;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Address;

    fn host(text: &str) -> Host {
        match Form::of_text(text) {
            Form::Host(host, _) => host,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn one_address_is_the_same_in_every_form() {
        let onion = Address(Network::Onion, &[7; 32]).to_string();
        let i2p = Address(Network::I2p, &[7; 32]).to_string();
        let v6 = "2600:1f18::7".parse::<Ipv6Addr>().unwrap().octets();
        let cjdns = "fc00::7".parse::<Ipv6Addr>().unwrap().octets();
        let mapped = "::ffff:203.0.113.7".parse::<Ipv6Addr>().unwrap().octets();
        let torv2 = [&TORV2_IN_IPV6[..], &[7; 10]].concat();
        for (texts, networks) in [
            (
                vec![
                    "203.0.113.7:8333".to_owned(),
                    "203.0.113.7".into(),
                    "[::ffff:203.0.113.7]:1".into(),
                    "::ffff:203.0.113.7".into(),
                ],
                vec![(Network::Ipv4, vec![203, 0, 113, 7]), (Network::Ipv6, mapped.to_vec())],
            ),
            (
                vec![
                    "[2600:1f18::7]:8333".into(),
                    "2600:1f18:0:0:0:0:0:7".into(),
                    "[2600:1f18::7]".into(),
                    "[2600:1F18::7%eth0]:1".into(),
                ],
                vec![(Network::Ipv6, v6.to_vec())],
            ),
            (vec!["[fc00::7]:8333".into()], vec![(Network::Cjdns, cjdns.to_vec()), (Network::Ipv6, cjdns.to_vec())]),
            (vec![format!("{onion}:8333"), onion.to_uppercase()], vec![(Network::Onion, vec![7; 32])]),
            (vec![format!("{i2p}:0"), i2p.clone()], vec![(Network::I2p, vec![7; 32])]),
            (
                vec![format!("{}:8333", Address(Network::Torv2, &[7; 10]))],
                vec![(Network::Torv2, vec![7; 10]), (Network::Ipv6, torv2)],
            ),
        ] {
            let (network, bytes) = &networks[0];
            let expected = Host::of_bytes(*network, bytes);
            for text in texts {
                assert_eq!(host(&text), expected, "{text}");
            }
            for (network, bytes) in &networks {
                assert_eq!(Host::of_bytes(*network, bytes), expected, "{network:?} {bytes:?}");
            }
        }
    }

    #[test]
    fn what_is_no_address_is_a_name() {
        for (text, name) in [
            ("Seed.Example.org:8333", "seed.example.org"),
            ("seed", "seed"),
            ("1.2.3:8333", "1.2.3"),
            ("short.onion:8333", "short.onion"),
            ("a:b:c", "a:b:c"),
            ("a:port", "a:port"),
        ] {
            assert_eq!(Form::of_text(text), Form::Name(name.into()));
        }
        assert_eq!(Form::of_text("  "), Form::Empty);
    }

    #[test]
    fn what_is_nobodys_is_near() {
        for near in
            ["127.0.0.1:9", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.0.1", "100.64.0.1", "0.0.0.0", "::", "::1", "fe80::1"]
        {
            assert!(host(near).is_near(), "{near}");
        }
        for far in ["203.0.113.7", "172.32.0.1", "100.128.0.1", "2600::1", "::2", "fc00::1"] {
            assert!(!host(far).is_near(), "{far}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_and_bytes_have_a_form(text: String, bytes: Vec<u8>, network in 0..10) {
            Form::of_text(&text);
            Host::of_bytes(Network::try_from(network).unwrap_or_default(), &bytes).is_near();
        }

        #[test]
        fn what_is_shown_is_read_again(v4: [u8; 4], v6: [u8; 16], key: [u8; 32], port: u16) {
            for (network, bytes) in [(Network::Ipv4, &v4[..]), (Network::Ipv6, &v6), (Network::Onion, &key), (Network::I2p, &key)] {
                let address = Address(network, bytes).to_string();
                let brackets = if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") };
                proptest::prop_assert_eq!(host(&address), Host::of_bytes(network, bytes));
                proptest::prop_assert_eq!(host(&brackets), Host::of_bytes(network, bytes));
            }
        }
    }
}
