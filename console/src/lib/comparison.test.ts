import assert from "node:assert/strict";
import { test } from "node:test";
import { Answer } from "./answer.ts";
import { freshSentence, type Run, targetsOf, toCsv, toJson } from "./comparison.ts";

function answered(times: number[]): Answer {
  const answer = new Answer(1000);
  answer.take({ choices: [{ delta: { content: "" } }] }, 1001);
  times.forEach((at, i) => answer.take({ choices: [{ delta: i === 0 ? { reasoning_content: "hm" } : { content: "x" } }] }, 1000 + at));
  answer.take({ choices: [{ delta: {}, finish_reason: "stop" }] }, 1000 + (times.at(-1) ?? 0) + 5);
  answer.take({ choices: [], usage: { prompt_tokens: 12, completion_tokens: times.length, prompt_tokens_details: { cached_tokens: 4 } }, timings: { queue_ms: 1, prefill_ms: 2, decode_ms: 3 } }, 2000);
  return answer;
}

test("a stream: the empty first delta is no token, reasoning is, and the end is that of the last token", () => {
  const answer = answered([50, 60, 80]);
  const sample = answer.sample();
  assert.deepEqual(sample.tokenMs, [50, 60, 80]);
  assert.equal(sample.e2eMs, 80);
  assert.equal(sample.outputTokens, 3);
  assert.equal(sample.cachedTokens, 4);
  assert.deepEqual(sample.server, { queueMs: 1, prefillMs: 2, decodeMs: 3 });
  assert.equal(answer.text, "xx");
  assert.equal(answer.reasoning, "hm");
  assert.equal(answer.finish, "stop");
});

test("calls of tools come in pieces, and are tokens", () => {
  const answer = new Answer(0);
  answer.take({ choices: [{ delta: { tool_calls: [{ index: 0, id: "call_1", function: { name: "weather", arguments: "" } }] } }] }, 5);
  answer.take({ choices: [{ delta: { tool_calls: [{ index: 0, function: { arguments: '{"city":' } }] } }] }, 6);
  answer.take({ choices: [{ delta: { tool_calls: [{ index: 0, function: { arguments: '"Rome"}' } }, { index: 1, id: "call_2", function: { name: "time", arguments: "{}" } }] } }] }, 7);
  answer.take({ choices: [{ delta: {}, finish_reason: "tool_calls" }] }, 8);
  assert.deepEqual(answer.calls, [{ id: "call_1", name: "weather", arguments: '{"city":"Rome"}' }, { id: "call_2", name: "time", arguments: "{}" }]);
  assert.deepEqual(answer.sample().tokenMs, [5, 6, 7]);
});

test("the text of a completion", () => {
  const answer = new Answer(0);
  answer.take({ choices: [{ text: "ab" }] }, 5);
  assert.equal(answer.text, "ab");
});

test("a stream that breaks is no success", () => {
  const answer = new Answer(0);
  answer.take({ choices: [{ delta: { content: "a" } }] }, 5);
  answer.take({ error: { message: "the engine died" } }, 6);
  assert.equal(answer.sample().ok, false);
  assert.equal(answer.sample().error, "the engine died");
  assert.equal(answer.sample().counted, false);
});

const run: Run = {
  at: 0, models: ["=cmd()", "b", "=cmd()"], own: ["", "", ""], rounds: 1, wallMs: 100,
  samples: [[answered([50, 60]).sample()], [answered([40, 60]).sample()], [answered([30, 60]).sample()]],
};

test("panels of one model are one target", () => {
  assert.deepEqual(targetsOf(run).map((target) => [target.model, target.panels]), [["=cmd()", [0, 2]], ["b", [1]]]);
});

test("panels of one model with parameters of their own are targets of their own", () => {
  const two: Run = { ...run, own: ["", "", "temperature 0"] };
  assert.deepEqual(targetsOf(two).map((target) => [target.model, target.own, target.panels]), [["=cmd()", "", [0]], ["b", "", [1]], ["=cmd()", "temperature 0", [2]]]);
  assert.equal(JSON.parse(toJson([two], { commit: "", url: "", agent: "" })).targets[2].name, "=cmd() (temperature 0)");
  assert.match(toCsv([two]), /,temperature 0\r\n$/);
});

test("files: a name that begins like a formula is text, and the JSON is the CLI's", () => {
  const lines = toCsv([run]).split("\r\n");
  assert.equal(lines.length, 5);
  assert.match(lines[1] ?? "", /,'=cmd\(\),3,true,50,10,/);
  const parsed = JSON.parse(toJson([run], { commit: "c", url: "u", agent: "a" }));
  assert.equal(parsed.version, 1);
  assert.equal(parsed.targets[0].runs[0].concurrency, 3);
  assert.equal(parsed.targets[0].runs[0].ttft_ms.mean, 40);
  assert.equal(parsed.targets[0].runs[0].throughput_tok_s, 40);
  assert.deepEqual(parsed.targets[0].runs[0].samples[0].server, { queue_ms: 1, prefill_ms: 2, decode_ms: 3 });
});

test("a fresh sentence", () => {
  assert.match(freshSentence(() => 0.5), /^\w+ \w+ is the name of note 8000\.$/);
});
