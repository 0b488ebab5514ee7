"""Products of weights, ours and ggml's, by type and shape: src/engine/kernels/matmul_bench.cc. A type leaves its raw samples in
docs/perf/kernels/ together with the peaks of the same minutes; the report is made of all that are there, so that a run can be split.
`steps` are forwards of whole models (src/engine/llama_runner_bench.cc), with our kernels and with ggml's in turns; `quality` is what the
kernels change of models' answers (src/engine/kernels/quality_test.cc). usage: kernels [TYPE...] [steps] [quality] [--quick]."""
import argparse
import json
import os
import subprocess
import sys
import tempfile

from common import MODELS, ROOT
from kernels_suite import report
from suite.report import say

BUILD = ROOT / "build/release"


def built(name):
    return next(path for path in BUILD.rglob(name) if os.access(path, os.X_OK) and path.is_file())


def quality(quick):
    """The test's recorded properties by model. A goal that is missed is a figure like others here."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        words = [built("engine_test"), "--gtest_filter=Models/KernelQuality.*", f"--gtest_output=json:{out.name}"]
        ended = subprocess.run(words, stdout=subprocess.DEVNULL, env={**os.environ, **({} if quick else {"GANTRY_TEST_HEAVY": "1"})})
        if ended.returncode not in (0, 1):   # 1: a bound that it asserts is missed
            raise SystemExit(f"engine_test ended with {ended.returncode} before it was done: run it by itself to see why")
        tests = [test for suite in json.load(out)["testsuites"] for test in suite["testsuite"]]
    records = {}
    for test in tests:
        figures = {key: float(value) for key, value in test.items() if key.split("_")[0] in report.FIGURES}
        records.setdefault(test["name"].split("/")[1], {"model": test["value_param"].strip('"')}).update(figures)
    return {"records": [record for record in records.values() if len(record) > 1]}


def benchmarks(name, which, *flags, **environment):
    """What google/benchmark says of those whose name `which` matches."""
    words = [built(name), f"--benchmark_filter={which}", "--benchmark_format=json", *flags]
    return json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, env={**os.environ, **environment}).stdout)["benchmarks"]


def measure(kind, quick):
    """google/benchmark's repetitions of the peaks and of one type's products, ours and ggml's next to each other."""
    threads = os.environ.get("GANTRY_BENCH_THREADS") or len(os.sched_getaffinity(0))
    found = benchmarks("matmul_bench", f"^(peak|{kind})/", f"--benchmark_repetitions={1 if quick else 3}",
                       f"--benchmark_min_time={0.01 if quick else 0.05}")
    return {"threads": int(threads), "records": [record for run in found for record in [record_of(run)] if record]}


def steps(quick):
    """Rounds of each model's cases, with our kernels and with ggml's; before each round what memory gives to all threads that read."""
    records, sizes = [], {}
    for model, cases in report.STEPS.items():
        listed = subprocess.run([sys.executable, ROOT / "tools/models.py", model], capture_output=True, text=True, check=True,
                                env={**os.environ, "GANTRY_MODEL_CACHE": str(MODELS)})
        path = listed.stdout.split()[-1]
        sizes[model] = os.path.getsize(path)
        for n in range(1 if quick else 3):
            [read] = benchmarks("matmul_bench", "^peak/read")
            records.append({"who": "peak", "model": model, "round": n, "gb_s": round(read["GB/s"], 2)})
            for who in ("gantry", "ggml") if n % 2 == 0 else ("ggml", "gantry"):
                now = [case for case in cases if n == 0 or not case.startswith("decode_long")]   # whose prompt takes longer than the rest
                runs = benchmarks("llama_runner_bench", f"^({'|'.join(now)})/iterations", GANTRY_TEST_MODEL=path,
                                  **({"GANTRY_BENCH_GGML": "1"} if who == "ggml" else {}))
                records += [{"who": who, "model": model, "case": run["name"].split("/iterations")[0], "round": n, "ms": round(run["real_time"], 2)}
                            for run in runs if not run.get("error_occurred")]
                say(f"{model}, {who}, round {n + 1}")
    return {"sizes": sizes, "records": records}


def record_of(run):
    """One repetition, by what its name says: peak/WHAT or TYPE/OUTPUTSxVALUES/ROWS/WHO. None: what is computed from others, or is not taken."""
    if run.get("run_type") == "aggregate" or run.get("error_occurred"):
        return None
    name = run["name"].split("/")
    rates = {key: round(run[counter], 2) for key, counter in (("gop_s", "GOP/s"), ("gb_s", "GB/s")) if counter in run}
    if name[0] == "peak":
        return {"who": "peak", "case": name[1], **rates}
    return {"who": {"ours": "gantry"}.get(name[3], name[3]), "shape": name[1], "rows": int(name[2]), **rates, "us": round(run["us"] * 1e6, 2)}


def main():
    parser = argparse.ArgumentParser(prog="./dev bench kernels", description=__doc__)
    parser.add_argument("types", nargs="*", metavar="TYPE",
                        help=f"{', '.join(report.TYPES)}; steps; quality; report: only make the report anew. Default: all")
    parser.add_argument("--quick", action="store_true", help="each once, briefly: does it work? Its numbers are noise")
    chosen = parser.parse_args()
    apart = {"steps": steps, "quality": quality}
    unknown = set(chosen.types) - {*report.TYPES, *apart, "report"}
    if unknown:
        parser.error(f"no type called {', '.join(sorted(unknown))}")
    if chosen.quick:
        report.PAGE.only_try()
    for kind in chosen.types or [*report.TYPES, *apart]:
        if kind != "report":
            say(f"{kind} (load {os.getloadavg()[0]:.2f})")
            report.PAGE.keep(kind, lambda: apart[kind](chosen.quick) if kind in apart else measure(kind, chosen.quick), quick=chosen.quick)
    report.write()


main()
