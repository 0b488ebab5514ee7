// What engines say of themselves, as it was over the last minutes: counters become rates. Pure.
import type { EngineFigures } from "../api/types.ts";

export interface Sample {
  /** Milliseconds since 1970, by the server's clock. */
  at: number;
  figures: EngineFigures;
}
/** By instance, oldest first. */
export type Courses = ReadonlyMap<string, readonly Sample[]>;
export interface Said {
  at: string;
  items: EngineFigures[];
}

export const KEPT_MS = 5 * 60_000;

/** Who says nothing any more is forgotten; a counter that fell belongs to another process, which begins anew. */
export function taken(before: Courses, { at, items }: Said): Courses {
  const now = Date.parse(at);
  const next = new Map<string, readonly Sample[]>();
  for (const figures of items) {
    const known = (before.get(figures.instance_id) ?? []).filter((sample) => sample.at > now - KEPT_MS && sample.at < now);
    const fell = (known.at(-1)?.figures.generated_tokens_total ?? 0) > (figures.generated_tokens_total ?? Number.POSITIVE_INFINITY);
    next.set(figures.instance_id, [...(fell ? [] : known), { at: now, figures }]);
  }
  return next;
}

type Counter = "generated_tokens_total" | "prompt_tokens_total" | "cached_tokens_total" | "first_token_seconds_sum" | "first_token_count";

function grown(from: Sample | undefined, to: Sample | undefined, counter: Counter): number {
  const [a, b] = [from?.figures[counter], to?.figures[counter]];
  return a === null || a === undefined || b === null || b === undefined ? Number.NaN : b - a;
}

/** A second, between the last two samples; NaN where that is not known. */
export function rateOf(course: readonly Sample[], counter: Counter): number {
  const [from, to] = [course.at(-2), course.at(-1)];
  return from && to && to.at > from.at ? (grown(from, to, counter) / (to.at - from.at)) * 1000 : Number.NaN;
}

/** Tokens written a second, at each sample but the first. */
export function ratesOf(course: readonly Sample[]): number[] {
  return course.slice(1).map((_, i) => rateOf(course.slice(i, i + 2), "generated_tokens_total"));
}

/** Of the requests whose first token came within what is kept; of all where none did. Milliseconds. */
export function ttftOf(course: readonly Sample[]): number {
  const last = course.at(-1);
  const lately = grown(course[0], last, "first_token_count");
  if (lately > 0) return (grown(course[0], last, "first_token_seconds_sum") / lately) * 1000;
  const { first_token_seconds_sum: sum, first_token_count: count } = last?.figures ?? {};
  return sum && count ? (sum / count) * 1000 : Number.NaN;
}

/** Of the prompts' tokens since the engine's start. */
export function cachedShareOf({ cached_tokens_total: cached, prompt_tokens_total: prompt }: EngineFigures): number {
  return cached !== null && prompt ? cached / prompt : Number.NaN;
}
