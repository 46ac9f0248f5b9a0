// Every peer in one table: what the probes saw, and what the node says of it.

import type { PeerRow } from "../api.ts";
import { el, write } from "../dom.ts";
import { UNKNOWN, between, bytes, clock, duration, feeRate, moment, num, perSecond, plural, whole, words } from "../format.ts";
import { networkName, serviceNames, typeLook } from "../networks.ts";
import { follow, type Context } from "../page.ts";
import { age, matches, peerCell, state } from "../peers.ts";
import { Table, type Column } from "../table.ts";

export function show(root: HTMLElement, context: Context): void {
  const search = el("input", {
    type: "search",
    placeholder: "inbound, 203.0.113., agent:satoshi …",
    value: context.params.get("filter") ?? "",
    "aria-label": "Filter peers",
  });
  const gone = el("input", { type: "checkbox", checked: context.params.get("closed") !== "hide" });
  const count = el("span", { class: "quiet", role: "status" });
  let now = "0";
  let all: readonly PeerRow[] = [];
  const table = new Table<PeerRow>({
    caption: "Peers",
    key: ({ id, opened }) => `${id} ${opened ?? ""}`,
    empty: "No peer fits. Clear the filter, or wait for a connection.",
    sort: "id",
    descending: true,
    limit: 500,
    remember: "peers",
    columns: columns(context, () => now),
  });
  const update = () => {
    const rows = all.filter((peer) => (gone.checked || !peer.closed) && matches(peer, search.value));
    table.update(rows);
    const connected = rows.filter(({ closed }) => !closed).length;
    write(
      count,
      `${plural(connected, "peer")} connected${rows.length > connected ? `, ${whole(rows.length - connected)} gone` : ""}`,
    );
  };
  for (const input of [search, gone]) {
    input.addEventListener("input", () => {
      context.remember({ filter: search.value, closed: gone.checked ? undefined : "hide" });
      update();
    });
  }
  root.append(
    el("div", { class: "tools" }, search, el("label", {}, gone, "also those that left"), count, table.chooser),
    table.element,
  );
  follow(root, context, "peers", { node: context.asked }, (answer) => {
    now = answer.now;
    all = answer.peers;
    update();
  });
}

function columns(context: Context, now: () => string): Column<PeerRow>[] {
  const info = <T>(peer: PeerRow, read: (info: NonNullable<PeerRow["info"]>) => T | undefined): T | undefined =>
    peer.info ? read(peer.info) : undefined;
  const seconds = (value: string | undefined) => (value && value !== "0" ? `${value}000000000` : undefined);
  const list: Column<PeerRow>[] = [
    {
      id: "id",
      title: "Peer",
      numeric: true,
      meaning: "Bitcoin Core's id, unique within one life of the node",
      cell: ({ id, connectionType }) =>
        peerCell(id, (id) => context.to("peer", { id: String(id) }), connectionType ?? "unspecified"),
      order: ({ id }) => Number(id),
    },
    {
      id: "type",
      title: "Type",
      meaning: "Why the connection exists",
      cell: ({ connectionType }) => ({ text: typeLook(connectionType).label, title: typeLook(connectionType).meaning }),
      order: ({ connectionType }) => typeLook(connectionType).label,
    },
    {
      id: "address",
      title: "Address",
      cell: ({ address }) =>
        address
          ? { text: address.length > 40 ? `${address.slice(0, 16)}…${address.slice(-14)}` : address, title: address }
          : UNKNOWN,
      order: ({ address }) => address ?? undefined,
    },
    { id: "network", title: "Network", cell: ({ network }) => networkName(network), order: ({ network }) => networkName(network) },
    {
      id: "agent",
      title: "Software",
      meaning: "What the peer calls itself; it may say anything",
      cell: (peer) => {
        const agent = peer.userAgent ?? info(peer, ({ subver }) => subver);
        return agent ? { text: agent.length > 34 ? `${agent.slice(0, 32)}…` : agent, title: agent } : UNKNOWN;
      },
      order: (peer) => peer.userAgent ?? undefined,
    },
    {
      id: "age",
      title: "Connected",
      numeric: true,
      meaning: "For how long",
      cell: (peer) => ({ text: age(peer, now()), title: peer.opened ? `since ${moment(peer.opened)}` : undefined }),
      order: ({ opened }) => (opened ? -Number(opened) : undefined),
    },
    { id: "state", title: "State", cell: (peer) => state(peer), order: (peer) => state(peer).text },
    {
      id: "rate",
      title: "Messages/s",
      numeric: true,
      meaning: "Both directions, over the last seconds",
      cell: ({ messagesPerSecond }) => perSecond(messagesPerSecond),
      order: ({ messagesPerSecond }) => messagesPerSecond ?? undefined,
    },
    {
      id: "received",
      title: "Received",
      numeric: true,
      meaning: "Payload of the messages that the probes saw",
      cell: ({ received }) => ({
        text: bytes(received?.bytes),
        title: received ? plural(Number(received.messages), "message") : undefined,
      }),
      order: ({ received }) => num(received?.bytes),
    },
    {
      id: "sent",
      title: "Sent",
      numeric: true,
      meaning: "Payload of the messages that the probes saw",
      cell: ({ sent }) => ({ text: bytes(sent?.bytes), title: sent ? plural(Number(sent.messages), "message") : undefined }),
      order: ({ sent }) => num(sent?.bytes),
    },
    {
      id: "ping",
      title: "Ping",
      numeric: true,
      meaning: "The newest round trip",
      cell: (peer) => duration(peer.ping ?? info(peer, ({ pingtime }) => pingtime)),
      order: (peer) => num(peer.ping),
    },
    {
      id: "last",
      title: "Last message",
      numeric: true,
      hidden: true,
      cell: ({ lastMessage }) => (lastMessage ? `${between(lastMessage, now())} ago` : UNKNOWN),
      order: ({ lastMessage }) => (lastMessage ? Number(lastMessage) : undefined),
    },
    {
      id: "transport",
      title: "Transport",
      hidden: true,
      meaning: "v2 is encrypted (BIP 324)",
      cell: (peer) => words(peer.transport ?? info(peer, ({ transport_protocol_type }) => transport_protocol_type)),
      order: ({ transport }) => transport ?? undefined,
    },
    {
      id: "version",
      title: "Protocol",
      numeric: true,
      hidden: true,
      cell: ({ version }) => (version ? String(version) : UNKNOWN),
      order: ({ version }) => version ?? undefined,
    },
    {
      id: "services",
      title: "Services",
      hidden: true,
      meaning: "What the peer says it offers",
      cell: ({ services }) => serviceNames(services).join(", ") || UNKNOWN,
      order: ({ services }) => num(services),
    },
    {
      id: "height",
      title: "Height",
      numeric: true,
      hidden: true,
      meaning: "Of its chain when it connected, as it claims",
      cell: ({ startHeight }) => whole(startHeight),
      order: ({ startHeight }) => startHeight ?? undefined,
    },
    {
      id: "synced",
      title: "Synced blocks",
      numeric: true,
      hidden: true,
      meaning: "The last block that node and peer share",
      cell: (peer) => whole(info(peer, ({ synced_blocks }) => synced_blocks)),
      order: (peer) => info(peer, ({ synced_blocks }) => synced_blocks),
    },
    {
      id: "min",
      title: "Best ping",
      numeric: true,
      hidden: true,
      cell: (peer) => duration(peer.minPing ?? info(peer, ({ minping }) => minping)),
      order: (peer) => num(peer.minPing),
    },
    {
      id: "fee",
      title: "Fee filter",
      numeric: true,
      hidden: true,
      meaning: "The peer wants no transaction that pays less",
      cell: (peer) => feeRate(peer.feeFilter ?? info(peer, ({ minfeefilter }) => minfeefilter)),
      order: ({ feeFilter }) => num(feeFilter),
    },
    {
      id: "offset",
      title: "Clock",
      numeric: true,
      hidden: true,
      meaning: "How far its clock is ahead of the node's",
      cell: (peer) => {
        const offset = info(peer, ({ timeoffset }) => timeoffset);
        return offset === undefined ? UNKNOWN : `${offset} s`;
      },
      order: (peer) => num(info(peer, ({ timeoffset }) => timeoffset)),
    },
    {
      id: "queue",
      title: "To announce",
      numeric: true,
      hidden: true,
      meaning: "Transactions that wait to be announced to it",
      cell: (peer) => whole(info(peer, ({ inv_to_send }) => inv_to_send)),
      order: (peer) => num(info(peer, ({ inv_to_send }) => inv_to_send)),
    },
    {
      id: "tx",
      title: "Last transaction",
      numeric: true,
      hidden: true,
      cell: (peer) => clock(seconds(info(peer, ({ last_transaction }) => last_transaction)), 0),
      order: (peer) => num(info(peer, ({ last_transaction }) => last_transaction)),
    },
    {
      id: "block",
      title: "Last block",
      numeric: true,
      hidden: true,
      cell: (peer) => clock(seconds(info(peer, ({ last_block }) => last_block)), 0),
      order: (peer) => num(info(peer, ({ last_block }) => last_block)),
    },
    {
      id: "compact",
      title: "High bandwidth",
      hidden: true,
      meaning: "Compact blocks without asking: from it, to it",
      cell: (peer) =>
        peer.info
          ? [peer.info.bip152_hb_from ? "from" : "", peer.info.bip152_hb_to ? "to" : ""].filter(Boolean).join(", ") || "no"
          : UNKNOWN,
    },
    {
      id: "addresses",
      title: "Addresses",
      numeric: true,
      hidden: true,
      meaning: "Looked at; those over its rate limit behind the plus",
      cell: (peer) => (peer.info ? `${whole(peer.info.addr_processed)} + ${whole(peer.info.addr_rate_limited)}` : UNKNOWN),
      order: (peer) => num(info(peer, ({ addr_processed }) => addr_processed)),
    },
    {
      id: "asn",
      title: "AS",
      numeric: true,
      hidden: true,
      meaning: "Autonomous system, where the node has a map",
      cell: (peer) => {
        const asn = info(peer, ({ mapped_as }) => mapped_as);
        return asn ? String(asn) : UNKNOWN;
      },
      order: (peer) => num(info(peer, ({ mapped_as }) => mapped_as)),
    },
    {
      id: "permissions",
      title: "Permissions",
      hidden: true,
      cell: (peer) => info(peer, ({ permissions }) => permissions?.map(words).join(", ")) || UNKNOWN,
    },
  ];
  return list;
}
