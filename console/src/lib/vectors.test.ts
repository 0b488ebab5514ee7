import assert from "node:assert/strict";
import { test } from "node:test";
import { cosine, project, similarities } from "./vectors.ts";

test("cosine", () => {
  assert.equal(cosine([1, 0], [3, 0]), 1);
  assert.equal(cosine([1, 0], [0, 2]), 0);
  assert.equal(cosine([1, 1], [-1, -1]).toFixed(9), "-1.000000000");
  assert.equal(cosine([0, 0], [1, 1]), 0);
  assert.deepEqual(similarities([[1, 0], [0, 1]]), [[1, 0], [0, 1]]);
});

test("points of a plane keep their distances, turned as they may be", () => {
  const flat = [[0, 0, 5, 0], [4, 0, 5, 0], [4, 3, 5, 0], [0, 3, 5, 0], [9, 1, 5, 0]];
  const { points, kept } = project(flat);
  assert.ok(kept > 0.999999, String(kept));
  for (let i = 0; i < flat.length; i += 1) {
    for (let k = 0; k < i; k += 1) {
      const real = Math.hypot(...(flat[i] ?? []).map((one, at) => one - (flat[k]?.[at] ?? 0)));
      const drawn = Math.hypot((points[i]?.[0] ?? 0) - (points[k]?.[0] ?? 0), (points[i]?.[1] ?? 0) - (points[k]?.[1] ?? 0));
      assert.ok(Math.abs(real - drawn) < 1e-4, `${i} ${k}: ${real} ${drawn}`);
    }
  }
});

test("nothing to tell apart", () => {
  assert.deepEqual(project([[1, 2], [1, 2]]), { points: [[0, 0], [0, 0]], kept: 0 });
  assert.deepEqual(project([]), { points: [], kept: 0 });
});
