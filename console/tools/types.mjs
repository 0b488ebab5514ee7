// Types of the management API from its OpenAPI document, into src/api/schema.ts, which is not kept in the repository.
import openapi, { astToString } from "openapi-typescript";
import { readFileSync, writeFileSync } from "node:fs";

const document = new URL("../../src/control/api/openapi.json", import.meta.url);
const out = new URL("../src/api/schema.ts", import.meta.url);
const text = astToString(await openapi(document, { alphabetize: false }));
let before = "";
try {
  before = readFileSync(out, "utf8");
} catch {
  // not made yet
}
if (text !== before) writeFileSync(out, text);
