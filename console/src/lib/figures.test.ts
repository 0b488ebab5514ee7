import assert from "node:assert/strict";
import { test } from "node:test";
import type { EngineFigures } from "../api/types.ts";
import { cachedShareOf, type Courses, KEPT_MS, rateOf, ratesOf, taken, ttftOf } from "./figures.ts";

const figures = (more: Partial<EngineFigures> = {}): EngineFigures => ({
  instance_id: "ins_1", sequences_running: 1, sequences_waiting: 0, kv_usage_ratio: 0.5, prompt_tokens_total: 100, cached_tokens_total: 40, generated_tokens_total: 0,
  first_token_seconds_sum: 0, first_token_count: 0, ...more,
});
const at = (second: number) => new Date(Date.UTC(2026, 0, 1) + second * 1000).toISOString();

test("counters become rates", () => {
  let courses: Courses = new Map();
  courses = taken(courses, { at: at(0), items: [figures({ generated_tokens_total: 10, first_token_count: 1, first_token_seconds_sum: 1 })] });
  assert.ok(Number.isNaN(rateOf(courses.get("ins_1") ?? [], "generated_tokens_total")));
  assert.equal(ttftOf(courses.get("ins_1") ?? []), 1000);
  courses = taken(courses, { at: at(2), items: [figures({ generated_tokens_total: 90, first_token_count: 3, first_token_seconds_sum: 1.5 })] });
  courses = taken(courses, { at: at(4), items: [figures({ generated_tokens_total: 90, first_token_count: 3, first_token_seconds_sum: 1.5 })] });
  const course = courses.get("ins_1") ?? [];
  assert.deepEqual(ratesOf(course), [40, 0]);
  assert.equal(ttftOf(course), 250);
  assert.equal(cachedShareOf(figures()), 0.4);
});

test("what an engine does not tell is not known", () => {
  const silent = figures({ generated_tokens_total: null, first_token_seconds_sum: null, first_token_count: null, cached_tokens_total: null });
  let courses = taken(new Map(), { at: at(0), items: [silent] });
  courses = taken(courses, { at: at(2), items: [silent] });
  const course = courses.get("ins_1") ?? [];
  assert.equal(course.length, 2);
  assert.ok([rateOf(course, "generated_tokens_total"), ttftOf(course), cachedShareOf(silent)].every(Number.isNaN));
});

test("another process begins anew, and who is gone is forgotten", () => {
  let courses = taken(new Map(), { at: at(0), items: [figures({ generated_tokens_total: 500 }), figures({ instance_id: "ins_2" })] });
  courses = taken(courses, { at: at(2), items: [figures({ generated_tokens_total: 3 })] });
  assert.deepEqual([...courses.keys()], ["ins_1"]);
  assert.equal(courses.get("ins_1")?.length, 1);
  courses = taken(courses, { at: at(2 + KEPT_MS / 1000), items: [figures({ generated_tokens_total: 4 })] });
  assert.equal(courses.get("ins_1")?.length, 1);
});
