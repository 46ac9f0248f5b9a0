// Builds dist/, which is checked in and goes into the program. `--check` builds it elsewhere and compares.
//
// The same sources and the same lock file give the same bytes: nothing of the time, the machine or the folder gets in.
import { build } from "esbuild";
import { cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));

/** Everything that the first page loads: 150 kB, as the numbers of the project ask. */
const BUDGET = 150_000;

async function make(out) {
  await mkdir(out, { recursive: true });
  const { metafile } = await build({
    absWorkingDir: here,
    entryPoints: { app: "src/app.ts" },
    bundle: true,
    // what only one page needs is loaded with it
    splitting: true,
    chunkNames: "[name]-[hash]",
    metafile: true,
    format: "esm",
    target: ["es2022"],
    charset: "utf8",
    minify: true,
    legalComments: "eof",
    sourcemap: false,
    outdir: out,
    logLevel: "warning",
  });
  for (const file of ["index.html", "icon.svg", "manifest.webmanifest"]) await cp(join(here, "static", file), join(out, file));
  const licence = await readFile(join(here, "node_modules/uplot/LICENSE"), "utf8");
  await writeFile(join(out, "licences.txt"), `The pages contain uPlot (https://github.com/leeoniya/uPlot):\n\n${licence}`);
  return metafile;
}

/** Bytes that a browser loads before the first page shows. */
async function first({ outputs }) {
  const wanted = new Set();
  const visit = (name) => {
    if (wanted.has(name)) return;
    wanted.add(name);
    for (const { path, kind } of outputs[name].imports) if (kind === "import-statement") visit(path);
  };
  const app = Object.keys(outputs).find((name) => name.endsWith("app.js"));
  visit(app);
  const styles = Object.keys(outputs).find((name) => name.endsWith("app.css"));
  let total = outputs[styles].bytes;
  for (const name of wanted) total += outputs[name].bytes;
  for (const file of ["index.html", "icon.svg", "manifest.webmanifest"])
    total += (await readFile(join(here, "static", file))).length;
  return total;
}

async function read(folder) {
  const files = new Map();
  for (const name of (await readdir(folder)).sort()) files.set(name, await readFile(join(folder, name)));
  return files;
}

const dist = join(here, "dist");
let built;
if (process.argv.includes("--check")) {
  const fresh = await mkdtemp(join(tmpdir(), "peer-observer-web-"));
  try {
    built = await make(fresh);
    const [want, have] = [await read(fresh), await read(dist)];
    const names = new Set([...want.keys(), ...have.keys()]);
    const stale = [...names].filter((name) => !want.get(name)?.equals(have.get(name) ?? Buffer.from("\0")));
    if (stale.length > 0) {
      console.error(`web/dist does not match its source: ${stale.join(", ")}; run ./x web`);
      process.exitCode = 1;
    }
  } finally {
    await rm(fresh, { recursive: true });
  }
} else {
  await rm(dist, { recursive: true, force: true });
  built = await make(dist);
}
const total = await first(built);
console.log(`the first page: ${total} bytes of ${BUDGET}`);
if (total > BUDGET) process.exitCode = 1;
