//! What the node says of itself when it is asked, and what our own connection and the operating system see.

use event::{
    AddrmanCount, AddrmanNetwork, ConnectionType, FetchOutcome, HealthReconciled, Network, PeerInfo, ProbePing, Source,
    StateAddrman, StateBlockchain, StateFetched, StateMempool, StateNetTotals, StateNetwork, StatePeers, StateProcess,
    StateProfile, StateUptime, ThreadUse, Transport,
};

use super::chance::mix;
use super::peer::Peer;
use super::world::{SECOND, What, World};

/// What is asked again and again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Poll {
    Peers,
    Totals,
    Mempool,
    Chain,
    Uptime,
    Network,
    Addrman,
    Process,
    Probe,
    Reconcile,
}

impl Poll {
    pub(super) const ALL: [Self; 10] = [
        Self::Peers,
        Self::Totals,
        Self::Mempool,
        Self::Chain,
        Self::Uptime,
        Self::Network,
        Self::Addrman,
        Self::Process,
        Self::Probe,
        Self::Reconcile,
    ];

    /// Seconds, as the extractors' defaults are.
    fn interval(self) -> u64 {
        match self {
            Self::Peers | Self::Totals | Self::Mempool | Self::Process => 5,
            Self::Chain | Self::Uptime | Self::Probe => 10,
            Self::Network | Self::Addrman => 30,
            Self::Reconcile => 300,
        }
    }
}

impl World {
    pub(super) fn poll(&mut self, poll: Poll) {
        self.at(self.now + poll.interval() * SECOND, What::Poll(poll));
        if !self.up {
            return;
        }
        match poll {
            Poll::Peers => {
                let peers = self.peers.values().map(|peer| self.peer_info(peer)).collect();
                self.fetched("getpeerinfo", StatePeers { peers });
            }
            Poll::Totals => {
                let sum = |of: fn(&Peer) -> u64| Some(self.peers.values().map(of).sum());
                let (bytes_received, bytes_sent) = (sum(|peer| peer.received), sum(|peer| peer.sent));
                self.fetched("getnettotals", StateNetTotals { bytes_received, bytes_sent, upload_target: None });
            }
            Poll::Mempool => {
                let size = self.transactions - self.confirmed;
                let state = StateMempool {
                    loaded: Some(true),
                    size: Some(size),
                    bytes: Some(size * 200),
                    usage: Some(size * 1_200),
                    max_mempool: Some(300_000_000),
                    mempool_min_fee: Some(100),
                    min_relay_fee: Some(100),
                    ..Default::default()
                };
                self.fetched("getmempoolinfo", state);
            }
            Poll::Chain => {
                let blocks = self.chain.height as u32;
                let behind = if self.node.initial_download { 40_000 } else { 0 };
                let state = StateBlockchain {
                    chain: Some("main".into()),
                    blocks: Some(blocks - behind),
                    headers: Some(blocks),
                    best_block: Some(self.chain.tip.clone()),
                    time: Some(self.chain.tip_time),
                    initial_block_download: Some(self.node.initial_download),
                    pruned: Some(false),
                    ..Default::default()
                };
                self.fetched("getblockchaininfo", state);
            }
            Poll::Uptime => self.fetched("uptime", StateUptime { seconds: self.seconds() - self.node_run }),
            Poll::Network => {
                let inbound = self.inbound() as u32;
                let all = self.peers.len() as u32;
                let state = StateNetwork {
                    version: Some(self.node.version),
                    local_relay: Some(true),
                    network_active: Some(true),
                    connections: Some(all),
                    connections_in: Some(inbound),
                    connections_out: Some(all - inbound),
                    ..Default::default()
                };
                self.fetched("getnetworkinfo", state);
            }
            Poll::Addrman => {
                let known = self.population.known_addresses;
                let count = |network: Network, new: u64, tried: u64| AddrmanNetwork {
                    network: network.into(),
                    new: Some(new),
                    tried: Some(tried),
                    total: Some(new + tried),
                };
                let networks = vec![count(Network::Ipv4, known * 7 / 10, 6_000), count(Network::Onion, known / 7, 900)];
                let total = Some(AddrmanCount { new: Some(known), tried: Some(6_900), total: Some(known + 6_900) });
                self.fetched("getaddrmaninfo", StateAddrman { networks, all_networks: total });
            }
            Poll::Process => self.process(),
            Poll::Probe => {
                let jitter = self.random.exponential(0.002);
                let round_trip_nanos = ((self.knobs.backlog + jitter) * 1e9) as u64;
                self.say(Source::P2p, ProbePing { round_trip_nanos, outstanding: 0 });
            }
            Poll::Reconcile => {
                let peers = self.peers.len() as u32;
                let state = HealthReconciled { window: 300 * SECOND, peers, types: 20, messages: u64::from(peers) * 400, lost: 0 };
                self.say(Source::Join, state);
            }
        }
    }

    fn fetched(&mut self, method: &str, answer: impl Into<event::Kind>) {
        let answer = answer.into();
        let bytes = answer.heap_size() as u64;
        self.say(Source::Rpc, answer);
        let outcome = FetchOutcome::Ok.into();
        self.say(Source::Rpc, StateFetched { method: method.into(), outcome, duration: 2_000_000, bytes, error: None });
    }

    /// CPU time of the message handler grows with its load.
    fn process(&mut self) {
        let elapsed = (self.now - self.polled.max(self.node_run * SECOND)) as f64;
        self.polled = self.now;
        let load = (self.knobs.handler * self.random.between(0.85, 1.15)).min(1.0);
        self.handler_nanos += elapsed * load;
        let nanos = self.handler_nanos as u64;
        let thread = |name: &str, threads: u32, user_nanos: u64| ThreadUse {
            name: name.to_owned(),
            threads,
            user_nanos,
            system_nanos: user_nanos / 10,
            ..Default::default()
        };
        let state = StateProcess {
            pid: 4242,
            user_nanos: nanos * 3,
            system_nanos: nanos / 3,
            threads: vec![thread("b-msghand", 1, nanos * 10 / 11), thread("b-net", 1, nanos / 4), thread("b-scriptch", 15, nanos)],
            thread_count: 30,
            resident: 900 << 20,
            virtual_size: 3 << 30,
            major_faults: 10,
            ..Default::default()
        };
        self.say(Source::Proc, state);
    }

    fn peer_info(&self, peer: &Peer) -> PeerInfo {
        let now = self.seconds();
        let inbound = peer.kind == ConnectionType::Inbound;
        let some = |seconds: u64| (seconds > 0).then_some(seconds);
        let nanos = (peer.round_trip * 1e9) as u64;
        let knows = peer.ready;
        let relay = peer.manner.relay && peer.kind != ConnectionType::BlockRelayOnly;
        let modern = self.node.version >= 310_000;
        PeerInfo {
            id: peer.id,
            address: peer.address.clone(),
            network: peer.network.into(),
            connection_type: peer.kind.into(),
            services: Some(if knows { peer.program.services } else { 0 }),
            relay_transactions: Some(relay),
            last_inv_sequence: modern.then_some(peer.told),
            inv_to_send: modern.then_some(peer.queue as u64 + if relay { (self.transactions - peer.told) * 6 / 10 } else { 0 }),
            last_send: some(now.saturating_sub(mix(peer.id ^ now) % 10)),
            last_receive: some(now.saturating_sub(mix(peer.id ^ now ^ 1) % 20)),
            last_transaction: some(peer.last_transaction),
            last_block: some(peer.last_block),
            bytes_sent: Some(peer.sent),
            bytes_received: Some(peer.received),
            connected: Some(peer.connected / SECOND),
            time_offset: Some(i64::from(mix(peer.id) as u8 % 5) - 2),
            ping: knows.then_some(nanos + nanos / 8),
            minimum_ping: knows.then_some(nanos),
            version: knows.then_some(peer.program.version),
            user_agent: Some(if knows { peer.agent.to_owned() } else { String::new() }),
            inbound: Some(inbound),
            high_bandwidth_to: Some(peer.chosen),
            high_bandwidth_from: Some(mix(peer.id).is_multiple_of(12)),
            synced_headers: knows.then_some(self.chain.height as u32),
            synced_blocks: knows.then_some(self.chain.height as u32),
            addr_relay_enabled: Some(peer.manner.gossip.is_some()),
            addr_processed: Some(peer.addresses.processed),
            addr_rate_limited: Some(peer.addresses.limited),
            min_fee_filter: Some(100),
            transport: (if peer.v2 { Transport::V2 } else { Transport::V1 }).into(),
            ..Default::default()
        }
    }

    pub(super) fn say_profile(&mut self) {
        let state = StateProfile {
            version: Some(self.node.version),
            subversion: Some("/Satoshi:31.0.0/".into()),
            protocol_version: Some(70016),
            chain: Some("main".into()),
            pruned: Some(false),
            blocksonly: Some(false),
            networks: [Network::Ipv4, Network::Ipv6, Network::Onion, Network::I2p].map(Into::into).to_vec(),
            services: Some(0x0c09),
            ..Default::default()
        };
        self.say(Source::Rpc, state);
    }
}
