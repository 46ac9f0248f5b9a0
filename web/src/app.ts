// The frame around the pages: where one is, which node, whether the program is heard.

import "uplot/dist/uPlot.min.css";
import "./style/base.css";
import "./style/parts.css";
import "./style/pages.css";

import { Client, get, poll } from "./client.ts";
import { button, el, fill, set, write } from "./dom.ts";
import { plural, useZone, zoneName, type Zone } from "./format.ts";
import type { Context } from "./page.ts";
import { PAGES } from "./pages.ts";
import { Bar } from "./playback.ts";
import { link, parse } from "./route.ts";
import { chosenTheme, useTheme, type Theme } from "./theme.ts";

const client = new Client(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/stream`);
const forever = new AbortController().signal;

const main = el("main", { id: "page", tabindex: -1 });
const menu = el("ul", { id: "menu" });
const status = el("span", { class: "status", role: "status" });
const nodeChoice = el("select", { "aria-label": "Node" });
const title = el("h1");
const about = el("p", { class: "about" });
const bar = new Bar(client, (at) => {
  const { page, params } = parse(location.hash);
  params.set("at", at);
  // whoever opens it may be shown another node first
  const node = chosen();
  if (nodes.length > 1 && node !== undefined) params.set("node", node);
  history.replaceState(null, "", link(page, params));
});

let nodes: string[] = [];
/** The node that is shown where a link names none: the first that was known, for as long as it is. */
let usual: string | undefined;
let leave = new AbortController();
/** Whether the page is to be made anew, and was not because somebody types. */
let outdated = false;
/** When something was typed last, milliseconds of the page's own clock. */
let typed = -Infinity;
/** Whoever types nothing for so long, milliseconds, is done. */
const PAUSE = 30_000;
const FIELDS = "textarea, input[type=text], input[type=search]";

function chosen(): string | undefined {
  return parse(location.hash).params.get("node") ?? usual;
}

/** Says which page this is, and of which node. */
function head(): void {
  const { page: name, params } = parse(location.hash);
  const page = PAGES[name];
  const node = chosen();
  const all = page?.fleet || params.get("nodes") === "all";
  const named = nodes.length > 1 && page && !all && node !== undefined ? [node] : [];
  fill(title, page?.title ?? "No such page", ...named.map((node) => el("span", { class: "of-node" }, ` of ${node}`)));
  write(about, page?.about ?? "");
  document.title = [page?.title ?? "No such page", ...named, "peer-observer"].join(" · ");
}

/** What tells a control apart from others on its page. */
function labelled(control: Element | null): string | undefined {
  return control?.getAttribute("aria-label") ?? control?.closest("label")?.textContent ?? undefined;
}

/** Makes the page anew for somebody who did not ask to go elsewhere. */
function renew(): void {
  const held = main.contains(document.activeElement) ? labelled(document.activeElement) : undefined;
  const down = scrollY;
  show(() => {
    const controls = [...main.querySelectorAll<HTMLElement>("input, select, textarea")];
    if (held !== undefined) controls.find((control) => labelled(control) === held)?.focus({ preventScroll: true });
    scrollTo(0, down);
  });
}

/** Shows the page of the address. */
function show(then: () => void = () => undefined): void {
  outdated = false;
  leave.abort();
  leave = new AbortController();
  const { page: name, params } = parse(location.hash);
  const page = PAGES[name];
  const node = chosen();
  const to = (page: string, more: Record<string, string | undefined> = {}) => link(page, Object.entries({ node, ...more }));
  for (const item of menu.querySelectorAll("a")) {
    const its = item.dataset["page"] ?? "";
    // one of many belongs to their list: a peer to the peers
    set(item, { href: to(its), "aria-current": its === name || its === `${name}s` ? "page" : undefined });
  }
  document.documentElement.dataset["menu"] = "closed";
  menuButton.setAttribute("aria-expanded", "false");
  const several = nodes.length > 1;
  head();
  const root = el("div", { class: `page page-${name.replace(/\W/g, "")}` });
  fill(main, el("header", { class: "page-head" }, title, about), root);
  if (!page) {
    root.append(
      el(
        "p",
        { class: "empty" },
        "This link leads to no page of this release. ",
        el("a", { href: to("overview") }, "Go to the overview."),
      ),
    );
    return;
  }
  const context: Context = {
    client,
    node,
    asked: nodes.length === 1 && node === nodes[0] ? undefined : node,
    several,
    params,
    signal: leave.signal,
    to,
    remember(changes) {
      const { page, params } = parse(location.hash);
      for (const [key, value] of Object.entries(changes)) {
        if (value === undefined || value === "") params.delete(key);
        else params.set(key, value);
      }
      history.replaceState(null, "", link(page, params));
      if ("nodes" in changes) head();
    },
    renew,
  };
  page.load().then(
    (fill) => {
      if (context.signal.aborted) return;
      fill(root, context);
      then();
    },
    () => {
      root.append(
        el("p", { class: "empty" }, "This page did not load: the program does not answer, or is a newer one. Reload to try again."),
      );
    },
  );
}

/** Whether somebody would lose what he types if the page were made anew: a note that is not sent, or a field that he is in. */
function typing(): boolean {
  if ([...main.querySelectorAll("textarea")].some(({ value }) => value !== "")) return true;
  return (
    main.contains(document.activeElement) && document.activeElement?.matches(FIELDS) === true && performance.now() < typed + PAUSE
  );
}

function listen(): void {
  const said = el("span");
  const retry = button("Try now", { class: "small", hidden: true }, () => {
    client.retry();
  });
  fill(status, el("span", { class: "lamp", "aria-hidden": "true" }), said, retry);
  const tell = () => {
    const { connection, playback, missed } = client;
    let text: string;
    if (connection.state === "open") text = playback?.recording ? (playback.playing ? "recording" : "recording, paused") : "live";
    else text = connection.state === "connecting" ? "connecting…" : "not connected; trying again by itself";
    if (missed > 0) text += ` · ${plural(missed, "event")} missed by this page`;
    write(said, text);
    retry.hidden = connection.state !== "lost";
    set(status, { "data-state": connection.state });
  };
  client.watch(tell);
  tell();
}

function frame(): void {
  for (const [name, page] of Object.entries(PAGES)) {
    if (page.inner) continue;
    const item = el("a", { href: link(name) }, page.title);
    item.dataset["page"] = name;
    menu.append(el("li", {}, item));
  }
  const theme = el(
    "select",
    { "aria-label": "Colours" },
    ...(["system", "light", "dark"] as const).map((value) =>
      el("option", { value, selected: value === chosenTheme() }, { system: "Auto", light: "Light", dark: "Dark" }[value]),
    ),
  );
  theme.addEventListener("change", () => {
    useTheme(theme.value as Theme);
  });
  const kept: Zone = localStorage.getItem("zone") === "local" ? "local" : "utc";
  useZone(kept);
  const local = (() => {
    useZone("local");
    const name = zoneName(Date.now());
    useZone(kept);
    return name;
  })();
  const zone = el(
    "select",
    { "aria-label": "Time zone" },
    el("option", { value: "utc", selected: kept === "utc" }, "UTC"),
    el("option", { value: "local", selected: kept === "local" }, local === "UTC" ? "Local (UTC)" : local),
  );
  zone.addEventListener("change", () => {
    localStorage.setItem("zone", zone.value);
    useZone(zone.value as Zone);
    show();
  });
  nodeChoice.addEventListener("change", () => {
    const { page, params } = parse(location.hash);
    params.set("node", nodeChoice.value);
    // where one is stays, also where one was led to a moment; a peer is a peer of one node only
    params.delete("at");
    params.delete("peer");
    location.hash = page === "peer" ? link("peers", [["node", nodeChoice.value]]) : link(page, params);
  });
  const skip = button("Skip to the page", { class: "skip" }, () => {
    main.focus();
  });
  document.body.append(
    skip,
    el(
      "header",
      { class: "top" },
      menuButton,
      el("a", { class: "brand", href: "#/overview" }, "peer-observer"),
      nodeChoice,
      status,
      el("div", { class: "settings" }, zone, theme),
    ),
    el("nav", { "aria-label": "Pages" }, menu),
    main,
    bar.element,
  );
}

const menuButton = button("Menu", { class: "menu-button", "aria-expanded": "false", "aria-controls": "menu" }, () => {
  const open = document.documentElement.dataset["menu"] !== "open";
  document.documentElement.dataset["menu"] = open ? "open" : "closed";
  menuButton.setAttribute("aria-expanded", String(open));
  if (open) menu.querySelector<HTMLElement>("a[aria-current]")?.focus();
});

function keys(event: KeyboardEvent): void {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const target = event.target instanceof Element ? event.target : document.body;
  if (event.key === " " && !target.closest("input, select, textarea, button, a, summary, canvas, [tabindex='0']")) {
    event.preventDefault();
    bar.press();
  }
  if (event.key === "Escape" && document.documentElement.dataset["menu"] === "open") {
    menuButton.click();
    menuButton.focus();
  }
}

useTheme(chosenTheme());
frame();
listen();
document.addEventListener("keydown", keys);
main.addEventListener("input", () => {
  typed = performance.now();
});
addEventListener("hashchange", () => {
  const at = parse(location.hash).params.get("at");
  if (at !== undefined) bar.go(at);
  show();
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
});
client.start();
bar.start(parse(location.hash).params.get("at"), forever).catch(() => {
  // the pages say themselves that nobody answers
});

let shown = false;
poll(
  (signal) => get("nodes", {}, signal),
  5000,
  (answer) => {
    const names = answer.nodes.map(({ node }) => node);
    if (names.join("\n") !== nodes.join("\n")) {
      const before = [chosen(), nodes.length > 1].join();
      nodes = names;
      if (usual === undefined || !names.includes(usual)) usual = names[0];
      fill(nodeChoice, ...names.map((name) => el("option", { value: name }, name)));
      nodeChoice.hidden = names.length === 0;
      outdated ||= shown && before !== [chosen(), nodes.length > 1].join();
    }
    if (outdated && !typing()) renew();
    const node = chosen();
    if (node !== undefined) nodeChoice.value = node;
    if (!shown) {
      shown = true;
      show();
    }
  },
  () => {
    if (!shown) {
      shown = true;
      show();
    }
  },
  forever,
);
