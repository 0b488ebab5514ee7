import assert from "node:assert/strict";
import { test } from "node:test";
import type { CatalogueVariant, Deployment } from "../../api/types.ts";
import { deploymentOf, EMPTY, evaluationOf, fieldsOf, formOf, nameFor, patchOf, quantizationsIn, replaced, sourceOf, withQuantization, words } from "./form.ts";

test("a source, and a name for it", () => {
  assert.equal(sourceOf("  /m/a.gguf "), "file:/m/a.gguf");
  assert.equal(sourceOf("hf:org/name"), "hf:org/name");
  assert.equal(nameFor("file:/m/SmolLM2-135M-Instruct.Q4_1.gguf"), "smollm2-135m-instruct");
  assert.equal(nameFor("hf:Qwen/Qwen3-14B"), "qwen3-14b");
  assert.equal(nameFor("hf:HuggingFaceTB/SmolLM2-135M-Instruct-GGUF"), "smollm2-135m-instruct");
  assert.equal(nameFor("file:/m/<img onerror=x>.gguf"), "img-onerror-x");
});

test("quantizations to choose from", () => {
  assert.deepEqual(quantizationsIn('the repository holds no Q2_K; there are :Q4_1, :IQ4_XS and 3 more'), ["Q4_1", "IQ4_XS"]);
  assert.deepEqual(quantizationsIn("the repository holds 2 models; choose one by its quantization or its file: :Q4_1, :Q8_0"), ["Q4_1", "Q8_0"]);
  assert.deepEqual(quantizationsIn("there are none"), []);
  assert.equal(withQuantization("hf:Org/name", "Q4_1"), "hf:Org/name:Q4_1");
  assert.equal(withQuantization(" modelscope:Org/name@main:Q2_K", "Q4_1"), "modelscope:Org/name@main:Q4_1");
});

test("only what was filled in is asked for", () => {
  const asked = evaluationOf({ ...EMPTY, source: "/m/a.gguf" });
  assert.deepEqual(asked, { source: "file:/m/a.gguf", backend: "engine", options: {}, placement: { strategy: "spread", cpu_offload: true } });
  const more = deploymentOf({ ...EMPTY, name: " a ", source: "/m/a.gguf", context: "4096", arguments: '--x "a b" \'c\'', replicas: "2" });
  assert.equal(more.name, "a");
  assert.equal(more.replicas, 2);
  assert.deepEqual(more.options, { context_tokens: 4096, extra_args: ["--x", "a b", "c"] });
  assert.deepEqual(words(""), []);
});

const served: Deployment = {
  id: "dep_1", name: "a", source: "hf:Org/a", backend: "engine", replicas: 2, stopped: false, idle_timeout_seconds: 90, asleep_since: null, version: 3, generation: 1, created_at: "", updated_at: "",
  options: { context_tokens: 4096, max_sequences: 0, threads: 0, extra_args: ["--x", "a b", 'say "hi"'], env: { A: "b" }, binary: "", command: [], health_path: "", kv_type: "q8_0" },
  placement: { strategy: "binpack", devices: ["w/cpu/0"], device_count: 0, device_types: ["910B"], worker_labels: { rack: "a" }, cpu_offload: false, across_workers: false },
  rollout: { strategy: "rolling", max_surge: 1, max_unavailable: 0, ready_seconds: 0, drain_seconds: 30 },
  status: { state: "running", ready_replicas: 2, reason: "", progress: 1, rollout: { state: "complete", reason: "", new_replicas: 2, old_replicas: 0 } } as unknown as Deployment["status"],
};

test("a deployment in the form and back changes nothing", () => {
  assert.deepEqual(patchOf(formOf(served), served), {});
});

test("an edit sends what it changes, and only that", () => {
  const form = { ...formOf(served), context: "", idle: "", labels: "rack=b", rollout: "recreate" as const };
  assert.deepEqual(patchOf(form, served), { idle_timeout_seconds: 0, options: { context_tokens: 0 }, placement: { worker_labels: { rack: "b" } }, rollout: { strategy: "recreate" } });
  assert.deepEqual(patchOf({ ...formOf(served), arguments: "" }, served), { options: { extra_args: [] } });
});

test("what the catalogue recommends goes into the form, but for what a person has changed", () => {
  const variant = (backend: "engine" | "vllm", context_tokens: number, extra_args: string[]) => ({ backend, options: { ...served.options, context_tokens, max_sequences: 0, extra_args } }) as unknown as CatalogueVariant;
  const first = fieldsOf(variant("vllm", 4096, ["--reasoning-parser", "qwen3"]), "hf:O/n");
  assert.deepEqual(first, { source: "hf:O/n", backend: "vllm", context: "4096", sequences: "", arguments: "--reasoning-parser qwen3" });
  const second = fieldsOf(variant("engine", 0, []), "hf:O/n-GGUF:Q8_0");
  const taken = { ...EMPTY, ...first };
  assert.deepEqual(replaced(taken, first, second), second);
  assert.deepEqual(replaced({ ...taken, context: "1024" }, first, second), { source: "hf:O/n-GGUF:Q8_0", backend: "engine", sequences: "", arguments: "" });
});
