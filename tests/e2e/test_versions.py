"""A cluster of two versions one step apart, with a real binary of an earlier one: GANTRY_OLDER_BINARY names it (`./dev build release` at an
earlier commit makes one). Without it these are skipped; src/protocol/worker/versions_test.cc holds what earlier versions said all the same."""
import contextlib
import os
import signal

import pytest

from conftest import GANTRY, Server, alive, until
from remote_workers import RemoteWorker, ask, new_token

OLDER = os.environ.get("GANTRY_OLDER_BINARY")
pytestmark = pytest.mark.skipif(not OLDER, reason="GANTRY_OLDER_BINARY names no gantry of an earlier version")


@contextlib.contextmanager
def cluster(folder, server_program, worker_program):
    server = Server(folder / "data", "--no-worker")
    server.program = server_program
    worker = RemoteWorker(server.start(), folder, "box")
    worker.program = worker_program
    try:
        until(worker.start(new_token(server)).ready, "the worker reports")
        yield server, worker
    finally:
        worker.stop()
        server.stop()


def serves(server, model):
    assert ask(server, model)
    assert ask(server, model, stream=True)


def test_f22_a_cluster_is_upgraded_machine_by_machine(tmp_path):
    with cluster(tmp_path, OLDER, OLDER) as (server, worker):
        server.deploy("before", "--ctx", "512")
        [engine] = server.running("before")
        serves(server, "before")

        server.process.send_signal(signal.SIGTERM)   # the server first, on the same data
        assert server.process.wait(60) == 0
        server.program = GANTRY
        server.start()
        until(lambda: worker.state() == "ready", "the older worker is back")
        serves(server, "before")
        assert [i["pid"] for i in server.running("before")] == [engine["pid"]], "no engine was touched"
        server.deploy("between", "--ctx", "512")     # by the newer server, on the older worker
        serves(server, "between")
        server.cli("stop", "between")
        until(lambda: not server.instances("between"), "it ends there")
        assert server.cli("logs", "before").stdout, "its logs come over the older worker's link"

        worker.stop(signal.SIGTERM)                  # then the worker
        worker.program = GANTRY
        until(worker.start().ready, "the newer worker reports")
        assert [i["pid"] for i in server.running("before")] == [engine["pid"]] and alive(engine["pid"]), "it is taken over"
        serves(server, "before")
        server.cli("start", "between", "--wait")
        serves(server, "between")


def test_f22_a_newer_worker_of_an_older_server_serves(tmp_path):
    with cluster(tmp_path, OLDER, GANTRY) as (server, worker):
        server.deploy("m", "--ctx", "512")
        serves(server, "m")
        [engine] = server.running("m")
        worker.stop(signal.SIGTERM)
        until(worker.start().ready, "it reports again")
        assert [i["pid"] for i in server.running("m")] == [engine["pid"]]
        serves(server, "m")
        server.cli("rm", "m", "--yes")
        until(lambda: not alive(engine["pid"]), "it ends")
