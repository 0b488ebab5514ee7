"""The engine against its rivals: issue 4's table of figures. Each experiment leaves raw samples in docs/perf/engine/, the report is
made of all that are there, so that a run can be split. usage: engine [EXPERIMENT...] [--quick] [--rounds N]; see --help."""
import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys

from common import MODELS, ROOT
from engine_suite import report
from engine_suite.experiments import EXPERIMENTS, Plan
from suite.report import say
from suite.servers import RIVALS

MAIN, SMALL, LARGE, REQUANTIZED = "qwen2.5-coder-0.5b", "smollm2-135m", "qwen2.5-coder-1.5b", "qwen2.5-coder-0.5b-q4_0"
BESIDE = [(case, model) for model in (SMALL, REQUANTIZED, LARGE) for case in ("equal", "different")]
QUICK = ["equal", "late", "chat", "idle", "plan"]


def model_path(name):
    """The packaged file; Q4_0 is made of it by llama.cpp's own tool, for its speed only."""
    if name != REQUANTIZED:
        listed = subprocess.run([sys.executable, ROOT / "tools/models.py", name], capture_output=True, text=True, check=True,
                                env={**os.environ, "GANTRY_MODEL_CACHE": str(MODELS)})
        return pathlib.Path(listed.stdout.split()[-1])
    path, tool = MODELS / "llm/qwen2.5-coder-0.5b-q4_0.gguf", RIVALS / "llama/build/bin/llama-quantize"
    if not path.exists():
        subprocess.run([tool, "--allow-requantize", "--pure", model_path(MAIN), path.with_suffix(".part"), "Q4_0"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        path.with_suffix(".part").rename(path)
    return path


def best_flags(quick):
    if quick:   # One thread: with two it stands still beside other work.
        return dict.fromkeys(("equal", "different"), dict.fromkeys(("ttft_ms", "tok_s"), ["-t", "1"]))
    path = report.PAGE.folder / f"flags.{MAIN}.json"
    return json.loads(path.read_text())["best"] if path.exists() else {}


def run(experiment, model, rounds, chosen):
    say(f"{experiment}, {model}, {rounds} rounds (load {os.getloadavg()[0]:.2f})")
    plan = Plan(model, model_path(model), rounds, chosen.quick, best_flags(chosen.quick), not chosen.no_vllm, tuple(chosen.gantry_flags.split()))
    report.PAGE.keep(experiment, lambda: EXPERIMENTS[experiment](plan), model, quick=chosen.quick, rounds=rounds)


def jobs(chosen):
    """(experiment, model, rounds) in the order in which they run."""
    rounds = chosen.rounds or (2 if chosen.quick else 5)
    for name in chosen.experiments or (QUICK if chosen.quick else [*EXPERIMENTS, "beside"]):
        if name == "beside":
            yield from ((case, model, min(rounds, 3 if model != LARGE else 2)) for case, model in BESIDE)
        else:
            yield name, chosen.model or (SMALL if name == "poisson" or chosen.quick else MAIN), rounds


def main():
    parser = argparse.ArgumentParser(prog="./dev bench engine", description=__doc__)
    parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT",
                        help=f"{', '.join(EXPERIMENTS)}; beside: the other models; report: only make the report anew. Default: all")
    parser.add_argument("--quick", action="store_true", help="two short rounds of a few on SmolLM2: does it work? Its numbers are noise")
    parser.add_argument("--rounds", type=int, help="default 5")
    parser.add_argument("--model", help=f"instead of {MAIN} ({SMALL} for poisson)")
    parser.add_argument("--no-vllm", action="store_true", help="leave vLLM out (it takes two minutes to start)")
    parser.add_argument("--gantry-flags", default="", help="for `gantry engine`, such as \"--threads 1\"")
    chosen = parser.parse_args()
    unknown = set(chosen.experiments) - {*EXPERIMENTS, "beside", "report"}
    if unknown:
        parser.error(f"no experiment called {', '.join(sorted(unknown))}")
    # A killed run stops its servers as an interrupted one does: frozen and in groups of their own, nobody else would.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    if chosen.quick:   # Not beside what was measured.
        report.PAGE.only_try()
        report.MAIN = SMALL
    if chosen.experiments != ["report"]:
        for job in jobs(chosen):
            run(*job, chosen)
    report.write()


main()
