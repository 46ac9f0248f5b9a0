//! The metrics: one row each.
//!
//! A row is `HANDLE: type<labels> = "name" from kinds`, under its help. The page, `docs/metrics.md`, and the check of dashboards and rules
//! follow from it. Every series has the label `node` besides those given here, but for the table [`tool`].
//!
//! Names follow Prometheus: base units, `_total` for what only grows, no abbreviations. Fee rates are satoshi per virtual byte.

use event::{
    AddrmanStep, BlockAnnouncement, BlockPart, ChainTipStatus, ConnRefusal, ConnectionType, Direction, EndReason, FeeMode,
    FetchOutcome, HeadersIgnored, HeadersSyncStep, IncidentState, InventoryType, KindId, KindId as K, LogFileProblem, LogGapReason,
    LossStage, Malformation, Network, OrphanStep, OutboundStep, RefusalReason, RemovalReason, RpcRefusal, Severity, Source,
    SyncStep, Transport, UndecodableReason, VisitResult,
};

use super::bucket::{Addresses, Calls, Claims, Delays, Durations, Entries, Feerates, Lacking, Lifetimes, PingIntervals, Stays};
use super::cells::{Counter, Gauge, Histogram, Reported, metrics};
use super::label::{Architecture, Chain, List, Message, System, Version, labels};
use super::vocabulary::{
    Category, Check, Client, Detector, Index, Method, Misbehaviour, Nonce, Port, Protocol, Receiver, RejectCode, Rejection,
    Service, Thread,
};

labels! {
    /// Which way a claimed time is wrong.
    When as "when" { Past = "past", Future = "future", }

    /// Messages that carry addresses.
    Gossip as "message" { Addr = "addr", Addrv2 = "addrv2", }

    /// Messages that carry inventory.
    Entry as "message" { Inv = "inv", Getdata = "getdata", Notfound = "notfound", }

    /// Entries of one type, or of several.
    Mix as "mix" { Empty = "empty", OneType = "one_type", Several = "several_types", }

    /// A statistic over the peers, or entries, of a moment.
    Statistic as "statistic" {
        Minimum = "minimum", Median = "median", Mean = "mean", P90 = "percentile_90", Maximum = "maximum",
    }

    /// What brought a block together.
    Outcome as "outcome" {
        /// From the compact block and the mempool alone.
        Mempool = "mempool",
        /// Transactions had to be asked for.
        Requested = "requested",
        /// The whole block was fetched after all.
        Whole = "whole_block",
        /// No compact block came before it.
        NotCompact = "not_compact",
    }

    /// How a compact block came.
    Bandwidth as "bandwidth" {
        /// Without being asked for.
        High = "high",
        /// Asked for.
        Low = "low",
    }

    /// Where the transactions of a block came from.
    Origin as "from" { Prefilled = "prefilled", Mempool = "mempool", Extra = "extra_pool", Requested = "requested", }

    /// Whether something was taken.
    Verdict as "verdict" { Accepted = "accepted", Rejected = "rejected", }

    /// Whether a line states a fact that is known.
    Matched as "matched" { Yes = "yes", No = "no", }

    /// Who chose whom for compact blocks without asking.
    Chosen as "chosen_by" { Node = "node", Peer = "peer", }

    /// Which way a clock is wrong.
    Clock as "clock" { Ahead = "ahead", Behind = "behind", }

    /// The tables of the address manager.
    Table as "table" { New = "new", Tried = "tried", }

    /// What happened to an entry between two dumps of the address manager.
    Change as "change" { Added = "added", Replaced = "replaced", Removed = "removed", Services = "services", Time = "time", }

    /// How much a peer asks for by its fee filter.
    FeeFilter as "filter" {
        /// Everything.
        Zero = "none",
        Below1 = "below_1_sat_per_vbyte", At1 = "1_sat_per_vbyte", Above1 = "above_1_sat_per_vbyte",
        /// More than anybody pays: it wants no transactions.
        Everything = "everything",
    }

    /// Blocks to confirm in.
    Target as "target" { Blocks1 = "1", Blocks6 = "6", Blocks144 = "144", Other = "other", }

    /// A kind of CPU time.
    Mode as "mode" { User = "user", System = "system", Waiting = "waiting", }

    /// A pool of memory that may not be swapped out.
    Locked as "state" { Used = "used", Free = "free", Total = "total", Locked = "locked", }

    /// How the join of two witnesses ended.
    Join as "outcome" {
        Joined = "joined", Single = "single", Late = "late", Contradicting = "contradicting", Forgotten = "forgotten",
    }

    /// What a join makes.
    Joined as "kind" { ConnEnded = "conn.ended", MempoolRefused = "mempool.refused", Other = "other", }

    /// Whether it is known who sent something.
    Sender as "sender" { Known = "known", Unknown = "unknown", }

    /// Whether an answer counted, or was thrown away.
    Fate as "fate" { Processed = "processed", RateLimited = "rate_limited", }

    /// What may be missing from an upload limit.
    Upload as "state" { Target = "target", Left = "left", }
}

/// Every P2P message.
const NET: &[KindId] = {
    const COUNT: usize = KindId::NetUndecodable.index() + 1;
    const KINDS: [KindId; COUNT] = {
        let mut kinds = [KindId::NetUndecodable; COUNT];
        let mut at = 0;
        while at < COUNT {
            kinds[at] = KindId::ALL[at];
            at += 1;
        }
        kinds
    };
    &KINDS
};
const GOSSIP: &[KindId] = &[K::NetAddr, K::NetAddrv2];
const INVENTORY: &[KindId] = &[K::NetInv, K::NetGetdata, K::NetNotfound];
const COMPACT: &[KindId] = &[K::NetCmpctblock, K::NetGetblocktxn, K::NetGetdata, K::ChainBlockConnected];
const FINDING: &[KindId] = &[K::FindingOpened, K::FindingUpdated, K::FindingCleared, K::FindingExpired];
const INCIDENT: &[KindId] = &[
    K::IncidentOpened,
    K::IncidentChanged,
    K::IncidentNoted,
    K::IncidentAcknowledged,
    K::IncidentResolved,
    K::IncidentReopened,
    K::IncidentKept,
];
const ALL: &[KindId] = &KindId::ALL;

metrics! {
    // the observer
    /// Events that were counted, by who stated them.
    EVENTS: Counter<(Source, KindId)> = "events_total" from ALL;
    /// Events that were lost before they reached this program, by where.
    EVENTS_LOST: Counter<(LossStage,)> = "events_lost_total" from &[K::HealthLost];
    /// Whether a source watches its node: 1, or 0 while it says that it has none. Absent while it is silent.
    SOURCE_UP: Gauge<(Source,)> = "source_up" from &[K::HealthBeat, K::HealthAttached, K::HealthDetached];
    /// When a source last said that it is alive, by the event's time. Gone after a day without a word.
    SOURCE_BEAT: Gauge<(Source,)> = "source_last_beat_timestamp_seconds" from &[K::HealthBeat];
    /// When a source last stated anything of its node, by the event's time.
    SOURCE_EVENT: Gauge<(Source,)> = "source_last_event_timestamp_seconds" from ALL;
    /// How far publishing is behind what happens: age of the youngest event when it was published.
    SOURCE_LAG: Gauge<(Source,)> = "source_lag_seconds" from &[K::HealthBeat];
    /// Probes, methods or categories that a source uses.
    SOURCE_ATTACHED: Gauge<(Source,)> = "source_attached" from &[K::HealthAttached];
    /// Those that this release knows and the node does not offer.
    SOURCE_MISSING: Gauge<(Source,)> = "source_missing" from &[K::HealthAttached];
    /// How often a source lost its node.
    SOURCE_DETACHED: Counter<(Source,)> = "source_detached_total" from &[K::HealthDetached];
    /// Windows in which what the probes saw agreed with the node's own counters.
    RECONCILED: Counter<()> = "reconciled_total" from &[K::HealthReconciled];
    /// Windows and message types in which it did not: something is lost without being counted.
    DIVERGED: Counter<(Message, Direction)> = "diverged_total" from &[K::HealthDiverged];
    /// Facts of several witnesses, by how their join ended.
    JOINED: Counter<(Joined, Join)> = "joined_total" from &[K::HealthJoined];
    /// What detectors hold to be the case now, by the worst that it was.
    FINDINGS: Gauge<(Detector, Severity)> = "findings_active" from FINDING;
    /// Findings that were opened, by how bad they were then.
    FINDINGS_OPENED: Counter<(Detector, Severity)> = "findings_opened_total" from &[K::FindingOpened];
    /// Incidents that are not resolved, of the whole fleet; `node` is `_fleet`.
    INCIDENTS: Gauge<(IncidentState, Severity)> = "incidents_active" from INCIDENT;
    /// Incidents that were opened, or opened again, by how bad they were then.
    INCIDENTS_OPENED: Counter<(Severity,)> = "incidents_opened_total" from &[K::IncidentOpened, K::IncidentReopened];
    /// Messages about incidents that receivers took, since the program started.
    INCIDENT_MESSAGES: Gauge<(Receiver,)> = "incident_messages_delivered" from &[K::IncidentDelivered];
    /// Attempts to deliver one that failed.
    INCIDENT_MESSAGES_FAILED: Gauge<(Receiver,)> = "incident_messages_failures" from &[K::IncidentDelivered];
    /// Messages that no receiver will get: refused, or given up because too many waited.
    INCIDENT_MESSAGES_LOST: Gauge<(Receiver,)> = "incident_messages_lost" from &[K::IncidentDelivered];
    /// Messages that wait.
    INCIDENT_MESSAGES_WAITING: Gauge<(Receiver,)> = "incident_messages_waiting" from &[K::IncidentDelivered];
    /// When a receiver last took something; of several of a kind, the one that is worst off.
    INCIDENT_MESSAGES_SUCCESS: Gauge<(Receiver,)> = "incident_messages_last_success_timestamp_seconds" from &[K::IncidentDelivered];
    /// When everything that was finished here was last in another place, too.
    SHIP_SUCCESS: Gauge<()> = "ship_last_success_timestamp_seconds" from &[K::HealthShipped];
    /// Bytes that are finished here, and not there yet.
    SHIP_WAITING: Gauge<()> = "ship_waiting_bytes" from &[K::HealthShipped];
    /// Attempts to ship that failed since the program that ships started.
    SHIP_FAILURES: Gauge<()> = "ship_failures" from &[K::HealthShipped];

    // the node
    /// What the node is; the value is always 1.
    NODE_INFO: Gauge<(Version, Chain, Architecture)> = "node_info" from &[K::StateProfile, K::StateNetwork, K::StateBlockchain];
    /// When the node's process was started.
    NODE_START: Gauge<()> = "node_start_time_seconds" from ALL;
    /// For how long the node has run, as it says.
    NODE_UPTIME: Gauge<()> = "node_uptime_seconds" from &[K::StateUptime];
    /// How often another process of the node was seen than before.
    NODE_RESTARTS: Counter<()> = "node_restarts_total" from ALL;
    /// Whether the node deletes old blocks.
    NODE_PRUNED: Gauge<()> = "node_pruned" from &[K::StateProfile];
    /// Whether the node takes no part in transaction relay.
    NODE_BLOCKSONLY: Gauge<()> = "node_blocksonly" from &[K::StateProfile];

    // messages
    /// P2P messages, by type; types that this release does not know are `other`.
    MESSAGES: Counter<(Message, Direction, ConnectionType)> = "messages_total" from NET;
    /// Their payload, without headers and encryption.
    MESSAGE_BYTES: Counter<(Message, Direction, ConnectionType)> = "message_bytes_total" from NET;
    /// P2P messages by type, as debug.log has them (`-debug=net`): for nodes without probes.
    LOGGED_MESSAGES: Counter<(Message, Direction)> = "logged_messages_total" from &[K::NetMessage];
    /// Their payload.
    LOGGED_BYTES: Counter<(Message, Direction)> = "logged_message_bytes_total" from &[K::NetMessage];
    /// Messages that were kept as bytes, because decoding would have lost something.
    UNDECODABLE: Counter<(UndecodableReason, Direction)> = "undecodable_messages_total" from &[K::NetUndecodable];
    /// Messages of peers whose address is on one of the operator's lists.
    LIST_MESSAGES: Counter<(List, Message, Direction)> = "list_messages_total" from NET;
    /// Payload of the messages of peers on a list.
    LIST_MESSAGE_BYTES: Counter<(List, Message, Direction)> = "list_message_bytes_total" from NET;

    // addresses
    /// Addresses per message (`addr` and `addrv2`). What a node answers to `getaddr` is up to 1,000 at a time.
    ADDRESSES_PER_MESSAGE: Histogram<(Gossip, Direction), Addresses> = "gossip_message_addresses" from GOSSIP;
    /// Addresses in gossip, by their network.
    ADDRESSES: Counter<(Network, Direction)> = "gossip_addresses_total" from GOSSIP;
    /// Service bits set in gossip. Bits without a meaning show made-up addresses.
    ADDRESS_SERVICES: Counter<(Service, Direction)> = "gossip_services_total" from GOSSIP;
    /// How far the claimed times of addresses are from the event's.
    ADDRESS_CLAIMS: Histogram<(When, Direction), Claims> = "gossip_address_time_offset_seconds" from GOSSIP;
    /// Addresses that are the sender's own.
    SELF_ANNOUNCEMENTS: Counter<(Network, Direction)> = "gossip_self_announcements_total" from GOSSIP;
    /// Addresses in the sender's /24 (IPv4) or /64 (IPv6), other than its own.
    SUBNET_ANNOUNCEMENTS: Counter<(Network, Direction)> = "gossip_subnet_announcements_total" from GOSSIP;
    /// Messages of addresses without any, by the network of the connection.
    EMPTY_GOSSIP: Counter<(Network, Direction)> = "gossip_empty_messages_total" from GOSSIP;

    // handshakes, pings
    /// Peers that said what they are (inbound `version` messages), by the user agent they claim.
    VERSIONS: Counter<(Client, Network)> = "versions_received_total" from &[K::NetVersion];
    /// Peers that said which protocol version they speak.
    PROTOCOLS: Counter<(Protocol,)> = "protocol_versions_received_total" from &[K::NetVersion];
    /// Handshakes that look like a private broadcast of a transaction (Bitcoin Core 31, or who copies it).
    PRIVATE_BROADCASTS: Counter<()> = "private_broadcasts_received_total" from &[K::NetVersion];
    /// Pings received, by the size of the nonce: software has habits.
    PING_NONCES: Counter<(Nonce,)> = "pings_received_total" from &[K::NetPing];
    /// Time since the ping before, of the same peer. Bitcoin Core pings every 120 seconds.
    PING_INTERVALS: Histogram<(), PingIntervals> = "ping_interval_seconds" from &[K::NetPing];
    /// `reject` messages (BIP 61) received.
    REJECTS: Counter<(RejectCode,)> = "rejects_received_total" from &[K::NetReject];

    // inventories, fee filters
    /// Entries of `inv`, `getdata` and `notfound`.
    INVENTORY_ENTRIES: Counter<(Entry, InventoryType, Direction)> = "inventory_entries_total" from INVENTORY;
    /// Entries per `inv`.
    INV_SIZE: Histogram<(Direction,), Entries> = "inv_entries" from &[K::NetInv];
    /// `inv` messages by whether their entries are of one type.
    INV_MIX: Counter<(Mix, Direction)> = "inv_mix_total" from &[K::NetInv];
    /// `inv` messages to peers with more transactions than the node sends at a time when its queue is short: 70, or 35 before version 29.
    INV_LARGE: Counter<()> = "inv_large_total" from &[K::NetInv, K::StateNetwork, K::StateProfile];
    /// Queue of transactions to announce that an `inv` to a peer proves, at least: 200 per entry above 70 (version 29 and newer). The longest of
    /// the last 15 seconds.
    INV_BACKLOG: Gauge<()> = "inv_backlog_proven" from &[K::NetInv];
    /// Fee filters, in satoshi per virtual byte.
    FEE_FILTERS: Histogram<(Direction,), Feerates> = "fee_filter_satoshis_per_vbyte" from &[K::NetFeefilter];
    /// The fee filter that the node sent last, satoshi per virtual byte.
    FEE_FILTER_SENT: Gauge<()> = "fee_filter_sent_satoshis_per_vbyte" from &[K::NetFeefilter];

    // connections
    /// Connections that were opened.
    OPENED: Counter<(ConnectionType, Network)> = "connections_opened_total" from &[K::ConnOpened];
    /// Connections that ended.
    CLOSED: Counter<(ConnectionType, Network)> = "connections_closed_total" from &[K::ConnClosed];
    /// How long connections lived that ended.
    LIFETIMES: Histogram<(ConnectionType,), Lifetimes> = "connection_lifetime_seconds" from &[K::ConnClosed];
    /// Connections, as the probes count them.
    CONNECTIONS: Gauge<(Direction,)> = "connections" from &[K::ConnOpened, K::ConnClosed];
    /// Inbound peers that had to make room for another.
    EVICTED: Counter<(Network,)> = "connections_evicted_total" from &[K::ConnEvicted];
    /// Rules broken by peers.
    MISBEHAVED: Counter<(Misbehaviour,)> = "misbehaviours_total" from &[K::ConnMisbehaving];
    /// Inbound connections that were turned away before they became peers.
    REFUSED: Counter<(ConnRefusal,)> = "connections_refused_total" from &[K::ConnRefused];
    /// Connections that ended, by why.
    ENDED: Counter<(EndReason, ConnectionType)> = "connections_ended_total" from &[K::ConnEnded];
    /// What the node could make nothing of: most of it never becomes a message. debug.log only.
    MALFORMED: Counter<(Malformation,)> = "malformed_total" from &[K::ConnMalformed];
    /// What the node does to find peers. debug.log only. `stale_tip`: no block for long.
    OUTBOUND: Counter<(OutboundStep,)> = "outbound_steps_total" from &[K::ConnOutbound];
    /// What happens to entries of the address manager. debug.log only.
    ADDRMAN_STEPS: Counter<(AddrmanStep,)> = "addrman_steps_total" from &[K::ConnAddrman];
    /// Connections opened by, or to, addresses on a list.
    LIST_OPENED: Counter<(List, ConnectionType)> = "list_connections_opened_total" from &[K::ConnOpened];

    // mempool
    /// Transactions that entered the mempool.
    MEMPOOL_ADDED: Counter<()> = "mempool_added_total" from &[K::MempoolAdded];
    /// Their virtual bytes.
    MEMPOOL_ADDED_SIZE: Counter<()> = "mempool_added_vbytes_total" from &[K::MempoolAdded];
    /// Their fee rates, satoshi per virtual byte.
    MEMPOOL_ADDED_FEERATES: Histogram<(), Feerates> = "mempool_added_satoshis_per_vbyte" from &[K::MempoolAdded];
    /// Transactions that left the mempool.
    MEMPOOL_REMOVED: Counter<(RemovalReason,)> = "mempool_removed_total" from &[K::MempoolRemoved];
    /// Their virtual bytes.
    MEMPOOL_REMOVED_SIZE: Counter<(RemovalReason,)> = "mempool_removed_vbytes_total" from &[K::MempoolRemoved];
    /// How long transactions stayed that a block confirmed.
    MEMPOOL_STAYS: Histogram<(), Stays> = "mempool_confirmed_after_seconds" from &[K::MempoolRemoved];
    /// Transactions that were replaced.
    MEMPOOL_REPLACED: Counter<()> = "mempool_replaced_total" from &[K::MempoolReplaced];
    /// Their virtual bytes.
    MEMPOOL_REPLACED_SIZE: Counter<()> = "mempool_replaced_vbytes_total" from &[K::MempoolReplaced];
    /// Transactions that were not accepted, by why.
    MEMPOOL_REJECTED: Counter<(Rejection,)> = "mempool_rejected_total" from &[K::MempoolRejected];
    /// Transactions that were not accepted, by whether it is known who sent them.
    MEMPOOL_REFUSED: Counter<(Rejection, Sender)> = "mempool_refused_total" from &[K::MempoolRefused];
    /// Transactions that a peer announced and did not send within a minute. debug.log only, as what follows.
    MEMPOOL_OVERDUE: Counter<()> = "mempool_overdue_total" from &[K::MempoolOverdue];
    /// Transactions whose parents were missing, by what became of them.
    ORPHAN_STEPS: Counter<(OrphanStep,)> = "orphan_steps_total" from &[K::MempoolOrphan];
    /// Parents and children that were tried together.
    PACKAGES: Counter<(Verdict,)> = "mempool_packages_total" from &[K::MempoolPackage];
    /// How much later a transaction entered this node's mempool than the first one's that this program hears of.
    TRANSACTION_DELAYS: Histogram<(), Delays> = "mempool_added_after_first_node_seconds" from &[K::MempoolAdded];

    // blocks
    /// Blocks connected to the chain state.
    BLOCKS: Counter<()> = "blocks_connected_total" from &[K::ChainBlockConnected];
    /// How long connecting a block took.
    BLOCK_DURATIONS: Histogram<(), Durations> = "block_connect_seconds" from &[K::ChainBlockConnected];
    /// Transactions of connected blocks.
    BLOCK_TRANSACTIONS: Counter<()> = "block_transactions_total" from &[K::ChainBlockConnected];
    /// Inputs of connected blocks.
    BLOCK_INPUTS: Counter<()> = "block_inputs_total" from &[K::ChainBlockConnected];
    /// Signature operations of connected blocks, legacy ones times four.
    BLOCK_SIGOPS: Counter<()> = "block_sigop_cost_total" from &[K::ChainBlockConnected];
    /// Height of the block that was connected last.
    LAST_BLOCK_HEIGHT: Gauge<()> = "last_block_height" from &[K::ChainBlockConnected];
    /// When it was connected.
    LAST_BLOCK_TIME: Gauge<()> = "last_block_timestamp_seconds" from &[K::ChainBlockConnected];
    /// How long that took.
    LAST_BLOCK_DURATION: Gauge<()> = "last_block_connect_seconds" from &[K::ChainBlockConnected];
    /// Transactions in it.
    LAST_BLOCK_TRANSACTIONS: Gauge<()> = "last_block_transactions" from &[K::ChainBlockConnected];
    /// Inputs in it.
    LAST_BLOCK_INPUTS: Gauge<()> = "last_block_inputs" from &[K::ChainBlockConnected];
    /// Signature operations in it, legacy ones times four.
    LAST_BLOCK_SIGOPS: Gauge<()> = "last_block_sigop_cost" from &[K::ChainBlockConnected];
    /// Connected blocks by how their transactions came together: each block once, however many peers announced it.
    RECONSTRUCTED: Counter<(Outcome,)> = "compact_blocks_total" from COMPACT;
    /// Compact blocks received, by whether they were asked for.
    COMPACT_RECEIVED: Counter<(Bandwidth,)> = "compact_blocks_received_total" from &[K::NetCmpctblock, K::NetGetdata];
    /// Transactions that a compact block lacked, per request.
    COMPACT_LACKING: Histogram<(), Lacking> = "compact_block_requested_transactions" from &[K::NetGetblocktxn];
    /// Bytes of transactions that were sent after a compact block.
    COMPACT_REQUESTED_BYTES: Counter<()> = "compact_block_requested_bytes_total" from &[K::NetBlocktxn];
    /// From the first compact block to the connected block.
    COMPACT_DURATIONS: Histogram<(), Durations> = "compact_block_to_connected_seconds" from COMPACT;
    /// From the first sign of a block (header, compact block, `inv`) to the connected block.
    ANNOUNCED_DURATIONS: Histogram<(), Delays> = "block_announced_to_connected_seconds"
        from &[K::NetHeaders, K::NetCmpctblock, K::NetInv, K::NetBlock, K::ChainBlockConnected];
    /// How much later this node connected a block than the first one that this program hears of.
    BLOCK_DELAYS: Histogram<(), Delays> = "block_connected_after_first_node_seconds" from &[K::ChainBlockConnected];
    /// Height of the node's best block.
    TIP_HEIGHT: Gauge<()> = "tip_height" from &[K::ChainTip];
    /// How often the best block became another one.
    TIPS: Counter<()> = "tip_changes_total" from &[K::ChainTip];
    /// Blocks that were put together from compact ones, as debug.log has it.
    REBUILT: Counter<()> = "compact_blocks_rebuilt_total" from &[K::ChainReconstructed];
    /// Their transactions, by where they came from. Those of the extra pool are among those of the mempool, too.
    REBUILT_FROM: Counter<(Origin,)> = "compact_blocks_rebuilt_transactions_total" from &[K::ChainReconstructed];
    /// Bytes of the transactions that were asked for. Bitcoin Core 30 and newer.
    REBUILT_BYTES: Counter<()> = "compact_blocks_rebuilt_requested_bytes_total" from &[K::ChainReconstructed];
    /// How long looking for a compact block's transactions took. Bitcoin Core 30 and newer.
    MATCHING: Histogram<(), Durations> = "compact_block_matching_seconds" from &[K::ChainCompactBlock];
    /// Blocks that were checked, by the result.
    CHECKED: Counter<(Check,)> = "blocks_checked_total" from &[K::ChainBlockChecked];
    /// Blocks that were taken off the chain.
    DISCONNECTED: Counter<()> = "blocks_disconnected_total" from &[K::ChainBlockDisconnected];
    /// Lines about invalid blocks and chains; several may be about one.
    INVALID: Counter<()> = "chain_invalid_lines_total" from &[K::ChainInvalid];
    /// Headers that lead nowhere.
    HEADERS_IGNORED: Counter<(HeadersIgnored,)> = "headers_ignored_total" from &[K::ChainHeadersIgnored];
    /// First downloads of headers from a peer, by step.
    HEADERS_SYNC: Counter<(HeadersSyncStep,)> = "headers_sync_total" from &[K::ChainHeadersSync];
    /// The download of the chain, by step: stalls first of all.
    SYNC: Counter<(SyncStep,)> = "chain_sync_total" from &[K::ChainSync];
    /// How long the parts of connecting a block took (`-debug=bench`).
    PARTS: Histogram<(BlockPart,), Durations> = "block_part_seconds" from &[K::ChainTiming];
    /// How long writing the coin cache took.
    FLUSH_DURATIONS: Histogram<(), Durations> = "coins_flush_seconds" from &[K::ChainCoinsFlushed];
    /// Memory of the coin cache before it was written last.
    FLUSHED_BYTES: Gauge<()> = "coins_flushed_bytes" from &[K::ChainCoinsFlushed];
    /// Coins in the cache before it was written last.
    FLUSHED_COINS: Gauge<()> = "coins_flushed" from &[K::ChainCoinsFlushed];

    // peers, as the node lists them
    /// Peers connected now.
    PEERS: Gauge<(ConnectionType, Network)> = "peers" from &[K::StatePeers];
    /// Peers by how their connection is encrypted.
    PEERS_TRANSPORT: Gauge<(Transport,)> = "peers_by_transport" from &[K::StatePeers];
    /// Peers by the protocol version they speak; those before the handshake are left out.
    PEERS_PROTOCOL: Gauge<(Protocol,)> = "peers_by_protocol_version" from &[K::StatePeers];
    /// Peers by the user agent they claim.
    PEERS_CLIENT: Gauge<(Client,)> = "peers_by_client" from &[K::StatePeers];
    /// Peers that send, or get, compact blocks without asking.
    PEERS_HIGH_BANDWIDTH: Gauge<(Chosen,)> = "peers_high_bandwidth" from &[K::StatePeers];
    /// Peers with whom addresses are relayed.
    PEERS_ADDRESS_RELAY: Gauge<()> = "peers_address_relay" from &[K::StatePeers];
    /// Peers with whom transactions are relayed.
    PEERS_TRANSACTION_RELAY: Gauge<()> = "peers_transaction_relay" from &[K::StatePeers];
    /// Peers of whom addresses were thrown away for exceeding their rate.
    PEERS_RATE_LIMITED: Gauge<()> = "peers_address_rate_limited" from &[K::StatePeers];
    /// Addresses that came from peers, by whether the node looked at them; as far as two looks at the same peer show it.
    PEER_ADDRESSES: Counter<(Fate,)> = "peer_addresses_total" from &[K::StatePeers];
    /// Peers whose clock is more than 10 seconds off.
    PEERS_CLOCK: Gauge<(Clock,)> = "peers_clock_off" from &[K::StatePeers];
    /// Peers that owe the node a block.
    PEERS_INFLIGHT: Gauge<()> = "peers_block_in_flight" from &[K::StatePeers];
    /// Different blocks that the node waits for.
    HEIGHTS_INFLIGHT: Gauge<()> = "blocks_in_flight" from &[K::StatePeers];
    /// Peers that have not answered a ping for more than 5 seconds.
    PEERS_SILENT: Gauge<()> = "peers_ping_unanswered" from &[K::StatePeers];
    /// Last ping times of the peers.
    PEER_PINGS: Gauge<(Statistic,)> = "peer_ping_seconds" from &[K::StatePeers];
    /// Shortest ping times of the peers.
    PEER_MINIMUM_PINGS: Gauge<(Statistic,)> = "peer_minimum_ping_seconds" from &[K::StatePeers];
    /// Transactions waiting to be announced to a peer, over the peers that get any. Bitcoin Core 31 and newer.
    PEER_QUEUES: Gauge<(Statistic,)> = "peer_announcement_queue" from &[K::StatePeers];
    /// Transactions waiting to be announced, all peers together. Bitcoin Core 31 and newer.
    PEER_QUEUE_SUM: Gauge<()> = "announcement_queue" from &[K::StatePeers];
    /// Peers by their fee filter.
    PEERS_FEE_FILTER: Gauge<(FeeFilter,)> = "peers_by_fee_filter" from &[K::StatePeers];
    /// Peers that ask for transactions below 1 satoshi per virtual byte, and with whom transactions went over the wire.
    PEERS_BELOW_1: Gauge<()> = "peers_relaying_below_1_satoshi_per_vbyte" from &[K::StatePeers];
    /// Different /16 networks among the inbound IPv4 peers. Few, for their number, show one operator.
    INBOUND_GROUPS: Gauge<()> = "peers_inbound_ipv4_groups" from &[K::StatePeers];
    /// Peers by autonomous system: the 20 largest, and `other`. With `-asmap` only.
    PEERS_SYSTEM: Gauge<(System,)> = "peers_by_autonomous_system" from &[K::StatePeers];
    /// Different autonomous systems among the peers.
    SYSTEMS_SEEN: Gauge<()> = "peers_autonomous_systems" from &[K::StatePeers];
    /// IPv4 and IPv6 peers whose autonomous system is not known.
    PEERS_UNMAPPED: Gauge<()> = "peers_unmapped" from &[K::StatePeers];
    /// Outbound peers in an autonomous system that another outbound peer is in.
    OUTBOUND_SHARED: Gauge<()> = "peers_outbound_sharing_autonomous_system" from &[K::StatePeers];
    /// Peers whose address is on one of the operator's lists.
    PEERS_LIST: Gauge<(List, ConnectionType)> = "list_peers" from &[K::StatePeers];

    // network
    /// Traffic as the node counts it, all messages with headers and encryption.
    TRAFFIC: Reported<(Direction,)> = "network_bytes_total" from &[K::StateNetTotals];
    /// The limit on serving blocks, and what is left of it, per cycle. Absent without a limit.
    UPLOAD: Gauge<(Upload,)> = "upload_limit_bytes" from &[K::StateNetTotals];
    /// Whether the node's networking is switched on.
    NETWORK_ACTIVE: Gauge<()> = "network_active" from &[K::StateNetwork];
    /// Connections, as the node counts them.
    NODE_CONNECTIONS: Gauge<(Direction,)> = "network_connections" from &[K::StateNetwork];
    /// Whether the node can reach a network.
    REACHABLE: Gauge<(Network,)> = "network_reachable" from &[K::StateNetwork];
    /// The floor of relay fees, satoshi per virtual byte.
    RELAY_FEE: Gauge<()> = "network_relay_fee_satoshis_per_vbyte" from &[K::StateNetwork];
    /// By how much a replacement must pay more, satoshi per virtual byte.
    INCREMENTAL_FEE: Gauge<()> = "network_incremental_fee_satoshis_per_vbyte" from &[K::StateNetwork];
    /// Median of the outbound peers' clocks against the node's.
    NODE_CLOCK: Gauge<()> = "network_time_offset_seconds" from &[K::StateNetwork];
    /// Warnings that the node gives about its network.
    NETWORK_WARNINGS: Gauge<()> = "network_warnings" from &[K::StateNetwork];
    /// Addresses that the node believes to be its own.
    LOCAL_ADDRESSES: Gauge<()> = "network_local_addresses" from &[K::StateNetwork];
    /// Bans by the operator.
    BANS: Gauge<()> = "bans" from &[K::StateBans];

    // mempool, as the node describes it
    /// Whether the mempool of the last run was read back.
    POOL_LOADED: Gauge<()> = "mempool_loaded" from &[K::StateMempool];
    /// Transactions in the mempool.
    POOL_TRANSACTIONS: Gauge<()> = "mempool_transactions" from &[K::StateMempool];
    /// Virtual bytes in the mempool.
    POOL_SIZE: Gauge<()> = "mempool_vbytes" from &[K::StateMempool];
    /// Fees in the mempool, satoshi.
    POOL_FEES: Gauge<()> = "mempool_fees_satoshis" from &[K::StateMempool];
    /// Memory that the mempool takes.
    POOL_USAGE: Gauge<()> = "mempool_memory_bytes" from &[K::StateMempool];
    /// Memory that it may take.
    POOL_LIMIT: Gauge<()> = "mempool_memory_limit_bytes" from &[K::StateMempool];
    /// Below this fee rate nothing enters, satoshi per virtual byte.
    POOL_MINIMUM: Gauge<()> = "mempool_minimum_satoshis_per_vbyte" from &[K::StateMempool];
    /// The floor of fee rates, satoshi per virtual byte.
    POOL_RELAY_MINIMUM: Gauge<()> = "mempool_relay_minimum_satoshis_per_vbyte" from &[K::StateMempool];
    /// By how much a replacement must pay more, satoshi per virtual byte.
    POOL_INCREMENT: Gauge<()> = "mempool_incremental_satoshis_per_vbyte" from &[K::StateMempool];
    /// Transactions that no peer has asked for yet, though they are the node's to spread.
    POOL_UNBROADCAST: Gauge<()> = "mempool_unbroadcast" from &[K::StateMempool];
    /// What a transaction should pay to confirm within so many blocks, satoshi per virtual byte.
    FEE_ESTIMATES: Gauge<(Target, FeeMode)> = "fee_estimate_satoshis_per_vbyte" from &[K::StateFeeEstimates];
    /// Transactions whose parents are missing.
    ORPHANS: Gauge<()> = "orphans" from &[K::StateOrphans];
    /// Their bytes.
    ORPHAN_BYTES: Gauge<()> = "orphans_bytes" from &[K::StateOrphans];
    /// Their virtual bytes.
    ORPHAN_SIZE: Gauge<()> = "orphans_vbytes" from &[K::StateOrphans];
    /// Their weight units.
    ORPHAN_WEIGHT: Gauge<()> = "orphans_weight" from &[K::StateOrphans];
    /// Peers that announced an orphan. Absent when there are no orphans.
    ORPHAN_ANNOUNCERS: Gauge<(Statistic,)> = "orphan_announcers" from &[K::StateOrphans];
    /// Orphans that came, as far as two looks show it: those that came and went in between are missing.
    ORPHANS_ADDED: Counter<()> = "orphans_added_total" from &[K::StateOrphans];
    /// Orphans that went, likewise.
    ORPHANS_REMOVED: Counter<()> = "orphans_removed_total" from &[K::StateOrphans];

    // chain, as the node describes it
    /// Height of the best chain that is validated.
    CHAIN_BLOCKS: Gauge<()> = "chain_blocks" from &[K::StateBlockchain];
    /// Height of the best headers.
    CHAIN_HEADERS: Gauge<()> = "chain_headers" from &[K::StateBlockchain];
    /// The best block's own time.
    CHAIN_TIME: Gauge<()> = "chain_tip_timestamp_seconds" from &[K::StateBlockchain];
    /// Difficulty of the best block.
    CHAIN_DIFFICULTY: Gauge<()> = "chain_difficulty" from &[K::StateBlockchain];
    /// Share of the chain that is verified, 0 to 1.
    CHAIN_PROGRESS: Gauge<()> = "chain_verification_ratio" from &[K::StateBlockchain];
    /// Whether the node is still downloading the chain.
    CHAIN_DOWNLOADING: Gauge<()> = "chain_initial_download" from &[K::StateBlockchain];
    /// Bytes of blocks and undo data on disk.
    CHAIN_DISK: Gauge<()> = "chain_disk_bytes" from &[K::StateBlockchain];
    /// First block that a pruned node still has.
    CHAIN_PRUNED: Gauge<()> = "chain_prune_height" from &[K::StateBlockchain];
    /// Bytes that pruning aims at.
    CHAIN_PRUNE_TARGET: Gauge<()> = "chain_prune_target_bytes" from &[K::StateBlockchain];
    /// Warnings that the node gives about the chain.
    CHAIN_WARNINGS: Gauge<()> = "chain_warnings" from &[K::StateBlockchain];
    /// Ends of the tree of blocks.
    CHAIN_TIPS: Gauge<(ChainTipStatus,)> = "chain_tips" from &[K::StateChainTips];
    /// Length of the longest branch that has valid blocks and is not the best chain.
    CHAIN_FORK: Gauge<()> = "chain_longest_fork" from &[K::StateChainTips];
    /// Transactions in the chain, as the node counts them.
    CHAIN_TRANSACTIONS: Gauge<()> = "chain_transactions" from &[K::StateChainTxStats];
    /// Transactions in the last 30 days of blocks.
    CHAIN_WINDOW_TRANSACTIONS: Gauge<()> = "chain_window_transactions" from &[K::StateChainTxStats];
    /// Blocks in that window.
    CHAIN_WINDOW_BLOCKS: Gauge<()> = "chain_window_blocks" from &[K::StateChainTxStats];
    /// Length of that window.
    CHAIN_WINDOW: Gauge<()> = "chain_window_seconds" from &[K::StateChainTxStats];
    /// Changes of consensus whose rules hold for the next block.
    DEPLOYMENTS_ACTIVE: Gauge<()> = "deployments_active" from &[K::StateDeployments];
    /// Changes of consensus that miners signal for now.
    DEPLOYMENTS_SIGNALLING: Gauge<()> = "deployments_signalling" from &[K::StateDeployments];
    /// Whether an index is complete.
    INDEX_SYNCED: Gauge<(Index,)> = "index_synced" from &[K::StateIndexes];
    /// The last block in an index.
    INDEX_HEIGHT: Gauge<(Index,)> = "index_height" from &[K::StateIndexes];

    // address manager
    /// Addresses that the node knows.
    ADDRMAN: Gauge<(Network, Table)> = "addrman_addresses" from &[K::StateAddrman];
    /// Entries by network, of the whole table with its repetitions.
    ADDRMAN_ENTRIES: Gauge<(Network, Table)> = "addrman_entries" from &[K::StateAddrmanRaw];
    /// Entries by port.
    ADDRMAN_PORTS: Gauge<(Port, Table)> = "addrman_entries_by_port" from &[K::StateAddrmanRaw];
    /// Entries by service bits claimed for them.
    ADDRMAN_SERVICES: Gauge<(Service, Table)> = "addrman_entries_by_service" from &[K::StateAddrmanRaw];
    /// Different autonomous systems of the entries. With `-asmap` only.
    ADDRMAN_SYSTEMS: Gauge<(Table,)> = "addrman_autonomous_systems" from &[K::StateAddrmanRaw];
    /// Different sources of the entries.
    ADDRMAN_SOURCES: Gauge<(Table,)> = "addrman_sources" from &[K::StateAddrmanRaw];
    /// Different autonomous systems of the sources. With `-asmap` only.
    ADDRMAN_SOURCE_SYSTEMS: Gauge<(Table,)> = "addrman_source_autonomous_systems" from &[K::StateAddrmanRaw];
    /// How long ago the entries were last seen, as claimed.
    ADDRMAN_AGES: Gauge<(Table, Statistic)> = "addrman_entry_age_seconds" from &[K::StateAddrmanRaw];
    /// Entries last seen more than 30 days ago: the node gives them up.
    ADDRMAN_TERRIBLE: Gauge<(Table,)> = "addrman_terrible_entries" from &[K::StateAddrmanRaw];
    /// Entries last seen more than 10 minutes from now.
    ADDRMAN_FUTURE: Gauge<(Table,)> = "addrman_future_entries" from &[K::StateAddrmanRaw];
    /// Entries that changed between two dumps. The first dump counts none.
    ADDRMAN_CHANGES: Counter<(Table, Change)> = "addrman_changes_total" from &[K::StateAddrmanRaw];

    // RPC
    /// Calls to the node, by how they ended.
    CALLS: Counter<(Method, FetchOutcome)> = "rpc_calls_total" from &[K::StateFetched];
    /// How long answered calls took.
    CALL_DURATIONS: Histogram<(Method,), Calls> = "rpc_call_seconds" from &[K::StateFetched];
    /// Bytes of answers.
    CALL_BYTES: Counter<(Method,)> = "rpc_answer_bytes_total" from &[K::StateFetched];

    /// Calls that the node refused: somebody else's, or a mistake in the observer's configuration.
    CALLS_REFUSED: Counter<(RpcRefusal,)> = "rpc_refused_total" from &[K::LogRpcRefused];

    // debug.log
    /// Lines of debug.log, by whether a pattern matched.
    LOG_LINES: Counter<(Category, Matched)> = "log_lines_total" from &[K::HealthParser];
    /// Templates of unmatched lines that are known.
    LOG_TEMPLATES: Gauge<()> = "log_templates" from &[K::HealthParser];
    /// Unmatched lines of a shape that was not seen before.
    LOG_NEW: Counter<()> = "log_new_templates_total" from &[K::HealthTemplate];
    /// Patterns that used to match and do not any more: facts are missing.
    LOG_SILENT: Counter<()> = "log_silent_patterns_total" from &[K::HealthPatternSilent];
    /// Gaps in debug.log.
    LOG_GAPS: Counter<(LogGapReason,)> = "log_gaps_total" from &[K::HealthLogGap];
    /// Bytes that are missing there, as far as known.
    LOG_GAP_BYTES: Counter<()> = "log_gap_bytes_total" from &[K::HealthLogGap];
    /// Trouble with the file.
    LOG_FILE: Counter<(LogFileProblem,)> = "log_file_problems_total" from &[K::HealthLogFile];

    // the node's process
    /// Memory that may not be swapped out, for keys.
    LOCKED: Gauge<(Locked,)> = "node_locked_memory_bytes" from &[K::StateMemory];
    /// CPU time of the node's process.
    CPU: Reported<(Mode,)> = "node_cpu_seconds_total" from &[K::StateProcess];
    /// CPU time by thread. `b-msghand` near 1 per second is a node that cannot keep up.
    THREAD_CPU: Reported<(Thread, Mode)> = "node_thread_cpu_seconds_total" from &[K::StateProcess];
    /// Threads of the node.
    THREADS: Gauge<()> = "node_threads" from &[K::StateProcess];
    /// Memory of the node in RAM.
    RESIDENT: Gauge<()> = "node_resident_memory_bytes" from &[K::StateProcess];
    /// The most that it ever was.
    RESIDENT_PEAK: Gauge<()> = "node_resident_memory_peak_bytes" from &[K::StateProcess];
    /// Address space of the node.
    VIRTUAL: Gauge<()> = "node_virtual_memory_bytes" from &[K::StateProcess];
    /// Memory of the node in swap.
    SWAPPED: Gauge<()> = "node_swapped_memory_bytes" from &[K::StateProcess];
    /// Page faults that needed the disk.
    FAULTS: Reported<()> = "node_major_page_faults_total" from &[K::StateProcess];
    /// Open files and sockets of the node.
    FILES: Gauge<()> = "node_open_files" from &[K::StateProcess];
    /// How many it may open.
    FILES_LIMIT: Gauge<()> = "node_open_files_limit" from &[K::StateProcess];
    /// Bytes that the node read from disk.
    DISK_READ: Reported<()> = "node_disk_read_bytes_total" from &[K::StateProcess];
    /// Bytes that the node wrote to disk.
    DISK_WRITTEN: Reported<()> = "node_disk_written_bytes_total" from &[K::StateProcess];
    /// Size of the file system that holds the node's data.
    DISK_SIZE: Gauge<()> = "disk_size_bytes" from &[K::StateDisk];
    /// What the node may still write there.
    DISK_AVAILABLE: Gauge<()> = "disk_available_bytes" from &[K::StateDisk];

    // what a peer of the node sees
    /// Pings of our own, through the node's message queue: its backlog.
    PROBE_PINGS: Histogram<(), Durations> = "probe_ping_seconds" from &[K::ProbePing];
    /// The last of them.
    PROBE_PING: Gauge<()> = "probe_last_ping_seconds" from &[K::ProbePing];
    /// For how long the node has not answered our oldest ping; 0 once it did.
    PROBE_WAITING: Gauge<()> = "probe_waiting_seconds" from &[K::ProbePing, K::ProbeUnanswered];
    /// Addresses per message that the node sent us.
    PROBE_ADDRESSES: Histogram<(), Addresses> = "probe_message_addresses" from &[K::ProbeAnnouncedAddresses];
    /// Addresses that the node sent us, by network.
    PROBE_ADDRESS_NETWORKS: Counter<(Network,)> = "probe_addresses_total" from &[K::ProbeAnnouncedAddresses];
    /// Transactions per message that the node announced to us.
    PROBE_TRANSACTIONS: Histogram<(), Entries> = "probe_message_transactions" from &[K::ProbeAnnouncedTransactions];
    /// Blocks that the node announced to us.
    PROBE_BLOCKS: Counter<(BlockAnnouncement,)> = "probe_blocks_total" from &[K::ProbeAnnouncedBlocks];
    /// Fee filters that the node sent us.
    PROBE_FEE_FILTERS: Counter<()> = "probe_fee_filters_total" from &[K::ProbeFeeFilter];
    /// The last of them, satoshi per virtual byte.
    PROBE_FEE_FILTER: Gauge<()> = "probe_fee_filter_satoshis_per_vbyte" from &[K::ProbeFeeFilter];
    /// Connections to the observer that were refused.
    PROBE_REFUSED: Counter<(RefusalReason,)> = "probe_refused_total" from &[K::ProbeRefused];
    /// Announcements of the node that cannot be decoded.
    PROBE_UNDECODABLE: Counter<(UndecodableReason,)> = "probe_undecodable_total" from &[K::ProbeUndecodable];
    /// Visits to addresses that peers advertised to this node, by what became of them. The share of `reachable` is how much of its gossip is there. A
    /// visit counts at each node that heard of the address: a sum over nodes gives what is widely gossiped more weight.
    VISITS: Counter<(Network, VisitResult)> = "probe_visits_total" from &[K::ProbeAddress];
    /// Advertised addresses that found no room to wait for a visit.
    VISITS_PASSED_OVER: Counter<()> = "probe_visits_passed_over_total" from &[K::ProbeAddress];
    /// Handshakes with advertised addresses, from connected until over.
    VISIT_HANDSHAKES: Histogram<(Transport,), Durations> = "probe_visit_handshake_seconds" from &[K::ProbeAddress];
}

/// What has no node: the tool itself.
pub mod tool {
    use super::{Counter, Gauge, Reported, metrics};
    use crate::metrics::label::labels;

    labels! {
        /// Why a message on the bus was no event.
        Unusable as "reason" {
            Undecodable = "undecodable", UnknownKind = "unknown_kind", ForeignSubject = "foreign_subject", Incomplete = "incomplete",
        }

        /// What the choice of a primary witness did.
        Witness as "what" {
            /// Another source became primary.
            Switches = "switches",
            /// Facts not counted, because the primary had fallen silent without a word.
            Uncovered = "uncovered",
            /// Facts so close to a change that they may be counted twice, or not.
            Near = "near",
            /// Events of a source that is no witness of their kind.
            Foreign = "foreign",
            /// Nodes forgotten, because there were too many.
            Forgotten = "forgotten",
        }
    }

    metrics! {
        /// Nodes that were heard of.
        NODES: Gauge<()> = "nodes" from &[];
        /// Events that this tool's own subscription missed.
        MISSED: Counter<()> = "metrics_missed_events_total" from &[];
        /// Messages on the bus that were no events that this release can use.
        UNUSABLE: Counter<(Unusable,)> = "metrics_unusable_messages_total" from &[];
        /// Events that were not counted because their node has no proper name, or there are too many nodes.
        STRAYS: Counter<()> = "metrics_stray_events_total" from &[];
        /// Statements about findings that could not be followed because too many last; they are not among those that are active.
        CROWDED: Counter<()> = "metrics_findings_not_followed_total" from &[];
        /// Events that were not counted because another source is the primary witness of their kind.
        SECONDARY: Counter<()> = "metrics_secondary_events_total" from &[];
        /// What the choice between witnesses did: changes of the primary source, and where counts are not sure because of one.
        WITNESSES: Reported<(Witness,)> = "metrics_witnesses_total" from &[];
    }
}
