// Runs tests/*.test.ts in node's own test runner: no browser needed.
import { build } from "esbuild";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const out = await mkdtemp(join(tmpdir(), "peer-observer-unit-"));
const tests = (await readdir(here)).filter((name) => name.endsWith(".test.ts"));
await build({
  entryPoints: tests.map((name) => join(here, name)),
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  outdir: out,
  outExtension: { ".js": ".mjs" },
  define: { WEB: JSON.stringify(join(here, "..")) },
});
let failed = false;
const events = run({ files: tests.map((name) => join(out, name.replace(".ts", ".mjs"))), concurrency: true });
events.on("test:fail", () => {
  failed = true;
});
events.compose(spec).pipe(process.stdout);
events.on("end", async () => {
  await rm(out, { recursive: true });
  process.exitCode = failed ? 1 : 0;
});
