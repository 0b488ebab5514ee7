// The built files, each plain, as gzip and as brotli, in one blob (files.bin) beside a C++ source (files.cc) that says where each lies.
import { readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { extname, join, relative } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".json": "application/json",
  ".woff2": "font/woff2",
  ".txt": "text/plain; charset=utf-8",
};

function listed(folder) {
  return readdirSync(folder).sort().flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? listed(path) : [path];
  });
}

// Compressed, or empty where that saves less than a tenth.
function worth(plain, compressed) {
  return compressed.length < plain.length * 0.9 ? compressed : Buffer.alloc(0);
}

export function pack(dist, out) {
  const pieces = [];
  let length = 0;
  const place = (bytes) => {
    const text = `piece(${length}, ${bytes.length})`;
    pieces.push(bytes);
    length += bytes.length;
    return text;
  };
  const lines = listed(dist).map((path) => {
    const type = TYPES[extname(path)];
    if (!type) throw new Error(`${path}: tools/pack.mjs knows no media type for it`);
    const plain = readFileSync(path);
    const gzip = worth(plain, gzipSync(plain, { level: 9 }));
    const brotli = worth(plain, brotliCompressSync(plain, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }));
    const name = JSON.stringify(relative(dist, path));
    return `        {${name}, ${JSON.stringify(type)}, ${place(plain)}, ${place(gzip)}, ${place(brotli)}},`;
  });
  writeFileSync(join(out, "files.bin"), Buffer.concat(pieces));
  writeFileSync(join(out, "files.cc"), `// Made by console/tools/pack.mjs.
#include "control/api/console.h"

asm(".pushsection .rodata\\n"
    "gantry_console_bytes:\\n"
    ".incbin \\"${join(out, "files.bin")}\\"\\n"
    ".byte 0\\n"
    ".popsection\\n");
extern const char gantry_console_bytes[] asm("gantry_console_bytes");

namespace gantry::control {
namespace {
std::string_view piece(size_t at, size_t length) { return {gantry_console_bytes + at, length}; }
}  // namespace

std::span<const ConsoleFile> console_files() {
    static const ConsoleFile kFiles[] = {
${lines.join("\n")}
    };
    return kFiles;
}
}  // namespace gantry::control
`);
}
