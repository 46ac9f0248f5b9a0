// From the answers of /api to what pages show: they are the same, but for series, which begin where something was heard.

import type { Answers, PeerRow, Series, TransactionRow, TransactionState } from "./api.ts";
import { millis, nanos, num } from "./format.ts";

/** Values that a series shows at least: a recording's first moments are no dot. */
const SHORTEST = 30;

/** A series without the time before anything was heard. */
export function trimmed(series: Series): Series {
  const columns = Object.values(series.columns).filter((values) => values !== undefined);
  const length = Math.max(0, ...columns.map((values) => values.length));
  const firsts = columns.map((values) => values.findIndex((value) => value !== 0 && value !== null)).filter((at) => at >= 0);
  const cut = Math.max(0, Math.min(length - SHORTEST, Math.min(length, ...firsts) - 1));
  if (cut === 0) return series;
  const start = nanos(millis(series.start) + cut * ((num(series.step) ?? 0) / 1e6));
  return {
    ...series,
    start,
    columns: Object.fromEntries(Object.entries(series.columns).map(([name, values]) => [name, values?.slice(cut)])),
  };
}

/** How far a transaction came, from the least on. */
const STAGES: readonly TransactionState[] = [
  "announced",
  "requested",
  "withheld",
  "received",
  "in_mempool",
  "removed",
  "replaced",
  "rejected",
  "confirmed",
];

/** One row per transaction: relay may know it by its wtxid and the mempool by its txid, and only some message has both. */
export function joined(rows: readonly TransactionRow[]): TransactionRow[] {
  const known = new Map<string, TransactionRow>();
  for (const row of rows) {
    const id = row.txid ?? row.wtxid ?? "";
    const other = known.get(id);
    if (!other) {
      known.set(id, row);
      continue;
    }
    const [less, more] = STAGES.indexOf(row.state) > STAGES.indexOf(other.state) ? [other, row] : [row, other];
    const said = Object.entries(more).filter(
      ([name, value]) => value !== null && value !== undefined && !(name === "announcers" && value === 0),
    );
    known.set(id, { ...less, ...Object.fromEntries(said), state: more.state });
  }
  return [...known.values()];
}

/** An answer as it comes: `/api/peers` has those that left apart. */
type Raw = Partial<{ series: Series | null; gone: PeerRow[] | null; peers: PeerRow[]; transactions: TransactionRow[] | null }>;

/** What the pages make of the answer of a path. */
export function read<Path extends keyof Answers>(path: Path, answer: Answers[Path]): Answers[Path] {
  const raw = answer as Raw;
  if (raw.series) raw.series = trimmed(raw.series);
  if (raw.transactions) raw.transactions = joined(raw.transactions);
  if (path === "peers") raw.peers = [...(raw.peers ?? []), ...(raw.gone ?? [])];
  return answer;
}
