import assert from "node:assert/strict";
import { test } from "node:test";
import type { Backend, BackendOnWorker, Worker } from "../api/types.ts";
import { basisOf, lookOf, refusalsOf, textOf, versionsOf, works } from "./backends.ts";

const on = (part: Partial<BackendOnWorker>): BackendOnWorker => ({
  worker_id: "wrk_1", worker_name: "one", worker_state: "ready", state: "ready", path: "", version: "", reason: "", next_step: "", devices: [], ...part,
});
const device = (index: number, reason: string) => ({ id: `wrk_1/nvidia/${index}`, vendor: "nvidia", index, name: "H100", works: reason === "", reason });
const backend = (...workers: BackendOnWorker[]): Backend => ({
  name: "vllm", title: "vLLM", summary: "", homepage: "", formats: ["safetensors"], modalities: ["text"], can_offload: false, spanning: null, kv_types: [], flags: [],
  deployments: [{ id: "dep_1", name: "chat" }], workers,
});

test("a backend works where its program is and its worker is reached", () => {
  assert.ok(works(on({})));
  assert.ok(!works(on({ state: "by_command" })), "nobody knows before it starts");
  assert.ok(!works(on({ worker_state: "unreachable" })));
  assert.ok(!works(on({ state: "missing" })));
  assert.equal(lookOf(backend(on({ state: "missing", next_step: "install it" }), on({}))), "good");
  assert.equal(lookOf(backend(on({ state: "missing", next_step: "install it" }))), "warn");
  assert.equal(lookOf(backend(on({ state: "refused" }))), undefined);
  assert.equal(lookOf(backend()), undefined);
});

test("versions are counted, and refusals of one reason stand together", () => {
  assert.deepEqual(versionsOf(backend(on({ version: "2" }), on({}), on({ version: "1" }), on({ version: "1" }))), [{ version: "1", workers: 2 }, { version: "2", workers: 1 }]);
  assert.deepEqual(refusalsOf([device(0, "too old"), device(1, ""), device(2, "too old"), device(3, "ill")]), [
    { reason: "too old", devices: ["nvidia/0", "nvidia/2"] },
    { reason: "ill", devices: ["nvidia/3"] },
  ]);
});

test("a filter finds what works, not what is refused", () => {
  const text = textOf(backend(on({ version: "0.32.0", devices: [device(0, ""), device(1, "too old")] })));
  for (const word of ["vllm", "safetensors", "chat", "one", "0.32.0", "nvidia/0", "h100"]) assert.ok(text.includes(word), word);
  assert.ok(!text.includes("nvidia/1"));
});

test("load and memory ask for nothing anew; a program or a device does", () => {
  const worker = { id: "wrk_1", name: "one", state: "ready", backends: [{ name: "engine", version: "1" }], devices: [{ id: "wrk_1/cpu/0", problem: "", utilization: 0.1 }] } as unknown as Worker;
  const basis = basisOf([worker], []);
  assert.equal(basisOf([{ ...worker, devices: worker.devices.map((one) => ({ ...one, utilization: 0.9 })) }], []), basis);
  assert.notEqual(basisOf([{ ...worker, backends: [...worker.backends, { name: "vllm", version: "1" }] }], []), basis);
  assert.notEqual(basisOf([{ ...worker, devices: [] }], []), basis);
});
