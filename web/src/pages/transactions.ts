// How transactions travel: who announced them first, who was asked, who delivered, and what became of them.

import type { Announcer, TransactionRow, Transactions } from "../api.ts";
import { Chart } from "../chart.ts";
import { el, write } from "../dom.ts";
import {
  UNKNOWN,
  between,
  bytes,
  clock,
  feeRate,
  hash,
  moment,
  num,
  percent,
  perSecond,
  plural,
  vbytes,
  whole,
  words,
} from "../format.ts";
import { Figure, acquaintances, figures, follow, panel, type Context } from "../page.ts";
import { peerCell } from "../peers.ts";
import { Table } from "../table.ts";

const TONES: Record<string, string> = {
  in_mempool: "good",
  confirmed: "good",
  rejected: "bad",
  withheld: "bad",
  replaced: "warn",
  removed: "warn",
};

/** What the state of a transaction means. */
const MEANINGS: Record<string, string> = {
  announced: "A peer announced it; the node did not ask for it yet.",
  requested: "The node asked a peer for it.",
  received: "It arrived; what became of it is not known.",
  in_mempool: "Accepted.",
  replaced: "Another one that pays more took its place.",
  rejected: "The node did not want it.",
  removed: "It left the mempool without a block.",
  confirmed: "It is in a block.",
  withheld: "A peer announced it, was asked, and did not deliver.",
};

export function show(root: HTMLElement, context: Context): void {
  const size = new Figure("in the mempool");
  const weight = new Figure("of virtual size");
  const memory = new Figure("memory", "Of the mempool, and how much it may use");
  const least = new Figure("least fee", "The mempool takes nothing that pays less");
  const relay = new Chart(
    {
      title: "Announcements and deliveries",
      value: (value) => perSecond(value),
      lines: [
        { column: "announced", label: "announced", colour: "received" },
        { column: "requested", label: "requested", colour: "sent", dashed: true },
        { column: "received", label: "delivered", colour: "good" },
      ],
    },
    context.signal,
  );
  const pool = new Chart(
    {
      title: "Mempool",
      value: (value) => perSecond(value),
      lines: [
        { column: "added", label: "added", colour: "good" },
        { column: "removed", label: "removed", colour: "muted", dashed: true },
        { column: "replaced", label: "replaced", colour: "warn", points: true },
        { column: "rejected", label: "rejected", colour: "bad", points: true },
      ],
    },
    context.signal,
  );
  const peer = (id: string | number) => context.to("peer", { id: String(id) });
  const known = acquaintances(context);
  const search = el("input", {
    type: "search",
    placeholder: "txid, wtxid, state or peer …",
    "aria-label": "Filter transactions",
    value: context.params.get("filter") ?? "",
  });
  const count = el("span", { class: "quiet", role: "status" });
  const table = list(context);
  let most = 1;
  const announcers = new Table<Announcer>({
    caption: "Who announces transactions",
    key: ({ peer }) => String(peer),
    empty: "No peer announced a transaction yet.",
    sort: "first",
    descending: true,
    columns: [
      {
        id: "peer",
        title: "Peer",
        numeric: true,
        cell: (row) => peerCell(row.peer, peer, row.connectionType ?? known.get(String(row.peer))?.connectionType),
        order: (row) => Number(row.peer),
      },
      {
        id: "announced",
        title: "Announced",
        numeric: true,
        cell: ({ announced }) => whole(announced),
        order: ({ announced }) => num(announced),
      },
      {
        id: "first",
        title: "First",
        numeric: true,
        meaning: "Transactions that this peer announced before all others",
        cell: ({ first }) => ({ text: whole(first), bar: Number(first ?? 0) / most }),
        order: ({ first }) => num(first),
      },
      {
        id: "requested",
        title: "Asked for",
        numeric: true,
        meaning: "How often the node asked this peer",
        cell: ({ requested }) => whole(requested),
        order: ({ requested }) => num(requested),
      },
      {
        id: "delivered",
        title: "Delivered",
        numeric: true,
        cell: (row) => ({
          text: whole(row.delivered),
          title: Number(row.requested ?? 0) > 0 ? percent(Number(row.delivered ?? 0) / Number(row.requested)) : undefined,
        }),
        order: ({ delivered }) => num(delivered),
      },
      {
        id: "withheld",
        title: "Withheld",
        numeric: true,
        meaning: "Announced, asked for, and not delivered in time",
        cell: ({ withheld }) => ({ text: whole(withheld), tone: Number(withheld ?? 0) > 0 ? "bad" : undefined }),
        order: ({ withheld }) => num(withheld),
      },
      {
        id: "fee",
        title: "Fee filter",
        numeric: true,
        meaning: "The peer wants no transaction that pays less",
        cell: ({ feeFilter }) => feeRate(feeFilter),
        order: ({ feeFilter }) => num(feeFilter),
      },
    ],
  });
  const rejections = new Table<NonNullable<Transactions["rejections"]>[number]>({
    caption: "Why transactions were rejected",
    key: ({ reason }) => reason,
    empty: "None was rejected.",
    sort: "count",
    descending: true,
    columns: [
      { id: "reason", title: "Reason", wrap: true, cell: ({ reason }) => reason || "none given", order: ({ reason }) => reason },
      { id: "count", title: "Transactions", numeric: true, cell: ({ count }) => whole(count), order: ({ count }) => num(count) },
    ],
  });
  let all: readonly TransactionRow[] = [];
  const update = () => {
    const word = search.value.trim().toLowerCase();
    const rows = all.filter(
      (row) =>
        !word ||
        [row.txid, row.wtxid, words(row.state), row.reason, row.firstAnnouncer ? `peer ${row.firstAnnouncer}` : undefined].some(
          (text) => text?.toLowerCase().includes(word),
        ),
    );
    table.update(rows);
    write(count, plural(rows.length, "transaction"));
  };
  search.addEventListener("input", () => {
    context.remember({ filter: search.value });
    update();
  });
  root.append(
    figures(size, weight, memory, least),
    el("div", { class: "charts" }, relay.element, pool.element),
    panel("Newest transactions", { wide: true, side: el("div", { class: "tools" }, search, count, table.chooser) }, table.element),
    el("div", { class: "columns" }, panel("Announcers", {}, announcers.element), panel("Rejections", {}, rejections.element)),
  );
  follow(root, context, "transactions", { node: context.asked }, (answer) => {
    const mempool = answer.mempool;
    size.show(mempool ? whole(mempool.size) : UNKNOWN, mempool ? "transactions" : "the node was not asked");
    weight.show(vbytes(mempool?.bytes));
    memory.show(bytes(mempool?.usage), mempool ? `of ${bytes(mempool.maxmempool)}` : "");
    least.show(feeRate(mempool?.mempoolminfee));
    relay.update(answer.series);
    pool.update(answer.series);
    all = answer.transactions ?? [];
    update();
    most = Math.max(1, ...(answer.announcers ?? []).map(({ first }) => Number(first ?? 0)));
    announcers.update(answer.announcers ?? []);
    rejections.update(answer.rejections ?? []);
  });
}

function list(context: Context): Table<TransactionRow> {
  const peer = (id: string | number) => context.to("peer", { id: String(id) });
  const rate = ({ fee, vsize }: TransactionRow) => (fee && vsize && Number(vsize) > 0 ? Number(fee) / Number(vsize) : undefined);
  const took = (from: string | null | undefined, to: string | null | undefined) => (from && to ? between(from, to) : UNKNOWN);
  return new Table<TransactionRow>({
    caption: "Newest transactions",
    key: ({ txid, wtxid }) => `${txid ?? ""} ${wtxid ?? ""}`,
    empty: "No transaction fits. Clear the filter, or wait for one.",
    sort: "seen",
    descending: true,
    limit: 200,
    remember: "transactions",
    columns: [
      {
        id: "seen",
        title: "First seen",
        numeric: true,
        cell: (row) => ({
          text: clock(row.firstAnnounced ?? row.received ?? row.added),
          title: moment(row.firstAnnounced ?? row.received ?? row.added),
        }),
        order: (row) => num(row.firstAnnounced ?? row.received ?? row.added),
      },
      {
        id: "id",
        title: "Transaction",
        cell: ({ txid, wtxid }) => ({ text: hash(txid ?? wtxid), title: txid ? `txid ${txid}` : `wtxid ${wtxid ?? UNKNOWN}` }),
      },
      {
        id: "state",
        title: "State",
        cell: ({ state, reason }) => ({
          text: words(state),
          tone: TONES[state],
          title: reason ? `${MEANINGS[state] ?? ""} ${reason}`.trim() : MEANINGS[state],
        }),
        order: ({ state }) => state,
      },
      {
        id: "rate",
        title: "Fee rate",
        numeric: true,
        cell: (row) => {
          const paid = rate(row);
          return paid === undefined ? UNKNOWN : feeRate(paid * 1000);
        },
        order: rate,
      },
      {
        id: "size",
        title: "Size",
        numeric: true,
        cell: ({ vsize }) => (vsize ? `${whole(vsize)} vB` : UNKNOWN),
        order: ({ vsize }) => num(vsize),
      },
      {
        id: "first",
        title: "First from",
        numeric: true,
        meaning: "The peer that announced it first",
        cell: ({ firstAnnouncer }) => peerCell(firstAnnouncer, peer),
        order: ({ firstAnnouncer }) => num(firstAnnouncer),
      },
      {
        id: "announcers",
        title: "Announced by",
        numeric: true,
        cell: ({ announcers }) => (announcers ? plural(Number(announcers), "peer") : UNKNOWN),
        order: ({ announcers }) => num(announcers),
      },
      {
        id: "asked",
        title: "Asked after",
        numeric: true,
        meaning: "From the first announcement to the request",
        cell: (row) => took(row.firstAnnounced, row.requested),
      },
      {
        id: "came",
        title: "Came after",
        numeric: true,
        meaning: "From the request to the delivery",
        cell: (row) => took(row.requested, row.received),
      },
      {
        id: "from",
        title: "Delivered by",
        numeric: true,
        cell: ({ receivedFrom }) => peerCell(receivedFrom, peer),
        order: ({ receivedFrom }) => num(receivedFrom),
      },
      { id: "reason", title: "Reason", hidden: true, cell: ({ reason }) => reason ?? UNKNOWN },
      {
        id: "fee",
        title: "Fee",
        numeric: true,
        hidden: true,
        cell: ({ fee }) => (fee ? `${whole(fee)} sat` : UNKNOWN),
        order: ({ fee }) => num(fee),
      },
    ],
  });
}
