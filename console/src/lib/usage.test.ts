import assert from "node:assert/strict";
import { test } from "node:test";
import type { UsageSummary } from "../api/types.ts";
import { grouped, steps, sumOf } from "./usage.ts";

const HOUR = 3_600_000;
const row = (more: Partial<UsageSummary>): UsageSummary => ({
  bucket: null, user_id: null, user_name: null, key_id: null, key_name: null, model: "m", instance_id: null, operation: null, requests: 1, failed: 0, aborted: 0, estimated: 0,
  prompt_tokens: 10, cached_tokens: 0, completion_tokens: 100, reasoning_tokens: 0, audio_ms: 0, images: 0, ttft_ms_sum: 0, ttft_count: 0, duration_ms_sum: 2000, ...more,
});

test("tokens a second are of the answers that wrote some", () => {
  assert.equal(sumOf([row({}), row({ completion_tokens: 50, duration_ms_sum: 1000 })]).tokensPerSecond, 50);
  assert.equal(sumOf([row({}), row({ model: "vectors", completion_tokens: 0, duration_ms_sum: 60_000 })]).tokensPerSecond, 50, "embeddings write none");
  assert.ok(Number.isNaN(sumOf([]).tokensPerSecond));
  assert.ok(Number.isNaN(sumOf([row({ completion_tokens: 0 })]).tokensPerSecond));
});

test("means are over those that have one, groups by tokens, hours without any are zero", () => {
  const all = [row({ ttft_ms_sum: 300, ttft_count: 2 }), row({ model: "n", ttft_ms_sum: 600, ttft_count: 1, prompt_tokens: 1000 })];
  assert.equal(sumOf(all).ttftMs, 300);
  assert.deepEqual(grouped(all, (one) => one.model ?? "").map((group) => group.name), ["n", "m"]);
  const { at, used } = steps([row({ bucket: new Date(2 * HOUR).toISOString() })], HOUR, 3 * HOUR, HOUR);
  assert.deepEqual(at, [HOUR, 2 * HOUR, 3 * HOUR]);
  assert.deepEqual(used.map((one) => one.completionTokens), [0, 100, 0]);
});

test("recordings and images are summed like tokens", () => {
  const rows = [row({ model: "ears", audio_ms: 11_000 }), row({ model: "ears", audio_ms: 500, requests: 2 }), row({ model: "brush", images: 3 })];
  const { requests, audioMs, images } = sumOf(rows);
  assert.deepEqual({ requests, audioMs, images }, { requests: 4, audioMs: 11_500, images: 3 });
  assert.deepEqual(grouped(rows, (one) => one.model ?? "").map(({ name, used }) => [name, used.audioMs, used.images]), [["ears", 11_500, 0], ["brush", 0, 3]]);
  assert.equal(sumOf([]).audioMs, 0);
});
