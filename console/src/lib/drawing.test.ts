import assert from "node:assert/strict";
import { test } from "node:test";
import { type Figure, layout, ticks } from "./drawing.ts";

const bars = (n: number): Figure => ({ kind: "bars", title: "t", bars: Array.from({ length: n }, (_, i) => ({ name: "", value: i, text: "", series: i })) });
const lines: Figure = { kind: "lines", title: "l", x: "ms", y: "", lines: [] };

test("nothing overlaps, and all is inside, on wide and on narrow pages", () => {
  for (const width of [320, 1080]) {
    const { boxes, height } = layout([bars(6), bars(6), bars(2), lines], width, 0);
    assert.equal(boxes.length, 4);
    boxes.forEach((box, i) => {
      assert.ok(box.x >= 0 && box.x + box.width <= width && box.y + box.height <= height, `${width}: ${i}`);
      for (const other of boxes.slice(i + 1)) {
        assert.ok(box.x + box.width <= other.x || box.y + box.height <= other.y || other.x + other.width <= box.x, `${width}: ${i} overlaps`);
      }
    });
    assert.equal(new Set(boxes.slice(0, 3).map((box) => box.y)).size, width < 720 ? 3 : 1);
  }
});

test("ticks are round and reach no further than there is something", () => {
  assert.deepEqual(ticks(128), [0, 50, 100]);
  assert.deepEqual(ticks(2287, 8), [0, 500, 1000, 1500, 2000]);
  assert.deepEqual(ticks(0.3), [0, 0.1, 0.2, 0.30000000000000004]);
  assert.deepEqual(ticks(Number.NaN), [0]);
});
