// What the circle shows, without drawing it: where each peer stands, what flies, what flashes. Pure: it is given the time.

import type { ConnectionType, Direction, Kind } from "../schema.ts";
import { FAMILIES, TYPE_ORDER, messageFamily, type MessageFamily } from "../networks.ts";

/** How long a message flies, ms. */
export const FLIGHT = 700;
/** How long an opening, closing or eviction shows, ms. */
export const FLASH = 1600;
/** At most this many marks fly at once: what is more than the eye can see is one mark that is larger. */
export const MOST_FLYING = 1200;
/** Messages of one peer, direction and family that start within this time fly as one, ms. */
export const TOGETHER = 100;
/** Peers that a stage holds; Bitcoin Core has 125 by default. */
export const MOST_PEERS = 1000;

/** Families start one after the other, ms apart: what was said in one breath does not fly one on the other. */
const LAG = 35;
const LAGGING = Object.keys(FAMILIES) as MessageFamily[];

export interface Standing {
  id: string;
  type: ConnectionType;
  /** Where it is, radians from the top, clockwise; it moves towards `target`. */
  angle: number;
  target: number;
  /** How busy: messages of the last second, fading. */
  heat: number;
  /** When it left; it fades until it is gone. */
  left?: number;
  flash?: { what: "opened" | "closed" | "evicted" | "misbehaving"; at: number };
}

export interface Flying {
  peer: Standing;
  inbound: boolean;
  family: MessageFamily;
  /** When it started, ms. */
  at: number;
  /** How many messages it stands for. */
  count: number;
}

/** A message as the stage needs it. */
export interface Message {
  peer: string;
  direction: Direction;
  kind: Kind;
  connectionType?: ConnectionType | undefined;
  count: number;
}

export class Stage {
  readonly peers = new Map<string, Standing>();
  flying: Flying[] = [];
  /** Messages since the beginning, those that were not drawn included. */
  messages = 0;
  /** Messages per second, fading. */
  rate = 0;
  private readonly starting = new Map<string, Flying>();

  /** A peer is there. `at` is absent for those that were there before. */
  open(id: string, type: ConnectionType, at?: number): Standing | undefined {
    let peer = this.peers.get(id);
    if (!peer || peer.left !== undefined) {
      if (!peer && this.peers.size >= MOST_PEERS) return undefined;
      peer = { id, type, angle: Number.NaN, target: 0, heat: 0 };
      this.peers.set(id, peer);
      if (at !== undefined) peer.flash = { what: "opened", at };
      this.place();
    } else if (peer.type !== type && type !== "unspecified") {
      peer.type = type;
      this.place();
    }
    return peer;
  }

  close(id: string, at: number): void {
    const peer = this.peers.get(id);
    if (!peer || peer.left !== undefined) return;
    peer.left = at;
    if (peer.flash?.what !== "evicted") peer.flash = { what: "closed", at };
  }

  evict(id: string, at: number): void {
    const peer = this.peers.get(id);
    if (peer) peer.flash = { what: "evicted", at };
  }

  misbehave(id: string, at: number): void {
    const peer = this.peers.get(id);
    if (peer) peer.flash = { what: "misbehaving", at };
  }

  /** Who is connected, as the server states it: who is not in the list has left. */
  settle(connected: readonly { id: string; type: ConnectionType }[], at: number): void {
    const known = new Set(connected.map(({ id }) => id));
    for (const { id, type } of connected) this.open(id, type);
    for (const id of this.peers.keys()) if (!known.has(id)) this.close(id, at);
  }

  /** A message starts to fly; close ones of the same sort fly as one. */
  say(message: Message, at: number): void {
    this.messages += message.count;
    this.rate += message.count;
    const peer = this.peers.get(message.peer) ?? this.open(message.peer, message.connectionType ?? "unspecified");
    if (!peer) return;
    peer.heat += message.count;
    const inbound = message.direction === "inbound";
    const family = messageFamily(message.kind);
    const key = `${message.peer} ${message.direction} ${family}`;
    const together = this.starting.get(key);
    const lag = LAG * LAGGING.indexOf(family);
    // in a crowd one mark stands for all until it lands: so every peer keeps its share of the marks
    const within = this.flying.length > MOST_FLYING / 2 ? FLIGHT : TOGETHER;
    if (together && at - together.at + lag < within && together.peer === peer) {
      together.count += message.count;
      return;
    }
    if (this.flying.length >= MOST_FLYING) return;
    const mark = { peer, inbound, family, at: at + lag, count: message.count };
    this.starting.set(key, mark);
    this.flying.push(mark);
  }

  /** Moves everything to this moment; `still` places peers at once. `since` is the time since the last call, ms. */
  step(at: number, since: number, still: boolean): void {
    const fade = Math.exp(-since / 1000);
    this.rate *= fade;
    this.flying = this.flying.filter((mark) => at - mark.at < FLIGHT);
    if (this.starting.size > 4 * MOST_FLYING) this.starting.clear();
    let gone = false;
    const pull = still ? 1 : 1 - Math.exp(-since / 180);
    for (const [id, peer] of this.peers) {
      peer.heat *= fade;
      peer.angle = Number.isNaN(peer.angle) ? peer.target : peer.angle + (peer.target - peer.angle) * pull;
      if (peer.flash && at - peer.flash.at > FLASH) delete peer.flash;
      if (peer.left !== undefined && at - peer.left > FLASH) {
        this.peers.delete(id);
        gone = true;
      }
    }
    if (gone) this.place();
  }

  /** Forgets all: a recording jumped. */
  clear(): void {
    this.peers.clear();
    this.starting.clear();
    this.flying = [];
    this.messages = 0;
    this.rate = 0;
  }

  /** Peers in their order: by type, then by id, evenly around the circle from the top. */
  order(): Standing[] {
    return [...this.peers.values()].sort(
      (a, b) => TYPE_ORDER.indexOf(a.type) - TYPE_ORDER.indexOf(b.type) || Number(a.id) - Number(b.id),
    );
  }

  private place(): void {
    const order = this.order();
    order.forEach((peer, i) => {
      peer.target = (2 * Math.PI * i) / order.length;
    });
  }
}

/** The share of its way that a mark has gone, 0 to 1; slow at both ends. */
export function way(mark: Flying, at: number): number {
  const share = Math.min(1, Math.max(0, (at - mark.at) / FLIGHT));
  return share * share * (3 - 2 * share);
}

/** How large a mark is that stands for so many messages: each doubling adds a little. */
export function size(count: number): number {
  return Math.min(7, 2.2 + Math.log2(1 + count) * 0.55);
}
