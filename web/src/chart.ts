// Series over time, drawn by uPlot; with a legend that has the numbers, for eyes and screen readers alike.

import uPlot from "uplot";
import type { Series } from "./api.ts";
import { el, write } from "./dom.ts";
import { clock, millis, nanos } from "./format.ts";
import { colour, onTheme } from "./theme.ts";

export interface Line {
  /** Of the series' columns. */
  column: string;
  label: string;
  /** Name of its colour in the style sheet. */
  colour: string;
  /** Drawn with gaps, so that lines differ by more than colour. */
  dashed?: boolean;
  /** Drawn as a point per value, for what is not continuous. */
  points?: boolean;
}

export interface Options {
  title: string;
  lines: readonly Line[];
  /** A value with its unit. */
  value(value: number): string;
  height?: number;
}

/** The columns of a series as uPlot takes them: seconds first, then each line; a column that is missing is empty. */
export function table(series: Series, lines: readonly Line[]): (number | null)[][] {
  const longest = Math.max(0, ...lines.map(({ column }) => series.columns[column]?.length ?? 0));
  const start = millis(series.start) / 1000;
  const step = Number(series.step) / 1e9;
  const times = Array.from({ length: longest }, (_, i) => start + i * step);
  return [
    times,
    ...lines.map(({ column, points }) =>
      times.map((_, i) => {
        const value = series.columns[column]?.[i] ?? null;
        // a point says that something was; nothing needs none
        return points && value === 0 ? null : value;
      }),
    ),
  ];
}

/** The last value of each line as the series has it: nothing is nothing now, whatever was there before. */
export function current(series: Series, lines: readonly Line[]): (number | null)[] {
  return lines.map(({ column }) => series.columns[column]?.at(-1) ?? null);
}

export class Chart {
  readonly element: HTMLElement;
  private readonly plot: uPlot;
  private readonly figures: HTMLElement[];
  private data: (number | null)[][];
  /** What the legend says while nobody points at a moment; of values at times of their own, the last there is. */
  private now: (number | null)[] | undefined;

  constructor(
    private readonly options: Options,
    signal: AbortSignal,
  ) {
    this.figures = options.lines.map(() => el("b", {}, "–"));
    const legend = el(
      "ul",
      { class: "legend" },
      ...options.lines.map((line, i) =>
        el(
          "li",
          {},
          el("span", {
            class: `line ${line.dashed ? "dashed" : ""} ${line.points ? "dots" : ""} stroke-${line.colour}`,
            "aria-hidden": "true",
          }),
          line.label,
          " ",
          this.figures[i],
        ),
      ),
    );
    const canvas = el("div", { class: "plot", "aria-hidden": "true" });
    this.element = el("figure", { class: "chart" }, el("figcaption", {}, el("span", {}, options.title), legend), canvas);
    this.data = [[], ...options.lines.map(() => [])];
    const text = () => colour("muted");
    const grid = { stroke: () => colour("line"), width: 1 };
    const font = "11px system-ui, sans-serif";
    this.plot = new uPlot(
      {
        width: 300,
        height: options.height ?? 150,
        legend: { show: false },
        cursor: { drag: { x: false, y: false }, points: { size: 6 } },
        padding: [8, 26, 0, 0],
        scales: { y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] } },
        series: [
          {},
          ...options.lines.map((line) => ({
            stroke: () => colour(line.colour),
            width: line.points ? 0 : 1.5,
            ...(line.dashed ? { dash: [5, 3] } : {}),
            points: line.points ? { show: true, size: 5, fill: () => colour(line.colour) } : { show: false },
          })),
        ],
        axes: [
          {
            stroke: text,
            grid,
            ticks: grid,
            font,
            size: 28,
            space: 90,
            values: (_, splits) => splits.map((at) => clock(nanos(at * 1000), 0)),
          },
          {
            stroke: text,
            grid,
            ticks: { show: false },
            font,
            size: 64,
            space: 32,
            values: (_, splits) => splits.map((value) => options.value(value)),
          },
        ],
        hooks: {
          setCursor: [
            () => {
              this.legend();
            },
          ],
        },
      },
      this.data as uPlot.AlignedData,
      canvas,
    );
    const resized = new ResizeObserver(() => {
      if (canvas.clientWidth > 0) this.plot.setSize({ width: canvas.clientWidth, height: options.height ?? 150 });
    });
    resized.observe(canvas);
    onTheme(() => {
      this.plot.redraw();
    }, signal);
    signal.addEventListener("abort", () => {
      resized.disconnect();
      this.plot.destroy();
    });
  }

  update(series: Series | null | undefined): void {
    if (!series) return;
    this.now = current(series, this.options.lines);
    this.draw(table(series, this.options.lines));
  }

  /** Values at times of their own, seconds since the epoch first. */
  show(data: (number | null)[][]): void {
    this.now = undefined;
    this.draw(data);
  }

  private draw(data: (number | null)[][]): void {
    this.data = data;
    this.plot.setData(data as uPlot.AlignedData);
    this.legend();
  }

  private legend(): void {
    const at = this.plot.cursor.idx;
    this.figures.forEach((figure, i) => {
      const column = this.data[i + 1] ?? [];
      const last = this.now ? this.now[i] : column.findLast((value) => value !== null);
      const value = at === null || at === undefined ? last : column[at];
      write(figure, value === null || value === undefined ? "–" : this.options.value(value));
    });
  }
}
