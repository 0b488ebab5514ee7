"""The server under test and its workers: real ones (`gantry worker`), and many played by bench/worker_load over the real link."""
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import httpx

from common import ROOT, SMOLLM2, Server, environment, until, workspace
from remote_workers import RemoteWorker, new_token

LOADS = pathlib.Path(os.environ.get("GANTRY_LOADS") or ROOT / "build/release/bin")
CHEAP = f"{sys.executable} {ROOT / 'tests/fakes/cheap_engine.py'} {{{{port}}}}"
UPSTREAM = f"{LOADS / 'gateway_load'} upstream --rate 20 --port {{{{port}}}}"


@contextlib.contextmanager
def server_in(*flags):
    with workspace() as name:
        server = Server(pathlib.Path(name) / "data", *flags)
        server.folder = pathlib.Path(name)
        try:
            yield server.start()
        finally:
            server.stop()


@contextlib.contextmanager
def played(server, count, accelerators=8):
    """`count` workers that report each second, their engines made up."""
    token = server.folder / "played.token"
    token.write_text(new_token(server, "--uses", "1000"))
    words = [LOADS / "worker_load", "--server", f"tls:127.0.0.1:{server.port}", "--token-file", token, "--folder", server.folder / "played",
             "--workers", count, "--accelerators", accelerators, "--engine", "tcp:127.0.0.1:9"]
    with open(server.folder / "played.out", "wb") as log, subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, stderr=log, text=True,
                                                                           env=environment()) as process:
        try:
            assert process.stdout.readline() == "ready\n", "worker_load could not have its workers join"
            until(lambda: len([w for w in server.items("/api/v1/workers?limit=500") if w["state"] == "ready"]) == count, "all are ready", timeout=120, every=0.2)
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


@contextlib.contextmanager
def workers(server, count):
    """Real ones, each in a process and a data folder of its own."""
    made = [RemoteWorker(server, server.folder, f"worker-{n}").start(new_token(server)) for n in range(count)]
    try:
        for one in made:
            until(one.ready, f"{one.name} reports")
        yield made
    finally:
        for one in made:
            if one.process.poll() is None:
                one.process.send_signal(signal.SIGCONT)
            one.stop()


def declare(server, names, command, replicas=1, **placement):
    """Deployments of a custom engine, each of them created as a person would."""
    for name in names:
        body = {"name": name, "source": f"file:{SMOLLM2}", "backend": "custom", "replicas": replicas, "options": {"command": command.split()}}
        answer = server.api("POST", "/api/v1/deployments", json={**body, **({"placement": placement} if placement else {})})
        assert answer.status_code == 201, answer.text


def all_running(server, count, timeout=300):
    def done():
        answer = server.api("GET", "/metrics").text
        return [float(line.split()[-1]) for line in answer.splitlines() if line.startswith("gantry_instances{") and '"running"' in line] == [count]
    until(done, f"{count} instances run", timeout=timeout, every=0.25)


class Watch:
    """When each state of instances and workers was told to somebody who watches: wait(kind, name, states, since)."""

    def __init__(self, server):
        self.server, self.seen = server, []
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self.follow, daemon=True)
        self.synced = threading.Event()

    def follow(self):
        headers = {"Authorization": f"Bearer {self.server.key}"}
        with contextlib.suppress(httpx.HTTPError), httpx.stream("GET", f"{self.server.url}/api/v1/watch?kinds=workers,instances", headers=headers, timeout=60) as answer:
            event = ""
            for line in answer.iter_lines():
                at = time.monotonic()
                if line.startswith("event: "):
                    event = line.removeprefix("event: ")
                    if event == "synced":
                        self.synced.set()
                elif line.startswith("data: ") and event in ("added", "modified", "deleted"):
                    told = json.loads(line.removeprefix("data: "))
                    with self.changed:
                        self.seen.append((at, told["kind"], told["object"], event))
                        self.changed.notify_all()

    def wait(self, what, since, fits, timeout=120):
        """The time of the first event after `since` that fits(kind, object, event)."""
        end = time.monotonic() + timeout
        with self.changed:
            while True:
                for at, kind, thing, event in self.seen:
                    if at >= since and fits(kind, thing, event):
                        return at, thing
                if not self.changed.wait(max(0.0, end - time.monotonic())):
                    raise AssertionError(f"not within {timeout} s: {what}")

    def __enter__(self):
        self.thread.start()
        assert self.synced.wait(30)
        return self

    def __exit__(self, *_):
        pass
