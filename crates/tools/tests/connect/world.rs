//! The tool at work on a bus: gossip goes in, results come out.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use bus::{Bus, Delivery, Limits, Publisher, Subscription};
use bytes::Bytes;
use clap::Parser as _;
use event::{
    Direction, Event, Filter, Kind, KindId, LocalAddress, NetAddrv2, Network, NetworkAddress, ProbeAddress, Source, StateNetwork,
    StatePeers,
};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tools::connect::{AtANode, Config, Prepared};

/// Services of a node that speaks v2, and of one that does not.
pub const V2: u64 = 0xc09;
pub const V1: u64 = 0x409;

/// The tool's flags.
#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    config: Config,
}

/// As the command line has it, with what no test goes without.
pub fn config(state: &Path, flags: &[&str]) -> Config {
    let state = format!("--connect-state={}", state.display());
    let defaults = ["--connect-contact=https://example.org/visits", "--connect-timeout=10s", "--connect-rate=1000"];
    let told = |flag: &str| flags.iter().any(|other| other.split('=').next() == flag.split('=').next());
    let defaults = defaults.into_iter().filter(|flag| !told(flag));
    Line::parse_from(["connect", &state].into_iter().chain(defaults).chain(flags.iter().copied())).config
}

/// For a fleet on loopback: what `connect` does only where it is told to.
pub const LOOPBACK: [&str; 3] = ["--connect-network=regtest", "--connect-test-ranges=127.0.0.0/8,::1", "--connect-parallel=64"];

pub struct World {
    pub bus: Bus,
    /// The node's stream, as its probes have it.
    pub probes: Publisher,
    rpc: Publisher,
    results: Subscription,
    stop: oneshot::Sender<()>,
    tool: JoinHandle<anyhow::Result<()>>,
    pub collected: Vec<Event>,
}

impl World {
    /// Starts the tool, on a bus with one node.
    pub async fn new(config: Config) -> Self {
        Self::on(Bus::local(), config).await
    }

    pub async fn on(bus: Bus, config: Config) -> Self {
        let results = bus.subscribe(Filter::kinds([KindId::ProbeAddress]), Limits::default()).await.unwrap();
        let events = bus.subscribe(Prepared::filter([]), Limits::default()).await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async { drop(stopped.await) };
        let tool = tools::connect::run(config.prepare().unwrap(), events, bus.clone(), None, AtANode::End, stopped);
        let tool = tokio::spawn(tool);
        let probes = bus.publisher("alice".parse().unwrap(), Source::Ebpf);
        let rpc = bus.publisher("alice".parse().unwrap(), Source::Rpc);
        Self { bus, probes, rpc, results, stop, tool, collected: Vec::new() }
    }

    /// The node says where it is.
    pub fn states(&self, own: &[&str]) {
        let local = |address: &&str| LocalAddress { address: (*address).to_owned(), ..LocalAddress::default() };
        let state = StateNetwork { local_addresses: own.iter().map(local).collect(), ..StateNetwork::default() };
        self.rpc.publish(1, None, state);
        // and from where it has connections: nobody is dialled before it has said both
        self.rpc.publish(1, None, StatePeers::default());
    }

    /// A peer advertises addresses.
    pub fn advertise(&self, peer: u64, entries: Vec<NetworkAddress>) {
        let gossip = NetAddrv2 {
            peer,
            direction: Direction::Inbound.into(),
            address: format!("8.8.{peer}.8:8333"),
            network: Network::Ipv4.into(),
            addresses: entries,
            ..NetAddrv2::default()
        };
        self.probes.publish(1_750_000_000_000_000_000, Some(7), gossip);
    }

    /// Waits until so many results came.
    pub async fn results(&mut self, count: usize) -> Vec<ProbeAddress> {
        let wait = async {
            while self.collected.len() < count {
                match self.results.next().await {
                    Some(Delivery::Event(event)) => self.collected.push((*event).clone()),
                    other => panic!("{other:?} after {} results", self.collected.len()),
                }
            }
        };
        let waited = tokio::time::timeout(Duration::from_mins(2), wait).await;
        assert!(waited.is_ok(), "{count} results are waited for, and these came: {:#?}", self.collected);
        self.visits()
    }

    /// The results so far.
    pub fn visits(&self) -> Vec<ProbeAddress> {
        let visit = |event: &Event| match &event.kind {
            Some(Kind::ProbeAddress(visit)) => (**visit).clone(),
            other => panic!("{other:?}"),
        };
        self.collected.iter().map(visit).collect()
    }

    /// Ends the tool, and gives the results that it still had.
    pub async fn end(mut self) -> anyhow::Result<Vec<ProbeAddress>> {
        drop(self.stop);
        let ended = self.tool.await.unwrap();
        self.bus.close().await;
        while let Some(delivery) = self.results.next().await {
            if let Delivery::Event(event) = delivery {
                self.collected.push((*event).clone());
            }
        }
        let visit = |event: Event| match event.kind {
            Some(Kind::ProbeAddress(visit)) => *visit,
            other => panic!("{other:?}"),
        };
        ended.map(|()| self.collected.into_iter().map(visit).collect())
    }

    /// Waits until the tool ends by itself.
    pub async fn ended(self) -> anyhow::Result<()> {
        tokio::time::timeout(Duration::from_mins(1), self.tool).await.expect("it ends").unwrap()
    }
}

/// An entry of gossip.
pub fn entry(address: SocketAddr, services: u64) -> NetworkAddress {
    let (network, bytes) = match address.ip() {
        IpAddr::V4(ip) => (Network::Ipv4, Bytes::copy_from_slice(&ip.octets())),
        IpAddr::V6(ip) => (Network::Ipv6, Bytes::copy_from_slice(&ip.octets())),
    };
    let port = address.port().into();
    NetworkAddress { time: 1_749_990_000, services, network: network.into(), address: bytes, port, network_id: None }
}

/// Results by who lives at the address, a line each.
pub fn render(visits: &[ProbeAddress], names: &BTreeMap<(Bytes, u32), String>) -> String {
    let line = |visit: &ProbeAddress| {
        let name = names.get(&(visit.address.clone(), visit.port)).map_or("nobody", String::as_str);
        let words = [visit.result().word(), visit.route().word(), visit.transport().word(), &visit.user_agent];
        format!("{name}: {}", words.join(" ")).trim_end().to_owned()
    };
    let mut lines: Vec<_> = visits.iter().map(line).collect();
    lines.sort();
    lines.join("\n")
}

/// Runs a test on threads of its own.
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work)
}
