// What is known of peers, put together from what the server states: by the probes, by getpeerinfo.

import type { PeerRow } from "./api.ts";
import { between, words, type Time } from "./format.ts";
import { TYPE_ORDER, typeLook } from "./networks.ts";
import type { Cell } from "./table.ts";

/** How the pages link to a peer. */
export type PeerLink = (id: string | number) => string;

/** A cell that names a peer and leads to it. */
export function peerCell(id: string | number | null | undefined, to: PeerLink, type?: string | null): Cell {
  if (id === null || id === undefined || id === "") return { text: "–" };
  return { text: String(id), href: to(id), mark: type ?? undefined, title: type ? typeLook(type).label : undefined };
}

/** How long a peer is, or was, connected. */
export function age(peer: PeerRow, now: Time): string {
  return peer.opened ? between(peer.opened, peer.closed ?? now) : "–";
}

/** Peers by type in the order in which they are always listed; types without peers are left out. */
export function byType(counts: Partial<Record<string, number>> | null | undefined): { type: string; count: number }[] {
  const all = Object.entries(counts ?? {}).map(([type, count]) => ({ type, count: count ?? 0 }));
  const place = (type: string) => {
    const found = (TYPE_ORDER as readonly string[]).indexOf(type);
    return found < 0 ? TYPE_ORDER.length : found;
  };
  return all.filter(({ count }) => count > 0).sort((a, b) => place(a.type) - place(b.type));
}

/** Whether every word of a search is somewhere in what is shown of a peer. `type:inbound` and the like look at one thing only. */
export function matches(peer: PeerRow, search: string): boolean {
  const facts: Record<string, string> = {
    id: String(peer.id),
    address: peer.address ?? "",
    type: typeLook(peer.connectionType).label,
    network: peer.network ?? "",
    agent: peer.userAgent ?? peer.info?.subver ?? "",
    transport: peer.transport ?? "",
  };
  return search
    .toLowerCase()
    .split(/\s+/)
    .filter(Boolean)
    .every((word) => {
      const [, name, rest] = /^(\w+):(.*)$/.exec(word) ?? [];
      const fact = name === undefined ? undefined : facts[name];
      if (fact !== undefined && rest !== undefined) return name === "id" ? fact === rest : fact.toLowerCase().includes(rest);
      return Object.values(facts).some((value) => value.toLowerCase().includes(word));
    });
}

/** In a word, how it stands with the peer. */
export function state(peer: PeerRow): { text: string; tone?: string } {
  if (peer.evicted) return { text: "evicted", tone: "warn" };
  const misbehaved = Number(peer.misbehaved ?? 0);
  if (peer.closed)
    return misbehaved > 0
      ? { text: "misbehaved, left", tone: "bad" }
      : { text: peer.end ? words(peer.end) : "left", tone: "quiet" };
  if (misbehaved > 0) return { text: misbehaved === 1 ? "misbehaved" : `misbehaved ${misbehaved}×`, tone: "bad" };
  return { text: peer.version || peer.info ? "connected" : "handshake" };
}
