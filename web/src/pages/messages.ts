// The stream itself: every event as it comes, filtered by the server, with an inspector that knows the schema.

import type { FieldDoc, Schema } from "../api.ts";
import { get } from "../client.ts";
import { button, el, fill, set, write } from "../dom.ts";
import { body, peerOf, summary } from "../events.ts";
import { clock, moment, plural } from "../format.ts";
import { familyMark } from "../mark.ts";
import { messageFamily } from "../networks.ts";
import { panel, type Context } from "../page.ts";
import { KINDS, type Event } from "../schema.ts";

/** Events that the page keeps; older ones fall out. */
const KEPT = 500;
/** Lines that are drawn. */
const DRAWN = 200;

const DEFAULT = "net.*,conn.*,mempool.*,chain.*";

/** What stands in the stream: an event, how many did not come, or that nothing could. */
type News = { event: Event } | { missed: number } | { lost: true };

type Entry = News & { id: number };

/** The kinds of a filter as one types it; commas and spaces part them. */
export function kindsOf(text: string): string[] {
  return text.split(/[\s,]+/).filter(Boolean);
}

/** The peers of a filter; what is no number is left out. */
export function peersOf(text: string): number[] {
  return text
    .split(/[\s,]+/)
    .filter((part) => /^\d+$/.test(part))
    .map(Number);
}

/** What is no peer's id in a filter. */
export function strangers(text: string): string[] {
  return text.split(/[\s,]+/).filter((part) => part !== "" && !/^\d+$/.test(part));
}

/** What a line says in place of events. */
function gap(entry: { missed: number } | { lost: true }): string {
  if ("lost" in entry) return "The connection was lost here. What happened until it was back is missing.";
  return `${plural(entry.missed, "event")} did not come here: this page was too slow for what it asked for. Narrow the filter.`;
}

export function show(root: HTMLElement, context: Context): void {
  const kinds = el("input", {
    type: "search",
    value: context.params.get("kinds") ?? DEFAULT,
    list: "kind-names",
    "aria-label": "Kinds",
    spellcheck: "false",
    class: "grow",
  });
  const peer = el("input", {
    type: "search",
    value: context.params.get("peer") ?? "",
    placeholder: "all peers",
    "aria-label": "Peers, by id",
    inputmode: "numeric",
    class: "narrow",
  });
  const families = ["net.*", "conn.*", "mempool.*", "chain.*", "state.*", "probe.*", "health.*", "finding.*"];
  const names = el("datalist", { id: "kind-names" }, ...[...families, ...KINDS].map((kind) => el("option", { value: kind })));
  const said = el("span", { class: "quiet", role: "status" });
  const list = el("ol", { class: "stream", tabindex: 0, "aria-label": "Events, newest first" });
  const inspector = el(
    "div",
    { class: "inspector" },
    el("p", { class: "empty" }, "Choose a line: by click, or with the arrow keys and Enter."),
  );
  const pause = button("Pause", { "aria-pressed": "false" }, () => {
    paused = !paused;
    write(pause, paused ? "Go on" : "Pause");
    set(pause, { "aria-pressed": String(paused) });
    if (!paused) draw();
  });
  let paused = false;
  let entries: Entry[] = [];
  let next = 0;
  let heard = 0;
  let chosen: Event | undefined;
  let filter = new AbortController();
  let due = false;

  const lines = new Map<number, HTMLLIElement>();
  const draw = () => {
    due = false;
    const wanted = entries.slice(-DRAWN).reverse();
    const keep = new Set(wanted.map(({ id }) => id));
    for (const [id, line] of lines) {
      if (keep.has(id)) continue;
      line.remove();
      lines.delete(id);
    }
    let place = list.firstChild;
    for (const entry of wanted) {
      let item = lines.get(entry.id);
      if (!item) {
        item = "event" in entry ? line(entry.event, choose) : el("li", { class: "missed" }, gap(entry));
        lines.set(entry.id, item);
      }
      if (item === place) place = place.nextSibling;
      else list.insertBefore(item, place);
    }
    if (entries.length === 0 && !list.querySelector(".empty"))
      fill(
        list,
        el("li", { class: "empty" }, "Nothing yet. Messages appear as they happen; play the recording, or widen the filter."),
      );
    else if (entries.length > 0) list.querySelector(".empty")?.remove();
    write(said, `${plural(heard, "event")} heard${paused ? ", paused" : ""}`);
  };
  const soon = () => {
    if (due || (paused && entries.length > 0)) return;
    due = true;
    // four times a second is as fast as one reads
    setTimeout(draw, 250);
  };
  const add = (entry: News) => {
    entries.push({ ...entry, id: (next += 1) });
  };
  const choose = (event: Event, line: HTMLElement) => {
    chosen = event;
    list.querySelector("[aria-current]")?.removeAttribute("aria-current");
    line.setAttribute("aria-current", "true");
    inspect(inspector, event, docs, context);
  };
  let docs: Schema | undefined;
  get("schema", {}, context.signal).then(
    (schema) => {
      docs = schema;
      if (chosen) inspect(inspector, chosen, docs, context);
    },
    () => {
      // the inspector works without explanations
    },
  );

  const subscribe = () => {
    filter.abort();
    filter = new AbortController();
    entries = [];
    heard = 0;
    draw();
    const wrong = strangers(peer.value)[0];
    if (wrong !== undefined) {
      // without it everybody would be heard
      write(said, `refused: ${wrong} is no peer's id, which is a number`);
      return;
    }
    context.client.subscribe(
      {
        kinds: kindsOf(kinds.value),
        nodes: context.node === undefined ? [] : [context.node],
        peers: peersOf(peer.value),
        form: "full",
        interval_ms: 200,
      },
      {
        events(events) {
          heard += events.length;
          if (paused) return;
          for (const event of (events as Event[]).slice(-KEPT)) add({ event });
          entries = entries.slice(-KEPT);
          soon();
        },
        missed(count) {
          add({ missed: count });
          soon();
        },
        refused(reason) {
          write(said, `refused: ${reason}`);
        },
      },
      AbortSignal.any([filter.signal, context.signal]),
    );
  };
  for (const input of [kinds, peer]) {
    input.addEventListener("change", () => {
      context.remember({ kinds: kinds.value === DEFAULT ? undefined : kinds.value, peer: peer.value });
      subscribe();
    });
  }
  list.addEventListener("keydown", (event) => {
    const items = [...list.querySelectorAll<HTMLElement>("li button")];
    const at = items.indexOf(document.activeElement as HTMLElement);
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key];
    if (step === undefined || items.length === 0) return;
    event.preventDefault();
    items[Math.min(items.length - 1, Math.max(0, at + step))]?.focus();
  });
  document.addEventListener("jumped", subscribe, { signal: context.signal });
  let connected = context.client.connection.state === "open";
  context.client.watch(() => {
    const { state } = context.client.connection;
    if (connected && state === "lost") {
      add({ lost: true });
      soon();
    }
    connected = state === "open";
  }, context.signal);
  root.append(
    names,
    el("div", { class: "tools" }, el("label", { class: "grow" }, "Kinds", kinds), el("label", {}, "Peers", peer), pause, said),
    el(
      "div",
      { class: "columns stream-columns" },
      panel("Stream", { note: "Newest first. → goes to the peer, ← comes from it." }, list),
      panel("Inspector", {}, inspector),
    ),
  );
  subscribe();
}

function line(event: Event, choose: (event: Event, line: HTMLElement) => void): HTMLLIElement {
  const net = event.kind.startsWith("net.");
  const own = body(event);
  const peer = peerOf(event);
  const arrow = !net ? "" : own["direction"] === "outbound" ? "→" : "←";
  const item = el("li", { class: event.kind.split(".")[0] ?? "" });
  const pick = button("", { class: "line" }, () => {
    choose(event, item);
  });
  fill(
    pick,
    el("time", {}, clock(event.time, 6)),
    net ? familyMark(messageFamily(event.kind)) : el("span", { class: "fact", "aria-hidden": "true" }, "#"),
    el(
      "span",
      { class: "peer" },
      net ? el("span", { class: "arrow-text", "aria-hidden": "true" }, `${arrow} `) : null,
      net ? el("span", { class: "unseen" }, own["direction"] === "outbound" ? "to peer " : "from peer ") : null,
      peer ?? "",
    ),
    el("b", {}, event.kind),
    el("span", { class: "text" }, summary(event)),
  );
  item.append(pick);
  return item;
}

/** Everything that an event holds, with what the schema says of each field. */
function inspect(target: HTMLElement, event: Event, docs: Schema | undefined, context: Context): void {
  const doc = docs?.kinds.find(({ kind }) => kind === event.kind);
  const peer = peerOf(event);
  const copied = el("span", { class: "quiet", role: "status" });
  fill(
    target,
    el("h3", {}, event.kind),
    doc?.doc ? el("p", { class: "note" }, doc.doc) : null,
    el(
      "dl",
      { class: "facts" },
      ...[
        ["Time", moment(event.time)],
        ["Clock", clock(event.time, 6)],
        ["Node", event.node],
        ["Source", `${event.source}, event ${event.sequence} of its run`],
      ].flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]),
      ...(peer === undefined
        ? []
        : [el("dt", {}, "Peer"), el("dd", {}, el("a", { href: context.to("peer", { id: peer }) }, `peer ${peer}`))]),
    ),
    tree(body(event), doc?.fields ?? [], docs),
    el(
      "p",
      { class: "tools" },
      button("Copy as JSON", { class: "small" }, () => {
        navigator.clipboard.writeText(JSON.stringify(event, null, 2)).then(
          () => {
            write(copied, "copied");
          },
          () => {
            write(copied, "the browser does not allow it");
          },
        );
      }),
      copied,
    ),
  );
}

/** Entries of a list that are shown before one asks for the rest. */
const SHOWN = 20;

function tree(value: Record<string, unknown>, fields: readonly FieldDoc[], docs: Schema | undefined): HTMLElement {
  const rows = Object.entries(value).filter(([name]) => !(name.endsWith("Text") && name.slice(0, -4) in value));
  return el(
    "dl",
    { class: "tree" },
    ...rows.flatMap(([name, inner]) => {
      const field = fields.find((field) => field.name === name);
      const text = value[`${name}Text`];
      return [
        el("dt", { title: field?.doc ?? undefined }, name),
        el(
          "dd",
          {},
          leaf(inner, field, docs, typeof text === "string" ? text : undefined),
          field?.doc ? el("small", {}, field.doc) : null,
        ),
      ];
    }),
  );
}

function leaf(value: unknown, field: FieldDoc | undefined, docs: Schema | undefined, text: string | undefined): HTMLElement {
  if (Array.isArray(value)) {
    const items: unknown[] = value;
    const more = items.length - SHOWN;
    return el(
      "details",
      { open: items.length <= 3 },
      el("summary", {}, plural(items.length, "entry", "entries")),
      el(
        "ol",
        {},
        ...items.slice(0, SHOWN).map((item) => el("li", {}, leaf(item, field, docs, undefined))),
        more > 0
          ? el("li", { class: "quiet" }, `and ${plural(more, "more entry", "more entries")}: copy as JSON to see all`)
          : null,
      ),
    );
  }
  if (typeof value === "object" && value !== null)
    return tree(
      value as Record<string, unknown>,
      field ? (docs?.messages?.[field.type.replace(/^(repeated|optional) /, "")]?.fields ?? []) : [],
      docs,
    );
  const shown = typeof value === "string" ? value : JSON.stringify(value);
  return el("span", { class: "value" }, text ? `${shown} (${text})` : shown);
}
