import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { KINDS } from "../src/schema.ts";

declare const WEB: string;

const known: readonly string[] = KINDS;

/** Every text in the sources that looks like a kind or a pattern of kinds. */
function used(): { file: string; kind: string }[] {
  const families = [...new Set(KINDS.map((kind) => kind.slice(0, kind.indexOf("."))))].join("|");
  const files = (readdirSync(join(WEB, "src"), { recursive: true }) as string[]).filter(
    (name) => name.endsWith(".ts") && name !== "schema.ts",
  );
  return files.flatMap((file) =>
    [
      ...readFileSync(join(WEB, "src", file), "utf8").matchAll(
        new RegExp(`["'\`,]((?:${families})\\.(?:[a-z][a-z0-9_]*|\\*))(?=["'\`,])`, "g"),
      ),
    ].map(([, kind]) => ({ file, kind: kind ?? "" })),
  );
}

test("every kind that the pages name is in the schema", () => {
  const all = used();
  assert.ok(all.length > 60, `only ${all.length} found: does the search still fit the sources?`);
  for (const { file, kind } of all) {
    const exists = kind.endsWith(".*")
      ? known.some((other) => other.startsWith(kind.slice(0, -1)))
      : known.includes(kind) || kind === "net.of_tomorrow";
    assert.ok(exists, `${file} names ${kind}, which is no kind of the schema`);
  }
});

test("the documentation of events has the same kinds", () => {
  const documented = [...readFileSync(join(WEB, "../docs/events.md"), "utf8").matchAll(/^### `([a-z_.0-9]+)` \(\d+\)/gm)].map(
    ([, kind]) => kind,
  );
  assert.deepEqual([...documented].sort(), [...known].sort());
});
