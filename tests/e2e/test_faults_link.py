"""Faults of the network between a server and a worker elsewhere, by the numbers of docs/reliability.md. A proxy is the network
(fault_proxy.py); where this machine can make network namespaces, one test has a real one. Partitions that outlast a lease:
test_workers.py."""
import contextlib
import json
import os
import subprocess
import threading
import time

import httpx
import pytest

from conftest import Server, alive, until
from fake_engines import FakeEngines, broken_by
from fault_proxy import FaultProxy
from remote_workers import RemoteWorker, new_token


class Far:
    """A server, and a worker with one engine behind a proxy."""

    def __init__(self, folder):
        self.server = Server(folder / "data", "--no-worker").start()
        self.proxy = FaultProxy(self.server.port)
        self.worker = RemoteWorker(self.server, folder, "far", self.proxy.url).start(new_token(self.server))
        until(self.worker.ready, "it joined")
        self.engines = FakeEngines(self.server, folder).deploy()
        [self.instance] = self.engines.running()

    def same(self):
        [now] = self.engines.running()
        assert (now["id"], now["pid"], now["restarts"]) == (self.instance["id"], self.instance["pid"], 0)
        assert len(self.engines.journal("started")) == 1

    def stop(self):
        self.proxy.thaw()
        self.worker.stop()
        self.server.stop()
        self.proxy.close()


@pytest.fixture(scope="module")
def far(tmp_path_factory):
    one = Far(tmp_path_factory.mktemp("far"))
    yield one
    one.stop()


@pytest.fixture(autouse=True)
def as_it_was(far):
    far.engines.behave()
    yield
    far.engines.behave()
    far.proxy.delay_s = 0
    far.proxy.refuse(False)
    far.proxy.thaw()
    until(lambda: far.engines.ask().status_code == 200, "it serves again")


class States:
    """Every state that watchers are told of meanwhile, of workers and instances."""

    def __init__(self, server):
        self.server, self.seen = server, set()
        self.synced = threading.Event()

    def __enter__(self):
        self.client = httpx.Client(timeout=None)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        assert self.synced.wait(30)
        return self

    def run(self):
        headers = {"Authorization": f"Bearer {self.server.key}"}
        with contextlib.suppress(httpx.HTTPError), self.client.stream("GET", f"{self.server.url}/api/v1/watch?kinds=workers,instances", headers=headers) as answer:
            for line in answer.iter_lines():
                if line == "event: synced":
                    self.synced.set()
                if line.startswith("data: ") and (state := json.loads(line[6:]).get("object", {}).get("state")):
                    self.seen.add(state)

    def __exit__(self, *_):
        # What was told last is read before the watch ends.
        self.server.api("PATCH", "/api/v1/workers/far", json={"labels": {"seen": str(time.monotonic_ns())}})
        self.client.close()


def test_p9_f10_a_flapping_link_changes_nothing(far):
    with States(far.server) as states:
        for _ in range(3):
            far.proxy.cut("rst")
            assert far.engines.ask().status_code == 200, "who asks meanwhile waits"
        for _ in range(2):
            far.proxy.freeze()
            time.sleep(3)   # the fault itself; it is to be over before fifteen seconds are
            far.proxy.thaw()
            assert far.engines.ask().status_code == 200
        far.proxy.cut("fin")
        assert far.engines.ask().status_code == 200
    assert states.seen == {"ready", "running"}
    far.same()


def test_f10_refused_for_a_while(far):
    began = far.worker.log().count("is reached")
    far.proxy.refuse(True)
    far.proxy.cut("rst")
    until(lambda: "is not reached" in far.worker.log().split("is reached")[-1], "the worker notices")
    far.proxy.refuse(False)
    until(lambda: far.worker.log().count("is reached") > began, "it is back", timeout=15)
    assert far.engines.ask().status_code == 200
    far.same()


@pytest.mark.parametrize("way", ["up", "down"])
def test_f10_one_way_only(far, way):
    """A stream over it waits, and goes on."""
    far.engines.behave(tokens=40, delay_s=0.05)
    with far.engines.stream() as (_, lines):
        next(lines)
        far.proxy.freeze(way)
        time.sleep(2)   # the fault itself
        far.proxy.thaw()
        rest = list(lines)
    assert rest[-1] == "data: [DONE]" and not any('"error"' in line for line in rest)
    far.same()


def test_f10_two_seconds_of_latency(far):
    far.proxy.delay_s = 1
    with States(far.server) as states:
        for stream in (False, True):
            assert far.engines.ask(stream=stream).status_code == 200
        reported = far.server.items("/api/v1/workers")[0]["last_report_at"]
        until(lambda: far.server.items("/api/v1/workers")[0]["last_report_at"] > reported, "reports arrive")
    assert states.seen == {"ready", "running"}
    far.same()


@pytest.mark.parametrize("how", ["rst", "fin"])
def test_f11_a_connection_that_is_cut_mid_stream_ends_in_an_error(far, how):
    far.engines.behave(tokens=1000, delay_s=0.02)
    left = len(far.engines.journal("left"))
    with far.engines.stream() as (_, lines):
        next(lines)
        far.proxy.cut(how)
        assert broken_by(lines)["code"] == "engine_crashed"
    far.engines.seen("left", left + 1)
    far.engines.behave()
    assert far.engines.ask().status_code == 200
    far.same()


def test_p5_who_leaves_frees_an_engine_elsewhere_within_a_second(far):
    far.engines.behave(stall=1)
    left = len(far.engines.journal("left"))
    with far.engines.stream() as (_, lines):
        next(lines)
        went = time.monotonic()
    assert far.engines.seen("left", left + 1)[-1]["at"] - went < 1


def test_f2_a_worker_killed_while_its_engine_loads(far, tmp_path):
    engines = FakeEngines(far.server, tmp_path, "loads")
    with engines.loading():
        engines.deploy(wait=False)
        until(lambda: [i for i in engines.instances() if i["state"] == "starting" and i["pid"]], "it loads")
        far.worker.kill9()
        far.worker.start()
        until(far.worker.ready, "the worker is back")
    [after] = engines.running()
    assert after["restarts"] == 0 and len(engines.journal("started")) == 1, "adopted, not doubled"
    assert engines.ask().status_code == 200
    far.same()
    # Killed while it stops one: the one that is to go is gone, the other is not touched.
    assert far.server.api("DELETE", "/api/v1/deployments/loads").status_code == 204
    far.worker.kill9()
    far.worker.start()
    until(lambda: not alive(after["pid"]), "it ends")
    until(lambda: [i["id"] for i in far.server.items("/api/v1/instances")] == [far.instance["id"]], "one is left")
    until(far.worker.ready, "the worker is back")


def test_f12_another_address_is_the_same_worker(far):
    [before] = far.server.items("/api/v1/workers")
    with FaultProxy(far.server.port, source="127.0.0.9") as other:
        was, far.worker.url = far.worker.url, other.url
        far.worker.kill9()
        far.worker.start()
        moved = until(lambda: [w for w in far.server.items("/api/v1/workers") if w["address"] == "127.0.0.9"], "it is known to be there")
        assert [w["id"] for w in moved] == [before["id"]]
        assert far.engines.ask().status_code == 200
        far.same()
        far.worker.url = was
        far.worker.kill9()
        far.worker.start()
        until(lambda: far.server.items("/api/v1/workers")[0]["address"] == "127.0.0.1", "it moved back")
    until(far.worker.ready, "it reports")


def test_f1_p4_the_server_is_killed_in_the_middle_of_a_drain(tmp_path):
    """What was to move has moved, once; whoever asks is answered before and after."""
    server = Server(tmp_path / "data", "--no-worker").start()
    workers = {}
    try:
        workers["one"] = RemoteWorker(server, tmp_path, "one").start(new_token(server))
        until(workers["one"].ready, "it joined")
        engines = FakeEngines(server, tmp_path).deploy()
        [old] = engines.running()
        workers["two"] = RemoteWorker(server, tmp_path, "two").start(new_token(server))
        until(workers["two"].ready, "it joined")
        with engines.loading():
            assert server.api("PATCH", "/api/v1/workers/one", json={"drain_seconds": 600}).status_code == 200
            until(lambda: [i for i in engines.instances() if i["worker_name"] == "two" and i["state"] == "starting"], "another begins")
            server.kill9()
            server.start()
            until(lambda: old["pid"] in [i["pid"] for i in engines.running()], "the old one is there as it was")
            assert engines.ask().status_code == 200 and alive(old["pid"])
        until(lambda: [i["worker_name"] for i in engines.instances()] == ["two"], "it has moved")
        until(lambda: not alive(old["pid"]), "the old process ends")
        assert engines.ask().status_code == 200
        assert len(engines.journal("started")) == 2
    finally:
        for worker in workers.values():
            worker.stop()
        server.stop()


# ---- A real network

def ip(*words):
    return subprocess.run(["ip", *words], capture_output=True, text=True)


@pytest.fixture
def namespace():
    """A machine of its own for programs that `ip netns exec` starts: (its name, the server's address, its own)."""
    name = f"gantry{os.getpid() % 10000}"
    net = f"10.{200 + os.getpid() % 50}.{os.getpid() % 250}"
    if ip("netns", "add", name).returncode != 0:
        pytest.skip("no network namespaces here")
    try:
        steps = (("link", "add", f"{name}a", "type", "veth", "peer", "name", f"{name}b", "netns", name),
                 ("addr", "add", f"{net}.1/24", "dev", f"{name}a"), ("link", "set", f"{name}a", "up"),
                 ("-n", name, "addr", "add", f"{net}.2/24", "dev", f"{name}b"), ("-n", name, "link", "set", f"{name}b", "up"),
                 ("-n", name, "link", "set", "lo", "up"))
        for step in steps:
            done = ip(*step)
            if done.returncode != 0:
                pytest.skip(f"no virtual network here: {done.stderr}")
        yield name, f"{net}.1", f"{net}.2"
    finally:
        ip("link", "del", f"{name}a")
        ip("netns", "del", name)


def test_f11_a_machine_that_vanishes_leaves_no_stream_hanging(namespace, tmp_path):
    """Its packets are lost from one moment to the next, in both directions: nobody is told of an end."""
    name, here, _ = namespace
    server = Server(tmp_path / "data", "--no-worker")
    server.host = "0.0.0.0"
    server.start()
    worker = RemoteWorker(server, tmp_path, "gone", f"http://{here}:{server.port}")
    worker.prefix = ["ip", "netns", "exec", name]
    try:
        worker.start(new_token(server))
        until(worker.ready, "it joined")
        engines = FakeEngines(server, tmp_path).deploy()
        engines.behave(tokens=100_000, delay_s=0.05)
        with engines.stream() as (_, lines):
            next(lines)
            began = time.monotonic()
            assert ip("-n", name, "route", "add", "blackhole", f"{here}/32").returncode == 0
            error = broken_by(lines)
            assert error["code"] == "engine_crashed" and time.monotonic() - began < 20, (error, time.monotonic() - began)
        until(lambda: worker.state() == "unreachable", "the worker, too", timeout=20)
        ip("-n", name, "route", "del", "blackhole", f"{here}/32")
        until(lambda: worker.state() == "ready", "it is back by itself", timeout=30)
        engines.behave()
        until(lambda: engines.ask().status_code == 200, "and serves", timeout=30)
        assert len(engines.journal("started")) == 1
    finally:
        ip("-n", name, "route", "del", "blackhole", f"{here}/32")
        worker.stop()
        server.stop()
