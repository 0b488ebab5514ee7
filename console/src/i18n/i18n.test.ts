import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { en } from "./en.ts";
import { zh } from "./zh.ts";

const holes = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map((found) => found[1]).sort();

test("both languages have the same keys, with the same holes", () => {
  assert.deepEqual(Object.keys(zh), Object.keys(en));
  for (const [key, text] of Object.entries(en)) {
    assert.ok(text.length > 0, key);
    assert.deepEqual(holes((zh as Record<string, string>)[key] ?? ""), holes(text), key);
  }
});

test("every key is used", () => {
  const root = new URL("..", import.meta.url);
  const sources = readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((name) => /\.tsx?$/.test(name) && !name.startsWith("i18n/") && name !== "api/schema.ts")
    .map((name) => readFileSync(new URL(name, root), "utf8"))
    .join("\n");
  const groups = [...sources.matchAll(/word\("([\w.]+)"/g)].map((found) => `${found[1]}.`);
  const unused = Object.keys(en).filter((key) => !sources.includes(`"${key}"`) && !groups.some((group) => key.startsWith(group)));
  assert.deepEqual(unused, []);
});
