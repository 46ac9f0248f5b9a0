import assert from "node:assert/strict";
import { test } from "node:test";
import * as format from "../src/format.ts";

/** What each value reads as. */
function check<T>(show: (value: T) => string, ...cases: [T, string][]): void {
  for (const [value, want] of cases) assert.equal(show(value), want, `of ${String(value)}`);
}

test("numbers keep three digits and their unit", () => {
  check(
    format.short,
    [0, "0"],
    [999, "999"],
    [999.9, "1.00 k"],
    [1000, "1 k"],
    [12_345, "12.3 k"],
    ["4560000", "4.56 M"],
    [null, "–"],
    ["", "–"],
  );
  check(format.bytes, [82, "82 B"], [1234, "1.23 kB"], ["300000000", "300 MB"], [undefined, "–"]);
  check(format.whole, [12345, "12,345"], ["18446744073709551615", "18,446,744,073,709,552,000"], [undefined, "–"]);
  check(format.perSecond, [0, "0/s"], [0.001, "<0.01/s"], [66.9, "66.9/s"], [null, "–"]);
  check(format.percent, [0.5, "50 %"], [0.8333, "83.3 %"], [Number.NaN, "–"]);
});

test("durations take the unit that fits", () => {
  check(
    format.duration,
    [0, "0 ns"],
    [502_000, "502 µs"],
    ["1447781", "1.45 ms"],
    [59.994e9, "60.0 s"],
    [59.999e9, "1 min"],
    [250e9, "4 min 10 s"],
    [7_500e9, "2 h 5 min"],
    [273_600e9, "3 d 4 h"],
    [-5e6, "−5 ms"],
    [undefined, "–"],
  );
});

test("times say their zone and lose no digit", () => {
  const time = "1795345101528701329";
  format.useZone("utc");
  assert.equal(format.clock(time, 0), "10:58:21");
  assert.equal(format.clock(time), "10:58:21.528");
  assert.equal(format.clock(time, 6), "10:58:21.528701");
  assert.equal(format.moment(time), "2026-11-22 10:58:21 UTC");
  assert.equal(format.rfc3339(time), "2026-11-22T10:58:21.528Z");
  assert.equal(format.parseMoment("2026-11-22T10:58:21.528Z"), "1795345101528000000");
  assert.equal(format.parseMoment("yesterday"), undefined);
  assert.equal(format.clock(undefined), "–");
  assert.equal(format.between(time, "1795345101530701329"), "2 ms");
});

test("fees, hashes and words", () => {
  check(format.feeRate, ["100", "0.10 sat/vB"], [9_936_506, "9937 sat/vB"], [undefined, "–"]);
  const hash = "0ceeb5bb78607ed26506c5e60b1526cd07f4322d64b2e6c39635394e6e982541";
  assert.equal(format.hash(hash), "0ceeb5bb7860…");
  assert.equal(format.hash(hash, "block"), "…394e6e982541");
  check(format.words, ["outbound_full_relay", "outbound full relay"], ["", "–"]);
  assert.equal(format.plural(1, "peer"), "1 peer");
  assert.equal(format.plural(1200, "entry", "entries"), "1,200 entries");
});
