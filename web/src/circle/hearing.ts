// What the circle hears of the stream, and what the stage makes of it.

import type { Brief, Subscription } from "../client.ts";
import type { Message } from "./stage.ts";

/** What the circle wants to hear of these nodes; none means all. */
export function wanted(nodes: readonly string[]): Subscription {
  return {
    kinds: ["net.*", "conn.opened", "conn.closed", "conn.evicted", "conn.misbehaving"],
    nodes,
    form: "brief",
    // probes and log both see who comes and goes
    primary: true,
    interval_ms: 50,
  };
}

/** A message as the stage takes it. It is one, however many transactions, addresses or headers are in it. */
export function message(event: Brief, peer: string): Message {
  return {
    peer,
    direction: event.direction ?? "unspecified",
    kind: event.kind,
    connectionType: event.connectionType,
    count: 1,
  };
}
