import assert from "node:assert/strict";
import { test } from "node:test";
import type { Device } from "../api/types.ts";
import { courseOf, forget, remember } from "./history.ts";

const device = (load: number, free: number) => ({ id: "w/cpu/0", utilization: load, memory_total_bytes: 100, memory_free_bytes: free }) as Device;

test("half an hour of a device is kept, as shares", () => {
  forget();
  remember([device(0.5, 75)], 1_000);
  remember([device(1, 0)], 2_000);
  assert.deepEqual(courseOf("w/cpu/0"), [{ at: 1_000, load: 0.5, memory: 0.25 }, { at: 2_000, load: 1, memory: 1 }]);
  remember([device(0, 100)], 1_500 + 30 * 60_000);
  assert.deepEqual(courseOf("w/cpu/0").map((point) => point.at), [2_000, 1_500 + 30 * 60_000]);
  for (let i = 0; i < 2_000; i += 1) remember([device(0, 100)], 2_000_000 + i);
  assert.equal(courseOf("w/cpu/0").length, 1_000);
  assert.deepEqual(courseOf("another"), []);
});
