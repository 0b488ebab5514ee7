import assert from "node:assert/strict";
import { test } from "node:test";
import type { UsageSummary } from "../api/types.ts";
import { grouped, sumOf } from "./usage.ts";

const row = (model: string, more: Partial<UsageSummary>) =>
  ({ model, requests: 1, failed: 0, prompt_tokens: 0, completion_tokens: 0, cached_tokens: 0, audio_ms: 0, images: 0, ttft_ms_sum: 0, ttft_count: 0, ...more }) as UsageSummary;

test("recordings and images are summed like tokens", () => {
  const rows = [row("ears", { audio_ms: 11_000 }), row("ears", { audio_ms: 500, requests: 2 }), row("brush", { images: 3 })];
  const { requests, audioMs, images } = sumOf(rows);
  assert.deepEqual({ requests, audioMs, images }, { requests: 4, audioMs: 11_500, images: 3 });
  assert.deepEqual(grouped(rows, (one) => one.model ?? "").map(({ name, used }) => [name, used.audioMs, used.images]), [["ears", 11_500, 0], ["brush", 0, 3]]);
  assert.equal(sumOf([]).audioMs, 0);
});
