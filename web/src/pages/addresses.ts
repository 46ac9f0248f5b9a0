// Address gossip: who sends how many, of which networks, how fresh, and what the node keeps.

import type { AddressPeer, Addresses, Gossip, Visits } from "../api.ts";
import { Chart } from "../chart.ts";
import { el } from "../dom.ts";
import { UNKNOWN, clock, duration, moment, num, perSecond, plural, whole } from "../format.ts";
import { networkName, serviceNames } from "../networks.ts";
import { Figure, acquaintances, figures, follow, panel, type Context } from "../page.ts";
import { peerCell } from "../peers.ts";
import { Table } from "../table.ts";

export function show(root: HTMLElement, context: Context): void {
  const got = new Figure("received");
  const gave = new Figure("sent");
  const known = new Figure("known to the node", "Entries of its address manager");
  const tried = new Figure("tried", "Of them connected to before");
  const flow = new Chart(
    {
      title: "Addresses passed on",
      value: (value) => perSecond(value),
      lines: [
        { column: "in", label: "received", colour: "received" },
        { column: "out", label: "sent", colour: "sent", dashed: true },
        { column: "fresh", label: "received, not heard of before", colour: "good" },
      ],
    },
    context.signal,
  );
  const peer = (id: string | number) => context.to("peer", { id: String(id) });
  const others = acquaintances(context);
  let most = 1;
  const from = new Table<AddressPeer>({
    caption: "Addresses by peer",
    key: ({ peer }) => String(peer),
    empty: "No peer passed on an address yet.",
    sort: "in",
    descending: true,
    limit: 100,
    columns: [
      {
        id: "peer",
        title: "Peer",
        numeric: true,
        cell: (row) => peerCell(row.peer, peer, row.connectionType ?? others.get(String(row.peer))?.connectionType),
        order: (row) => Number(row.peer),
      },
      {
        id: "network",
        title: "Network",
        cell: (row) => networkName(row.network ?? others.get(String(row.peer))?.network),
        order: (row) => networkName(row.network ?? others.get(String(row.peer))?.network),
      },
      {
        id: "in",
        title: "Received",
        numeric: true,
        cell: ({ addressesIn, messagesIn }) => ({
          text: whole(addressesIn ?? 0),
          bar: Number(addressesIn ?? 0) / most,
          title: `in ${plural(Number(messagesIn ?? 0), "message")}`,
        }),
        order: ({ addressesIn }) => Number(addressesIn ?? 0),
      },
      {
        id: "out",
        title: "Sent",
        numeric: true,
        cell: ({ addressesOut, messagesOut }) => ({
          text: whole(addressesOut ?? 0),
          title: `in ${plural(Number(messagesOut ?? 0), "message")}`,
        }),
        order: ({ addressesOut }) => Number(addressesOut ?? 0),
      },
      {
        id: "asked",
        title: "Asked us",
        numeric: true,
        meaning: "getaddr from the peer",
        cell: ({ getaddrIn }) => whole(getaddrIn ?? 0),
        order: ({ getaddrIn }) => num(getaddrIn),
      },
      {
        id: "asks",
        title: "We asked",
        numeric: true,
        meaning: "getaddr from the node: up to 1,000 addresses in answer are normal",
        cell: ({ getaddrOut }) => whole(getaddrOut ?? 0),
        order: ({ getaddrOut }) => num(getaddrOut),
      },
    ],
  });
  let mostOfNetwork = 1;
  const networks = new Table<NonNullable<Addresses["networks"]>[number]>({
    caption: "Addresses by network",
    key: ({ network }) => network,
    empty: "None yet.",
    sort: "in",
    descending: true,
    columns: [
      {
        id: "network",
        title: "Network",
        cell: ({ network }) => networkName(network),
        order: ({ network }) => networkName(network),
      },
      {
        id: "in",
        title: "Received",
        numeric: true,
        cell: (row) => ({ text: whole(row.in ?? 0), bar: Number(row.in ?? 0) / mostOfNetwork }),
        order: (row) => Number(row.in ?? 0),
      },
      { id: "out", title: "Sent", numeric: true, cell: (row) => whole(row.out ?? 0), order: (row) => Number(row.out ?? 0) },
    ],
  });
  let mostOfAge = 1;
  const ages = new Table<NonNullable<Addresses["ages"]>[number]>({
    caption: "How long ago each address was seen, as claimed, when it arrived",
    key: ({ upTo }) => String(upTo ?? "older"),
    empty: "None yet.",
    columns: [
      {
        id: "age",
        title: "Last seen",
        cell: ({ upTo }) => (upTo === null || upTo === undefined ? "longer ago" : `within ${duration(Number(upTo) * 1e9)}`),
      },
      {
        id: "count",
        title: "Addresses",
        numeric: true,
        cell: ({ count }) => ({ text: whole(count), bar: Number(count) / mostOfAge }),
      },
    ],
  });
  let mostOfService = 1;
  const services = new Table<NonNullable<Addresses["services"]>[number]>({
    caption: "Services claimed for the addresses",
    key: ({ services }) => String(services),
    empty: "None yet.",
    sort: "count",
    descending: true,
    limit: 12,
    columns: [
      {
        id: "services",
        title: "Services",
        cell: (row) => ({ text: serviceNames(row.services).join(", ") || "none", title: `bits ${row.services}` }),
        order: (row) => num(row.services),
      },
      {
        id: "count",
        title: "Addresses",
        numeric: true,
        cell: ({ count }) => ({ text: whole(count), bar: Number(count) / mostOfService }),
        order: ({ count }) => num(count),
      },
    ],
  });
  const latest = new Table<Gossip>({
    caption: "The newest messages with addresses",
    key: ({ time, peer, direction }) => `${time} ${peer} ${direction}`,
    empty: "None yet.",
    limit: 50,
    columns: [
      { id: "time", title: "Time", numeric: true, cell: ({ time }) => ({ text: clock(time), title: moment(time) }) },
      { id: "peer", title: "Peer", numeric: true, cell: (row) => peerCell(row.peer, peer) },
      { id: "direction", title: "Direction", cell: ({ direction }) => (direction === "inbound" ? "received" : "sent") },
      { id: "count", title: "Addresses", numeric: true, cell: ({ count }) => whole(count) },
      { id: "first", title: "Among them", cell: (row) => sample(row) },
    ],
  });
  const visits = new Table<Visits>({
    caption: "Visits to advertised addresses",
    key: ({ by, group }) => `${by} ${group}`,
    empty: "Nobody was visited.",
    limit: 100,
    columns: [
      { id: "by", title: "By", cell: ({ by }) => (by === "all" ? "" : by) },
      { id: "group", title: "Group", cell: (row) => visitGroup(row) },
      {
        id: "share",
        title: "Reachable",
        numeric: true,
        meaning: "Of the visits that say something of the address",
        cell: ({ share, reachable }) =>
          share === null || share === undefined
            ? { text: UNKNOWN }
            : { text: `${(share * 100).toFixed(1)} %`, bar: share, title: `${whole(reachable)} of them` },
      },
      { id: "visited", title: "Visited", numeric: true, cell: ({ visited }) => whole(visited) },
      {
        id: "dead",
        title: "Nobody",
        numeric: true,
        meaning: "Refused, timed out, or no way there",
        cell: ({ dead }) => whole(dead),
      },
      {
        id: "other",
        title: "Others",
        numeric: true,
        meaning: "Somebody was there, and no node of the network",
        cell: ({ other }) => whole(other),
      },
    ],
  });
  const visited = panel(
    "How many are there",
    {
      wide: true,
      note: "A sample of what was advertised, dialled by `connect`; by who advertised an address first, and what was claimed for it.",
    },
    visits.element,
  );
  visited.hidden = true;
  const newest = panel("Newest messages", { wide: true }, latest.element);
  newest.hidden = true;
  root.append(
    figures(got, gave, known, tried),
    el("div", { class: "charts" }, flow.element),
    el(
      "div",
      { class: "columns" },
      panel("By peer", {}, from.element),
      el(
        "div",
        { class: "stack" },
        panel("By network", {}, networks.element),
        panel(
          "Freshness",
          { note: "When each address was last seen, as whoever passed it on claims; counted on arrival." },
          ages.element,
        ),
        panel("Services", { note: "As claimed for the address." }, services.element),
      ),
    ),
    visited,
    newest,
  );
  follow(root, context, "addresses", { node: context.asked }, (answer) => {
    const peers = answer.peers ?? [];
    const sum = (read: (row: AddressPeer) => string | number | null | undefined) =>
      peers.reduce((sum, row) => sum + Number(read(row) ?? 0), 0);
    got.show(
      whole(sum((row) => row.addressesIn)),
      `in ${plural(
        sum((row) => row.messagesIn),
        "message",
      )}`,
    );
    gave.show(
      whole(sum((row) => row.addressesOut)),
      `in ${plural(
        sum((row) => row.messagesOut),
        "message",
      )}`,
    );
    const total = answer.addrman?.allNetworks;
    known.show(whole(total?.total), total ? "" : "the node was not asked");
    tried.show(whole(total?.tried), total ? `and ${whole(total.new)} new` : "");
    flow.update(answer.series);
    most = Math.max(1, ...peers.map(({ addressesIn }) => Number(addressesIn ?? 0)));
    from.update(peers);
    mostOfNetwork = Math.max(1, ...(answer.networks ?? []).map((row) => Number(row.in ?? 0)));
    networks.update(answer.networks ?? []);
    mostOfAge = Math.max(1, ...(answer.ages ?? []).map(({ count }) => Number(count)));
    ages.update(answer.ages ?? []);
    mostOfService = Math.max(1, ...(answer.services ?? []).map(({ count }) => Number(count)));
    services.update(answer.services ?? []);
    visited.hidden = !answer.visits?.length;
    visits.update((answer.visits ?? []).filter(({ by }) => by !== "result"));
    newest.hidden = !answer.latest;
    latest.update(answer.latest ?? []);
  });
}

/** A group of visits, as people call it. */
function visitGroup({ by, group }: Visits): string {
  if (by === "all") return "all visits";
  if (by === "network") return networkName(group);
  if (by === "services" && /^0x[0-9a-f]+$/.test(group)) return serviceNames(BigInt(group).toString()).join(", ") || "none";
  if (by === "age" && /^[0-9]/.test(group)) return `seen within ${group}`;
  return group;
}

/** The first addresses of a message, and how many more. */
function sample(row: Gossip): { text: string; title?: string } {
  const all = row.addresses ?? [];
  if (all.length === 0) return { text: UNKNOWN };
  const name = ({ address, port }: (typeof all)[number]) => {
    const short = address.length > 24 ? `${address.slice(0, 10)}…${address.slice(-10)}` : address;
    if (!port) return short;
    return short.includes(":") ? `[${short}]:${port}` : `${short}:${port}`;
  };
  const rest = Number(row.count) - 2;
  return {
    text: all.slice(0, 2).map(name).join(", ") + (rest > 0 ? ` and ${plural(rest, "other")}` : ""),
    title: all.map(({ address, network }) => `${address} (${networkName(network)})`).join("\n"),
  };
}
