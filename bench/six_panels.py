"""The six-panel experiment: equal and different prompts of 300+ tokens, Gantry (through its gateway) against llama-server of the
same source with and without flash attention, same file, same client, interleaved. usage: six_panels [MODEL.gguf] [ROUNDS]"""
import json
import pathlib
import signal
import statistics
import subprocess
import sys

import httpx

from common import GANTRY, LLAMA_SERVER, SMOLLM2, Server, environment, free_port, report, summary, until, workspace

model = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else SMOLLM2
rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 7
RIVALS = {"llama-server -fa on": "on", "llama-server -fa off": "off"}   # its default, and what suits decoding on this CPU


def healthy(port):
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200
    except httpx.HTTPError:
        return False


def measure(server, verb, *words):
    done = server.cli(verb, *words, "--max-tokens", "64", "--ignore-eos", "--json", timeout=600)
    return json.loads(done.stdout)["targets"][0]["runs"][0]


with workspace() as folder:
    server = Server(pathlib.Path(folder) / "data").start()
    server.deploy("m", source=f"file:{model}")
    targets, rivals, samples = {"gantry": ["m"]}, [], []
    for who, attention in RIVALS.items():
        port = free_port()
        rivals.append(subprocess.Popen([LLAMA_SERVER, "-m", str(model), "--host", "127.0.0.1", "--port", str(port), "-c", "32768",
                                        "-np", "8", "-kvu", "-t", "2", "-fa", attention],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        until(lambda: healthy(port), f"{who} is ready", timeout=120)
        targets[who] = ["--target", f"rival=http://127.0.0.1:{port}/v1,model=m"]
    for n in range(rounds + 1):
        for case, verb, flags in [("1 client", "compare", ["-n", "1"]), ("6 equal", "compare", ["-n", "6"]),
                                  ("6 different", "bench", ["-c", "6", "--requests", "6", "--prompt-tokens", "330"])]:
            for who, chosen in targets.items():
                run = measure(server, verb, *chosen, *flags, "--seed", str(n))
                if n > 0:   # round 0 warms both
                    samples.append({"round": n, "case": case, "who": who, "ttft_ms": run["ttft_ms"]["mean"],
                                    "tpot_ms": run["tpot_ms"]["mean"], "tok_s": run["throughput_tok_s"],
                                    "prompt_tokens": run["prompt_tokens"], "failed": run["requests_failed"]})
    for rival in rivals:
        rival.send_signal(signal.SIGTERM)
        rival.wait(30)
    server.stop()

figures = {}
for case in ("1 client", "6 equal", "6 different"):
    for measure_ in ("ttft_ms", "tpot_ms", "tok_s"):
        by = {who: [s[measure_] for s in samples if s["case"] == case and s["who"] == who] for who in targets}
        for who in RIVALS:
            ratios = [a / b for a, b in zip(by["gantry"], by[who]) if b]
            figures[f"{case}: {measure_}, {who}"] = (f"gantry {statistics.median(by['gantry']):.1f}   rival "
                                                     f"{statistics.median(by[who]):.1f}   ratio {summary(ratios, 2)}")
report("six_panels", figures, samples)
