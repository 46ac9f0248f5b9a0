// One incident: all that is known of it, and, where the book is kept by this program, working with it.

import type { Incident, IncidentEntry } from "../api.ts";
import { act, type Deed } from "../client.ts";
import { button, el, fill, write } from "../dom.ts";
import { described, type Concluded } from "../finding.ts";
import { bytes, clock, day, moment, plural, whole, words } from "../format.ts";
import { numbers, references, section } from "../grounds.ts";
import { BARRED, Behind, commands, tone } from "../incident.ts";
import { facts, follow, panel, type Context } from "../page.ts";
import { marked, prose, runbook } from "../runbook.ts";
import type { IncidentKept } from "../schema.ts";

/** The paragraph with the runbook. */
const NEXT = "What to do next";

/** What was typed and not sent, by number: a page that is made anew, as for another time zone, has it again. */
const drafts = new Map<string, string>();

/** Under this the browser keeps the name of whoever acts. */
const NAME = "incidents.by";

export function show(root: HTMLElement, context: Context): void {
  const number = context.params.get("number") ?? "";
  const head = el("div", { class: "incident-head" });
  const life = el("dl", { class: "facts" });
  const told = el("div", { class: "stack" });
  const rests = el("div", { class: "stack" });
  const work = new Work(number);
  const behind = new Behind();
  root.append(
    behind.element,
    panel(`Incident ${number}`, { wide: true }, head, life),
    el("div", { class: "columns" }, told, el("div", { class: "stack" }, work.element, rests)),
  );
  let shown = "";
  work.done = follow(root, context, "incident", { number, book: context.params.get("book") }, (incident) => {
    const { timeline, evidence, left, state, revision } = incident;
    const key = [incident.book, revision, timeline.length, left, evidence.length].join(" ");
    work.show(incident);
    behind.show(incident.trouble);
    // what somebody reads or has marked stays while nothing changes
    if (key === shown) return;
    shown = key;
    fill(
      head,
      el("span", { class: `badge ${tone(incident.severity) ?? ""}` }, incident.severity),
      el("span", { class: `badge ${state === "open" ? "bad" : state === "resolved" ? "good" : "warn"}` }, state),
      el("b", {}, incident.title.replaceAll("_", " ")),
    );
    facts(life, [
      ["Since", moment(incident.opened)],
      ["Until", incident.resolved ? moment(incident.resolved) : undefined],
      ["Looked at by", incident.owner],
      ["Nodes", incident.nodes.join(", ")],
      ["Findings", lasting(incident)],
      ["Came back", incident.reopened > 0 ? plural(incident.reopened, "time") : undefined],
      ["Certainty", incident.unknown ? "Events are missing: it is neither confirmed nor over." : undefined],
      ["Similar", similar(incident, context)],
    ]);
    // what stands in the head is not said again
    const known = incident.paragraphs.filter(({ heading }) => !["Similar", "Since", NEXT].includes(heading));
    const next = incident.paragraphs.find(({ heading }) => heading === NEXT);
    fill(
      told,
      panel("What is known", {}, ...known.map(({ heading, text }) => section(heading, prose(text)))),
      next ? panel(next.heading, {}, runbook(next.text, 2)) : null,
      history(incident),
    );
    fill(rests, grounds(incident, context));
  });
}

/** How many findings there are, and of one that is not over how many last. */
function lasting({ findings, lasting: last, state }: Incident): string {
  if (state === "resolved") return whole(findings);
  if (Number(last) === 0) return `${whole(findings)}, none lasts`;
  return `${whole(findings)}, of which ${whole(last)} ${Number(last) === 1 ? "lasts" : "last"}`;
}

/** Incidents before this one that were about the same. */
function similar({ incident, book }: Incident, context: Context): HTMLElement | undefined {
  if (incident.similar.length === 0) return undefined;
  const links = incident.similar.flatMap((number, i) => [
    i > 0 ? ", " : "",
    el("a", { href: context.to("incident", { number, book }) }, `#${number}`),
  ]);
  return el("span", {}, ...links);
}

/** What it rests on: numbers, places in the stream, and what was cut out of the archive. */
function grounds({ incident, evidence, nodes }: Incident, context: Context): HTMLElement {
  const finding = incident.finding && described(incident.finding as unknown as Concluded);
  const peer = finding?.peers?.[0];
  // a peer's id says nothing without its node
  const link =
    peer !== undefined && nodes.length === 1
      ? el("a", { href: context.to("peer", { node: nodes[0], id: String(peer) }) }, `peer ${peer} at ${nodes[0] ?? ""}`)
      : null;
  const numbersOf = finding?.inputs ?? [];
  const nothing = el("p", { class: "empty" }, "Nothing was cut out of an archive yet, or none is kept.");
  return panel(
    "Evidence",
    { note: "Slices are kept beside the book, also when the archive has forgotten that time." },
    link && el("p", {}, "About ", link, "."),
    evidence.length > 0 ? el("ul", { class: "slices" }, ...evidence.map(slice)) : nothing,
    section("Numbers", finding ? el("div", {}, el("p", {}, finding.text ?? ""), numbers(numbersOf)) : null),
    section("Events", references(finding?.evidence ?? [], context, nodes.length === 1 ? nodes[0] : undefined)),
  );
}

function slice({ file, from, to, events, bytes: size, problem }: IncidentKept): HTMLElement {
  const times = `${moment(from)} to ${day(from) === day(to) ? clock(to, 0) : moment(to)}`;
  if (!file) return el("li", {}, el("span", { class: "quiet" }, "not kept: "), `${problem} (${times})`);
  return el(
    "li",
    {},
    el("code", {}, file),
    `: ${plural(Number(events), "event")}, ${bytes(size)}, ${times}`,
    problem ? el("span", { class: "quiet" }, `; not whole: ${problem}`) : null,
  );
}

function history({ timeline, left, whole: all, number }: Incident): HTMLElement {
  const before =
    !all || Number(left) > 0
      ? el("p", { class: "note" }, ...marked(`What happened before is in the book: \`peer-observer incidents show ${number}\`.`))
      : null;
  const list = el("ol", { class: "notes" }, ...timeline.map(entry));
  return panel("Timeline", {}, before, timeline.length > 0 ? list : null);
}

function entry({ time, what, by, text, cut, severity }: IncidentEntry): HTMLElement {
  const said = [text, cut ? "…" : ""].join("");
  const who = by ? ` by ${by}` : "";
  return el(
    "li",
    {},
    el("time", { datetime: new Date(Number(BigInt(time) / 1_000_000n)).toISOString(), title: moment(time) }, clock(time, 0)),
    el("span", { class: `kind ${tone(severity) ?? ""}` }, words(what)),
    el("span", { class: "text" }, who ? el("b", {}, `${who.trim()}${said ? ": " : ""}`) : null, said),
  );
}

/** Working with it: a form where the book is reached, else what to type. Made once, so that nothing is lost while somebody writes. */
class Work {
  readonly element = panel("Work with it", {});
  /** Something was done. */
  done: () => void = () => undefined;
  private readonly body = el("div");
  private readonly said = el("p", { class: "said", role: "status" });
  private readonly by = el("input", { type: "text", autocomplete: "nickname", maxlength: 64 });
  private readonly text = el("textarea", { rows: 3, maxlength: 16_000 });
  private readonly look: HTMLButtonElement;
  private readonly note: HTMLButtonElement;
  private readonly close: HTMLButtonElement;
  private laid = "";

  constructor(private readonly number: string) {
    this.by.value = localStorage.getItem(NAME) ?? "";
    this.text.value = drafts.get(number) ?? "";
    this.text.addEventListener("input", () => {
      drafts.set(number, this.text.value);
    });
    this.look = button("I look at it", {}, () => {
      this.send("acknowledge");
    });
    this.note = button("Add the note", {}, () => {
      this.send("note");
    });
    this.close = button("Close it", { title: "It is over; the text says why" }, () => {
      this.send("close");
    });
    this.element.append(this.body, this.said);
  }

  show({ acting, state }: Incident): void {
    this.element.hidden = acting === "public";
    this.look.disabled = state !== "open";
    this.close.disabled = state === "resolved";
    const laid = acting === "here" ? acting : `${acting} ${state}`;
    if (laid === this.laid || acting === "public") return;
    this.laid = laid;
    if (acting === "here") {
      fill(
        this.body,
        el("label", { class: "field" }, "Your name", this.by),
        el("label", { class: "field" }, "A note, or why it is over", this.text),
        el("div", { class: "deeds" }, this.look, this.note, this.close),
      );
    } else {
      const lines = commands(this.number, state).map((line) => el("code", {}, line, "\n"));
      fill(this.body, el("p", {}, ...marked(BARRED[acting])), el("pre", { class: "commands", tabindex: 0 }, ...lines));
    }
  }

  private send(what: Deed["act"]): void {
    const by = this.by.value.trim();
    const text = what === "acknowledge" ? "" : this.text.value.trim();
    if (!by) {
      write(this.said, "Say who you are: it stands in the book.");
      this.by.focus();
      return;
    }
    if (what === "note" && !text) {
      write(this.said, "Write the note first.");
      this.text.focus();
      return;
    }
    localStorage.setItem(NAME, by);
    write(this.said, "…");
    act(this.number, { act: what, by, text }).then(
      () => {
        write(
          this.said,
          { acknowledge: "It is in the book that you look at it.", note: "The note is in the book.", close: "It is closed." }[what],
        );
        if (what !== "acknowledge") {
          this.text.value = "";
          drafts.delete(this.number);
        }
        this.done();
      },
      (error: unknown) => {
        write(this.said, error instanceof Error ? `${error.message}.` : String(error));
        this.done();
      },
    );
  }
}
