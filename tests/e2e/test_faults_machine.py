"""Faults of the machine, by the numbers of docs/reliability.md: the disk is full, the database locked or gone, the wall clock set, the
port taken, no handle left. Engines are fakes that do as they are told; all else is real."""
import contextlib
import datetime
import os
import resource
import shutil
import socket
import sqlite3
import subprocess

import httpx
import pytest

from conftest import ROOT, Server, until
from fake_engines import FakeEngines


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


# ---- F13, F21

def test_f13_a_port_in_use_is_said(own, tmp_path):
    second = Server(tmp_path / "second")
    second.port = own.port
    second.start(wait=False)
    assert second.process.wait(30) == 1
    assert f"port {own.port} is in use" in second.log()


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
