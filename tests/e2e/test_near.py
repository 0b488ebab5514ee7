"""A worker takes a model's files from its server, or from the worker that has them, before it asks a hub; what is damaged there is not used."""
import pathlib
import sys

import pytest

from conftest import SMOLLM2, Server, until
from remote_workers import RemoteWorker, ask, new_token

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "fakes"))
from hub import Hub  # noqa: E402

REPO = "Org/Small-GGUF"
SOURCE = f"hf:{REPO}:Q4_1"
SIZE = SMOLLM2.stat().st_size if SMOLLM2.exists() else 0


@pytest.fixture
def hub(monkeypatch):
    with Hub() as own:
        own.add(REPO, {"small-q4_1.gguf": SMOLLM2})
        monkeypatch.setenv("HF_ENDPOINT", own.url)   # of the workers, too
        yield own


@pytest.fixture
def cluster(tmp_path, hub):
    server = Server(tmp_path / "data", "--no-worker").start()
    workers = {name: RemoteWorker(server, tmp_path, name) for name in ("alpha", "beta")}
    yield server, workers
    for worker in workers.values():
        worker.stop()
    server.stop()


def join(server, worker, *flags):
    worker.start(new_token(server), *flags)
    until(worker.ready, f"{worker.name} reports")


def fetched(hub):
    """Requests for the file itself, of which a header is looked at by at most 4 MiB."""
    return [r for r in hub.asked("", "storage") if r[1] == "GET" and r[3].get("Range", "") != "bytes=0-0"]


def blob(worker, hub):
    return worker.data_dir / "models/blobs" / hub.repos[REPO].files["small-q4_1.gguf"].sha256


def test_a_second_replica_takes_it_from_the_first(cluster, hub):
    server, workers = cluster
    join(server, workers["alpha"])
    server.deploy("m", source=SOURCE)
    join(server, workers["beta"])
    hub.requests.clear()
    server.cli("scale", "m", "2", "--wait")
    assert sorted(i["worker_name"] for i in server.running("m", 2)) == ["alpha", "beta"]
    assert not fetched(hub), fetched(hub)
    assert blob(workers["beta"], hub).read_bytes() == SMOLLM2.read_bytes()
    assert ask(server, "m")
    # Both have it now: as the API and the command line show it, for each.
    sets = server.items("/api/v1/model-files")
    assert sorted((s["worker_name"], s["state"], s["source"], s["bytes"], s["used_by"][0]) for s in sets) == [
        (name, "ready", SOURCE, SIZE, "m") for name in ("alpha", "beta")]
    assert "alpha" in server.cli("ls", "--files").stdout
    assert [s["worker_name"] for s in server.items("/api/v1/model-files?worker=beta")] == ["beta"]
    server.cli("verify", SOURCE, "--worker", "beta")
    refused = server.cli("rm", "--files", SOURCE, "--worker", "beta", "--yes", check=False)
    assert refused.returncode == 1 and "are those of m" in refused.stderr, refused.stderr
    assert server.cli("verify", SOURCE, check=False).returncode == 1, "the server's own machine has none"
    assert server.cli("verify", SOURCE, "--worker", "gamma", check=False).returncode == 1
    server.cli("rm", "m", "--yes")
    until(lambda: not server.items("/api/v1/instances"), "the instances are gone")
    server.cli("rm", "--files", SOURCE, "--worker", "beta", "--yes")
    assert not blob(workers["beta"], hub).exists() and blob(workers["alpha"], hub).exists()
    # One that is damaged is found by reading it, there as here.
    path = blob(workers["alpha"], hub)
    data = bytearray(path.read_bytes())
    data[SIZE // 2] ^= 0xFF
    path.write_bytes(data)
    damaged = server.cli("verify", SOURCE, "--worker", "alpha", check=False)
    assert damaged.returncode == 1 and "is damaged" in damaged.stderr, damaged.stderr


def test_what_is_damaged_at_the_other_worker_comes_from_the_hub(cluster, hub):
    server, workers = cluster
    join(server, workers["alpha"])
    server.deploy("m", source=SOURCE)
    path = blob(workers["alpha"], hub)
    data = bytearray(path.read_bytes())
    data[SIZE // 2] ^= 0xFF
    path.unlink()                 # the engine has the old one mapped
    path.write_bytes(data)
    join(server, workers["beta"])
    hub.requests.clear()
    server.cli("scale", "m", "2", "--wait")
    assert fetched(hub), "the hub was asked in the end"
    assert blob(workers["beta"], hub).read_bytes() == SMOLLM2.read_bytes()
    assert "it came from another machine" in workers["beta"].log()


def test_a_worker_without_a_network_takes_what_its_server_has(cluster, hub):
    server, workers = cluster
    server.cli("pull", SOURCE)
    join(server, workers["alpha"], "--offline")
    hub.requests.clear()
    server.deploy("m", source=SOURCE)
    assert ask(server, "m") and not fetched(hub)
    assert blob(workers["alpha"], hub).read_bytes() == SMOLLM2.read_bytes()
    assert sorted(s["worker_name"] for s in server.items("/api/v1/model-files")) == ["alpha", "server"]


def test_the_servers_own_worker_takes_it_from_one_elsewhere(tmp_path, hub):
    server = Server(tmp_path / "data").start()
    alpha = RemoteWorker(server, tmp_path, "alpha")
    try:
        join(server, alpha)
        own = next(w for w in server.items("/api/v1/workers") if w["name"] != "alpha")
        def cordon(yes):
            assert server.api("PATCH", f"/api/v1/workers/{own['id']}", json={"cordoned": yes}).status_code == 200
        cordon(True)
        server.deploy("m", source=SOURCE)
        assert [i["worker_name"] for i in server.running("m")] == ["alpha"]
        cordon(False)
        hub.requests.clear()
        server.cli("scale", "m", "2", "--wait")
        assert sorted(i["worker_name"] for i in server.running("m", 2)) == sorted(["alpha", own["name"]])
        assert not fetched(hub), fetched(hub)
        assert blob(server, hub).read_bytes() == SMOLLM2.read_bytes()
    finally:
        alpha.stop()
        server.stop()


def test_one_that_has_gone_is_not_waited_for(cluster, hub):
    server, workers = cluster
    join(server, workers["alpha"])
    server.deploy("m", source=SOURCE)
    join(server, workers["beta"])
    workers["alpha"].kill9()
    hub.requests.clear()
    server.cli("scale", "m", "2")
    until(lambda: [i for i in server.instances("m") if i["worker_name"] == "beta" and i["state"] == "running"], "it runs on beta")
    assert fetched(hub)
    workers["alpha"].start()                      # so that its engine, which lives on, ends with it
    until(workers["alpha"].ready, "alpha reports again")
