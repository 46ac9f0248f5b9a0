// The circle: the node in the middle, its peers around it, their messages flying.

import { get, poll, type Brief } from "../client.ts";
import { message, wanted } from "../circle/hearing.ts";
import { paint, peerAt, Geometry, Palette, type View } from "../circle/paint.ts";
import { Stage, type Standing } from "../circle/stage.ts";
import { button, el, fill, set, write } from "../dom.ts";
import { bytes, clock, duration, perSecond, plural, words, type Time } from "../format.ts";
import { familyMark, shape } from "../mark.ts";
import { FAMILIES, TYPE_ORDER, typeLook, type MessageFamily } from "../networks.ts";
import { facts, panel, type Context } from "../page.ts";
import { age, byType } from "../peers.ts";
import { onTheme, stillness } from "../theme.ts";

/** Happenings that the list beside the circle keeps. */
const KEPT = 60;

declare global {
  interface Window {
    /** Frames that the circle drew; tests measure how smooth it is by it. */
    circleFrames?: number;
  }
}

export function show(root: HTMLElement, context: Context): void {
  new CirclePage(root, context).start();
}

/** The circle of one node. */
class Ring {
  readonly stage = new Stage();
  readonly element: HTMLElement;
  readonly canvas: HTMLCanvasElement;
  readonly view: View;
  geometry = new Geometry(300, 300, 0);
  /** Asks anew who is connected. */
  again: (() => void) | undefined;
  private readonly drawing: CanvasRenderingContext2D | null;
  private readonly told = el("p", { class: "quiet ring-told" });

  constructor(
    readonly node: string,
    families: ReadonlySet<MessageFamily>,
  ) {
    this.view = { hovered: undefined, pinned: undefined, families, name: node };
    this.canvas = el("canvas", { tabindex: 0, role: "application", "aria-roledescription": "circle of peers" });
    this.drawing = this.canvas.getContext("2d");
    this.element = el("div", { class: "ring" }, this.canvas, this.told);
  }

  /** Fits the canvas to its place, in the screen's own pixels. */
  fit(): void {
    const ratio = Math.min(2, devicePixelRatio || 1);
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== wide || this.canvas.height !== high) {
      this.canvas.width = wide;
      this.canvas.height = high;
      this.drawing?.setTransform(ratio, 0, 0, ratio, 0, 0);
    }
    let digits = 2;
    for (const id of this.stage.peers.keys()) digits = Math.max(digits, id.length);
    this.geometry = new Geometry(width, height, this.stage.peers.size, digits);
  }

  draw(palette: Palette, at: number): void {
    if (this.drawing) paint(this.drawing, this.stage, this.geometry, palette, this.view, at);
  }

  /** The same in words. */
  tell(): void {
    const counts: Record<string, number> = {};
    for (const { type, left } of this.stage.peers.values()) if (left === undefined) counts[type] = (counts[type] ?? 0) + 1;
    const types = byType(counts);
    const peers = types.reduce((sum, { count }) => sum + count, 0);
    write(this.told, `${plural(peers, "peer")} · ${perSecond(Math.round(this.stage.rate))} messages`);
    set(this.canvas, {
      "aria-label": `Node ${this.node} with ${plural(peers, "peer")}: ${types.map(({ type, count }) => `${count} ${typeLook(type).label}`).join(", ")}. Arrow keys go from peer to peer, Enter pins one, Escape lets go.`,
    });
  }
}

class CirclePage {
  private readonly rings = new Map<string, Ring>();
  private readonly stages = el("div", { class: "rings" });
  private readonly happenings = el("ol", { class: "notes", "aria-label": "Openings, closings, evictions, newest first" });
  private readonly about = el("div", { class: "peer-card" });
  private readonly families = new Set<MessageFamily>(Object.keys(FAMILIES) as MessageFamily[]);
  private palette = new Palette();
  private paused = false;
  private pinned: { ring: Ring; id: string } | undefined;
  private previous = performance.now();
  private told = 0;
  /** Every node, or only the chosen one. */
  private all: boolean;

  constructor(
    root: HTMLElement,
    private readonly context: Context,
  ) {
    this.all = context.params.get("nodes") === "all";
    root.append(
      this.tools(),
      el(
        "div",
        { class: this.all ? "circle-columns side-by-side" : "circle-columns" },
        this.stages,
        el(
          "div",
          { class: this.all ? "beside" : "stack" },
          panel("Peer", {}, this.about),
          panel("Comings and goings", {}, this.happenings),
          this.legend(),
        ),
      ),
    );
    this.showPinned(undefined);
    fill(this.happenings, el("li", { class: "empty" }, "Nobody came or left since this page was opened."));
  }

  start(): void {
    const { context } = this;
    onTheme(() => {
      this.palette = new Palette();
    }, context.signal);
    poll(
      (signal) => get("nodes", {}, signal),
      5000,
      ({ nodes }) => {
        this.arrange(nodes.map(({ node }) => node));
      },
      () => {
        this.arrange(context.node === undefined ? [] : [context.node]);
      },
      context.signal,
    );
    context.client.subscribe(
      wanted(this.all || context.node === undefined ? [] : [context.node]),
      {
        events: (events) => {
          this.hear(events);
        },
      },
      context.signal,
    );
    document.addEventListener(
      "jumped",
      () => {
        for (const ring of this.rings.values()) {
          ring.stage.clear();
          ring.again?.();
        }
      },
      { signal: context.signal },
    );
    const frame = (at: number) => {
      if (context.signal.aborted) return;
      if (!document.hidden) this.frame(at);
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  private frame(at: number): void {
    const since = Math.min(250, at - this.previous);
    this.previous = at;
    const still = stillness();
    for (const ring of this.rings.values()) {
      if (!this.paused) ring.stage.step(at, since, still);
      ring.fit();
      ring.draw(this.palette, at);
    }
    window.circleFrames = (window.circleFrames ?? 0) + 1;
    if (at - this.told > 250) {
      this.told = at;
      for (const ring of this.rings.values()) ring.tell();
    }
  }

  /** One ring per node that is wanted. */
  private arrange(nodes: readonly string[]): void {
    const wanted = this.all ? nodes.slice(0, 12) : nodes.filter((node) => node === (this.context.node ?? nodes[0]));
    for (const [node, ring] of this.rings) {
      if (wanted.includes(node)) continue;
      ring.element.remove();
      this.rings.delete(node);
    }
    for (const node of wanted) {
      if (this.rings.has(node)) continue;
      const ring = new Ring(node, this.families);
      this.rings.set(node, ring);
      this.stages.append(ring.element);
      this.listen(ring);
      this.settle(ring);
    }
    set(this.stages, { "data-rings": Math.min(4, this.rings.size) });
    if (this.rings.size === 0)
      fill(this.stages, el("p", { class: "empty" }, "No node was heard of yet. `peer-observer doctor` says what works here."));
    else this.stages.querySelector(".empty")?.remove();
  }

  /** Peers that were there before, and those whose closing was missed. */
  private settle(ring: Ring): void {
    ring.again = poll(
      (signal) => get("peers", { node: this.context.asked && ring.node }, signal),
      5000,
      ({ peers }) => {
        if (!this.rings.has(ring.node)) return;
        ring.stage.settle(
          peers
            .filter(({ closed }) => !closed)
            .map(({ id, connectionType }) => ({ id: String(id), type: connectionType ?? "unspecified" })),
          performance.now(),
        );
      },
      () => {
        // the stream fills the circle by and by
      },
      this.context.signal,
    );
  }

  private hear(events: readonly Brief[]): void {
    if (this.paused) return;
    const at = performance.now();
    for (const event of events) {
      const ring = this.rings.get(event.node);
      const peer = event.peer;
      if (!ring || peer === undefined) continue;
      const id = String(peer);
      const { stage } = ring;
      if (event.kind.startsWith("net.")) {
        stage.say(message(event, id), at);
        continue;
      }
      if (event.kind === "conn.opened") stage.open(id, event.connectionType ?? "unspecified", at);
      else if (event.kind === "conn.closed") stage.close(id, at);
      else if (event.kind === "conn.evicted") stage.evict(id, at);
      else if (event.kind === "conn.misbehaving") stage.misbehave(id, at);
      this.note(event.time, event.node, event.kind.slice("conn.".length), id, stage.peers.get(id));
    }
  }

  private note(time: Time, node: string, what: string, id: string, peer: Standing | undefined): void {
    this.happenings.querySelector(".empty")?.remove();
    this.happenings.prepend(
      el(
        "li",
        { class: `note-${what}` },
        el("time", {}, clock(time, 0)),
        el("span", { class: "kind" }, words(what)),
        el(
          "span",
          { class: "text" },
          peer ? shape(peer.type) : null,
          " ",
          el("a", { href: this.context.to("peer", { node, id }) }, this.name(node, id)),
        ),
      ),
    );
    while (this.happenings.childElementCount > KEPT) this.happenings.lastElementChild?.remove();
  }

  /** A peer's id says nothing without its node, where there are several. */
  private name(node: string, id: string): string {
    return this.all && this.context.several ? `peer ${id} of ${node}` : `peer ${id}`;
  }

  private listen(ring: Ring): void {
    const { canvas, view } = ring;
    const find = (event: MouseEvent) => {
      const box = canvas.getBoundingClientRect();
      return peerAt(ring.stage, ring.geometry, event.clientX - box.left, event.clientY - box.top);
    };
    canvas.addEventListener("pointermove", (event) => {
      view.hovered = find(event)?.id;
      set(canvas, { class: view.hovered === undefined ? undefined : "pointing" });
      if (!this.pinned) this.showPinned(view.hovered === undefined ? undefined : { ring, id: view.hovered });
    });
    canvas.addEventListener("pointerleave", () => {
      view.hovered = undefined;
    });
    canvas.addEventListener("click", (event) => {
      this.pin(ring, find(event)?.id);
    });
    canvas.addEventListener("keydown", (event) => {
      const order = ring.stage.order();
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (step !== undefined && order.length > 0) {
        const here = order.findIndex(({ id }) => id === view.hovered);
        view.hovered = order[(here + step + order.length) % order.length]?.id;
        if (view.hovered !== undefined && !this.pinned) this.showPinned({ ring, id: view.hovered });
      } else if (event.key === "Enter" || event.key === " ") this.pin(ring, view.hovered);
      else if (event.key === "Escape") this.pin(ring, undefined);
      else return;
      event.preventDefault();
    });
  }

  /** Keeps one peer in view, or lets it go. */
  private pin(ring: Ring, id: string | undefined): void {
    for (const other of this.rings.values()) other.view.pinned = undefined;
    const again = this.pinned?.ring === ring && this.pinned.id === id;
    this.pinned = id === undefined || again ? undefined : { ring, id };
    ring.view.pinned = this.pinned?.id;
    this.showPinned(this.pinned);
  }

  private asked = new AbortController();
  private asking = "";

  private showPinned(which: { ring: Ring; id: string } | undefined): void {
    const name = which ? `${which.ring.node} ${which.id}` : "";
    if (name === this.asking && name !== "") return;
    this.asking = name;
    this.asked.abort();
    this.asked = new AbortController();
    if (!which) {
      fill(this.about, el("p", { class: "empty" }, "Point at a peer; a click pins it. By keyboard: arrow keys, Enter, Escape."));
      return;
    }
    const { ring, id } = which;
    const list = el("dl", { class: "facts" });
    fill(
      this.about,
      el("p", { class: "who" }, el("b", {}, this.name(ring.node, id).replace("peer", "Peer"))),
      list,
      el("p", {}, el("a", { href: this.context.to("peer", { node: ring.node, id }) }, "All that is known of it")),
    );
    poll(
      (signal) => get("peer", { node: this.context.asked && ring.node, id }, signal),
      1000,
      (peer) => {
        facts(list, [
          ["Type", typeLook(peer.connectionType).label],
          ["Address", peer.address],
          ["Software", peer.userAgent ?? peer.info?.subver],
          ["Connected", age(peer, peer.now)],
          ["Received", bytes(peer.received?.bytes)],
          ["Sent", bytes(peer.sent?.bytes)],
          ["Ping", duration(peer.ping)],
          ["Messages", perSecond(peer.messagesPerSecond)],
        ]);
      },
      () => {
        fill(list, el("dd", { class: "empty" }, "Nothing is known of it yet."));
      },
      AbortSignal.any([this.asked.signal, this.context.signal]),
    );
  }

  private tools(): HTMLElement {
    const pause = button("Pause", { "aria-pressed": "false" }, () => {
      this.paused = !this.paused;
      write(pause, this.paused ? "Go on" : "Pause");
      set(pause, { "aria-pressed": String(this.paused) });
    });
    const every = el("input", { type: "checkbox", checked: this.all });
    every.addEventListener("change", () => {
      this.context.remember({ nodes: every.checked ? "all" : undefined, at: undefined });
      // the page starts anew, with another subscription
      this.context.renew();
    });
    return el("div", { class: "tools" }, pause, ...this.filters(), el("label", {}, every, "all nodes side by side"));
  }

  private filters(): HTMLElement[] {
    const boxes = (Object.keys(FAMILIES) as MessageFamily[]).map((family) => {
      const box = el("input", { type: "checkbox", checked: true });
      box.addEventListener("change", () => {
        if (box.checked) this.families.add(family);
        else this.families.delete(family);
      });
      return el("label", { class: "chip" }, box, familyMark(family), FAMILIES[family].label);
    });
    return [el("fieldset", { class: "chips" }, el("legend", { class: "unseen" }, "Messages that are drawn"), ...boxes)];
  }

  private legend(): HTMLElement {
    const types = TYPE_ORDER.filter((type) => type !== "other" && type !== "unspecified");
    return panel(
      "Peers by type",
      {},
      el(
        "ul",
        { class: "key" },
        ...types.map((type) => el("li", { title: typeLook(type).meaning }, shape(type), typeLook(type).label)),
      ),
    );
  }
}
