// A table that lives: rows keep their elements, cells change their text only where it differs, so that focus and selection stay.

import { button, el, fill, set, write } from "./dom.ts";
import { UNKNOWN, plural } from "./format.ts";
import { shape } from "./mark.ts";

/** What a cell says. */
export interface Cell {
  text: string;
  href?: string | undefined;
  title?: string | undefined;
  /** A share between 0 and 1, drawn as a bar behind the text. */
  bar?: number | undefined;
  /** A connection type, drawn as its mark before the text. */
  mark?: string | undefined;
  /** A word for the style sheet: `bad`, `good`, `quiet`. */
  tone?: string | undefined;
}

export interface Column<Row> {
  id: string;
  title: string;
  /** What it means, shown when one points at the heading. */
  meaning?: string;
  /** Set in figures, to the right. */
  numeric?: boolean;
  /** Long texts go on in the next line. */
  wrap?: boolean;
  /** In the list of columns, but not shown until asked for. */
  hidden?: boolean;
  cell(row: Row): Cell | string;
  /** What rows are ordered by; absent where ordering by it means nothing. */
  order?(row: Row): number | string | undefined;
}

export interface Options<Row> {
  /** What the table holds, for those who do not see it. */
  caption: string;
  columns: readonly Column<Row>[];
  key(row: Row): string;
  /** What to say where there are no rows. */
  empty: string;
  sort?: string;
  descending?: boolean;
  /** No more rows than this are shown; those left out are counted. */
  limit?: number;
  /** Names under which the choice of columns is kept in this browser. */
  remember?: string;
}

/** Orders rows by a column; what has no value comes last, either way. */
export function ordered<Row>(rows: readonly Row[], column: Column<Row> | undefined, descending: boolean): Row[] {
  const order = column?.order?.bind(column);
  if (!order) return [...rows];
  const keyed = rows.map((row) => ({ row, by: order(row) }));
  const sign = descending ? -1 : 1;
  keyed.sort((a, b) => {
    if (a.by === undefined || b.by === undefined) return Number(a.by === undefined) - Number(b.by === undefined);
    if (typeof a.by === "number" && typeof b.by === "number") return sign * (a.by - b.by);
    return sign * String(a.by).localeCompare(String(b.by), "en", { numeric: true });
  });
  return keyed.map(({ row }) => row);
}

export class Table<Row> {
  readonly element: HTMLElement;
  /** The choice of columns; a page puts it where it likes. */
  readonly chooser: HTMLDetailsElement;
  private readonly body = el("tbody");
  private readonly head = el("tr");
  private readonly foot = el("p", { class: "table-note", hidden: true });
  private readonly lines = new Map<string, HTMLTableRowElement>();
  private readonly shown: Set<string>;
  private rows: readonly Row[] = [];
  private sort: string | undefined;
  private descending: boolean;

  constructor(private readonly options: Options<Row>) {
    this.sort = options.sort;
    this.descending = options.descending ?? false;
    const kept = options.remember ? localStorage.getItem(`columns.${options.remember}`)?.split(" ") : undefined;
    this.shown = new Set(kept ?? options.columns.filter((column) => !column.hidden).map((column) => column.id));
    const table = el("table", {}, el("caption", { class: "unseen" }, options.caption), el("thead", {}, this.head), this.body);
    // a region that scrolls must be reached by keyboard
    const scroller = el("div", { class: "scroller", tabindex: 0, role: "region", "aria-label": options.caption }, table);
    this.element = el("div", { class: "table" }, scroller, this.foot);
    this.chooser = el("details", { class: "chooser" }, el("summary", {}, "Columns"), this.choices());
    this.heading();
  }

  update(rows: readonly Row[]): void {
    this.rows = rows;
    const columns = this.columns();
    const limit = this.options.limit ?? 300;
    const sorted = ordered(
      rows,
      this.options.columns.find((column) => column.id === this.sort),
      this.descending,
    );
    const wanted = sorted.slice(0, limit);
    const gone = new Set(this.lines.keys());
    let place = this.body.firstChild;
    for (const row of wanted) {
      const key = this.options.key(row);
      gone.delete(key);
      let line = this.lines.get(key);
      if (!line) {
        line = el("tr");
        this.lines.set(key, line);
      }
      this.write(line, row, columns);
      if (line === place) place = place.nextSibling;
      else this.body.insertBefore(line, place);
    }
    for (const key of gone) {
      this.lines.get(key)?.remove();
      this.lines.delete(key);
    }
    if (wanted.length === 0 && !this.body.hasChildNodes()) {
      this.body.append(el("tr", { class: "empty" }, el("td", { colspan: columns.length }, this.options.empty)));
    } else if (wanted.length > 0) {
      this.body.querySelector("tr.empty")?.remove();
    }
    this.foot.hidden = sorted.length <= limit;
    if (!this.foot.hidden)
      write(this.foot, `${plural(sorted.length - limit, "more row")} not shown: filter, or sort the other way.`);
  }

  private columns(): Column<Row>[] {
    return this.options.columns.filter((column) => this.shown.has(column.id));
  }

  private write(line: HTMLTableRowElement, row: Row, columns: readonly Column<Row>[]): void {
    while (line.cells.length > columns.length) line.deleteCell(-1);
    columns.forEach((column, i) => {
      const made = column.cell(row);
      const cell = typeof made === "string" ? { text: made } : made;
      const td = line.cells[i] ?? line.insertCell();
      set(td, {
        class:
          [
            column.numeric ? "number" : "",
            column.wrap ? "wrap" : "",
            cell.tone ?? "",
            cell.text === UNKNOWN ? "quiet" : "",
            cell.bar === undefined ? "" : "bar",
          ]
            .filter(Boolean)
            .join(" ") || undefined,
        title: cell.title,
      });
      if (cell.bar !== undefined) td.style.setProperty("--share", String(Math.min(1, Math.max(0, cell.bar))));
      if (cell.mark === undefined && cell.href === undefined) {
        if (td.childElementCount > 0) td.replaceChildren();
        write(td, cell.text);
        return;
      }
      const link = td.querySelector("a");
      const was = td.querySelector("svg")?.dataset["mark"];
      if (was === cell.mark && Boolean(link) === (cell.href !== undefined) && td.childElementCount > 0) {
        if (link && cell.href !== undefined) set(link, { href: cell.href });
        write(link ?? td.lastElementChild ?? td, cell.text);
        return;
      }
      const text = cell.href === undefined ? el("span", {}, cell.text) : el("a", { href: cell.href }, cell.text);
      fill(td, cell.mark === undefined ? null : shape(cell.mark), text);
    });
  }

  private heading(): void {
    fill(
      this.head,
      ...this.columns().map((column) => {
        const active = column.id === this.sort;
        const attributes = {
          scope: "col",
          class: column.numeric ? "number" : undefined,
          "aria-sort": active ? (this.descending ? "descending" : "ascending") : undefined,
          title: column.meaning,
        };
        if (!column.order) return el("th", attributes, column.title);
        const sorter = button(column.title, { class: "sorter" }, () => {
          // figures are looked at from the largest down
          this.descending = active ? !this.descending : (column.numeric ?? false);
          this.sort = column.id;
          const focused = document.activeElement === sorter;
          this.heading();
          this.update(this.rows);
          if (focused) this.head.querySelector<HTMLElement>(`th[aria-sort] button`)?.focus();
        });
        return el("th", attributes, sorter);
      }),
    );
  }

  private choices(): HTMLElement {
    const list = el("fieldset", {}, el("legend", { class: "unseen" }, "Columns that are shown"));
    for (const column of this.options.columns) {
      const box = el("input", { type: "checkbox", checked: this.shown.has(column.id) });
      box.addEventListener("change", () => {
        if (box.checked) this.shown.add(column.id);
        else this.shown.delete(column.id);
        if (this.options.remember) localStorage.setItem(`columns.${this.options.remember}`, [...this.shown].join(" "));
        this.heading();
        this.update(this.rows);
      });
      list.append(el("label", { title: column.meaning }, box, column.title));
    }
    return list;
  }
}
