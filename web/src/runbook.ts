// Texts for people as the program writes them: paragraphs, numbered steps, and `code` between grave accents.

import { el, type Child } from "./dom.ts";

/** The numbered steps of a text; none where it is something else. */
export function steps(text: string): string[] {
  if (!/^1\. /.test(text)) return [];
  return text
    .split(/^\d+\. +/m)
    .slice(1)
    .map((step) => step.trim().replace(/\s*\n\s*/g, " "));
}

/** A text with what stands between grave accents set as code. */
export function marked(text: string): Child[] {
  const pieces = text.split("`");
  // an accent without its other half is an accent
  if (pieces.length % 2 === 0) return [text];
  return pieces.map((piece, i) => (i % 2 === 1 ? el("code", {}, piece) : piece));
}

/** A text as it is read: steps as a list, anything else as a paragraph. */
export function prose(text: string): HTMLElement {
  const list = steps(text);
  if (list.length === 0) return el("p", { class: "prose" }, ...marked(text));
  return el("ol", { class: "steps" }, ...list.map((step) => el("li", {}, ...marked(step))));
}
