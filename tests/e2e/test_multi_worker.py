"""One model on several workers: llama-server on the leading one, ggml's rpc-server on the others, each a process that its own worker starts.

Two workers on two loopback addresses; they connect to each other directly, as those of two machines would."""
import json
import os
import pathlib
import signal

import pytest
from conftest import LLAMA_SERVER, SMOLLM2, Server, until
from remote_workers import RemoteWorker, new_token

RPC_SERVER = pathlib.Path(LLAMA_SERVER).parent / "ggml-rpc-server"
PROMPT = "The capital of France is"

pytestmark = pytest.mark.skipif(not RPC_SERVER.is_file(), reason="no ggml-rpc-server beside LLAMA_SERVER: ./dev build release llama-server ggml-rpc-server")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster")
    server = Server(folder / "server", "--no-worker").start()
    workers = [RemoteWorker(server, folder, name).start(new_token(server), "--data-address", address)
               for name, address in (("lead", "127.0.0.2"), ("follow", "127.0.0.3"))]
    for worker in workers:
        until(worker.ready, f"{worker.name} is ready")
    yield server, workers
    for worker in workers:
        worker.stop()
    server.stop()


def deploy(server, name, *flags):
    server.cli("deploy", name, "--source", str(SMOLLM2), "--backend", "llama-server", "--binary", LLAMA_SERVER, "--ctx", "1024",
               "--max-sequences", "2", *flags)


def together(server, name):
    deploy(server, name, "--across-workers", "--devices", "lead/cpu/0,follow/cpu/0")
    return until(lambda: running(server, name), f"{name} runs on both")


def running(server, name):
    found = server.instances(name)
    return found[0] if found and found[0]["state"] == "running" else None


def complete(server, name):
    return server.openai().completions.create(model=name, prompt=PROMPT, max_tokens=24, temperature=0, seed=1).choices[0].text


def processes(instance):
    return {part["worker_name"]: part["pid"] for part in instance["parts"]}


def test_an_instance_on_two_workers_answers_as_one_on_one(cluster):
    server, _ = cluster
    evaluated = server.cli_json("evaluate", str(SMOLLM2), "--backend", "llama-server", "--binary", LLAMA_SERVER, "--ctx", "1024",
                                "--max-sequences", "2", "--across-workers", "--devices", "lead/cpu/0,follow/cpu/0")
    assert "2 workers together" in evaluated["reason"], evaluated["reason"]
    instance = together(server, "both")
    assert [part["worker_name"] for part in instance["parts"]] == ["lead", "follow"]
    assert all(part["state"] == "running" and part["pid"] > 0 for part in instance["parts"]), instance["parts"]
    lead, follow = (pathlib.Path(f"/proc/{part['pid']}/cmdline").read_bytes().split(b"\0") for part in instance["parts"])
    assert b"--rpc" in lead and lead[lead.index(b"--rpc") + 1].startswith(b"127.0.0.3:")
    assert follow[0].endswith(b"ggml-rpc-server") and follow[follow.index(b"-H") + 1] == b"127.0.0.3", follow
    kept = sum(claim["layers"] for claim in instance["placement"]["claims"])
    assert kept == instance["placement"]["layers"], instance["placement"]
    deploy(server, "alone", "--devices", "lead/cpu/0")
    server.running("alone")
    assert complete(server, "both") == complete(server, "alone")
    assert "Accepted client connection" in server.cli("logs", "both").stdout, "the logs of both parts"
    assert "lead" in server.cli("ps").stdout and "follow" in server.cli("ps").stdout
    server.cli("rm", "alone", "--yes")


def test_the_end_of_one_part_restarts_all(cluster):
    server, _ = cluster
    before = running(server, "both") or together(server, "both")
    answer = complete(server, "both")
    for victim in ("follow", "lead"):
        former = processes(running(server, "both"))
        os.kill(former[victim], signal.SIGKILL)

        def anew(former=former):
            now = running(server, "both")
            return now if now and all(pid not in former.values() for pid in processes(now).values()) else None
        now = until(anew, f"all parts run again after the end of {victim}'s")
        assert now["id"] == before["id"] and complete(server, "both") == answer


def test_a_restarted_worker_and_server_adopt_their_parts(cluster):
    server, workers = cluster
    former = processes(running(server, "both") or together(server, "both"))
    workers[1].kill9()
    workers[1].start()
    until(workers[1].ready, "the worker is back")
    server.kill9()
    server.start()
    for worker in workers:
        until(lambda worker=worker: worker.state() == "ready", f"{worker.name} came back")
    def reported():
        now = running(server, "both")
        return now if now and all(part["pid"] for part in now["parts"]) else None
    assert processes(until(reported, "both parts are reported as running")) == former
    complete(server, "both")


def test_all_parts_end_with_it(cluster):
    server, _ = cluster
    former = processes(running(server, "both") or together(server, "both"))
    server.cli("rm", "both", "--yes")
    until(lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in former.values()), "no process is left")
    until(lambda: not server.items("/api/v1/instances"), "nor an instance")


def test_a_lost_worker_takes_the_whole_instance_along(cluster):
    server, workers = cluster
    instance = together(server, "both")
    workers[1].process.send_signal(signal.SIGSTOP)
    try:
        lost = until(lambda: (lambda i: i[0] if i and i[0]["state"] == "unreachable" else None)(server.instances("both")), "it is unreachable", 30)
        assert "follow" in lost["reason"], lost["reason"]
        until(lambda: all(i["id"] != instance["id"] or i["stopping"] for i in server.instances("both")), "its lease ends, and with it the instance", 60)
    finally:
        workers[1].process.send_signal(signal.SIGCONT)
    until(lambda: running(server, "both"), "a new one runs once the worker is back", 90)
    server.cli("rm", "both", "--yes")


def test_it_says_why_not(cluster):
    server, _ = cluster
    refused = server.cli("evaluate", str(SMOLLM2), "--backend", "engine", "--across-workers", "--devices", "lead/cpu/0,follow/cpu/0", "--json",
                         check=False)
    assert refused.returncode == 1
    assert "one worker alone" in json.loads(refused.stdout)["reason"], refused.stdout
