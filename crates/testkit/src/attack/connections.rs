//! Who comes, how often, from where, and what they say of themselves.

use std::net::Ipv4Addr;

use bitcoin::p2p::message::NetworkMessage;

use super::Victim;
use crate::peer::{Options, Peer};

/// A peer that dials from this host of a range.
pub fn at([a, b, c]: [u8; 3], host: u8) -> Options {
    Options { source: Ipv4Addr::new(a, b, c, host), ..Options::default() }
}

/// Hosts of a /24 under changing names come, listen and leave, one after the other (D11).
pub fn visit(victim: &Victim, range: [u8; 3], visits: u8) -> anyhow::Result<()> {
    for host in 1..=visits {
        let user_agent = format!("/wallet:{}.{}/", host % 7, host);
        drop(Peer::connect(victim.p2p_address(), &Options { user_agent, ..at(range, host) })?);
    }
    Ok(())
}

/// One host after the other connects and stays, if the node lets it; whoever is evicted for the next is among them (D10).
pub fn crowd(victim: &Victim, range: [u8; 3], hosts: u8) -> anyhow::Result<Vec<Peer>> {
    (1..=hosts).map(|host| Peer::connect(victim.p2p_address(), &at(range, host))).collect()
}

/// As [`crowd`], each from a /24 of its own below 127.`second`.
pub fn spread(victim: &Victim, second: u8, hosts: u8) -> anyhow::Result<Vec<Peer>> {
    (1..=hosts).map(|third| Peer::connect(victim.p2p_address(), &at([127, second, third], 1))).collect()
}

/// Hosts knock at a node that lets nobody in, one after the other (D10).
pub fn knock_in_vain(victim: &Victim, range: [u8; 3], hosts: u8) -> anyhow::Result<()> {
    for host in 1..=hosts {
        Peer::open(victim.p2p_address(), &at(range, host))?.wait_closed()?;
    }
    Ok(())
}

/// Hosts of as many /24 below 127.`second` connect and stay until so many connections, of those here and of `before`, were evicted, or as many
/// newcomers were turned away, or 254 came (D10). Gives who came, and how many were turned away.
pub fn fill(victim: &Victim, second: u8, enough: usize, before: &[Peer]) -> anyhow::Result<(Vec<Peer>, usize)> {
    let (mut peers, mut refused) = (Vec::new(), 0);
    for third in 1..=254 {
        match Peer::connect(victim.p2p_address(), &at([127, second, third], 1)) {
            Ok(peer) => peers.push(peer),
            Err(_) => refused += 1,
        }
        let gone = before.iter().chain(&peers).filter(|peer| peer.is_closed()).count();
        if gone >= enough || refused >= enough {
            break;
        }
    }
    Ok((peers, refused))
}

/// What no real program says of itself.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// Its user agent.
    pub user_agent: &'static str,
    /// Its protocol version.
    pub version: u32,
    /// The services that it offers, bit by bit.
    pub services: u64,
    /// What cannot be about it.
    pub impossible: &'static str,
}

const NETWORK: u64 = 1;
const WITNESS: u64 = 1 << 3;
const COMPACT_FILTERS: u64 = 1 << 6;
const NETWORK_LIMITED: u64 = 1 << 10;
const P2P_V2: u64 = 1 << 11;

/// Claims that contradict themselves, as they are met on the network (catalogue D15).
#[rustfmt::skip]
pub const IDENTITIES: &[Identity] = &[
    Identity { user_agent: "/Satoshi:0.18.0/", version: 70015, services: NETWORK | WITNESS | P2P_V2, impossible: "Bitcoin Core 0.18 had no v2 transport (26.0)" },
    Identity { user_agent: "/Satoshi:0.12.1/", version: 70012, services: NETWORK | WITNESS, impossible: "Bitcoin Core 0.12 had no witnesses (0.13.1)" },
    Identity { user_agent: "/Satoshi:0.14.2/", version: 70015, services: NETWORK | WITNESS | NETWORK_LIMITED, impossible: "Bitcoin Core 0.14 did not say what it has of the chain (0.16)" },
    Identity { user_agent: "/Satoshi:0.20.1/", version: 70015, services: NETWORK | WITNESS | COMPACT_FILTERS, impossible: "Bitcoin Core 0.20 served no filters (0.21)" },
    Identity { user_agent: "/Satoshi:27.0.0/", version: 70016, services: 0, impossible: "Bitcoin Core 27 offers something" },
    Identity { user_agent: "/Satoshi:27.0.0/", version: 70002, services: NETWORK | WITNESS | NETWORK_LIMITED, impossible: "Bitcoin Core 27 has protocol version 70016" },
    Identity { user_agent: "/Sat0shi:31.0.0/", version: 70016, services: NETWORK | WITNESS | NETWORK_LIMITED | P2P_V2, impossible: "nobody misspells the name of his own program" },
    Identity { user_agent: "/bitcoinj:0.16.3/", version: 70001, services: NETWORK | WITNESS, impossible: "a wallet has no blocks to offer" },
];

/// Comes with an impossible identity, and leaves (D15).
pub fn claim(victim: &Victim, source: Ipv4Addr, identity: &Identity) -> anyhow::Result<()> {
    let Identity { user_agent, version, services, .. } = *identity;
    let options = Options { source, version, services: services.into(), user_agent: user_agent.to_owned(), ..Options::default() };
    Peer::connect(victim.p2p_address(), &options)?.ping()?;
    Ok(())
}

/// Old programs, but for the end of their version.
const PROGRAMS: [&str; 6] =
    ["Satoshi:0.8.", "bitcoinj:0.12.", "breadwallet:0.", "BitcoinUnlimited:1.", "btcwire:0.2.", "Bither:1."];

/// One host comes again and again, each time as another program, and leaves (D16).
pub fn draw_agents(victim: &Victim, source: Ipv4Addr, sessions: usize) -> anyhow::Result<()> {
    for session in 0..sessions {
        let (program, version) = (PROGRAMS[session % PROGRAMS.len()], session / PROGRAMS.len());
        let user_agent = format!("/{program}{version}/");
        Peer::connect(victim.p2p_address(), &Options { source, user_agent, ..Options::default() })?.ping()?;
    }
    Ok(())
}

/// Sends pings as fast as they are answered, some more with one nonce, and pongs that nobody asked for (D28).
pub fn flood_pings(peer: &Peer, pings: usize) -> anyhow::Result<()> {
    const ODD: usize = 5;
    peer.ping_flood(pings)?;
    for _ in 0..ODD {
        peer.send(NetworkMessage::Ping(7))?;
        peer.send(NetworkMessage::Pong(7))?;
    }
    peer.ping()?;
    Ok(())
}
