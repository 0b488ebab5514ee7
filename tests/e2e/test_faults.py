"""Faults by the numbers of docs/reliability.md: processes that are killed in each of their states, and what is deleted or edited in
use. Of the machine: test_faults_machine.py; of its memory: test_faults_memory.py; of the network between machines: test_faults_link.py.
Engines are fakes that do as they are told; all else is real."""
import contextlib
import os
import signal
import threading

import httpx
import pytest

from conftest import SMOLLM2, Server, alive, until
from fake_engines import FakeEngines, broken_by


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
    engines.behave(garbage=2, tokens=1000, delay_s=0.02)
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


def test_f3_f18_the_new_engine_of_an_update_is_killed_while_it_loads(server, tmp_path):
    """Once is no reason to take the update back: it is tried again, and the old one serves meanwhile."""
    engines = FakeEngines(server, tmp_path, "updated").deploy()
    [old] = engines.running()
    with engines.loading():
        changed = {"options": {"command": [*engines.command, "--other"], "health_path": "/health"}}
        assert server.api("PATCH", "/api/v1/deployments/updated", json=changed).status_code == 200
        [_, first] = engines.seen("started", 2)
        os.kill(first["pid"], signal.SIGKILL)
        engines.seen("started", 3)
        assert engines.ask().status_code == 200 and engines.seen("done", 1)[-1]["pid"] == old["pid"]
    until(lambda: [i["generation"] for i in engines.instances()] == [2], "the new one is all there is")
    until(lambda: not alive(old["pid"]), "the old one ends")
    assert engines.ask().status_code == 200
    assert server.api("GET", "/api/v1/deployments/updated").json()["status"]["rollout"]["state"] == "complete"
    server.cli("rm", "updated", "--yes")


# ---- F19

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
