// A conversation as a sequence: silences between messages, and how long each answer took. Pure, so it is tested without a page.

import type { Said } from "./api.ts";
import { millis } from "./format.ts";

/** A message in its place. */
export interface Step extends Said {
  /** Silence before it, ms; absent for the first and where it is too short to matter. */
  gap?: number;
  /** If it is an answer: how long after its question it came, ms. */
  reply?: number;
}

/** Which kinds answer which (BIPs 31, 130, 152, 157; Bitcoin Core `src/net_processing.cpp`). */
const ANSWERS: Record<string, readonly string[]> = {
  "net.pong": ["net.ping"],
  "net.verack": ["net.version"],
  "net.tx": ["net.getdata"],
  "net.block": ["net.getdata"],
  "net.cmpctblock": ["net.getdata"],
  "net.merkleblock": ["net.getdata"],
  "net.notfound": ["net.getdata"],
  "net.getdata": ["net.inv"],
  "net.headers": ["net.getheaders"],
  "net.blocktxn": ["net.getblocktxn"],
  "net.getblocktxn": ["net.cmpctblock"],
  "net.addr": ["net.getaddr"],
  "net.addrv2": ["net.getaddr"],
  "net.cfilter": ["net.getcfilters"],
  "net.cfheaders": ["net.getcfheaders"],
  "net.cfcheckpt": ["net.getcfcheckpt"],
};

/** Questions that one answer settles: the next of the same kind needs a question of its own. */
const SETTLED = new Set(["net.ping", "net.version", "net.getheaders", "net.getblocktxn", "net.cmpctblock", "net.getaddr"]);

/** Messages, oldest first, with gaps of at least `least` ms and the times of answers. */
export function sequence(said: readonly Said[], least = 500): Step[] {
  // by direction and kind: when the questions that are still open were put, oldest first
  const open = new Map<string, number[]>();
  let before: number | undefined;
  return said.map((message) => {
    const at = millis(message.time);
    const step: Step = { ...message };
    if (before !== undefined && at - before >= least) step.gap = at - before;
    before = at;
    const other = message.direction === "inbound" ? "outbound" : "inbound";
    for (const question of ANSWERS[message.kind] ?? []) {
      const asked = open.get(`${other} ${question}`);
      const first = asked?.[0];
      if (first === undefined) continue;
      step.reply = at - first;
      if (SETTLED.has(question)) asked?.shift();
      break;
    }
    const key = `${message.direction} ${message.kind}`;
    const asked = open.get(key) ?? [];
    // one getdata asks for many and is answered by many; a later one takes its place
    open.set(key, SETTLED.has(message.kind) ? [...asked, at].slice(-8) : [at]);
    return step;
  });
}
