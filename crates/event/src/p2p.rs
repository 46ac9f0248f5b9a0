//! P2P messages: the bytes of a payload become an event.
//!
//! Decoding is rust-bitcoin's. What it refuses, and what the decoded message would not give back byte for byte, is kept whole as
//! [`NetUndecodable`]: a honeypot's most interesting messages are those that no decoder likes. Bitcoin Core is more lenient in
//! places (it ignores trailing bytes, for instance), so an undecodable message may well have been acted on by the node.

mod decode;
mod hashes;
pub mod network;
pub mod transport;
pub mod version;

use bytes::Bytes;

use crate::{ConnectionType, Direction, Kind, NetUndecodable, Network, UndecodableReason};

/// The longest payload that Bitcoin Core takes from or gives to a peer (`MAX_PROTOCOL_MESSAGE_LENGTH`, `src/net.h`).
pub const MAX_PAYLOAD: usize = 4_000_000;

/// Whether the capture got all of a payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Captured {
    /// All of it.
    Whole,
    /// Its beginning.
    Cut,
    /// None of it: the node's memory could not be read.
    Unreadable,
}

/// A message as an extractor sees it.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Peer id.
    pub peer: u64,
    /// Which way it goes, seen from the node.
    pub direction: Direction,
    /// The peer's address as the node states it; empty if not known.
    pub address: &'a str,
    /// Why the connection exists.
    pub connection_type: ConnectionType,
    /// Network of the connection.
    pub network: Network,
    /// Length of the payload, also where less of it was captured.
    pub size: u32,
    /// Message type as sent, without padding.
    pub message_type: &'a [u8],
    /// The payload, or what was captured of it.
    pub payload: &'a [u8],
    /// Whether that is all of it.
    pub captured: Captured,
    /// Keep the payload in `raw` of decoded messages too.
    pub keep_raw: bool,
}

impl Message<'_> {
    /// The event that states this message. Never fails: what cannot be decoded is an event too.
    pub fn decode(&self) -> Kind {
        let decoded = match self.captured {
            Captured::Whole => decode::decode(self),
            Captured::Cut => Err(Refusal::new(UndecodableReason::Cut, format!("{} of {} bytes", self.payload.len(), self.size))),
            Captured::Unreadable => Err(Refusal::new(UndecodableReason::Unreadable, "payload was not in memory")),
        };
        decoded.unwrap_or_else(|refusal| self.undecodable(refusal))
    }

    fn undecodable(&self, refusal: Refusal) -> Kind {
        NetUndecodable {
            peer: self.peer,
            direction: self.direction.into(),
            address: self.address.into(),
            connection_type: self.connection_type.into(),
            network: self.network.into(),
            size: self.size,
            raw: Some(Bytes::copy_from_slice(self.payload)),
            message_type: self.type_as_text(),
            reason: refusal.reason.into(),
            detail: refusal.detail,
        }
        .into()
    }

    /// The type as sent. Core lets printable ASCII through only; anything else would be news, and is shown as such.
    fn type_as_text(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::with_capacity(self.message_type.len());
        for byte in self.message_type {
            match byte {
                b' '..=b'~' => text.push(char::from(*byte)),
                _ => write!(text, "\\x{byte:02x}").expect("a String grows"),
            }
        }
        text
    }

    fn raw(&self) -> Option<Bytes> {
        self.keep_raw.then(|| Bytes::copy_from_slice(self.payload))
    }
}

/// Why a payload is not decoded.
#[derive(Debug)]
struct Refusal {
    reason: UndecodableReason,
    detail: String,
}

impl Refusal {
    fn new(reason: UndecodableReason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }

    fn too_short() -> Self {
        Self::new(UndecodableReason::TooShort, "payload ends before the message does")
    }
}

impl From<bitcoin::consensus::encode::Error> for Refusal {
    fn from(error: bitcoin::consensus::encode::Error) -> Self {
        use bitcoin::consensus::encode::Error;
        match error {
            Error::Io(_) => Self::too_short(),
            error => Self::new(UndecodableReason::Malformed, error.to_string()),
        }
    }
}

/// The network that an address as Bitcoin Core writes it (`a.b.c.d:port`, `[v6]:port`, `….onion:port`, `….b32.i2p:0`) belongs to.
///
/// Only a guess for want of the node's own word: an inbound peer over Tor has the address of the node's Tor daemon. Names that an
/// operator typed belong to no network.
pub fn network_of(address: &str) -> Network {
    use std::net::{IpAddr, SocketAddr};
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    if host.ends_with(".onion") {
        return Network::Onion;
    }
    if host.ends_with(".b32.i2p") {
        return Network::I2p;
    }
    // the zone of `[fe80::1%eth0]:8333` says nothing about the network
    let zone = address.find('%').map(|start| start..address.find(']').unwrap_or(address.len()));
    let without_zone =
        zone.filter(|zone| zone.start < zone.end).map(|zone| [&address[..zone.start], &address[zone.end..]].concat());
    let address = without_zone.as_deref().unwrap_or(address);
    match address.parse::<SocketAddr>().map(|a| a.ip()).or_else(|_| address.parse::<IpAddr>()) {
        Ok(IpAddr::V4(ip)) if ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified() => {
            Network::NotPubliclyRoutable
        }
        Ok(IpAddr::V4(_)) => Network::Ipv4,
        // fc00::/8 is CJDNS to a node that was told so; RFC 4193 uses fd00::/8
        Ok(IpAddr::V6(ip)) if ip.octets()[0] == 0xfc => Network::Cjdns,
        Ok(IpAddr::V6(ip)) if ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local() => {
            Network::NotPubliclyRoutable
        }
        Ok(IpAddr::V6(_)) => Network::Ipv6,
        Err(_) => Network::Unspecified,
    }
}

#[cfg(test)]
mod tests;
