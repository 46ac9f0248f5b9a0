// The observer itself: what it is attached to, how far behind it is, and what it lost, hop by hop.

import type { Health, SourceRow } from "../api.ts";
import { el, write } from "../dom.ts";
import { UNKNOWN, between, clock, duration, moment, num, percent, plural, short, whole, words } from "../format.ts";
import { Figure, figures, follow, panel, type Context } from "../page.ts";
import { Table } from "../table.ts";

/** A source that beats each second and was not heard for this long does not work, nanoseconds. */
const SILENT = 5_000_000_000n;

const MEANINGS: Record<string, string> = {
  ebpf: "kernel probes on the node's tracepoints",
  rpc: "the node's JSON-RPC interface",
  log: "the node's debug.log",
  p2p: "a connection of our own to the node",
  ipc: "the node's IPC socket",
  proc: "the operating system's view of the node",
  join: "facts of several sources put together",
  detect: "conclusions of detectors",
};

/** In a word, how it stands with a source. */
export function condition(source: SourceRow, now: string): { text: string; tone: string } {
  if (source.detached) return { text: "detached", tone: "bad" };
  if (source.beat && BigInt(now) - BigInt(source.beat) > SILENT) return { text: "silent", tone: "bad" };
  if (Number(source.lost ?? 0) > 0) return { text: "losing events", tone: "warn" };
  if ((source.attached ?? []).length > 0) return { text: "attached", tone: "good" };
  return { text: source.beat ? "alive" : "heard", tone: "good" };
}

/** What a source published, by its beats; a recording may hold none, and then it is what came. */
function stated({ published, heard }: SourceRow): number {
  return Number(published ?? 0) || Number(heard ?? 0);
}

type Hop = NonNullable<Health["hops"]>[number];

/** Events that were lost on the server's side. What this page was told that it missed is among them: of the last two hops. */
export function lostIn(hops: readonly Hop[]): number {
  return hops.reduce((sum, { lost }) => sum + Number(lost ?? 0), 0);
}

export function show(root: HTMLElement, context: Context): void {
  const lost = new Figure("lost", "Over all hops and sources");
  const published = new Figure("published", "Events that the sources stated");
  const lag = new Figure("lag", "How far publishing is behind capture: the worst source");
  const clients = new Figure("pages open");
  const verdict = el("p", { class: "verdict", role: "status" });
  let now = "0";
  const sources = new Table<SourceRow>({
    caption: "Sources",
    key: ({ node, source }) => `${node} ${source}`,
    empty: "No source is known. `peer-observer doctor` says what works here, and what to do about what does not.",
    sort: "node",
    columns: [
      { id: "node", title: "Node", cell: ({ node }) => node, order: ({ node, source }) => `${node} ${source}` },
      {
        id: "source",
        title: "Source",
        cell: ({ source }) => ({ text: source, title: MEANINGS[source] }),
        order: ({ source }) => source,
      },
      {
        id: "state",
        title: "State",
        cell: (row) => ({ ...condition(row, now), title: row.detached ?? undefined }),
        order: (row) => condition(row, now).text,
      },
      {
        id: "attached",
        title: "Attached to",
        numeric: true,
        cell: ({ attached }) =>
          attached && attached.length > 0 ? { text: plural(attached.length, "probe"), title: attached.join("\n") } : UNKNOWN,
        order: ({ attached }) => attached?.length ?? undefined,
      },
      {
        id: "missing",
        title: "Missing",
        numeric: true,
        meaning: "Known to this release, not offered by this node",
        cell: ({ missing }) =>
          missing && missing.length > 0 ? { text: whole(missing.length), title: missing.join("\n"), tone: "warn" } : "none",
        order: ({ missing }) => missing?.length ?? undefined,
      },
      {
        id: "published",
        title: "Published",
        numeric: true,
        cell: (row) => short(stated(row)),
        order: stated,
      },
      {
        id: "lost",
        title: "Lost",
        numeric: true,
        cell: (row) => ({ text: whole(row.lost ?? 0), tone: Number(row.lost ?? 0) > 0 ? "bad" : undefined }),
        order: (row) => num(row.lost),
      },
      {
        id: "lag",
        title: "Lag",
        numeric: true,
        cell: (row) => duration(row.beat ? row.lagNanos : undefined),
        order: (row) => num(row.lagNanos),
      },
      {
        id: "beat",
        title: "Last beat",
        numeric: true,
        cell: ({ beat }) => (beat ? { text: `${between(beat, now)} ago`, title: moment(beat) } : UNKNOWN),
        order: ({ beat }) => num(beat),
      },
      {
        id: "run",
        title: "Running since",
        numeric: true,
        cell: ({ run }) => ({ text: clock(run, 0), title: moment(run) }),
        order: ({ run }) => num(run),
      },
    ],
  });
  const hops = new Table<Hop>({
    caption: "Hops from the kernel to this page",
    key: ({ name }) => name,
    empty: "This server states no hops.",
    columns: [
      { id: "name", title: "Hop", cell: ({ name, note }) => ({ text: name, title: note ?? undefined }) },
      { id: "seen", title: "Went through", numeric: true, cell: ({ seen }) => short(seen) },
      {
        id: "lost",
        title: "Lost",
        numeric: true,
        cell: ({ lost }) => ({ text: whole(lost ?? 0), tone: Number(lost ?? 0) > 0 ? "bad" : undefined }),
      },
      {
        id: "share",
        title: "Share",
        numeric: true,
        cell: ({ seen, lost }) =>
          Number(seen ?? 0) > 0 ? percent(Number(lost ?? 0) / (Number(seen) + Number(lost ?? 0))) : UNKNOWN,
      },
    ],
  });
  const losses = new Table<NonNullable<Health["lost"]>[number]>({
    caption: "Losses",
    key: ({ time, node, source, stage, probe }) => `${time} ${node} ${source} ${stage} ${probe}`,
    empty: "Nothing was lost.",
    sort: "time",
    descending: true,
    columns: [
      {
        id: "time",
        title: "Time",
        numeric: true,
        cell: ({ time }) => ({ text: clock(time), title: moment(time) }),
        order: ({ time }) => Number(time),
      },
      { id: "node", title: "Node", cell: ({ node }) => node, order: ({ node }) => node },
      { id: "source", title: "Source", cell: ({ source }) => source, order: ({ source }) => source },
      {
        id: "stage",
        title: "Where",
        cell: ({ stage, probe }) => (probe ? `${words(stage)}: ${probe}` : words(stage)),
        order: ({ stage }) => stage,
      },
      { id: "count", title: "Events", numeric: true, cell: ({ count }) => whole(count), order: ({ count }) => Number(count) },
    ],
  });
  root.append(
    verdict,
    figures(lost, published, lag, clients),
    panel("Sources", { wide: true }, sources.element),
    el(
      "div",
      { class: "columns" },
      panel("Hops", { note: "From the kernel to this page. Each hop counts what it could not pass on." }, hops.element),
      panel("Losses", { note: "Each at the place in the stream where it happened." }, losses.element),
    ),
  );
  follow(root, context, "health", {}, (answer) => {
    now = answer.now;
    const rows = answer.sources ?? [];
    const bad = rows.filter((row) => condition(row, now).tone !== "good");
    const here = { name: "server to this page", lost: context.client.missed, note: "What this page was told that it missed" };
    const way = [...(answer.hops ?? []), here];
    const total = lostIn(answer.hops ?? []);
    verdict.className = bad.length === 0 && total === 0 ? "verdict good" : "verdict warn";
    write(
      verdict,
      rows.length === 0
        ? "No source was heard of."
        : bad.length === 0
          ? `All ${plural(rows.length, "source")} ${rows.length === 1 ? "works" : "work"}, and ${total === 0 ? "nothing was lost" : `${whole(total)} events were lost`}.`
          : `${plural(bad.length, "source")} of ${rows.length} ${bad.length === 1 ? "needs" : "need"} a look: ${bad.map((row) => `${row.source} of ${row.node} (${condition(row, now).text})`).join(", ")}.`,
    );
    lost.show(whole(total), total === 0 ? "events: complete so far" : "events: counted, and at their place");
    published.show(short(rows.reduce((sum, row) => sum + stated(row), 0)), "events");
    const lags = rows.map((row) => (row.beat ? num(row.lagNanos) : undefined)).filter((value) => value !== undefined);
    lag.show(lags.length > 0 ? duration(Math.max(...lags)) : UNKNOWN);
    clients.show(whole(answer.clients?.now), answer.clients?.limit ? `of at most ${whole(answer.clients.limit)}` : "");
    sources.update(rows);
    hops.update(way);
    losses.update(answer.lost ?? []);
  });
}
