// The one connection to the server: what happens over the WebSocket, what is over /api. Reconnects by itself, and counts what was missed.

import { num, type Int } from "./format.ts";
import type { Answers, Playback } from "./api.ts";
import { read } from "./wire.ts";
import type { ConnectionType, Direction, Event, Kind } from "./schema.ts";

/** What a page wants to hear. Empty `nodes` and `peers` mean all; empty `kinds` nothing. */
export interface Subscription {
  kinds: readonly string[];
  nodes?: readonly string[];
  peers?: readonly number[];
  form?: "full" | "brief";
  /** Each fact once, by its primary witness. */
  primary?: boolean;
  /** How often the server sends what came together, milliseconds. */
  interval_ms?: number;
}

/** An event in few words: enough to draw it. */
export interface Brief {
  time: string;
  node: string;
  kind: Kind;
  peer?: Int;
  direction?: Direction;
  connectionType?: ConnectionType;
  size?: number;
  /** How many transactions, addresses or headers a message carries; absent where it is not about many. */
  count?: number;
}

export interface Beat {
  time?: string;
  queued?: Int;
}

export type Connection = { state: "connecting" } | { state: "open" } | { state: "lost"; retryAt: number };

/** What the server says, by the first key of its frame. */
export interface Listener {
  events?(events: Event[] | Brief[]): void;
  /** At its place in the stream: so many events did not come. */
  missed?(count: number): void;
  refused?(reason: string): void;
}

/** Waits before the next attempt, milliseconds: 0.5 s, doubled up to 15 s, up to a third less so that clients do not come all at once. */
export function backOff(attempt: number, random: number): number {
  return Math.min(500 * 2 ** attempt, 15_000) * (1 - random / 3);
}

/** Silence after which a connection counts as dead, milliseconds: the server beats each second. */
const SILENCE = 10_000;

export interface Frame {
  events?: Event[] | Brief[];
  missed?: Int;
  playback?: Playback;
  beat?: Beat;
  subscribed?: unknown;
  error?: string;
}

export class Client {
  connection: Connection = { state: "connecting" };
  /** Events that this page was told it missed. */
  missed = 0;
  playback: Playback | undefined;
  /** Which change of the recording's state is known. */
  private change: number | undefined;
  private socket: WebSocket | undefined;
  private attempt = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private watchdog: ReturnType<typeof setTimeout> | undefined;
  private subscription: Subscription | undefined;
  private listener: Listener = {};
  /** Answers that are still to come; the last one is for `subscription`. */
  private unanswered = 0;
  private readonly watchers = new Set<() => void>();

  constructor(
    private readonly url: string,
    private readonly open: (url: string) => WebSocket = (url) => new WebSocket(url),
  ) {}

  /** Calls `changed` whenever connection, playback or the count of what was missed changes. */
  watch(changed: () => void, signal?: AbortSignal): void {
    this.watchers.add(changed);
    signal?.addEventListener("abort", () => this.watchers.delete(changed));
  }

  start(): void {
    this.say({ state: "connecting" });
    const socket = this.open(this.url);
    this.socket = socket;
    socket.onopen = () => {
      this.attempt = 0;
      this.unanswered = 0;
      // another life of the server counts from the beginning
      this.change = undefined;
      this.say({ state: "open" });
      this.send();
      this.heard();
    };
    socket.onmessage = (message) => {
      this.heard();
      if (typeof message.data === "string") this.receive(message.data);
    };
    // an error is followed by a close
    socket.onclose = () => {
      if (socket === this.socket) this.lost();
    };
  }

  /** What this page wants to hear from now on, until `signal` ends it; it replaces what any page wanted before. */
  subscribe(subscription: Subscription, listener: Listener, signal: AbortSignal): void {
    this.subscription = subscription;
    this.listener = listener;
    this.send();
    signal.addEventListener("abort", () => {
      if (this.subscription !== subscription) return;
      this.subscription = undefined;
      this.listener = {};
      this.send();
    });
  }

  /** Takes where the recording stands, wherever that was said, unless something newer is known. */
  learn(playback: Playback): void {
    const change = num(playback.change) ?? 0;
    if (this.change !== undefined && change <= this.change) return;
    this.change = change;
    this.playback = playback;
    this.changed();
  }

  /** Waits until a recording that jumps has arrived: before, the state is of neither moment. */
  async settled(signal: AbortSignal): Promise<void> {
    if (!this.playback?.seeking) return;
    await new Promise<void>((done) => {
      const look = () => {
        if (this.playback?.seeking && !signal.aborted) return;
        this.watchers.delete(look);
        done();
      };
      this.watchers.add(look);
      signal.addEventListener("abort", look);
    });
  }

  /** Ends the wait for the next attempt. */
  retry(): void {
    if (this.connection.state !== "lost") return;
    clearTimeout(this.timer);
    this.start();
  }

  private send(): void {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    this.unanswered += 1;
    this.socket.send(JSON.stringify(this.subscription ?? { kinds: [] }));
  }

  private receive(text: string): void {
    let frame: Frame;
    try {
      frame = JSON.parse(text) as Frame;
    } catch {
      // a frame that cannot be read may have held events: a new connection starts from a known place
      this.socket?.close();
      return;
    }
    if (frame.subscribed !== undefined || frame.error !== undefined) this.unanswered = Math.max(0, this.unanswered - 1);
    if (frame.error !== undefined) this.listener.refused?.(frame.error);
    if (frame.playback) this.learn(frame.playback);
    // on the way to a moment the state's time is of neither, and 0 before its first event
    if (frame.beat?.time && frame.beat.time !== "0" && this.playback?.playing && !this.playback.seeking) {
      this.playback = { ...this.playback, position: frame.beat.time };
      this.changed();
    }
    // what was sent before the answer belongs to what a page wanted before
    if (this.unanswered > 0) return;
    if (frame.events) this.listener.events?.(frame.events);
    if (frame.missed !== undefined) {
      this.missed += Number(frame.missed);
      this.listener.missed?.(Number(frame.missed));
      this.changed();
    }
  }

  private heard(): void {
    clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => this.socket?.close(), SILENCE);
  }

  private lost(): void {
    clearTimeout(this.watchdog);
    const wait = backOff(this.attempt, Math.random());
    this.attempt += 1;
    this.timer = setTimeout(() => {
      this.start();
    }, wait);
    this.say({ state: "lost", retryAt: Date.now() + wait });
  }

  private say(connection: Connection): void {
    this.connection = connection;
    this.changed();
  }

  private changed(): void {
    for (const watcher of this.watchers) watcher();
  }
}

/** Why an answer of /api did not come, in a sentence for the person who waits for it. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

async function answer<T>(response: Response): Promise<T> {
  if (response.ok) return (await response.json()) as T;
  let reason = "";
  try {
    reason = ((await response.json()) as { error?: string }).error ?? "";
  } catch {
    // not every refusal comes from the program: a proxy answers with a page
  }
  if (response.status === 401) reason = "sign in again: this page needs the server's token";
  throw new ApiError(reason || `the server answered ${response.status}`, response.status);
}

/** The path of an answer, and the parameters that are not part of it. */
function placed(path: keyof Answers, params: Record<string, string | undefined>): [string, Record<string, string | undefined>] {
  if (path !== "incident") return [path, params];
  const { number = "", ...rest } = params;
  return [`incidents/${encodeURIComponent(number)}`, rest];
}

/** `GET /api/<path>` with these parameters; empty ones are left out. */
export async function get<Path extends keyof Answers>(
  path: Path,
  params: Record<string, string | undefined>,
  signal: AbortSignal,
): Promise<Answers[Path]> {
  const [place, rest] = placed(path, params);
  const query = new URLSearchParams(
    Object.entries(rest).filter((entry): entry is [string, string] => Boolean(entry[1])),
  ).toString();
  const response = await fetch(`api/${place}${query ? `?${query}` : ""}`, { signal, headers: { accept: "application/json" } });
  return read(path, await answer<Answers[Path]>(response));
}

/** Tells the recording what to do. */
export async function play(change: { playing?: boolean; speed?: number; at?: string }): Promise<Playback> {
  const body = JSON.stringify(change);
  const response = await fetch("api/playback", { method: "POST", headers: { "content-type": "application/json" }, body });
  return answer<Playback>(response);
}

/** What somebody does with an incident. */
export interface Deed {
  act: "acknowledge" | "note" | "close";
  by: string;
  text: string;
}

/** Has something done with an incident; it is in the book when this returns. */
export async function act(number: string, deed: Deed): Promise<void> {
  const body = JSON.stringify(deed);
  const path = `api/incidents/${encodeURIComponent(number)}`;
  await answer(await fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body }));
}

/** Asks again and again until `signal` ends it, each time `every` milliseconds after the last answer; not while the page is hidden. */
export function poll<T>(
  ask: (signal: AbortSignal) => Promise<T>,
  every: number,
  got: (answer: T) => void,
  failed: (error: Error) => void,
  signal: AbortSignal,
): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let round: AbortController | undefined;
  const next = () => {
    clearTimeout(timer);
    round?.abort();
    if (signal.aborted || document.hidden) return;
    const current = new AbortController();
    round = current;
    ask(AbortSignal.any([signal, current.signal]))
      .then(
        (value) => {
          if (!current.signal.aborted && !signal.aborted) got(value);
        },
        (error: unknown) => {
          if (!current.signal.aborted && !signal.aborted) failed(error instanceof Error ? error : new Error(String(error)));
        },
      )
      .finally(() => {
        if (!current.signal.aborted && !signal.aborted) timer = setTimeout(next, every);
      });
  };
  document.addEventListener("visibilitychange", next, { signal });
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
  });
  next();
  return next;
}
