// Debian's Chromium, and what every test wants to know of a page: what it complained of, and whom it asked.
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

/** Where Chromium may be; PAGES_CHROMIUM comes first. */
const PLACES = [process.env.PAGES_CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

export async function launch(more = []) {
  const executablePath = PLACES.find((place) => place && existsSync(place));
  if (!executablePath) throw new Error("no chromium: apt-get install chromium, or set PAGES_CHROMIUM");
  // root, as in a container, has no sandbox; the pages under test are our own
  const args = [...(process.getuid() === 0 ? ["--no-sandbox"] : []), "--force-color-profile=srgb", ...more];
  // beside a compiler it takes its time
  return chromium.launch({ executablePath, args, timeout: 180_000 });
}

/** Collects errors of the console, exceptions, and requests to other hosts, which are also stopped. */
export async function watch(context, base) {
  const faults = [];
  const home = new URL(base).host;
  await context.route(
    (url) => url.host !== home,
    (route) => {
      faults.push(`request to another host: ${route.request().url()}`);
      return route.abort();
    },
  );
  context.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning")
      faults.push(`console: ${message.text()} (${message.location().url})`);
  });
  context.on("weberror", (error) => faults.push(`exception: ${error.error().stack ?? error.error().message}`));
  return faults;
}
