"""How long a decision of placement takes: src/placement/scheduler_bench.cc, its raw results in docs/perf/placement-figures.json, the table
in docs/perf/placement.md. usage: placement [--quick] [--report]"""
import argparse
import json
import os
import pathlib
import platform
import re
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
RAW, PAGE = ROOT / "docs/perf/placement-figures.json", ROOT / "docs/perf/placement.md"
BEGIN, END = "<!-- figures: written by ./dev bench placement -->\n", "<!-- /figures -->\n"
BUILD = ROOT / "build/release"
# What it says of each benchmark, and the goal in ms.
ROWS = {"plan/vllm_one_device": ("plan one instance over 1,000 devices: vLLM, one card", 2),
        "plan/vllm_one_device_and_room": ("the same, and the room of every device from the snapshot", 2),
        "plan/vllm_several_devices": ("plan one instance of several cards over 1,000 devices", 2),
        "plan/llama_server": ("plan one instance over 1,000 devices: llama-server", 2),
        "plan/engine": ("plan one instance on 125 workers: embedded engine", 2),
        "plan_nowhere": ("find that none of 1,000 devices does, with the reason", 2),
        "evaluate/vllm_8_cards_each": ("evaluate one model on 200 workers of 8 cards each, all explained", 10),
        "evaluate/llama_server_2_cards_each": ("evaluate one model on 200 workers of 2 cards each, all explained", 10),
        "evaluate/vllm_nowhere": ("the same on 200 workers of 8 cards where nothing fits, with what would help", 10),
        "evaluate_unequal/one_worker_each": ("evaluate one model on 8 workers of 256 unequal cards each", 100),
        "evaluate_unequal/across_workers": ("the same, and one instance may use several workers", 100),
        "evaluate_unequal/nowhere_at_all": ("the same of a model that all of them together do not hold", 100),
        "evaluate_unequal/vllm_across_workers": ("the same with vLLM", 100),
        "evaluate/engine_no_cards": ("evaluate one model on 200 workers without cards, all explained", 10)}


def measure(quick):
    subprocess.run(["ninja", "-C", BUILD, "scheduler_bench"], check=True, stdout=subprocess.DEVNULL)
    binary = next(path for path in BUILD.rglob("scheduler_bench") if os.access(path, os.X_OK) and path.is_file())
    load = os.getloadavg()[0]
    words = [binary, "--benchmark_format=json", f"--benchmark_repetitions={3 if quick else 10}", f"--benchmark_min_time={0.05 if quick else 0.3}",
             "--benchmark_enable_random_interleaving=true"]
    raw = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    return {"commit": commit, "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "machine": {"cpu": cpu, "cores": os.cpu_count(), "kernel": platform.release(), "load_before": load, "load_after": os.getloadavg()[0]},
            "benchmarks": raw["benchmarks"]}


def section(raw):
    lines = ["## Figures", "", f"Made by `./dev bench placement` from [placement-figures.json](placement-figures.json): commit {raw['commit']}, {raw['at']}, "
             f"{raw['machine']['cpu']}, {raw['machine']['cores']} cores, load {raw['machine']['load_before']:.1f}. Every device has room of its own, half of them run "
             "something; CPU time of one thread, median (least–most) of the repetitions.", "", "| what | goal | measured | |", "|---|---|---|---|"]
    for name, (what, goal) in ROWS.items():
        times = sorted(b["cpu_time"] for b in raw["benchmarks"] if b["run_name"].split("/repeats")[0] == name and b["run_type"] == "iteration")
        if not times:
            lines.append(f"| {what} | ≤ {goal} ms | – | not measured |")
            continue
        median = times[len(times) // 2]
        lines.append(f"| {what} | ≤ {goal} ms | {median:.2f} ms ({times[0]:.2f}–{times[-1]:.2f}) | {'met' if median <= goal else f'**missed by {median / goal:.1f}×**'} |")
    return "\n".join(lines) + "\n"


def write(text):
    page = PAGE.read_text() if PAGE.exists() else "# Placement: estimates and decisions\n\n"
    part = BEGIN + text + END
    found = re.search(re.escape(BEGIN) + ".*?" + re.escape(END), page, re.S)
    PAGE.write_text(page.replace(found.group(0), part) if found else page.rstrip("\n") + "\n\n" + part)
    print(f"wrote {PAGE.relative_to(ROOT)}")


def main():
    parser = argparse.ArgumentParser(prog="./dev bench placement", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, for a try")
    parser.add_argument("--report", action="store_true", help="write the table anew from what was measured")
    chosen = parser.parse_args()
    if not chosen.report:
        RAW.parent.mkdir(parents=True, exist_ok=True)
        RAW.write_text(json.dumps(measure(chosen.quick), indent=1) + "\n")
    text = section(json.loads(RAW.read_text()))
    print(text)
    write(text)


if __name__ == "__main__":
    main()
