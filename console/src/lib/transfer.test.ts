import assert from "node:assert/strict";
import { test } from "node:test";
import { transferOf, transferOfInstance } from "./transfer.ts";

test("what an instance's reason says of its download", () => {
  const found = transferOfInstance({ state: "downloading", reason: "downloading 120.0 MB of 1.49 GB, 35.2 MB/s, 38 s left" });
  assert.deepEqual(found && [found.done, found.total, found.perSecond, Math.round(found.secondsLeft)], [120e6, 1.49e9, 35.2e6, 39]);
  const begins = transferOfInstance({ state: "downloading", reason: "downloading 0 kB of 98.9 MB" });
  assert.ok(begins && begins.done === 0 && Number.isNaN(begins.secondsLeft));
  assert.equal(transferOfInstance({ state: "downloading", reason: "asks the hub for its files" }), undefined);
  assert.equal(transferOfInstance({ state: "error", reason: "downloading 1 kB of 2 kB" }), undefined);
});

test("model files", () => {
  assert.equal(transferOf({ bytes: 100, bytes_done: 40, bytes_per_second: 20 }).secondsLeft, 3);
  assert.ok(Number.isNaN(transferOf({ bytes: 0, bytes_done: 0, bytes_per_second: 0 }).secondsLeft));
});
