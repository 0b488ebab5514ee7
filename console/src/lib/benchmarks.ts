// Benchmarks: what a form asks for, runs of one or several side by side, and the file that they can be taken away as. Pure.
import type { Benchmark, BenchmarkCreate, BenchmarkRun } from "../api/types.ts";
import { cell } from "./comparison.ts";

export const SIDE_BY_SIDE_MOST = 6;
export const PERCENTILES = ["p50", "p90", "p99", "mean", "max"] as const;
export type Percentile = (typeof PERCENTILES)[number];

export function isOver(benchmark: Benchmark): boolean {
  return benchmark.state !== "queued" && benchmark.state !== "running";
}

/** A target of a benchmark with its runs. */
export interface Line {
  /** Names it among all that are shown. */
  label: string;
  benchmark: Benchmark;
  target: Benchmark["targets"][number];
  runs: BenchmarkRun[];
}

/** The targets of all, in their order. Where two of one name meet, the benchmark's name goes with it; where that does not tell them apart either, its id. */
export function linesOf(benchmarks: readonly Benchmark[]): Line[] {
  const lines = benchmarks.flatMap((benchmark) =>
    benchmark.targets.map((target) => ({ label: target.name, benchmark, target, runs: benchmark.runs.filter((run) => run.target === target.name) })),
  );
  const twice = (label: string) => lines.filter((line) => line.label === label).length > 1;
  for (const name of [(line: Line) => `${line.target.name} · ${line.benchmark.name}`, (line: Line) => `${line.target.name} · ${line.benchmark.id.slice(-4)}`]) {
    const unclear = lines.filter((line) => twice(line.label));
    const labels = unclear.map(name);
    unclear.forEach((line, i) => {
      line.label = labels[i] ?? line.label;
    });
  }
  return lines;
}

/** All numbers of requests at once that any run has, the smallest first. */
export function concurrenciesOf(lines: readonly Line[]): number[] {
  return [...new Set(lines.flatMap((line) => line.runs.map((run) => run.concurrency)))].sort((a, b) => a - b);
}

export interface Series {
  name: string;
  /** One for each concurrency; NaN: not measured. */
  values: number[];
}

export function seriesOf(lines: readonly Line[], figure: (run: BenchmarkRun) => number): Series[] {
  const at = concurrenciesOf(lines);
  return lines.map((line) => ({
    name: line.label,
    values: at.map((concurrency) => {
      const run = line.runs.find((one) => one.concurrency === concurrency);
      return run && run.requests_ok > 0 ? figure(run) : Number.NaN;
    }),
  }));
}

/** The line whose figure is best at a concurrency; undefined where there is nothing to compare. */
export function bestAt(lines: readonly Line[], concurrency: number, figure: (run: BenchmarkRun) => number, most: boolean): Line | undefined {
  const measured = lines.flatMap((line) => {
    const run = line.runs.find((one) => one.concurrency === concurrency);
    return run && run.requests_ok > 0 ? [{ line, value: figure(run) }] : [];
  });
  if (measured.length < 2) return undefined;
  return measured.reduce((best, one) => ((most ? one.value > best.value : one.value < best.value) ? one : best)).line;
}

/** Steps of an axis that a person reads: 0, 50, 100, 150. */
export function ticks(most: number, count = 4): number[] {
  if (!(most > 0)) return [0, 1];
  const rough = most / count;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * size).find((one) => one >= rough) ?? rough;
  return Array.from({ length: Math.ceil(most / step - 1e-9) + 1 }, (_, i) => i * step);
}

const TIMES = ["ttft_ms", "tpot_ms", "itl_ms", "e2e_ms"] as const;

/** One line a run. */
export function toCsv(benchmarks: readonly Benchmark[]): string {
  const head = [
    "benchmark", "name", "created_at", "kind", "target", "backend", "devices", "cards", "concurrency", "requests_ok", "requests_failed", "prompt_tokens",
    "cached_tokens", "output_tokens", "wall_s", "throughput_tok_s", ...TIMES.flatMap((time) => PERCENTILES.map((percentile) => `${time.replace("_ms", "")}_${percentile}_ms`)), "error",
  ];
  const rows = linesOf(benchmarks).flatMap(({ benchmark, target, runs }) =>
    runs.map((run) => [
      benchmark.id, benchmark.name, benchmark.created_at, benchmark.kind, target.name, target.backend, target.devices, target.cards, run.concurrency, run.requests_ok,
      run.requests_failed, run.prompt_tokens, run.cached_tokens, run.output_tokens, run.wall_s, run.throughput_tok_s,
      ...TIMES.flatMap((time) => PERCENTILES.map((percentile) => run[time][percentile])), target.error,
    ]),
  );
  return `${[head, ...rows.map((row) => row.map(cell))].map((row) => row.join(",")).join("\r\n")}\r\n`;
}

export interface Outside {
  name: string;
  url: string;
  model: string;
  key: string;
}
export interface Form {
  name: string;
  kind: "load" | "compare";
  deployments: string[];
  outside: Outside[];
  concurrencies: string;
  promptTokens: string;
  outputTokens: string;
  sharedPrefix: string;
  by: "number" | "time";
  requests: string;
  seconds: string;
  rounds: string;
  temperature: string;
  ignoreEos: boolean;
  seed: string;
}
/** The field report's experiment: one request, then six at once. */
export const EMPTY: Form = {
  name: "", kind: "load", deployments: [], outside: [], concurrencies: "1, 6", promptTokens: "300", outputTokens: "64", sharedPrefix: "", by: "number", requests: "", seconds: "30",
  rounds: "1", temperature: "0.7", ignoreEos: false, seed: "",
};

export function concurrenciesIn(text: string): number[] {
  return text.split(/[\s,;，；]+/).filter(Boolean).map(Number);
}

function number(text: string): number | undefined {
  return text.trim() === "" ? undefined : Number(text);
}

/** What is empty is left to the server's own choice. */
export function bodyOf(form: Form): Partial<BenchmarkCreate> {
  const load = form.kind === "load";
  const fields = {
    name: form.name.trim() || undefined,
    prompt_tokens: load ? number(form.promptTokens) : undefined,
    shared_prefix_tokens: load ? number(form.sharedPrefix) : undefined,
    requests: load && form.by === "number" ? number(form.requests) : undefined,
    duration_seconds: load && form.by === "time" ? number(form.seconds) : undefined,
    rounds: load ? undefined : number(form.rounds),
    output_tokens: number(form.outputTokens),
    temperature: number(form.temperature),
    seed: number(form.seed),
  };
  return {
    kind: form.kind,
    targets: [
      ...form.deployments.map((deployment) => ({ deployment })),
      ...form.outside.map((one) => ({ url: one.url.trim(), model: one.model.trim(), ...(one.name.trim() ? { name: one.name.trim() } : {}), ...(one.key ? { api_key: one.key } : {}) })),
    ],
    concurrencies: concurrenciesIn(form.concurrencies),
    ignore_eos: form.ignoreEos,
    ...Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)),
  };
}

/** The form that asks for the same again; of outside targets the key is to be given anew. */
export function formOf(benchmark: Benchmark): Form {
  const text = (value: number | null) => (value === null ? "" : String(value));
  return {
    ...EMPTY,
    kind: benchmark.kind,
    deployments: benchmark.targets.flatMap((target) => (target.deployment === null ? [] : [target.deployment])),
    outside: benchmark.targets.flatMap((target) => (target.url === null ? [] : [{ name: target.name, url: target.url, model: target.model, key: "" }])),
    concurrencies: benchmark.concurrencies.join(", "),
    promptTokens: text(benchmark.prompt_tokens) || EMPTY.promptTokens,
    outputTokens: String(benchmark.output_tokens),
    sharedPrefix: benchmark.shared_prefix_tokens ? String(benchmark.shared_prefix_tokens) : "",
    by: benchmark.duration_seconds === null ? "number" : "time",
    requests: text(benchmark.requests),
    seconds: text(benchmark.duration_seconds) || EMPTY.seconds,
    rounds: text(benchmark.rounds) || EMPTY.rounds,
    temperature: String(benchmark.temperature),
    ignoreEos: benchmark.ignore_eos,
  };
}

/** What it comes to: runs, and requests, or seconds where it goes by time. NaN: something in it is no number. */
export function planOf(form: Form): { runs: number; requests: number; seconds: number } {
  const counts = concurrenciesIn(form.concurrencies);
  const targets = form.deployments.length + form.outside.length;
  const runs = counts.length * targets;
  if (form.kind === "load" && form.by === "time") return { runs, requests: 0, seconds: runs * Number(form.seconds) };
  const each = (count: number) => (form.kind === "compare" ? count * Number(form.rounds || "1") : form.requests.trim() ? Number(form.requests) : count * 4);
  return { runs, requests: targets * counts.reduce((sum, count) => sum + each(count), 0), seconds: 0 };
}
