import assert from "node:assert/strict";
import { test } from "node:test";
import type { Said } from "../src/api.ts";
import type { Kind } from "../src/schema.ts";
import { sequence } from "../src/sequence.ts";

/** `> ping 0` is a ping to the peer at 0 ms; `< pong 3` the answer 3 ms after the beginning. */
function check(conversation: string, want: string): void {
  const lines = (text: string) =>
    text
      .trim()
      .split("\n")
      .map((line) => line.trim());
  const said = lines(conversation).map((line): Said => {
    const [arrow, kind, at] = line.split(" ");
    return {
      time: String(1_795_345_096_000_000_000n + BigInt(at ?? 0) * 1_000_000n),
      kind: `net.${kind ?? ""}` as Kind,
      direction: arrow === "<" ? "inbound" : "outbound",
    };
  });
  const steps = sequence(said).map(({ kind, gap, reply }) =>
    [kind.slice(4), gap === undefined ? "" : `gap=${Math.round(gap)}`, reply === undefined ? "" : `reply=${Math.round(reply)}`]
      .filter(Boolean)
      .join(" "),
  );
  assert.deepEqual(steps, lines(want));
}

test("a pong answers the oldest open ping, once", () => {
  check(
    `> ping 0
     > ping 10
     < pong 30
     < pong 40
     < pong 50`,
    `ping
     ping
     pong reply=30
     pong reply=30
     pong`,
  );
});

test("only the other side can answer", () => {
  check(
    `> ping 0
     > pong 3`,
    `ping
     pong`,
  );
});

test("one getdata is answered by many, a later one counts from then on", () => {
  check(
    `< inv 0
     > getdata 5
     < tx 20
     < tx 30
     > getdata 40
     < notfound 41`,
    `inv
     getdata reply=5
     tx reply=15
     tx reply=25
     getdata reply=40
     notfound reply=1`,
  );
});

test("silences are marked from half a second on", () => {
  check(
    `< inv 0
     < inv 499
     < inv 999`,
    `inv
     inv
     inv gap=500`,
  );
});
