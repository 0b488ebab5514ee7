import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, digits, duration, parameters, relative, short, span, whole } from "./format.ts";

test("sizes are binary, with three digits that count", () => {
  assert.equal(bytes(0), "0 B");
  assert.equal(bytes(1023), "1023 B");
  assert.equal(bytes(1024), "1.00 KiB");
  assert.equal(bytes(460612672), "439 MiB");
  assert.equal(bytes(25276502016), "23.5 GiB");
  assert.equal(bytes(1024 ** 2 - 1), "1.00 MiB", "no 1024 KiB");
});

test("digits that count", () => {
  assert.equal(digits(7.154, 3), "7.15");
  assert.equal(digits(71.54, 3), "71.5");
  assert.equal(digits(715.4, 3), "715");
  assert.equal(digits(7154, 3), "7154");
  assert.equal(digits(0.0412, 3), "0.04");
  assert.equal(digits(Number.NaN, 3), "–");
});

test("other numbers", () => {
  assert.equal(duration(220.7), "221 ms");
  assert.equal(duration(12_340), "12.3 s");
  assert.equal(parameters(134515008), "135 M");
  assert.equal(parameters(7e9), "7 B");
  assert.equal(parameters(7.6e9), "7.6 B");
  assert.equal(short(1_234_567), "1.23 M");
  assert.equal(short(999), "999");
  assert.equal(whole(12345, "en"), "12,345");
});

test("how long it still takes", () => {
  assert.equal(span(9.2), "10 s");
  assert.equal(span(119.5), "2 min");
  assert.equal(span(3_600 * 3 + 61), "3 h 2 min");
});

test("how long ago", () => {
  const now = Date.parse("2026-11-27T03:00:00Z");
  assert.equal(relative("2026-11-27T02:57:00Z", now, "en"), "3 minutes ago");
  assert.equal(relative("2026-11-27T02:57:00Z", now, "zh"), "3分钟前");
  assert.equal(relative("2026-11-29T03:00:00Z", now, "en"), "in 2 days");
});
