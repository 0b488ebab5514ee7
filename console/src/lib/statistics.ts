// What a comparison measures, by the definitions of `gantry compare` (src/bench/statistics.cc):
// TTFT: request sent to first token; TPOT: (end to end - TTFT) / (tokens - 1); ITL: gaps between tokens; throughput: tokens of all
// panels by the wall time of the run. Percentiles by nearest rank, so that each was really measured. Times in milliseconds.

export interface Sample {
  ok: boolean;
  error: string;
  /** When each token came, from the moment that the request was sent. */
  tokenMs: number[];
  e2eMs: number;
  outputTokens: number;
  promptTokens: number;
  cachedTokens: number;
  /** Whether outputTokens is the server's count, or that of the events. */
  counted: boolean;
  server: ServerSplit | null;
}
export interface ServerSplit {
  queueMs: number;
  prefillMs: number;
  decodeMs: number;
}
export interface Summary {
  mean: number;
  p50: number;
  p90: number;
  p99: number;
  max: number;
}

export function ttftOf(sample: Sample): number {
  return sample.tokenMs[0] ?? Number.NaN;
}

/** NaN: one token has no time for further ones. */
export function tpotOf(sample: Sample): number {
  if (sample.outputTokens < 2 || sample.tokenMs.length === 0) return Number.NaN;
  return (sample.e2eMs - ttftOf(sample)) / (sample.outputTokens - 1);
}

export function itlOf(sample: Sample): number[] {
  return sample.tokenMs.slice(1).map((at, i) => at - (sample.tokenMs[i] ?? at));
}

export function nearestRank(sorted: number[], p: number): number {
  const rank = Math.ceil((p / 100) * sorted.length);
  return sorted[Math.min(Math.max(rank, 1), sorted.length) - 1] ?? Number.NaN;
}

export function summarize(values: number[]): Summary {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  const mean = sorted.length === 0 ? Number.NaN : sorted.reduce((sum, one) => sum + one, 0) / sorted.length;
  return { mean, p50: nearestRank(sorted, 50), p90: nearestRank(sorted, 90), p99: nearestRank(sorted, 99), max: nearestRank(sorted, 100) };
}

export interface Totals {
  ttft: Summary;
  tpot: Summary;
  itl: Summary;
  e2e: Summary;
  outputTokens: number;
  promptTokens: number;
  cachedTokens: number;
  ok: number;
  failed: number;
  /** Tokens a second over `wallMs`. */
  throughput: number;
}

export function totals(samples: Sample[], wallMs: number): Totals {
  const good = samples.filter((sample) => sample.ok);
  const sum = (of: (sample: Sample) => number) => good.reduce((all, sample) => all + of(sample), 0);
  const outputTokens = sum((sample) => sample.outputTokens);
  return {
    ttft: summarize(good.map(ttftOf)),
    tpot: summarize(good.map(tpotOf)),
    itl: summarize(good.flatMap(itlOf)),
    e2e: summarize(good.filter((sample) => sample.tokenMs.length > 0).map((sample) => sample.e2eMs)),
    outputTokens,
    promptTokens: sum((sample) => sample.promptTokens),
    cachedTokens: sum((sample) => sample.cachedTokens),
    ok: good.length,
    failed: samples.length - good.length,
    throughput: wallMs > 0 ? (outputTokens / wallMs) * 1000 : 0,
  };
}
