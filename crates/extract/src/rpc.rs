//! What a node says of itself, over its JSON-RPC.
//!
//! One table ([`METHODS`]) says what is called, how often, and what the answer becomes. The answers are read straight into events; after
//! each, `state.fetched` says how long the call took, or what came of it. That is an event of its own rather than a field of each state:
//! a call that fails has no state to put a duration into, and nobody has to look into seventeen kinds for one number.
//!
//! Light methods are called one after the other on one connection, heavy ones on a connection of their own: never two of a kind at
//! once, never more than two calls at all, and nothing queues up behind a slow answer. Who is late skips.
//!
//! A node that does not answer is asked again until it does, first and last with `uptime`; then everything is fetched anew. Its end is
//! noticed when it closes the connection, not when the next call is due.

mod access;
mod client;
pub(crate) mod file;
mod lane;
mod methods;
mod place;
mod profile;
mod rights;
mod watch;

use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bus::Publisher;
use event::{ConnectionType, Network, StatePeers};
use tokio::sync::watch::Receiver;

use crate::interval;
use crate::life::Life;

pub use access::{Access, AccessError, Address, Secret, Target};
pub use client::{Answer, CallError, Connection};
pub use file::Owner;
pub use methods::{DecodeError, METHODS, Method, Weight};
pub use place::{Place, Settings};
pub use rights::{Checked, User, UserName, check, least_privilege_lines, whitelist};

/// What to ask the node, and how often.
#[derive(Clone, PartialEq, Eq, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    /// How often to call a method: `getpeerinfo=5s`, `getrawaddrman=off`
    ///
    /// May be given several times or with commas between. Defaults, in seconds: getpeerinfo, getnettotals, getmempoolinfo 5;
    /// getblockchaininfo, uptime, getorphantxs 10; getnetworkinfo, getaddrmaninfo 30; estimatesmartfee, getmemoryinfo, listbanned,
    /// getindexinfo, getchaintxstats 60; getchaintips 300; getdeploymentinfo 600; getrawaddrman 3600. The last gives some megabytes each
    /// time on a node that has run for long.
    #[arg(long, value_delimiter = ',', value_name = "METHOD=TIME")]
    pub rpc_interval: Vec<Interval>,

    /// How long to wait for an answer
    ///
    /// A node that connects blocks answers late. A call that takes longer is given up, and made less often until one is answered again.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = interval::parse)]
    pub rpc_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { rpc_interval: Vec::new(), rpc_timeout: Duration::from_secs(30) }
    }
}

impl Config {
    /// How often a method is called; `None` for one that is switched off.
    pub fn interval(&self, method: &Method) -> Option<Duration> {
        let told = self.rpc_interval.iter().rev().find(|interval| interval.method == method.name);
        told.map_or(Some(method.interval), |interval| interval.every)
    }
}

/// How often a method is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interval {
    method: &'static str,
    every: Option<Duration>,
}

/// Nobody needs it more often, and a node should not be asked more often.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

impl FromStr for Interval {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, every) = text.split_once('=').ok_or("an interval is written as `getpeerinfo=5s` or `getpeerinfo=off`")?;
        let known = || METHODS.iter().map(|method| method.name).collect::<Vec<_>>().join(", ");
        let method = Method::of_name(name).ok_or_else(|| format!("`{name}` is none of the methods {}", known()))?.name;
        let every = if every == "off" { None } else { Some(interval::parse(every)?) };
        if every.is_some_and(|every| every < SHORTEST_INTERVAL) {
            return Err(format!("`{name}` cannot be called more often than every {} ms", SHORTEST_INTERVAL.as_millis()));
        }
        Ok(Self { method, every })
    }
}

/// Says where the RPC of a life of the node is; of no life, where it will probably be. It is asked again for each life, and again while
/// there is none: the next may have other ports, other files, another user. It may read files.
pub type Locate = Arc<dyn Fn(Option<&Life>) -> Target + Send + Sync>;

/// Publishes what the node says, until `stop`. `node` is its process, where it runs on this machine and can be found.
///
/// Trouble with the node is no error: it is published (`state.fetched`, `health.detached`), said once, and tried again.
pub async fn run(config: Config, locate: Locate, node: Receiver<Option<Life>>, out: Publisher, stop: impl Future<Output = ()>) {
    watch::Watch::new(config, locate, node, out).run(stop).await;
}

/// A peer, as whoever attaches to a running node needs it: messages of peers that were connected before name no network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer<'a> {
    /// Peer id.
    pub id: u64,
    /// Address and port, or the name that the operator typed.
    pub address: &'a str,
    /// Why the connection exists.
    pub connection_type: ConnectionType,
    /// Network of the connection.
    pub network: Network,
}

/// The peers of `getpeerinfo`, to seed a table of peers with.
pub fn peers_of(state: &StatePeers) -> impl Iterator<Item = Peer<'_>> {
    state.peers.iter().map(|peer| Peer {
        id: peer.id,
        address: &peer.address,
        connection_type: peer.connection_type(),
        network: peer.network(),
    })
}

/// Names in the order of the table.
fn in_order(names: &BTreeSet<&'static str>) -> Vec<String> {
    METHODS.iter().filter(|method| names.contains(method.name)).map(|method| method.name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_read() {
        let config =
            |text: &str| Config { rpc_interval: text.split(',').map(|i| i.parse().unwrap()).collect(), ..Config::default() };
        let every = |text: &str| config(text).interval(Method::of_name("getpeerinfo").unwrap());
        assert_eq!(every("uptime=1s"), Some(Duration::from_secs(5)));
        assert_eq!(every("getpeerinfo=1s,getpeerinfo=500ms"), Some(Duration::from_millis(500)));
        assert_eq!(every("getpeerinfo=off"), None);
        for wrong in ["getpeerinfo", "stop=1s", "uptime=1", "uptime=0s", "uptime=99ms", "uptime=-1s", "uptime=99999999999999999h"] {
            assert!(wrong.parse::<Interval>().is_err(), "{wrong}");
        }
    }

    /// The help states the defaults that the table has.
    #[test]
    fn the_help_names_every_method_and_its_default() {
        use clap::Args as _;
        let command = Config::augment_args(clap::Command::new("x"));
        let help = command
            .get_arguments()
            .find(|arg| arg.get_id() == "rpc_interval")
            .and_then(|arg| arg.get_long_help())
            .unwrap()
            .to_string();
        let (_, defaults) = help.split_once("in seconds: ").unwrap();
        for group in defaults.split_once(". The last").unwrap().0.split("; ") {
            let (names, seconds) = group.rsplit_once(' ').unwrap();
            for name in names.split(", ") {
                assert_eq!(Method::of_name(name).map(|m| m.interval.as_secs()), seconds.parse().ok(), "{name}");
            }
        }
        assert!(METHODS.iter().all(|method| defaults.contains(method.name)));
    }
}
