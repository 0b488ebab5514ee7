"""Real parts only: the gantry binary, its engine, small real models, the clients that people use."""
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import time

import httpx
import openai
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
GANTRY = os.environ.get("GANTRY_BINARY", str(ROOT / "build/release/gantry"))
LLAMA_SERVER = os.environ.get("LLAMA_SERVER", str(ROOT / "build/release/bin/llama-server"))
MODELS = pathlib.Path(os.environ.get("GANTRY_MODEL_CACHE") or pathlib.Path.home() / ".cache/gantry/models")
SMOLLM2 = MODELS / "llm/SmolLM2-135M-Instruct.Q4_1.gguf"
MINILM = MODELS / "embed/all-MiniLM-L6-v2.f16.gguf"
RERANKER = MODELS / "embed/synthetic-rerank-minilm.gguf"   # a random head: its scores mean nothing
TOWER = MODELS / "vision/synthetic-mmproj-mlp-576.gguf"    # fits SmolLM2; of random numbers: what is said of pictures means nothing
SOURCES = pathlib.Path(os.environ.get("GANTRY_SOURCE_CACHE") or pathlib.Path.home() / ".cache/gantry/src")
TEMPLATES = SOURCES / "llama_cpp_python-0.3.36/vendor/llama.cpp/models/templates"

TLS = ssl.create_default_context()   # unused, but httpx takes 30 ms to make one for each request that is given none


def until(condition, what, timeout=60.0, every=0.02):
    """Waits for an event that can only be seen by asking; returns what the condition gave."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout:.0f} s: {what}")
        time.sleep(every)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:  # a zombie whose parent (the test) has not reaped it is dead
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Engine:
    """`gantry engine` by itself; it leaves nothing behind unless told where."""

    def __init__(self, *flags):
        kept = [] if "--packed-cache" in flags else ["--packed-cache-gib", "0"]
        self.process = subprocess.Popen([GANTRY, "engine", "--port", "0", *kept, *flags], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.url = "http://" + re.fullmatch(r"listening on (.*)\n", line).group(1)
        until(lambda: httpx.get(f"{self.url}/health").status_code == 200, "the model is loaded", timeout=120)

    def post(self, path, status=200, **body):
        answer = httpx.post(f"{self.url}{path}", json=body, timeout=300)
        assert answer.status_code == status, answer.text
        return answer.json()

    def metric(self, name):
        return float(re.search(rf"^{name} (\S+)", httpx.get(f"{self.url}/metrics").text, re.M).group(1))

    def stop(self):
        self.process.terminate()
        assert self.process.wait(30) == 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Server:
    """A gantry server of the test's own, in a data folder of its own."""

    def __init__(self, data_dir, *flags):
        self.data_dir = pathlib.Path(data_dir)
        self.flags = flags
        self.host = "127.0.0.1"
        self.address = "127.0.0.1"   # where its users find it
        self.prefix = ()             # words before the command: where it runs
        self.program = GANTRY
        self.port = free_port()
        self.process = None
        self.key = None
        self.environment_more = {}

    def start(self, wait=True):
        self.output = open(self.data_dir.parent / f"{self.data_dir.name}.out", "ab")
        self.process = subprocess.Popen(
            [*self.prefix, self.program, "serve", "--port", str(self.port), "--host", self.host, "--data-dir", str(self.data_dir), *self.flags],
            stdout=self.output, stderr=self.output, env=self.environment())
        if wait:
            until(self.ready, "the server is ready", timeout=60)
            if not self.key:
                self.key = self.cli("keys", "create", "e2e", "--quiet").stdout.strip()
        return self

    def ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended with {self.process.returncode}: {self.log()[-2000:]}")
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def log(self):
        return pathlib.Path(self.output.name).read_text(errors="replace")

    def environment(self):
        kept = {k: v for k, v in os.environ.items() if not k.startswith("GANTRY_")}
        return {**kept, "GANTRY_DATA_DIR": str(self.data_dir), "NO_COLOR": "1", **self.environment_more}

    @property
    def url(self):
        return f"http://{self.address}:{self.port}"

    def cli(self, *words, check=True, stdin=None, timeout=120):
        done = subprocess.run([self.program, *words], capture_output=True, text=True, timeout=timeout, input=stdin,
                              env=self.environment())
        if check and done.returncode != 0:
            raise AssertionError(f"gantry {' '.join(words)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    def cli_json(self, *words):
        return json.loads(self.cli(*words, "--json").stdout)

    def api(self, method, path, key=None, **options):
        return self.request(method, path, headers={"Authorization": f"Bearer {key or self.key}", **options.pop("headers", {})}, **options)

    def request(self, method, path, **options):
        return httpx.request(method, f"{self.url}{path}", timeout=60, verify=TLS, **options)

    def items(self, path):
        answer = self.api("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()["items"]

    def deploy(self, name, *flags, source=None):
        return self.cli("deploy", name, "--source", source or f"file:{SMOLLM2}", "--wait", *flags)

    def instances(self, name):
        return self.items(f"/api/v1/instances?deployment={name}")

    def running(self, name, count=1):
        return until(lambda: (lambda found: found if len(found) == count else None)(
            [i for i in self.instances(name) if i["state"] == "running"]), f"{count} instances of {name} run")

    def openai(self, **options):
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=self.key, max_retries=0, timeout=120, **options)

    def in_flight(self):
        text = self.api("GET", "/metrics").text
        found = re.search(r"^gantry_gateway_requests_in_flight (\S+)", text, re.M)
        assert found, "the metric gantry_gateway_requests_in_flight is missing"
        return float(found.group(1))

    def kill9(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """Ctrl-C: the engines end too."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise AssertionError("the server did not stop within 60 s of SIGINT")


@pytest.fixture(scope="session", autouse=True)
def parts():
    if not SMOLLM2.exists():
        pytest.skip("SmolLM2 is not in the model cache: ./dev models smollm2-135m")
    assert os.access(GANTRY, os.X_OK), f"no binary at {GANTRY}: ./dev build"


@pytest.fixture
def fresh_server(tmp_path):
    server = Server(tmp_path / "data")
    yield server
    server.stop()


@pytest.fixture
def own(fresh_server):
    """The same, started."""
    return fresh_server.start()


def serving_smollm2(folder):
    """For fixtures: a server of one's own with SmolLM2 deployed as `smollm2`."""
    own = Server(folder / "data").start()
    own.deploy("smollm2")
    yield own
    own.stop()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """One server with SmolLM2 deployed as `smollm2`, shared by tests that don't harm it."""
    yield from serving_smollm2(tmp_path_factory.mktemp("shared"))


@pytest.fixture(scope="session")
def tool_server(server):
    """The same with `tools`: SmolLM2 knows ChatML and no tools, so it is given the template of a model that does. What such a small
    model calls on its own is chance, so that tests force calls."""
    template = TEMPLATES / "Qwen-Qwen2.5-7B-Instruct.jinja"
    server.deploy("tools", "--ctx", "4096", "--arg=--chat-template", f"--arg={template}")
    return server


@pytest.fixture(scope="session")
def embedding_server(server):
    """The same with `minilm` and `reranker`."""
    if missing := [path.name for path in (MINILM, RERANKER) if not path.exists()]:
        pytest.skip(f"{', '.join(missing)} not in the model cache: ./dev models minilm-l6 synthetic-rerank-minilm")
    server.deploy("minilm", source=f"file:{MINILM}")
    server.deploy("reranker", source=f"file:{RERANKER}")
    return server


def client_program(server, argv, **environment):
    """Runs a client written in another language, or of another environment, against the server. It prints a line of JSON for each of
    its cases: {"case": name, "error": null or what went wrong}. Returns them as a dict."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300,
                          env={**os.environ, "GANTRY_URL": server.url, "GANTRY_KEY": server.key, **environment})
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and lines, f"{argv} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return {line["case"]: line["error"] for line in lines}
