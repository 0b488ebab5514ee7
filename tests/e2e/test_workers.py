"""Workers on machines of their own (here: processes and data folders of their own), over the server's one port."""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess

import httpx
import pytest

from conftest import GANTRY, Server, alive, until
from fault_proxy import FaultProxy
from remote_workers import RemoteWorker, ask, new_token


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A server without a worker of its own and two that joined it."""
    folder = tmp_path_factory.mktemp("cluster")
    server = Server(folder / "data", "--no-worker").start()
    workers = [RemoteWorker(server, folder, name).start(new_token(server), "--label", f"box={name}") for name in ("alpha", "beta")]
    for worker in workers:
        until(worker.ready, f"{worker.name} reports")
    yield server, workers
    for worker in RemoteWorker.all:
        worker.stop()
    server.stop()


@pytest.fixture(scope="module")
def deployed(cluster):
    server, workers = cluster
    server.deploy("spread", "--replicas", "2")
    return server, workers


def test_two_replicas_land_on_two_workers(deployed):
    server, _ = deployed
    running = server.running("spread", 2)
    assert sorted(i["worker_name"] for i in running) == ["alpha", "beta"]
    labels = {w["name"]: w["labels"] for w in server.items("/api/v1/workers")}
    assert labels == {"alpha": {"box": "alpha"}, "beta": {"box": "beta"}}


def test_chats_and_streams_through_reverse_connections(deployed):
    server, _ = deployed
    for _ in range(4):
        assert ask(server, "spread")
        assert ask(server, "spread", stream=True)


def test_many_streams_at_once(deployed):
    import concurrent.futures
    server, _ = deployed
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda _: ask(server, "spread", stream=True, tokens=8), range(24)))
    assert all(answers)


def test_logs_of_an_engine_elsewhere(deployed):
    server, _ = deployed
    for instance in server.running("spread", 2):
        answer = server.api("GET", f"/api/v1/instances/{instance['id']}/logs?tail=50")
        assert answer.status_code == 200, answer.text
        assert answer.text.strip(), "an engine writes something"
    assert server.cli("logs", "spread").stdout


def test_the_servers_metrics_have_those_of_engines_elsewhere(deployed):
    server, _ = deployed
    scrape = server.api("GET", "/metrics").text
    for instance in server.running("spread", 2):
        assert f'gantry_engine_steps_total{{model="spread",engine="{instance["id"]}"}}' in scrape


def test_a_log_is_followed(deployed):
    server, _ = deployed
    instance = server.running("spread", 2)[0]
    headers = {"Authorization": f"Bearer {server.key}"}
    with httpx.stream("GET", f"{server.url}/api/v1/instances/{instance['id']}/logs?tail=1&follow=true", headers=headers, timeout=30) as answer:
        pieces = answer.iter_text()
        assert next(pieces)
        # It ends when its reader leaves, and the next one still finds the worker.
    assert server.api("GET", f"/api/v1/instances/{instance['id']}/logs?tail=1").status_code == 200


def test_kill_9_of_a_worker_leaves_its_engine_which_is_adopted(deployed):
    server, (alpha, _) = deployed
    before = {i["worker_name"]: i for i in server.running("spread", 2)}
    alpha.kill9()
    assert alive(before["alpha"]["pid"])
    assert ask(server, "spread"), "the other one serves"
    alpha.start()
    until(alpha.ready, "alpha reports")
    after = {i["worker_name"]: i for i in server.running("spread", 2)}
    assert after["alpha"]["pid"] == before["alpha"]["pid"], "the same process"
    assert after["alpha"]["id"] == before["alpha"]["id"]
    for _ in range(4):
        assert ask(server, "spread")


def test_kill_9_of_the_server_leaves_all_running(deployed):
    server, _ = deployed
    before = {i["id"]: i["pid"] for i in server.running("spread", 2)}
    server.kill9()
    assert all(alive(pid) for pid in before.values())
    server.start()
    until(lambda: {i["id"]: i["pid"] for i in server.running("spread", 2)} == before, "both are there as they were")
    assert ask(server, "spread"), "who asks while the workers come back waits"
    assert ask(server, "spread", stream=True)


@pytest.mark.parametrize("spoil, told", [
    (lambda token: token[:-80] + ("x" * 15) + token[-65:], "none of this server's"),
    (lambda token: token[:-1] + ("0" if token[-1] != "0" else "1"), "can't be joined"),
    (lambda token: "gtj_nonsense", "no join token"),
])
def test_wrong_tokens_are_refused(cluster, tmp_path, spoil, told):
    server, _ = cluster
    worker = RemoteWorker(server, tmp_path, "stranger").start(spoil(new_token(server)))
    assert worker.process.wait(60) == 1
    assert told in worker.log()
    assert worker.state() is None


def test_used_revoked_and_expired_tokens_are_refused(cluster, tmp_path):
    server, _ = cluster
    used = new_token(server)
    first = RemoteWorker(server, tmp_path, "first").start(used)
    until(first.ready, "it joined")
    second = RemoteWorker(server, tmp_path, "second").start(used)
    assert second.process.wait(60) == 1 and "used up" in second.log()
    revoked = new_token(server)
    server.cli("workers", "token", "revoke", revoked.split("_")[1])
    third = RemoteWorker(server, tmp_path, "third").start(revoked)
    assert third.process.wait(60) == 1 and "revoked" in third.log()
    expired = new_token(server, "--expires", "1s")
    until(lambda: [t for t in server.items("/api/v1/join-tokens") if t["id"] == expired.split("_")[1]][0]["state"] == "expired", "it expires")
    fourth = RemoteWorker(server, tmp_path, "fourth").start(expired)
    assert fourth.process.wait(60) == 1 and "expired" in fourth.log()
    assert {w["name"] for w in server.items("/api/v1/workers")} >= {"first"}
    audit = [e["action"] for e in server.items("/api/v1/audit?kind=worker&limit=100")]
    assert "refuse_join" in audit and "join" in audit
    # Removed: refused at its next request, and it ends.
    server.cli("workers", "rm", "first")
    assert first.process.wait(60) == 1 and "removed" in first.log()
    again = first.start()
    assert again.process.wait(60) == 1, "its certificate is worth nothing any more"
    assert first.state() is None


def test_a_clone_is_refused(deployed, tmp_path):
    server, (alpha, _) = deployed
    clone = RemoteWorker(server, tmp_path, "alpha-copy")
    clone.data_dir.mkdir()
    shutil.copy(alpha.data_dir / "identity.json", clone.data_dir)
    clone.start("")
    until(lambda: "another process speaks for this worker" in clone.log(), "it is told", timeout=30)
    assert alpha.ready()
    assert ask(server, "spread")
    assert "refuse_clone" in [e["action"] for e in server.items("/api/v1/audit?kind=worker&limit=100")]
    clone.stop()


def test_the_link_is_hidden_from_all_others(cluster):
    server, _ = cluster
    for method, path in (("POST", "/cluster/v1/join"), ("POST", "/cluster/v1/exchange"), ("GET", "/cluster/v1/events"), ("POST", "/cluster/v1/data")):
        assert httpx.request(method, f"{server.url}{path}").status_code == 404, path
        assert server.api(method, path).status_code == 404, "an admin's key opens none of it"


def test_a_drain_moves_what_runs_before_it_stops_it(deployed):
    server, (alpha, beta) = deployed
    server.deploy("single", "--ctx", "512")
    there = server.running("single")[0]["worker_name"]
    done = server.cli("drain", there, "--deadline", "5m", timeout=180)
    assert "is empty" in done.stderr
    after = server.running("single")
    assert after[0]["worker_name"] != there
    assert ask(server, "single")
    server.cli("workers", "uncordon", there)
    server.cli("rm", "single", "--yes")
    server.running("spread", 2)


def test_sigterm_leaves_engines_and_ctrl_c_stops_them(deployed):
    server, workers = deployed
    one = server.running("spread", 2)[0]
    pid = one["pid"]
    worker = next(w for w in workers if w.name == one["worker_name"])
    worker.stop(signal.SIGTERM)
    assert worker.process.returncode == 0 and alive(pid)
    worker.start()
    until(worker.ready, "it reports")
    until(lambda: pid in [i["pid"] for i in server.running("spread", 2)], "it was adopted")
    worker.stop(signal.SIGINT)
    assert not alive(pid)
    worker.start()
    until(worker.ready, "it reports")
    until(lambda: pid not in [i["pid"] for i in server.running("spread", 2)], "it was started anew")


def test_join_sh_brings_the_binary_and_joins(cluster, tmp_path):
    server, _ = cluster
    token = new_token(server)
    assert server.request("GET", "/join.sh?token=gtj_wrong").status_code == 400
    wrong = token[:-80] + ("x" * 15) + token[-65:]
    assert server.request("GET", f"/join.sh?token={wrong}").status_code == 401
    assert server.request("GET", f"/join/gantry?token={wrong}").status_code == 401
    script = server.request("GET", f"/join.sh?token={token}")
    assert script.status_code == 200, script.text
    home = tmp_path / "home"
    home.mkdir()
    # As an ordinary user would, into a home of its own.
    text = script.text.replace('[ "$(id -u)" = 0 ]', "false")
    done = subprocess.run(["sh"], input=text, text=True, capture_output=True, timeout=120,
                          env={"PATH": os.environ["PATH"], "HOME": str(home), "GANTRY_JOIN_START": "no"})
    assert done.returncode == 0, done.stderr
    installed = home / ".local/bin/gantry"
    assert installed.read_bytes() == pathlib.Path(GANTRY).read_bytes()
    assert (home / ".config/gantry/worker-token").read_text().strip() == token
    assert f"--server {server.url}" in done.stderr
    spoilt = text.replace("sum='", "sum='0")
    failed = subprocess.run(["sh"], input=spoilt, text=True, capture_output=True, timeout=120,
                            env={"PATH": os.environ["PATH"], "HOME": str(home), "GANTRY_JOIN_START": "no"})
    assert failed.returncode == 1 and "SHA-256" in failed.stderr
    assert not list((home / ".local/bin").glob(".gantry*")), "nothing half is left"


def test_join_sh_makes_a_service_where_systemd_runs(cluster, tmp_path):
    """With the machine's folders below one of the test's own, and programs of its own that write down how they were called."""
    server, _ = cluster
    tools, calls = tmp_path / "bin", tmp_path / "calls"
    for folder in (tools, tmp_path / "run/systemd/system", tmp_path / "etc/systemd/system", tmp_path / "usr/local/bin"):
        folder.mkdir(parents=True)
    for name in ("id", "useradd", "usermod", "chown", "systemctl"):
        answer = '[ "$1" = -u ] && echo 0 && exit 0; exit 1' if name == "id" else f'echo {name} "$@" >> {calls}'
        (tools / name).write_text(f"#!/bin/sh\n{answer}\n")
        (tools / name).chmod(0o755)
    text = server.request("GET", f"/join.sh?token={new_token(server)}").text
    for path in ("/usr/local/bin", "/etc/gantry", "/etc/systemd", "/run/systemd", "/var/lib/gantry-worker"):
        text = text.replace(path, f"{tmp_path}{path}")
    done = subprocess.run(["sh"], input=text, text=True, capture_output=True, timeout=120, env={"PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    called = calls.read_text()
    assert [line for line in called.splitlines() if line.startswith("systemctl")] == [
        "systemctl daemon-reload", "systemctl enable gantry-worker.service", "systemctl restart gantry-worker.service"]
    assert "useradd --system" in called and f"chown gantry: {tmp_path}/etc/gantry/worker-token" in called
    unit = (tmp_path / "etc/systemd/system/gantry-worker.service").read_text()
    command = f"{tmp_path}/usr/local/bin/gantry worker --server {server.url} --token-file {tmp_path}/etc/gantry/worker-token --data-dir {tmp_path}/var/lib/gantry-worker"
    assert f"ExecStart={command}\n" in unit
    packaged = (pathlib.Path(__file__).resolve().parents[2] / "packaging/gantry-worker.service").read_text()
    kept = {line for line in packaged.splitlines() if line.split("=")[0] in ("KillMode", "Restart", "TimeoutStopSec", "LimitNOFILE", "NoNewPrivileges", "User")}
    assert kept and kept <= set(unit.splitlines()), "what the packaged unit promises"
    assert "must be able to read the model files" in done.stderr


def test_the_line_that_a_new_token_comes_with_works_as_it_is_printed(tmp_path):
    server = Server(tmp_path / "data", "--no-worker")
    server.host = "0.0.0.0"   # as `gantry serve` does; the host check lets addresses pass and no name of the machine
    with contextlib.ExitStack() as stack:
        server.start()
        stack.callback(server.stop)
        told = server.cli("workers", "token", "create").stderr
        url = re.search(r"'(http://\S+/join\.sh\?token=\S+)'", told)[1]
        answer = httpx.get(url, timeout=60)
        assert answer.status_code == 200, f"{url}: {answer.text}"
        assert f"url='{url.split('/join.sh')[0]}'" in answer.text


def test_a_partition_is_noticed_its_instance_placed_anew_and_the_old_one_stopped(tmp_path):
    """P9 and P10, F10. The worker is even killed and started again while it is cut off: it takes its engine over, and gives it up
    once it is told."""
    server = Server(tmp_path / "data", "--no-worker").start()
    wire = FaultProxy(server.port)
    far = RemoteWorker(server, tmp_path, "far", wire.url).start(new_token(server))
    near = RemoteWorker(server, tmp_path, "near")
    try:
        until(far.ready, "far reports")
        server.deploy("m", "--ctx", "512")
        old = server.running("m")[0]
        assert old["worker_name"] == "far"
        near.start(new_token(server))
        until(near.ready, "near reports")
        wire.freeze()
        until(lambda: far.state() == "unreachable", "no sign of it for 15 s", timeout=30)
        assert [i["state"] for i in server.instances("m")] == ["unreachable"], "it may come back: nothing is placed yet"
        new = until(lambda: [i for i in server.instances("m") if i["state"] == "running" and i["worker_name"] == "near"],
                    "its lease ends, another takes over", timeout=60)[0]
        assert ask(server, "m")
        assert alive(old["pid"]), "what can't be told runs on"
        far.kill9()
        far.start()
        until(lambda: f"adopting its engine, process {old['pid']}" in far.log(), "it takes its engine over")
        wire.thaw()
        until(lambda: far.state() == "ready", "it is back")
        until(lambda: not alive(old["pid"]), "it learnt that its instance is another's now")
        until(lambda: [i["id"] for i in server.instances("m")] == [new["id"]], "one is left")
        assert ask(server, "m")
    finally:
        wire.thaw()
        for worker in (far, near):
            worker.stop()
        server.stop()
        wire.close()
