import assert from "node:assert/strict";
import { test } from "node:test";
import type { DeviceHistory, Worker } from "../api/types.ts";
import { continued, coursesOf, lastAndMost, measured } from "./device_history.ts";

const history: DeviceHistory = {
  worker_id: "w", worker_name: "machine", from: "2026-11-23T10:00:00Z", to: "2026-11-23T10:02:30Z", step_seconds: 60, measured_since: "2026-11-23T10:01:00Z",
  items: [{ id: "w/nvidia/0", vendor: "nvidia", index: 0, name: "H100", memory_used_bytes: [null, 10, 20], utilization: [null, 0.5, 0.2], utilization_max: [null, 0.9, 0.4], temperature_celsius: [null, null, null] }],
};
const at = (time: string) => Date.parse(`2026-11-23T10:${time}Z`);
const device = (more: object = {}) => ({ id: "w/nvidia/0", vendor: "nvidia", index: 0, name: "H100", memory_total_bytes: 100, memory_free_bytes: 50, utilization: 0.8, temperature_celsius: null, partition: "", problem: "", ...more });
const worker = (time: string, ...devices: object[]) => ({ last_report_at: new Date(at(time)).toISOString(), devices: devices.length > 0 ? devices : [device()] }) as unknown as Worker;

test("the server's columns, with the time of each step", () => {
  const courses = coursesOf(history);
  assert.deepEqual(courses.at, [at("00:00"), at("01:00"), at("02:00")]);
  assert.equal(courses.devices[0]?.name, "nvidia/0 H100");
  assert.deepEqual(courses.devices[0]?.load, [null, 0.5, 0.2]);
});

test("a report goes into the newest step by the time that it stands for", () => {
  const courses = continued(coursesOf(history), worker("02:40"));
  assert.deepEqual(courses.at, coursesOf(history).at);
  assert.deepEqual(courses.devices[0]?.load.map((value) => value && Number(value.toFixed(6))), [null, 0.5, 0.35]); // (0.2 × 30 s + 0.8 × 10 s) / 40 s
  assert.deepEqual(courses.devices[0]?.loadMax, [null, 0.9, 0.8]);
  assert.deepEqual(courses.devices[0]?.memory, [null, 10, 27.5]);
  assert.deepEqual(courses.devices[0]?.temperature, [null, null, null]);
});

test("what was said before is not said again", () => {
  const courses = coursesOf(history);
  assert.equal(continued(courses, worker("02:30")), courses);
  const next = continued(courses, worker("02:40"));
  assert.equal(continued(next, worker("02:40")), next);
});

test("steps go on, the first leave, and while nothing was said there is a gap", () => {
  const courses = continued(coursesOf(history), worker("04:10"));
  assert.deepEqual(courses.at, [at("02:00"), at("03:00"), at("04:00")]);
  assert.deepEqual(courses.devices[0]?.load, [0.2, null, 0.8]);
  assert.equal(courses.until, at("04:10"));
  const late = continued(courses, worker("30:00"));
  assert.deepEqual(late.devices[0]?.load, [null, null, 0.8]);
  assert.deepEqual(late.at, [at("28:00"), at("29:00"), at("30:00")]);
});

test("a device that has come, one that is gone, and figures that nobody tells", () => {
  const courses = continued(coursesOf(history), worker("03:00", device({ id: "w/nvidia/1", index: 1, partition: "GPU-1 1g.10gb", temperature_celsius: 40 })));
  assert.deepEqual(courses.devices.map((one) => one.id), ["w/nvidia/0", "w/nvidia/1"]);
  assert.deepEqual(courses.devices[0]?.load, [0.5, 0.2, null]);
  assert.deepEqual(courses.devices[1]?.load, [null, null, null]);
  assert.deepEqual(courses.devices[1]?.temperature, [null, null, 40]);
  const lost = continued(coursesOf(history), worker("03:00", device({ problem: "not seen since" })));
  assert.deepEqual(lost.devices[0]?.memory, [10, 20, null]);
});

test("the newest and the highest", () => {
  assert.deepEqual(lastAndMost([null, 5, 3, null]), [3, 5]);
  assert.equal(lastAndMost([null]), null);
  assert.equal(measured([null, 0]), true);
  assert.equal(measured([null]), false);
});
