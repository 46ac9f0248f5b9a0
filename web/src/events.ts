// Events as text: what a line says of a body, without knowing its kind. A kind that is new to these pages is shown all the same.

import { UNKNOWN } from "./format.ts";
import type { Event } from "./schema.ts";

/** The fields that every message has; a line shows them in its own columns. */
const COMMON = new Set(["peer", "direction", "address", "connectionType", "network", "size", "raw"]);

/** The name of the body's field: `net.ping` is `netPing`, `chain.block_connected` is `chainBlockConnected`. */
export function field(kind: string): string {
  return kind.replace(/[._]([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** The body of an event. */
export function body(event: Event): Record<string, unknown> {
  const found = (event as unknown as Record<string, unknown>)[field(event.kind)];
  return typeof found === "object" && found !== null ? (found as Record<string, unknown>) : {};
}

/** How many, and of what types where they have one: `3 (2 wtx, 1 block)`. */
function many(items: readonly unknown[]): string {
  const types = new Map<string, number>();
  for (const item of items) {
    const type = typeof item === "object" && item !== null ? (item as { type?: unknown }).type : undefined;
    if (typeof type === "string") types.set(type, (types.get(type) ?? 0) + 1);
  }
  const list = [...types].map(([type, count]) => `${count} ${type}`).join(", ");
  return list ? `${items.length} (${list})` : String(items.length);
}

function short(value: unknown): string | undefined {
  if (value === null || value === undefined || value === "") return undefined;
  if (Array.isArray(value)) return value.length === 0 ? undefined : many(value);
  if (typeof value === "object") return "{…}";
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > 44 ? `${text.slice(0, 20)}…` : text;
}

/** The fields of an event in a line: `txid=6e8f… vsize=141 fee=1692`. */
export function summary(event: Event): string {
  const all = Object.entries(body(event));
  const net = event.kind.startsWith("net.");
  return all
    .filter(
      ([name]) =>
        !(net && COMMON.has(name)) && name !== "peer" && !(name.endsWith("Text") && all.some(([other]) => `${other}Text` === name)),
    )
    .map(([name, value]) => [name, short(value)] as const)
    .filter((pair): pair is readonly [string, string] => pair[1] !== undefined)
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");
}

/** What an event says of its peer, as far as it has one. */
export function peerOf(event: Event): string | undefined {
  const peer = body(event)["peer"];
  return typeof peer === "string" || typeof peer === "number" ? String(peer) : undefined;
}

/** A field of an event's body as text. */
export function text(event: Event, name: string): string {
  return short(body(event)[name]) ?? UNKNOWN;
}
