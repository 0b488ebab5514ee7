import assert from "node:assert/strict";
import { test } from "node:test";
import { curl, node, python } from "./code.ts";

test("a quote in a prompt stays inside the shell's word", () => {
  assert.match(curl("http://h:1", "/v1/completions", { prompt: "it's $(rm)" }), /^curl http:\/\/h:1\/v1\/completions[\s\S]*"it'\\''s \$\(rm\)"/);
});

test("Python's words, and each path's own call", () => {
  assert.match(python("o", "/v1/chat/completions", { stream: true, stop: null }), /client\.chat\.completions\.create\(\n {4}stream=True,\n {4}stop=None,/);
  assert.match(python("o", "/v1/embeddings", { input: ["a"] }), /client\.embeddings\.create\(\n {4}input=\["a"\],[\s\S]*data\[0\]\.embedding/);
  assert.match(python("o", "/v1/rerank", { query: "q" }), /httpx\.post\("o\/v1\/rerank"/);
  assert.match(node("o", "/v1/rerank", { query: "q" }), /fetch\("o\/v1\/rerank"/);
});
