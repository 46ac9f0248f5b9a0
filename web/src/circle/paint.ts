// Draws a stage on a canvas. Marks of one colour are one path, so a thousand of them cost a handful of calls.

import { FAMILIES, typeLook, type MessageFamily, type Shape } from "../networks.ts";
import { colour } from "../theme.ts";
import { FLASH, size, way, type Stage, type Standing } from "./stage.ts";

export interface View {
  hovered: string | undefined;
  pinned: string | undefined;
  /** Families that are drawn. */
  families: ReadonlySet<MessageFamily>;
  /** The node's name. */
  name: string;
}

/** Every colour that is needed, read from the style sheet once per theme. */
export class Palette {
  readonly text = colour("text");
  readonly muted = colour("muted");
  readonly line = colour("line-strong");
  readonly surface = colour("surface");
  readonly bad = colour("bad");
  readonly warn = colour("warn");
  readonly good = colour("good");
  private readonly named = new Map<string, string>();

  of(name: string): string {
    let value = this.named.get(name);
    if (value === undefined) {
      value = colour(name);
      this.named.set(name, value);
    }
    return value;
  }
}

/** Where everything goes on a canvas of this size. */
export class Geometry {
  readonly x: number;
  readonly y: number;
  readonly radius: number;
  readonly hub: number;
  readonly mark: number;

  constructor(
    readonly width: number,
    readonly height: number,
    peers: number,
    /** Of the longest id: what stands outside the ring needs room. */
    digits = 2,
  ) {
    this.x = width / 2;
    this.y = height / 2;
    this.radius = Math.max(40, Math.min(width, height) / 2 - 20 - 7 * digits);
    this.hub = Math.max(16, Math.min(34, this.radius * 0.13));
    // as large as the room on the ring allows
    this.mark = Math.max(2.5, Math.min(7, (this.radius * Math.PI) / Math.max(8, peers) / 1.5));
  }

  at(angle: number, radius: number): [number, number] {
    return [this.x + Math.sin(angle) * radius, this.y - Math.cos(angle) * radius];
  }
}

/** The peer at a point of the canvas, if one is near. */
export function peerAt(stage: Stage, geometry: Geometry, x: number, y: number): Standing | undefined {
  let best: Standing | undefined;
  let least = 16 ** 2;
  for (const peer of stage.peers.values()) {
    const [px, py] = geometry.at(peer.angle, geometry.radius);
    const distance = (px - x) ** 2 + (py - y) ** 2;
    if (distance < least) [best, least] = [peer, distance];
  }
  return best;
}

function trace(path: CanvasPath, shape: Shape, x: number, y: number, r: number): void {
  switch (shape) {
    case "disc":
    case "ring":
      path.moveTo(x + r, y);
      path.arc(x, y, r, 0, 2 * Math.PI);
      break;
    case "square":
      path.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8);
      break;
    case "triangle":
      path.moveTo(x, y - r * 1.15);
      path.lineTo(x + r * 1.1, y + r * 0.85);
      path.lineTo(x - r * 1.1, y + r * 0.85);
      path.closePath();
      break;
    case "diamond":
      path.moveTo(x, y - r * 1.25);
      path.lineTo(x + r * 1.25, y);
      path.lineTo(x, y + r * 1.25);
      path.lineTo(x - r * 1.25, y);
      path.closePath();
      break;
    case "cross":
      path.rect(x - r, y - r * 0.35, r * 2, r * 0.7);
      path.rect(x - r * 0.35, y - r, r * 0.7, r * 2);
      break;
    case "star":
      for (let i = 0; i < 10; i += 1) {
        const reach = i % 2 === 0 ? r * 1.3 : r * 0.6;
        const angle = (Math.PI * i) / 5;
        if (i === 0) path.moveTo(x, y - reach);
        else path.lineTo(x + Math.sin(angle) * reach, y - Math.cos(angle) * reach);
      }
      path.closePath();
      break;
  }
}

const DASHES: Record<string, number[]> = { full: [], block: [7, 3], inbound: [2, 3], manual: [9, 3, 2, 3], other: [1, 4] };

export function paint(
  canvas: CanvasRenderingContext2D,
  stage: Stage,
  geometry: Geometry,
  palette: Palette,
  view: View,
  at: number,
): void {
  canvas.clearRect(0, 0, geometry.width, geometry.height);
  const peers = stage.order();
  spokes(canvas, peers, geometry, palette, view);
  marks(canvas, stage, geometry, palette, view, at);
  standing(canvas, peers, geometry, palette, view, at);
  hub(canvas, geometry, palette, view);
}

/** A line from the node to each peer: its pattern says the type, its strength how busy it is. */
function spokes(
  canvas: CanvasRenderingContext2D,
  peers: readonly Standing[],
  geometry: Geometry,
  palette: Palette,
  view: View,
): void {
  const byLook = new Map<string, { colour: string; strength: number; path: Path2D }>();
  for (const peer of peers) {
    const look = typeLook(peer.type);
    const chosen = peer.id === view.hovered || peer.id === view.pinned;
    // three strengths are enough for the eye, and few enough to draw many lines at once
    const strength = chosen ? 3 : peer.left !== undefined ? 0 : peer.heat > 20 ? 2 : 1;
    const key = `${look.colour} ${strength}`;
    let group = byLook.get(key);
    if (!group) {
      group = { colour: look.colour, strength, path: new Path2D() };
      byLook.set(key, group);
    }
    group.path.moveTo(...geometry.at(peer.angle, geometry.hub + 4));
    group.path.lineTo(...geometry.at(peer.angle, geometry.radius - geometry.mark - 2));
  }
  for (const { colour, strength, path } of byLook.values()) {
    canvas.globalAlpha = [0.12, 0.28, 0.55, 0.95][strength] ?? 0.3;
    canvas.lineWidth = strength === 3 ? 1.75 : 1;
    canvas.setLineDash(peers.length > 60 ? [] : (DASHES[colour] ?? DASHES["other"] ?? []));
    canvas.strokeStyle = palette.of(colour);
    canvas.stroke(path);
  }
  canvas.globalAlpha = 1;
  canvas.setLineDash([]);
}

/** Messages on their way: those to the node on one side of the line, those from it on the other. */
function marks(canvas: CanvasRenderingContext2D, stage: Stage, geometry: Geometry, palette: Palette, view: View, at: number): void {
  const paths = new Map<MessageFamily, Path2D>();
  const from = geometry.radius - geometry.mark - 3;
  const to = geometry.hub + 5;
  for (const mark of stage.flying) {
    if (!view.families.has(mark.family)) continue;
    let path = paths.get(mark.family);
    if (!path) {
      path = new Path2D();
      paths.set(mark.family, path);
    }
    const share = way(mark, at);
    const radius = mark.inbound ? from + (to - from) * share : to + (from - to) * share;
    const [x, y] = geometry.at(mark.peer.angle, radius);
    const side = mark.inbound ? 3 : -3;
    trace(
      path,
      FAMILIES[mark.family].shape,
      x + Math.cos(mark.peer.angle) * side,
      y + Math.sin(mark.peer.angle) * side,
      size(mark.count),
    );
  }
  for (const [family, path] of paths) {
    const look = FAMILIES[family];
    if (look.shape === "ring") {
      canvas.strokeStyle = palette.of(look.colour);
      canvas.lineWidth = 1.5;
      canvas.stroke(path);
    } else {
      canvas.fillStyle = palette.of(look.colour);
      canvas.fill(path);
    }
  }
}

/** The peers: shape and colour say the type, the number is the id. */
function standing(
  canvas: CanvasRenderingContext2D,
  peers: readonly Standing[],
  geometry: Geometry,
  palette: Palette,
  view: View,
  at: number,
): void {
  const room = (2 * Math.PI * geometry.radius) / Math.max(1, peers.length);
  const text = Math.max(8, Math.min(12, room * 0.8));
  canvas.font = `${text}px system-ui, sans-serif`;
  canvas.textBaseline = "middle";
  for (const peer of peers) {
    const look = typeLook(peer.type);
    const [x, y] = geometry.at(peer.angle, geometry.radius);
    const chosen = peer.id === view.hovered || peer.id === view.pinned;
    const faded = peer.left === undefined ? 1 : Math.max(0, 1 - (at - peer.left) / FLASH);
    const path = new Path2D();
    trace(path, look.shape, x, y, geometry.mark * (chosen ? 1.35 : 1));
    canvas.globalAlpha = faded;
    canvas.fillStyle = palette.surface;
    canvas.fill(path);
    if (look.shape === "ring") {
      canvas.lineWidth = 2;
      canvas.strokeStyle = palette.of(look.colour);
      canvas.stroke(path);
    } else {
      canvas.fillStyle = palette.of(look.colour);
      canvas.fill(path);
    }
    if (peer.flash) flash(canvas, peer, x, y, geometry, palette, at);
    if (room > 7 || chosen) label(canvas, peer, geometry, chosen ? palette.text : palette.muted);
    if (peer.id === view.pinned) {
      canvas.beginPath();
      canvas.arc(x, y, geometry.mark + 6, 0, 2 * Math.PI);
      canvas.lineWidth = 1.5;
      canvas.strokeStyle = palette.text;
      canvas.stroke();
    }
  }
  canvas.globalAlpha = 1;
}

/** The id outside the ring, along the line, never upside down. */
function label(canvas: CanvasRenderingContext2D, peer: Standing, geometry: Geometry, colour: string): void {
  const [x, y] = geometry.at(peer.angle, geometry.radius + geometry.mark + 6);
  const left = Math.sin(peer.angle) < 0;
  canvas.save();
  canvas.translate(x, y);
  canvas.rotate(peer.angle - Math.PI / 2 + (left ? Math.PI : 0));
  canvas.textAlign = left ? "right" : "left";
  canvas.fillStyle = colour;
  canvas.fillText(peer.id, 0, 0);
  canvas.restore();
}

/** An opening is a ring that grows, a closing a cross, an eviction and misbehaviour a cross in a ring. */
function flash(
  canvas: CanvasRenderingContext2D,
  peer: Standing,
  x: number,
  y: number,
  geometry: Geometry,
  palette: Palette,
  at: number,
): void {
  if (!peer.flash) return;
  const share = Math.min(1, Math.max(0, (at - peer.flash.at) / FLASH));
  const { what } = peer.flash;
  canvas.strokeStyle = { opened: palette.good, closed: palette.muted, evicted: palette.warn, misbehaving: palette.bad }[what];
  canvas.lineWidth = 2;
  canvas.globalAlpha = 1 - share * 0.8;
  if (what !== "closed") {
    canvas.beginPath();
    canvas.arc(x, y, geometry.mark + 3 + share * 10, 0, 2 * Math.PI);
    canvas.stroke();
  }
  if (what !== "opened") {
    const r = geometry.mark + 2;
    canvas.beginPath();
    canvas.moveTo(x - r, y - r);
    canvas.lineTo(x + r, y + r);
    canvas.moveTo(x + r, y - r);
    canvas.lineTo(x - r, y + r);
    canvas.stroke();
  }
  canvas.globalAlpha = 1;
}

function hub(canvas: CanvasRenderingContext2D, geometry: Geometry, palette: Palette, view: View): void {
  canvas.beginPath();
  canvas.arc(geometry.x, geometry.y, geometry.hub, 0, 2 * Math.PI);
  canvas.fillStyle = palette.surface;
  canvas.fill();
  canvas.lineWidth = 2;
  canvas.strokeStyle = palette.text;
  canvas.stroke();
  canvas.font = "600 12px system-ui, sans-serif";
  canvas.textAlign = "center";
  canvas.textBaseline = "middle";
  canvas.fillStyle = palette.text;
  canvas.fillText(view.name, geometry.x, geometry.y, geometry.hub * 1.8);
}
