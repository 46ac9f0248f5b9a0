// Incidents: what lasts, what is over, and how messages about them go.

import type { IncidentRow } from "../api.ts";
import { el, write } from "../dom.ts";
import { UNKNOWN, between, clock, moment, num, plural, whole, words } from "../format.ts";
import { Behind, tone } from "../incident.ts";
import { Figure, figures, follow, panel, type Context } from "../page.ts";
import type { IncidentDelivered } from "../schema.ts";
import { Table } from "../table.ts";

const EMPTY =
  "No incident was heard of. Findings become incidents where a book is kept: `peer-observer run --incidents-book FILE`. Those that ended before this program started are in the book: `peer-observer incidents list`.";

const SEVERITIES = ["unspecified", "info", "warn", "critical"];
const STATES = ["open", "acknowledged", "resolved"];

/** Each list of nodes in a few words. */
function places(nodes: readonly string[]): string {
  if (nodes.length === 0) return "all";
  return nodes.length <= 2 ? nodes.join(", ") : `${nodes[0] ?? ""} and ${nodes.length - 1} more`;
}

export function show(root: HTMLElement, context: Context): void {
  const open = new Figure("open", "Nobody has said that he looks at it");
  const acknowledged = new Figure("acknowledged", "Somebody looks at it");
  const resolved = new Figure("resolved", "Of those that were heard of");
  const status = el("p", { class: "unseen", role: "status" });
  let now = "0";
  const list = new Table<IncidentRow>({
    caption: "Incidents",
    key: ({ book, number }) => `${book} ${number}`,
    empty: EMPTY,
    columns: [
      {
        id: "number",
        title: "Incident",
        cell: ({ number, book }) => ({ text: `#${number}`, href: context.to("incident", { number: String(number), book }) }),
        order: ({ number }) => num(number),
      },
      {
        id: "state",
        title: "State",
        cell: ({ state }) => ({ text: state, tone: state === "open" ? "bad" : state === "resolved" ? "good" : "warn" }),
        order: ({ state }) => STATES.indexOf(state),
      },
      {
        id: "severity",
        title: "Severity",
        cell: ({ severity }) => ({ text: severity, tone: tone(severity) }),
        order: ({ severity }) => -SEVERITIES.indexOf(severity),
      },
      { id: "title", title: "What", wrap: true, cell: ({ title }) => words(title), order: ({ title }) => title },
      {
        id: "nodes",
        title: "Nodes",
        meaning: "Where it is; all, if it is about the fleet",
        cell: ({ nodes }) => ({ text: places(nodes), title: nodes.join(", ") }),
        order: ({ nodes }) => nodes.length,
      },
      {
        id: "opened",
        title: "Since",
        meaning: "When it was opened, by the clock of the node",
        cell: ({ opened }) => ({ text: `${between(opened, now)} ago`, title: moment(opened) }),
        order: ({ opened }) => -Number(opened),
      },
      {
        id: "changed",
        title: "Changed",
        cell: ({ changed }) => ({ text: `${between(changed, now)} ago`, title: moment(changed) }),
        order: ({ changed }) => -Number(changed),
      },
      { id: "owner", title: "Who looks", cell: ({ owner }) => owner ?? UNKNOWN, order: ({ owner }) => owner ?? undefined },
      {
        id: "findings",
        title: "Findings",
        numeric: true,
        meaning: "That belong to it, over all; and how many of them last",
        cell: ({ findings, lasting, state }) =>
          state === "resolved"
            ? whole(findings)
            : `${whole(findings)} (${Number(lasting) === 0 ? "none lasts" : `${whole(lasting)} ${Number(lasting) === 1 ? "lasts" : "last"}`})`,
        order: ({ findings }) => num(findings),
      },
      {
        id: "reopened",
        title: "Back",
        numeric: true,
        hidden: true,
        meaning: "How often it came back after it was resolved",
        cell: ({ reopened }) => whole(reopened),
        order: ({ reopened }) => reopened,
      },
      { id: "family", title: "Family", hidden: true, cell: ({ family }) => family, order: ({ family }) => family },
    ],
    remember: "incidents",
  });
  const messages = new Table<IncidentDelivered>({
    caption: "Messages about incidents",
    key: ({ receiver, place }) => `${receiver} ${place}`,
    empty: "Nobody is told: no receiver is configured, or the program that tells them is another one. docs/messages.md says how.",
    columns: [
      { id: "receiver", title: "Receiver", cell: ({ receiver }) => receiver },
      { id: "sent", title: "Taken", numeric: true, cell: ({ sent }) => whole(sent) },
      {
        id: "waiting",
        title: "Waiting",
        numeric: true,
        cell: ({ waiting }) => ({ text: whole(waiting), tone: num(waiting) === 0 ? undefined : "warn" }),
      },
      {
        id: "lost",
        title: "Lost",
        numeric: true,
        meaning: "Refused by the receiver, or gave way to others",
        cell: ({ refused, dropped }) => {
          const lost = Number(refused) + Number(dropped);
          return { text: whole(lost), tone: lost === 0 ? undefined : "bad" };
        },
      },
      {
        id: "success",
        title: "Last taken",
        cell: ({ lastSuccess }) => (lastSuccess ? clock(`${lastSuccess}000000000`, 0) : UNKNOWN),
      },
      {
        id: "error",
        title: "Trouble",
        wrap: true,
        cell: ({ error }) => ({ text: error ?? "none", tone: error ? "bad" : undefined }),
      },
    ],
  });
  const told = panel("Messages", { wide: true, note: "How people are told of incidents, by receiver." }, messages.element);
  const behind = new Behind();
  root.append(
    behind.element,
    status,
    figures(open, acknowledged, resolved),
    panel("Incidents", { wide: true, side: list.chooser }, list.element),
    told,
  );
  follow(root, context, "incidents", {}, (answer) => {
    now = answer.now;
    behind.show(answer.trouble);
    const count = (state: string) => answer.incidents.filter((incident) => incident.state === state).length;
    open.show(whole(count("open")));
    acknowledged.show(whole(count("acknowledged")));
    resolved.show(whole(count("resolved")));
    write(status, `${plural(count("open"), "open incident")}, ${plural(count("acknowledged"), "acknowledged one")}`);
    list.update(answer.incidents);
    messages.update(answer.receivers);
    // strangers are not told whom the operator tells
    told.hidden = answer.acting === "public";
  });
}
