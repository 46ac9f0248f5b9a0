import assert from "node:assert/strict";
import { test } from "node:test";
import { message, wanted } from "../src/circle/hearing.ts";
import { FLASH, FLIGHT, MOST_FLYING, MOST_PEERS, Stage, TOGETHER, way } from "../src/circle/stage.ts";

const ping = (peer: string, count = 1) => ({ peer, direction: "inbound", kind: "net.ping", count }) as const;

/** Angles in degrees by id. */
const angles = (stage: Stage) => stage.order().map(({ id, angle }) => `${id} ${Math.round((angle * 180) / Math.PI)}`);

test("peers stand by type, then by id, evenly", () => {
  const stage = new Stage();
  stage.open("10", "inbound");
  stage.open("9", "inbound");
  stage.open("3", "outbound_full_relay");
  stage.open("4", "block_relay_only");
  stage.step(0, 16, true);
  assert.deepEqual(angles(stage), ["3 0", "4 90", "9 180", "10 270"]);
});

test("who leaves fades, and then the others close up", () => {
  const stage = new Stage();
  stage.settle(
    [
      { id: "1", type: "inbound" },
      { id: "2", type: "inbound" },
    ],
    0,
  );
  stage.settle([{ id: "2", type: "inbound" }], 10);
  assert.equal(stage.peers.get("1")?.flash?.what, "closed");
  stage.step(10 + FLASH, 16, true);
  assert.equal(stage.peers.size, 2);
  stage.step(11 + FLASH, 16, true);
  stage.step(12 + FLASH, 16, true);
  assert.deepEqual(angles(stage), ["2 0"]);
});

test("an eviction stays visible when the close follows at once", () => {
  const stage = new Stage();
  stage.open("1", "inbound", 0);
  stage.evict("1", 5);
  stage.close("1", 5);
  assert.equal(stage.peers.get("1")?.flash?.what, "evicted");
});

test("messages that come together fly as one, and none is forgotten", () => {
  const stage = new Stage();
  stage.say(ping("1"), 0);
  stage.say(ping("1", 4), TOGETHER - 1);
  stage.say(ping("1"), TOGETHER);
  stage.say({ ...ping("1"), direction: "outbound" }, TOGETHER);
  assert.deepEqual(
    stage.flying.map(({ count }) => count),
    [5, 1, 1],
  );
  assert.equal(stage.messages, 7);
  stage.step((stage.flying[0]?.at ?? 0) + FLIGHT, 16, false);
  assert.equal(stage.flying.length, 2);
});

test("a flood is bounded in marks and in peers, and counted whole", () => {
  const stage = new Stage();
  for (let i = 0; i < 3 * MOST_PEERS; i += 1) stage.say(ping(String(i)), i);
  assert.equal(stage.flying.length, MOST_PEERS);
  assert.equal(stage.peers.size, MOST_PEERS);
  for (let i = 0; i < MOST_PEERS; i += 1) stage.say({ ...ping(String(i)), kind: "net.tx" }, 3 * MOST_PEERS);
  assert.equal(stage.flying.length, MOST_FLYING);
  assert.equal(stage.messages, 4 * MOST_PEERS);
});

test("a mark goes the whole way, and only forward", () => {
  const stage = new Stage();
  stage.say(ping("1"), 100);
  const [mark] = stage.flying;
  assert.ok(mark);
  const shares = [0, mark.at, mark.at + FLIGHT / 2, mark.at + FLIGHT, mark.at + 2 * FLIGHT].map((at) => way(mark, at));
  assert.deepEqual(shares, [0, 0, 0.5, 1, 1]);
});

test("a message is one, whatever is in it", () => {
  const stage = new Stage();
  const headers = {
    time: "5",
    node: "a",
    kind: "net.headers",
    peer: "1",
    direction: "inbound",
    size: 162_003,
    count: 2000,
  } as const;
  stage.say(message(headers, "1"), 0);
  assert.deepEqual([stage.messages, stage.rate, stage.flying[0]?.count], [1, 1, 1]);
});

test("who comes and goes is heard once, whoever else saw it", () => {
  assert.equal(wanted(["a"]).primary, true);
});
