// Connection types, networks and services: how each is named, coloured and drawn. Colour never stands alone: each type has a shape too.

import type { ConnectionType, Network } from "./schema.ts";

export type Shape = "disc" | "square" | "triangle" | "diamond" | "ring" | "cross" | "star";

export interface TypeLook {
  /** As a table says it. */
  label: string;
  /** What it is for, in a sentence. */
  meaning: string;
  /** Name of its colour in the style sheet. */
  colour: string;
  shape: Shape;
}

const OTHER: TypeLook = { label: "unknown", meaning: "Its type was not stated.", colour: "other", shape: "ring" };

const TYPES: Partial<Record<ConnectionType, TypeLook>> = {
  inbound: { label: "inbound", meaning: "The peer connected to the node.", colour: "inbound", shape: "disc" },
  outbound_full_relay: {
    label: "full relay",
    meaning: "The node connected to it, for blocks, transactions and addresses.",
    colour: "full",
    shape: "square",
  },
  block_relay_only: {
    label: "block relay",
    meaning: "The node connected to it, for blocks only.",
    colour: "block",
    shape: "triangle",
  },
  manual: { label: "manual", meaning: "The operator named it.", colour: "manual", shape: "diamond" },
  feeler: { label: "feeler", meaning: "A short visit: is this address alive?", colour: "feeler", shape: "ring" },
  addr_fetch: { label: "address fetch", meaning: "A short visit for addresses.", colour: "fetch", shape: "cross" },
  private_broadcast: {
    label: "private broadcast",
    meaning: "A short visit to hand over a transaction.",
    colour: "broadcast",
    shape: "star",
  },
};

/** In the order in which they are listed and placed. */
export const TYPE_ORDER: readonly ConnectionType[] = [
  "outbound_full_relay",
  "block_relay_only",
  "manual",
  "feeler",
  "addr_fetch",
  "private_broadcast",
  "inbound",
  "other",
  "unspecified",
];

export function typeLook(type: string | null | undefined): TypeLook {
  return TYPES[type as ConnectionType] ?? OTHER;
}

const NETWORKS: Partial<Record<Network, string>> = {
  not_publicly_routable: "local",
  ipv4: "IPv4",
  ipv6: "IPv6",
  onion: "Tor",
  i2p: "I2P",
  cjdns: "CJDNS",
  internal: "internal",
  torv2: "Tor v2",
};

export function networkName(network: string | null | undefined): string {
  return NETWORKS[network as Network] ?? (network === "other" ? "other" : "unknown");
}

// Bitcoin Core `src/protocol.h`, `ServiceFlags`; 1 << 4 was XTHIN's, 1 << 26 and 1 << 27 are in use without a BIP or by one's own
const SERVICES: readonly (readonly [number, string])[] = [
  [0, "network"],
  [2, "bloom"],
  [3, "witness"],
  [6, "compact filters"],
  [10, "network limited"],
  [11, "v2 transport"],
  [12, "utreexo"],
];

/** The names of these service bits; what has no name is `bit 7`. */
export function serviceNames(services: string | number | null | undefined): string[] {
  if (services === null || services === undefined || services === "") return [];
  const names = [];
  let rest = BigInt(services);
  for (let bit = 0; rest > 0n; bit += 1, rest >>= 1n) {
    if (rest & 1n) names.push(SERVICES.find(([known]) => known === bit)?.[1] ?? `bit ${bit}`);
  }
  return names;
}

export type MessageFamily = "transactions" | "blocks" | "addresses" | "pings" | "handshake" | "other";

/** The families in which messages are drawn, with the marks that tell them apart. */
export const FAMILIES: Record<MessageFamily, { label: string; colour: string; shape: Shape }> = {
  transactions: { label: "transactions", colour: "family-transactions", shape: "disc" },
  blocks: { label: "blocks", colour: "family-blocks", shape: "square" },
  addresses: { label: "addresses", colour: "family-addresses", shape: "triangle" },
  pings: { label: "pings", colour: "family-pings", shape: "ring" },
  handshake: { label: "handshake", colour: "family-handshake", shape: "diamond" },
  other: { label: "other", colour: "family-other", shape: "cross" },
};

const FAMILY_OF: Record<string, MessageFamily> = {
  "net.inv": "transactions",
  "net.getdata": "transactions",
  "net.tx": "transactions",
  "net.notfound": "transactions",
  "net.mempool": "transactions",
  "net.feefilter": "transactions",
  "net.block": "blocks",
  "net.headers": "blocks",
  "net.getheaders": "blocks",
  "net.getblocks": "blocks",
  "net.cmpctblock": "blocks",
  "net.getblocktxn": "blocks",
  "net.blocktxn": "blocks",
  "net.merkleblock": "blocks",
  "net.sendcmpct": "blocks",
  "net.sendheaders": "blocks",
  "net.addr": "addresses",
  "net.addrv2": "addresses",
  "net.getaddr": "addresses",
  "net.ping": "pings",
  "net.pong": "pings",
  "net.version": "handshake",
  "net.verack": "handshake",
  "net.wtxidrelay": "handshake",
  "net.sendaddrv2": "handshake",
  "net.sendtxrcncl": "handshake",
  "net.feature": "handshake",
};

/** The family that a kind of message is drawn in. */
export function messageFamily(kind: string): MessageFamily {
  return FAMILY_OF[kind] ?? "other";
}
