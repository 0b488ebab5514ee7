"""kill -9 of each part: nothing accepted is lost, no orphan, no double."""
import json
import os
import signal
import threading

import httpx

from conftest import SMOLLM2, Server, alive, until

BODY = {"model": "m", "messages": [{"role": "user", "content": "Count to ten."}], "max_tokens": 8}


def chat(server, **more):
    return server.api("POST", "/v1/chat/completions", json={**BODY, **more})


def test_server_killed_while_a_model_serves(fresh_server):
    server = fresh_server.start()
    server.deploy("m", "--ctx", "2048")
    [before] = server.running("m")
    server.kill9()
    assert alive(before["pid"])
    server.start()
    [after] = server.running("m")
    assert (after["pid"], after["id"], after["restarts"]) == (before["pid"], before["id"], 0)
    assert chat(server).status_code == 200


def test_sigterm_leaves_engines_ctrl_c_stops_them(fresh_server):
    server = fresh_server.start()
    server.deploy("m", "--ctx", "2048")
    [before] = server.running("m")
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(60) == 0
    assert alive(before["pid"])
    server.start()
    [after] = server.running("m")
    assert after["pid"] == before["pid"]
    server.stop()
    assert not alive(before["pid"])


def test_engine_killed_is_restarted(fresh_server):
    server = fresh_server.start()
    server.deploy("m", "--ctx", "2048")
    [before] = server.running("m")
    os.kill(before["pid"], signal.SIGKILL)
    until(lambda: [i for i in server.instances("m") if i["state"] == "running" and i["pid"] != before["pid"]], "a new process runs")
    [after] = server.instances("m")
    assert after["restarts"] == 1 and after["id"] == before["id"]
    assert chat(server).status_code == 200


def test_engine_killed_mid_stream_ends_in_an_error_event(fresh_server):
    server = fresh_server.start()
    server.deploy("m", "--ctx", "4096")
    [instance] = server.running("m")
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", timeout=60, headers={"Authorization": f"Bearer {server.key}"},
                      json={**BODY, "max_tokens": 3000, "ignore_eos": True, "stream": True}) as answer:
        lines = answer.iter_lines()
        next(lines)
        os.kill(instance["pid"], signal.SIGKILL)
        data = [line[6:] for line in lines if line.startswith("data: ")]
    assert data[-1] != "[DONE]"
    assert set(json.loads(data[-1])["error"]) == {"message", "type", "param", "code"}


def test_hostile_model_files_end_in_the_deployments_state(fresh_server, tmp_path):
    server = fresh_server.start()
    good = SMOLLM2.read_bytes()
    bad = {
        "empty": b"",
        "text": b"this is not a model\n" * 100,
        "truncated": good[: 4 << 20],
        "counts": good[:8] + b"\xff" * 16 + good[24 : 1 << 20],
        "header-only": good[:2000],
    }
    for name, content in bad.items():
        path = tmp_path / f"{name}.gguf"
        path.write_bytes(content)
        done = server.cli("deploy", name, "--source", f"file:{path}", "--wait", check=False)
        assert done.returncode == 1
        state = server.api("GET", f"/api/v1/deployments/{name}").json()["status"]
        assert state["state"] == "error" and "invalid model file: " in state["reason"], (name, state)
    assert server.api("GET", "/readyz").status_code == 200
    assert server.process.poll() is None


def test_nothing_acknowledged_is_lost_when_killed(tmp_path):
    """Creates keys and deployments as fast as it can while the server is killed: every 201 is there afterwards."""
    server = Server(tmp_path / "data", "--no-worker").start()
    acknowledged = []
    try:
        for round_ in range(3):
            stop = threading.Event()

            def create(first=round_):
                count = 0
                while not stop.is_set():
                    name = f"d{first}-{count}"
                    try:
                        answer = server.api("POST", "/api/v1/deployments", json={"name": name, "source": f"file:{SMOLLM2}"})
                    except httpx.HTTPError:
                        return
                    assert answer.status_code == 201, answer.text
                    acknowledged.append(name)
                    count += 1

            creator = threading.Thread(target=create)
            creator.start()
            start = len(acknowledged)
            until(lambda: len(acknowledged) >= start + 5, "some deployments were made")
            server.kill9()
            stop.set()
            creator.join()
            server.start()
        names, cursor = set(), ""
        while cursor is not None:
            page = server.api("GET", f"/api/v1/deployments?limit=100&cursor={cursor}").json()
            names |= {d["name"] for d in page["items"]}
            cursor = page["next_cursor"]
        assert set(acknowledged) <= names
        assert len(names) <= len(acknowledged) + 3   # at most the one in flight at each kill
    finally:
        server.stop()


def test_second_server_on_one_data_folder_is_refused(fresh_server):
    server = fresh_server.start()
    second = Server(server.data_dir)
    second.start(wait=False)
    assert second.process.wait(30) == 1
    assert str(server.process.pid) in second.log()


def test_disk_and_database_damage_is_named(fresh_server):
    server = fresh_server.start()
    server.kill9()
    database = server.data_dir / "gantry.db"
    content = bytearray(database.read_bytes())
    for wal in server.data_dir.glob("gantry.db-*"):
        wal.unlink()
    content[100:1500] = os.urandom(1400)
    database.write_bytes(content)
    server.start(wait=False)
    assert server.process.wait(30) == 1
    assert "gantry.db" in server.log() and "restore" in server.log()
