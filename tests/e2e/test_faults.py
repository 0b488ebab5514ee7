"""Faults of one machine, by the numbers of docs/reliability.md: processes that are killed in each of their states, disks, clocks,
handles. Faults of the network between machines: test_faults_link.py. Engines are fakes that do as they are told; all else is real."""
import contextlib
import datetime
import os
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading

import httpx
import pytest

from conftest import ROOT, SMOLLM2, Server, alive, until
from fake_engines import FakeEngines, broken_by


@pytest.fixture
def own(tmp_path):
    """A server of the test's own."""
    server = Server(tmp_path / "data").start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One that the tests of engines share."""
    own = Server(tmp_path_factory.mktemp("faults") / "data").start()
    yield own
    own.stop()


def state_of(engines, state):
    return until(lambda: (lambda found: found if found and found[0]["state"] == state else None)(engines.instances()), f"it is {state}")[0]


def all_end(engines):
    until(lambda: not any(alive(e["pid"]) for e in engines.journal("started")), "no process of it is left")


# ---- F1: the server is killed

def test_f1_killed_while_an_engine_loads(own, tmp_path):
    engines = FakeEngines(own, tmp_path)
    with engines.loading():
        engines.deploy(wait=False)
        [before] = until(lambda: [i for i in engines.instances() if i["state"] == "starting" and i["pid"]], "it has a process")
        own.kill9()
        own.start()
        state_of(engines, "starting")
    [after] = engines.running()
    assert (after["id"], after["pid"], after["restarts"]) == (before["id"], before["pid"], 0)
    assert len(engines.journal("started")) == 1, "adopted, not doubled"
    assert engines.ask().status_code == 200


def test_f1_killed_right_after_it_acknowledged(own, tmp_path):
    """Deployed, and killed before anything came of it: it comes up. Deleted, and killed: nothing of it is left."""
    engines = FakeEngines(own, tmp_path).deploy(wait=False)
    own.kill9()
    own.start()
    [one] = engines.running()
    assert own.api("DELETE", f"/api/v1/deployments/{engines.name}").status_code == 204
    own.kill9()
    own.start()
    until(lambda: not alive(one["pid"]), "its engine ends")
    assert own.api("GET", f"/api/v1/deployments/{engines.name}").status_code == 404
    until(lambda: own.items("/api/v1/instances") == [], "its instance is gone")
    assert len({e["pid"] for e in engines.journal("started")}) in (1, 2), "one, or a second where the kill came before its record"
    all_end(engines)


def test_f1_killed_while_scaling_down(own, tmp_path):
    engines = FakeEngines(own, tmp_path).deploy(2)
    engines.behave(stall=1)
    with engines.stream() as (_, one), engines.stream() as (_, two):   # one on each
        next(one), next(two)
        assert own.api("PATCH", f"/api/v1/deployments/{engines.name}", json={"replicas": 1}).status_code == 200
        until(lambda: [i for i in engines.instances() if i["stopping"]], "one is marked")
        assert all(alive(i["pid"]) for i in engines.instances()), "what it answers may end first"
        own.kill9()
        for lines in (one, two):
            with contextlib.suppress(httpx.HTTPError):
                assert "[DONE]" not in "".join(lines)
    own.start()
    engines.behave()
    until(lambda: len(engines.instances()) == 1, "one is left")
    [left] = engines.running()
    until(lambda: [e["pid"] for e in engines.journal("started") if alive(e["pid"])] == [left["pid"]], "and one process")
    assert len(engines.journal("started")) == 2, "none was started for it"
    assert engines.ask().status_code == 200


def test_f1_killed_while_an_engine_is_stopped(own, tmp_path):
    """It ignores SIGTERM, so that it is still ending when the server comes back; its grace is over then, or goes on."""
    engines = FakeEngines(own, tmp_path, "stubborn", "--ignore-term").deploy()
    [one] = engines.running()
    assert own.api("PATCH", "/api/v1/deployments/stubborn", json={"stopped": True}).status_code == 200
    state_of(engines, "stopping")
    own.kill9()
    assert alive(one["pid"])
    own.start()
    until(lambda: engines.instances() == [], "it is gone", timeout=30)
    assert not alive(one["pid"]) and len(engines.journal("started")) == 1


def test_f1_killed_in_the_middle_of_an_update(own, tmp_path):
    engines = FakeEngines(own, tmp_path).deploy()
    [old] = engines.running()
    with engines.loading():
        changed = {"options": {"command": [*engines.command, "--other"], "health_path": "/health"}}
        assert own.api("PATCH", f"/api/v1/deployments/{engines.name}", json=changed).status_code == 200
        until(lambda: [i for i in engines.instances() if i["generation"] == 2 and i["state"] == "starting"], "the new one loads")
        own.kill9()
        own.start()
        until(lambda: [i["pid"] for i in engines.instances() if i["state"] == "running"] == [old["pid"]], "the old one serves")
        assert engines.ask().status_code == 200
    until(lambda: [i["generation"] for i in engines.instances()] == [2], "the new one is all there is")
    [new] = engines.running()
    until(lambda: not alive(old["pid"]), "the old process ends")
    assert [e["pid"] for e in engines.journal("started")] == [old["pid"], new["pid"]]
    assert own.api("GET", f"/api/v1/deployments/{engines.name}").json()["status"]["rollout"]["state"] == "complete"


def test_f1_p11_a_revoked_key_stays_revoked(own):
    made = own.api("POST", "/api/v1/keys", json={"name": "k"}).json()
    assert own.api("DELETE", f"/api/v1/keys/{made['id']}").status_code == 204
    own.kill9()
    own.start()
    assert own.api("GET", "/api/v1/auth/me", key=made["secret"]).status_code == 401


# ---- F3, F4: the engine ends, or is ended

def test_f15_what_is_no_event_ends_a_stream_in_an_error(server, tmp_path):
    engines = FakeEngines(server, tmp_path, "garbage").deploy()
    engines.behave(garbage=2)
    with engines.stream() as (_, lines):
        broken_by(lines)
    engines.seen("left", 1)
    engines.behave()
    assert engines.ask().status_code == 200
    assert server.instances("garbage")[0]["restarts"] == 0
    server.cli("rm", "garbage", "--yes")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_f3_an_engine_ends_mid_stream(server, tmp_path, how):
    engines = FakeEngines(server, tmp_path, f"ends-{how.name.lower()}").deploy()
    [before] = engines.running()
    engines.behave(stall=1)
    with engines.stream() as (_, lines):
        next(lines)
        os.kill(before["pid"], how)
        assert broken_by(lines)["code"] == "engine_crashed"
    engines.behave()
    [after] = until(lambda: [i for i in engines.instances() if i["state"] == "running" and i["pid"] != before["pid"]], "it is started again")
    assert (after["id"], after["restarts"]) == (before["id"], 1)
    assert engines.ask().status_code == 200
    server.cli("rm", engines.name, "--yes")


def test_f3_an_engine_is_killed_while_it_loads(server, tmp_path):
    engines = FakeEngines(server, tmp_path, "loads")
    with engines.loading():
        engines.deploy(wait=False)
        [first] = engines.seen("started", 1)
        state_of(engines, "starting")
        os.kill(first["pid"], signal.SIGKILL)
        engines.seen("started", 2)
    [after] = engines.running()
    assert after["restarts"] == 1 and engines.ask().status_code == 200
    server.cli("rm", "loads", "--yes")


def memory_group(name):
    """A group of processes whose memory can be limited: (its folder, the file of the limit), or skips."""
    for root, limit in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
        folder = f"{root}/{name}"
        with contextlib.suppress(OSError):
            os.mkdir(folder)
            if os.path.exists(f"{folder}/{limit}"):
                return folder, f"{folder}/{limit}"
            os.rmdir(folder)
    pytest.skip("no memory group can be made here")


def test_f4_an_engine_out_of_memory_is_named_so(server, tmp_path):
    folder, limit = memory_group(f"gantry-test-{os.getpid()}")
    engines = FakeEngines(server, tmp_path, "hungry").deploy()
    [before] = engines.running()
    try:
        with open(f"{folder}/cgroup.procs", "w") as members:
            members.write(str(before["pid"]))
        with open(limit, "w") as file:
            file.write(str(64 << 20))
        engines.behave(eat=True)
        reasons = set()

        def ended():
            reasons.update(i["reason"] for i in engines.instances())
            return not alive(before["pid"])
        threading.Thread(target=engines.ask, daemon=True).start()
        until(ended, "the kernel ends it")
        until(lambda: reasons.update(i["reason"] for i in engines.instances()) or any("memory" in r for r in reasons), f"why is said: {reasons}")
        engines.behave()
        until(lambda: [i for i in engines.instances() if i["state"] == "running" and i["pid"] != before["pid"]], "it is started again")
    finally:
        until(lambda: not open(f"{folder}/cgroup.procs").read(), "the group is empty")
        os.rmdir(folder)
        server.cli("rm", "hungry", "--yes")


# ---- F6, F7: the disk and what is on it

@pytest.fixture
def small_disk(tmp_path):
    """A disk of 16 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], capture_output=True).returncode != 0:
        pytest.skip("nothing can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_f6_a_full_disk_refuses_writes_and_nothing_else(small_disk, tmp_path):
    server = Server(small_disk / "data")
    server.start()
    try:
        engines = FakeEngines(server, tmp_path).deploy()
        filler = small_disk / "filler"
        with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)

        def refused():
            answer = server.api("POST", "/api/v1/keys", json={"name": "k", "models": ["x" * 100] * 100})
            return answer if answer.status_code != 201 else None
        answer = until(refused, "a write finds the disk full")
        assert answer.status_code == 507, answer.text
        assert server.api("GET", "/api/v1/deployments").status_code == 200
        asked = [engines.ask() for _ in range(20)]
        assert {a.status_code for a in asked} == {200}
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        unready = httpx.get(f"{server.url}/readyz")
        assert unready.status_code == 503 and "written" in unready.text
        filler.unlink()
        until(lambda: server.api("POST", "/api/v1/keys", json={"name": "after"}).status_code == 201, "it writes again, by itself")
        until(server.ready, "it is ready again")
        ids = {a.headers["x-request-id"] for a in asked}
        until(lambda: ids <= {r["request_id"] for r in server.items("/api/v1/usage?limit=100")}, "what was asked meanwhile is counted")
        assert [k["name"] for k in server.items("/api/v1/keys")].count("after") == 1
    finally:
        server.stop()


def test_f7_a_locked_database_is_waited_for_and_then_said(own):
    locker = sqlite3.connect(own.data_dir / "gantry.db", isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    refused = own.api("POST", "/api/v1/keys", json={"name": "k"})
    assert refused.status_code == 503 and refused.json()["error"]["code"] == "database_locked", refused.text
    assert own.api("GET", "/api/v1/keys").status_code == 200
    locker.execute("ROLLBACK")
    assert own.api("POST", "/api/v1/keys", json={"name": "k"}).status_code == 201
    locker.close()


@pytest.mark.parametrize("what, told", [("newer", "newer gantry"), ("gone", "does not start afresh"), ("empty", "does not start afresh")])
def test_f7_f22_a_database_that_is_not_right_is_not_started_on(own, what, told):
    own.kill9()
    database = own.data_dir / "gantry.db"
    if what == "newer":
        with contextlib.closing(sqlite3.connect(database)) as db:
            db.execute("PRAGMA user_version = 9999")
    else:
        for file in own.data_dir.glob("gantry.db*"):
            file.unlink()
        if what == "empty":
            database.touch()
    own.start(wait=False)
    assert own.process.wait(30) == 1
    assert told in own.log() and "restore" in own.log()
    if what == "gone":
        assert not database.exists()


# ---- F9: the wall clock is set

@pytest.fixture(scope="module")
def clock_library(tmp_path_factory):
    compiler = shutil.which("cc") or pytest.skip("no C compiler")
    library = tmp_path_factory.mktemp("clock") / "fake_clock.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(ROOT / "tests/fakes/fake_clock.c"), "-ldl"], check=True)
    return library


def test_f9_setting_the_wall_clock_moves_nothing(clock_library, tmp_path):
    offset = tmp_path / "offset"
    offset.write_text("0")

    def set_clock(seconds):
        part = tmp_path / "offset.part"
        part.write_text(str(seconds))
        part.rename(offset)
    server = Server(tmp_path / "data")
    server.environment_more = {"LD_PRELOAD": str(clock_library), "GANTRY_FAKE_CLOCK": str(offset)}
    server.start()
    try:
        engines = FakeEngines(server, tmp_path).deploy()
        [before] = engines.running()
        soon = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
        short = server.api("POST", "/api/v1/keys", json={"name": "half an hour", "expires_at": soon}).json()["secret"]
        for seconds in (3600, -3600, -10 * 365 * 86400, 5 * 365 * 86400, 0):
            set_clock(seconds)
            year = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
            until(lambda: server.api("GET", "/api/v1/workers").json()["items"][0]["last_report_at"][:13] == year.strftime("%Y-%m-%dT%H"),
                  "the worker reports under the new time")
            assert server.api("GET", "/v1/models", key=short).status_code == (401 if seconds > 1800 else 200), seconds
            assert engines.ask().status_code == 200
            assert server.api("POST", "/api/v1/keys", json={"name": f"at {seconds}"}).status_code == 201
            assert httpx.get(f"{server.url}/readyz").status_code == 200
            [now] = engines.running()
            assert (now["pid"], now["restarts"]) == (before["pid"], 0)
            assert server.items("/api/v1/workers")[0]["state"] == "ready"
        until(lambda: len(server.items("/api/v1/usage?limit=100")) == 5, "each request is counted")
        assert all(r["duration_ms"] < 60_000 for r in server.items("/api/v1/usage"))
    finally:
        server.stop()


# ---- F13, F19, F21

def test_f13_a_port_in_use_is_said(own, tmp_path):
    second = Server(tmp_path / "second")
    second.port = own.port
    second.start(wait=False)
    assert second.process.wait(30) == 1
    assert f"port {own.port} is in use" in second.log()


def test_f19_deleted_in_use_and_made_again_at_once(server, tmp_path):
    engines = FakeEngines(server, tmp_path, "again").deploy()
    [old] = engines.running()
    engines.behave(stall=1)
    with engines.stream() as (_, lines):
        next(lines)
        assert server.api("DELETE", "/api/v1/deployments/again").status_code == 204
        engines.behave()
        engines.deploy(wait=False)
        assert broken_by(lines)["code"] in ("engine_crashed", "model_stopped")
    [new] = engines.running()
    assert new["id"] != old["id"] and new["pid"] != old["pid"]
    until(lambda: not alive(old["pid"]), "the old one ends")
    assert engines.ask().status_code == 200
    assert len(server.instances("again")) == 1
    server.cli("rm", "again", "--yes")


def test_f19_of_edits_at_once_that_saw_one_version_one_is_made(server):
    body = {"name": "edited", "source": f"file:{SMOLLM2}", "replicas": 0, "stopped": True}
    version = server.api("POST", "/api/v1/deployments", json=body).json()["version"]
    answers = []

    def edit(k):
        answers.append(server.api("PATCH", "/api/v1/deployments/edited", json={"replicas": k + 1, "version": version}))
    threads = [threading.Thread(target=edit, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(a.status_code for a in answers) == [200] + [409] * 7
    [made] = [a.json() for a in answers if a.status_code == 200]
    assert server.api("GET", "/api/v1/deployments/edited").json()["replicas"] == made["replicas"]
    server.cli("rm", "edited", "--yes")


def test_f21_without_handles_it_refuses_and_recovers(own, tmp_path):
    engines = FakeEngines(own, tmp_path).deploy()
    used = len(os.listdir(f"/proc/{own.process.pid}/fd"))
    resource.prlimit(own.process.pid, resource.RLIMIT_NOFILE, (used + 20, used + 20))
    clients = [socket.create_connection(("127.0.0.1", own.port)) for _ in range(100)]   # the kernel takes them all
    until(lambda: "cannot accept" in own.log(), "it can take no more")
    assert own.process.poll() is None
    for client in clients:
        client.close()
    until(lambda: engines.ask().status_code == 200, "it serves again")
    assert len(engines.journal("started")) == 1 and engines.running()[0]["restarts"] == 0
    assert own.api("POST", "/api/v1/keys", json={"name": "k"}).status_code == 201


def test_f13_two_workers_do_not_share_a_folder(own, tmp_path):
    folder = own.data_dir / "worker"
    assert folder.is_dir()
    shutil.copytree(own.data_dir, tmp_path / "copy", ignore=shutil.ignore_patterns("*.sock", "worker"))
    (tmp_path / "copy/worker").symlink_to(folder)
    second = Server(tmp_path / "copy")
    second.start(wait=False)
    assert second.process.wait(30) == 1
    assert str(own.process.pid) in second.log()
    assert own.process.poll() is None
