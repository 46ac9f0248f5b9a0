// What every page is made of: its context, its panels, its figures, and what it says while there is nothing to show.

import type { Answers, PeerRow } from "./api.ts";
import { ApiError, get, poll, type Client } from "./client.ts";
import { button, el, fill, write, type Child } from "./dom.ts";

export interface Context {
  client: Client;
  /** The node that was chosen; absent while none is known. */
  node: string | undefined;
  /** What to ask /api for: nothing where there is one node, so that the answer is empty, not wrong, before a recording comes to it. */
  asked: string | undefined;
  /** Whether there are other nodes: then it has to be said which one is shown. */
  several: boolean;
  params: Map<string, string>;
  /** Ends when the page is left. */
  signal: AbortSignal;
  /** A link to a page about the chosen node. */
  to(page: string, params?: Record<string, string | undefined>): string;
  /** Changes the parameters of this page's own link, so that it leads to what is shown now, and the heading with it. */
  remember(params: Record<string, string | undefined>): void;
  /** Makes the page anew from its link. Focus and place on the page stay. */
  renew(): void;
}

/** A part of a page with a heading. */
export function panel(
  title: string,
  attributes: { wide?: boolean; note?: string; side?: Child },
  ...children: Child[]
): HTMLElement {
  const heading = el("header", {}, el("h2", {}, title), attributes.side);
  return el(
    "section",
    { class: attributes.wide ? "panel wide" : "panel", "aria-label": title },
    heading,
    attributes.note ? el("p", { class: "note" }, attributes.note) : null,
    ...children,
  );
}

/** A number with its name. */
export class Figure {
  readonly element: HTMLElement;
  private readonly value = el("dd", {}, "–");
  private readonly small = el("dd", { class: "small" });

  constructor(name: string, meaning?: string) {
    this.element = el("div", { class: "figure", title: meaning }, el("dt", {}, name), this.value, this.small);
  }

  show(value: string, small = ""): void {
    write(this.value, value);
    write(this.small, small);
  }
}

export function figures(...all: Figure[]): HTMLElement {
  return el("dl", { class: "figures" }, ...all.map((figure) => figure.element));
}

/** Facts as a list of names and values; what is not known is left out. */
export function facts(target: HTMLElement, pairs: readonly (readonly [string, Child])[]): void {
  fill(
    target,
    ...pairs
      .filter(([, value]) => value !== undefined && value !== null && value !== "" && value !== "–")
      .flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]),
  );
}

/** What a failure means for whoever reads it, and what to do. */
export function advice(error: Error): string {
  if (error instanceof ApiError) {
    if (error.status === 404) return `${error.message}. It may have left, or this server is older than the page: reload it.`;
    if (error.status === 401) return `${error.message}.`;
    return `${error.message}. The program's own log says more.`;
  }
  return "The program does not answer. Is it still running? This page tries again by itself.";
}

/** Shows why there is nothing new, above what is there; nothing where all is well. */
export class Trouble {
  readonly element = el("div", { class: "trouble", role: "status", hidden: true });

  show(error: Error, retry: () => void): void {
    const text = advice(error);
    if (!this.element.hidden && this.element.firstChild?.textContent === text) return;
    fill(this.element, el("span", {}, text), button("Try again", { class: "small" }, retry));
    this.element.hidden = false;
  }

  clear(): void {
    this.element.hidden = true;
  }
}

/** Type and network of each peer by id, renewed now and then: for tables that know only the id. */
export function acquaintances(context: Context): Map<string, PeerRow> {
  const known = new Map<string, PeerRow>();
  poll(
    (signal) => get("peers", { node: context.asked }, signal),
    5000,
    ({ peers }) => {
      known.clear();
      for (const peer of [...peers].reverse()) known.set(String(peer.id), peer);
    },
    () => {
      // without it the tables lack a mark, no more
    },
    context.signal,
  );
  return known;
}

/** Asks /api every second or so while the page is shown, and again at once when a recording jumps, or when what it gives is called. */
export function follow<Path extends keyof Answers>(
  root: HTMLElement,
  context: Context,
  path: Path,
  params: Record<string, string | undefined>,
  got: (answer: Answers[Path]) => void,
  every = 1000,
): () => void {
  const trouble = new Trouble();
  root.prepend(trouble.element);
  const again = poll(
    async (signal) => {
      await context.client.settled(signal);
      return get(path, params, signal);
    },
    every,
    (answer) => {
      trouble.clear();
      got(answer);
    },
    (error) => {
      trouble.show(error, () => {
        again();
      });
    },
    context.signal,
  );
  document.addEventListener(
    "jumped",
    () => {
      again();
    },
    { signal: context.signal },
  );
  return again;
}
