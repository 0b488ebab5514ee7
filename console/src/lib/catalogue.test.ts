import assert from "node:assert/strict";
import { test } from "node:test";
import type { CatalogueEntry, CatalogueVariant } from "../api/types.ts";
import { cataloguedAs, cataloguedIn, kindsOf, lookedFor, sourceAt, variantAt } from "./catalogue.ts";

const variant = (quantization: string, backend: CatalogueVariant["backend"] = "engine") => ({ quantization, backend, format: backend === "engine" ? "gguf" : "safetensors", sources: [`hf:O/n:${quantization}`, `modelscope:O/n:${quantization}`] }) as CatalogueVariant;
const entry = (id: string, more: Partial<CatalogueEntry> = {}) => ({ id, name: id, family: "Qwen3", modality: "text", licence: "mit", abilities: ["tools"], parameters: 1, verdict: "fits", recommended: 0, variants: [variant("Q4_K_M"), variant("Q8_0"), variant("fp8", "vllm")], ...more }) as CatalogueEntry;
const ALL = { words: "", modality: "", family: "", fits: false, sort: "fit" };

test("a source of the catalogue", () => {
  assert.deepEqual(cataloguedIn(" catalogue:qwen3-8b:Q8_0 "), { id: "qwen3-8b", quantization: "Q8_0" });
  assert.deepEqual(cataloguedIn("catalogue:qwen3-8b"), { id: "qwen3-8b", quantization: "" });
  assert.equal(cataloguedIn("hf:org/catalogue:Q8_0"), undefined);
  assert.equal(cataloguedIn("catalogue:"), undefined);
  const one = entry("a", { recommended: 1 });
  assert.equal(cataloguedAs(one, "Q8_0"), "catalogue:a:Q8_0");
  assert.equal(variantAt(one, ""), 1);
  assert.equal(variantAt(one, "q4_k_m"), 0);
  assert.equal(variantAt(one, "Q2_K"), -1);
  assert.equal(sourceAt(variant("Q8_0"), "modelscope"), "modelscope:O/n:Q8_0");
  assert.equal(sourceAt(variant("Q8_0"), "elsewhere"), "hf:O/n:Q8_0");
});

test("what is looked for in it", () => {
  const entries = [entry("large", { parameters: 70, verdict: "does_not_fit" }), entry("small", { parameters: 2, abilities: ["code"] }), entry("near", { modality: "embedding", family: "BGE", parameters: 3, verdict: "unknown" })];
  const ids = (wanted: Partial<typeof ALL>) => lookedFor(entries, { ...ALL, ...wanted }).map((one) => one.id);
  assert.deepEqual(ids({}), ["small", "near", "large"]);
  assert.deepEqual(ids({ sort: "large" }), ["large", "near", "small"]);
  assert.deepEqual(ids({ sort: "no such order" }), ["small", "near", "large"]);
  assert.deepEqual(ids({ words: "CODE fp8" }), ["small"]);
  assert.deepEqual(ids({ modality: "embedding" }), ["near"]);
  assert.deepEqual(ids({ fits: true }), ["small"]);
  assert.deepEqual(ids({ family: "Qwen3", words: "large vllm" }), ["large"]);
  assert.deepEqual(kindsOf(entries, "family"), ["Qwen3", "BGE"]);
});
