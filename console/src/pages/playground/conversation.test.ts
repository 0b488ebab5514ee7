import assert from "node:assert/strict";
import { test } from "node:test";
import { EXAMPLE_TOOL, messagesOf, toolFields, type Turn, withoutPictures } from "./conversation.ts";

const turn = (part: Partial<Turn>): Turn => ({ question: "", images: [], results: [], answer: { text: "", calls: [] }, ...part });

test("questions, pictures, calls and what tools gave", () => {
  const messages = messagesOf([
    turn({ question: "What is it?", images: ["data:image/png;base64,AAAA"], answer: { text: "A crane.", calls: [] } }),
    turn({ question: "Weather?", answer: { text: "", calls: [{ id: "call_1", name: "weather", arguments: '{"city":"Rome"}' }] } }),
    turn({ results: [{ id: "call_1", text: "sunny" }], answer: { text: "Sunny.", calls: [] } }),
    turn({ question: "Stopped before a word" }),
  ]);
  assert.deepEqual(messages.map((message) => message.role), ["user", "assistant", "user", "assistant", "tool", "assistant", "user"]);
  assert.deepEqual(messages[0]?.content, [{ type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } }, { type: "text", text: "What is it?" }]);
  assert.equal(messages[3]?.content, null);
  assert.equal(messages[3]?.tool_calls?.[0]?.function.name, "weather");
  assert.deepEqual(messages[4], { role: "tool", tool_call_id: "call_1", content: "sunny" });
  assert.match(JSON.stringify(withoutPictures(messages)), /data:image\/png;base64,…/);
});

test("calls whose results nobody gave are left out", () => {
  const called = turn({ question: "Weather?", answer: { text: "", calls: [{ id: "call_1", name: "weather", arguments: "{}" }] } });
  const asked = { question: "Never mind.", images: [], results: [] };
  assert.deepEqual(messagesOf([called], asked).map((message) => message.role), ["user", "user"]);
  assert.deepEqual(messagesOf([called], { ...asked, results: [{ id: "call_1", text: "rain" }] }).map((message) => message.role), ["user", "assistant", "tool"]);
});

test("tools are a list of functions, or it is said what they are not", () => {
  assert.deepEqual(toolFields({ text: " ", choice: "auto" }), { fields: {} });
  assert.equal(toolFields({ text: "{", choice: "auto" }).wrong, "json");
  assert.equal(toolFields({ text: "[1, null]", choice: "auto" }).wrong, "shape");
  assert.deepEqual(Object.keys(toolFields({ text: EXAMPLE_TOOL, choice: "required" }).fields), ["tools", "tool_choice"]);
  assert.deepEqual(toolFields({ text: '{"name":"now","parameters":{}}', choice: "auto" }).fields.tools, [{ type: "function", function: { name: "now", parameters: {} } }]);
});
