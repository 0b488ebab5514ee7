import assert from "node:assert/strict";
import { test } from "node:test";
import { limitsOf, modelsOf, NO_LIMITS, onlySet, textsOf } from "./limits.ts";

test("limits go into a form and back; an empty field lifts one", () => {
  const limits = { requests_per_minute: 60, tokens_per_minute: null, concurrent_requests: 2, tokens_per_month: 1_000_000_000 };
  assert.deepEqual(limitsOf(textsOf(limits)), limits);
  assert.equal(limitsOf({ ...textsOf(limits), concurrent_requests: " " }).concurrent_requests, null);
  assert.deepEqual(onlySet({ ...NO_LIMITS, requests_per_minute: "5" }), { requests_per_minute: 5 });
});

test("models by line or comma, once each", () => {
  assert.deepEqual(modelsOf(" a, b\n\nb,org/c "), ["a", "b", "org/c"]);
});
