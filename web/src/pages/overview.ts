// Every node at a glance, and what happened to the chosen one.

import type { Nodes, Note, Summary } from "../api.ts";
import { Chart } from "../chart.ts";
import { el, fill, set, write } from "../dom.ts";
import { between, bytes, clock, hash, moment, perSecond, plural, short, vbytes, whole, words } from "../format.ts";
import { watched } from "../finding.ts";
import { shape } from "../mark.ts";
import { typeLook } from "../networks.ts";
import { Figure, figures, follow, panel, type Context } from "../page.ts";
import { byType } from "../peers.ts";
import type { StateBlockchain, StateMempool, StateProfile } from "../schema.ts";
import { Table } from "../table.ts";

export function show(root: HTMLElement, context: Context): void {
  const nodes = el("div", { class: "nodes" });
  root.append(nodes);
  let heard: Nodes | undefined;
  follow(root, context, "nodes", {}, (answer) => {
    heard = answer;
    showNodes(nodes, answer, context);
  });
  root.append(...summary(root, context, () => heard && watched(heard, context.node)));
}

/** Notes that are shown. */
const NOTES = 40;

/** A card per node; each is a link that chooses it. */
function showNodes(target: HTMLElement, answer: Nodes, context: Context): void {
  if (answer.nodes.length === 0) {
    fill(
      target,
      el(
        "p",
        { class: "empty" },
        "No node was heard of yet. `peer-observer doctor` says what works here, and what to do about what does not.",
      ),
    );
    return;
  }
  const known = new Map([...target.querySelectorAll<HTMLElement>("article")].map((card) => [card.dataset["node"], card]));
  if (known.size !== answer.nodes.length || answer.nodes.some(({ node }) => !known.has(node))) target.replaceChildren();
  for (const row of answer.nodes) {
    let card = target.querySelector<HTMLElement>(`article[data-node="${CSS.escape(row.node)}"]`);
    if (!card) {
      card = el("article", { class: "node-card" });
      card.dataset["node"] = row.node;
      const name = el("h2", {}, el("a", { href: context.to("overview", { node: row.node }) }, row.node));
      const below = context.several && row.node === context.node;
      card.append(
        el("header", {}, name, below ? el("span", { class: "quiet" }, "below in detail") : null),
        el("p", { class: "node-version quiet" }),
        el("dl", { class: "figures" }),
        el("ul", { class: "peer-types", "aria-label": `Peers of ${row.node} by type` }),
      );
      target.append(card);
    }
    set(card, { class: row.node === context.node ? "node-card chosen" : "node-card" });
    const latest = (row.latest ?? {}) as {
      "state.profile"?: StateProfile;
      "state.blockchain"?: StateBlockchain;
      "state.mempool"?: StateMempool;
    };
    const chain = latest["state.blockchain"];
    const pool = latest["state.mempool"];
    const types = byType(row.peers);
    const total = types.reduce((sum, { count }) => sum + count, 0);
    const version = [
      latest["state.profile"]?.subversion?.replaceAll("/", ""),
      latest["state.profile"]?.chain ?? chain?.chain,
      chain?.initialblockdownload ? "initial block download" : undefined,
    ]
      .filter(Boolean)
      .join(" · ");
    const line = card.querySelector(".node-version");
    if (line) write(line, version || `heard by ${(row.sources ?? []).join(", ") || "nobody yet"}`);
    const list = card.querySelector("dl");
    const figure = (name: string, value: string, note: string) =>
      el("div", { class: "figure" }, el("dt", {}, name), el("dd", {}, value), el("dd", { class: "small" }, note));
    if (list)
      fill(
        list,
        figure("peers", whole(total), ""),
        figure("messages", perSecond(row.messagesPerSecond), `${bytes(row.bytesPerSecond)}/s`),
        figure("height", whole(row.height ?? chain?.blocks), row.tipSince ? `for ${between(row.tipSince, answer.now)}` : ""),
        figure("mempool", pool ? short(pool.size) : "–", pool ? vbytes(pool.bytes) : "not asked"),
      );
    const peers = card.querySelector("ul");
    if (peers) fill(peers, ...types.map(({ type, count }) => el("li", {}, shape(type), `${whole(count)} ${typeLook(type).label}`)));
  }
}

/** `detecting`: whether somebody looks for what could fire; absent while that is not known. */
function summary(root: HTMLElement, context: Context, detecting: () => boolean | undefined): HTMLElement[] {
  const active = new Figure("active findings");
  const events = new Figure("events", "Everything that this program heard of the node");
  const missed = new Figure("missed", "Events that the state behind these pages did not get");
  const messages = new Chart(
    {
      title: "Messages",
      value: (value) => perSecond(value),
      lines: [
        { column: "messagesIn", label: "received", colour: "received" },
        { column: "messagesOut", label: "sent", colour: "sent", dashed: true },
      ],
    },
    context.signal,
  );
  const traffic = new Chart(
    {
      title: "Traffic",
      value: (value) => `${bytes(value)}/s`,
      lines: [
        { column: "bytesIn", label: "received", colour: "received" },
        { column: "bytesOut", label: "sent", colour: "sent", dashed: true },
      ],
    },
    context.signal,
  );
  const connections = new Chart(
    {
      title: "Peers",
      value: (value) => whole(Math.round(value)),
      lines: [
        { column: "peersInbound", label: "inbound", colour: "inbound" },
        { column: "peersOutbound", label: "outbound", colour: "full", dashed: true },
      ],
    },
    context.signal,
  );
  const notes = el("ol", { class: "notes" });
  const kinds = new Table<NonNullable<Summary["kinds"]>[number]>({
    caption: "Messages by type",
    key: ({ kind }) => kind,
    empty: "No message yet.",
    sort: "count",
    descending: true,
    limit: 12,
    columns: [
      {
        id: "kind",
        title: "Type",
        cell: ({ kind }) => ({ text: kind.replace("net.", ""), href: context.to("messages", { kinds: kind }) }),
        order: ({ kind }) => kind,
      },
      {
        id: "in",
        title: "Received",
        numeric: true,
        cell: ({ inbound }) => whole(inbound),
        order: ({ inbound }) => Number(inbound ?? 0),
      },
      {
        id: "out",
        title: "Sent",
        numeric: true,
        cell: ({ outbound }) => whole(outbound),
        order: ({ outbound }) => Number(outbound ?? 0),
      },
      {
        id: "count",
        title: "Both",
        numeric: true,
        cell: (row) => ({ text: whole(both(row)), bar: both(row) / most }),
        order: both,
      },
      { id: "bytes", title: "Bytes", numeric: true, cell: (row) => bytes(row.bytes), order: (row) => Number(row.bytes ?? 0) },
    ],
  });
  let most = 1;
  const blocks = new Table<NonNullable<Summary["blocks"]>[number]>({
    caption: "The newest blocks",
    key: ({ hash }) => hash,
    empty: "No block since this program started. Bitcoin finds one every ten minutes on average.",
    limit: 5,
    columns: [
      { id: "height", title: "Height", numeric: true, cell: ({ height }) => whole(height) },
      {
        id: "hash",
        title: "Hash",
        cell: (block) => ({ text: hash(block.hash, "block"), title: block.hash, href: context.to("blocks") }),
      },
      {
        id: "first",
        title: "First from",
        cell: ({ firstPeer }) =>
          firstPeer === undefined || firstPeer === null
            ? "–"
            : { text: `peer ${firstPeer}`, href: context.to("peer", { id: String(firstPeer) }) },
      },
      { id: "connected", title: "Connected", numeric: true, cell: ({ connected }) => clock(connected, 0) },
    ],
  });
  follow(root, context, "summary", { node: context.asked }, (answer) => {
    const count = answer.findings?.active ?? 0;
    const looked = detecting();
    const quiet = looked === undefined ? "" : looked ? "nothing fired" : "no detector runs";
    active.show(whole(count), count > 0 ? "see Findings" : quiet);
    for (const chart of [messages, traffic, connections]) chart.update(answer.series);
    const rows = (answer.kinds ?? []).filter(({ kind }) => kind.startsWith("net."));
    events.show(short(answer.events), answer.since ? `since ${moment(answer.since)}` : "");
    missed.show(whole(answer.missed ?? 0), Number(answer.missed ?? 0) === 0 ? "complete" : "counts are too low by these");
    most = Math.max(1, ...rows.map(both));
    kinds.update(rows);
    blocks.update((answer.blocks ?? []).filter(({ connected, tip }) => connected ?? tip));
    showNotes(notes, answer.notes ?? [], context);
  });
  return [
    ...(context.several && context.node !== undefined ? [el("h2", { class: "of-one" }, context.node)] : []),
    figures(active, events, missed),
    el("div", { class: "charts" }, messages.element, traffic.element, connections.element),
    el(
      "div",
      { class: "columns" },
      panel(
        "What happened",
        { note: "Evictions, misbehaviour, replacements, refusals, losses and findings, newest first." },
        notes,
      ),
      el("div", { class: "stack" }, panel("Messages by type", {}, kinds.element), panel("Newest blocks", {}, blocks.element)),
    ),
  ];
}

function both(row: { inbound?: string | number | null | undefined; outbound?: string | number | null | undefined }): number {
  return Number(row.inbound ?? 0) + Number(row.outbound ?? 0);
}

/** What an observer would have told a colleague, newest first. */
function showNotes(list: HTMLElement, notes: readonly Note[], context: Context): void {
  const key = notes.map(({ time, kind }) => time + kind).join();
  if (list.dataset["key"] === key) return;
  list.dataset["key"] = key;
  if (notes.length === 0) {
    fill(list, el("li", { class: "empty" }, "Nothing out of the ordinary so far."));
    return;
  }
  fill(
    list,
    ...notes
      .slice(0, NOTES)
      .map((note) =>
        el(
          "li",
          { class: `note-${note.kind.split(".")[0] ?? ""}` },
          el("time", { title: moment(note.time) }, clock(note.time, 0)),
          el("span", { class: "kind" }, words(note.kind.replace(/^conn\./, "").replace(".", " "))),
          el(
            "span",
            { class: "text" },
            note.peer === undefined || note.peer === null
              ? null
              : el("a", { href: context.to("peer", { id: String(note.peer) }) }, `peer ${note.peer}`),
            note.peer === undefined || note.peer === null ? "" : " ",
            note.text,
          ),
        ),
      ),
  );
  set(list, { "aria-label": plural(notes.length, "note") });
}
