"""Benchmarks that the server makes and keeps: on a real model by way of the CLI, as a user with limits, outside URLs and their keys, targets
that die, cancelling, restarts."""
import json
import pathlib

import httpx
import pytest

from conftest import until
from fake_engines import FakeEngines

OVER = ("done", "failed", "cancelled")


def start(server, key=None, status=201, **body):
    answer = server.api("POST", "/api/v1/benchmarks", key=key, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()["id"] if status == 201 else answer.json()["error"]


def get(server, benchmark, key=None):
    answer = server.api("GET", f"/api/v1/benchmarks/{benchmark}", key=key)
    assert answer.status_code == 200, answer.text
    return answer.json()


def over(server, benchmark, timeout=120):
    until(lambda: get(server, benchmark)["state"] in OVER, f"{benchmark} is over", timeout=timeout)
    return get(server, benchmark)


def key_of(server, name, **fields):
    made = server.api("POST", "/api/v1/users", json={"name": name, "password": "a-long-password", "role": "user", "must_change_password": False})
    assert made.status_code == 201, made.text
    key = server.api("POST", "/api/v1/keys", json={"name": name, "user_id": name, **fields})
    assert key.status_code == 201, key.text
    return key.json()


def used(server, of, count):
    """The records of the user's requests, once there are so many."""
    def enough():
        records = server.items(f"/api/v1/usage?user={of}&limit=500")
        return records if len(records) >= count else None
    return until(enough, f"{count} requests of {of} are recorded")


def test_a_load_on_a_real_model_from_the_command_line(server):
    begun = server.cli("benchmarks", "start", "smollm2", "--concurrency", "1,3", "--requests", "3", "--prompt-tokens", "60", "--max-tokens", "8",
                       "--ignore-eos", "--name", "evening", "--seed", "41", "--json", "--wait", timeout=300)
    benchmark = json.loads(begun.stdout)
    assert benchmark["state"] == "done" and benchmark["name"] == "evening" and benchmark["reason"] == ""
    report = benchmark["result"]
    assert report["version"] == 1 and report["commit"] and report["machine"]["cores"] >= 1
    assert "gantry bench --concurrency 1,3" in report["machine"]["command_line"]
    [target] = report["targets"]
    assert target["model"] == "smollm2" and target["backend"] == "engine" and target["devices"] and "source=file:" in target["flags"]
    assert [run["concurrency"] for run in target["runs"]] == [1, 3]
    for run in target["runs"]:
        assert run["requests_ok"] == 3 and run["requests_failed"] == 0 and run["output_tokens"] == 24 and run["counted_from"] == "usage"
        assert run["cached_tokens"] == 0 or run["cached_tokens"] < run["prompt_tokens"] / 2   # the template's beginning at most
        assert 0 < run["ttft_ms"]["p50"] <= run["ttft_ms"]["max"] and run["tpot_ms"]["mean"] > 0
        assert run["throughput_tok_s"] == pytest.approx(24 / run["wall_s"], rel=0.01)
        assert [sample["output_tokens"] for sample in run["samples"]] == [8, 8, 8] and all(1 <= len(sample["token_ms"]) <= 8 for sample in run["samples"])
    assert [{**run, "samples": None} for run in target["runs"]] == [{k: v for k, v in {**run, "samples": None}.items() if k != "target"} for run in benchmark["runs"]]
    names = server.cli("benchmarks", "ls", "-q").stdout.split()
    assert names[0] == benchmark["id"]
    assert "evening" in server.cli("benchmarks", "list").stdout
    shown = server.cli("benchmarks", "show", benchmark["id"]).stdout
    assert "Throughput" in shown and "smollm2: engine" in shown and "x 3" in shown
    again = json.loads(server.cli("benchmarks", "start", "smollm2", "--kind", "compare", "--concurrency", "2", "--rounds", "2", "--max-tokens", "4",
                                  "--json", "--wait", timeout=300).stdout)
    assert again["state"] == "done" and again["rounds"] == 2 and again["prompt_tokens"] is None
    [run] = again["result"]["targets"][0]["runs"]
    assert run["requests_ok"] == 4 and run["prompt_tokens"] > 4 * 300
    table = server.cli("benchmarks", "compare", benchmark["id"], again["id"]).stdout
    assert f"smollm2 {again['id'][-4:]}" in table and "x 2" in table and "x 3" in table
    assert [one["id"] for one in json.loads(server.cli("benchmarks", "compare", benchmark["id"], again["id"], "--json").stdout)] == [benchmark["id"], again["id"]]
    assert server.cli("benchmarks", "cancel", benchmark["id"], check=False).returncode == 1, "it is over"
    server.cli("benchmarks", "rm", benchmark["id"], again["id"], "--quiet")
    gone = server.cli("benchmarks", "show", benchmark["id"], check=False)
    assert gone.returncode == 1 and "no benchmark" in gone.stderr


def test_a_run_by_time(server):
    benchmark = over(server, start(server, targets=[{"deployment": "smollm2"}], concurrencies=[2], duration_seconds=2, prompt_tokens=40, output_tokens=4))
    [run] = benchmark["result"]["targets"][0]["runs"]
    assert benchmark["state"] == "done" and benchmark["progress"]["requests_total"] is None
    assert run["requests_ok"] >= 2 and run["wall_s"] >= 2 and all(sample["start_s"] < 2 for sample in run["samples"])


def test_its_requests_are_the_users(own, tmp_path):
    """Recorded as the user's and by that key, within that key's limits, and no more once it is revoked."""
    FakeEngines(own, tmp_path, "fake").deploy()
    ann = key_of(own, "ann")
    done = over(own, start(own, key=ann["secret"], targets=[{"deployment": "fake"}], concurrencies=[2], requests=4, prompt_tokens=30, output_tokens=5))
    assert done["state"] == "done" and done["user_name"] == "ann", done["reason"]
    assert done["result"]["targets"][0]["backend"] == "custom" and str(tmp_path) not in json.dumps(done), "a user sees no paths and commands"
    records = used(own, ann["user_id"], 5)
    assert len(records) == 5, "four, and one to warm up"
    assert {(r["key_id"], r["model"], r["status"]) for r in records} == {(ann["id"], "fake", 200)}
    bob = key_of(own, "bob", limits={"requests_per_minute": 3})
    limited = over(own, start(own, key=bob["secret"], targets=[{"deployment": "fake"}], concurrencies=[1], requests=4, prompt_tokens=30, output_tokens=5))
    [run] = limited["result"]["targets"][0]["runs"]
    assert run["requests_ok"] == 2 and run["requests_failed"] == 2 and "status 429" in limited["targets"][0]["error"]
    narrow = key_of(own, "eve", models=["other"])
    assert start(own, key=narrow["secret"], status=400, targets=[{"deployment": "fake"}])["param"] == "targets[0].deployment"
    assert own.api("GET", f"/api/v1/benchmarks/{done['id']}", key=bob["secret"]).status_code == 404
    assert [b["user_name"] for b in own.api("GET", "/api/v1/benchmarks", key=bob["secret"]).json()["items"]] == ["bob"]
    engines = FakeEngines(own, tmp_path, "slow")
    engines.behave(stall=1)
    engines.deploy()
    # The key is revoked while its benchmark waits for its turn.
    blocking = start(own, targets=[{"deployment": "slow"}], prompt_tokens=30, requests=1)
    engines.seen("asked", 1)
    waiting = start(own, key=ann["secret"], targets=[{"deployment": "fake"}], prompt_tokens=30)
    assert get(own, waiting)["before_it"] == 1
    assert own.api("DELETE", f"/api/v1/keys/{ann['id']}").status_code == 204
    assert own.api("POST", f"/api/v1/benchmarks/{blocking}/cancel", json={}).status_code == 200
    refused = over(own, waiting)
    assert refused["state"] == "failed" and "status 401" in refused["reason"]


def test_an_outside_server_and_its_key(server, own):
    """A rival by its URL. Its key stands nowhere, and only admins may have the server ask elsewhere."""
    secret = server.key
    target = {"name": "rival", "url": f"{server.url}/v1", "model": "smollm2", "api_key": secret}
    done = over(own, start(own, targets=[target], concurrencies=[1], requests=2, prompt_tokens=40, output_tokens=4))
    assert done["state"] == "done", done["reason"]
    assert done["targets"][0]["has_api_key"] and done["result"]["targets"][0]["url"] == f"{server.url}/v1"
    wrong = over(own, start(own, targets=[{**target, "api_key": secret[:-2] + "zz"}], requests=1, prompt_tokens=40))
    assert wrong["state"] == "failed" and "status 401" in wrong["reason"]
    gone = over(own, start(own, targets=[{**target, "url": "http://127.0.0.1:9"}], requests=1, prompt_tokens=40))
    assert gone["state"] == "failed" and "does not answer" in gone["reason"]
    user = key_of(own, "ann")
    refusal = start(own, key=user["secret"], status=403, targets=[target])
    assert refusal["param"] == "targets[0].url" and refusal["code"] == "admin_required"
    own.cli("backup", "--quiet", check=False)
    tail = secret.rsplit("_", 1)[1]
    for path in pathlib.Path(own.data_dir).rglob("*"):
        if path.is_file():
            assert tail.encode() not in path.read_bytes(), path
    for path in ("/api/v1/benchmarks", "/api/v1/audit?limit=500"):
        assert tail not in own.api("GET", path).text


def test_hostile_bodies_are_refused_by_name(own):
    ok = {"targets": [{"deployment": "nowhere"}]}
    for path, body in (
        ("targets[0].deployment", ok),
        ("targets", {**ok, "targets": [ok["targets"][0]] * 9}),
        ("targets[0].url", {"targets": [{"url": "http://169.254.169.254/latest", "model": "m"}]}),
        ("targets[0].url", {"targets": [{"url": "http://[::ffff:169.254.169.254]/", "model": "m"}]}),
        ("targets[0].url", {"targets": [{"url": "http://metadata.google.internal/", "model": "m"}]}),
        ("targets[0].url", {"targets": [{"url": "http://a@b/", "model": "m"}]}),
        ("targets[0].url", {"targets": [{"url": "file:///etc/passwd", "model": "m"}]}),
        ("targets[0].api_key", {"targets": [{"url": "http://x", "model": "m", "api_key": "a\r\nhost: b"}]}),
        ("concurrencies[0]", {**ok, "concurrencies": [10**9]}),
        ("concurrencies", {**ok, "concurrencies": list(range(1, 100))}),
        ("requests", {**ok, "requests": 10**18}),
        ("prompt_tokens", {**ok, "prompt_tokens": 10**9}),
        ("prompt_tokens", {**ok, "prompt_tokens": 32768, "requests": 2000}),
        ("output_tokens", {**ok, "output_tokens": -1}),
        ("duration_seconds", {**ok, "duration_seconds": 86400}),
        ("seed", {**ok, "seed": 2**63}),
        ("name", {**ok, "name": "x" * 65}),
        ("user_id", {**ok, "user_id": "usr_1"}),
    ):
        error = start(own, status=400, **body)
        assert error["param"] == path, (body, error)
    assert own.items("/api/v1/benchmarks") == []
    for method, path in (("GET", "/api/v1/benchmarks"), ("POST", "/api/v1/benchmarks"), ("DELETE", "/api/v1/benchmarks/bmk_1")):
        assert httpx.request(method, own.url + path).status_code == 401
    # The field that names somebody else means nothing but on the server's own socket.
    stranger = httpx.get(f"{own.url}/v1/models", headers={"x-gantry-acts-for": own.items("/api/v1/users")[0]["id"]})
    assert stranger.status_code == 401


def test_a_target_that_dies_in_the_middle(own, tmp_path):
    dies, lives = FakeEngines(own, tmp_path, "dies").deploy(), FakeEngines(own, tmp_path, "lives")
    lives.behave(stall=1)   # holds the benchmark, until dies has done its part
    lives.deploy()
    benchmark = start(own, targets=[{"deployment": "dies"}, {"deployment": "lives"}], concurrencies=[1, 2], requests=3, prompt_tokens=30, output_tokens=5)
    lives.seen("asked", 1)   # its warm-up; that of the other is done
    dies.behave(status=500)
    lives.behave()
    (lives.folder / "go").touch()
    done = over(own, benchmark)
    assert done["state"] == "failed" and done["reason"].startswith("dies: 3 of 3 requests failed at 1 at once: status 500")
    one, other = done["result"]["targets"]
    assert "told to" in one["error"] and [run["requests_failed"] for run in one["runs"]] == [3], "its further runs are left out"
    assert "error" not in other and [run["requests_ok"] for run in other["runs"]] == [3, 3]
    shown = own.cli("benchmarks", "show", benchmark, check=False)
    assert shown.returncode == 1 and "told to" in shown.stdout and "Throughput" in shown.stdout


def half_way(own, tmp_path):
    """A benchmark of two targets: the run of the first is done, that of the second hangs. Its id, and both."""
    first, second = FakeEngines(own, tmp_path, "first").deploy(), FakeEngines(own, tmp_path, "second")
    second.behave(stall=1)
    second.deploy()
    benchmark = start(own, targets=[{"deployment": "first"}, {"deployment": "second"}], concurrencies=[1], requests=2, prompt_tokens=30, output_tokens=5)
    second.seen("asked", 1)   # Its warm-up hangs; that of the first is done, whose run is to hang next,
    first.behave(stall=1)
    second.behave()
    (second.folder / "go").touch()
    first.seen("asked", 2)    # which it does, while the second one learns to hang again.
    (second.folder / "go").unlink()
    second.behave(stall=1)
    first.behave()
    (first.folder / "go").touch()
    second.seen("asked", 2)
    until(lambda: len(get(own, benchmark)["runs"]) == 1, "the first run is kept")
    assert get(own, benchmark)["state"] == "running"
    return benchmark, first, second


def test_cancelled_in_the_middle(own, tmp_path):
    benchmark, first, second = half_way(own, tmp_path)
    waits = start(own, targets=[{"deployment": "first"}], requests=1, prompt_tokens=30, output_tokens=5)
    never = start(own, targets=[{"deployment": "first"}], requests=1, prompt_tokens=30, output_tokens=5)
    own.cli("benchmarks", "cancel", never, benchmark)
    cut = get(own, benchmark)
    assert cut["state"] == "cancelled" and cut["reason"] == "cancelled" and cut["finished_at"] and cut["progress"]["target"] is None
    assert [run["target"] for run in cut["runs"]] == ["first"] and len(cut["result"]["targets"][0]["runs"]) == 1, "what was measured is kept"
    second.seen("left", 1)   # The engine is free again.
    assert over(own, waits)["state"] == "done"
    assert get(own, never)["state"] == "cancelled" and get(own, never)["started_at"] is None
    actions = [(e["object_kind"], e["action"]) for e in own.items("/api/v1/audit?kind=benchmark&limit=500")]
    assert actions.count(("benchmark", "cancel")) == 2 and actions.count(("benchmark", "create")) == 3


@pytest.mark.parametrize("how", ["kill9", "stop"])
def test_a_restart_in_the_middle(own, tmp_path, how):
    """What was measured is kept, the one that ran says why it has no more, and what waited goes on."""
    benchmark, first, second = half_way(own, tmp_path)
    waits = start(own, targets=[{"deployment": "first"}], requests=1, prompt_tokens=30, output_tokens=5)
    getattr(own, how)()
    own.start()
    after = get(own, benchmark)
    assert after["state"] == "failed" and "the server was stopped" in after["reason"] and "results so far are kept" in after["reason"]
    assert [len(target["runs"]) for target in after["result"]["targets"]] == [1, 0] and after["runs"][0]["requests_ok"] == 2
    assert after["finished_at"] and after["progress"]["target"] is None
    assert over(own, waits)["state"] == "done"


def test_it_waits_for_a_deployment_that_loads(own, tmp_path):
    engines = FakeEngines(own, tmp_path)
    with engines.loading():
        engines.deploy(wait=False)
        benchmark = start(own, targets=[{"deployment": "fake"}], requests=1, prompt_tokens=30, output_tokens=5)
        until(lambda: get(own, benchmark)["reason"].startswith("waits: fake is "), "it says what it waits for")
    assert over(own, benchmark)["state"] == "done"


def test_watchers_follow_it(own, tmp_path):
    engines = FakeEngines(own, tmp_path)
    engines.behave(delay_s=0.05)
    engines.deploy()
    seen = []
    with httpx.stream("GET", f"{own.url}/api/v1/watch?kinds=benchmarks", headers={"Authorization": f"Bearer {own.key}"}, timeout=60) as stream:
        lines = stream.iter_lines()
        for line in lines:
            if line == "event: synced":
                benchmark = start(own, targets=[{"deployment": "fake"}], concurrencies=[1, 2], requests=4, prompt_tokens=30, output_tokens=5)
            if line.startswith("data: ") and "benchmarks" in line:
                seen.append(json.loads(line[6:])["object"])
                if seen[-1]["state"] in OVER:
                    break
    assert {one["id"] for one in seen} == {benchmark}
    assert seen[0]["state"] == "queued" and seen[-1]["state"] == "done" and "result" not in seen[-1] and len(seen[-1]["runs"]) == 2
    fractions = [one["progress"]["fraction"] for one in seen]
    assert fractions == sorted(fractions) and any(0 < fraction < 1 for fraction in fractions), fractions
