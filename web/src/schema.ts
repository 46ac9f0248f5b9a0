// Made from proto/ by `npm run schema`; do not edit. The one JSON form: 64-bit integers are texts, hashes hex in display order.

/** Every kind of event, by its dotted name. */
export const KINDS = [
  "net.version",
  "net.verack",
  "net.wtxidrelay",
  "net.sendaddrv2",
  "net.sendtxrcncl",
  "net.feature",
  "net.sendheaders",
  "net.sendcmpct",
  "net.feefilter",
  "net.ping",
  "net.pong",
  "net.getaddr",
  "net.addr",
  "net.addrv2",
  "net.inv",
  "net.getdata",
  "net.notfound",
  "net.getblocks",
  "net.getheaders",
  "net.headers",
  "net.block",
  "net.tx",
  "net.cmpctblock",
  "net.getblocktxn",
  "net.blocktxn",
  "net.mempool",
  "net.merkleblock",
  "net.filterload",
  "net.filteradd",
  "net.filterclear",
  "net.getcfilters",
  "net.cfilter",
  "net.getcfheaders",
  "net.cfheaders",
  "net.getcfcheckpt",
  "net.cfcheckpt",
  "net.alert",
  "net.reject",
  "net.undecodable",
  "net.message",
  "conn.opened",
  "conn.closed",
  "conn.evicted",
  "conn.misbehaving",
  "conn.refused",
  "conn.closing",
  "conn.ended",
  "conn.accepted",
  "conn.asked",
  "conn.ready",
  "conn.version",
  "conn.step",
  "conn.malformed",
  "conn.spared",
  "conn.outbound",
  "conn.own_address",
  "conn.service_trouble",
  "conn.addresses",
  "conn.addrman",
  "conn.time_offset",
  "mempool.added",
  "mempool.removed",
  "mempool.replaced",
  "mempool.rejected",
  "mempool.refused",
  "mempool.announced",
  "mempool.requested",
  "mempool.overdue",
  "mempool.accepted",
  "mempool.confirmed",
  "mempool.trimmed",
  "mempool.orphan",
  "mempool.package",
  "mempool.fee_filter",
  "chain.block_connected",
  "chain.coins_flushed",
  "chain.tip",
  "chain.header",
  "chain.block_disconnected",
  "chain.block_checked",
  "chain.block_received",
  "chain.block_requested",
  "chain.compact_block",
  "chain.reconstructed",
  "chain.compact_missing",
  "chain.compact_served",
  "chain.compact_sent",
  "chain.headers_sync",
  "chain.headers_ignored",
  "chain.sync",
  "chain.invalid",
  "chain.block_announced",
  "chain.timing",
  "chain.signal",
  "state.profile",
  "state.peers",
  "state.net_totals",
  "state.network",
  "state.mempool",
  "state.orphans",
  "state.fee_estimates",
  "state.blockchain",
  "state.chain_tips",
  "state.chain_tx_stats",
  "state.deployments",
  "state.indexes",
  "state.addrman",
  "state.addrman_raw",
  "state.bans",
  "state.memory",
  "state.uptime",
  "state.fetched",
  "state.process",
  "state.disk",
  "probe.ping",
  "probe.unanswered",
  "probe.announced_addresses",
  "probe.announced_transactions",
  "probe.announced_blocks",
  "probe.fee_filter",
  "probe.refused",
  "probe.undecodable",
  "probe.address",
  "log.line",
  "log.life",
  "log.rpc_refused",
  "health.lost",
  "health.beat",
  "health.attached",
  "health.detached",
  "health.reconciled",
  "health.diverged",
  "health.joined",
  "health.parser",
  "health.pattern_silent",
  "health.template",
  "health.log_gap",
  "health.log_file",
  "health.archived",
  "health.shipped",
  "finding.opened",
  "finding.updated",
  "finding.cleared",
  "finding.expired",
  "incident.opened",
  "incident.changed",
  "incident.noted",
  "incident.acknowledged",
  "incident.resolved",
  "incident.reopened",
  "incident.kept",
  "incident.delivered",
] as const;

export type Kind = (typeof KINDS)[number];

/** The envelope of an event, and its body under the name of its kind. */
export interface Event extends Partial<Bodies> {
  node: string;
  nodeRun?: string;
  source: Source;
  run: string;
  sequence: string;
  time: string;
  timeText: string;
  replay?: boolean;
  kind: Kind;
}

export interface Bodies {
  netVersion: NetVersion;
  netVerack: NetVerack;
  netWtxidrelay: NetWtxidrelay;
  netSendaddrv2: NetSendaddrv2;
  netSendtxrcncl: NetSendtxrcncl;
  netFeature: NetFeature;
  netSendheaders: NetSendheaders;
  netSendcmpct: NetSendcmpct;
  netFeefilter: NetFeefilter;
  netPing: NetPing;
  netPong: NetPong;
  netGetaddr: NetGetaddr;
  netAddr: NetAddr;
  netAddrv2: NetAddrv2;
  netInv: NetInv;
  netGetdata: NetGetdata;
  netNotfound: NetNotfound;
  netGetblocks: NetGetblocks;
  netGetheaders: NetGetheaders;
  netHeaders: NetHeaders;
  netBlock: NetBlock;
  netTx: NetTx;
  netCmpctblock: NetCmpctblock;
  netGetblocktxn: NetGetblocktxn;
  netBlocktxn: NetBlocktxn;
  netMempool: NetMempool;
  netMerkleblock: NetMerkleblock;
  netFilterload: NetFilterload;
  netFilteradd: NetFilteradd;
  netFilterclear: NetFilterclear;
  netGetcfilters: NetGetcfilters;
  netCfilter: NetCfilter;
  netGetcfheaders: NetGetcfheaders;
  netCfheaders: NetCfheaders;
  netGetcfcheckpt: NetGetcfcheckpt;
  netCfcheckpt: NetCfcheckpt;
  netAlert: NetAlert;
  netReject: NetReject;
  netUndecodable: NetUndecodable;
  netMessage: NetMessage;
  connOpened: ConnOpened;
  connClosed: ConnClosed;
  connEvicted: ConnEvicted;
  connMisbehaving: ConnMisbehaving;
  connRefused: ConnRefused;
  connClosing: ConnClosing;
  connEnded: ConnEnded;
  connAccepted: ConnAccepted;
  connAsked: ConnAsked;
  connReady: ConnReady;
  connVersion: ConnVersion;
  connStep: ConnStep;
  connMalformed: ConnMalformed;
  connSpared: ConnSpared;
  connOutbound: ConnOutbound;
  connOwnAddress: ConnOwnAddress;
  connServiceTrouble: ConnServiceTrouble;
  connAddresses: ConnAddresses;
  connAddrman: ConnAddrman;
  connTimeOffset: ConnTimeOffset;
  mempoolAdded: MempoolAdded;
  mempoolRemoved: MempoolRemoved;
  mempoolReplaced: MempoolReplaced;
  mempoolRejected: MempoolRejected;
  mempoolRefused: MempoolRefused;
  mempoolAnnounced: MempoolAnnounced;
  mempoolRequested: MempoolRequested;
  mempoolOverdue: MempoolOverdue;
  mempoolAccepted: MempoolAccepted;
  mempoolConfirmed: MempoolConfirmed;
  mempoolTrimmed: MempoolTrimmed;
  mempoolOrphan: MempoolOrphan;
  mempoolPackage: MempoolPackage;
  mempoolFeeFilter: MempoolFeeFilter;
  chainBlockConnected: ChainBlockConnected;
  chainCoinsFlushed: ChainCoinsFlushed;
  chainTip: ChainTip;
  chainHeader: ChainHeader;
  chainBlockDisconnected: ChainBlockDisconnected;
  chainBlockChecked: ChainBlockChecked;
  chainBlockReceived: ChainBlockReceived;
  chainBlockRequested: ChainBlockRequested;
  chainCompactBlock: ChainCompactBlock;
  chainReconstructed: ChainReconstructed;
  chainCompactMissing: ChainCompactMissing;
  chainCompactServed: ChainCompactServed;
  chainCompactSent: ChainCompactSent;
  chainHeadersSync: ChainHeadersSync;
  chainHeadersIgnored: ChainHeadersIgnored;
  chainSync: ChainSync;
  chainInvalid: ChainInvalid;
  chainBlockAnnounced: ChainBlockAnnounced;
  chainTiming: ChainTiming;
  chainSignal: ChainSignal;
  stateProfile: StateProfile;
  statePeers: StatePeers;
  stateNetTotals: StateNetTotals;
  stateNetwork: StateNetwork;
  stateMempool: StateMempool;
  stateOrphans: StateOrphans;
  stateFeeEstimates: StateFeeEstimates;
  stateBlockchain: StateBlockchain;
  stateChainTips: StateChainTips;
  stateChainTxStats: StateChainTxStats;
  stateDeployments: StateDeployments;
  stateIndexes: StateIndexes;
  stateAddrman: StateAddrman;
  stateAddrmanRaw: StateAddrmanRaw;
  stateBans: StateBans;
  stateMemory: StateMemory;
  stateUptime: StateUptime;
  stateFetched: StateFetched;
  stateProcess: StateProcess;
  stateDisk: StateDisk;
  probePing: ProbePing;
  probeUnanswered: ProbeUnanswered;
  probeAnnouncedAddresses: ProbeAnnouncedAddresses;
  probeAnnouncedTransactions: ProbeAnnouncedTransactions;
  probeAnnouncedBlocks: ProbeAnnouncedBlocks;
  probeFeeFilter: ProbeFeeFilter;
  probeRefused: ProbeRefused;
  probeUndecodable: ProbeUndecodable;
  probeAddress: ProbeAddress;
  logLine: LogLine;
  logLife: LogLife;
  logRpcRefused: LogRpcRefused;
  healthLost: HealthLost;
  healthBeat: HealthBeat;
  healthAttached: HealthAttached;
  healthDetached: HealthDetached;
  healthReconciled: HealthReconciled;
  healthDiverged: HealthDiverged;
  healthJoined: HealthJoined;
  healthParser: HealthParser;
  healthPatternSilent: HealthPatternSilent;
  healthTemplate: HealthTemplate;
  healthLogGap: HealthLogGap;
  healthLogFile: HealthLogFile;
  healthArchived: HealthArchived;
  healthShipped: HealthShipped;
  findingOpened: FindingOpened;
  findingUpdated: FindingUpdated;
  findingCleared: FindingCleared;
  findingExpired: FindingExpired;
  incidentOpened: IncidentOpened;
  incidentChanged: IncidentChanged;
  incidentNoted: IncidentNoted;
  incidentAcknowledged: IncidentAcknowledged;
  incidentResolved: IncidentResolved;
  incidentReopened: IncidentReopened;
  incidentKept: IncidentKept;
  incidentDelivered: IncidentDelivered;
}

export type CompactStep =
  | "unspecified"
  | "started"
  | "matched";

export type HeadersSyncStep =
  | "unspecified"
  | "started"
  | "redownloading"
  | "complete"
  | "aborted";

export type HeadersIgnored =
  | "unspecified"
  | "low_work"
  | "low_work_compact_block"
  | "not_connecting";

export type SyncStep =
  | "unspecified"
  | "stall_started"
  | "stall_timeout_raised"
  | "stall_timeout_lowered"
  | "presync"
  | "headers"
  | "done";

export type BlockPart =
  | "unspecified"
  | "load"
  | "sanity_checks"
  | "fork_checks"
  | "connect_transactions"
  | "verify_inputs"
  | "write_undo_data"
  | "index_writing"
  | "connect_total"
  | "flush"
  | "write_chainstate"
  | "postprocess"
  | "total"
  | "disconnect";

export type ValidationSignal =
  | "unspecified"
  | "updated_block_tip"
  | "active_tip_change"
  | "new_pow_valid_block"
  | "chain_state_flushed";

export type ConnRefusal =
  | "other"
  | "banned"
  | "discouraged"
  | "not_accepting"
  | "full"
  | "own_connection";

export type EndReason =
  | "unspecified"
  | "socket_closed"
  | "receive_error"
  | "send_error"
  | "bad_bytes"
  | "no_first_message"
  | "send_timeout"
  | "receive_timeout"
  | "ping_timeout"
  | "version_timeout"
  | "v2_handshake_timeout"
  | "feeler_done"
  | "addr_fetch_done"
  | "addr_fetch_timeout"
  | "evicted"
  | "operator"
  | "network_off"
  | "own_connection"
  | "services"
  | "obsolete_version"
  | "extra_outbound"
  | "old_chain"
  | "misbehaving"
  | "handshake_violation"
  | "transaction_violation"
  | "bloom_violation"
  | "filter_violation"
  | "locator_too_long"
  | "upload_limit"
  | "pruned_block"
  | "stalling"
  | "block_timeout"
  | "headers_timeout"
  | "retried_with_v1"
  | "shutdown"
  | "mempool_limit"
  | "private_broadcast_done"
  | "other";

export type ConnectionStep =
  | "unspecified"
  | "v2_started"
  | "v1_retry"
  | "cleared"
  | "reconciliation_offered"
  | "reconciliation_agreed"
  | "reconciliation_forgotten"
  | "getaddr_ignored"
  | "getaddr_repeated";

export type Malformation =
  | "other"
  | "no_garbage_terminator"
  | "packet_too_large"
  | "decryption"
  | "message_type"
  | "magic"
  | "size"
  | "checksum"
  | "header"
  | "payload"
  | "unknown_type"
  | "before_verack"
  | "before_version"
  | "second_version"
  | "pong"
  | "mutated_block"
  | "unrequested_blocktxn"
  | "repeated_blocktxn"
  | "inventory"
  | "protocol"
  | "second_verack";

export type Sparing =
  | "unspecified"
  | "noban"
  | "manual"
  | "protected"
  | "extra"
  | "headers_timeout";

export type OutboundStep =
  | "unspecified"
  | "dialing"
  | "feeler"
  | "anchor"
  | "network_specific"
  | "proxy"
  | "stale_tip"
  | "extra_on"
  | "extra_off"
  | "extra_block_relay";

export type OwnAddress =
  | "unspecified"
  | "local"
  | "local_removed"
  | "bound"
  | "onion_service"
  | "i2p_session"
  | "port_mapped"
  | "advertised";

export type NetworkService =
  | "unspecified"
  | "tor"
  | "i2p"
  | "port_mapping";

export type AddrmanStep =
  | "unspecified"
  | "added_to_new"
  | "removed_from_new"
  | "moved_to_tried"
  | "moved_to_new"
  | "collision"
  | "selected_from_new"
  | "selected_from_tried"
  | "replaced";

export type Severity =
  | "unspecified"
  | "info"
  | "warn"
  | "critical";

export type Verdict =
  | "unspecified"
  | "benign"
  | "investigate"
  | "act";

export type EntityKind =
  | "unspecified"
  | "node"
  | "peer"
  | "address"
  | "range"
  | "asn"
  | "fingerprint"
  | "fleet"
  | "source"
  | "guard"
  | "network"
  | "agent"
  | "listed";

export type FindingEnd =
  | "unspecified"
  | "cleared"
  | "gone"
  | "silent"
  | "crowded";

export type LossStage =
  | "unspecified"
  | "kernel"
  | "publish"
  | "subscription"
  | "transport";

export type LogGapReason =
  | "unspecified"
  | "rate_limit_began"
  | "rate_limit_ended"
  | "early_lines"
  | "line_cut";

export type LogFileProblem =
  | "unspecified"
  | "shrunk"
  | "replaced"
  | "foreign"
  | "damaged"
  | "unreadable"
  | "gone"
  | "unfinished"
  | "clock_back"
  | "mixed";

export type IncidentState =
  | "unspecified"
  | "open"
  | "acknowledged"
  | "resolved";

export type LogLevel =
  | "unspecified"
  | "trace"
  | "debug"
  | "info"
  | "warning"
  | "error";

export type LifePhase =
  | "unspecified"
  | "started"
  | "loading"
  | "loaded"
  | "shutting_down"
  | "ended"
  | "asmap";

export type RpcRefusal =
  | "unspecified"
  | "password"
  | "method"
  | "queue_full";

export type RemovalReason =
  | "other"
  | "expiry"
  | "sizelimit"
  | "reorg"
  | "block"
  | "conflict"
  | "replaced";

export type TrimReason =
  | "unspecified"
  | "size"
  | "expiry";

export type OrphanStep =
  | "unspecified"
  | "stored"
  | "announcer_added"
  | "removed"
  | "erased_for_peer"
  | "erased_for_block"
  | "expired"
  | "overflow"
  | "too_large";

export type UndecodableReason =
  | "unspecified"
  | "unknown_type"
  | "too_short"
  | "trailing_bytes"
  | "malformed"
  | "not_canonical"
  | "cut"
  | "unreadable";

export type BlockAnnouncement =
  | "unspecified"
  | "inv"
  | "headers"
  | "cmpctblock";

export type RefusalReason =
  | "unspecified"
  | "address"
  | "stranger"
  | "busy"
  | "too_slow"
  | "broken"
  | "too_large"
  | "other_network"
  | "hung_up";

export type VisitResult =
  | "unspecified"
  | "reachable"
  | "refused"
  | "timed_out"
  | "unreachable"
  | "stalled"
  | "hung_up"
  | "wrong_network"
  | "not_bitcoin"
  | "endless"
  | "own"
  | "proxy_failed"
  | "not_dialled";

export type VisitRoute =
  | "unspecified"
  | "direct"
  | "socks5"
  | "i2p";

export type FeeMode =
  | "unspecified"
  | "economical"
  | "conservative"
  | "other";

export type ChainTipStatus =
  | "other"
  | "active"
  | "valid_fork"
  | "valid_headers"
  | "headers_only"
  | "invalid"
  | "unknown";

export type FetchOutcome =
  | "unspecified"
  | "ok"
  | "unreachable"
  | "unauthorized"
  | "forbidden"
  | "unknown_method"
  | "warming_up"
  | "busy"
  | "timeout"
  | "refused"
  | "malformed"
  | "too_large";

export type Source =
  | "unspecified"
  | "ebpf"
  | "rpc"
  | "log"
  | "p2p"
  | "ipc"
  | "proc"
  | "join"
  | "detect"
  | "connect"
  | "tool"
  | "capture";

export type Direction =
  | "unspecified"
  | "inbound"
  | "outbound";

export type ConnectionType =
  | "unspecified"
  | "inbound"
  | "outbound_full_relay"
  | "block_relay_only"
  | "manual"
  | "feeler"
  | "addr_fetch"
  | "private_broadcast"
  | "other";

export type Transport =
  | "unspecified"
  | "detecting"
  | "v1"
  | "v2"
  | "other";

export type Network =
  | "unspecified"
  | "not_publicly_routable"
  | "ipv4"
  | "ipv6"
  | "onion"
  | "i2p"
  | "cjdns"
  | "internal"
  | "torv2"
  | "other";

export type InventoryType =
  | "other"
  | "tx"
  | "block"
  | "filtered_block"
  | "compact_block"
  | "wtx"
  | "witness_tx"
  | "witness_block";

export interface ChainBlockConnected {
  hash: string;
  height: number;
  transactions?: string;
  inputs?: string;
  sigopCost?: string;
  duration?: string;
}

export interface ChainCoinsFlushed {
  duration: string;
  mode: number;
  coins: string;
  bytes: string;
  forPrune: boolean;
}

export interface ChainTip {
  hash: string;
  height: number;
  version?: number;
  log2Work?: number;
  transactions?: string;
  blockTime?: string;
  blockTimeText?: string;
  progress?: number;
  cache?: number;
  coins?: string;
  background: boolean;
  warning: string;
}

export interface ChainHeader {
  hash: string;
  height?: number;
  peer?: string;
  address: string;
  compact: boolean;
}

export interface ChainBlockDisconnected {
  hash: string;
  height: number;
}

export interface ChainBlockChecked {
  hash: string;
  valid: boolean;
  reason: string;
  detail: string;
}

export interface ChainBlockReceived {
  peer: string;
  hash: string;
}

export interface ChainBlockRequested {
  peer: string;
  hash: string;
  height?: number;
}

export interface ChainCompactBlock {
  hash: string;
  step?: CompactStep;
  size: string;
}

export interface ChainReconstructed {
  hash: string;
  prefilled: string;
  mempool: string;
  extra: string;
  requested: string;
  requestedBytes?: string;
}

export interface ChainCompactMissing {
  hash: string;
  txid: string;
}

export interface ChainCompactServed {
  peer: string;
  address: string;
  hash: string;
  transactions: string;
  size: string;
}

export interface ChainCompactSent {
  peer: string;
  hash: string;
  unchecked: boolean;
}

export interface ChainHeadersSync {
  peer: string;
  step?: HeadersSyncStep;
  height: number;
  detail: string;
}

export interface ChainHeadersIgnored {
  peer: string;
  reason?: HeadersIgnored;
  height?: string;
  hash?: string;
  previous?: string;
}

export interface ChainSync {
  step?: SyncStep;
  peer?: string;
  timeout?: string;
  height?: number;
  percent?: number;
}

export interface ChainInvalid {
  hash?: string;
  height?: number;
  log2Work?: number;
  blockTime?: string;
  blockTimeText?: string;
  reason: string;
  muchLonger: boolean;
}

export interface ChainBlockAnnounced {
  peer: string;
  hash: string;
  type?: InventoryType;
  known: boolean;
}

export interface ChainTiming {
  part?: BlockPart;
  duration: string;
  total?: string;
  count?: string;
}

export interface ChainSignal {
  signal?: ValidationSignal;
  hash?: string;
  height?: number;
  fork?: string;
  initialDownload?: boolean;
}

export interface ConnOpened {
  peer: string;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  count?: string;
}

export interface ConnClosed {
  peer: string;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  established?: string;
  establishedText?: string;
}

export interface ConnEvicted {
  peer: string;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  established?: string;
  establishedText?: string;
}

export interface ConnMisbehaving {
  peer: string;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  reason: string;
}

export interface ConnRefused {
  peer?: string;
  address: string;
  reason?: ConnRefusal;
  detail: string;
}

export interface ConnClosing {
  peer: string;
  address: string;
  reason?: EndReason;
  detail: string;
}

export interface ConnEnded {
  peer: string;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  established?: string;
  establishedText?: string;
  reason?: EndReason;
  detail: string;
  reasonSource?: Source;
}

export interface ConnAccepted {
  address: string;
}

export interface ConnAsked {
  peer: string;
  entries?: string;
  first?: Inventory;
}

export interface ConnReady {
  peer: string;
  address: string;
  connectionType?: ConnectionType;
  transport?: Transport;
  version: number;
  startHeight?: number;
  mappedAs?: number;
}

export interface ConnVersion {
  peer: string;
  direction?: Direction;
  address: string;
  version: number;
  startHeight: number;
  relay: boolean;
  userAgent?: string;
  ownAddress?: string;
  mappedAs?: number;
}

export interface ConnStep {
  peer: string;
  address: string;
  step?: ConnectionStep;
}

export interface ConnMalformed {
  peer?: string;
  address: string;
  problem?: Malformation;
  messageType: string;
  size?: string;
  detail: string;
}

export interface ConnSpared {
  peer: string;
  address: string;
  reason?: Sparing;
}

export interface ConnOutbound {
  step?: OutboundStep;
  address: string;
  connectionType?: ConnectionType;
  transport?: Transport;
  lastSeen?: number;
  tipAge?: string;
  network?: Network;
}

export interface ConnOwnAddress {
  how?: OwnAddress;
  ownAddress: string;
  peer?: string;
  score?: number;
}

export interface ConnServiceTrouble {
  service?: NetworkService;
  resolved: boolean;
  detail: string;
}

export interface ConnAddresses {
  peer?: string;
  source: string;
  offered: string;
  processed?: string;
  rateLimited?: string;
  added?: string;
  triedEntries?: string;
  newEntries?: string;
}

export interface ConnAddrman {
  step?: AddrmanStep;
  address: string;
  other: string;
  bucket?: number;
  position?: number;
  fromBucket?: number;
  fromPosition?: number;
  mappedAs?: number;
  collisions?: number;
}

export interface ConnTimeOffset {
  offset?: string;
  samples?: string;
  warningMinutes?: string;
}

export interface FindingEntity {
  kind?: EntityKind;
  peer?: string;
  address: string;
  name: string;
}

export interface FindingInput {
  name: string;
  value: number;
  unit: string;
  threshold?: number;
}

export interface FindingEvidence {
  source?: Source;
  run: string;
  fromSequence: string;
  toSequence: string;
  time: string;
  timeText?: string;
}

export interface Finding {
  detector: string;
  version: number;
  name: string;
  id: string;
  entity?: FindingEntity;
  severity?: Severity;
  verdict?: Verdict;
  score: number;
  inputs: FindingInput[];
  windowFrom: string;
  windowFromText?: string;
  windowTo: string;
  windowToText?: string;
  opened: string;
  openedText?: string;
  evidence: FindingEvidence[];
  summary: string;
  doesNotProve: string;
  unknown: boolean;
  again: boolean;
  partOf: string;
  end?: FindingEnd;
}

export interface FindingOpened {
  finding?: Finding;
}

export interface FindingUpdated {
  finding?: Finding;
}

export interface FindingCleared {
  finding?: Finding;
}

export interface FindingExpired {
  finding?: Finding;
}

export interface HealthLost {
  stage?: LossStage;
  probe: string;
  count: string;
}

export interface KindTotal {
  kind: string;
  total: string;
}

export interface HealthBeat {
  lastSequence?: string;
  totals: KindTotal[];
  lag: string;
  fired?: string;
  lost?: string;
}

export interface HealthAttached {
  pid?: number;
  target: string;
  attached: string[];
  missing: string[];
  unlisted: string[];
}

export interface HealthDetached {
  pid?: number;
  target: string;
  reason: string;
}

export interface HealthReconciled {
  window: string;
  peers: number;
  types: number;
  messages: string;
  lost: string;
}

export interface HealthDiverged {
  window: string;
  messageType: string;
  direction?: Direction;
  peers: number;
  messages: string;
  seenBytes: string;
  nodeBytes: string;
  lost: string;
}

export interface HealthJoined {
  totals: JoinTotal[];
}

export interface JoinTotal {
  kind: string;
  joined: string;
  single: string;
  late: string;
  contradicting: string;
  forgotten: string;
  unmatched: string;
}

export interface HealthParser {
  version?: string;
  categories: CategoryTotal[];
  continuations: string;
  templates: number;
  untracked: string;
}

export interface CategoryTotal {
  category: string;
  lines: string;
  matched: string;
  unmatched: string;
}

export interface HealthPatternSilent {
  pattern: string;
  matched: string;
  versionBefore: string;
  version: string;
  category: string;
  lines: string;
}

export interface HealthTemplate {
  category: string;
  template: string;
  lines: string;
}

export interface HealthLogGap {
  reason?: LogGapReason;
  sourceLocation: string;
  bytes?: string;
  lines?: string;
  window?: string;
  file: string;
  offset?: string;
}

export interface HealthLogFile {
  problem?: LogFileProblem;
  file: string;
  offset?: string;
  detail: string;
}

export interface HealthArchived {
  sources: ArchivedSource[];
  bytes: string;
  segments: number;
}

export interface ArchivedSource {
  source?: Source;
  run: string;
  sequence: string;
}

export interface HealthShipped {
  files: string;
  bytes: string;
  waiting: string;
  waitingBytes: string;
  failures: string;
  lastSuccess?: string;
  lastSuccessText?: string;
  error?: string;
}

export interface IncidentPlace {
  node: string;
  findings: string;
}

export interface Incident {
  number: string;
  book: string;
  revision: string;
  state?: IncidentState;
  family: string;
  severity?: Severity;
  verdict?: Verdict;
  detectors: string[];
  places: IncidentPlace[];
  elsewhere: string;
  strangers: FindingEntity[];
  others: string;
  findings: string;
  lasting: string;
  unfollowed: string;
  finding?: Finding;
  opened: string;
  openedText?: string;
  changed: string;
  changedText?: string;
  resolved?: string;
  resolvedText?: string;
  owner: string;
  reopened: number;
  similar: string[];
  unknown: boolean;
  end?: FindingEnd;
  findingNode: string;
  replay: boolean;
}

export interface IncidentOpened {
  incident?: Incident;
}

export interface IncidentChanged {
  incident?: Incident;
  worse: boolean;
  spread: boolean;
  unheard: string;
}

export interface IncidentNoted {
  incident?: Incident;
  by: string;
  text: string;
}

export interface IncidentAcknowledged {
  incident?: Incident;
  by: string;
}

export interface IncidentResolved {
  incident?: Incident;
  by: string;
  text: string;
}

export interface IncidentReopened {
  incident?: Incident;
}

export interface IncidentKept {
  incident?: Incident;
  file: string;
  from: string;
  fromText?: string;
  to: string;
  toText?: string;
  events: string;
  bytes: string;
  problem: string;
}

export interface IncidentDelivered {
  receiver: string;
  sent: string;
  failed: string;
  refused: string;
  dropped: string;
  waiting: string;
  lastSuccess?: string;
  lastSuccessText?: string;
  error?: string;
  place: number;
}

export interface LogLine {
  category: string;
  level?: LogLevel;
  thread?: string;
  sourceLocation?: string;
  message: string;
  continuation: boolean;
  length?: string;
}

export interface LogLife {
  phase?: LifePhase;
  version: string;
  detail: string;
}

export interface LogRpcRefused {
  reason?: RpcRefusal;
  client: string;
  user: string;
  method: string;
}

export interface MempoolAdded {
  txid: string;
  vsize?: string;
  fee?: string;
  wtxid?: string;
}

export interface MempoolRemoved {
  txid: string;
  reason?: RemovalReason;
  vsize?: string;
  fee?: string;
  entered?: string;
  enteredText?: string;
  wtxid?: string;
}

export interface MempoolReplaced {
  txid: string;
  vsize: string;
  fee: string;
  entered?: string;
  enteredText?: string;
  replacement: string;
  replacementVsize: string;
  replacementFee: string;
  replacementIsTxid?: boolean;
  wtxid?: string;
  replacementWtxid?: string;
  replacementTransactions?: number;
}

export interface MempoolRejected {
  txid: string;
  reason: string;
  detail: string;
  wtxid?: string;
  peer?: string;
}

export interface MempoolRefused {
  txid: string;
  reason: string;
  detail: string;
  wtxid?: string;
  peer?: string;
  address: string;
}

export interface MempoolAnnounced {
  peer: string;
  hash: string;
  type?: InventoryType;
  number?: number;
  known: boolean;
}

export interface MempoolRequested {
  peer: string;
  hash: string;
  type?: InventoryType;
}

export interface MempoolOverdue {
  peer: string;
  hash: string;
  type?: InventoryType;
}

export interface MempoolAccepted {
  peer: string;
  txid: string;
  wtxid?: string;
  poolTransactions: string;
  poolKilobytes: string;
}

export interface MempoolConfirmed {
  height: number;
  removed: string;
}

export interface MempoolTrimmed {
  reason?: TrimReason;
  removed: string;
  minimumFeerate?: string;
}

export interface MempoolOrphan {
  step?: OrphanStep;
  peer?: string;
  txid?: string;
  wtxid?: string;
  weight?: string;
  count?: string;
  orphans?: string;
  outpoints?: string;
}

export interface MempoolPackage {
  parentTxid: string;
  parentWtxid: string;
  parentPeer: string;
  childTxid: string;
  childWtxid: string;
  childPeer: string;
  accepted: boolean;
}

export interface MempoolFeeFilter {
  peer: string;
  feerate: string;
}

export interface NetVersion {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
  version: number;
  services: string;
  time: string;
  timeText?: string;
  receiverServices: string;
  receiverAddress: string;
  senderServices: string;
  senderAddress: string;
  nonce: string;
  userAgent: string;
  startHeight: number;
  relay: boolean;
}

export interface NetVerack {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
}

export interface NetWtxidrelay {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
}

export interface NetSendaddrv2 {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
}

export interface NetSendtxrcncl {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
  version: number;
  salt: string;
}

export interface NetFeature {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
  id: string;
  data: string;
}

export interface NetSendheaders {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
}

export interface NetSendcmpct {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
  announce: boolean;
  version: string;
}

export interface NetFeefilter {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
  feerate: string;
}

export interface NetPing {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
  nonce?: string;
}

export interface NetPong {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
  nonce: string;
}

export interface NetGetaddr {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
}

export interface NetAddr {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
  addresses: NetworkAddress[];
}

export interface NetAddrv2 {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
  addresses: NetworkAddress[];
}

export interface NetInv {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
  items: Inventory[];
}

export interface NetGetdata {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
  items: Inventory[];
}

export interface NetNotfound {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
  items: Inventory[];
}

export interface NetGetblocks {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
  version: number;
  locator: string[];
  stop: string;
}

export interface NetGetheaders {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
  version: number;
  locator: string[];
  stop: string;
}

export interface NetHeaders {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
  headers: BlockHeader[];
}

export interface NetBlock {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
  header?: BlockHeader;
  weight: string;
  transactions: TransactionId[];
}

export interface NetTx {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
  txid: string;
  wtxid: string;
  weight: string;
  version: number;
  locktime: number;
  spends: OutPoint[];
  outputs: number;
  outputValue: string;
}

export interface PrefilledTransaction {
  index: string;
  txid: string;
  wtxid?: string;
}

export interface NetCmpctblock {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
  header?: BlockHeader;
  nonce: string;
  shortIds: string[];
  prefilled: PrefilledTransaction[];
}

export interface NetGetblocktxn {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
  block: string;
  indexes: string[];
}

export interface NetBlocktxn {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
  block: string;
  transactions: TransactionId[];
}

export interface NetMempool {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
}

export interface NetMerkleblock {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
  header?: BlockHeader;
  transactions: number;
  hashes: string[];
  flags: string;
}

export interface NetFilterload {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
  filter: string;
  hashFunctions: number;
  tweak: number;
  flags: number;
}

export interface NetFilteradd {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
  element: string;
}

export interface NetFilterclear {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
}

export interface NetGetcfilters {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
  filterType: number;
  startHeight: number;
  stop: string;
}

export interface NetCfilter {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
  filterType: number;
  block: string;
  filter: string;
}

export interface NetGetcfheaders {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
  filterType: number;
  startHeight: number;
  stop: string;
}

export interface NetCfheaders {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
  filterType: number;
  stop: string;
  previous: string;
  filterHashes: string[];
}

export interface NetGetcfcheckpt {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
  filterType: number;
  stop: string;
}

export interface NetCfcheckpt {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
  filterType: number;
  stop: string;
  filterHeaders: string[];
}

export interface NetAlert {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
  payload: string;
  signature: string;
}

export interface NetReject {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
  message: string;
  code: number;
  reason: string;
  hash: string;
}

export interface NetUndecodable {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
  messageType: string;
  reason?: UndecodableReason;
  detail: string;
}

export interface NetMessage {
  peer: string;
  direction?: Direction;
  address: string;
  connectionType?: ConnectionType;
  network?: Network;
  size: number;
  raw?: string;
  messageType: string;
}

export interface ProbePing {
  roundTripNanos: string;
  outstanding: number;
}

export interface ProbeUnanswered {
  waitingNanos: string;
  outstanding: number;
}

export interface ProbeAnnouncedAddresses {
  addresses: NetworkAddress[];
}

export interface ProbeAnnouncedTransactions {
  wtxids: string[];
  txids: string[];
}

export interface ProbeAnnouncedBlocks {
  hashes: string[];
  by?: BlockAnnouncement;
}

export interface ProbeFeeFilter {
  feerate: string;
}

export interface ProbeRefused {
  reason?: RefusalReason;
  count: string;
  address: string;
  detail: string;
}

export interface ProbeUndecodable {
  messageType: string;
  reason?: UndecodableReason;
  detail: string;
  raw: string;
}

export interface ProbeAddress {
  result?: VisitResult;
  route?: VisitRoute;
  network?: Network;
  address: string;
  port: number;
  transport?: Transport;
  version?: number;
  services?: string;
  userAgent: string;
  startHeight?: number;
  timeOffset?: string;
  latencyNanos?: string;
  handshakeNanos?: string;
  detail: string;
  advertisers: AddressAdvertiser[];
  moreAdvertisers: string;
  passedOver: string;
}

export interface AddressAdvertiser {
  peer: string;
  address: string;
  time: number;
  timeText?: string;
  services: string;
  heard: string;
  heardText?: string;
}

export interface ThreadUse {
  name: string;
  threads: number;
  userNanos: string;
  systemNanos: string;
  waitingNanos?: string;
  voluntarySwitches?: string;
  involuntarySwitches?: string;
}

export interface StateProcess {
  pid: number;
  userNanos: string;
  systemNanos: string;
  threads: ThreadUse[];
  threadCount: number;
  resident: string;
  virtualSize: string;
  residentPeak?: string;
  swapped?: string;
  majorFaults: string;
  openFiles?: string;
  openFilesLimit?: string;
  diskRead?: string;
  diskWritten?: string;
}

export interface StateDisk {
  size: string;
  available: string;
  free: string;
  filesFree?: string;
}

export interface StatePeers {
  peers: PeerInfo[];
}

export interface PeerInfo {
  id: string;
  addr: string;
  addrbind?: string;
  addrlocal?: string;
  network?: Network;
  connection_type?: ConnectionType;
  mapped_as?: number;
  services?: string;
  relaytxes?: boolean;
  last_inv_sequence?: string;
  inv_to_send?: string;
  lastsend?: string;
  lastsendText?: string;
  lastrecv?: string;
  lastrecvText?: string;
  last_transaction?: string;
  last_transactionText?: string;
  last_block?: string;
  last_blockText?: string;
  bytessent?: string;
  bytesrecv?: string;
  conntime?: string;
  conntimeText?: string;
  timeoffset?: string;
  pingtime?: string;
  minping?: string;
  pingwait?: string;
  version?: number;
  subver?: string;
  inbound?: boolean;
  bip152_hb_to?: boolean;
  bip152_hb_from?: boolean;
  startingheight?: number;
  presynced_headers?: number;
  synced_headers?: number;
  synced_blocks?: number;
  inflight: number[];
  addr_relay_enabled?: boolean;
  addr_processed?: string;
  addr_rate_limited?: string;
  permissions: string[];
  minfeefilter?: string;
  bytessent_per_msg: MessageBytes[];
  bytesrecv_per_msg: MessageBytes[];
  transport_protocol_type?: Transport;
  session_id?: string;
}

export interface MessageBytes {
  type: string;
  bytes: string;
}

export interface StateNetTotals {
  totalbytesrecv?: string;
  totalbytessent?: string;
  uploadtarget?: UploadTarget;
}

export interface UploadTarget {
  timeframe?: string;
  target?: string;
  target_reached?: boolean;
  serve_historical_blocks?: boolean;
  bytes_left_in_cycle?: string;
  time_left_in_cycle?: string;
}

export interface StateNetwork {
  version?: number;
  subversion?: string;
  protocolversion?: number;
  localservices?: string;
  localrelay?: boolean;
  timeoffset?: string;
  networkactive?: boolean;
  connections?: number;
  connections_in?: number;
  connections_out?: number;
  networks: NetworkInfo[];
  relayfee?: string;
  incrementalfee?: string;
  localaddresses: LocalAddress[];
  warnings: string[];
}

export interface NetworkInfo {
  name?: Network;
  limited?: boolean;
  reachable?: boolean;
  proxy?: string;
}

export interface LocalAddress {
  address: string;
  port?: number;
  score?: string;
}

export interface StateMempool {
  loaded?: boolean;
  size?: string;
  bytes?: string;
  usage?: string;
  total_fee?: string;
  maxmempool?: string;
  mempoolminfee?: string;
  minrelaytxfee?: string;
  incrementalrelayfee?: string;
  unbroadcastcount?: string;
  fullrbf?: boolean;
  permitbaremultisig?: boolean;
  maxdatacarriersize?: string;
  limitclustercount?: string;
  limitclustersize?: string;
  optimal?: boolean;
}

export interface StateOrphans {
  orphans: Orphan[];
}

export interface Orphan {
  txid: string;
  wtxid: string;
  bytes?: string;
  vsize?: string;
  weight?: string;
  from: string[];
  entry?: string;
  entryText?: string;
  expiration?: string;
  expirationText?: string;
}

export interface StateFeeEstimates {
  estimates: FeeEstimate[];
}

export interface FeeEstimate {
  target: number;
  mode?: FeeMode;
  feerate?: string;
  blocks?: number;
  errors: string[];
}

export interface StateBlockchain {
  chain?: string;
  blocks?: number;
  headers?: number;
  bestblockhash?: string;
  difficulty?: number;
  time?: string;
  timeText?: string;
  mediantime?: string;
  mediantimeText?: string;
  verificationprogress?: number;
  initialblockdownload?: boolean;
  chainwork?: string;
  size_on_disk?: string;
  pruned?: boolean;
  pruneheight?: number;
  automatic_pruning?: boolean;
  prune_target_size?: string;
  warnings: string[];
  bits?: number;
  signet_challenge?: string;
}

export interface StateChainTips {
  tips: BranchTip[];
}

export interface BranchTip {
  height: number;
  hash: string;
  branchlen: number;
  status?: ChainTipStatus;
}

export interface StateChainTxStats {
  time?: string;
  timeText?: string;
  txcount?: string;
  window_final_block_hash?: string;
  window_final_block_height?: number;
  window_block_count?: number;
  window_tx_count?: string;
  window_interval?: string;
  txrate?: number;
}

export interface StateDeployments {
  hash?: string;
  height?: number;
  deployments: Deployment[];
  script_flags: string[];
}

export interface Deployment {
  name: string;
  type?: string;
  active?: boolean;
  height?: number;
  bip9?: Bip9;
}

export interface Bip9 {
  bit?: number;
  status?: string;
  since?: number;
  status_next?: string;
  statistics?: Bip9Statistics;
}

export interface Bip9Statistics {
  period?: number;
  threshold?: number;
  elapsed?: number;
  count?: number;
  possible?: boolean;
}

export interface StateIndexes {
  indexes: Index[];
}

export interface Index {
  name: string;
  synced?: boolean;
  best_block_height?: number;
}

export interface StateAddrman {
  networks: AddrmanNetwork[];
  allNetworks?: AddrmanCount;
}

export interface AddrmanNetwork {
  network?: Network;
  new?: string;
  tried?: string;
  total?: string;
}

export interface AddrmanCount {
  new?: string;
  tried?: string;
  total?: string;
}

export interface StateAddrmanRaw {
  new: AddrmanEntry[];
  tried: AddrmanEntry[];
}

export interface AddrmanEntry {
  bucket: number;
  position: number;
  network?: Network;
  address: string;
  port: number;
  services: string;
  time: string;
  timeText?: string;
  source_network?: Network;
  source: string;
  mapped_as?: number;
  source_mapped_as?: number;
}

export interface StateBans {
  bans: Ban[];
}

export interface Ban {
  address: string;
  ban_created?: string;
  ban_createdText?: string;
  banned_until?: string;
  banned_untilText?: string;
}

export interface StateMemory {
  locked?: LockedMemory;
}

export interface LockedMemory {
  used?: string;
  free?: string;
  total?: string;
  locked?: string;
  chunks_used?: string;
  chunks_free?: string;
}

export interface StateUptime {
  seconds: string;
}

export interface StateProfile {
  version?: number;
  subversion?: string;
  protocolVersion?: number;
  chain?: string;
  pruned?: boolean;
  pruneTarget?: string;
  blocksonly?: boolean;
  asmap?: boolean;
  networks: Network[];
  services?: string;
  architecture?: string;
  signetChallenge?: string;
}

export interface StateFetched {
  method: string;
  outcome?: FetchOutcome;
  duration: string;
  bytes: string;
  error?: string;
}

export interface NetworkAddress {
  time: number;
  timeText?: string;
  services: string;
  network?: Network;
  address: string;
  port: number;
  networkId?: number;
}

export interface Inventory {
  type?: InventoryType;
  hash: string;
  number?: number;
}

export interface TransactionId {
  txid: string;
  wtxid?: string;
}

export interface OutPoint {
  txid: string;
  vout: number;
}

export interface BlockHeader {
  hash: string;
  version: number;
  previous: string;
  merkleRoot: string;
  time: number;
  timeText?: string;
  bits: number;
  nonce: number;
}
