// Findings: what a detector concluded, from what, and what that does not prove.

import type { Finding, Findings, Nodes } from "../api.ts";
import { get, poll } from "../client.ts";
import { summary as inWords } from "../events.ts";
import { el, fill, write } from "../dom.ts";
import { complete, concerns, edition, place, watched } from "../finding.ts";
import { moment, plural, words } from "../format.ts";
import { numbers, references, section } from "../grounds.ts";
import { facts, follow, type Context } from "../page.ts";
import { marked } from "../runbook.ts";

const UNWATCHED =
  "No detector runs at the moment that is shown, so nothing is known either way. `peer-observer detect --recording FILES` looks for attacks in a recording; `run` detects by itself, and over NATS `peer-observer detect --nats URL` does.";

const EMPTY =
  "Nothing fired. Detectors look at every event with its own time; a quiet page means that none of them saw what it looks for, not that nothing happens.";

export function show(root: HTMLElement, context: Context): void {
  const count = el("p", { class: "quiet", role: "status" });
  const list = el("div", { class: "findings" });
  const all = el("input", { type: "checkbox", checked: context.params.get("nodes") === "all" });
  root.append(context.several ? el("div", { class: "tools" }, el("label", {}, all, "of all nodes"), count) : count, list);
  const empty = el("p", { class: "empty", hidden: true });
  const explain = (text: string) => {
    if (empty.dataset["text"] === text) return;
    empty.dataset["text"] = text;
    empty.hidden = false;
    fill(empty, ...marked(text));
  };
  let looked: Nodes | undefined;
  const tell = () => {
    if (looked) explain(watched(looked, all.checked ? undefined : context.node) ? EMPTY : UNWATCHED);
  };
  poll(
    (signal) => get("nodes", {}, signal),
    2000,
    (answer) => {
      looked = answer;
      tell();
    },
    () => {
      // the page says itself that nobody answers
    },
    context.signal,
  );
  let shown = "";
  let last: Findings | undefined;
  // those of other nodes are counted at least: nobody shall take a quiet node for a quiet fleet
  const lay = ({ findings: raw }: Findings) => {
    const here = (finding: Finding) => all.checked || !context.several || concerns(finding, context.node);
    const findings = raw.filter(here).map(complete);
    const active = findings.filter(({ active }) => active).length;
    const elsewhere = raw.filter((finding) => finding.active && !here(finding)).length;
    const key = edition(findings);
    const text = [
      findings.length === 0 ? "" : `${plural(active, "active finding")}, ${findings.length - active} cleared`,
      elsewhere === 0 ? "" : `${elsewhere} active at other nodes`,
    ];
    write(count, text.filter(Boolean).join("; "));
    if (key === shown && list.childElementCount > 0) return;
    const first = shown === "";
    shown = key;
    const open = new Set([...list.querySelectorAll<HTMLElement>("details[open]")].map((item) => item.dataset["id"]));
    const ordered = [...findings].sort(
      (a, b) => Number(b.active ?? false) - Number(a.active ?? false) || Number(b.time) - Number(a.time),
    );
    fill(
      list,
      ...(findings.length === 0
        ? [empty]
        : ordered.map((finding, i) => card(finding, context, open.has(finding.id) || (first && i === 0)))),
    );
  };
  follow(root, context, "findings", {}, (answer) => {
    last = answer;
    lay(answer);
  });
  all.addEventListener("change", () => {
    context.remember({ nodes: all.checked ? "all" : undefined, at: undefined });
    // in place: whoever went here by keyboard, or further down, stays
    tell();
    if (last) lay(last);
  });
}

/** What to do about it, in a sentence. */
const VERDICTS: Record<string, string> = {
  benign: "Known, and harmless.",
  investigate: "An innocent cause is possible: look at the evidence.",
  act: "No innocent cause is known.",
};

function card(finding: Finding, context: Context, open: boolean): HTMLElement {
  const severity = finding.severity ?? "info";
  const peers = finding.peers ?? [];
  const inputs = finding.inputs ?? [];
  const evidence = finding.evidence ?? [];
  const unproven = finding.notProven ?? [];
  const known = el("dl", { class: "facts" });
  const node = place(finding);
  const links = peers.flatMap((id, i) => [
    i > 0 ? ", " : "",
    // an id is of one node only
    node === undefined ? `peer ${id}` : el("a", { href: context.to("peer", { node, id: String(id) }) }, `peer ${id}`),
  ]);
  facts(known, [
    ["Node", node ?? "all of them"],
    ["About", peers.length > 0 ? el("span", {}, ...links) : finding.about],
    ["Since", moment(finding.time)],
    ["Cleared", finding.cleared ? moment(finding.cleared) : undefined],
    ["What to do", finding.verdict ? VERDICTS[finding.verdict] : undefined],
    ["Detector", finding.detector],
    ["Certainty", finding.unknown ? "Events are missing: it is neither confirmed nor over." : undefined],
  ]);
  const badge = severity === "critical" ? "bad" : severity === "info" ? "" : "warn";
  const details = el(
    "details",
    { class: `finding ${severity}`, open },
    el(
      "summary",
      {},
      el("span", { class: `badge ${badge}` }, severity),
      el("b", {}, finding.title ?? words(finding.kind.replace(".", " "))),
      el("span", { class: "text" }, finding.text ?? (finding.event ? inWords(finding.event) : "")),
      el(
        "span",
        { class: "quiet" },
        [context.several ? (node ?? "all nodes") : "", finding.active ? "active" : "cleared"].filter(Boolean).join(" · "),
      ),
    ),
    known,
    section("Why", finding.why || inputs.length > 0 ? el("div", {}, el("p", {}, finding.why ?? ""), numbers(inputs)) : null),
    section("Evidence", references(evidence, context, node)),
    section("What it does not prove", unproven.length > 0 ? el("ul", {}, ...unproven.map((text) => el("li", {}, text))) : null),
  );
  details.dataset["id"] = finding.id;
  return details;
}
