import assert from "node:assert/strict";
import { test } from "node:test";
import type { Benchmark, BenchmarkRun } from "../api/types.ts";
import { bestAt, bodyOf, concurrenciesIn, concurrenciesOf, EMPTY, formOf, linesOf, planOf, seriesOf, ticks, toCsv } from "./benchmarks.ts";

const times = (value: number) => ({ mean: value, p50: value, p90: value * 2, p99: value * 3, max: value * 4 });

function run(target: string, concurrency: number, throughput: number, more: Partial<BenchmarkRun> = {}): BenchmarkRun {
  return {
    target, concurrency, prompt_tokens: 300, output_tokens: 64, cached_tokens: 0, wall_s: 1, throughput_tok_s: throughput, client_cpu_s: 0.1, requests_ok: 4, requests_failed: 0,
    counted_from: "usage", ttft_ms: times(100 / throughput), tpot_ms: times(10), itl_ms: times(10), e2e_ms: times(500), ...more,
  };
}

function benchmark(id: string, name: string, targets: string[], runs: BenchmarkRun[]): Benchmark {
  return {
    id, name, user_id: "usr_1", user_name: "ann", kind: "load", concurrencies: [1, 6], prompt_tokens: 300, shared_prefix_tokens: 0, requests: null, duration_seconds: null, rounds: null,
    output_tokens: 64, temperature: 0.7, ignore_eos: false, seed: 5, state: "done", reason: "", before_it: null,
    progress: { fraction: 1, requests_done: 8, requests_failed: 0, requests_total: 8, output_tokens: 512, target: null, concurrency: null },
    created_at: "2026-11-27T00:00:00Z", started_at: null, finished_at: null, runs,
    targets: targets.map((target) => ({ name: target, deployment: target, url: null, model: target, has_api_key: false, backend: "engine", devices: "a cpu", cards: 0, version: "", flags: "", error: "" })),
  };
}

test("targets of several benchmarks can be told apart", () => {
  const labels = (benchmarks: Benchmark[]) => linesOf(benchmarks).map((line) => line.label);
  const first = benchmark("bmk_aaaa", "one card", ["qwen", "other"], []);
  assert.deepEqual(labels([first]), ["qwen", "other"]);
  assert.deepEqual(labels([first, benchmark("bmk_bbbb", "two cards", ["qwen"], [])]), ["qwen · one card", "other", "qwen · two cards"]);
  assert.deepEqual(labels([first, benchmark("bmk_bbbb", "one card", ["qwen"], [])]), ["qwen · aaaa", "other", "qwen · bbbb"]);
});

test("series have a place for each concurrency", () => {
  const lines = linesOf([benchmark("a", "x", ["q", "r"], [run("q", 6, 50), run("q", 1, 20), run("r", 1, 30), run("r", 2, 0, { requests_ok: 0, requests_failed: 4 })])]);
  assert.deepEqual(concurrenciesOf(lines), [1, 2, 6]);
  assert.deepEqual(seriesOf(lines, (one) => one.throughput_tok_s), [{ name: "q", values: [20, Number.NaN, 50] }, { name: "r", values: [30, Number.NaN, Number.NaN] }]);
  assert.equal(bestAt(lines, 1, (one) => one.throughput_tok_s, true)?.label, "r");
  assert.equal(bestAt(lines, 1, (one) => one.ttft_ms.p50, false)?.label, "r");
  assert.equal(bestAt(lines, 6, (one) => one.throughput_tok_s, true), undefined, "one alone is not the best");
});

test("an axis has round steps and ends beyond the most", () => {
  assert.deepEqual(ticks(180), [0, 50, 100, 150, 200]);
  assert.deepEqual(ticks(4), [0, 1, 2, 3, 4]);
  assert.deepEqual(ticks(0), [0, 1]);
  for (const most of [0.03, 7, 99, 1234, 1e6]) assert.ok((ticks(most).at(-1) ?? 0) >= most && ticks(most).length <= 6, String(most));
});

test("a file for spreadsheets has a line a run and no formulas", () => {
  const csv = toCsv([benchmark("bmk_1", "=cmd()", ["q"], [run("q", 1, 20), run("q", 6, 50)])]);
  const lines = csv.trimEnd().split("\r\n");
  assert.equal(lines.length, 3);
  assert.equal(lines[0]?.split(",").length, lines[1]?.split(",").length);
  assert.ok(lines[1]?.startsWith("bmk_1,'=cmd(),"));
  assert.ok(lines[0]?.includes("ttft_p99_ms"));
});

test("a form becomes what the server takes, and back", () => {
  assert.deepEqual(bodyOf({ ...EMPTY, deployments: ["q"] }), {
    kind: "load", targets: [{ deployment: "q" }], concurrencies: [1, 6], ignore_eos: false, prompt_tokens: 300, output_tokens: 64, temperature: 0.7,
  });
  const outside = { name: "", url: " http://x/v1 ", model: "m", key: "k" };
  assert.deepEqual(bodyOf({ ...EMPTY, kind: "compare", outside: [outside], rounds: "3", name: " evening " }), {
    kind: "compare", targets: [{ url: "http://x/v1", model: "m", api_key: "k" }], concurrencies: [1, 6], ignore_eos: false, name: "evening", rounds: 3, output_tokens: 64, temperature: 0.7,
  });
  assert.equal(bodyOf({ ...EMPTY, by: "time", requests: "9" }).duration_seconds, 30);
  assert.equal(bodyOf({ ...EMPTY, by: "time", requests: "9" }).requests, undefined);
  const form = { ...EMPTY, deployments: ["q"], sharedPrefix: "100", requests: "9" };
  const sent = bodyOf(form);
  assert.deepEqual(formOf({ ...benchmark("b", "n", ["q"], []), shared_prefix_tokens: sent.shared_prefix_tokens ?? 0, requests: sent.requests ?? null }), form);
});

test("a form says what it comes to", () => {
  assert.deepEqual(concurrenciesIn("1, 6，8"), [1, 6, 8]);
  assert.deepEqual(planOf({ ...EMPTY, deployments: ["a", "b"] }), { runs: 4, requests: 56, seconds: 0 });
  assert.deepEqual(planOf({ ...EMPTY, deployments: ["a"], kind: "compare", rounds: "2" }), { runs: 2, requests: 14, seconds: 0 });
  assert.deepEqual(planOf({ ...EMPTY, deployments: ["a"], by: "time", seconds: "60" }), { runs: 2, requests: 0, seconds: 120 });
});
