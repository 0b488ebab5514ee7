"""Engines under test, each a server of its own on one port. Only one computes at a time: the others are stopped by SIGSTOP, so
that neither their threads nor their timers disturb. All are measured by the same client, `gantry compare` and `gantry bench`."""
import contextlib
import http.client
import json
import os
import pathlib
import signal
import subprocess
import tempfile

from common import GANTRY, environment, free_port, until

RIVALS = pathlib.Path(os.environ.get("RIVALS") or pathlib.Path.home() / ".cache/gantry/rivals")
LLAMA_SERVER = pathlib.Path(os.environ.get("LLAMA_SERVER") or RIVALS / "llama/build/bin/llama-server")
LLAMA_BASE = ["-c", "32768", "-np", "8", "-kvu", "-t", "2", "--no-webui"]   # later flags win over these
VLLM = RIVALS / "vllm/bin/vllm"


class Server:
    """start() waits until it is healthy and freezes it; `with server:` lets it run."""

    def __init__(self, name, argv, port=None, env=None):
        self.name, self.port, self.env = name, port or free_port(), env
        self.argv = [str(word) for word in argv] + ["--port", str(self.port)]
        self.process = None

    def spawn(self):
        self.log = tempfile.NamedTemporaryFile(prefix="gantry-bench-", suffix=".log")
        self.process = subprocess.Popen(self.argv, stdout=self.log, stderr=self.log, start_new_session=True,
                                        env={**environment(), **(self.env or {})})

    def start(self, timeout=300):
        self.spawn()
        until(self.healthy, f"{self.name} is ready", timeout=timeout, every=0.05)
        self.signal(signal.SIGSTOP)
        return self

    def get(self, path, timeout=5):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")

    def healthy(self):
        if self.process.poll() is not None:
            tail = pathlib.Path(self.log.name).read_text(errors="replace")[-1500:]
            raise AssertionError(f"{self.name} ended with {self.process.returncode}: {' '.join(self.argv)}\n{tail}")
        try:
            return self.get("/health")[0] == 200
        except OSError:
            return False

    def signal(self, number):
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def __enter__(self):
        self.signal(signal.SIGCONT)
        return self

    def __exit__(self, *_):
        self.signal(signal.SIGSTOP)

    def stop(self):
        if self.process is None:
            return
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            self.process.wait()
        self.signal(signal.SIGKILL)   # of a group, those that outlived their parent
        self.process = None           # stopping twice must not reach whoever gets the pid next
        self.log.close()

    def processes(self):
        """Pids of the whole group: vLLM is three processes."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                if entry.name.isdigit() and os.getpgid(int(entry.name)) == self.process.pid:
                    found.append(int(entry.name))
        return found

    def cpu_ticks(self):
        fields = [pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split() for pid in self.processes()]
        return sum(int(f[11]) + int(f[12]) for f in fields)

    def describe(self):
        return {"command": " ".join(self.argv[:-2]).replace(str(pathlib.Path.home()), "~")}


def gantry(model, *flags):
    return Server("gantry", [GANTRY, "engine", "--model", model, *flags])


def llama(model, *flags):
    return Server(" ".join(["llama-server", *flags]), [LLAMA_SERVER, "-m", model, "--host", "127.0.0.1", *LLAMA_BASE, *flags])


def vllm(model):
    """Needs the folder that the rivals' own script dequantizes the GGUF into."""
    folder = RIVALS / "dequantized" / model.stem
    env = {"VLLM_CPU_KVCACHE_SPACE": "2", "VLLM_CPU_OMP_THREADS_BIND": "0-1", "HF_HUB_OFFLINE": "1"}
    return Server("vllm bf16", [VLLM, "serve", folder, "--served-model-name", "m", "--host", "127.0.0.1", "--max-model-len", "4096",
                                "--dtype", "bfloat16"], env=env)


def vllm_ready(model):
    return VLLM.exists() and (RIVALS / "dequantized" / model.stem / "config.json").exists()


@contextlib.contextmanager
def fleet(servers):
    """Starts all; gives those that came up, so that a rival that crashes at its start costs only its own column."""
    up = []
    try:
        for server in servers:
            try:
                up.append(server.start(timeout=600 if server.name.startswith("vllm") else 120))
            except (AssertionError, OSError) as failure:
                print(f"left out: {failure}", flush=True)
                server.stop()
        yield up
    finally:
        for server in servers:   # Also the one that was starting when the run was killed.
            server.stop()


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
