// What CMake runs: types, checks, bundle, compression, and a C++ source that holds it all. GANTRY_CONSOLE_OUT is the folder for it.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { pack } from "./pack.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const out = process.env.GANTRY_CONSOLE_OUT;
if (!out) throw new Error("GANTRY_CONSOLE_OUT says where the built console goes");

function run(program, ...words) {
  const done = spawnSync(process.execPath, [`${root}/${program}`, ...words], { cwd: root, stdio: "inherit" });
  if (done.status !== 0) process.exit(done.status ?? 1);
}

run("tools/types.mjs");
run("node_modules/typescript/bin/tsc", "--noEmit");
run("node_modules/vite/bin/vite.js", "build", "--logLevel", "warn", "--emptyOutDir", "--outDir", `${out}/dist`);
pack(`${out}/dist`, out);
