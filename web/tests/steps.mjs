// What tests of the pages do alike: visits to a server in one look or another, whose faults fail them, and what a page must show.
import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { launch, watch } from "./browser.mjs";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** How long is waited for what a page must show, milliseconds. */
export const PATIENCE = 90_000;

export const LOOKS = [
  { name: "light", viewport: { width: 1280, height: 860 }, colorScheme: "light" },
  { name: "dark", viewport: { width: 1280, height: 860 }, colorScheme: "dark" },
  {
    name: "phone",
    viewport: { width: 390, height: 844 },
    colorScheme: "light",
    deviceScaleFactor: 1,
    hasTouch: true,
    isMobile: true,
  },
];

/** One element that fits the selector holds all these texts. */
export async function has(page, selector, ...texts) {
  const fits = texts.reduce((found, text) => found.filter({ hasText: text }), page.locator(selector));
  try {
    await fits.first().waitFor({ timeout: PATIENCE });
  } catch {
    const there = await page.locator(selector).allInnerTexts();
    throw new Error(`no ${selector} with ${texts.join(", ")}; there is:\n${there.join("\n").slice(0, 2000)}`);
  }
}

/** No element that fits the selector holds this text any more. */
export async function gone(page, selector, text) {
  try {
    await page.locator(selector).filter({ hasText: text }).first().waitFor({ state: "detached", timeout: PATIENCE });
  } catch {
    const bar = await page.locator(".playback").innerText();
    throw new Error(`there is still a ${selector} with ${text}; the bar says: ${bar.replaceAll("\n", " ")}`);
  }
}

/** These canvases are not blank. */
export async function drawn(page, selector, count) {
  await page.waitForFunction(
    ([selector, count]) => {
      const all = [...document.querySelectorAll(selector)];
      const inked = all.filter((canvas) => {
        if (canvas.width === 0 || canvas.height === 0) return false;
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return data.some((value) => value !== 0);
      });
      return inked.length >= count;
    },
    [selector, count],
    { timeout: PATIENCE },
  );
}

/** Serious and critical faults, one line each. */
export async function accessibility(page) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .flatMap(({ id, impact, nodes }) =>
      nodes
        .slice(0, 3)
        .map(({ target, failureSummary }) => `${impact} ${id}: ${target.join(" ")}: ${failureSummary?.replaceAll("\n", " ")}`),
    );
}

/** A server, and the browser that looks at it. */
export class Drive {
  failures = 0;

  static async start(more = {}) {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { shots: { type: "string" }, only: { type: "string" }, ...more },
    });
    const base = positionals[0]?.replace(/\/$/, "");
    if (!base) throw new Error(`usage: ${process.argv[1]} URL [--shots FOLDER] [--only STEP]`);
    if (values.shots) await mkdir(values.shots, { recursive: true });
    return new Drive(await launch(), base, values);
  }

  constructor(browser, base, values) {
    Object.assign(this, { browser, base, values });
  }

  /** Does it, unless `--only` names another, and says how it went. */
  async step(name, act) {
    if (this.values.only && !name.includes(this.values.only)) return;
    const start = Date.now();
    try {
      await act();
      console.log(`ok ${name} (${Date.now() - start} ms)`);
    } catch (error) {
      this.failures += 1;
      console.log(`FAILED ${name}: ${error.message}`);
    }
  }

  /** A fresh browser with this look. */
  async enter(look) {
    const context = await this.browser.newContext(look);
    context.setDefaultTimeout(PATIENCE);
    return context;
  }

  /** What a route still fetches for a page that is left is no failure. */
  async leave(context) {
    for (const page of context.pages()) await page.unrouteAll({ behavior: "ignoreErrors" });
    await context.close();
  }

  /** A fresh page with this look; what it did wrong is checked at its end. */
  async visit(look, act) {
    const context = await this.enter({ ...look, reducedMotion: "reduce" });
    const faults = await watch(context, this.base);
    try {
      const page = await context.newPage();
      await act(page, context);
      assert.deepEqual(faults, [], "the page complains of nothing, and asks nobody else");
    } finally {
      await this.leave(context);
    }
  }

  /** Moves the recording. */
  async seek(request, change) {
    const answer = await request.post(`${this.base}/api/playback`, { data: change });
    assert.ok(answer.ok(), `playback: ${answer.status()} ${await answer.text()}`);
    // a jump reads what came before, in its own time; who asks more often than this is refused
    for (let state = await answer.json(); state.seeking;) {
      await new Promise((again) => setTimeout(again, 25));
      state = await (await request.get(`${this.base}/api/playback`)).json();
    }
  }

  /** Is not wider than the screen, has no serious fault, and is kept as a picture if that is asked for. `whole`: also what is below the screen. */
  async looksRight(page, look, name, whole = false) {
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(wide <= 0, `the page is ${wide} px wider than the screen`);
    if (this.values.shots) {
      const height = whole ? await page.evaluate(() => document.documentElement.scrollHeight) : 0;
      await page.setViewportSize({ ...look.viewport, height: Math.max(height, look.viewport.height) });
      await page.screenshot({ path: join(this.values.shots, `${name}-${look.name}.png`) });
    }
    assert.deepEqual(await accessibility(page), []);
  }

  async end() {
    await this.browser.close();
    if (this.failures > 0) {
      console.log(`${this.failures} failed`);
      process.exitCode = 1;
    }
  }
}
