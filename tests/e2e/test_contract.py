"""The promises P1 to P12 (docs/reliability.md), as clients see them kept, each by its number. Those that other files show are named
there. Engines are fakes that do as they are told (fake_engines.py); all else is real."""
import concurrent.futures
import contextlib
import json
import re
import signal
import socket
import statistics
import threading
import time
import uuid

import httpx
import pytest

from changes import Changes, all_of
from conftest import ROOT, Server, until
from fake_engines import FakeEngines, broken_by
from fault_proxy import FaultProxy


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    own = Server(tmp_path_factory.mktemp("contract") / "data").start()
    yield own
    own.stop()


@pytest.fixture
def engines(server, tmp_path, request):
    """Two replicas."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name)[:40].strip("-")
    made = FakeEngines(server, tmp_path, name).deploy(2)
    yield made
    server.cli("rm", name, "--yes")


def test_the_map_of_the_promises_names_tests_that_exist():
    """docs/reliability.md: each file, and each test by its beginning."""
    text = (ROOT / "docs/reliability.md").read_text()
    e2e = ROOT / "tests/e2e"
    for name in re.findall(r"`(?:e2e/)?(test_\w+\.py)`", text):
        assert (e2e / name).exists(), name
    for name in re.findall(r"`(\w+(?:/\w+)+\.cc)`", text):
        assert (ROOT / "src" / name).exists(), name
    defined = re.findall(r"^def (test_\w+)", "".join(file.read_text() for file in e2e.glob("test_*.py")), re.M)
    named = re.findall(r"`(test_\w+)…`", text)
    assert len(named) > 30
    assert [name for name in named if not any(one.startswith(name) for one in defined)] == []


def test_p1_p2_nothing_accepted_is_lost_and_nothing_done_twice(tmp_path):
    """kill -9 of the server again and again: whoever repeats with the same key has every change once, and its record in the audit log."""
    server = Server(tmp_path / "data", "--no-worker").start()
    changes = Changes(server)
    client = threading.Thread(target=changes.run)
    client.start()
    try:
        for _ in range(6):
            target = changes.made + 7
            until(lambda: changes.made >= target or changes.failed, "some changes are made")
            server.kill9()
            server.start()
        changes.over.set()
        client.join(60)
        assert changes.failed is None, changes.failed
        assert changes.repeated > 0, "a kill interrupted one"
        assert {d["name"]: d["replicas"] for d in all_of(server, "/api/v1/deployments")} == changes.wanted
        keys = [k["name"] for k in all_of(server, "/api/v1/keys") if k["name"].startswith("k")]
        assert sorted(keys) == sorted(changes.secrets), "each once"
        for secret in changes.secrets.values():
            assert server.api("GET", "/api/v1/auth/me", key=secret).status_code == 200
        recorded = [e for kind in ("deployment", "key") for e in all_of(server, f"/api/v1/audit?kind={kind}")]
        assert len(recorded) == changes.made + 1, "each change and the first key; none twice, none without its record"
    finally:
        changes.over.set()
        server.stop()


def test_p2_an_answer_lost_on_its_way_is_given_again(server):
    body, key = {"name": "lost"}, {"Idempotency-Key": str(uuid.uuid4()), "Authorization": f"Bearer {server.key}"}
    with FaultProxy(server.port) as proxy:
        proxy.cut_after(1, "down", "rst")
        with pytest.raises(httpx.HTTPError):
            httpx.post(f"{proxy.url}/api/v1/keys", json=body, headers=key)
        again = httpx.post(f"{proxy.url}/api/v1/keys", json=body, headers=key)
    assert again.status_code == 201 and again.headers["idempotent-replayed"] == "true"
    assert [k["id"] for k in all_of(server, "/api/v1/keys") if k["name"] == "lost"] == [again.json()["id"]]
    assert server.api("GET", "/api/v1/auth/me", key=again.json()["secret"]).status_code == 200
    other = server.api("POST", "/api/v1/keys", json={"name": "other"}, headers=key)
    assert other.status_code == 422 and other.json()["error"]["code"] == "idempotency_key_reused"


def test_p4_f24_a_server_that_stops_lets_100_streams_end(tmp_path):
    server = Server(tmp_path / "data").start()
    try:
        engines = FakeEngines(server, tmp_path).deploy()
        engines.behave(tokens=3, stall=1)
        rests = []

        def read():
            with engines.stream() as (_, lines):
                rests.append(list(lines))

        with concurrent.futures.ThreadPoolExecutor(100) as pool:
            streams = [pool.submit(read) for _ in range(100)]
            engines.seen("asked", 100)
            until(lambda: server.in_flight() == 100, "all are begun")
            with httpx.Client() as late:
                assert late.get(f"{server.url}/healthz").status_code == 200
                server.process.send_signal(signal.SIGTERM)
                until(lambda: "draining" in server.log(), "it drains")
                ready = until(lambda: (lambda a: a if a.status_code != 200 else None)(httpx.get(f"{server.url}/readyz")), "it says so")
                assert ready.status_code == 503 and "stopping" in ready.text
                refused = httpx.post(f"{server.url}/v1/chat/completions", json=engines.body(), headers={"Authorization": f"Bearer {server.key}"})
                assert refused.status_code == 503 and int(refused.headers["retry-after"]) >= 1, refused.text
                assert refused.json()["error"]["code"] == "server_stopping"
            assert server.process.poll() is None
            (engines.folder / "go").touch()
            for stream in streams:
                stream.result(60)
        assert all(rest[-1] == "data: [DONE]" and not any('"error"' in line for line in rest) for rest in rests)
        assert server.process.wait(30) == 0
        server.start()
        assert engines.ask().status_code == 200
        assert len(engines.journal("started")) == 1, "the engine was left running, and is taken over"
    finally:
        server.stop()


def test_f24_a_second_signal_cuts_short(tmp_path):
    server = Server(tmp_path / "data").start()
    engines = FakeEngines(server, tmp_path).deploy()
    engines.behave(stall=1)
    with engines.stream() as (_, lines):
        next(lines)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: "draining" in server.log(), "it drains")
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        assert time.monotonic() - began < 5
        with contextlib.suppress(httpx.HTTPError):
            assert "[DONE]" not in "".join(lines)
    server.start()
    assert len(engines.journal("started")) == 1, "adopted, not doubled"
    server.stop()


def leave(server, engines, how, stream=True):
    """A client that goes once its request is at the engine; when it went."""
    one = socket.create_connection(("127.0.0.1", server.port))
    body = json.dumps(engines.body(stream=stream))
    before = len(engines.journal("asked"))
    one.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.key}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}".replace("Host: x", "Host: localhost").encode())
    engines.seen("asked", before + 1)
    if how == "mid-stream":
        got = b""
        while b"t0" not in got:
            got += one.recv(65536)
    one.close()
    return time.monotonic()


@pytest.mark.parametrize("how, stall, stream", [("mid-stream", 1, True), ("before the first token", 0, True), ("not streamed", 0, False)])
def test_p5_who_leaves_frees_the_engine_within_a_second(server, engines, how, stall, stream):
    engines.behave(stall=stall)
    went = leave(server, engines, how, stream)
    [left] = engines.seen("left", 1)
    assert left["at"] - went < 1
    until(lambda: server.in_flight() == 0, "nothing is in flight")


def test_p5_f14_two_hundred_leave_at_once(server, engines):
    engines.behave(stall=0)
    body = json.dumps(engines.body(stream=True))
    head = (f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n")
    clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(200)]
    for one in clients:
        one.sendall((head + body).encode())
    engines.seen("asked", 200)
    for one in clients:
        one.close()
    engines.seen("left", 200)
    until(lambda: server.in_flight() == 0, "nothing is in flight")
    engines.behave()
    assert engines.ask().status_code == 200


@pytest.mark.parametrize("fault", [{"reset": "head"}, {"status": 502}, {"status": 503}])
def test_p6_another_replica_answers_before_the_first_byte(server, engines, fault):
    ill = engines.running(2)[0]["pid"]
    engines.behave(pids={ill: fault})
    for stream in (False, True) * 3:
        answer = engines.ask(stream=stream)
        assert answer.status_code == 200 and "t4" in answer.text
    assert ill in [e["pid"] for e in engines.journal("refused")], "it was asked, too"


@pytest.mark.parametrize("fault, status", [({"status": 500}, 500), ({"status": 400}, 400)])
def test_p6_nothing_else_is_asked_twice(server, engines, fault, status):
    engines.behave(**fault)
    assert engines.ask().status_code == status
    assert len(engines.journal("asked")) == 1


def test_p6_a_stream_that_broke_is_not_begun_again(server, engines):
    engines.behave(reset=2)
    with engines.stream() as (_, lines):
        assert broken_by(lines)["code"] == "engine_crashed"
    assert len(engines.journal("asked")) == 1


def test_p7_a_full_queue_is_said_at_once_and_all_else_answers(tmp_path):
    server = Server(tmp_path / "data", "--queue-per-instance", "4").start()
    try:
        engines = FakeEngines(server, tmp_path).deploy()
        engines.behave(stall=1)
        with contextlib.ExitStack() as held, httpx.Client(headers={"Authorization": f"Bearer {server.key}"}) as client:
            for _ in range(4):
                next(held.enter_context(engines.stream())[1])
            times = []
            for _ in range(50):
                began = time.monotonic()
                refused = client.post(f"{server.url}/v1/chat/completions", json=engines.body())
                times.append(time.monotonic() - began)
                assert refused.status_code == 429 and int(refused.headers["retry-after"]) >= 1
                assert refused.json()["error"]["code"] == "queue_full"
            assert statistics.median(times) < 0.05, times
            for path in ("/healthz", "/readyz", "/api/v1/deployments", "/metrics", "/v1/models"):
                assert client.get(f"{server.url}{path}").status_code == 200, path
        engines.behave()
        until(lambda: engines.ask().status_code == 200, "there is room again")
    finally:
        server.stop()


def test_p12_every_request_counts_once_however_it_ended(tmp_path):
    server = Server(tmp_path / "data").start()
    try:
        engines = FakeEngines(server, tmp_path).deploy()
        sent = {}

        def ask(kind, **behaves):
            engines.behave(**behaves)
            answer = engines.ask(stream=kind.startswith("stream"))
            sent[answer.headers["x-request-id"]] = kind

        for _ in range(3):
            ask("whole")
            ask("stream")
        ask("whole, not counted", usage=False)
        ask("stream, not counted", usage=False)
        ask("stream, broken", reset=2, delay_s=0.1)
        engines.behave(stall=2)
        with engines.stream() as (answer, lines):
            next(lines)
            sent[answer.headers["x-request-id"]] = "stream, left"
        engines.seen("left", 1)
        until(lambda: server.in_flight() == 0, "all have ended")
        server.kill9()   # most records are only in the journal
        server.start()
        found = until(lambda: (lambda r: r if len(r) >= len(sent) else None)(all_of(server, "/api/v1/usage")), "all are counted")
        records = {r["request_id"]: r for r in found}
        assert len(found) == len(records) and set(records) == set(sent)
        for request, kind in sent.items():
            r = records[request]
            assert r["aborted"] == (kind == "stream, left"), (kind, r)
            assert r["estimated"] == (kind not in ("whole", "stream")), (kind, r)
            assert r["completion_tokens"] > 0 or kind.startswith("whole, not"), (kind, r)
        counted = server.api("GET", "/api/v1/usage/summary?bucket=total").json()["items"]
        assert sum(item["requests"] for item in counted) == len(sent)
        assert sum(item["completion_tokens"] for item in counted) == sum(r["completion_tokens"] for r in found)
    finally:
        server.stop()
