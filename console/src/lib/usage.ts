// Sums of what was used, as the pages show them. Pure.
import type { UsageSummary } from "../api/types.ts";

export interface Used {
  requests: number;
  failed: number;
  promptTokens: number;
  completionTokens: number;
  cachedTokens: number;
  /** Of recordings that were heard. */
  audioMs: number;
  /** That were made. */
  images: number;
  /** Mean over the requests that have one; NaN: none has. */
  ttftMs: number;
  /** Completion tokens a second of answering, waiting included; NaN: nothing was written. */
  tokensPerSecond: number;
}

export function sumOf(rows: UsageSummary[]): Used {
  const sum = (of: (row: UsageSummary) => number) => rows.reduce((all, row) => all + of(row), 0);
  const writing = rows.filter((row) => row.completion_tokens > 0);   // not what makes vectors
  return {
    requests: sum((row) => row.requests),
    failed: sum((row) => row.failed),
    promptTokens: sum((row) => row.prompt_tokens),
    completionTokens: sum((row) => row.completion_tokens),
    cachedTokens: sum((row) => row.cached_tokens),
    audioMs: sum((row) => row.audio_ms),
    images: sum((row) => row.images),
    ttftMs: sum((row) => row.ttft_ms_sum) / sum((row) => row.ttft_count),
    tokensPerSecond: (sum((row) => row.completion_tokens) * 1000) / writing.reduce((all, row) => all + row.duration_ms_sum, 0),
  };
}

/** One sum for each name, the largest in tokens first. */
export function grouped(rows: UsageSummary[], nameOf: (row: UsageSummary) => string): { name: string; used: Used }[] {
  const groups = new Map<string, UsageSummary[]>();
  for (const row of rows) {
    const name = nameOf(row);
    groups.set(name, [...(groups.get(name) ?? []), row]);
  }
  return [...groups]
    .map(([name, all]) => ({ name, used: sumOf(all) }))
    .sort((a, b) => b.used.completionTokens + b.used.promptTokens - a.used.completionTokens - a.used.promptTokens);
}

/** What each of the steps from `from` to `to` (ms since 1970) used, those without any as zero. */
export function steps(rows: UsageSummary[], from: number, to: number, step: number): { at: number[]; used: Used[] } {
  const byStep = new Map<number, UsageSummary[]>();
  for (const row of rows) {
    if (!row.bucket) continue;
    const at = Math.floor(Date.parse(row.bucket) / step) * step;
    byStep.set(at, [...(byStep.get(at) ?? []), row]);
  }
  const at: number[] = [];
  for (let time = Math.ceil(from / step) * step; time <= to; time += step) at.push(time);
  return { at, used: at.map((time) => sumOf(byStep.get(time) ?? [])) };
}
