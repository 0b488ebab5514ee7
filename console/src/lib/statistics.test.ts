import assert from "node:assert/strict";
import { test } from "node:test";
import { itlOf, nearestRank, type Sample, summarize, totals, tpotOf, ttftOf } from "./statistics.ts";

function sample(tokenMs: number[], more: Partial<Sample> = {}): Sample {
  return {
    ok: true, error: "", tokenMs, e2eMs: tokenMs.at(-1) ?? 0, outputTokens: tokenMs.length, promptTokens: 10, cachedTokens: 0,
    counted: true, server: null, ...more,
  };
}

test("one request", () => {
  const one = sample([100, 110, 130]);
  assert.equal(ttftOf(one), 100);
  assert.equal(tpotOf(one), 15);
  assert.deepEqual(itlOf(one), [10, 20]);
  assert.ok(Number.isNaN(tpotOf(sample([100]))), "one token has no time per further token");
  assert.ok(Number.isNaN(ttftOf(sample([]))));
});

test("percentiles are measured values", () => {
  const values = [5, 1, 4, 2, 3];
  assert.deepEqual(summarize(values), { mean: 3, p50: 3, p90: 5, p99: 5, max: 5 });
  assert.equal(nearestRank([1, 2, 3, 4], 50), 2);
  assert.ok(Number.isNaN(summarize([]).mean));
});

test("a run: what failed counts as failed and in nothing else", () => {
  const run = totals([sample([100, 120]), sample([200, 240]), sample([], { ok: false, outputTokens: 9 })], 500);
  assert.equal(run.ok, 2);
  assert.equal(run.failed, 1);
  assert.equal(run.outputTokens, 4);
  assert.equal(run.throughput, 8);
  assert.equal(run.ttft.mean, 150);
  assert.equal(run.tpot.max, 40);
});
