// A recording's bar: where one is, play and pause, speed, and a link to this moment.

import type { Playback } from "./api.ts";
import { get, play, type Client } from "./client.ts";
import { button, el, set, write } from "./dom.ts";
import { between, clock, day, millis, moment, nanos, rfc3339, zoneName, type Time } from "./format.ts";

const SPEEDS = [0.1, 0.5, 1, 2, 5, 10, 50, 100, 1000];

/** How far a jump of the arrow keys goes, milliseconds: a second, or a hundredth of a longer recording. */
export function stride(start: Time, end: Time): number {
  return Math.max(1000, (millis(end) - millis(start)) / 100);
}

export class Bar {
  readonly element = el("section", { class: "playback", "aria-label": "Recording", hidden: true });
  private readonly toggle: HTMLButtonElement;
  private readonly slider = el("input", { type: "range", step: 1, "aria-label": "Moment of the recording" });
  private readonly day = el("span", { class: "day" });
  private readonly time = el("span");
  private readonly now = el("output", { class: "moment" }, this.day, " ", this.time);
  private readonly length = el("span", { class: "quiet" });
  private readonly speed = el(
    "select",
    { "aria-label": "Speed" },
    ...SPEEDS.map((speed) => el("option", { value: speed, selected: speed === 1 }, `${speed}×`)),
  );
  private readonly share: HTMLButtonElement;
  private readonly said = el("span", { role: "status", class: "said" });
  private state: Playback | undefined;
  /** True while the person holds the slider: what the server says then must not move it. */
  private held = false;

  constructor(
    private readonly client: Client,
    private readonly remember: (at: string) => void,
  ) {
    this.toggle = button("Play", { class: "play" }, () => {
      this.ask({ playing: !(this.state?.playing ?? false) });
    });
    this.share = button(
      "Copy link",
      { title: "A link to this page at this moment; whoever opens it needs the same recording" },
      () => {
        this.copy();
      },
    );
    this.element.append(
      this.toggle,
      this.speed,
      el("div", { class: "track" }, this.slider),
      this.now,
      this.length,
      this.share,
      this.said,
    );
    this.slider.addEventListener("input", () => {
      this.held = true;
      this.place(this.slider.valueAsNumber);
    });
    this.slider.addEventListener("change", () => {
      this.held = false;
      const start = this.state?.start;
      if (start) this.ask({ at: rfc3339(nanos(millis(start) + this.slider.valueAsNumber)) });
    });
    this.speed.addEventListener("change", () => {
      this.ask({ speed: Number(this.speed.value) });
    });
    client.watch(() => {
      if (client.playback) this.show(client.playback);
    });
  }

  /** Learns whether this is a recording; goes to a moment if the link had one. */
  async start(at: string | undefined, signal: AbortSignal): Promise<void> {
    this.client.learn(await get("playback", {}, signal));
    if (at !== undefined) this.go(at);
  }

  /** Stops at a moment, as a link wants it. */
  go(at: string): void {
    if (this.state?.recording) this.ask({ at, playing: false });
  }

  /** Space plays and pauses from anywhere on the page. */
  press(): void {
    if (this.state?.recording) this.toggle.click();
  }

  private show(state: Playback): void {
    // back in time, or further on than playing could have brought it: what pages show is of another moment
    const back = this.state?.position && state.position && millis(state.position) < millis(this.state.position);
    const jumped = back || (this.state?.seeking && !state.seeking);
    this.state = state;
    this.element.hidden = !state.recording;
    document.documentElement.dataset["recording"] = String(state.recording);
    if (!state.recording || !state.start || !state.end) return;
    const length = millis(state.end) - millis(state.start);
    set(this.slider, { min: 0, max: Math.ceil(length) });
    const step = stride(state.start, state.end);
    set(this.slider, { step: step > 1000 ? Math.round(step / 10) : 100 });
    if (state.error) write(this.said, state.error);
    write(this.toggle, state.playing ? "Pause" : "Play");
    write(this.length, `of ${between(state.start, state.end)}`);
    const speed = String(state.speed ?? 1);
    if (![...this.speed.options].some((option) => option.value === speed))
      this.speed.append(el("option", { value: speed }, `${speed}×`));
    this.speed.value = speed;
    if (!this.held && state.position) this.place(millis(state.position) - millis(state.start));
    if (jumped) document.dispatchEvent(new Event("jumped"));
  }

  private place(offset: number): void {
    const start = this.state?.start;
    if (!start) return;
    const at = nanos(millis(start) + offset);
    if (!this.held) this.slider.value = String(offset);
    write(this.day, day(at));
    write(this.time, `${clock(at, 0)} ${zoneName(millis(at))}`);
    set(this.slider, { "aria-valuetext": moment(at) });
    this.slider.style.setProperty("--done", `${(100 * offset) / Math.max(1, Number(this.slider.max))}%`);
  }

  private ask(change: { playing?: boolean; speed?: number; at?: string }): void {
    play(change).then(
      (state) => {
        this.client.learn(state);
        write(this.said, "");
        if (change.at !== undefined) document.dispatchEvent(new Event("jumped"));
      },
      (error: unknown) => {
        write(this.said, `not done: ${error instanceof Error ? error.message : String(error)}`);
      },
    );
  }

  private copy(): void {
    const at = this.state?.position;
    if (!at) return;
    this.remember(rfc3339(at));
    const done = (text: string) => {
      write(this.said, text);
      setTimeout(() => {
        write(this.said, "");
      }, 4000);
    };
    navigator.clipboard.writeText(location.href).then(
      () => {
        done(`Copied: this page at ${clock(at, 0)}`);
      },
      // without permission the link is still where links are
      () => {
        done("The link is in the address bar");
      },
    );
  }
}
