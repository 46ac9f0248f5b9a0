import assert from "node:assert/strict";
import { test } from "node:test";
import type { Finding, NodeRow, PeerRow } from "../src/api.ts";
import { current, table } from "../src/chart.ts";
import { field, summary } from "../src/events.ts";
import { messageFamily, serviceNames, typeLook } from "../src/networks.ts";
import { kindsOf, peersOf, strangers } from "../src/pages/messages.ts";
import { missing, toTip } from "../src/pages/blocks.ts";
import { condition, lostIn } from "../src/pages/health.ts";
import { byType, matches, state } from "../src/peers.ts";
import { stride } from "../src/playback.ts";
import { complete, concerns, edition, place, watched } from "../src/finding.ts";
import { commands } from "../src/incident.ts";
import { link, parse } from "../src/route.ts";
import { joined, read, trimmed } from "../src/wire.ts";
import type { Event } from "../src/schema.ts";
import { ordered, type Column } from "../src/table.ts";

test("a link leads back to what it was made of", () => {
  const made = link("peers", [
    ["node", "alice & bob"],
    ["at", "2026-11-22T10:58:21.528Z"],
    ["filter", ""],
    ["peer", undefined],
  ]);
  assert.equal(made, "#/peers?node=alice+%26+bob&at=2026-11-22T10%3A58%3A21.528Z");
  assert.deepEqual(parse(made), {
    page: "peers",
    params: new Map([
      ["node", "alice & bob"],
      ["at", "2026-11-22T10:58:21.528Z"],
    ]),
  });
  assert.equal(parse("").page, "overview");
  assert.equal(parse("#/").page, "overview");
});

test("service bits have names, unknown ones numbers", () => {
  assert.deepEqual(serviceNames("3081"), ["network", "witness", "network limited", "v2 transport"]);
  assert.deepEqual(serviceNames("9223372036854775808"), ["bit 63"]);
  assert.deepEqual(serviceNames("0"), []);
  assert.deepEqual(serviceNames(undefined), []);
});

test("the three types that everybody knows have the colours that everybody knows, and shapes of their own", () => {
  const looks = (["inbound", "outbound_full_relay", "block_relay_only"] as const).map(
    (type) => `${typeLook(type).colour} ${typeLook(type).shape}`,
  );
  assert.deepEqual(looks, ["inbound disc", "full square", "block triangle"]);
  assert.equal(typeLook("something_new").label, "unknown");
});

test("a kind that is new is other", () => {
  assert.equal(messageFamily("net.tx"), "transactions");
  assert.equal(messageFamily("net.of_tomorrow"), "other");
});

test("peers are listed by type in the same order always", () => {
  assert.deepEqual(byType({ inbound: 40, manual: 1, outbound_full_relay: 8, feeler: 0, of_tomorrow: 2 }), [
    { type: "outbound_full_relay", count: 8 },
    { type: "manual", count: 1 },
    { type: "inbound", count: 40 },
    { type: "of_tomorrow", count: 2 },
  ]);
});

test("a search finds peers by any word, or by one thing", () => {
  const peer: PeerRow = {
    id: "12",
    address: "203.0.113.7:8333",
    connectionType: "outbound_full_relay",
    network: "ipv4",
    userAgent: "/Satoshi:31.0.0/",
  };
  for (const search of ["", "203.0", "FULL satoshi", "id:12", "agent:satoshi type:full", "network:ipv4"])
    assert.ok(matches(peer, search), search);
  for (const search of ["id:1", "inbound", "agent:knots", "full knots"]) assert.ok(!matches(peer, search), search);
});

test("how it stands with a peer, in a word", () => {
  const cases: [PeerRow, string][] = [
    [{ id: 1, version: 70016 }, "connected"],
    [{ id: 1 }, "handshake"],
    [{ id: 1, version: 70016, misbehaved: "2" }, "misbehaved 2×"],
    [{ id: 1, closed: "5" }, "left"],
    [{ id: 1, closed: "5", end: "socket_closed" }, "socket closed"],
    [{ id: 1, closed: "5", evicted: true }, "evicted"],
    [{ id: 1, closed: "5", misbehaved: 1 }, "misbehaved, left"],
  ];
  for (const [peer, want] of cases) assert.equal(state(peer).text, want);
});

test("rows without a value come last, either way", () => {
  const column: Column<{ n?: number }> = { id: "n", title: "n", cell: () => "", order: ({ n }) => n };
  const rows = [{ n: 2 }, {}, { n: 10 }];
  assert.deepEqual(ordered(rows, column, false), [{ n: 2 }, { n: 10 }, {}]);
  assert.deepEqual(ordered(rows, column, true), [{ n: 10 }, { n: 2 }, {}]);
});

test("an event is a line, without what the line shows elsewhere", () => {
  const event = {
    node: "demo",
    kind: "net.inv",
    netInv: {
      peer: "1",
      direction: "inbound",
      address: "a",
      connectionType: "inbound",
      network: "ipv4",
      size: 37,
      items: [
        { type: "wtx", hash: "00" },
        { type: "wtx", hash: "01" },
      ],
    },
  };
  assert.equal(summary(event as unknown as Event), "items=2 (2 wtx)");
  assert.equal(field("chain.block_connected"), "chainBlockConnected");
});

test("filters of the stream are read as typed", () => {
  assert.deepEqual(kindsOf(" net.*, conn.opened  mempool.*"), ["net.*", "conn.opened", "mempool.*"]);
  assert.deepEqual(peersOf("12, 7 x -3"), [12, 7]);
  assert.deepEqual([strangers(" 12, 7 "), strangers("12, x -3")], [[], ["x", "-3"]]);
});

test("a series becomes columns; what is missing is a gap", () => {
  const lines = [
    { column: "in", label: "", colour: "" },
    { column: "of tomorrow", label: "", colour: "" },
    { column: "dots", label: "", colour: "", points: true },
  ];
  assert.deepEqual(table({ start: "1000000000", step: "1000000000", columns: { in: [1, null], dots: [0, 3] } }, lines), [
    [1, 2],
    [1, null],
    [null, null],
    [null, 3],
  ]);
});

test("a block's delays", () => {
  assert.equal(toTip({ hash: "", firstSeen: "1795345101528701329", connected: "1795345101530701329" }), 2_000_000);
  assert.equal(toTip({ hash: "", connected: "1" }), undefined);
  assert.equal(missing({ hash: "", compact: { shortIds: 4, requested: 1 } }), 0.25);
  assert.equal(missing({ hash: "", compact: { shortIds: 0 } }), undefined);
});

test("a source that does not beat does not work", () => {
  const now = "1795345101000000000";
  const beat = (ago: bigint) => String(BigInt(now) - ago * 1_000_000_000n);
  assert.equal(condition({ node: "a", source: "ebpf", beat: beat(6n), attached: ["x"] }, now).text, "silent");
  assert.equal(condition({ node: "a", source: "ebpf", beat: beat(1n), attached: ["x"] }, now).text, "attached");
  assert.equal(condition({ node: "a", source: "ebpf", beat: beat(1n), lost: "3" }, now).text, "losing events");
  assert.equal(condition({ node: "a", source: "ebpf", beat: beat(1n), detached: "it ended" }, now).text, "detached");
});

test("an arrow key goes a second, or a hundredth of a long recording", () => {
  assert.equal(stride("0", "26000000000"), 1000);
  assert.equal(stride("0", "3600000000000"), 36_000);
});

test("a series begins where something was heard, and is never shorter than half a minute", () => {
  const values = (zeros: number, rest: number[]) => [...Array.from({ length: zeros }, () => 0), ...rest];
  const short = trimmed({ start: "0", step: "1000000000", columns: { a: values(598, [1, 2]), b: values(600, []) } });
  assert.deepEqual([short.start, short.columns["a"]?.length, short.columns["b"]?.length], ["570000000000", 30, 30]);
  const long = trimmed({
    start: "0",
    step: "1000000000",
    columns: {
      a: values(
        100,
        values(
          0,
          Array.from({ length: 500 }, () => 1),
        ),
      ),
    },
  });
  assert.deepEqual([long.start, long.columns["a"]?.length], ["99000000000", 501]);
  const whole = { start: "0", step: "1000000000", columns: { a: [1, 2, 3] } };
  assert.deepEqual(trimmed(whole), whole);
});

test("a transaction known by either id is one row, as far as it came", () => {
  const rows = joined([
    { txid: "a", fee: "1410", vsize: "141", announcers: 0, firstAnnounced: null, state: "in_mempool" },
    { txid: "a", wtxid: "b", announcers: 2, firstAnnounced: "5", receivedFrom: "4", state: "received" },
    { wtxid: "c", announcers: 1, state: "announced" },
  ]);
  assert.deepEqual(rows, [
    {
      txid: "a",
      wtxid: "b",
      fee: "1410",
      vsize: "141",
      announcers: 2,
      firstAnnounced: "5",
      receivedFrom: "4",
      state: "in_mempool",
    },
    { wtxid: "c", announcers: 1, state: "announced" },
  ]);
});

test("who left is in the same table", () => {
  const answer = { now: "0", node: "a", peers: [{ id: 1 }], gone: [{ id: 2, closed: "5" }] };
  assert.deepEqual(
    read("peers", answer).peers.map(({ id }) => id),
    [1, 2],
  );
});

test("a finding says its numbers with units and limits", () => {
  const event = {
    kind: "finding.opened",
    findingOpened: {
      finding: {
        detector: "D39",
        version: 1,
        name: "inv_queue",
        id: "x",
        entity: { kind: "peer", peer: "12" },
        severity: "warn",
        verdict: "investigate",
        score: 1.25,
        inputs: [
          { name: "largest_queue", value: 62500, unit: "transactions", threshold: 50000 },
          { name: "share", value: 0.42, unit: "share" },
        ],
        opened: "5",
        evidence: [{ source: "rpc", run: "1", fromSequence: "7", toSequence: "9", time: "5" }],
        summary: "it grows",
        doesNotProve: "that the peer means harm",
        unknown: false,
      },
    },
  } as unknown as Event;
  const said = complete({ id: "x", time: "5", kind: "net.ping", node: "a", event });
  assert.deepEqual(said.inputs, [
    { name: "largest_queue", value: "62,500 transactions", limit: "50,000 transactions" },
    { name: "share", value: "42.0 %" },
  ]);
  assert.deepEqual([said.title, said.peers, said.notProven], ["inv queue", ["12"], ["that the peer means harm"]]);
  assert.deepEqual(said.evidence, [{ time: "5", text: "events 7 to 9 of rpc" }]);
});

test("an update of a finding is news, also after another update", () => {
  const said = (sequence: string) => ({ kind: "finding.updated", run: "1", sequence }) as Event;
  const finding = { id: "a", time: "5", kind: "finding.updated", node: "n", active: true } as const;
  assert.equal(edition([{ ...finding, event: said("7") }]), edition([{ ...finding, event: said("7") }]));
  assert.notEqual(edition([{ ...finding, event: said("7") }]), edition([{ ...finding, event: said("8") }]));
});

test("an event that was lost on the way is counted once", () => {
  const hops = [
    { name: "kernel to reader", lost: "3" },
    { name: "bus to this program", lost: "100" },
    { name: "this program to pages" },
  ];
  assert.equal(lostIn(hops), 103);
});

test("what happened minutes ago does not happen now", () => {
  const lines = [
    { column: "in", label: "", colour: "" },
    { column: "rejected", label: "", colour: "", points: true },
    { column: "of tomorrow", label: "", colour: "" },
  ];
  const series = { start: "0", step: "1000000000", columns: { in: [5, 7], rejected: [9, 0] } };
  assert.deepEqual(current(series, lines), [7, 0, null]);
});

test("what can be done with an incident depends on where it is in its life", () => {
  const last = (state: string) => commands("7", state).map((line) => line.split(" ")[2]);
  assert.deepEqual(last("open"), ["show", "ack", "note", "close"]);
  assert.deepEqual(last("acknowledged"), ["show", "note", "close"]);
  assert.deepEqual(last("resolved"), ["show", "note"]);
});

test("a finding about the fleet is about each node, whatever strangers are told to call it", () => {
  const finding = { id: "x", time: "5", kind: "finding.opened" } as const;
  const [ours, all] = [
    { ...finding, node: "north" },
    { ...finding, node: "node-3f2a", fleet: true },
  ] as Finding[];
  assert.ok(ours && all);
  assert.deepEqual([concerns(ours, "north"), concerns(ours, "south"), place(ours)], [true, false, "north"]);
  assert.deepEqual([concerns(all, "north"), concerns(all, "south"), place(all)], [true, true, undefined]);
  // a name alone says nothing
  assert.equal(concerns({ ...ours, node: "_fleet", fleet: false }, "north"), false);
});

test("that nothing fired means something only where somebody looks", () => {
  const nodes = [
    { node: "north", sources: ["ebpf", "detect"], detecting: true },
    // it did once
    { node: "south", sources: ["ebpf", "detect"], detecting: false },
  ] as NodeRow[];
  const answer = { now: "1", nodes };
  assert.deepEqual([watched(answer), watched(answer, "north"), watched(answer, "south")], [true, true, false]);
  assert.equal(watched({ now: "1", nodes: [{ node: "north" }] }), true, "strangers are not told who looks");
  assert.equal(watched({ now: "1", nodes: [] }), false);
});
