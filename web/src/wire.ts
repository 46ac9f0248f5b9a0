// What /api says, and what the pages make of it. The shapes are those of docs/web.md; whatever is not known is absent or null.

import type * as view from "./api.ts";
import { body, peerOf, summary as inWords } from "./events.ts";
import { num, type Int, type Time } from "./format.ts";
import type { Bodies, ConnectionType, Direction, Event, Kind, Network, Source } from "./schema.ts";

type Maybe<T> = T | null | undefined;
/** Values per second, by name; the last is the second of the answer's time. */
type Columns = Record<string, number[]>;

interface Dated {
  time: Time;
}

interface OfNodes<Node> extends Dated {
  nodes: Node[];
}

interface SourceState {
  source: Source;
  run: Time;
  attached?: Maybe<boolean>;
  alive?: Maybe<boolean>;
  beaten?: Maybe<Time>;
  lag?: Maybe<Int>;
  published?: Maybe<Int>;
  events?: Maybe<Int>;
  lost?: Maybe<Int>;
  attachment?: Maybe<Event>;
}

interface NodeState {
  name: string;
  says?: Maybe<string>;
  peers?: Maybe<number>;
  peersByType?: Maybe<Partial<Record<ConnectionType, number>>>;
  sources?: Maybe<SourceState[]>;
  tip?: Maybe<{ hash?: Maybe<string>; height?: Maybe<number>; time?: Maybe<Time> }>;
  latest?: Maybe<Record<string, Event>>;
}

interface PeerState {
  node: string;
  peer: Int;
  address: string;
  network: Network;
  connectionType: ConnectionType;
  opened?: Maybe<Time>;
  since?: Maybe<Time>;
  heard?: Maybe<Time>;
  closed?: Maybe<Time>;
  reason?: Maybe<string>;
  evicted?: Maybe<boolean>;
  userAgent?: Maybe<string>;
  version?: Maybe<number>;
  services?: Maybe<Int>;
  startHeight?: Maybe<number>;
  relay?: Maybe<boolean>;
  transport?: Maybe<string>;
  feeFilter?: Maybe<Int>;
  roundTrip?: Maybe<Int>;
  misbehaved?: Maybe<Int>;
  messagesIn?: Maybe<Int>;
  messagesOut?: Maybe<Int>;
  bytesIn?: Maybe<Int>;
  bytesOut?: Maybe<Int>;
  rateIn?: Maybe<number>;
  rateOut?: Maybe<number>;
  info?: Maybe<view.PeerInfo>;
}

interface Mixed {
  kind: Kind;
  direction: Direction;
  count: Int;
  bytes: Int;
}

interface PeerDepth extends PeerState {
  mix: Mixed[];
  timeline: Event[];
  conversation: { time: Time; kind: Kind; direction: Direction; size: number; count?: Maybe<number> }[];
}

interface Block {
  hash: string;
  height?: Maybe<number>;
  seen: Time;
  announcements: { peer: Int; by: string; time: Time }[];
  announced: number;
  passedOn: number;
  compact?: Maybe<{ time: Time; peer: Int; size: number; shortIds: Int; prefilled: Int }>;
  requested?: Maybe<{ count: Int; time: Time }>;
  completed?: Maybe<Time>;
  received?: Maybe<{ bytes: Int; time: Time }>;
  connected?: Maybe<Time>;
  duration?: Maybe<Int>;
  tip?: Maybe<Time>;
  disconnected?: Maybe<Time>;
  transactions?: Maybe<Int>;
  inputs?: Maybe<Int>;
  reconstruction?: Maybe<{ time: Time; prefilled: Int; mempool: Int; extra: Int; requested: Int }>;
  timing?: Maybe<{ part: string; duration: Int }[]>;
}

interface Relay {
  name: string;
  series: Columns;
  peers: (view.Announcer & { notFound?: Maybe<Int> })[];
  recent: {
    hash: string;
    txid?: Maybe<string>;
    time: Time;
    first?: Maybe<Int>;
    announcements: number;
    requested?: Maybe<{ peer: Int; time: Time }>;
    received?: Maybe<Time>;
    fate?: Maybe<string>;
    reason?: Maybe<string>;
    vsize?: Maybe<Int>;
    fee?: Maybe<Int>;
  }[];
  mempool?: Maybe<Event>;
}

interface Gossip {
  name: string;
  series: Columns;
  networks: Record<string, { in: Int; out: Int }>;
  services: { services: Int; count: Int }[];
  ages: { upToSeconds?: Maybe<Int>; count: Int }[];
  peers: { peer: Int; in: Int; out: Int; messagesIn: Int; messagesOut: Int; getaddrIn?: Maybe<Int>; getaddrOut?: Maybe<Int> }[];
  latest?: Maybe<view.Gossip[]>;
  addrman?: Maybe<Event>;
}

/** The answers as they come, by path. */
export interface Wire {
  nodes: OfNodes<NodeState>;
  peers: Dated & { peers: PeerState[]; gone: PeerState[] };
  peer: Dated & { peer: PeerDepth };
  summary: OfNodes<{
    name: string;
    rates: { messagesIn: number; messagesOut: number; bytesIn: number; bytesOut: number };
    series: Columns;
    mix: Mixed[];
    blocks: Block[];
    notes?: Maybe<Event[]>;
  }> & { findings: Event[] };
  transactions: OfNodes<Relay>;
  addresses: OfNodes<Gossip>;
  blocks: OfNodes<{ name: string; tips?: Maybe<Event>; blocks: Block[] }>;
  pings: OfNodes<{
    name: string;
    probe: { time: Time; roundTrip: Int; outstanding: number }[];
    unanswered?: Maybe<{ time: Time; waiting: Int }>;
    peers: (view.PingPeer & { roundTrip?: Maybe<Int>; minimum?: Maybe<Int>; waiting?: Maybe<Int> })[];
  }>;
  findings: Dated & { findings: Event[] };
  health: OfNodes<{
    name: string;
    sources: SourceState[];
    losses: { source: Source; stage: string; probe: string; count: Int; last: Time }[];
    otherLosses?: Maybe<Int>;
    latest?: Maybe<Record<string, Event>>;
  }> & { missed: Int; web?: Maybe<Record<string, Int>> };
  playback: {
    recording: boolean;
    from?: Time;
    to?: Time;
    at?: Time;
    playing?: boolean;
    speed?: number;
    seeking?: boolean;
    error?: Maybe<string>;
  };
  schema: {
    kinds: { name: Kind; message: string; doc: string; fields: view.FieldDoc[] }[];
    parts: { message: string; doc: string; fields: view.FieldDoc[] }[];
  };
}

/** The chosen node's part, or the first. */
function of<Node extends { name: string }>(answer: OfNodes<Node>, node: string | undefined): Node | undefined {
  return answer.nodes.find(({ name }) => name === node) ?? answer.nodes[0];
}

/** Seconds that a series shows at least: a recording's first moments are no dot. */
const SHORTEST = 30;

/** A series without the time before anything was heard. */
export function series(time: Time, columns: Maybe<Columns>, names: Record<string, string> = {}): view.Series {
  const all = Object.entries(columns ?? {});
  const length = Math.max(0, ...all.map(([, values]) => values.length));
  const first = Math.min(
    ...all.map(([, values]) => values.findIndex((value) => value !== 0) + length - values.length).filter((at) => at >= 0),
    length,
  );
  const cut = Math.max(0, Math.min(first - 1, length - SHORTEST));
  const second = BigInt(time) / 1_000_000_000n - BigInt(Math.max(0, length - 1 - cut));
  return {
    start: String(second * 1_000_000_000n),
    step: 1_000_000_000,
    columns: Object.fromEntries(
      all.map(([name, values]) => [names[name] ?? name, values.slice(Math.max(0, cut - (length - values.length)))]),
    ),
  };
}

function peer(state: PeerState): view.PeerRow {
  const amount = (messages: Maybe<Int>, bytes: Maybe<Int>) =>
    messages === null || messages === undefined ? undefined : { messages, bytes: bytes ?? 0 };
  const evicted = state.evicted ?? state.reason === "evicted";
  return {
    ...state,
    id: state.peer,
    opened: state.opened ?? (state.closed ? undefined : state.since),
    end: state.reason,
    evicted,
    received: amount(state.messagesIn, state.bytesIn),
    sent: amount(state.messagesOut, state.bytesOut),
    messagesPerSecond: state.rateIn === null || state.rateIn === undefined ? undefined : state.rateIn + (state.rateOut ?? 0),
    lastMessage: state.heard,
    ping: state.roundTrip,
    minPing: state.info?.minping,
  };
}

function block(state: Block): view.BlockRow {
  const first = state.announcements[0];
  const asked = state.reconstruction?.requested ?? state.requested?.count ?? 0;
  return {
    hash: state.hash,
    height: state.height,
    firstSeen: first?.time ?? state.seen,
    firstPeer: first?.peer,
    firstHow: first?.by,
    announcers: state.announced || state.announcements.length,
    received:
      state.received?.time ?? state.reconstruction?.time ?? state.completed ?? (num(asked) === 0 ? state.compact?.time : undefined),
    connected: state.connected ?? state.tip,
    connectNanos: state.duration,
    transactions: state.transactions,
    inputs: state.inputs,
    size: state.received?.bytes,
    compact: state.compact && {
      from: state.compact.peer,
      prefilled: state.compact.prefilled,
      shortIds: state.compact.shortIds,
      requested: asked,
      received: state.compact.time,
    },
    sentTo: state.passedOn,
    disconnected: state.disconnected,
    timing: state.timing,
  };
}

function note(event: Event): view.Note {
  return { time: event.time, kind: event.kind, peer: peerOf(event), text: inWords(event) };
}

/** After this long without an answer a transaction counts as withheld, nanoseconds: Bitcoin Core asks the next peer then (`GETDATA_TX_INTERVAL`). */
const WITHHELD = 60_000_000_000n;

/** How far a transaction came. */
function stage(row: Relay["recent"][number], now: Time): view.TransactionState {
  if (row.fate === "added") return "in_mempool";
  if (row.fate === "removed") return row.reason === "block" ? "confirmed" : "removed";
  if (row.fate === "replaced" || row.fate === "rejected") return row.fate;
  if (row.received) return "received";
  if (!row.requested) return "announced";
  return BigInt(now) - BigInt(row.requested.time) > WITHHELD ? "withheld" : "requested";
}

function isBody(event: Maybe<Event>): Maybe<Record<string, unknown>> {
  return event && body(event);
}

/** The body of every `finding.*` event. */
interface Concluded {
  detector: string;
  version: number;
  name: string;
  id: string;
  entity?: { kind: string; peer?: string; address?: string; name?: string };
  severity: string;
  verdict: string;
  score: number;
  inputs: { name: string; value: number; unit: string; threshold?: number }[];
  opened: Time;
  evidence: { source: Source; run: Time; fromSequence: Int; toSequence: Int; time: Time }[];
  summary: string;
  doesNotProve: string;
  unknown: boolean;
}

/** What a detector's event says, as one finding; later events of the same id renew it. */
export function findings(events: readonly Event[]): view.Finding[] {
  const known = new Map<string, view.Finding>();
  // oldest first, so that the newest word stands
  for (const event of [...events].reverse()) {
    const said = body(event)["finding"] as Concluded | undefined;
    const id = said?.id ?? `${event.source} ${event.run} ${event.sequence}`;
    const over = event.kind === ("finding.cleared" as Kind) || event.kind === ("finding.expired" as Kind);
    known.delete(id);
    known.set(id, {
      id,
      time: said?.opened ?? event.time,
      kind: event.kind,
      node: event.node,
      active: !over,
      cleared: over ? event.time : undefined,
      event,
      ...(said && described(said)),
    });
  }
  return [...known.values()].reverse();
}

function described(said: Concluded): Partial<view.Finding> {
  const { entity } = said;
  const about = entity?.peer === undefined ? [entity?.address, entity?.name].filter(Boolean).join(" ") : "";
  const unit = (value: number, unit: string) =>
    unit === "share" ? `${(value * 100).toFixed(1)} %` : `${Number(value.toPrecision(4)).toLocaleString("en")} ${unit}`.trim();
  return {
    detector: `${said.detector} ${said.name}, version ${said.version}`,
    title: said.name.replaceAll("_", " "),
    severity: said.severity,
    verdict: said.verdict,
    peers: entity?.peer === undefined ? [] : [entity.peer],
    about,
    text: said.summary,
    why:
      said.inputs.length > 0
        ? `The criterion is met ${Number(said.score.toPrecision(3))} times over, from these numbers:`
        : undefined,
    inputs: said.inputs.map((input) => ({
      name: input.name,
      value: unit(input.value, input.unit),
      ...(input.threshold === undefined ? {} : { limit: unit(input.threshold, input.unit) }),
    })),
    evidence: said.evidence.map(({ source, fromSequence, toSequence, time }) => ({
      time,
      text:
        fromSequence === toSequence ? `event ${fromSequence} of ${source}` : `events ${fromSequence} to ${toSequence} of ${source}`,
    })),
    notProven: said.doesNotProve ? [said.doesNotProve] : [],
    unknown: said.unknown,
  };
}

function source(node: string, state: SourceState): view.SourceRow {
  const said = state.attachment ? body(state.attachment) : {};
  const list = (name: string) => (Array.isArray(said[name]) ? (said[name] as string[]) : undefined);
  return {
    node,
    source: state.source,
    run: state.run,
    beat: state.beaten,
    alive: state.alive,
    lagNanos: state.lag,
    published: num(state.published) ? state.published : state.events,
    lost: state.lost,
    attached: list("attached"),
    missing: list("missing"),
    detached:
      state.attached === false
        ? typeof said["reason"] === "string" && said["reason"]
          ? said["reason"]
          : "it lost its node"
        : undefined,
  };
}

/** One reader per path: from what came, and the node that was asked for, to what a page shows. */
export const READ: { [Path in keyof Wire]: (answer: Wire[Path], node: string | undefined) => view.Answers[Path] } = {
  nodes: (answer) => ({
    now: answer.time,
    nodes: answer.nodes.map((node) => ({
      node: node.name,
      says: node.says,
      sources: node.sources?.map(({ source }) => source),
      peers: node.peersByType,
      height: node.tip?.height,
      tip: node.tip?.hash,
      tipSince: node.tip?.time,
      latest: node.latest && Object.fromEntries(Object.entries(node.latest).map(([kind, event]) => [kind, body(event)])),
    })),
  }),
  peers: (answer, node) => ({ now: answer.time, node: node ?? "", peers: [...answer.peers.map(peer), ...answer.gone.map(peer)] }),
  peer: ({ time, peer: state }) => {
    const row = peer(state);
    const all = Number(row.received?.messages ?? 0) + Number(row.sent?.messages ?? 0);
    return {
      ...row,
      now: time,
      node: state.node,
      mix: state.mix,
      timeline: state.timeline.map(note),
      conversation: state.conversation.map((said, i) => ({
        ...said,
        sequence: all - state.conversation.length + i,
        text: said.count === null || said.count === undefined ? "" : `${said.count} ${said.count === 1 ? "entry" : "entries"}`,
      })),
      left: Math.max(0, all - state.conversation.length),
    };
  },
  summary: (answer, name) => {
    const node = of(answer, name);
    const kinds = new Map<Kind, { kind: Kind; inbound: number; outbound: number; bytes: number }>();
    for (const { kind, direction, count, bytes } of node?.mix ?? []) {
      const row = kinds.get(kind) ?? { kind, inbound: 0, outbound: 0, bytes: 0 };
      row[direction === "inbound" ? "inbound" : "outbound"] += Number(count);
      row.bytes += Number(bytes);
      kinds.set(kind, row);
    }
    return {
      now: answer.time,
      rates: Object.fromEntries(
        answer.nodes.map(({ name, rates }) => [
          name,
          { messages: rates.messagesIn + rates.messagesOut, bytes: rates.bytesIn + rates.bytesOut },
        ]),
      ),
      series: series(answer.time, node?.series),
      kinds: [...kinds.values()],
      blocks: node?.blocks.map(block),
      notes: node?.notes?.map(note),
      findings: { active: findings(answer.findings).filter(({ active }) => active).length },
    };
  },
  transactions: (answer, name) => {
    const node = of(answer, name);
    const rows = node?.recent.map((row): view.TransactionRow => ({
      txid: row.txid ?? row.hash,
      vsize: row.vsize,
      fee: row.fee,
      seen: row.time,
      firstAnnounced: num(row.first) === undefined ? undefined : row.time,
      firstAnnouncer: row.first,
      announcers: row.announcements,
      requested: row.requested?.time,
      requestedFrom: row.requested?.peer,
      received: row.received,
      state: stage(row, answer.time),
      reason: row.reason,
    }));
    const rejections = new Map<string, number>();
    for (const { state, reason } of rows ?? [])
      if (state === "rejected") rejections.set(reason ?? "", (rejections.get(reason ?? "") ?? 0) + 1);
    return {
      now: answer.time,
      series: series(answer.time, node?.series, { announcedIn: "announced" }),
      mempool: isBody(node?.mempool),
      transactions: rows,
      announcers: node?.peers,
      rejections: [...rejections].map(([reason, count]) => ({ reason, count })),
    };
  },
  addresses: (answer, name) => {
    const node = of(answer, name);
    return {
      now: answer.time,
      series: series(answer.time, node?.series, { entriesIn: "in", entriesOut: "out", freshIn: "fresh" }),
      peers: node?.peers.map((row) => ({ ...row, addressesIn: row.in, addressesOut: row.out })),
      networks: Object.entries(node?.networks ?? {}).map(([network, both]) => ({ network: network as Network, ...both })),
      services: node?.services,
      ages: node?.ages.map(({ upToSeconds, count }) => ({ upTo: upToSeconds, count })),
      addrman: isBody(node?.addrman) as view.Addresses["addrman"],
      latest: node?.latest,
    };
  },
  blocks: (answer, name) => {
    const node = of(answer, name);
    return { now: answer.time, blocks: node?.blocks.map(block), tips: isBody(node?.tips) as Maybe<Bodies["stateChainTips"]> };
  },
  pings: (answer, name) => {
    const node = of(answer, name);
    return {
      now: answer.time,
      probe: node?.probe.map(({ time, roundTrip, outstanding }) => ({ time, nanos: roundTrip, outstanding })),
      unanswered: node?.unanswered,
      peers: node?.peers.map((row) => ({ ...row, last: row.roundTrip, min: row.minimum, waited: row.waiting })),
    };
  },
  findings: (answer) => ({ now: answer.time, findings: findings(answer.findings) }),
  health: (answer) => ({
    now: answer.time,
    sources: answer.nodes.flatMap((node) => node.sources.map((state) => source(node.name, state))),
    lost: answer.nodes.flatMap((node) => node.losses.map(({ last, ...loss }) => ({ ...loss, node: node.name, time: last }))),
    missed: answer.missed,
    web: answer.web,
  }),
  playback: ({ recording, from, to, at, playing, speed, seeking, error }) => ({
    recording,
    start: from,
    end: to,
    position: at,
    playing,
    speed,
    seeking,
    error,
  }),
  schema: ({ kinds, parts }) => ({
    kinds: kinds.map(({ name, doc, fields }) => ({ kind: name, doc, fields })),
    messages: Object.fromEntries(parts.map(({ message, doc, fields }) => [message, { doc, fields }])),
  }),
};
