"""Models that nobody asks for end, and the request that wakes one is held."""
import concurrent.futures
import shutil
import socket
import time

import httpx
import pytest

from conftest import MINILM, SMOLLM2, Server, alive, until

PROMPT = [{"role": "user", "content": "Count from one to ten."}]
IDLE = 3   # seconds: what a test does right behind a request has to be done by then
CHAT = {"model": "m", "messages": PROMPT, "max_tokens": 4}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    own = Server(tmp_path_factory.mktemp("sleep") / "data").start()
    own.deploy("m", "--ctx", "1024", "--idle-timeout", f"{IDLE}s")
    yield own
    own.stop()


def status(server, name="m"):
    return server.api("GET", f"/api/v1/deployments/{name}").json()["status"]


def asleep(server, name="m"):
    until(lambda: status(server, name)["state"] == "asleep" and not server.instances(name), f"{name} sleeps, and its instance is gone")


def chat(server, path="/v1/chat/completions", **more):
    return server.api("POST", path, json={**CHAT, **more})


def idle_timeout(server, seconds):
    assert server.api("PATCH", "/api/v1/deployments/m", json={"idle_timeout_seconds": seconds}).status_code == 200


def metric(server, name):
    lines = [line for line in server.api("GET", "/metrics").text.splitlines() if line.startswith(name)]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def wakes(server):
    return [e for e in server.items("/api/v1/audit?limit=500&order=desc") if e["action"] == "wake"]


def test_idle_it_ends_and_is_still_there(server):
    [before] = server.running("m")
    asleep(server)
    until(lambda: not alive(before["pid"]), "the engine ended")
    assert [m.id for m in server.openai().models.list()] == ["m"]
    listed = server.cli("ps").stdout
    assert "asleep" in listed and "until a request comes" in listed
    assert metric(server, "gantry_deployments_asleep ") == 1
    slept = [e for e in server.items("/api/v1/audit?limit=500&order=desc") if e["action"] == "sleep"][0]
    assert slept["actor_name"] == "gantry" and {"field": "reason", "from": None, "to": f"no request for {IDLE} s"} in slept["changes"]
    assert f'"idle_timeout_seconds":{IDLE}' in server.cli("export").stdout


def test_a_request_wakes_it(server):
    asleep(server)
    before = metric(server, "gantry_gateway_wake_seconds_count")
    answer = chat(server)
    assert answer.status_code == 200 and answer.json()["usage"]["completion_tokens"] == 4
    assert metric(server, "gantry_gateway_wake_seconds_count") == before + 1
    woken = wakes(server)[0]
    assert woken["request_id"] == answer.headers["x-request-id"] and woken["actor_name"] == "admin"


def test_a_stream_wakes_it_and_pings_meanwhile(server):
    asleep(server)
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", headers={"Authorization": f"Bearer {server.key}"},
                      json={**CHAT, "stream": True}, timeout=60) as answer:
        assert answer.status_code == 200
        lines = [line for line in answer.iter_lines() if line]
    assert lines[0] == ": ping" and lines[-1] == "data: [DONE]"
    assert len([line for line in lines if '"content"' in line]) >= 1 and not any('"error"' in line for line in lines)


def test_many_at_once_wake_one_engine(server):
    asleep(server)
    before = len(wakes(server))
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda k: chat(server, stream=k % 2 == 0), range(20)))
    assert [a.status_code for a in answers] == [200] * 20
    assert all("[DONE]" in a.text for a in answers[::2])
    assert len(wakes(server)) == before + 1
    assert len(server.instances("m")) == 1


@pytest.mark.parametrize("path, body", [
    ("/v1/messages", {}), ("/v1/responses", {"input": "hi", "messages": None, "max_tokens": None}), ("/v1/tokenize", {"prompt": "hi", "messages": None})])
def test_the_other_apis_wake_it(server, path, body):
    asleep(server)
    sent = {key: value for key, value in {**CHAT, **body}.items() if value is not None}
    answer = server.api("POST", path, json=sent)
    assert answer.status_code == 200, answer.text


def test_what_is_asked_is_not_slept_under(server):
    chat(server)
    [before] = server.running("m")
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", headers={"Authorization": f"Bearer {server.key}"},
                      json={**CHAT, "max_tokens": 900, "ignore_eos": True, "stream": True}, timeout=120) as answer:
        lines = answer.iter_lines()
        next(lines)
        begun = time.monotonic()
        idle_timeout(server, 1)   # and it is looked at every second
        rest = [line for line in lines if line]
        took = time.monotonic() - begun
    [after] = server.instances("m")
    idle_timeout(server, IDLE)
    assert rest[-1] == "data: [DONE]"
    assert took > 2.5, f"{took:.1f} s: too short to show anything"
    assert after["pid"] == before["pid"] and after["state"] == "running"


def test_a_restart_of_the_server_wakes_nobody(server):
    asleep(server)
    before = len(wakes(server))
    server.kill9()
    server.start()
    server.deploy("other", "--ctx", "512")   # the reconciler has been round
    assert status(server)["state"] == "asleep" and server.instances("m") == []
    assert len(wakes(server)) == before
    assert chat(server).status_code == 200
    server.cli("rm", "other", "--yes", check=False)


def test_started_by_hand_it_comes_up(server):
    asleep(server)
    server.cli("start", "m", "--wait")
    assert len(wakes(server)) >= 1 and status(server)["state"] in ("running", "asleep")
    asleep(server)
    idle_timeout(server, 0)
    server.running("m")
    idle_timeout(server, IDLE)


def test_by_hand_it_sleeps_now_and_a_request_or_start_wakes_it(server):
    server.deploy("n", "--ctx", "1024")   # without an idle timeout
    [before] = server.running("n")
    said = server.cli("sleep", "n")
    assert "n sleeps; the next request wakes it" in said.stderr and said.stdout == ""
    asleep(server, "n")
    until(lambda: not alive(before["pid"]), "the engine ended")
    assert "until a request comes" in server.cli("ps").stdout
    [slept] = [e for e in server.items("/api/v1/audit?limit=500&order=desc") if e["action"] == "sleep" and e["object_name"] == "n"]
    assert slept["actor_name"] == "admin" and slept["method"] == "POST"
    with concurrent.futures.ThreadPoolExecutor(8) as pool:   # held, all of them, though it has no timeout
        answers = list(pool.map(lambda _: chat(server, model="n"), range(8)))
    assert [a.status_code for a in answers] == [200] * 8
    assert len(server.instances("n")) == 1
    server.cli("sleep", "n")
    asleep(server, "n")
    server.cli("start", "n", "--wait")
    server.running("n")


def test_by_hand_what_answers_is_left_alone(server):
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", headers={"Authorization": f"Bearer {server.key}"},
                      json={**CHAT, "model": "n", "max_tokens": 900, "ignore_eos": True, "stream": True}, timeout=120) as answer:
        lines = answer.iter_lines()
        next(lines)
        refused = server.cli("sleep", "n", check=False)
        rest = [line for line in lines if line]
    assert refused.returncode == 1 and "requests to it are answered" in refused.stderr, refused.stderr
    assert rest[-1] == "data: [DONE]"
    assert server.cli("sleep", "nosuch", check=False).returncode == 1
    server.cli("stop", "n")
    stopped = server.cli("sleep", "n", check=False)
    assert stopped.returncode == 1 and "stopped" in stopped.stderr
    server.cli("rm", "n", "--yes")


def test_embeddings_wake_theirs(server):
    server.deploy("vectors", "--idle-timeout", "1s", source=f"file:{MINILM}")
    asleep(server, "vectors")
    answer = server.api("POST", "/v1/embeddings", json={"model": "vectors", "input": "hi"})
    assert answer.status_code == 200 and len(answer.json()["data"][0]["embedding"]) == 384


def test_why_it_does_not_wake_is_said_at_once(server, tmp_path):
    model = tmp_path / "model.gguf"
    shutil.copyfile(SMOLLM2, model)
    server.deploy("broken", "--ctx", "512", "--idle-timeout", "1s", source=f"file:{model}")
    asleep(server, "broken")
    model.unlink()
    model.write_bytes(b"no model at all")
    begun = time.monotonic()
    refused = chat(server, model="broken")
    assert refused.status_code == 503 and "invalid model file" in refused.json()["error"]["message"], refused.text
    assert time.monotonic() - begun < 30
    assert status(server, "broken")["state"] == "error"
    assert chat(server, model="broken").status_code == 503


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    """A model that is asleep, and whose engine never gets ready."""
    own = Server(tmp_path_factory.mktemp("slow") / "data", "--hold-seconds", "2", "--queue-per-instance", "2").start()
    own.deploy("m", "--ctx", "512", "--idle-timeout", "1s")
    asleep(own)
    changed = own.api("PATCH", "/api/v1/deployments/m", json={"backend": "custom", "options": {"command": ["sh", "-c", "sleep 600", "{{port}}"], "context_tokens": 0}})
    assert changed.status_code == 200 and changed.json()["status"]["state"] == "asleep", changed.text
    yield own
    own.stop()


def test_past_its_time_a_request_is_told_to_come_again(slow):
    begun = time.monotonic()
    refused = chat(slow)
    assert refused.status_code == 503 and int(refused.headers["retry-after"]) >= 1
    error = refused.json()["error"]
    assert error["code"] == "model_waking" and set(error) == {"message", "type", "param", "code"}
    assert 2 <= time.monotonic() - begun < 20
    stream = chat(slow, stream=True)
    assert stream.status_code == 200 and stream.text.startswith(": ping\n\n")
    assert '"code":"model_waking"' in stream.text and "[DONE]" not in stream.text


def held_by(server):
    return metric(server, "gantry_gateway_requests_held ")


def test_a_client_that_leaves_gives_up_its_place(slow):
    body = '{"model":"m","messages":[{"role":"user","content":"x"}]}'
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {slow.key}\r\nContent-Length: {len(body)}\r\n\r\n"
    # Each is held for two seconds at most, so all of it has to go within that; another go where the machine was too busy.
    def full():
        clients = [socket.create_connection(("127.0.0.1", slow.port)) for _ in range(2)]
        for client in clients:
            client.sendall((head + body).encode())
        refused = chat(slow)
        for client in clients:
            client.close()
        return refused.status_code == 429 and refused.json()["error"]["code"] == "queue_full" and "retry-after" in refused.headers
    until(full, "two are held and the third is refused")
    until(lambda: held_by(slow) == 0, "nobody is held any more")
