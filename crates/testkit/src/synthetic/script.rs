//! A scenario as it is written down: a TOML file.

use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::ingredient::Ingredient;

/// What a scenario's file says. Numbers that it leaves out are the usual ones.
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// What happens, in a sentence.
    pub about: String,
    /// When it begins, RFC 3339.
    #[serde(default = "monday", deserialize_with = "time")]
    pub begin: u64,
    /// How long it is: `90s`, `20m`, `6h`, `2d`.
    #[serde(deserialize_with = "length")]
    pub length: Duration,
    /// The nodes: each has peers and happenings of its own, drawn from the seed and its name.
    #[serde(default = "alice")]
    pub nodes: Vec<String>,
    /// What the nodes are like.
    #[serde(default)]
    pub node: Node,
    /// Who is connected, and what they do.
    #[serde(default)]
    pub population: Population,
    /// Guards and baselines that this scenario sets, for whoever runs it: read and printed, not interpreted here.
    #[serde(default)]
    pub given: toml::Table,
    /// What happens besides the usual.
    #[serde(default, rename = "ingredient")]
    pub ingredients: Vec<Ingredient>,
}

/// The observed node.
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Node {
    /// Version as Bitcoin Core numbers it.
    pub version: u32,
    /// How long it runs already.
    #[serde(deserialize_with = "length")]
    pub uptime: Duration,
    /// Whether it still downloads the chain.
    pub initial_download: bool,
    /// Connections that it allows, outbound ones included.
    pub max_connections: usize,
    /// Sources that watch it, of `ebpf`, `rpc`, `proc`, `p2p`, `log`, `join`.
    pub sources: Vec<Watch>,
}

/// A source that may watch a node.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Debug)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names of the sources")]
pub enum Watch {
    Ebpf,
    Rpc,
    Proc,
    P2p,
    Log,
    Join,
}

impl Default for Node {
    fn default() -> Self {
        use Watch::{Ebpf, Join, Log, P2p, Proc, Rpc};
        Self {
            version: 310_000,
            uptime: Duration::from_hours(72),
            initial_download: false,
            max_connections: 125,
            sources: vec![Ebpf, Rpc, Proc, P2p, Log, Join],
        }
    }
}

/// The usual: who is connected, and what they do. The numbers are those of the catalogue's section on baselines, per node.
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Population {
    /// Peers at the beginning, ten of them outbound.
    pub peers: usize,
    /// New inbound connections.
    pub inbound_per_minute: f64,
    /// New transactions that reach the node.
    pub transactions_per_second: f64,
    /// Addresses that a peer passes on, per second: from the least talkative to the most.
    pub addresses_per_second: [f64; 2],
    /// Addresses that are told of in 24 hours, and how many of them are new each day.
    pub known_addresses: u64,
    /// New ones among them, each day.
    pub new_addresses: u64,
    /// Seconds between blocks, on average.
    pub block_interval: f64,
    /// Share of blocks that the node puts together without asking.
    pub reconstructed: f64,
    /// Share of blocks that come without being asked for (high bandwidth).
    pub high_bandwidth: f64,
    /// Share of inbound peers that come over Tor, I2P and IPv6. The rest is IPv4.
    pub onion: f64,
    /// See `onion`.
    pub i2p: f64,
    /// See `onion`.
    pub ipv6: f64,
    /// How much more there is at noon than on average: 0.3 is 30 % more, and 30 % less at midnight.
    pub rhythm: f64,
    /// Announces, requests and transactions are left out but for one in so many. Connections, addresses, pings, blocks and what the
    /// node says of itself are not thinned.
    pub thin: u32,
}

impl Default for Population {
    fn default() -> Self {
        Self {
            peers: 125,
            inbound_per_minute: 3.0,
            transactions_per_second: 5.0,
            addresses_per_second: [0.02, 0.23],
            known_addresses: 40_000,
            new_addresses: 4_000,
            block_interval: 600.0,
            reconstructed: 0.82,
            high_bandwidth: 0.75,
            onion: 0.12,
            i2p: 0.04,
            ipv6: 0.14,
            rhythm: 0.3,
            thin: 1,
        }
    }
}

/// 2 March 2026, a Monday, 06:00 UTC: half-way between the quietest hour and the busiest.
fn monday() -> u64 {
    1_772_431_200_000_000_000
}

fn alice() -> Vec<String> {
    vec!["alice".to_owned()]
}

fn time<'de, D: Deserializer<'de>>(input: D) -> Result<u64, D::Error> {
    let text = String::deserialize(input)?;
    let time: jiff::Timestamp = text.parse().map_err(|error| D::Error::custom(format!("`{text}` is no time: {error}")))?;
    u64::try_from(time.as_nanosecond()).map_err(|_| D::Error::custom(format!("`{text}` is before 1970")))
}

/// A length of time, of at most 40 days.
pub(super) fn length<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
    const UNITS: [(&str, f64); 5] = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86_400.0)];
    let text = String::deserialize(input)?;
    let wrong = || D::Error::custom(format!("`{text}` is no length of time: write it as `90s`, `20m`, `6h` or `2d`"));
    let (digits, unit) = UNITS.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds))).ok_or_else(wrong)?;
    let number: f64 = digits.parse().map_err(|_| wrong())?;
    let seconds = number * unit;
    if !(0.0..=40.0 * 86_400.0).contains(&seconds) {
        return Err(wrong());
    }
    Ok(Duration::from_secs_f64(seconds))
}
