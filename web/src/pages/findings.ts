// Findings: what a detector concluded, from what, and what that does not prove.

import type { Finding } from "../api.ts";
import { body } from "../events.ts";
import { el, fill } from "../dom.ts";
import { between, moment, plural, words } from "../format.ts";
import { facts, follow, type Context } from "../page.ts";

const EMPTY =
  "Nothing fired. Detectors look at every event with its own time; a quiet page means that none of them saw what it looks for, not that nothing happens.";

export function show(root: HTMLElement, context: Context): void {
  const count = el("p", { class: "quiet", role: "status" });
  const list = el("div", { class: "findings" });
  root.append(count, list);
  let shown = "";
  follow(root, context, "findings", { node: context.node }, ({ findings, now }) => {
    const active = findings.filter(isActive).length;
    const key = findings.map((finding) => `${finding.id} ${finding.time} ${finding.kind} ${String(finding.active)}`).join();
    const text = findings.length === 0 ? "" : `${plural(active, "active finding")}, ${findings.length - active} cleared`;
    if (count.textContent !== text) count.textContent = text;
    if (key === shown && list.childElementCount > 0) return;
    shown = key;
    const open = new Set([...list.querySelectorAll<HTMLElement>("details[open]")].map((item) => item.dataset["id"]));
    const ordered = [...findings].sort((a, b) => Number(isActive(b)) - Number(isActive(a)) || Number(b.time) - Number(a.time));
    fill(
      list,
      ...(findings.length === 0
        ? [el("p", { class: "empty" }, EMPTY)]
        : ordered.map((finding, i) => card(finding, now, context, open.has(finding.id) || (shown === "" && i === 0)))),
    );
  });
}

function isActive(finding: Finding): boolean {
  return finding.active ?? (finding.kind as string).endsWith("opened");
}

/** The finding's own words; what the answer does not spell out is in the event. */
function read(finding: Finding): Record<string, unknown> {
  return finding.event ? body(finding.event) : {};
}

function card(finding: Finding, now: string, context: Context, open: boolean): HTMLElement {
  const own = read(finding);
  const word = (name: string) => (typeof own[name] === "string" ? own[name] : undefined);
  const severity = (finding.severity ?? word("severity") ?? "info").toLowerCase();
  const title = finding.title ?? word("name") ?? words(finding.kind.replace(".", " "));
  const inputs = finding.inputs ?? [];
  const evidence = finding.evidence ?? [];
  const unproven = finding.notProven ?? (word("doesNotProve") ? [word("doesNotProve") ?? ""] : []);
  const peers = finding.peers ?? [];
  const known = el("dl", { class: "facts" });
  facts(known, [
    ["Node", finding.node],
    ["Detector", finding.detector ?? word("detector")],
    ["Since", `${moment(finding.time)} (${between(finding.time, now)} ago)`],
    ["Cleared", finding.cleared ? moment(finding.cleared) : undefined],
    [
      "Peers",
      peers.length > 0
        ? el(
            "span",
            {},
            ...peers.flatMap((id, i) => [
              i > 0 ? ", " : "",
              el("a", { href: context.to("peer", { node: finding.node, id: String(id) }) }, String(id)),
            ]),
          )
        : undefined,
    ],
  ]);
  const details = el(
    "details",
    { class: `finding ${severity}`, open },
    el(
      "summary",
      {},
      el("span", { class: `badge ${severity === "critical" ? "bad" : severity === "info" ? "" : "warn"}` }, severity),
      el("b", {}, title),
      el("span", { class: "text" }, finding.text ?? word("summary") ?? ""),
      el("span", { class: "quiet" }, isActive(finding) ? "active" : "cleared"),
    ),
    known,
    section("Why", (finding.why ?? word("why")) ? el("p", {}, finding.why ?? word("why") ?? "") : null),
    section(
      "Inputs",
      inputs.length > 0
        ? el(
            "table",
            {},
            el("caption", { class: "unseen" }, "Inputs of the finding"),
            el(
              "thead",
              {},
              el("tr", {}, el("th", { scope: "col" }, "Input"), el("th", { scope: "col", class: "number" }, "Value")),
            ),
            el(
              "tbody",
              {},
              ...inputs.map(({ name, value }) => el("tr", {}, el("td", {}, words(name)), el("td", { class: "number" }, value))),
            ),
          )
        : null,
    ),
    section(
      "Evidence",
      evidence.length > 0
        ? el(
            "ul",
            {},
            ...evidence.map(({ time, text }) =>
              el(
                "li",
                {},
                time
                  ? el(
                      "a",
                      { href: context.to("messages", { at: time }), title: "The stream at this moment, in a recording" },
                      moment(time),
                    )
                  : null,
                time ? " " : "",
                text,
              ),
            ),
          )
        : null,
    ),
    section("What it does not prove", unproven.length > 0 ? el("ul", {}, ...unproven.map((text) => el("li", {}, text))) : null),
  );
  details.dataset["id"] = finding.id;
  return details;
}

function section(title: string, content: HTMLElement | null): HTMLElement | null {
  return content && el("div", { class: "finding-part" }, el("h3", {}, title), content);
}
