// Blocks: who told the node first, how the block came, and how long it took to become the tip.

import type { BlockRow, Blocks } from "../api.ts";
import { Chart } from "../chart.ts";
import { el } from "../dom.ts";
import { UNKNOWN, between, bytes, clock, duration, hash, millis, moment, num, percent, plural, whole, words } from "../format.ts";
import { Figure, figures, follow, panel, type Context } from "../page.ts";
import { peerCell } from "../peers.ts";
import { Table } from "../table.ts";

const HOW: Record<string, string> = {
  header: "header",
  headers: "header",
  compact: "compact block",
  cmpctblock: "compact block",
  inv: "inv",
  block: "whole block",
  blocktxn: "compact block",
};

/** From the first word of a block to the node's tip, nanoseconds. */
export function toTip({ firstSeen, connected }: BlockRow): number | undefined {
  const took = firstSeen && connected ? Number(BigInt(connected) - BigInt(firstSeen)) : undefined;
  // who talks of an old block later is no part of its way
  return took !== undefined && took >= 0 ? took : undefined;
}

/** How many of a compact block's transactions the node had to ask for, as a share. */
export function missing({ compact }: BlockRow): number | undefined {
  const ids = Number(compact?.shortIds ?? 0);
  return compact && ids > 0 ? Number(compact.requested ?? 0) / ids : undefined;
}

function middle(values: number[]): number | undefined {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

export function show(root: HTMLElement, context: Context): void {
  const height = new Figure("height");
  const delay = new Figure("first word to tip", "The median over the blocks shown");
  const validation = new Figure("validation", "The median time to connect a block, over the blocks shown");
  const complete = new Figure("compact blocks", "Put together without asking for a transaction");
  const chart = new Chart(
    {
      title: "First word to tip, and validation",
      value: (value) => duration(value * 1e6),
      lines: [
        { column: "tip", label: "first word to tip", colour: "received", points: true },
        { column: "validation", label: "validation", colour: "sent", points: true },
      ],
    },
    context.signal,
  );
  const peer = (id: string | number) => context.to("peer", { id: String(id) });
  const table = new Table<BlockRow>({
    caption: "Newest blocks",
    key: ({ hash }) => hash,
    empty: "No block since this program started. Bitcoin finds one every ten minutes on average.",
    sort: "height",
    descending: true,
    limit: 200,
    remember: "blocks",
    columns: [
      {
        id: "height",
        title: "Height",
        numeric: true,
        cell: ({ height }) => whole(height),
        order: ({ height }) => height ?? undefined,
      },
      { id: "hash", title: "Hash", cell: (block) => ({ text: hash(block.hash, "block"), title: block.hash }) },
      {
        id: "seen",
        title: "First word",
        numeric: true,
        cell: ({ firstSeen }) => ({ text: clock(firstSeen), title: moment(firstSeen) }),
        order: ({ firstSeen }) => num(firstSeen),
      },
      {
        id: "first",
        title: "First from",
        numeric: true,
        meaning: "The peer that told the node first",
        cell: ({ firstPeer }) => peerCell(firstPeer, peer),
        order: ({ firstPeer }) => num(firstPeer),
      },
      {
        id: "how",
        title: "As",
        cell: ({ firstHow }) => (firstHow ? (HOW[firstHow] ?? words(firstHow)) : UNKNOWN),
        order: ({ firstHow }) => firstHow ?? undefined,
      },
      {
        id: "announcers",
        hidden: true,
        title: "Told by",
        numeric: true,
        cell: ({ announcers }) => (announcers ? plural(Number(announcers), "peer") : UNKNOWN),
        order: ({ announcers }) => num(announcers),
      },
      {
        id: "received",
        title: "Arrived after",
        numeric: true,
        meaning: "From the first word to the whole block",
        cell: ({ firstSeen, received }) => (firstSeen && received ? between(firstSeen, received) : UNKNOWN),
      },
      {
        id: "tip",
        title: "Tip after",
        numeric: true,
        meaning: "From the first word to the node's tip",
        cell: (block) => duration(toTip(block)),
        order: toTip,
      },
      {
        id: "validation",
        title: "Validation",
        numeric: true,
        meaning: "Time that the node spent to connect it",
        cell: ({ connectNanos, timing }) => ({
          text: duration(connectNanos),
          title: timing?.map(({ part, nanos }) => `${words(part)}: ${duration(nanos)}`).join("\n") || undefined,
        }),
        order: ({ connectNanos }) => num(connectNanos),
      },
      {
        id: "missing",
        title: "Asked for",
        numeric: true,
        meaning: "Transactions of the compact block that the node did not have",
        cell: ({ compact }) => (compact ? `${whole(compact.requested ?? 0)} of ${whole(Number(compact.shortIds ?? 0))}` : UNKNOWN),
        order: missing,
      },
      {
        id: "transactions",
        title: "Transactions",
        numeric: true,
        cell: ({ transactions }) => whole(transactions),
        order: ({ transactions }) => num(transactions),
      },
      {
        id: "sent",
        title: "Passed on to",
        numeric: true,
        meaning: "Peers that the node announced it to",
        cell: ({ sentTo }) => (sentTo ? plural(Number(sentTo), "peer") : UNKNOWN),
        order: ({ sentTo }) => num(sentTo),
      },
      { id: "size", title: "Size", numeric: true, hidden: true, cell: ({ size }) => bytes(size), order: ({ size }) => num(size) },
      {
        id: "inputs",
        title: "Inputs",
        numeric: true,
        hidden: true,
        cell: ({ inputs }) => whole(inputs),
        order: ({ inputs }) => num(inputs),
      },
      {
        id: "sigops",
        title: "Sigop cost",
        numeric: true,
        hidden: true,
        cell: ({ sigopCost }) => whole(sigopCost),
        order: ({ sigopCost }) => num(sigopCost),
      },
      {
        id: "time",
        title: "Miner's time",
        numeric: true,
        hidden: true,
        cell: ({ headerTime }) => (headerTime ? moment(`${headerTime}000000000`) : UNKNOWN),
        order: ({ headerTime }) => num(headerTime),
      },
      {
        id: "fate",
        title: "Fate",
        hidden: true,
        cell: ({ disconnected, connected }) =>
          disconnected
            ? { text: "disconnected", tone: "bad", title: moment(disconnected) }
            : connected
              ? "in the chain"
              : "not connected",
      },
    ],
  });
  const tips = new Table<NonNullable<Blocks["tips"]>["tips"][number]>({
    caption: "Tips of chains that the node knows",
    key: ({ hash }) => hash,
    empty: "The node was not asked for its tips (RPC).",
    sort: "height",
    descending: true,
    columns: [
      { id: "height", title: "Height", numeric: true, cell: ({ height }) => whole(height), order: ({ height }) => height },
      { id: "hash", title: "Hash", cell: (tip) => ({ text: hash(tip.hash, "block"), title: tip.hash }) },
      {
        id: "status",
        title: "Status",
        cell: ({ status }) => ({
          text: words(status),
          tone: status === "invalid" ? "bad" : status === "active" ? "good" : undefined,
        }),
        order: ({ status }) => status,
      },
      {
        id: "length",
        title: "Branch",
        numeric: true,
        meaning: "Blocks since it left the active chain",
        cell: ({ branchlen }) => (branchlen === 0 ? "main chain" : plural(branchlen, "block")),
        order: ({ branchlen }) => branchlen,
      },
    ],
  });
  root.append(
    figures(height, delay, validation, complete),
    el("div", { class: "charts" }, chart.element),
    panel("Newest blocks", { wide: true, side: el("div", { class: "tools" }, table.chooser) }, table.element),
    panel(
      "Chain tips",
      { note: "Forks that the node knows of. A branch that grows next to the active one deserves a look." },
      tips.element,
    ),
  );
  follow(root, context, "blocks", { node: context.asked }, (answer) => {
    const all = answer.blocks ?? [];
    height.show(
      whole(Math.max(0, ...all.map(({ height }) => height ?? 0)) || undefined),
      all.length > 0 ? `${plural(all.length, "block")} seen` : "no block yet",
    );
    delay.show(duration(middle(all.map(toTip).filter((value) => value !== undefined))), "median");
    validation.show(
      duration(middle(all.map(({ connectNanos }) => num(connectNanos)).filter((value) => value !== undefined))),
      "median",
    );
    const compact = all.filter((block) => block.compact);
    const whole_ = compact.filter((block) => Number(block.compact?.requested ?? 0) === 0).length;
    complete.show(
      compact.length === 0 ? UNKNOWN : percent(whole_ / compact.length),
      compact.length === 0 ? "none yet" : `of ${compact.length} complete at once`,
    );
    const connected = all.filter(({ connected }) => connected).sort((a, b) => Number(a.connected) - Number(b.connected));
    chart.show([
      connected.map(({ connected }) => millis(connected ?? "0") / 1000),
      connected.map((block) => {
        const time = toTip(block);
        return time === undefined ? null : time / 1e6;
      }),
      connected.map(({ connectNanos }) => {
        const time = num(connectNanos);
        return time === undefined ? null : time / 1e6;
      }),
    ]);
    table.update(all);
    tips.update(answer.tips?.tips ?? []);
  });
}
