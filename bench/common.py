"""Shared by the benchmarks: start gantry, measure, print one JSON object with the raw samples."""
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/e2e"))
from conftest import GANTRY, LLAMA_SERVER, MODELS, SMOLLM2, Server, free_port, until  # noqa: E402,F401


def summary(values, digits=1):
    ordered = sorted(values)
    return {"median": round(statistics.median(ordered), digits), "min": round(ordered[0], digits),
            "max": round(ordered[-1], digits), "n": len(ordered)}


def report(name, figures, samples):
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    result = {"name": name, "commit": commit, "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
              "machine": {"cpu": cpu, "cores": os.cpu_count(), "kernel": platform.release(), "load": os.getloadavg()[0]},
              "figures": figures, "samples": samples}
    out = ROOT / "build/bench"
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps(result, indent=1))
    width = max(len(k) for k in figures)
    for key, value in figures.items():
        print(f"{key:{width}}  {value}")
    print(f"raw samples: {out / (name + '.json')}", file=sys.stderr)


def workspace():
    return tempfile.TemporaryDirectory(prefix="gantry-bench-")


def resident_mb(pid):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def environment():
    return {k: v for k, v in os.environ.items() if not k.startswith("GANTRY_")}
