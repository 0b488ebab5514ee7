import assert from "node:assert/strict";
import { test } from "node:test";
import { COMPARE_DEFAULTS, ownText, parametersOf, readSetup, writeSetup } from "./setup.ts";

test("a setup goes into an address and comes back", () => {
  const setup = { shared: { ...COMPARE_DEFAULTS, maxTokens: "64" }, own: [{}, { temperature: "0", topP: " " }, {}], prompt: "a & b" };
  const back = readSetup(writeSetup(setup), 3);
  assert.deepEqual(back, { ...setup, own: [{}, { temperature: "0" }, {}] });
  assert.equal(parametersOf(back, 1).temperature, "0");
  assert.equal(parametersOf(back, 1).maxTokens, "64");
  assert.equal(parametersOf(back, 2).temperature, "0.7");
  assert.equal(ownText(back.own[1]), "temperature 0");
  assert.equal(ownText(back.own[0]), "");
});

test("the usual setup takes no room, and what is no setup is none", () => {
  const usual = readSetup("", 2);
  assert.equal(writeSetup(usual), "");
  for (const text of ["{", "[]", "7", "null", '{"own":7,"shared":"x"}', '{"own":[{"temperature":7,"onerror":"x"}]}']) assert.deepEqual(readSetup(text, 2), usual, text);
});
