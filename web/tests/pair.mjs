// Drives the pages over two nodes at once, as `peer-observer web --recording fixtures/pair/north.rec,fixtures/pair/south.rec` serves them.
//
//   node tests/pair.mjs http://127.0.0.1:2100 [--shots ../docs/pages]
//
// Beside them it wants findings: one of each node, and one of the fleet (crates/peer-observer/tests/pages.rs has them).
import assert from "node:assert/strict";
import { Drive, LOOKS, PATIENCE, drawn, has } from "./steps.mjs";

const drive = await Drive.start();
const { base } = drive;
const desk = LOOKS[0];

/** Near the end: both nodes have all their peers, south came back with the longer chain. */
const LATE = "2026-11-23T05:22:17.200Z";
/** Before that: they have parted. */
const APART = "2026-11-23T05:22:15.030Z";

/** At LATE, with what `act` looks for. */
const late = (look, route, act) =>
  drive.visit(look, async (page, context) => {
    await drive.seek(context.request, { at: LATE, playing: false });
    await page.goto(`${base}/#/${route}`);
    await act(page, context);
  });

/** The first cell of each row of the page's first table, in order. */
const firsts = (page) =>
  page
    .locator("tbody")
    .first()
    .locator("tr")
    .evaluateAll((rows) => rows.map((row) => row.cells[0].innerText.trim()));

/** Chooses another node at the top of the page. */
const choose = (page, node) => page.getByRole("combobox", { name: "Node" }).selectOption(node);

/** Which node a heading says the page is of. */
const headed = (page, title, node) => page.getByRole("heading", { level: 1, name: `${title} of ${node}`, exact: true }).waitFor();

for (const look of LOOKS) {
  await drive.step(`both nodes at a glance in ${look.name}`, () =>
    late(look, "overview?node=south", async (page) => {
      await has(page, ".node-card", "north", "regtest", "1 manual", "5 inbound", "106");
      await has(page, ".node-card", "south", "1 full relay", "1 block relay", "3 inbound", "below in detail");
      await page.getByRole("heading", { level: 2, name: "south", exact: true }).last().waitFor();
      assert.equal(await page.locator(".node-card").count(), 2);
      await drawn(page, ".plot canvas", 3);
      await drive.looksRight(page, look, "two-overview");
      await page.locator(".node-card").getByRole("link", { name: "north" }).click();
      await has(page, ".node-card.chosen", "north", "below in detail");
      await has(page, ".notes li", "misbehaving", "peer 7");
    }),
  );

  await drive.step(`circles side by side in ${look.name}`, () =>
    late(look, "circle?nodes=all", async (page, context) => {
      const circle = (node) => page.getByLabel(new RegExp(`^Node ${node} with 6 peers`));
      for (const node of ["north", "south"]) await circle(node).waitFor({ timeout: PATIENCE });
      await drawn(page, ".ring canvas", 2);
      const [north, south] = [await circle("north").boundingBox(), await circle("south").boundingBox()];
      if (look.name === "phone") assert.ok(south.y > north.y + north.height, "below each other");
      else assert.deepEqual([south.y, south.x > north.x + north.width], [north.y, true], "beside each other");
      // an id is of one node only
      await circle("south").focus();
      for (const key of ["ArrowRight", "Enter"]) await page.keyboard.press(key);
      await has(page, ".peer-card", "Peer 6 of south", "full relay");
      await drive.seek(context.request, { at: APART, playing: true, speed: 1 });
      await has(page, ".notes li", "opened", "peer 8 of north");
      await has(page, ".notes li", "opened", "peer 6 of south");
      await drive.seek(context.request, { at: LATE, playing: false });
      await has(page, ".ring", "6 peers");
      for (const node of ["north", "south"]) await circle(node).waitFor({ timeout: PATIENCE });
      await drive.looksRight(page, look, "two-circle");
    }),
  );

  await drive.step(`findings of a node, of the fleet and of all in ${look.name}`, () =>
    late(look, "findings?node=north", async (page) => {
      const rows = async (...titles) => {
        await page.waitForFunction((count) => document.querySelectorAll("details.finding").length === count, titles.length);
        const there = await page.locator("details.finding summary b").allInnerTexts();
        assert.deepEqual(there.sort(), titles);
      };
      await has(page, "[role=status]", "2 active findings, 0 cleared; 1 active at other nodes");
      await rows("inv queue", "reconstruction");
      await has(page, "summary", "reconstruction", "all nodes");
      await drive.looksRight(page, look, "two-findings");
      await choose(page, "south");
      await headed(page, "Findings", "south");
      await rows("ping flood", "reconstruction");
      // by keyboard, and further down: whoever is there stays there
      await page.setViewportSize({ width: look.viewport.width, height: 300 });
      const all = page.getByLabel("of all nodes");
      await all.focus();
      await page.evaluate(() => scrollTo(0, 90));
      const before = await page.evaluate(() => scrollY);
      await page.keyboard.press("Space");
      await rows("inv queue", "ping flood", "reconstruction");
      assert.ok(await all.evaluate((box) => box === document.activeElement && box.checked), "the box keeps the focus");
      assert.deepEqual([before, await page.evaluate(() => scrollY)], [90, 90]);
      assert.match(page.url(), /nodes=all/);
      await page.getByRole("heading", { level: 1, name: "Findings", exact: true }).waitFor();
      // what happened at a node leads to that node
      await has(page, "details.finding", "ping flood", "south · active");
    }),
  );
}

await drive.step("strangers are told which findings are of the fleet, which has another name for them", () =>
  late(desk, "findings?node=north", async (page) => {
    await page.route(/\/api\/findings\b/, async (route) => {
      const answer = await (await route.fetch()).json();
      for (const finding of answer.findings) if (finding.fleet) finding.node = "node-3f2a";
      await route.fulfill({ json: answer });
    });
    await page.goto(`${base}/#/findings?node=south`);
    await has(page, "[role=status]", "2 active findings, 0 cleared; 1 active at other nodes");
    await has(page, "summary", "reconstruction", "all nodes · active");
    assert.doesNotMatch(await page.locator("main").innerHTML(), /node-3f2a/);
  }),
);

await drive.step("nothing is said of detectors before it is known who looks", () =>
  late(desk, "health", async (page) => {
    let told = () => undefined;
    const wait = new Promise((done) => (told = done));
    let detecting = true;
    await page.route(/\/api\/findings\b/, (route) => route.fulfill({ json: { now: "1", findings: [] } }));
    await page.route(/\/api\/summary\b/, async (route) => {
      const answer = await (await route.fetch()).json();
      await route.fulfill({ json: { ...answer, findings: { active: 0 } } });
    });
    await page.route(/\/api\/nodes\b/, async (route) => {
      const answer = await (await route.fetch()).json();
      if (page.url().includes("#/findings")) await wait;
      for (const row of answer.nodes) row.detecting = detecting;
      await route.fulfill({ json: answer });
    });
    await page.goto(`${base}/#/findings?node=south`);
    await page.locator(".findings .empty").waitFor({ state: "attached" });
    assert.equal(await page.locator(".findings .empty").isVisible(), false);
    told();
    await has(page, ".findings .empty", "Nothing fired.");
    // it spoke once, and is gone
    detecting = false;
    await has(page, ".findings .empty", "No detector runs at the moment");
    await page.getByRole("link", { name: "Overview" }).click();
    await has(page, ".figure", "active findings", "no detector runs");
  }),
);

await drive.step("the circle of one node leaves the other out", () =>
  late(desk, "circle?node=south", async (page) => {
    await headed(page, "Circle", "south");
    await page.getByLabel(/^Node south with 6 peers/).waitFor({ timeout: PATIENCE });
    assert.equal(await page.locator(".ring").count(), 1);
    await page.getByLabel("all nodes side by side").check();
    await page.getByLabel(/^Node north with 6 peers/).waitFor({ timeout: PATIENCE });
    assert.ok(
      await page.getByLabel("all nodes side by side").evaluate((box) => box === document.activeElement && box.checked),
      "the box keeps the focus",
    );
    assert.match(page.url(), /node=south.*nodes=all|nodes=all.*node=south/);
  }),
);

await drive.step("peers are those of the chosen node", () =>
  late(desk, "peers?node=north", async (page) => {
    await has(page, "tbody tr", "7", "misbehaved, left");
    assert.deepEqual(await firsts(page), ["8", "7", "6", "5", "4", "3", "2", "1", "0"]);
    await choose(page, "south");
    await headed(page, "Peers", "south");
    await has(page, "tbody tr", "5", "block relay");
    assert.deepEqual(await firsts(page), ["6", "5", "4", "3", "2", "1", "0"]);
    // and so is one of them
    await page.getByRole("link", { name: "6", exact: true }).click();
    await has(page, ".who", "Peer 6", "full relay");
    await has(page, ".sequence .ends", "peer 6", "south");
    assert.equal([...new URL(page.url()).hash.matchAll(/node=/g)].length, 1, page.url());
    await choose(page, "north");
    await headed(page, "Peers", "north");
    await has(page, "tbody tr", "7", "misbehaved, left");
  }),
);

await drive.step("blocks are those of the chosen node", () =>
  late(desk, "blocks?node=north", async (page) => {
    /** The peer that was first with a block. */
    const first = (height) =>
      page
        .locator("tbody")
        .first()
        .locator("tr")
        .evaluateAll((rows, height) => rows.find((row) => row.cells[0].innerText === height)?.cells[3].innerText, height);
    // whoever mined it was told of it by nobody
    await has(page, "tbody tr", "106", "header");
    assert.deepEqual([await first("106"), await first("103")], ["8", "–"]);
    await choose(page, "south");
    await headed(page, "Blocks", "south");
    await has(page, "tbody tr", "103", "compact block");
    assert.deepEqual([await first("106"), await first("103")], ["–", "1"]);
  }),
);

await drive.step("messages are those of the chosen node", () =>
  late(desk, "messages?node=south&kinds=conn.*", async (page) => {
    const play = async (node) => {
      await drive.seek(page.request, { at: APART, playing: false });
      await has(page, ".stream", "Nothing yet");
      await drive.seek(page.request, { playing: true, speed: 1 });
      await has(page, ".stream li", "conn.opened");
      await drive.seek(page.request, { playing: false });
      await page.locator(".stream li button", { hasText: "conn.opened" }).first().click();
      await has(page, ".inspector dl", "Node", node);
      return page.locator(".stream li", { hasText: "conn.opened" }).locator(".peer").allInnerTexts();
    };
    await headed(page, "Messages", "south");
    assert.deepEqual(await play("south"), ["6"]);
    await choose(page, "north");
    await headed(page, "Messages", "north");
    assert.deepEqual(await play("north"), ["8"]);
  }),
);

await drive.step("a link that was shared leads to the same node, page and moment", () =>
  late(desk, "peers", async (page, context) => {
    await choose(page, "south");
    await headed(page, "Peers", "south");
    await page.getByRole("button", { name: "Copy link" }).click();
    await page.waitForFunction(() => location.hash.includes("at="));
    const shared = page.url();
    await drive.seek(context.request, { at: APART, playing: true, speed: 1 });
    const other = await context.newPage();
    await other.goto(shared);
    await headed(other, "Peers", "south");
    assert.equal(await other.getByRole("combobox", { name: "Node" }).inputValue(), "south");
    await has(other, ".playback output", "05:22:17 UTC");
    assert.deepEqual(await firsts(other), ["6", "5", "4", "3", "2", "1", "0"]);
    assert.match(await other.title(), /^Peers · south · /);
    // the menu keeps the node
    await other.getByRole("link", { name: "Blocks" }).click();
    await headed(other, "Blocks", "south");
    await has(other, "tbody tr", "103", "compact block");
    await other.close();
  }),
);

await drive.step("the observer's own health is told of both", () =>
  late(desk, "health", async (page) => {
    await has(page, ".verdict", "All 10 sources work");
    for (const node of ["north", "south"]) await has(page, "tbody tr", node, "ebpf", "13 probes");
    await drive.looksRight(page, desk, "two-health");
  }),
);

await drive.end();
