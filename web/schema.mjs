// Writes src/schema.ts from ../proto: the event types as the one JSON form has them. `--check` compares instead.
//
// Reads the subset of proto3 that this schema uses. `tests/schema.test.ts` holds what the program says of its kinds against it.
import { readFile, readdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const proto = join(here, "../proto");

const camel = (name) => name.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase());
const snake = (name) => name.replace(/(?<=[a-z0-9])(?=[A-Z])/g, "_").toUpperCase();
// 64-bit integers are texts: a number of JavaScript's would lose digits
const SCALARS = {
  bool: "boolean",
  string: "string",
  bytes: "string",
  double: "number",
  float: "number",
  int32: "number",
  uint32: "number",
  sint32: "number",
  fixed32: "number",
  int64: "string",
  uint64: "string",
  sint64: "string",
  fixed64: "string",
};

/** Messages, enumerations and kinds of the schema, by reading its files line by line. */
function parse(text, schema) {
  let block;
  let doc = [];
  const statements = text.split("\n");
  for (let i = 0; i < statements.length; i += 1) {
    let line = statements[i].trim();
    if (line.startsWith("//")) {
      doc.push(line.slice(2).trim());
      continue;
    }
    // a statement may go on in the next line
    while (/^(optional|repeated)?\s*[\w.]+ \w+ = \d+ \[[^\]]*$/.test(line)) line += ` ${statements[(i += 1)].trim()}`;
    const opened = /^(message|enum) (\w+) \{(\})?/.exec(line);
    const field = /^(?:(optional|repeated) )?([\w.]+) (\w+) = (\d+)(?: \[(.*)\])?;/.exec(line);
    const value = /^(\w+) = (-?\d+)(?: \[.*\])?;/.exec(line);
    if (opened) {
      block = { name: opened[2], doc: doc.join(" "), entries: [] };
      (opened[1] === "message" ? schema.messages : schema.enums).set(block.name, block);
      if (opened[3]) block = undefined;
    } else if (line === "oneof kind {") {
      block = { name: "kind", entries: schema.kinds };
    } else if (line === "}") {
      block = undefined;
    } else if (field && block) {
      const [, label, type, name, , options = ""] = field;
      const json = /json_name = "([^"]*)"/.exec(options)?.[1] ?? camel(name);
      block.entries.push({ label, type, name, json, text: /TEXT_(\w+)/.exec(options)?.[1], doc: doc.join(" ") });
    } else if (value && block) {
      block.entries.push({ word: value[1], doc: doc.join(" ") });
    }
    doc = [];
  }
}

const schema = { messages: new Map(), enums: new Map(), kinds: [] };
for (const file of (await readdir(proto)).filter((name) => name.endsWith(".proto") && name !== "options.proto").sort()) {
  parse(await readFile(join(proto, file), "utf8"), schema);
}
schema.messages.delete("Event");

const lines = [
  "// Made from proto/ by `npm run schema`; do not edit. The one JSON form: 64-bit integers are texts, hashes hex in display order.",
  "",
  "/** Every kind of event, by its dotted name. */",
  "export const KINDS = [",
  ...schema.kinds.map(({ name }) => `  "${name.replace("_", ".")}",`),
  "] as const;",
  "",
  "export type Kind = (typeof KINDS)[number];",
  "",
  "/** The envelope of an event, and its body under the name of its kind. */",
  "export interface Event extends Partial<Bodies> {",
  "  node: string;",
  "  nodeRun?: string;",
  "  source: Source;",
  "  run: string;",
  "  sequence: string;",
  "  time: string;",
  "  timeText: string;",
  "  replay?: boolean;",
  "  kind: Kind;",
  "}",
  "",
  "export interface Bodies {",
  ...schema.kinds.map(({ type, json }) => `  ${json}: ${type};`),
  "}",
];
for (const { name, entries } of schema.enums.values()) {
  const prefix = `${snake(name)}_`;
  const words = entries.map(({ word }) => `"${(word.startsWith(prefix) ? word.slice(prefix.length) : word).toLowerCase()}"`);
  lines.push("", `export type ${name} =`, ...words.map((word, i) => `  | ${word}${i === words.length - 1 ? ";" : ""}`));
}
for (const { name, entries } of schema.messages.values()) {
  lines.push("", `export interface ${name} {`);
  for (const { label, type, json, text } of entries) {
    const known = SCALARS[type] ?? type;
    const absent = label === "optional" || (!SCALARS[type] && label !== "repeated");
    lines.push(`  ${json}${absent ? "?" : ""}: ${known}${label === "repeated" ? "[]" : ""};`);
    if (text?.startsWith("TIME") && label !== "repeated") lines.push(`  ${json}Text?: string;`);
  }
  lines.push("}");
  if (entries.length === 0) lines.splice(-2, 2, `export type ${name} = Record<string, never>;`);
}
const text = `${lines.join("\n")}\n`;
const target = join(here, "src/schema.ts");
if (process.argv.includes("--check")) {
  if ((await readFile(target, "utf8")) !== text) {
    console.error("web/src/schema.ts does not match proto/; run ./x web");
    process.exitCode = 1;
  }
} else {
  await writeFile(target, text);
}
