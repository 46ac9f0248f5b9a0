// Pings: how long the node's message queue is, and how far away each peer.

import type { PingPeer } from "../api.ts";
import { Chart } from "../chart.ts";
import { el } from "../dom.ts";
import { UNKNOWN, between, duration, millis, num, whole } from "../format.ts";
import { Figure, figures, follow, panel, type Context } from "../page.ts";
import { peerCell } from "../peers.ts";
import { Table } from "../table.ts";

/** A ping that waits for so long is worth a look, nanoseconds: a twentieth of what Bitcoin Core bears (`TIMEOUT_INTERVAL`). */
const LONG = 60_000_000_000n;

export function show(root: HTMLElement, context: Context): void {
  const last = new Figure(
    "our ping",
    "Waits in the node's message queue like everybody's message: the longer, the busier the node",
  );
  const backlog = new Figure("waiting", "Our pings without an answer");
  const unanswered = new Figure("never answered", "Our own ping: how long it waited");
  const median = new Figure("peers' median", "Over the newest round trip of each peer");
  const chart = new Chart(
    {
      title: "Round trip of our own ping through the node's message queue",
      value: (value) => duration(value * 1e6),
      lines: [{ column: "nanos", label: "round trip", colour: "received" }],
      height: 170,
    },
    context.signal,
  );
  let now = "0";
  let longest = 1;
  const table = new Table<PingPeer>({
    caption: "Round trips by peer",
    key: ({ peer }) => String(peer),
    empty: "No ping was sent yet. Bitcoin Core sends one every two minutes.",
    sort: "last",
    descending: true,
    columns: [
      {
        id: "peer",
        title: "Peer",
        numeric: true,
        cell: (row) => peerCell(row.peer, (id) => context.to("peer", { id: String(id) }), row.connectionType),
        order: (row) => Number(row.peer),
      },
      {
        id: "last",
        title: "Newest",
        numeric: true,
        cell: (row) => ({ text: duration(row.last), ...(num(row.last) === undefined ? {} : { bar: Number(row.last) / longest }) }),
        order: (row) => num(row.last),
      },
      { id: "min", title: "Best", numeric: true, cell: (row) => duration(row.min), order: (row) => num(row.min) },
      { id: "median", title: "Median", numeric: true, cell: (row) => duration(row.median), order: (row) => num(row.median) },
      { id: "max", title: "Worst", numeric: true, cell: (row) => duration(row.max), order: (row) => num(row.max) },
      {
        id: "sent",
        title: "Pings",
        numeric: true,
        meaning: "From the node to the peer",
        cell: (row) => whole(row.sent),
        order: (row) => num(row.sent),
      },
      { id: "answered", title: "Answered", numeric: true, cell: (row) => whole(row.answered), order: (row) => num(row.answered) },
      {
        id: "waiting",
        title: "Waiting for",
        numeric: true,
        meaning: "The oldest ping without an answer. After 20 minutes Bitcoin Core disconnects",
        cell: ({ waitingSince }) =>
          waitingSince
            ? { text: between(waitingSince, now), tone: BigInt(now) - BigInt(waitingSince) > LONG ? "bad" : undefined }
            : UNKNOWN,
        order: ({ waitingSince }) => (waitingSince ? -Number(waitingSince) : undefined),
      },
      {
        id: "received",
        title: "From it",
        numeric: true,
        meaning: "Pings that the peer sent; a flood of them keeps the node busy",
        cell: (row) => whole(row.received),
        order: (row) => num(row.received),
      },
    ],
  });
  root.append(
    figures(last, backlog, unanswered, median),
    el("div", { class: "charts" }, chart.element),
    panel("By peer", { wide: true }, table.element),
  );
  follow(root, context, "pings", { node: context.asked }, (answer) => {
    now = answer.now;
    const probe = answer.probe ?? [];
    const newest = probe.at(-1);
    last.show(
      duration(newest?.nanos),
      newest ? `${between(newest.time, now)} ago` : "the P2P source is not connected to this node",
    );
    backlog.show(newest ? whole(newest.outstanding ?? 0) : UNKNOWN);
    unanswered.show(
      answer.unanswered ? duration(answer.unanswered) : "none",
      answer.unanswered ? "the node hangs, or was restarted" : "",
    );
    const peers = answer.peers ?? [];
    const trips = peers
      .map((row) => num(row.last))
      .filter((value) => value !== undefined)
      .sort((a, b) => a - b);
    median.show(duration(trips[Math.floor(trips.length / 2)]), `of ${whole(trips.length)}`);
    longest = Math.max(1, ...trips);
    chart.show([probe.map(({ time }) => millis(time) / 1000), probe.map(({ nanos }) => Number(nanos) / 1e6)]);
    table.update(peers);
  });
}
