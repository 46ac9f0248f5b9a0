// The answers of /api, as docs/web.md has them. What is not known is absent, so almost every field may be.

import type { Int, Time } from "./format.ts";
import type {
  Bodies,
  ConnectionType,
  Direction,
  Event,
  Incident as IncidentEvent,
  IncidentDelivered,
  IncidentKept,
  IncidentState,
  Kind,
  Network,
  Severity,
  Source,
  StateAddrman,
  StateChainTips,
  StateMempool,
} from "./schema.ts";

type Maybe<T> = T | null | undefined;

/** A value per second (or per `step` nanoseconds), oldest first. */
export interface Series {
  start: Time;
  step: Int;
  columns: Record<string, (number | null)[] | undefined>;
}

interface Answer {
  /** The time of the state: the event's, not the clock's. */
  now: Time;
}

export interface NodeRow {
  node: string;
  nodeRun?: Maybe<Int>;
  sources?: Maybe<Source[]>;
  /** Whether a detector looks at it now. */
  detecting?: Maybe<boolean>;
  peers?: Maybe<Partial<Record<ConnectionType, number>>>;
  /** What its operator says of it. */
  says?: Maybe<string>;
  messagesPerSecond?: Maybe<number>;
  bytesPerSecond?: Maybe<number>;
  height?: Maybe<number>;
  tip?: Maybe<string>;
  tipSince?: Maybe<Time>;
  /** The newest body of each kind that a node states of itself. */
  latest?: Maybe<Record<string, unknown>>;
}

export interface Nodes extends Answer {
  nodes: NodeRow[];
}

export interface Amount {
  messages: Int;
  bytes: Int;
}

/** A peer as Bitcoin Core's `getpeerinfo` describes it; the names are Core's. */
export type PeerInfo = Partial<NonNullable<Bodies["statePeers"]>["peers"][number]>;

export interface PeerRow {
  id: Int;
  address?: Maybe<string>;
  connectionType?: Maybe<ConnectionType>;
  network?: Maybe<Network>;
  opened?: Maybe<Time>;
  closed?: Maybe<Time>;
  end?: Maybe<string>;
  userAgent?: Maybe<string>;
  version?: Maybe<number>;
  services?: Maybe<Int>;
  startHeight?: Maybe<number>;
  relay?: Maybe<boolean>;
  transport?: Maybe<string>;
  evicted?: Maybe<boolean>;
  misbehaved?: Maybe<Int>;
  received?: Maybe<Amount>;
  sent?: Maybe<Amount>;
  messagesPerSecond?: Maybe<number>;
  lastMessage?: Maybe<Time>;
  ping?: Maybe<Int>;
  minPing?: Maybe<Int>;
  feeFilter?: Maybe<Int>;
  info?: Maybe<PeerInfo>;
}

export interface Peers extends Answer {
  node: string;
  nodeRun?: Maybe<Int>;
  peers: PeerRow[];
}

export interface Said {
  time: Time;
  sequence?: Maybe<Int>;
  kind: Kind;
  direction: Direction;
  size?: Maybe<number>;
  text?: Maybe<string>;
}

export interface Peer extends Answer, PeerRow {
  node: string;
  mix?: Maybe<{ kind: Kind; direction: Direction; count: Int; bytes: Int }[]>;
  timeline?: Maybe<{ time: Time; kind: Kind; text: string }[]>;
  conversation?: Maybe<Said[]>;
  /** Messages that were said before those in `conversation`. */
  left?: Maybe<Int>;
}

export interface Note {
  time: Time;
  kind: Kind;
  peer?: Maybe<Int>;
  text: string;
}

export interface Summary extends Answer {
  since?: Maybe<Time>;
  events?: Maybe<Int>;
  missed?: Maybe<Int>;
  series?: Maybe<Series>;
  kinds?: Maybe<{ kind: Kind; inbound?: Maybe<Int>; outbound?: Maybe<Int>; bytes?: Maybe<Int> }[]>;
  blocks?: Maybe<BlockRow[]>;
  notes?: Maybe<Note[]>;
  findings?: Maybe<{ active: number }>;
}

export type TransactionState =
  "announced" | "requested" | "received" | "in_mempool" | "replaced" | "rejected" | "removed" | "confirmed" | "withheld";

export interface TransactionRow {
  txid?: Maybe<string>;
  wtxid?: Maybe<string>;
  vsize?: Maybe<Int>;
  fee?: Maybe<Int>;
  firstAnnounced?: Maybe<Time>;
  firstAnnouncer?: Maybe<Int>;
  announcers?: Maybe<Int>;
  requested?: Maybe<Time>;
  requestedFrom?: Maybe<Int>;
  received?: Maybe<Time>;
  receivedFrom?: Maybe<Int>;
  added?: Maybe<Time>;
  state: TransactionState;
  reason?: Maybe<string>;
}

export interface Announcer {
  peer: Int;
  connectionType?: Maybe<ConnectionType>;
  announced?: Maybe<Int>;
  first?: Maybe<Int>;
  requested?: Maybe<Int>;
  delivered?: Maybe<Int>;
  withheld?: Maybe<Int>;
  feeFilter?: Maybe<Int>;
}

export interface Transactions extends Answer {
  series?: Maybe<Series>;
  mempool?: Maybe<StateMempool>;
  transactions?: Maybe<TransactionRow[]>;
  announcers?: Maybe<Announcer[]>;
  rejections?: Maybe<{ reason: string; count: Int }[]>;
}

export interface AddressPeer {
  peer: Int;
  connectionType?: Maybe<ConnectionType>;
  network?: Maybe<Network>;
  messagesIn?: Maybe<Int>;
  addressesIn?: Maybe<Int>;
  messagesOut?: Maybe<Int>;
  addressesOut?: Maybe<Int>;
  getaddrIn?: Maybe<Int>;
  getaddrOut?: Maybe<Int>;
}

export interface Gossip {
  time: Time;
  peer: Int;
  direction: Direction;
  count: Int;
  addresses?: Maybe<
    { network?: Maybe<Network>; address: string; port?: Maybe<number>; services?: Maybe<Int>; time?: Maybe<Int> }[]
  >;
}

export interface Addresses extends Answer {
  series?: Maybe<Series>;
  peers?: Maybe<AddressPeer[]>;
  networks?: Maybe<{ network: Network; in?: Maybe<Int>; out?: Maybe<Int> }[]>;
  services?: Maybe<{ services: Int; count: Int }[]>;
  ages?: Maybe<{ upTo?: Maybe<Int>; count: Int }[]>;
  addrman?: Maybe<StateAddrman>;
  latest?: Maybe<Gossip[]>;
  visits?: Maybe<Visits[]>;
}

/** What visits to advertised addresses came to, in one group of them. */
export interface Visits {
  by: "all" | "result" | "network" | "advertiser" | "services" | "age";
  group: string;
  visited: Int;
  reachable: Int;
  dead: Int;
  other: Int;
  void: Int;
  share?: Maybe<number>;
}

export interface BlockRow {
  hash: string;
  height?: Maybe<number>;
  firstSeen?: Maybe<Time>;
  firstPeer?: Maybe<Int>;
  firstHow?: Maybe<string>;
  announcers?: Maybe<Int>;
  received?: Maybe<Time>;
  connected?: Maybe<Time>;
  connectNanos?: Maybe<Int>;
  headerTime?: Maybe<Int>;
  tip?: Maybe<Time>;
  transactions?: Maybe<Int>;
  inputs?: Maybe<Int>;
  sigopCost?: Maybe<Int>;
  size?: Maybe<Int>;
  /** Nanoseconds per part of connecting it. */
  timing?: Maybe<{ part: string; nanos: Int }[]>;
  compact?: Maybe<{
    from?: Maybe<Int>;
    prefilled?: Maybe<Int>;
    shortIds?: Maybe<Int>;
    requested?: Maybe<Int>;
    received?: Maybe<Time>;
  }>;
  sentTo?: Maybe<Int>;
  disconnected?: Maybe<Time>;
}

export interface Blocks extends Answer {
  blocks?: Maybe<BlockRow[]>;
  tips?: Maybe<StateChainTips>;
}

export interface PingPeer {
  peer: Int;
  connectionType?: Maybe<ConnectionType>;
  sent?: Maybe<Int>;
  answered?: Maybe<Int>;
  waitingSince?: Maybe<Time>;
  last?: Maybe<Int>;
  min?: Maybe<Int>;
  median?: Maybe<Int>;
  max?: Maybe<Int>;
  received?: Maybe<Int>;
}

export interface Pings extends Answer {
  probe?: Maybe<{ time: Time; nanos: Int; outstanding?: Maybe<Int> }[]>;
  /** For how long our own ping waits that nobody answers, nanoseconds. */
  unanswered?: Maybe<Int>;
  peers?: Maybe<PingPeer[]>;
}

export interface Finding {
  id: string;
  time: Time;
  kind: Kind;
  node: string;
  /** It is about all nodes; then `node` is the name of none. */
  fleet?: Maybe<boolean>;
  detector?: Maybe<string>;
  title?: Maybe<string>;
  severity?: Maybe<string>;
  verdict?: Maybe<string>;
  /** Whom it is about, where that is no peer. */
  about?: Maybe<string>;
  /** Events are missing: it is neither confirmed nor over. */
  unknown?: Maybe<boolean>;
  active?: Maybe<boolean>;
  cleared?: Maybe<Time>;
  peers?: Maybe<Int[]>;
  text?: Maybe<string>;
  why?: Maybe<string>;
  inputs?: Maybe<{ name: string; value: string; limit?: string }[]>;
  evidence?: Maybe<{ time?: Maybe<Time>; text: string }[]>;
  notProven?: Maybe<string[]>;
  event?: Maybe<Event>;
}

export interface Findings extends Answer {
  findings: Finding[];
}

/** Whether incidents can be worked with here, or why not: the book is elsewhere, a proxy lets in anybody, or this is for strangers. */
export type Acting = "here" | "elsewhere" | "proxy" | "public";

export interface IncidentRow {
  number: Int;
  book: string;
  revision: Int;
  state: IncidentState;
  severity: Severity;
  title: string;
  family: string;
  opened: Time;
  changed: Time;
  resolved?: Maybe<Time>;
  owner?: Maybe<string>;
  reopened: number;
  /** Where it is; none if it is about all nodes. */
  nodes: string[];
  findings: Int;
  /** Findings that last. */
  lasting: Int;
  /** Events are missing: it is neither confirmed nor over. */
  unknown: boolean;
}

/** The book cannot be written: what is shown of it is less than is known. */
export interface IncidentTrouble {
  /** Findings that wait for it. */
  findings: Int;
  /** Findings that were lost. */
  lost: Int;
  /** All of it, for people. */
  sentence: string;
  /** What to do about it. */
  hint: string;
}

export interface Incidents extends Answer {
  trouble?: Maybe<IncidentTrouble>;
  incidents: IncidentRow[];
  /** How messages about them go. */
  receivers: IncidentDelivered[];
  acting: Acting;
}

/** What happened to an incident. */
export interface IncidentEntry {
  time: Time;
  what: string;
  severity: Severity;
  by: string;
  text: string;
  /** The text is longer than what is here. */
  cut: boolean;
}

export interface Incident extends Answer, IncidentRow {
  paragraphs: { heading: string; text: string }[];
  timeline: IncidentEntry[];
  /** Entries that came before those of `timeline` and had to give way. */
  left: Int;
  /** Whether it was heard from its beginning. */
  whole: boolean;
  evidence: IncidentKept[];
  incident: IncidentEvent;
  acting: Acting;
  trouble?: Maybe<IncidentTrouble>;
}

export interface SourceRow {
  node: string;
  source: Source;
  run?: Maybe<Time>;
  beat?: Maybe<Time>;
  lagNanos?: Maybe<Int>;
  published?: Maybe<Int>;
  /** Events of it that came here. */
  heard?: Maybe<Int>;
  lost?: Maybe<Int>;
  attached?: Maybe<string[]>;
  missing?: Maybe<string[]>;
  detached?: Maybe<string>;
}

export interface Health extends Answer {
  sources?: Maybe<SourceRow[]>;
  lost?: Maybe<{ time: Time; node: string; source: Source; stage: string; probe: string; count: Int }[]>;
  hops?: Maybe<{ name: string; seen?: Maybe<Int>; lost?: Maybe<Int>; note?: Maybe<string> }[]>;
  clients?: Maybe<{ now: number; limit?: Maybe<number>; missed?: Maybe<Int> }>;
}

export interface Playback {
  recording: boolean;
  start?: Maybe<Time>;
  end?: Maybe<Time>;
  position?: Maybe<Time>;
  playing?: Maybe<boolean>;
  speed?: Maybe<number>;
  /** On its way to a moment: what the pages show is not of it yet. */
  seeking?: Maybe<boolean>;
  /** Grows with each change: answers and notes overtake each other. */
  change?: Maybe<Int>;
  error?: Maybe<string>;
}

export interface FieldDoc {
  name: string;
  type: string;
  repeated?: Maybe<boolean>;
  optional?: Maybe<boolean>;
  text?: Maybe<string>;
  doc?: Maybe<string>;
}

export interface Schema {
  kinds: { kind: Kind; doc?: Maybe<string>; fields: FieldDoc[] }[];
  messages?: Maybe<Record<string, { doc?: Maybe<string>; fields: FieldDoc[] } | undefined>>;
}

/** Which answer each path gives. */
export interface Answers {
  nodes: Nodes;
  peers: Peers;
  peer: Peer;
  summary: Summary;
  transactions: Transactions;
  addresses: Addresses;
  blocks: Blocks;
  pings: Pings;
  findings: Findings;
  incidents: Incidents;
  incident: Incident;
  health: Health;
  playback: Playback;
  schema: Schema;
}
