import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { inline, parse, type Block, type Inline } from "../src/markdown.ts";

declare const WEB: string;

/** As one line: what an element would be, with its content. */
function line(piece: Inline): string {
  if ("text" in piece) return piece.kind === "text" ? piece.text : `{${piece.text}}`;
  const inner = piece.inner.map(line).join("");
  if (piece.kind === "link") return `<${inner} -> ${piece.to}>`;
  return piece.kind === "strong" ? `<b ${inner}>` : `<i ${inner}>`;
}

function tell(block: Block): string {
  if (block.kind === "code") return `code(${JSON.stringify(block.text)})`;
  if (block.kind === "list") {
    const items = block.items.map((item) => `[${item.map(tell).join(" ")}]`).join("");
    return `${block.start === undefined ? "points" : `from ${block.start}`}${items}`;
  }
  const text = block.inner.map(line).join("");
  return block.kind === "heading" ? `h${block.level}(${text})` : `p(${text})`;
}

const blocks = (text: string) => parse(text).map(tell).join(" ");
const words = (text: string) => inline(text).map(line).join("");

test("paragraphs, headings and code", () => {
  assert.equal(blocks(""), "");
  assert.equal(blocks("one\ntwo\n\n\nthree\r\nfour"), "p(one two) p(three four)");
  assert.equal(blocks("# What\nit is\n## *So* ##\n#no"), "h1(What) p(it is) h2(<i So>) p(#no)");
  assert.equal(blocks("before\n```sh\nls  *\n\n# no heading\n```\nafter"), 'p(before) code("ls  *\\n\\n# no heading") p(after)');
  assert.equal(blocks("# a #b\n# a # #\t\n# ##\n# a#"), "h1(a #b) h1(a #) h1(##) h1(a#)");
  assert.equal(blocks("~~~\nto the end"), 'code("to the end")');
});

test("lists, in each other, and lines that were broken", () => {
  assert.equal(
    blocks("1. Look at it,\n   closely.\n2. Tell `D09`\nof it.\n"),
    "from 1[p(Look at it, closely.)][p(Tell {D09} of it.)]",
  );
  assert.equal(blocks("- a\n- b\n\n  more of b\n  1. c\n  2. d\n- e"), "points[p(a)][p(b) p(more of b) from 1[p(c)][p(d)]][p(e)]");
  assert.equal(blocks("- a\n\n- b\n\nafter"), "points[p(a)][p(b)] p(after)");
  assert.equal(blocks("3) c\n4) d"), "from 3[p(c)][p(d)]");
  assert.equal(blocks("- a\n1. b"), "points[p(a)] from 1[p(b)]");
  assert.equal(blocks("It was in May\n2023. And\n* a point"), "p(It was in May 2023. And) points[p(a point)]");
  assert.equal(blocks("1. Run this:\n\n   ```\n   ls\n   ```"), 'from 1[p(Run this:) code("ls")]');
  assert.equal(blocks("No page says what to do: 1. is no step here."), "p(No page says what to do: 1. is no step here.)");
});

test("emphasis and code, and what only looks like it", () => {
  assert.equal(words("*In circles*: **do** you, __or__ _not_?"), "<i In circles>: <b do> you, <b or> <i not>?");
  assert.equal(words("**all *of* it**, *and **this** too*"), "<b all <i of> it>, <i and <b this> too>");
  assert.equal(words("2 * 3 * 4, a_b_c, `of_one_network`, *open, **open"), "2 * 3 * 4, a_b_c, {of_one_network}, *open, **open");
  assert.equal(words("``a ` b`` and ` `` ` and `open"), "{a ` b} and {``} and `open");
  assert.equal(words("`  a  ` ` b` `  ` ` `"), "{ a } { b} {  } { }");
  assert.equal(words("*a `*` b*"), "<i a {*} b>");
  assert.equal(words("\\*no\\* \\` C:\\dir"), "*no* ` C:\\dir");
});

test("links lead to the web and nowhere else", () => {
  assert.equal(words("see [a *page*](https://example.org/x)."), "see <a <i page> -> https://example.org/x>.");
  assert.equal(
    words("<https://example.org/a_b> https://example.org/c_d, (https://example.org/)"),
    "<https://example.org/a_b -> https://example.org/a_b> <https://example.org/c_d -> https://example.org/c_d>, (<https://example.org/ -> https://example.org/>)",
  );
  assert.equal(words("[the manual](docs/connect.md)"), "the manual (docs/connect.md)");
  for (const target of [
    "javascript:alert(1)",
    "javascript:alert",
    "data:text/html,x",
    "JAVASCRIPT:x",
    "//evil.example",
    "https://user:pw@evil.example/",
  ])
    assert.doesNotMatch(words(`[x](${target})`), /->/, target);
  assert.equal(words('<img src=x onerror="x"><script>x</script>'), '<img src=x onerror="x"><script>x</script>');
});

/** Everything that is said, without what it is set with. */
function letters(text: string): string {
  return text.replace(/[^\p{L}\p{N}]/gu, "");
}

function said(blocks: readonly Block[]): string {
  const inner = (piece: Inline): string => ("text" in piece ? piece.text : piece.inner.map(inner).join(""));
  return blocks
    .map((block) => {
      if (block.kind === "code") return block.text;
      return block.kind === "list" ? block.items.map(said).join("") : block.inner.map(inner).join("");
    })
    .join("");
}

test("every page of a detector is understood, and no word of it is lost", () => {
  const folder = join(WEB, "../detectors");
  const pages = readdirSync(folder).filter((name) => existsSync(join(folder, name, "doc.md")));
  assert.ok(pages.length >= 20);
  for (const name of pages) {
    const page = readFileSync(join(folder, name, "doc.md"), "utf8");
    const parsed = parse(page);
    const text = said(parsed);
    assert.deepEqual([parsed[0]?.kind, parsed.some(({ kind }) => kind === "list")], ["heading", true], name);
    // numbers of items are the list's
    assert.equal(letters(text), letters(page.replace(/^\d\. /gm, "")), name);
    assert.doesNotMatch(text, /\*\*|`/, name);
  }
});

test("no text takes long, or is too deep", () => {
  const parts = [
    "*",
    "**",
    "_",
    "`",
    "``",
    "[",
    "](",
    ")",
    "- ",
    "1. ",
    "  ",
    "\n",
    "\n\n",
    "a",
    "\\",
    "<",
    "https://a",
    "# ",
    "```",
  ];
  let seed = 1;
  const next = () => (seed = (seed * 48_271) % 2_147_483_647);
  for (let round = 0; round < 300; round += 1) {
    const text = Array.from({ length: next() % 60 }, () => parts[next() % parts.length]).join("");
    assert.ok(Array.isArray(parse(text)), text);
  }
  const repeated = [...parts, "*a ", "**a *", "[a", "`` ` ", "  - a\n"].map((part) => part.repeat(20_000 / part.length));
  // what looks like an end until the last letter, from each of its places
  const ends = [`# a${" ".repeat(16_380)}x`, `\` ${"a".repeat(16_378)}x\``, `\` ${" ".repeat(16_378)}x\``];
  const took = (text: string) => {
    const begin = performance.now();
    parse(text.slice(0, 16_384));
    return performance.now() - begin;
  };
  for (const text of repeated) assert.ok(took(text) < 2_000, JSON.stringify(text.slice(0, 20)));
  // the best of some, so that a busy machine is not to blame: a few milliseconds where each letter is looked at once, hundreds where not
  for (const text of ends) assert.ok(Math.min(took(text), took(text), took(text)) < 100, JSON.stringify(text.slice(0, 20)));
  const long = "*a* ".repeat(5_000);
  assert.deepEqual(parse(long), [{ kind: "paragraph", inner: [{ kind: "text", text: long }] }]);
});
