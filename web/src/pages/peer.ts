// One peer in depth: who it says it is, what it did, and its conversation with the node.

import type { Peer } from "../api.ts";
import { el, fill, set, write } from "../dom.ts";
import { bytes, clock, duration, feeRate, moment, num, perSecond, plural, whole, words } from "../format.ts";
import { familyMark, shape } from "../mark.ts";
import { messageFamily, networkName, serviceNames, typeLook } from "../networks.ts";
import { Figure, facts, figures, follow, panel, type Context } from "../page.ts";
import { age, state } from "../peers.ts";
import { sequence, type Step } from "../sequence.ts";
import { Table } from "../table.ts";

type Mix = NonNullable<Peer["mix"]>[number];

export function show(root: HTMLElement, context: Context): void {
  const id = context.params.get("id");
  if (!id) {
    root.append(
      el(
        "p",
        { class: "empty" },
        "This link names no peer. ",
        el("a", { href: context.to("peers") }, "Choose one from the table of peers."),
      ),
    );
    return;
  }
  const who = el("p", { class: "who" });
  const connected = new Figure("connected");
  const received = new Figure("received");
  const sent = new Figure("sent");
  const ping = new Figure("ping", "The newest round trip");
  const identity = el("dl", { class: "facts" });
  const profile = el("dl", { class: "facts" });
  const timeline = el("ol", { class: "notes" });
  const talk = el("ol", { class: "sequence", tabindex: 0, "aria-label": `Messages between peer ${id} and the node, oldest first` });
  const left = el("p", { class: "note" });
  let most = 1;
  const mix = new Table<Mix>({
    caption: "Messages by type and direction",
    key: ({ kind, direction }) => kind + direction,
    empty: "No message yet.",
    sort: "count",
    descending: true,
    columns: [
      { id: "kind", title: "Type", cell: ({ kind }) => kind.replace("net.", ""), order: ({ kind }) => kind },
      {
        id: "direction",
        title: "Direction",
        cell: ({ direction }) => (direction === "inbound" ? "received" : "sent"),
        order: ({ direction }) => direction,
      },
      {
        id: "count",
        title: "Messages",
        numeric: true,
        cell: ({ count }) => ({ text: whole(count), bar: Number(count) / most }),
        order: ({ count }) => Number(count),
      },
      { id: "bytes", title: "Bytes", numeric: true, cell: (row) => bytes(row.bytes), order: (row) => Number(row.bytes) },
    ],
  });
  root.append(
    who,
    figures(connected, received, sent, ping),
    el(
      "div",
      { class: "columns peer-columns" },
      el(
        "div",
        { class: "stack" },
        panel("Identity", { note: "Version, software, services and height are what the peer says of itself." }, identity),
        panel("Profile", { note: "What the node says of it (getpeerinfo)." }, profile),
        panel("Timeline", {}, timeline),
        panel("Message mix", {}, mix.element),
      ),
      panel(
        "Conversation",
        {
          side: el("a", { href: context.to("messages", { peer: id }) }, "as a live stream"),
          note: "Time runs down. Silences of half a second and more are marked; an answer says how long it took.",
        },
        left,
        talk,
      ),
    ),
  );
  follow(root, context, "peer", { node: context.asked, id }, (answer) => {
    const look = typeLook(answer.connectionType);
    const now = state(answer);
    fill(
      who,
      shape(answer.connectionType ?? "unspecified"),
      el("b", {}, `Peer ${answer.id}`),
      ` ${look.label} · ${answer.address || "address not known"}`,
      el("span", { class: `badge ${now.tone ?? ""}` }, now.text),
    );
    connected.show(age(answer, answer.now), answer.opened ? `since ${clock(answer.opened, 0)}` : "");
    received.show(bytes(answer.received?.bytes), plural(Number(answer.received?.messages ?? 0), "message"));
    sent.show(bytes(answer.sent?.bytes), plural(Number(answer.sent?.messages ?? 0), "message"));
    ping.show(
      duration(answer.ping ?? answer.info?.pingtime),
      num(answer.minPing) === undefined ? "" : `best ${duration(answer.minPing)}`,
    );
    showIdentity(identity, answer);
    showProfile(profile, answer);
    showTimeline(timeline, answer);
    most = Math.max(1, ...(answer.mix ?? []).map(({ count }) => Number(count)));
    mix.update(answer.mix ?? []);
    const before = Number(answer.left ?? 0);
    write(left, before > 0 ? `${plural(before, "earlier message")} not kept: the newest stay.` : "");
    showTalk(talk, sequence(answer.conversation ?? []), `peer ${id}`, answer.node);
  });
}

function showIdentity(target: HTMLElement, peer: Peer): void {
  const services = serviceNames(peer.services ?? peer.info?.services);
  facts(target, [
    ["Address", peer.address],
    ["Network", networkName(peer.network)],
    ["Type", `${typeLook(peer.connectionType).label}: ${typeLook(peer.connectionType).meaning}`],
    ["Software", peer.userAgent ?? peer.info?.subver],
    ["Protocol version", peer.version ? String(peer.version) : undefined],
    ["Services", services.join(", ")],
    ["Height at start", whole(peer.startHeight)],
    ["Wants transactions", peer.relay === undefined || peer.relay === null ? undefined : peer.relay ? "yes" : "no"],
    ["Transport", words(peer.transport ?? peer.info?.transport_protocol_type)],
    ["Opened", moment(peer.opened)],
    ["Closed", peer.closed ? `${moment(peer.closed)}${peer.end ? `: ${words(peer.end)}` : ""}` : undefined],
  ]);
}

function showProfile(target: HTMLElement, peer: Peer): void {
  const info = peer.info;
  if (!info) {
    fill(target, el("dd", { class: "empty" }, "The node was not asked while this peer was connected, or RPC is not watched."));
    return;
  }
  const high = [info.bip152_hb_from ? "from it" : "", info.bip152_hb_to ? "to it" : ""].filter(Boolean).join(" and ");
  facts(target, [
    ["Messages", peer.messagesPerSecond === undefined ? undefined : perSecond(peer.messagesPerSecond)],
    ["Bytes received, sent", `${bytes(info.bytesrecv)}, ${bytes(info.bytessent)} (with framing)`],
    ["Clock", info.timeoffset === undefined ? undefined : `${info.timeoffset} s ahead of the node's`],
    ["Shared headers, blocks", `${whole(info.synced_headers)}, ${whole(info.synced_blocks)}`],
    ["Blocks under way", info.inflight && info.inflight.length > 0 ? info.inflight.join(", ") : "none"],
    ["High-bandwidth compact blocks", high || "no"],
    ["Fee filter", feeRate(info.minfeefilter)],
    ["Transactions to announce", whole(info.inv_to_send)],
    [
      "Address relay",
      info.addr_relay_enabled === undefined
        ? undefined
        : info.addr_relay_enabled
          ? `yes: ${whole(info.addr_processed)} looked at, ${whole(info.addr_rate_limited)} over the rate`
          : "no",
    ],
    ["Autonomous system", info.mapped_as ? `AS${info.mapped_as}` : undefined],
    ["Permissions", info.permissions?.map(words).join(", ") || "none"],
  ]);
}

function showTimeline(list: HTMLElement, peer: Peer): void {
  const entries = peer.timeline ?? [];
  const key = `${entries.length} ${entries.at(-1)?.time ?? ""}`;
  if (list.dataset["key"] === key) return;
  list.dataset["key"] = key;
  fill(
    list,
    ...(entries.length === 0
      ? [el("li", { class: "empty" }, "Nothing is known of its beginning: it was connected before this program started.")]
      : []),
    ...entries.map(({ time, kind, text }) =>
      el(
        "li",
        { class: `note-${kind.split(".")[1] ?? ""}` },
        el("time", { title: moment(time) }, clock(time, 3)),
        el("span", { class: "kind" }, words(kind.split(".")[1])),
        el("span", { class: "text" }, text),
      ),
    ),
  );
}

/** Adds what is new at the end, and keeps to the end if one was there. */
function showTalk(list: HTMLElement, steps: readonly Step[], peer: string, node: string): void {
  const name = (step: Step) => `${step.time} ${step.sequence ?? ""} ${step.kind}`;
  if (steps.length === 0) {
    if (list.childElementCount === 0 || !list.querySelector(".empty"))
      fill(list, el("li", { class: "empty" }, "Nothing was said yet."));
    return;
  }
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  const wanted = new Set(steps.map(name));
  const there = new Set<string>();
  for (const item of [...list.children]) {
    const key = item instanceof HTMLElement ? item.dataset["key"] : undefined;
    if (key !== undefined && wanted.has(key)) there.add(key);
    else if (!item.classList.contains("ends")) item.remove();
  }
  if (!list.querySelector(".ends"))
    list.prepend(el("li", { class: "ends", "aria-hidden": "true" }, el("span", {}, peer), el("span", {}, node)));
  for (const step of steps) {
    const key = name(step);
    if (there.has(key)) continue;
    const inbound = step.direction === "inbound";
    const item = el(
      "li",
      { class: inbound ? "in" : "out" },
      step.gap === undefined ? null : el("span", { class: "gap" }, `${duration(step.gap * 1e6)} of silence`),
      el("time", { title: moment(step.time) }, clock(step.time, 6)),
      el(
        "span",
        { class: "arrow" },
        el("span", { class: "unseen" }, inbound ? "from the peer: " : "to the peer: "),
        familyMark(messageFamily(step.kind)),
        el("b", {}, step.kind.replace("net.", "")),
        " ",
        el("span", { class: "text", title: step.text ?? undefined }, step.text ?? ""),
      ),
      el(
        "span",
        { class: "after" },
        step.reply === undefined ? bytes(step.size ?? 0) : `${bytes(step.size ?? 0)} · after ${duration(step.reply * 1e6)}`,
      ),
    );
    item.dataset["key"] = key;
    set(item, { "data-kind": step.kind });
    list.append(item);
  }
  if (atEnd && there.size > 0) list.scrollTop = list.scrollHeight;
}
