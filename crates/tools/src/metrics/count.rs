//! What each kind of event does to the numbers: one small function per kind that does anything.

mod chain;
mod conn;
pub mod finding;
mod gossip;
mod health;
pub mod incident;
mod inventory;
mod log;
mod mempool;
mod net;
mod peers;
mod probe;
mod process;
mod state;

use event::{Event, Kind};

use super::blocks::Signs;
use super::lists::Lists;
use super::node::Node;

/// What an event is counted with besides its node.
pub struct Around<'a> {
    /// The operator's lists of addresses.
    pub lists: &'a Lists,
    /// What happened first on any node.
    pub firsts: &'a mut Firsts,
    /// Whether there is more than one node to compare.
    pub several: bool,
    /// Set where there was no room to follow something.
    pub crowded: bool,
}

/// When something was first seen on any node.
#[derive(Debug, Default)]
pub struct Firsts {
    /// Blocks that were connected.
    pub blocks: Signs,
    /// Transactions that entered a mempool.
    pub transactions: Signs,
}

/// Counts an event whose source is the primary witness of its kind. There is no wildcard: who adds a kind decides what it counts.
pub fn count(node: &mut Node, around: &mut Around<'_>, event: &Event, kind: &Kind) {
    let time = event.time;
    if let (Some(message), false) = (kind.net(), matches!(kind, Kind::NetMessage(_))) {
        net::message(node, around.lists, kind, &message);
    }
    match kind {
        Kind::NetVersion(m) => net::version(node, m),
        Kind::NetFeefilter(m) => net::feefilter(node, m),
        Kind::NetPing(m) => net::ping(node, time, m),
        Kind::NetReject(m) => net::reject(node, m),
        Kind::NetUndecodable(m) => net::undecodable(node, m),
        Kind::NetAddr(m) => gossip::addr(node, time, m),
        Kind::NetAddrv2(m) => gossip::addrv2(node, time, m),
        Kind::NetInv(m) => inventory::inv(node, time, m),
        Kind::NetGetdata(m) => inventory::getdata(node, m),
        Kind::NetNotfound(m) => inventory::notfound(node, m),
        Kind::NetHeaders(m) => net::headers(node, time, m),
        Kind::NetBlock(m) => net::block(node, time, m),
        Kind::NetCmpctblock(m) => net::cmpctblock(node, time, m),
        Kind::NetGetblocktxn(m) => net::getblocktxn(node, m),
        Kind::NetBlocktxn(m) => net::blocktxn(node, m),

        Kind::NetMessage(m) => log::message(node, m),

        Kind::ConnOpened(m) => conn::opened(node, around.lists, m),
        Kind::ConnClosed(m) => conn::closed(node, time, m),
        Kind::ConnEvicted(m) => conn::evicted(node, m),
        Kind::ConnMisbehaving(m) => conn::misbehaving(node, m),
        Kind::ConnRefused(m) => conn::refused(node, m),
        Kind::ConnEnded(m) => conn::ended(node, m),
        Kind::ConnMalformed(m) => log::malformed(node, m),
        Kind::ConnOutbound(m) => log::outbound(node, m),
        Kind::ConnAddrman(m) => log::addrman(node, m),

        Kind::MempoolAdded(m) => mempool::added(node, around, time, m),
        Kind::MempoolRemoved(m) => mempool::removed(node, time, m),
        Kind::MempoolReplaced(m) => mempool::replaced(node, m),
        Kind::MempoolRejected(m) => mempool::rejected(node, m),
        Kind::MempoolRefused(m) => mempool::refused(node, m),
        Kind::MempoolOverdue(_) => log::overdue(node),
        Kind::MempoolOrphan(m) => log::orphan(node, m),
        Kind::MempoolPackage(m) => log::package(node, m),

        Kind::ChainBlockConnected(m) => chain::block_connected(node, around, time, m),
        Kind::ChainCoinsFlushed(m) => chain::coins_flushed(node, m),
        Kind::ChainTip(m) => chain::tip(node, m),
        Kind::ChainBlockDisconnected(_) => log::disconnected(node),
        Kind::ChainBlockChecked(m) => log::checked(node, m),
        Kind::ChainCompactBlock(m) => log::compact_block(node, time, m),
        Kind::ChainReconstructed(m) => log::reconstructed(node, m),
        Kind::ChainHeadersSync(m) => log::headers_sync(node, m),
        Kind::ChainHeadersIgnored(m) => log::headers_ignored(node, m),
        Kind::ChainSync(m) => log::sync(node, m),
        Kind::ChainInvalid(_) => log::invalid(node),
        Kind::ChainTiming(m) => log::timing(node, m),

        Kind::LogRpcRefused(m) => log::rpc_refused(node, m),

        Kind::StateProfile(m) => state::profile(node, m),
        Kind::StatePeers(m) => peers::peers(node, around.lists, m),
        Kind::StateNetTotals(m) => state::net_totals(node, m),
        Kind::StateNetwork(m) => state::network(node, m),
        Kind::StateMempool(m) => state::mempool(node, m),
        Kind::StateOrphans(m) => state::orphans(node, m),
        Kind::StateFeeEstimates(m) => state::fee_estimates(node, m),
        Kind::StateBlockchain(m) => state::blockchain(node, m),
        Kind::StateChainTips(m) => state::chain_tips(node, m),
        Kind::StateChainTxStats(m) => state::chain_tx_stats(node, m),
        Kind::StateDeployments(m) => state::deployments(node, m),
        Kind::StateIndexes(m) => state::indexes(node, m),
        Kind::StateAddrman(m) => state::addrman(node, m),
        Kind::StateAddrmanRaw(m) => super::addrman::count(node, time, m),
        Kind::StateBans(m) => state::bans(node, m),
        Kind::StateMemory(m) => process::locked(node, m),
        Kind::StateUptime(m) => state::uptime(node, m),
        Kind::StateFetched(m) => state::fetched(node, m),
        Kind::StateProcess(m) => process::process(node, m),
        Kind::StateDisk(m) => process::disk(node, m),

        Kind::ProbePing(m) => probe::ping(node, m),
        Kind::ProbeUnanswered(m) => probe::unanswered(node, m),
        Kind::ProbeAnnouncedAddresses(m) => probe::addresses(node, m),
        Kind::ProbeAnnouncedTransactions(m) => probe::transactions(node, m),
        Kind::ProbeAnnouncedBlocks(m) => probe::blocks(node, m),
        Kind::ProbeFeeFilter(m) => probe::fee_filter(node, m),
        Kind::ProbeRefused(m) => probe::refused(node, m),
        Kind::ProbeUndecodable(m) => probe::undecodable(node, m),
        Kind::ProbeAddress(m) => probe::address(node, m),

        Kind::HealthLost(m) => health::lost(node, m),
        Kind::HealthAttached(m) => health::attached(node, event.source(), m),
        Kind::HealthDetached(_) => health::detached(node, event.source()),
        Kind::HealthReconciled(_) => health::reconciled(node),
        Kind::HealthDiverged(m) => health::diverged(node, m),
        Kind::HealthJoined(m) => health::joined(node, event.run, m),
        Kind::HealthShipped(m) => health::shipped(node, m),

        Kind::HealthParser(m) => log::parser(node, event.run, m),
        Kind::HealthPatternSilent(_) => log::pattern_silent(node),
        Kind::HealthTemplate(_) => log::template(node),
        Kind::HealthLogGap(m) => log::gap(node, m),
        Kind::HealthLogFile(m) => log::file(node, m),

        // by type, direction and size, above; by kind, where events are counted; or, the beat, by who lives
        Kind::NetVerack(_)
        | Kind::NetWtxidrelay(_)
        | Kind::NetSendaddrv2(_)
        | Kind::NetSendtxrcncl(_)
        | Kind::NetFeature(_)
        | Kind::NetSendheaders(_)
        | Kind::NetSendcmpct(_)
        | Kind::NetPong(_)
        | Kind::NetGetaddr(_)
        | Kind::NetGetblocks(_)
        | Kind::NetGetheaders(_)
        | Kind::NetTx(_)
        | Kind::NetMempool(_)
        | Kind::NetMerkleblock(_)
        | Kind::NetFilterload(_)
        | Kind::NetFilteradd(_)
        | Kind::NetFilterclear(_)
        | Kind::NetGetcfilters(_)
        | Kind::NetCfilter(_)
        | Kind::NetGetcfheaders(_)
        | Kind::NetCfheaders(_)
        | Kind::NetGetcfcheckpt(_)
        | Kind::NetCfcheckpt(_)
        | Kind::NetAlert(_)
        // `conn.ended` has it, with the rest
        | Kind::ConnClosing(_)
        // by kind: these tell of single peers, blocks and transactions, which are no words of a label
        | Kind::ConnAccepted(_)
        | Kind::ConnAsked(_)
        | Kind::ConnReady(_)
        | Kind::ConnVersion(_)
        | Kind::ConnStep(_)
        | Kind::ConnSpared(_)
        | Kind::ConnOwnAddress(_)
        | Kind::ConnServiceTrouble(_)
        | Kind::ConnAddresses(_)
        | Kind::ConnTimeOffset(_)
        | Kind::MempoolAnnounced(_)
        | Kind::MempoolRequested(_)
        | Kind::MempoolAccepted(_)
        | Kind::MempoolConfirmed(_)
        | Kind::MempoolTrimmed(_)
        | Kind::MempoolFeeFilter(_)
        | Kind::ChainHeader(_)
        | Kind::ChainBlockReceived(_)
        | Kind::ChainBlockRequested(_)
        | Kind::ChainCompactMissing(_)
        | Kind::ChainCompactServed(_)
        | Kind::ChainCompactSent(_)
        | Kind::ChainBlockAnnounced(_)
        | Kind::ChainSignal(_)
        | Kind::LogLine(_)
        | Kind::LogLife(_)
        | Kind::HealthArchived(_)
        | Kind::HealthBeat(_) => {}
        Kind::IncidentOpened(_)
        | Kind::IncidentChanged(_)
        | Kind::IncidentNoted(_)
        | Kind::IncidentAcknowledged(_)
        | Kind::IncidentResolved(_)
        | Kind::IncidentReopened(_)
        | Kind::IncidentKept(_) => incident::said(node, kind),
        Kind::IncidentDelivered(delivered) => incident::delivered(node, delivered),
        Kind::FindingOpened(_) | Kind::FindingUpdated(_) | Kind::FindingCleared(_) | Kind::FindingExpired(_) => {
            around.crowded |= !finding::said(node, kind, event.run, detect::finding::of(event));
        }
    }
}

/// Satoshi per 1000 virtual bytes as satoshi per virtual byte.
fn per_vbyte(feerate: i64) -> f64 {
    feerate as f64 / 1000.0
}

/// A truth as a gauge.
fn truth(value: bool) -> f64 {
    f64::from(u8::from(value))
}
