import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { inChinese, PARTS } from "./server_zh.ts";

test("reasons are put together from parts, names and numbers stay", () => {
  assert.equal(
    inChinese('no worker can take it: vm: cpu/0 has 19.7 GiB of 23.5 GiB left, and 858.3 GiB is needed: "smollm2" holds 439 MiB'),
    "没有节点能容纳它：vm: cpu/0 剩余 19.7 GiB（共 23.5 GiB），需要 858.3 GiB：“smollm2”占用 439 MiB",
  );
  assert.equal(inChinese("a context of 8,192 tokens"), "上下文 8,192 词元");
  assert.equal(inChinese("30 layers x 3 KV heads x (64 + 64) x 2 B x 8,192 tokens"), "30 层 × 3 个 KV 头 × (64 + 64) x 2 B x 8,192 词元");
  assert.equal(inChinese("killed by SIGKILL; trying again now"), "被 SIGKILL 终止；正在重试");
  assert.equal(inChinese("something nobody has heard of"), "something nobody has heard of");
});

// A part whose words the server does not say any more would stand here unseen: each is looked for in the sources by its longest run of plain words.
test("every part is one that the server says", () => {
  const root = new URL("../../../src/", import.meta.url);
  const sources = readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((name) => /\.(cc|h)$/.test(name))
    .map((name) => readFileSync(new URL(name, root), "utf8"))
    .join("\n")
    .replaceAll('\\"', '"')
    .replace(/"\s*\n\s*"/g, "");
  const unknown = PARTS.map(([part]) => part.source.replace(/\\S\+|\\d\+|\(\?:[^)]*\)\??|\([^()]*\)|\[[^\]]*\][+*?]?|[\^$]|\\./g, "\n").split("\n").sort((a, b) => b.length - a.length)[0] ?? "").filter((words) => !sources.includes(words.trim()));
  assert.deepEqual(unknown, []);
});
