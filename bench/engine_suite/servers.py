"""Engines under test. All are measured by the same client, `gantry compare` and `gantry bench`."""
import json
import os
import pathlib
import subprocess

from common import GANTRY, environment
from suite.servers import RIVALS, Server, fleet  # noqa: F401

LLAMA_SERVER = pathlib.Path(os.environ.get("LLAMA_SERVER") or RIVALS / "llama/build/bin/llama-server")
LLAMA_BASE = ["-c", "32768", "-np", "8", "-kvu", "-t", "2", "--no-webui"]   # later flags win over these
VLLM = RIVALS / "vllm/bin/vllm"


def gantry(model, *flags):
    return Server("gantry", [GANTRY, "engine", "--model", model, *flags])


def llama(model, *flags):
    return Server(" ".join(["llama-server", *flags]), [LLAMA_SERVER, "-m", model, "--host", "127.0.0.1", *LLAMA_BASE, *flags])


def vllm(model):
    """Needs the folder that the rivals' own script dequantizes the GGUF into."""
    folder = RIVALS / "dequantized" / model.stem
    env = {"VLLM_CPU_KVCACHE_SPACE": "2", "VLLM_CPU_OMP_THREADS_BIND": "0-1", "HF_HUB_OFFLINE": "1"}
    return Server("vllm bf16", [VLLM, "serve", folder, "--served-model-name", "m", "--host", "127.0.0.1", "--max-model-len", "4096",
                                "--dtype", "bfloat16"], env=env, patience_s=600)


def vllm_ready(model):
    return VLLM.exists() and (RIVALS / "dequantized" / model.stem / "config.json").exists()


def client_words(server, verb, *flags, seed):
    return [GANTRY, verb, "--target", f"t=http://127.0.0.1:{server.port}/v1,model=m", "--json", "-q", "--no-warmup", "--seed", str(seed),
            "--temperature", "0.7", "--ignore-eos", *[str(flag) for flag in flags]]


def measure(server, verb, *flags, seed, timeout=1200):
    """One run of the measuring client on a server that is let run for it. Failed requests stay in the record."""
    words = client_words(server, verb, *flags, seed=seed)
    with server:
        done = subprocess.run(words, capture_output=True, text=True, timeout=timeout, env=environment())
    if not done.stdout.startswith("{"):
        raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}: {done.stderr[-800:]}")
    run = json.loads(done.stdout)["targets"][0]["runs"][0]
    if run["requests_failed"]:
        print(f"  {server.name}: {run['requests_failed']} requests failed: {done.stderr.strip()[-300:]}", flush=True)
    return run


def record(server, run, keep_tokens=True, **more):
    """What of a run goes into the raw samples: times to a tenth of a millisecond."""
    samples = [{"start_s": s["start_s"], "ok": s["ok"], "turn": s["turn"], "late_ms": s["late_ms"], "ttft_ms": round(s["ttft_ms"], 1),
                "e2e_ms": round(s["e2e_ms"], 1), "prompt_tokens": s["prompt_tokens"], "output_tokens": s["output_tokens"],
                "cached_tokens": s["cached_tokens"], **({"token_ms": [round(t, 1) for t in s["token_ms"]]} if keep_tokens else {})}
               for s in run["samples"]]
    return {"who": server.name, **more, "ttft_ms": run["ttft_ms"]["mean"], "tpot_ms": run["tpot_ms"]["mean"],
            "tok_s": run["throughput_tok_s"], "wall_s": run["wall_s"], "client_cpu_s": run["client_cpu_s"],
            "failed": run["requests_failed"], "prompt_tokens": run["prompt_tokens"], "output_tokens": run["output_tokens"],
            "cached_tokens": run["cached_tokens"], "samples": samples}


def warm(server):
    """A short request that isn't measured: the first one after a start pays for pages that later ones find mapped."""
    measure(server, "bench", "-c", "2", "--requests", "2", "--prompt-tokens", "60", "--max-tokens", "8", seed=1)
