"""Gateways under test before one upstream, which Gantry starts as an engine of its own: the others are given its port."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import sqlite3
import subprocess

from common import ROOT, environment, workspace
from common import Server as GantryServer
from suite.servers import RIVALS, Server, cpu_of

LOAD = ROOT / "build/release/bin/gateway_load"
NGINX = next((path for path in (RIVALS / "nginx/usr/sbin/nginx", shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin"))
              if path and pathlib.Path(path).exists()), None)
ROUTER = RIVALS / "router/bin/vllm-router"
ANSWER = json.dumps({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "mock", "choices": [
    {"index": 0, "message": {"role": "assistant", "content": "Hello there, how can I help you today?"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}}, separators=(",", ":"))
# What others need to be able to repeat: that of shared/rivals, all files in a folder of the run's own.
NGINX_CONF = """worker_processes 1; daemon off; pid {folder}/pid; error_log stderr; user {user};
events {{ worker_connections 8192; }}
http {{ access_log off; keepalive_requests 10000000; default_type application/json;
 client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
 {what}
}}
"""
MOCK = "server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 '{answer}'; }} }}"
HOP = """upstream up {{ server 127.0.0.1:{upstream}; keepalive 128; keepalive_requests 10000000; }}
 server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; proxy_pass http://up; }} }}"""
# deployment: the command that is its engine
ENGINES = {"mock": "/bin/sh {folder}/mock {{{{port}}}}", "stream": f"{LOAD} upstream --rate 20 --port {{{{{{{{port}}}}}}}}",
           "slow": f"{LOAD} upstream --rate 20 --ttft-ms 200 --port {{{{{{{{port}}}}}}}}"}


def nginx_conf(folder, name, what):
    own = folder / name
    own.mkdir()
    (own / "conf").write_text(NGINX_CONF.format(folder=own, user=os.environ.get("USER") or "root", what=what))
    return own / "conf"


class Gantry:
    """`gantry serve` in a data folder of its own, with one deployment whose engine is the upstream."""
    name = "gantry"

    def __init__(self, folder, engine):
        self.folder, self.engine, self.server = folder, engine, GantryServer(folder / "data")

    def start(self):
        mock = nginx_conf(self.folder, "upstream", MOCK.format(port="PORT", answer=ANSWER))
        (self.folder / "mock").write_text(f"sed -i s/PORT/$1/ {mock} && exec {NGINX} -e stderr -c {mock}\n")
        self.server.start()
        self.server.deploy("mock", "--backend", "custom", "--command", ENGINES[self.engine].format(folder=self.folder), "--health-path", "/health")
        self.upstream_port = int(self.server.running("mock")[0]["endpoint"].rsplit(":", 1)[1])
        self.port, self.key = self.server.port, self.limited_key()
        return self

    def limited_key(self):
        """One whose every limit is kept count of and never reached; without limits where this Gantry knows none."""
        limits = ["--rpm", 10**9, "--tpm", 10**9, "--concurrent", 100_000, "--monthly-tokens", 10**14]
        made = self.server.cli("keys", "create", "load", "--quiet", *[str(word) for word in limits], check=False)
        self.limited = made.returncode == 0
        return made.stdout.strip() if self.limited else self.server.key

    def processes(self):
        return [self.server.process.pid]   # its engines are others

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def counted(self):
        """Chats that its own metrics have, without those refused before any engine was asked: only others leave a record."""
        found = re.findall(r'^gantry_gateway_requests_total\{(.*operation="chat".*)\} (\S+)$', self.server.api("GET", "/metrics").text, re.M)
        return sum(int(float(count)) for labels, count in found if re.search(r'status="(200|499|5..)"', labels))

    def stop(self):
        """What it has recorded: read once it ended, so that all of the journal is in."""
        counted = self.counted()
        self.server.stop()
        with contextlib.closing(sqlite3.connect(f"file:{self.folder}/data/usage.db?mode=ro", uri=True)) as usage:
            records, tokens = usage.execute("SELECT count(*), sum(completion_tokens) FROM usage_records WHERE operation = 'chat'").fetchone()
        return {"counted": counted, "records": records, "completion_tokens": tokens or 0}

    def describe(self):
        limits = "with a limit of each kind" if self.limited else "without limits, which this one has not"
        return {"command": f"gantry serve, the upstream its engine (backend custom), one key {limits}"}


class Direct:
    """No gateway."""
    name = "direct"

    def __init__(self, port):
        self.port = port

    def processes(self):
        return []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def describe(self):
        return {"command": "the upstream itself"}


def rival(name, folder, upstream_port):
    if name == "nginx":
        server = Server("nginx", [], port_flag=None)
        conf = nginx_conf(folder, "hop", HOP.format(port=server.port, upstream=upstream_port))
        server.argv = [str(NGINX), "-e", "stderr", "-c", str(conf)]
        server.command = ["nginx, one worker, a plain proxy with keep-alive"]
        return server
    return Server("vllm-router", [ROUTER, "--host", "127.0.0.1", "--worker-urls", f"http://127.0.0.1:{upstream_port}", "--policy", "round_robin",
                                  "--log-level", "error"])


@contextlib.contextmanager
def gateways(engine, *rivals):
    """Gantry, what stands behind it, and rivals before the same. At the end: what Gantry has recorded, in its `usage`."""
    with workspace() as name:
        folder = pathlib.Path(name)
        gantry, up = Gantry(folder, engine), []
        try:
            gantry.start()
            up = [Direct(gantry.upstream_port), gantry]
            for one in [rival(name, folder, gantry.upstream_port) for name in rivals]:
                up.append(one)
                one.start()
            yield up
        finally:
            for one in up[2:]:
                one.stop()
            if gantry.server.process:
                gantry.usage = gantry.stop()


def pin(pids, cpu):
    for pid in pids:
        for task in pathlib.Path(f"/proc/{pid}/task").glob("*"):
            with contextlib.suppress(OSError):   # a thread that ended meanwhile
                os.sched_setaffinity(int(task.name), {cpu})


def descendants(pid):
    children = []
    for path in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):   # of a thread that ended meanwhile
            children += map(int, path.read_text().split())
    return [one for child in children for one in (child, *descendants(child))]


@contextlib.contextmanager
def apart(up):
    """Gateways on the last CPU, the upstream and what this process starts on the first, and where this user may say so no CPU falls into a
    deep sleep: else who shares one with whom, and how long the other takes to wake, decides more than the gateway. False: there is one CPU."""
    cpus = sorted(os.sched_getaffinity(0))
    with contextlib.ExitStack() as undo:
        if len(cpus) > 1:
            pin([pid for server in up for pid in server.processes()], cpus[-1])
            pin(descendants(next(server for server in up if server.name == "gantry").processes()[0]), cpus[0])
            os.sched_setaffinity(0, {cpus[0]})
            undo.callback(os.sched_setaffinity, 0, set(cpus))
            with contextlib.suppress(OSError):
                undo.enter_context(open("/dev/cpu_dma_latency", "wb", buffering=0)).write(bytes(4))
        yield len(cpus) > 1


def client_words(server, *flags):
    key = ["--key", server.key] if server.name == "gantry" else []
    return [str(word) for word in (LOAD, "client", "--port", server.port, *key, *flags)]


def client(server, *flags, timeout=300):
    """One run of the measuring client, and the gateway's CPU meanwhile."""
    with server:
        before = cpu_of(server.processes())
        done = subprocess.run(client_words(server, *flags), capture_output=True, text=True, timeout=timeout, check=True, env=environment())
        after = cpu_of(server.processes())
    return {**json.loads(done.stdout.splitlines()[-1]), "cpu_s": after["all"] - before["all"], "user_s": after["user"] - before["user"]}


def wrk_script(folder, server):
    """1 KB of a chat, as the client sends it; the figures as one line of JSON."""
    head = {"Content-Type": "application/json", **({"Authorization": f"Bearer {server.key}"} if server.name == "gantry" else {})}
    body = '{"model":"mock","max_tokens":16,"messages":[{"role":"user","content":"'
    body += ("the quick brown fox jumps over the lazy dog and " * 30)[:1024 - len(body) - 4] + '"}]}'
    lua = f"wrk.method = 'POST'\nwrk.body = [[{body}]]\n" + "".join(f"wrk.headers['{name}'] = '{value}'\n" for name, value in head.items())
    lua += """function done(summary, latency, requests)
  local e = summary.errors
  print(string.format('{"answered":%d,"seconds":%f,"failed":%d,"p50_us":%f,"p99_us":%f}', summary.requests, summary.duration / 1e6,
    e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(50), latency:percentile(99)))
end
"""
    path = folder / f"{server.name}.lua"
    path.write_text(lua)
    return path


def wrk(folder, server, connections, seconds):
    with server:
        before = cpu_of(server.processes())
        words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", wrk_script(folder, server), f"http://127.0.0.1:{server.port}/v1/chat/completions"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=seconds + 60, check=True)
        after = cpu_of(server.processes())
    return {**json.loads(done.stdout.splitlines()[-1]), "cpu_s": after["all"] - before["all"], "user_s": after["user"] - before["user"]}

