// Markdown as the manual uses it, taken apart into values: headings, lists, paragraphs, code, emphasis, links. Nothing here makes an element.
//
// A subset of CommonMark. What is left out reads as it was written: images, tables, quotations, HTML, links by name.

export type Inline =
  | { kind: "text" | "code"; text: string }
  | { kind: "strong" | "emphasis"; inner: Inline[] }
  | { kind: "link"; inner: Inline[]; to: string };

export type Block =
  | { kind: "heading"; level: number; inner: Inline[] }
  | { kind: "paragraph"; inner: Inline[] }
  | { kind: "code"; text: string }
  /** `start`: the number of the first item; absent where items have none. */
  | { kind: "list"; start: number | undefined; items: Block[][] };

/** What is longer stays text: nobody reads it through for its emphasis. */
const LONGEST = 16_384;
/** Lists in lists, emphasis in emphasis: what is deeper stays text. */
const DEEPEST = 8;

export function parse(text: string): Block[] {
  if (text.length > LONGEST) return [{ kind: "paragraph", inner: [{ kind: "text", text }] }];
  return blocks(text.split(/\r\n|\r|\n/), 0);
}

const FENCE = /^ {0,3}(```+|~~~+)/;
const HEADING = /^ {0,3}(#{1,6})[ \t]+(\S.*)$/;
const ITEM = /^( {0,3}(?:[-*+]|(\d{1,9})[.)])[ \t]+)(\S.*)$/;

/** Whether a line ends the paragraph before it. A line that happens to begin with another number than 1 was only broken there. */
function interrupts(line: string): boolean {
  const number = ITEM.exec(line)?.[2];
  return /^\s*$/.test(line) || FENCE.test(line) || HEADING.test(line) || (ITEM.test(line) && Number(number ?? 1) === 1);
}

function blocks(lines: readonly string[], depth: number): Block[] {
  const out: Block[] = [];
  for (let at = 0; at < lines.length;) {
    const line = lines[at] ?? "";
    const fence = FENCE.exec(line)?.[1];
    const [, marks, title] = HEADING.exec(line) ?? [];
    if (line.trim() === "") at += 1;
    else if (fence !== undefined) {
      const end = lines.findIndex((line, i) => i > at && line.trim().startsWith(fence));
      const last = end < 0 ? lines.length : end;
      out.push({ kind: "code", text: lines.slice(at + 1, last).join("\n") });
      at = last + 1;
    } else if (marks !== undefined && title !== undefined) {
      out.push({ kind: "heading", level: marks.length, inner: inline(unclosed(title)) });
      at += 1;
    } else if (ITEM.test(line) && depth < DEEPEST) {
      const [list, next] = listOf(lines, at, depth);
      out.push(list);
      at = next;
    } else {
      let end = at + 1;
      while (end < lines.length && !interrupts(lines[end] ?? "")) end += 1;
      const words = lines.slice(at, end).map((line) => line.trim());
      out.push({ kind: "paragraph", inner: inline(words.join(" ")) });
      at = end;
    }
  }
  return out;
}

/** A title without the marks that close it. By hand: a pattern looks from each blank of many anew. */
function unclosed(title: string): string {
  const before = (at: number, what: string) => {
    let begin = at;
    while (begin > 0 && what.includes(title.charAt(begin - 1))) begin -= 1;
    return begin;
  };
  const end = before(title.length, " \t");
  const marks = before(end, "#");
  const text = before(marks, " \t");
  return marks < end && text < marks ? title.slice(0, text) : title;
}

/** The list that begins at a line, and the line after it. */
function listOf(lines: readonly string[], begin: number, depth: number): [Block, number] {
  const first = ITEM.exec(lines[begin] ?? "")?.[2];
  const items: Block[][] = [];
  let at = begin;
  for (;;) {
    const [, mark, number, rest] = ITEM.exec(lines[at] ?? "") ?? [];
    // numbers and points make two lists
    if (mark === undefined || (number === undefined) !== (first === undefined)) break;
    const item = [rest ?? ""];
    at += 1;
    for (let blank = false; at < lines.length; at += 1) {
      const line = lines[at] ?? "";
      const inside = line.startsWith(" ".repeat(mark.length));
      // a broken line need not be set in, unless something ends it
      if (line.trim() !== "" && !inside && (blank || ITEM.test(line) || interrupts(line))) break;
      blank = line.trim() === "";
      item.push(inside ? line.slice(mark.length) : line.trim());
    }
    items.push(blocks(item, depth + 1));
  }
  return [{ kind: "list", start: first === undefined ? undefined : Number(first), items }, at];
}

/** A piece of a line that is more than text, and where it ends. */
type Piece = [Inline, number];

export function inline(text: string, depth = 0): Inline[] {
  const out: Inline[] = [];
  let plain = "";
  const known: Known = { coded: codes(text), alone: new Set() };
  const flush = () => {
    if (plain !== "") out.push({ kind: "text", text: plain });
    plain = "";
  };
  for (let at = 0; at < text.length;) {
    const escaped = text[at] === "\\" && /[!-/:-@[-`{-~]/.test(text[at + 1] ?? "");
    const special = !escaped && depth < DEEPEST;
    const piece = special ? (known.coded.get(at) ?? stressed(text, at, depth, known) ?? linked(text, at, depth)) : undefined;
    if (piece) {
      flush();
      out.push(piece[0]);
      at = piece[1];
    } else {
      plain += text[escaped ? at + 1 : at] ?? "";
      at += escaped ? 2 : 1;
    }
  }
  flush();
  return out;
}

/** What a pattern finds at a place. */
function here(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}

/** What stands between as many grave accents as before it, by where it begins. */
function codes(text: string): Map<number, Piece> {
  const found = new Map<number, Piece>();
  const runs = [...text.matchAll(/`+/g)].map(({ 0: { length }, index }) => ({ index, length }));
  for (let i = 0; i < runs.length; i += 1) {
    const open = runs[i];
    if (!open || text[open.index - 1] === "\\") continue;
    const last = runs.findIndex(({ length }, j) => j > i && length === open.length);
    const close = runs[last];
    if (!close) continue;
    // a space on each side keeps an accent within apart from those around
    const whole = text.slice(open.index + open.length, close.index);
    const apart = whole.startsWith(" ") && whole.endsWith(" ") && whole.trim() !== "";
    const inner = apart ? whole.slice(1, -1) : whole;
    found.set(open.index, [{ kind: "code", text: inner }, close.index + close.length]);
    i = last;
  }
  return found;
}

/** What is known of a text while it is gone through. */
interface Known {
  /** What is code, by where it begins. */
  coded: ReadonlyMap<number, Piece>;
  /** Marks without another half further on: whoever comes later finds none either. */
  alone: Set<string>;
}

const WORD = /[\p{L}\p{N}_]/u;

/** Between stars, or between low lines that stand outside of words. */
function stressed(text: string, at: number, depth: number, known: Known): Piece | undefined {
  const mark = text[at];
  if (mark !== "*" && mark !== "_") return undefined;
  const outside = (at: number) => mark === "*" || !WORD.test(text[at] ?? " ");
  if (!outside(at - 1)) return undefined;
  const marks = text[at + 1] === mark ? mark + mark : mark;
  if (known.alone.has(marks)) return undefined;
  const begin = at + marks.length;
  if (/^\s?$/.test(text[begin] ?? "")) return undefined;
  for (let end = begin; end < text.length;) {
    const skipped = text[end] === "\\" ? end + 2 : known.coded.get(end)?.[1];
    if (skipped !== undefined) end = skipped;
    else if (marks.length === 1 && text.startsWith(mark + mark, end)) end += 2;
    else if (end > begin && text.startsWith(marks, end) && !/\s/.test(text[end - 1] ?? " ") && outside(end + marks.length)) {
      const inner = inline(text.slice(begin, end), depth + 1);
      return [{ kind: marks.length === 2 ? "strong" : "emphasis", inner }, end + marks.length];
    } else end += 1;
  }
  known.alone.add(marks);
  return undefined;
}

/** A link to elsewhere. One to another page of the manual leads nowhere from here, so it says which page that is. */
function linked(text: string, at: number, depth: number): Piece | undefined {
  const [all, name, target] = here(/\[([^[\]]+)\]\(([^()\s]+)\)/y, text, at) ?? [];
  if (all !== undefined && name !== undefined && target !== undefined) {
    const to = web(target);
    const inner = inline(name, depth + 1);
    if (to !== undefined) return [{ kind: "link", inner, to }, at + all.length];
    return [{ kind: "text", text: `${name} (${target})` }, at + all.length];
  }
  const before = WORD.test(text[at - 1] ?? " ");
  const bare = before
    ? null
    : (here(/<(https?:\/\/[^\s<>]+)>/y, text, at) ?? here(/(https?:\/\/[^\s<>()`*]*[\w/#=&-])/y, text, at));
  const to = bare?.[1] === undefined ? undefined : web(bare[1]);
  if (!bare?.[1] || to === undefined) return undefined;
  return [{ kind: "link", inner: [{ kind: "text", text: bare[1] }], to }, at + bare[0].length];
}

/** An address that may be followed: of the web, and nothing that runs, or holds a name and a secret. */
function web(address: string): string | undefined {
  if (!URL.canParse(address)) return undefined;
  const url = new URL(address);
  const plain = (url.protocol === "https:" || url.protocol === "http:") && url.username === "" && url.password === "";
  return plain ? url.href : undefined;
}
