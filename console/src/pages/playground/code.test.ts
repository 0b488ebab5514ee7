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

test("recordings go as files of a form, and speech comes as a file", () => {
  const asked = { model: "ears", response_format: "srt", file: "it's.mp3" };
  assert.match(curl("http://h:1", "/v1/audio/transcriptions", asked), /-F 'model=ears' \\\n {2}-F 'response_format=srt' \\\n {2}-F 'file=@it'\\''s\.mp3'/);
  assert.match(python("o", "/v1/audio/transcriptions", asked), /audio\.transcriptions\.create\([\s\S]*file=open\("it's\.mp3", "rb"\),/);
  assert.match(node("o", "/v1/audio/transcriptions", asked), /createReadStream\("it's\.mp3"\), \.\.\.\{\n {2}"model": "ears"/);
  const spoken = { model: "mouth", input: "hi", voice: "alloy", response_format: "wav" };
  assert.match(curl("http://h:1", "/v1/audio/speech", spoken), /-o 'speech\.wav'\n$/);
  assert.match(python("o", "/v1/audio/speech", spoken), /stream_to_file\("speech\.wav"\)/);
  assert.match(node("o", "/v1/audio/speech", spoken), /writeFile\("speech\.wav"/);
  assert.match(python("o", "/v1/images/generations", { prompt: "p" }), /images\.generate\([\s\S]*b64_json/);
});
