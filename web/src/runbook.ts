// Texts for people: what was written by this program is shown as it was written, runbooks as they were set.

import { el, type Child } from "./dom.ts";
import { parse, type Block, type Inline } from "./markdown.ts";

/** A text of ours with what stands between grave accents set as code. */
export function marked(text: string): Child[] {
  const pieces = text.split("`");
  // an accent without its other half is an accent
  if (pieces.length % 2 === 0) return [text];
  return pieces.map((piece, i) => (i % 2 === 1 ? el("code", {}, piece) : piece));
}

/** A text in which strangers may have their word: nothing in it is more than text. */
export function prose(text: string): HTMLElement {
  return el("p", { class: "prose" }, text);
}

/** A runbook. `under` is the level of the heading that it stands under. */
export function runbook(text: string, under: number): HTMLElement {
  return el("div", { class: "runbook" }, ...parse(text).map((block) => shown(block, under)));
}

function shown(block: Block, under: number): HTMLElement {
  switch (block.kind) {
    case "heading":
      return el(`h${Math.min(6, under + block.level)}` as "h3", {}, ...block.inner.map(within));
    case "paragraph":
      return el("p", {}, ...block.inner.map(within));
    case "code":
      // what is wider than the page is reached by keyboard, too
      return el("pre", { class: "commands", tabindex: 0 }, el("code", {}, block.text));
    case "list": {
      const items = block.items.map((item) => el("li", {}, ...item.flatMap((inner, i) => inside(inner, i, under))));
      if (block.start === undefined) return el("ul", {}, ...items);
      return el("ol", { start: block.start === 1 ? undefined : block.start }, ...items);
    }
  }
}

/** A block of an item of a list; its first paragraph is the item. */
function inside(block: Block, at: number, under: number): Child[] {
  return at === 0 && block.kind === "paragraph" ? block.inner.map(within) : [shown(block, under)];
}

function within(piece: Inline): Child {
  switch (piece.kind) {
    case "text":
      return piece.text;
    case "code":
      return el("code", {}, piece.text);
    case "strong":
    case "emphasis":
      return el(piece.kind === "strong" ? "strong" : "em", {}, ...piece.inner.map(within));
    case "link":
      // whoever is there is not told from where somebody came
      return el("a", { href: piece.to, rel: "noreferrer noopener", target: "_blank", title: piece.to }, ...piece.inner.map(within));
  }
}
