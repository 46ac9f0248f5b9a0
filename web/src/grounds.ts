// What findings and incidents rest on, shown alike: numbers with their limits, and places in the stream.

import type { Finding } from "./api.ts";
import { el } from "./dom.ts";
import { moment, rfc3339, words } from "./format.ts";
import type { Context } from "./page.ts";

/** The events that were looked at; a time leads to the stream at that moment, where a recording is shown: of their node, if they are of one. */
export function references(evidence: NonNullable<Finding["evidence"]>, context: Context, node?: string): HTMLElement | null {
  if (evidence.length === 0) return null;
  const link = (time: string) =>
    el(
      "a",
      {
        href: context.to("messages", { ...(node === undefined ? {} : { node }), at: rfc3339(time) }),
        title: "The stream at this moment, in a recording",
      },
      moment(time),
    );
  return el("ul", {}, ...evidence.map(({ time, text }) => el("li", {}, time ? link(time) : null, time ? " " : "", text)));
}

/** The numbers that a finding rests on. */
export function numbers(inputs: NonNullable<Finding["inputs"]>): HTMLElement | null {
  if (inputs.length === 0) return null;
  return el(
    "table",
    {},
    el("caption", { class: "unseen" }, "Numbers that the finding rests on"),
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        el("th", { scope: "col" }, "Input"),
        el("th", { scope: "col", class: "number" }, "Value"),
        el("th", { scope: "col", class: "number" }, "Limit"),
      ),
    ),
    el(
      "tbody",
      {},
      ...inputs.map(({ name, value, limit }) =>
        el("tr", {}, el("td", {}, words(name)), el("td", { class: "number" }, value), el("td", { class: "number" }, limit ?? "")),
      ),
    ),
  );
}

/** A part of a finding, with its heading; nothing where there is nothing to show. */
export function section(title: string, content: HTMLElement | null): HTMLElement | null {
  return content && el("div", { class: "finding-part" }, el("h3", {}, title), content);
}
