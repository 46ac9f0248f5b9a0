// Findings: what a detector concluded, from what, and what that does not prove.

import type { Finding } from "../api.ts";
import { get, poll } from "../client.ts";
import { summary as inWords } from "../events.ts";
import { el, fill, write } from "../dom.ts";
import { FLEET, complete, edition, watched } from "../finding.ts";
import { moment, plural, words } from "../format.ts";
import { numbers, references, section } from "../grounds.ts";
import { facts, follow, type Context } from "../page.ts";
import { marked } from "../runbook.ts";

const UNWATCHED =
  "No detector has spoken in what is shown here, so nothing is known either way. `peer-observer detect --recording FILES` looks for attacks in a recording; `run` detects by itself, and over NATS `peer-observer detect --nats URL` does.";

const EMPTY =
  "Nothing fired. Detectors look at every event with its own time; a quiet page means that none of them saw what it looks for, not that nothing happens.";

export function show(root: HTMLElement, context: Context): void {
  const count = el("p", { class: "quiet", role: "status" });
  const list = el("div", { class: "findings" });
  const all = el("input", { type: "checkbox", checked: context.params.get("nodes") === "all" });
  root.append(context.several ? el("div", { class: "tools" }, el("label", {}, all, "of all nodes"), count) : count, list);
  const empty = el("p", { class: "empty" });
  const explain = (text: string) => {
    if (empty.dataset["text"] === text) return;
    empty.dataset["text"] = text;
    fill(empty, ...marked(text));
  };
  poll(
    (signal) => get("nodes", {}, signal),
    2000,
    (answer) => {
      explain(watched(answer, all.checked ? undefined : context.node) ? EMPTY : UNWATCHED);
    },
    () => {
      // the page says itself that nobody answers
    },
    context.signal,
  );
  let shown = "";
  // those of other nodes are counted at least: nobody shall take a quiet node for a quiet fleet
  follow(root, context, "findings", {}, ({ findings: raw }) => {
    const here = (node: string) => all.checked || !context.several || node === FLEET || node === context.node;
    const findings = raw.filter(({ node }) => here(node)).map(complete);
    const active = findings.filter(({ active }) => active).length;
    const elsewhere = raw.filter(({ node, active }) => active && !here(node)).length;
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
  });
  all.addEventListener("change", () => {
    context.remember({ nodes: all.checked ? "all" : undefined, at: undefined });
    // the page starts anew, under another heading
    dispatchEvent(new Event("hashchange"));
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
  const links = peers.flatMap((id, i) => [
    i > 0 ? ", " : "",
    el("a", { href: context.to("peer", { node: finding.node, id: String(id) }) }, `peer ${id}`),
  ]);
  facts(known, [
    ["Node", finding.node === FLEET ? "all of them" : finding.node],
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
        [context.several ? (finding.node === FLEET ? "all nodes" : finding.node) : "", finding.active ? "active" : "cleared"]
          .filter(Boolean)
          .join(" · "),
      ),
    ),
    known,
    section("Why", finding.why || inputs.length > 0 ? el("div", {}, el("p", {}, finding.why ?? ""), numbers(inputs)) : null),
    section("Evidence", references(evidence, context, finding.node === FLEET ? undefined : finding.node)),
    section("What it does not prove", unproven.length > 0 ? el("ul", {}, ...unproven.map((text) => el("li", {}, text))) : null),
  );
  details.dataset["id"] = finding.id;
  return details;
}
