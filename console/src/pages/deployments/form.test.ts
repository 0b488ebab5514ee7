import assert from "node:assert/strict";
import { test } from "node:test";
import { deploymentOf, EMPTY, evaluationOf, nameFor, sourceOf, words } from "./form.ts";

test("a source, and a name for it", () => {
  assert.equal(sourceOf("  /m/a.gguf "), "file:/m/a.gguf");
  assert.equal(sourceOf("hf:org/name"), "hf:org/name");
  assert.equal(nameFor("file:/m/SmolLM2-135M-Instruct.Q4_1.gguf"), "smollm2-135m-instruct");
  assert.equal(nameFor("hf:Qwen/Qwen3-14B"), "qwen3-14b");
  assert.equal(nameFor("file:/m/<img onerror=x>.gguf"), "img-onerror-x");
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
