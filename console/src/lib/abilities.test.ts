import assert from "node:assert/strict";
import { test } from "node:test";
import { abilityOf, byAbility } from "./abilities.ts";

test("what a model does is what its files say, else what its name says", () => {
  const of = (id: string, meta = {}, modality = "") => abilityOf({ id, meta }, modality);
  assert.equal(of("a", { pooling: "mean" }), "embed");
  assert.equal(of("a", { pooling: "rank" }), "rank");
  assert.equal(of("a", {}, "vision"), "write");
  assert.equal(of("a", { modality: "speech" }, "text"), "speak");
  assert.equal(of("openai/whisper-1"), "transcribe");
  assert.equal(of("openai/gpt-4o-mini-transcribe"), "transcribe");
  assert.equal(of("openai/tts-1"), "speak");
  assert.equal(of("openai/dall-e-3"), "draw");
  assert.equal(of("black-forest/FLUX.1-dev"), "draw");
  assert.equal(of("whisper-chat", {}, "text"), "write", "files know better than names");
  assert.equal(of("butts"), "write");
  assert.equal(of("influx"), "write");
});

test("the models by what they do", () => {
  const names = byAbility([{ id: "chat", meta: {} }, { id: "ears", meta: {} }, { id: "near", meta: { pooling: "cls" } }], new Map([["ears", "transcription"]]));
  assert.deepEqual([names.write, names.transcribe, names.embed, names.draw], [["chat"], ["ears"], ["near"], []]);
});
