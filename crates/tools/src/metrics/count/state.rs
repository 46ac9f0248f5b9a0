//! What a node says of itself.

use event::{
    BranchTip, ChainTipStatus, Direction, FetchOutcome, KindId, Network, StateAddrman, StateBans, StateBlockchain, StateChainTips,
    StateChainTxStats, StateDeployments, StateFeeEstimates, StateFetched, StateIndexes, StateMempool, StateNetTotals, StateNetwork,
    StateOrphans, StateProfile, StateUptime,
};

use super::{per_vbyte, truth};
use crate::metrics::cells::{Cells, Gauge};
use crate::metrics::label::{Architecture, Chain, Version};
use crate::metrics::node::{Node, seconds};
use crate::metrics::statistic::Statistics;
use crate::metrics::table::{self, Table, Target, Upload};
use crate::metrics::vocabulary::{Index, Method};

/// Sets gauges without labels, or takes away those whose value is absent.
fn set<const N: usize>(cells: &mut Cells, values: [(Gauge<()>, Option<f64>); N]) {
    for (gauge, value) in values {
        gauge.set_or_forget(cells, (), value);
    }
}

fn float(value: Option<u64>) -> Option<f64> {
    value.map(|value| value as f64)
}

/// What the node is. Words that are no words of Bitcoin Core's are left out.
fn about(node: &mut Node, version: Option<u32>, chain: Option<&str>, architecture: Option<&str>) {
    const CHAINS: [&str; 5] = ["main", "test", "testnet4", "signet", "regtest"];
    const ARCHITECTURES: [&str; 4] = ["x86_64", "aarch64", "arm", "riscv64"];
    let known = |words: &[&'static str], word: &str| words.iter().find(|known| **known == word).map_or("other", |known| *known);
    if let Some(version) = version {
        node.version = Some(version);
        node.about.version = format!("{}.{}.{}", version / 10_000, version / 100 % 100, version % 100);
    }
    if let Some(chain) = chain {
        node.about.chain = known(&CHAINS, chain).into();
    }
    if let Some(architecture) = architecture {
        node.about.architecture = known(&ARCHITECTURES, architecture).into();
    }
    table::NODE_INFO.set(&mut node.cells, (Version, Chain, Architecture), 1.0);
}

pub fn profile(node: &mut Node, m: &StateProfile) {
    about(node, m.version, m.chain.as_deref(), m.architecture.as_deref());
    set(&mut node.cells, [(table::NODE_PRUNED, m.pruned.map(truth)), (table::NODE_BLOCKSONLY, m.blocksonly.map(truth))]);
}

pub fn net_totals(node: &mut Node, m: &StateNetTotals) {
    table::TRAFFIC.set_or_forget(&mut node.cells, (Direction::Inbound,), float(m.bytes_received));
    table::TRAFFIC.set_or_forget(&mut node.cells, (Direction::Outbound,), float(m.bytes_sent));
    let upload = m.upload_target.as_ref().filter(|upload| upload.target.is_some());
    table::UPLOAD.set_or_forget(&mut node.cells, (Upload::Target,), float(upload.and_then(|upload| upload.target)));
    table::UPLOAD.set_or_forget(&mut node.cells, (Upload::Left,), float(upload.and_then(|upload| upload.bytes_left_in_cycle)));
}

pub fn network(node: &mut Node, m: &StateNetwork) {
    about(node, m.version, None, None);
    let cells = &mut node.cells;
    table::NODE_CONNECTIONS.set_or_forget(cells, (Direction::Inbound,), m.connections_in.map(f64::from));
    table::NODE_CONNECTIONS.set_or_forget(cells, (Direction::Outbound,), m.connections_out.map(f64::from));
    table::REACHABLE.fill(cells, f64::NAN);
    for of in &m.networks {
        table::REACHABLE.set_or_forget(cells, (of.network(),), of.reachable.map(truth));
    }
    let values = [
        (table::NETWORK_ACTIVE, m.network_active.map(truth)),
        (table::RELAY_FEE, m.relay_fee.map(per_vbyte)),
        (table::INCREMENTAL_FEE, m.incremental_fee.map(per_vbyte)),
        (table::NODE_CLOCK, m.time_offset.map(|offset| offset as f64)),
        (table::NETWORK_WARNINGS, Some(warnings(&m.warnings))),
        (table::LOCAL_ADDRESSES, Some(m.local_addresses.len() as f64)),
    ];
    set(cells, values);
}

/// Before version 28 the warnings are one text, empty where there is none.
fn warnings(warnings: &[String]) -> f64 {
    warnings.iter().filter(|warning| !warning.is_empty()).count() as f64
}

pub fn mempool(node: &mut Node, m: &StateMempool) {
    let values = [
        (table::POOL_LOADED, m.loaded.map(truth)),
        (table::POOL_TRANSACTIONS, float(m.size)),
        (table::POOL_SIZE, float(m.bytes)),
        (table::POOL_FEES, m.total_fee.map(|fee| fee as f64)),
        (table::POOL_USAGE, float(m.usage)),
        (table::POOL_LIMIT, float(m.max_mempool)),
        (table::POOL_MINIMUM, m.mempool_min_fee.map(per_vbyte)),
        (table::POOL_RELAY_MINIMUM, m.min_relay_fee.map(per_vbyte)),
        (table::POOL_INCREMENT, m.incremental_relay_fee.map(per_vbyte)),
        (table::POOL_UNBROADCAST, float(m.unbroadcast)),
    ];
    set(&mut node.cells, values);
}

pub fn orphans(node: &mut Node, m: &StateOrphans) {
    let sum = |of: fn(&event::Orphan) -> Option<u64>| Some(m.orphans.iter().filter_map(of).map(|value| value as f64).sum());
    let values = [
        (table::ORPHANS, Some(m.orphans.len() as f64)),
        (table::ORPHAN_BYTES, sum(|orphan| orphan.bytes)),
        (table::ORPHAN_SIZE, sum(|orphan| orphan.vsize)),
        (table::ORPHAN_WEIGHT, sum(|orphan| orphan.weight)),
    ];
    set(&mut node.cells, values);
    let announcers = Statistics::of(m.orphans.iter().map(|orphan| orphan.from.len() as f64).collect());
    for (statistic, value) in announcers.each() {
        table::ORPHAN_ANNOUNCERS.set_or_forget(&mut node.cells, (statistic,), value);
    }
    let beginning = |wtxid: &[u8]| wtxid.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let mut now: Vec<u64> = m.orphans.iter().map(|orphan| beginning(&orphan.wtxid)).collect();
    now.sort_unstable();
    if let Some(before) = &node.orphans {
        let missing = |from: &[u64], of: &[u64]| of.iter().filter(|id| from.binary_search(id).is_err()).count() as u64;
        let (added, removed) = (missing(before, &now), missing(&now, before));
        table::ORPHANS_ADDED.add(&mut node.cells, (), added);
        table::ORPHANS_REMOVED.add(&mut node.cells, (), removed);
    }
    node.orphans = Some(now);
}

pub fn fee_estimates(node: &mut Node, m: &StateFeeEstimates) {
    table::FEE_ESTIMATES.fill(&mut node.cells, f64::NAN);
    for estimate in &m.estimates {
        let target = match estimate.target {
            1 => Target::Blocks1,
            6 => Target::Blocks6,
            144 => Target::Blocks144,
            _ => Target::Other,
        };
        table::FEE_ESTIMATES.set_or_forget(&mut node.cells, (target, estimate.mode()), estimate.fee_rate.map(per_vbyte));
    }
}

pub fn blockchain(node: &mut Node, m: &StateBlockchain) {
    about(node, None, m.chain.as_deref(), None);
    let values = [
        (table::CHAIN_BLOCKS, m.blocks.map(f64::from)),
        (table::CHAIN_HEADERS, m.headers.map(f64::from)),
        (table::CHAIN_TIME, float(m.time)),
        (table::CHAIN_DIFFICULTY, m.difficulty),
        (table::CHAIN_PROGRESS, m.verification_progress),
        (table::CHAIN_DOWNLOADING, m.initial_block_download.map(truth)),
        (table::CHAIN_DISK, float(m.size_on_disk)),
        (table::CHAIN_PRUNED, m.prune_height.map(f64::from)),
        (table::CHAIN_PRUNE_TARGET, float(m.prune_target)),
        (table::CHAIN_WARNINGS, Some(warnings(&m.warnings))),
    ];
    set(&mut node.cells, values);
}

pub fn chain_tips(node: &mut Node, m: &StateChainTips) {
    table::CHAIN_TIPS.fill(&mut node.cells, 0.0);
    for tip in &m.tips {
        table::CHAIN_TIPS.add(&mut node.cells, (tip.status(),), 1.0);
    }
    let fork = |tip: &&BranchTip| matches!(tip.status(), ChainTipStatus::ValidFork);
    let longest = m.tips.iter().filter(fork).map(|tip| tip.branch_length).max().unwrap_or(0);
    table::CHAIN_FORK.set(&mut node.cells, (), f64::from(longest));
}

pub fn chain_tx_stats(node: &mut Node, m: &StateChainTxStats) {
    let values = [
        (table::CHAIN_TRANSACTIONS, float(m.transactions)),
        (table::CHAIN_WINDOW_TRANSACTIONS, float(m.window_transactions)),
        (table::CHAIN_WINDOW_BLOCKS, m.window_blocks.map(f64::from)),
        (table::CHAIN_WINDOW, float(m.window_interval)),
    ];
    set(&mut node.cells, values);
}

pub fn deployments(node: &mut Node, m: &StateDeployments) {
    let active = m.deployments.iter().filter(|deployment| deployment.active()).count();
    let signals = |deployment: &&event::Deployment| deployment.bip9.as_ref().is_some_and(|bip9| bip9.status() == "started");
    let signalling = m.deployments.iter().filter(signals).count();
    let values = [(table::DEPLOYMENTS_ACTIVE, Some(active as f64)), (table::DEPLOYMENTS_SIGNALLING, Some(signalling as f64))];
    set(&mut node.cells, values);
}

pub fn indexes(node: &mut Node, m: &StateIndexes) {
    table::INDEX_SYNCED.fill(&mut node.cells, f64::NAN);
    table::INDEX_HEIGHT.fill(&mut node.cells, f64::NAN);
    for index in &m.indexes {
        let name = Index::of(&index.name);
        table::INDEX_SYNCED.set_or_forget(&mut node.cells, (name,), index.synced.map(truth));
        table::INDEX_HEIGHT.set_or_forget(&mut node.cells, (name,), index.best_block_height.map(f64::from));
    }
}

pub fn addrman(node: &mut Node, m: &StateAddrman) {
    table::ADDRMAN.fill(&mut node.cells, f64::NAN);
    for of in &m.networks {
        let network: Network = of.network();
        table::ADDRMAN.set_or_forget(&mut node.cells, (network, Table::New), float(of.new));
        table::ADDRMAN.set_or_forget(&mut node.cells, (network, Table::Tried), float(of.tried));
    }
}

pub fn bans(node: &mut Node, m: &StateBans) {
    table::BANS.set(&mut node.cells, (), m.bans.len() as f64);
}

pub fn uptime(node: &mut Node, m: &StateUptime) {
    table::NODE_UPTIME.set(&mut node.cells, (), m.seconds as f64);
}

pub fn fetched(node: &mut Node, m: &StateFetched) {
    let method = Method::of(&m.method);
    table::CALLS.add(&mut node.cells, (method, m.outcome()), 1);
    table::CALL_BYTES.add(&mut node.cells, (method,), m.bytes);
    if m.outcome() == FetchOutcome::Ok {
        table::CALL_DURATIONS.observe(&mut node.cells, (method,), seconds(m.duration));
    } else if let Some(kind) = kind(method) {
        // what the node said before is not known to be true any more
        node.forget_kind(kind);
    }
}

/// What a method's answer becomes.
fn kind(method: Method) -> Option<KindId> {
    Some(match method {
        Method::Peers => KindId::StatePeers,
        Method::NetTotals => KindId::StateNetTotals,
        Method::Mempool => KindId::StateMempool,
        Method::Blockchain => KindId::StateBlockchain,
        Method::NetworkInfo => KindId::StateNetwork,
        Method::Uptime => KindId::StateUptime,
        Method::Orphans => KindId::StateOrphans,
        Method::Addrman => KindId::StateAddrman,
        Method::Fees => KindId::StateFeeEstimates,
        Method::Memory => KindId::StateMemory,
        Method::Bans => KindId::StateBans,
        Method::Indexes => KindId::StateIndexes,
        Method::ChainTxStats => KindId::StateChainTxStats,
        Method::Deployments => KindId::StateDeployments,
        Method::ChainTips => KindId::StateChainTips,
        Method::AddrmanRaw => KindId::StateAddrmanRaw,
        Method::Other => return None,
    })
}
