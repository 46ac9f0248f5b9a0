// From the answers of /api to what pages show: they are the same, but for series, which begin where something was heard.

import type { Answers, PeerRow, Series } from "./api.ts";
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

/** An answer as it comes: `/api/peers` has those that left apart. */
type Raw = Partial<{ series: Series | null; gone: PeerRow[] | null; peers: PeerRow[] }>;

/** What the pages make of the answer of a path. */
export function read<Path extends keyof Answers>(path: Path, answer: Answers[Path]): Answers[Path] {
  const raw = answer as Raw;
  if (raw.series) raw.series = trimmed(raw.series);
  if (path === "peers") raw.peers = [...(raw.peers ?? []), ...(raw.gone ?? [])];
  return answer;
}
