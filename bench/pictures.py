"""Gantry's estimate of what a picture takes against llama-server: towers (mmproj) of several sizes with random weights, for each what it logs
as its compute buffer, and VmHWM before and after a picture. Raw results in docs/perf/placement-pictures.json, the table in
docs/perf/placement.md. usage: pictures [--report]"""
import argparse
import base64
import json
import os
import pathlib
import random
import re
import shutil
import struct
import subprocess
import tempfile
import time
import venv
import zlib

from common import LLAMA_SERVER, MODELS, ROOT, SMOLLM2, environment, free_port
from estimates import Engine, MIB, PAGE, TOOL, between, fill

RAW = ROOT / "docs/perf/placement-pictures.json"
BEGIN, END = "<!-- pictures: written by ./dev bench pictures -->\n", "<!-- /pictures -->\n"
# Width, feed-forward, heads, side of a patch and of the picture: the tests' own; CLIP's ViT-L/14 at 336; SigLIP's of 896; a wide one.
TOWERS = {"synthetic, of the tests": (64, 128, 4, 16, 64), "as ViT-L/14 at 336": (1024, 4096, 16, 14, 336),
          "as SigLIP at 896": (1152, 4304, 16, 14, 896), "768 wide at 1,024": (768, 3072, 12, 16, 1024)}


def tower_file(path, shape):
    home = ROOT / "build/bench/gguf"
    if not (home / "bin/python").exists():
        venv.create(home, with_pip=True)
        subprocess.run([home / "bin/pip", "install", "-q", "--disable-pip-version-check", "numpy", "gguf"], check=True)
    subprocess.run([home / "bin/python", ROOT / "tools/models/synthetic_tower.py", path, *map(str, shape)], check=True)


def picture(side):
    """A PNG of noise in one colour."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + os.urandom(3 * side) for _ in range(side))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")


def ask(server, side):
    url = "data:image/png;base64," + base64.b64encode(picture(side)).decode()
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "What is it?"}]
    return server.post("/v1/chat/completions", {"messages": [{"role": "user", "content": content}], "max_tokens": 4})["usage"]["prompt_tokens"]


def measure(name, shape):
    with tempfile.TemporaryDirectory(prefix="gantry-bench-") as folder:
        model, tower = pathlib.Path(folder) / "m.gguf", pathlib.Path(folder) / "mmproj-f32.gguf"
        shutil.copyfile(SMOLLM2, model)
        tower_file(tower, shape)
        context = 2048
        with Engine("llama-server", model, context, 1, "f16", ["--mmproj", tower, "--no-mmproj-offload", "-lv", "4"]) as server:
            fill(server, context, 1, random.Random(7))   # all that texts take: cells that nobody used yet would count as the picture's
            before = server.memory()
            tokens = ask(server, shape[4])
            after = server.memory()
            said = re.search(r"reserve_compute_meta: +\S+ compute buffer size = +([0-9.]+) MiB", pathlib.Path(server.log.name).read_text())
        estimate = json.loads(subprocess.run([TOOL, str(model), "--backend", "llama-server", "--ctx", str(context), "--sequences", "1", "--kv-type", "f16"],
                                             check=True, capture_output=True, text=True).stdout)
    return {"tower": name, "shape": shape, "prompt_tokens": tokens, "before": before, "after": after,
            "logged_mib": float(said.group(1)) if said else None, "estimate": estimate}


def table(runs):
    lines = ["", "| tower | picture | compute buffer, MiB: ours | logged | a picture took, MiB: ours | measured | the whole, MiB: ours | measured peak | error |",
             "|---|---|---|---|---|---|---|---|---|"]
    for run in runs:
        term = next(term for term in run["estimate"]["terms"] if term["name"] == "picture")
        side = run["shape"][4]
        beside = 15 * side * side + 4 * (side // run["shape"][3]) ** 2 * 576
        grew = (run["after"]["VmHWM"] - run["before"]["VmHWM"]) / MIB
        lines.append(f"| {run['tower']} | {side}² in {(side // run['shape'][3]) ** 2:,} patches | {(term['bytes'] - beside) / MIB:,.2f} | {run['logged_mib'] or 0:,.2f} | "
                     f"{term['bytes'] / MIB:,.1f} | {grew:,.1f} | {run['estimate']['total'] / MIB:,.0f} | {run['after']['VmHWM'] / MIB:,.0f} | "
                     f"{run['estimate']['total'] / run['after']['VmHWM'] - 1:+.1%} |")
    return "\n".join([*lines, ""])


def main():
    parser = argparse.ArgumentParser(prog="./dev bench pictures", description=__doc__)
    parser.add_argument("--report", action="store_true", help="measure nothing: write the table anew")
    runs = json.loads(RAW.read_text()) if parser.parse_args().report else [measure(name, shape) for name, shape in TOWERS.items()]
    RAW.write_text(json.dumps(runs, indent=1) + "\n")
    print(table(runs))
    PAGE.write_text(between(PAGE.read_text(), BEGIN, END, table(runs)))


if __name__ == "__main__":
    main()
