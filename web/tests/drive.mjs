// Drives every page over the bundled recording, as `peer-observer web --recording fixtures/demo.rec` serves it.
//
//   node tests/drive.mjs http://127.0.0.1:2100 [--shots ../docs/pages] [--locked http://127.0.0.1:2101 --token …]
//
// `--locked` is another server, which lets in only who has the token.
// Each page must show what the recording holds, complain of nothing, ask no other host, and have no serious fault of accessibility.
import assert from "node:assert/strict";
import { join } from "node:path";
import { Drive, LOOKS, PATIENCE, accessibility, drawn, gone, has } from "./steps.mjs";

const drive = await Drive.start({ locked: { type: "string" }, token: { type: "string" } });
const { base, values } = drive;

/** Near the end: everything happened. */
const LATE = "2026-11-22T10:58:41.500Z";
/** The node has 14 peers, transactions travel. */
const EARLY = "2026-11-22T10:58:21.400Z";

/** What each page must show at LATE: texts that come from the recording, in places where they belong. */
const PAGES = {
  overview: async (page) => {
    await has(page, ".node-card", "demo", "regtest", "block relay", "inbound");
    await has(page, ".figure", "active findings", "0", "no detector runs");
    await has(page, "tbody tr", "getheaders");
    await has(page, ".notes li", "evicted", "peer 37");
    await drawn(page, ".plot canvas", 3);
  },
  circle: async (page) => {
    await page.waitForFunction(
      () =>
        /Node demo with 3\d peers: .*block relay.* inbound/.test(
          document.querySelector("canvas")?.getAttribute("aria-label") ?? "",
        ),
      undefined,
      { timeout: PATIENCE },
    );
    await has(page, ".key", "full relay", "private broadcast");
    await drawn(page, ".ring canvas", 1);
  },
  peers: async (page) => {
    await has(page, "tbody tr", "127.232.217.202:41165", "evicted");
    await has(page, "tbody tr", "/Satoshi:31.99.0/", "full relay");
    assert.ok((await page.locator("tbody tr").count()) > 40, "every peer of the recording has a row");
  },
  "peer?id=12": async (page) => {
    await has(page, ".who", "Peer 12", "127.232.205.219:59805");
    await has(page, ".facts", "/Satoshi:29.2.0/", "network, witness");
    await has(page, ".sequence li.in", "version");
    await has(page, ".sequence li.in", "pong", "after");
    await has(page, ".sequence .gap", "of silence");
    await has(page, ".notes li", "opened");
  },
  transactions: async (page) => {
    await has(page, "tbody tr", "ef2da47668f3", "rejected");
    await has(page, "tbody tr", "d094ce84c36a", "15.0 sat/vB");
    await has(page, "tbody tr", "min relay fee not met", "1");
    await drawn(page, ".plot canvas", 2);
  },
  addresses: async (page) => {
    await has(page, "tbody tr", "19", "1,001");
    await has(page, "tbody tr", "Tor");
    await has(page, "tbody tr", "network, witness");
    await has(page, "tbody tr", "240.0.0.1:8333", "others");
  },
  blocks: async (page) => {
    await has(page, ".figures", "116");
    await has(page, "tbody tr", "…bc930bb58583", "compact block", "1 of 2");
  },
  pings: async (page) => {
    await has(page, ".figures", "our ping", "ms");
    await has(page, "tbody tr", "12");
    await drawn(page, ".plot canvas", 1);
  },
  messages: async (page) => {
    await has(page, ".stream", "Nothing yet");
  },
  findings: async (page) => {
    // nobody looked for attacks when it was recorded, which is another thing than that there were none
    await has(page, ".findings .empty", "No detector runs at the moment");
  },
  incidents: async (page) => {
    await has(page, ".figures", "open", "acknowledged");
    await has(page, "tbody tr", "#1", "acknowledged", "warn", "inv queue (D39) at demo", "ann");
    await has(page, "tbody tr", "#2", "resolved", "over the whole fleet");
    await has(page, "tbody tr", "webhook", "the receiver answered 503");
  },
  "incident?number=1": async (page) => {
    await has(page, ".incident-head", "warn", "acknowledged", "inv queue (D39) at demo");
    await has(page, ".facts", "2026-11-22 10:58:25 UTC", "ann");
    await has(page, ".panel", "What to do next");
    await has(page, ".runbook > ol > li", "Look at the mempool's growth");
    await has(page, ".panel", "What it does not prove", "a rush of ordinary transactions");
    await has(page, ".slices li", "000001-0.poa", "1,234 events");
    await has(page, ".finding-part", "Numbers", "largest queue", "20,000 transactions");
    await has(page, ".notes li", "opened");
    await has(page, ".notes li", "a note was added", "by ben: as in March: the same range");
    await has(page, ".commands", "peer-observer incidents close 1");
  },
  health: async (page) => {
    await has(page, ".verdict", "source");
    for (const source of ["ebpf", "rpc", "p2p", "proc"]) await has(page, "tbody tr", "demo", source);
  },
};

const seek = (request, change) => drive.seek(request, change);
const step = (name, act) => drive.step(name, act);
const visit = (look, act) => drive.visit(look, act);

for (const look of LOOKS) {
  for (const [name, check] of Object.entries(PAGES)) {
    const title = name.split("?")[0];
    await step(`${title} in ${look.name}`, () =>
      visit(look, async (page, context) => {
        await seek(context.request, { at: LATE, playing: false });
        await page.goto(`${base}/#/${name}`);
        await check(page);
        if (title === "messages") await listen(page);
        if (title === "circle") await busy(page, context);
        // one that goes on below the screen is shown whole, above the bar
        await drive.looksRight(page, look, title, title === "incident");
      }),
    );
  }
}

/** Plays the stream until something is said, and looks at a line. */
async function listen(page) {
  await seek(page.request, { at: EARLY, playing: true, speed: 1 });
  await has(page, ".stream li", "net.inv");
  await seek(page.request, { playing: false });
  await page.locator(".stream li button", { hasText: "net.inv" }).first().click();
  await has(page, ".inspector", "net.inv", "items", "Txid, wtxid or block hash");
}

/** Lets messages fly, and pins a peer by keyboard. */
async function busy(page, context) {
  await page.locator("canvas").focus();
  for (const key of ["ArrowRight", "ArrowRight", "Enter"]) await page.keyboard.press(key);
  await has(page, ".peer-card", "Peer 3", "manual");
  await seek(context.request, { at: "2026-11-22T10:58:38.300Z", playing: true, speed: 1 });
  await has(page, ".notes li", "opened", "peer 3");
  await seek(context.request, { playing: false });
}

const desk = LOOKS[0];
await step("the table of peers is filtered, sorted, and remembers its columns", () =>
  visit(desk, async (page, context) => {
    await seek(context.request, { at: LATE, playing: false });
    await page.goto(`${base}/#/peers`);
    await has(page, "tbody tr", "evicted");
    await page.getByRole("searchbox", { name: "Filter peers" }).fill("type:block");
    await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 1);
    assert.match(page.url(), /filter=type%3Ablock/, "the link leads to what is shown");
    await page.getByRole("searchbox", { name: "Filter peers" }).fill("");
    await page.getByRole("button", { name: "Received" }).click();
    await page.waitForSelector('th[aria-sort="descending"] >> text=Received');
    assert.equal(await page.evaluate(() => document.activeElement?.textContent), "Received", "the heading keeps the focus");
    await page.getByText("Columns", { exact: true }).click();
    await page.getByLabel("Transport").check();
    await has(page, "tbody tr", "v2");
    await page.reload();
    await has(page, "th", "Transport");
  }),
);

await step("a recording is played, paused, and gone through by keyboard", () =>
  visit(desk, async (page, context) => {
    await seek(context.request, { at: EARLY, playing: false, speed: 1 });
    await page.goto(`${base}/#/peers`);
    const slider = page.getByRole("slider", { name: "Moment of the recording" });
    await has(page, ".playback output", "10:58:21 UTC");
    await slider.focus();
    await page.keyboard.press("End");
    await has(page, ".playback output", "10:58:42 UTC");
    await has(page, "tbody tr", "evicted");
    await page.keyboard.press("Home");
    await has(page, ".playback output", "10:58:16 UTC");
    await gone(page, "tbody tr", "evicted");
    await page.locator("main").focus();
    await page.keyboard.press("Space");
    await page.getByRole("button", { name: "Pause" }).waitFor();
    await page.getByRole("combobox", { name: "Speed" }).selectOption("10");
    await has(page, "tbody tr", "evicted");
    await seek(context.request, { playing: false, speed: 1 });
  }),
);

await step("a link leads to a page at a moment", () =>
  visit(desk, async (page, context) => {
    await seek(context.request, { at: LATE, playing: true });
    await page.goto(`${base}/#/blocks?node=demo&at=${encodeURIComponent(EARLY)}`);
    await has(page, ".playback output", "10:58:21 UTC");
    await has(page, ".figures", "110");
    const state = await (await context.request.get(`${base}/api/playback`)).json();
    assert.equal(state.playing, false);
  }),
);

await step("menu, colours and zone work by keyboard on a phone", () =>
  visit(LOOKS[2], async (page) => {
    await page.goto(`${base}/`);
    await has(page, ".node-card", "demo");
    const menu = page.getByRole("button", { name: "Menu" });
    await menu.focus();
    await page.keyboard.press("Enter");
    assert.equal(await menu.getAttribute("aria-expanded"), "true");
    await page.getByRole("link", { name: "Health" }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Health", level: 1 }).waitFor();
    assert.equal(await menu.getAttribute("aria-expanded"), "false");
    await page.getByRole("combobox", { name: "Colours" }).selectOption("dark");
    assert.equal(await page.evaluate(() => getComputedStyle(document.body).colorScheme), "dark");
    await page.reload();
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark", "the choice is kept");
  }),
);

await step("what a peer chose is text, never markup", () =>
  visit(desk, async (page) => {
    const evil = '<img src=x onerror="window.hurt=1"><script>window.hurt=1</script>';
    await page.route(/\/api\/peers\b/, async (route) => {
      const answer = await (await route.fetch()).json();
      for (const peer of answer.peers) Object.assign(peer, { userAgent: evil, address: evil });
      await route.fulfill({ json: answer });
    });
    await page.goto(`${base}/#/peers`);
    await has(page, "tbody tr", "<img");
    assert.equal(await page.evaluate(() => window.hurt), undefined);
    assert.equal(await page.locator("main img, main script").count(), 0);
  }),
);

await step("a finding says why, from what, and what it does not prove", () =>
  visit(desk, async (page, context) => {
    await seek(context.request, { at: LATE, playing: false });
    const time = "1795345119006877256";
    // the bundled recording has events only: nobody wrote down what detectors conclude
    const finding = {
      detector: "D28",
      version: 1,
      name: "ping_flood",
      id: "00000000000000d2",
      entity: { kind: "peer", peer: "15" },
      severity: "warn",
      verdict: "investigate",
      score: 3.9,
      inputs: [{ name: "pings_of_the_peer", value: 39, unit: "messages in 10 s", threshold: 10 }],
      opened: time,
      evidence: [{ source: "ebpf", run: "1", fromSequence: "1266", toSequence: "1304", time }],
      summary: "peer 15 sends pings much faster than software does by itself",
      doesNotProve: "that the peer means harm: monitors of networks ping as fast",
      unknown: false,
    };
    const event = {
      node: "demo",
      source: "detect",
      run: "1",
      sequence: "0",
      time,
      kind: "finding.opened",
      findingOpened: { finding },
    };
    const shown = { id: finding.id, time, kind: event.kind, node: "demo", active: true, event };
    await page.route(/\/api\/findings\b/, (route) => route.fulfill({ json: { now: "1795345121500000000", findings: [shown] } }));
    await page.goto(`${base}/#/findings`);
    await has(page, "details[open]", "warn", "ping flood", "active", "39 messages in 10 s", "10 messages in 10 s");
    await has(page, ".finding-part", "What it does not prove", "monitors of networks");
    await has(page, ".finding-part", "Evidence", "2026-11-22 10:58:39 UTC", "events 1266 to 1304 of ebpf");
    if (values.shots) await page.screenshot({ path: join(values.shots, "findings-light.png") });
    assert.deepEqual(await accessibility(page), []);
    // twice: the second update differs from the first by what it says alone
    for (const [sequence, value] of [
      ["1", 57],
      ["2", 83],
    ]) {
      const updated = { ...finding, inputs: [{ ...finding.inputs[0], value }] };
      shown.event = { ...event, sequence, kind: "finding.updated", findingUpdated: { finding: updated }, findingOpened: undefined };
      shown.kind = shown.event.kind;
      await has(page, "details[open]", `${value} messages in 10 s`);
    }
    await page.getByRole("link", { name: "10:58:39" }).click();
    await page.getByRole("heading", { name: "Messages", level: 1 }).waitFor();
    await has(page, ".playback output", "10:58:39 UTC");
    await page.goBack();
    await page.getByRole("link", { name: "peer 15" }).click();
    await has(page, ".who", "Peer 15");
  }),
);

await step("an incident is worked with where the book is, and somebody who is late is told", async () => {
  // without the check of what the browser complains of: a refusal is one of these
  const context = await drive.enter(desk);
  const page = await context.newPage();
  await seek(context.request, { at: LATE, playing: false });
  const sent = [];
  let late = false;
  await page.route(/\/api\/incidents\/1(\?|$)/, async (route) => {
    const request = route.request();
    if (request.method() === "POST") {
      sent.push(request.postDataJSON());
      return late
        ? route.fulfill({ status: 409, json: { error: "incident 1 is resolved already" } })
        : route.fulfill({ json: { incident: {} } });
    }
    const answer = await (await route.fetch()).json();
    return route.fulfill({ json: { ...answer, acting: "here", state: "open" } });
  });
  await page.goto(`${base}/#/incidents`);
  await page.getByRole("link", { name: "#1" }).click();
  await page.getByRole("button", { name: "I look at it" }).click();
  await has(page, ".said", "Say who you are");
  await page.keyboard.type("ann");
  await page.getByRole("button", { name: "I look at it" }).click();
  await has(page, ".said", "It is in the book that you look at it.");
  await page.getByLabel("A note, or why it is over").fill("it was our own crawler");
  late = true;
  await page.getByRole("button", { name: "Close it" }).press("Enter");
  await has(page, ".said", "incident 1 is resolved already.");
  assert.equal(await page.getByLabel("A note, or why it is over").inputValue(), "it was our own crawler", "nothing typed is lost");
  // another node comes: the page is made anew when nobody types any more
  await page.route(/\/api\/nodes\b/, async (route) => {
    const answer = await (await route.fetch()).json();
    await route.fulfill({ json: { ...answer, nodes: [{ node: "another" }, ...answer.nodes] } });
  });
  const node = page.getByRole("combobox", { name: "Node" });
  await page.waitForFunction(() => document.querySelectorAll('select[aria-label="Node"] option').length === 2);
  const note = page.getByLabel("A note, or why it is over");
  assert.equal(await note.inputValue(), "it was our own crawler", "what is half typed stays");
  assert.equal(await node.inputValue(), "demo");
  await note.evaluate((field) => (field.dataset.kept = "yes"));
  await note.fill("");
  await page.getByRole("button", { name: "Add the note" }).focus();
  await page.waitForFunction(() => !document.querySelector("textarea[data-kept]"));
  // another time zone makes the page anew at once
  await note.fill("half a note");
  await note.evaluate((field) => (field.dataset.kept = "yes"));
  await page.getByRole("combobox", { name: "Time zone" }).selectOption("local");
  await page.waitForFunction(() => !document.querySelector("textarea[data-kept]"));
  assert.equal(await note.inputValue(), "half a note", "what is typed outlives another time zone");
  await page.getByRole("combobox", { name: "Time zone" }).selectOption("utc");
  await note.fill("");
  assert.deepEqual(sent, [
    { act: "acknowledge", by: "ann", text: "" },
    { act: "close", by: "ann", text: "it was our own crawler" },
  ]);
  assert.deepEqual(await accessibility(page), []);
  await page.reload();
  assert.equal(await page.getByLabel("Your name").inputValue(), "ann");
  await drive.leave(context);
});

/** Runbooks are ours; what is made of them is safe even if they were not. */
const RUNBOOK = `# First

*Is it here*, or **everywhere**? See \`peer_count\`, then:

1. Stop. [the pull request](https://example.org/pull/1) says why;
   2023 was worse.
2. Look closer:

   - at \`ping\`
   - at [the other page](docs/connect.md)

   \`\`\`sh
   bitcoin-cli getpeerinfo | head
   \`\`\`

<img src=x onerror="window.hurt=1"> [here](javascript:window.hurt=1) <script>window.hurt=1</script>`;

await step("a runbook is set as it was meant, and nothing in it runs", () =>
  visit(desk, async (page, context) => {
    await seek(context.request, { at: LATE, playing: false });
    await page.route(/\/api\/incidents\/1(\?|$)/, async (route) => {
      const answer = await (await route.fetch()).json();
      for (const paragraph of answer.paragraphs) {
        if (paragraph.heading === "What to do next") paragraph.text = RUNBOOK;
        // a stranger has his word in these
        if (paragraph.heading === "What") paragraph.text = "[the *answer*](https://evil.example/) `here`";
      }
      return route.fulfill({ json: answer });
    });
    await page.goto(`${base}/#/incident?number=1`);
    const book = page.locator(".runbook");
    await book.getByRole("heading", { name: "First", level: 3 }).waitFor();
    const inner = (selector) => book.locator(selector).allInnerTexts();
    assert.deepEqual([await inner("em"), await inner("strong")], [["Is it here"], ["everywhere"]]);
    assert.deepEqual(await inner(":scope > ol > li > ul > li"), ["at ping", "at the other page (docs/connect.md)"]);
    assert.deepEqual(
      [await inner("pre"), await inner("code")],
      [["bitcoin-cli getpeerinfo | head"], ["peer_count", "ping", "bitcoin-cli getpeerinfo | head"]],
    );
    assert.equal(await book.locator(":scope > ol > li").count(), 2);
    const links = await page
      .locator("main .columns a")
      .evaluateAll((all) => all.map(({ href, rel, target }) => [href, rel, target]));
    const away = links.filter(([href]) => !href.startsWith(base));
    assert.deepEqual(away, [["https://example.org/pull/1", "noreferrer noopener", "_blank"]]);
    await has(page, ".runbook p", '<img src=x onerror="window.hurt=1"> here (javascript:window.hurt=1)');
    await has(page, ".prose", "[the *answer*](https://evil.example/) `here`");
    assert.equal(await page.evaluate(() => window.hurt), undefined);
    assert.equal(await page.locator("main img, main script").count(), 0);
    assert.deepEqual(await accessibility(page), []);
  }),
);

await step("a page says when the program does not answer, and goes on when it does", async () => {
  const context = await drive.enter(desk);
  const page = await context.newPage();
  await page.goto(`${base}/#/peers`);
  await page.locator("tbody tr").first().waitFor();
  await page.route(/\/api\/peers\b/, (route) => route.abort());
  await has(page, ".trouble", "does not answer", "Try again");
  await page.unroute(/\/api\/peers\b/);
  await page.getByRole("button", { name: "Try again" }).click();
  await page.locator(".trouble").waitFor({ state: "hidden" });
  await page.goto(`${base}/#/peer?id=999999`);
  await has(page, ".trouble", "It may have left");
  await page.goto(`${base}/#/nowhere`);
  await has(page, ".empty", "This link leads to no page");
  await drive.leave(context);
});

await step("the stream says where the connection was lost, and refuses a filter that names nobody", () =>
  visit(desk, async (page) => {
    let cut;
    await page.routeWebSocket(/\/api\/stream/, (socket) => {
      socket.connectToServer();
      cut = () => socket.close();
    });
    await seek(page.request, { at: EARLY, playing: false });
    await page.goto(`${base}/#/messages`);
    await has(page, ".stream", "Nothing yet");
    await seek(page.request, { playing: true, speed: 1 });
    await has(page, ".stream li", "net.inv");
    await seek(page.request, { playing: false });
    await cut();
    await has(page, ".stream li.missed", "connection was lost");
    await page.getByRole("searchbox", { name: "Peers, by id" }).fill("abc");
    await page.keyboard.press("Enter");
    await has(page, ".tools", "refused: abc is no peer's id");
  }),
);

/** Logs in as a person does: what a browser sends with a form is not what a test would make up. */
if (values.locked) {
  await step("a person logs in with the token, and not without", async () => {
    const locked = values.locked.replace(/\/$/, "");
    const context = await drive.enter(desk);
    const page = await context.newPage();
    await page.goto(`${locked}/`);
    assert.equal(page.url(), `${locked}/login`);
    const answered = async (token) => {
      // not into the page that is just being left
      await page.waitForFunction(() => document.querySelector("#token")?.value === "");
      await page.getByLabel("Token").fill(token);
      const posted = page.waitForResponse((response) => response.request().method() === "POST");
      await page.getByRole("button", { name: "Log in" }).click();
      return (await posted).status();
    };
    assert.equal(await answered("0123456789 is wrong"), 401);
    assert.equal(await answered(values.token), 303);
    await has(page, ".node-card", "demo");
    await drive.leave(context);
  });
}

await step("the first page is small and soon there", () =>
  visit(desk, async (page) => {
    await page.goto(`${base}/`);
    await has(page, ".node-card", "demo");
    const { total, first } = await page.evaluate(() => {
      const all = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
      const total = all
        .filter(({ name }) => !name.includes("/api/"))
        .reduce((sum, { decodedBodySize }) => sum + decodedBodySize, 0);
      return { total, first: performance.getEntriesByName("first-contentful-paint")[0]?.startTime };
    });
    console.log(`   assets of the first page: ${total} bytes; first paint after ${Math.round(first)} ms`);
    assert.ok(total > 50_000, `only ${total} bytes: does the browser still say what it loaded?`);
    assert.ok(total <= 150_000, `${total} bytes`);
  }),
);

await drive.end();
