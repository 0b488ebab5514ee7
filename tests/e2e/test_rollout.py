"""Updates of what deployments run, under a constant stream of requests; the way back; deployments declared in a file."""
import json
import threading

import httpx
import pytest

from conftest import SMOLLM2, Server, until

PROMPT = [{"role": "user", "content": "Count from one to ten."}]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    own = Server(tmp_path_factory.mktemp("rollout") / "data").start()
    own.deploy("m", "--ctx", "1024")
    yield own
    own.stop()


class Load:
    """Clients that ask one after the other, streamed and not, until told to stop."""

    def __init__(self, server, model, clients=3):
        self.server, self.model = server, model
        self.over = threading.Event()
        self.failed, self.done = [], 0
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(k % 2 == 0,)) for k in range(clients)]

    def run(self, stream):
        with httpx.Client(timeout=120, headers={"Authorization": f"Bearer {self.server.key}"}) as client:
            while not self.over.is_set():
                body = {"model": self.model, "messages": PROMPT, "max_tokens": 8, "stream": stream}
                answer = client.post(f"{self.server.url}/v1/chat/completions", json=body)
                good = answer.status_code == 200 and (not stream or ("[DONE]" in answer.text and '"error"' not in answer.text))
                with self.lock:
                    self.done += 1
                    if not good:
                        self.failed.append((answer.status_code, answer.text[:500]))

    def answered(self, more):
        target = self.done + more
        until(lambda: self.done >= target, f"{more} more requests are answered", timeout=120)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.answered(3)
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()


def edit(server, name, **fields):
    answer = server.api("PATCH", f"/api/v1/deployments/{name}", json=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()["generation"]


def wanted(server, name="m"):
    return server.api("GET", f"/api/v1/deployments/{name}").json()


def only_of(server, name, generation):
    def all_new():
        found = server.instances(name)
        return found and all(i["generation"] == generation and i["state"] == "running" for i in found)
    until(all_new, f"only revision {generation} of {name} is left", timeout=120)


def test_an_update_loses_no_request(server):
    old = server.running("m")[0]
    with Load(server, "m") as load:
        generation = edit(server, "m", options={"max_sequences": 3})
        server.cli("rollout", "status", "m", "--wait", "--wait-seconds", "120")
        only_of(server, "m", generation)
        load.answered(3)
    assert load.failed == []
    assert server.running("m")[0]["pid"] != old["pid"]
    assert wanted(server)["status"]["rollout"]["state"] == "complete"


def test_a_stream_on_the_old_instance_ends_in_its_own_time(server):
    old = server.running("m")[0]
    body = {"model": "m", "messages": PROMPT, "max_tokens": 700, "stream": True, "ignore_eos": True}
    headers = {"Authorization": f"Bearer {server.key}"}
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=body, headers=headers, timeout=120) as answer:
        assert answer.status_code == 200
        lines = answer.iter_lines()
        next(lines)
        generation = edit(server, "m", options={"max_sequences": 5})
        # The new one serves, the old one is no longer wanted, and still the stream goes on.
        until(lambda: [i for i in server.instances("m") if i["generation"] == generation and i["state"] == "running"],
              "the new one serves", timeout=120)
        rest = [line for line in lines if line]
    assert rest[-1] == "data: [DONE]", rest[-3:]
    assert not any('"error"' in line for line in rest)
    only_of(server, "m", generation)
    assert server.running("m")[0]["pid"] != old["pid"]


def test_a_bad_update_is_taken_back(server):
    old, before = server.running("m")[0], wanted(server)
    with Load(server, "m") as load:
        bad = edit(server, "m", options={"extra_args": ["--chat-template", "/nonexistent/of-a-model.jinja"]})
        waited = server.cli("rollout", "status", "m", "--wait", "--wait-seconds", "120", check=False)
        assert waited.returncode == 1
        assert f"revision {bad} did not become ready" in waited.stderr
        until(lambda: len(server.instances("m")) == 1, "the failed one is gone")
        load.answered(3)
    assert load.failed == []
    now = wanted(server)
    assert now["generation"] == before["generation"] and now["options"] == before["options"]
    assert now["status"]["state"] == "running" and now["status"]["rollout"]["state"] == "reverted"
    assert server.running("m")[0]["pid"] == old["pid"], "the one that served was not touched"
    assert f"revision {bad} did not become ready" in server.cli("ps").stdout
    history = {r["revision"]: r for r in server.cli_json("rollout", "history", "m")["items"]}
    assert history[bad]["good_at"] is None and history[before["generation"]]["wanted"]


def test_undo(server):
    before = wanted(server)
    generation = edit(server, "m", options={"context_tokens": 512})
    server.cli("rollout", "status", "m", "--wait")
    told = server.cli("rollout", "undo", "m", "--wait").stdout
    assert f"revision {before['generation']} complete" in told, told
    assert wanted(server)["options"] == before["options"]
    assert server.cli_json("rollout", "undo", "m", "--to", str(generation), "--wait")["options"]["context_tokens"] == 512
    only_of(server, "m", generation)
    assert "no revision 99" in server.cli("rollout", "undo", "m", "--to", "99", check=False).stderr


def test_recreate_has_a_gap_but_never_two(fresh_server):
    server = fresh_server.start()
    server.deploy("m", "--ctx", "512", "--recreate")
    [old] = server.running("m")
    generation = edit(server, "m", options={"context_tokens": 1024})
    most = 0

    def replaced():
        nonlocal most
        found = server.instances("m")
        most = max(most, len(found))
        return found and found[0]["generation"] == generation and found[0]["state"] == "running"
    until(replaced, "the new one serves", timeout=120)
    assert most == 1 and server.running("m")[0]["pid"] != old["pid"]


def test_a_server_killed_in_an_update_finishes_it(fresh_server):
    server = fresh_server.start()
    server.deploy("m", "--ctx", "512", "--replicas", "2")
    server.running("m", 2)
    generation = edit(server, "m", options={"context_tokens": 1024})
    until(lambda: [i for i in server.instances("m") if i["generation"] == generation], "the update begins")
    server.kill9()
    server.start()
    server.cli("rollout", "status", "m", "--wait", "--wait-seconds", "120")
    assert {i["generation"] for i in server.running("m", 2)} == {generation}
    assert wanted(server)["status"]["rollout"]["state"] == "complete"


def test_apply_diff_export(server, tmp_path):
    exported = server.cli("export").stdout
    file = tmp_path / "fleet.json"
    file.write_text(exported)
    assert server.cli("diff", "-f", str(file), "--exit-code").stdout == ""
    assert "nothing to change" in server.cli("apply", "-f", str(file)).stderr

    fleet = json.loads(exported)
    declared = {d["name"]: d for d in fleet["deployments"]}
    declared["m"]["options"]["max_sequences"] = 7
    fleet["deployments"].append({"name": "two", "source": f"file:{SMOLLM2}", "options": {"context_tokens": 512}})
    file.write_text(json.dumps(fleet))
    difference = server.cli_json("diff", "-f", str(file), "--prune")
    assert difference["changed"] == [{"name": "m", "changes": [{"field": "options.max_sequences", "from": 5, "to": 7}]}]
    assert [d["name"] for d in difference["created"]] == ["two"] and difference["deleted"] == []
    assert server.cli("diff", "-f", str(file), "--exit-code", check=False).returncode == 1
    server.cli("apply", "-f", str(file), "--wait")
    assert wanted(server, "two")["status"]["state"] == "running"
    assert wanted(server)["options"]["max_sequences"] == 7
    assert json.loads(server.cli("export").stdout)["deployments"] == fleet["deployments"]

    file.write_text(json.dumps({"deployments": fleet["deployments"][:1]}))
    refused = server.cli("apply", "-f", str(file), "--prune", check=False)
    assert refused.returncode == 2 and "two" in refused.stderr
    server.cli("apply", "-f", "-", "--prune", "--yes", stdin=file.read_text())
    until(lambda: server.api("GET", "/api/v1/deployments/two").status_code == 404, "two is removed")
    assert "replica" in server.cli("apply", "-f", "-", stdin='{"deployments":[{"name":"a","source":"/m","replica":1}]}', check=False).stderr
