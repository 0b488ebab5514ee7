"""Faults by the numbers of docs/reliability.md: memory runs out, of an engine, or of the server's machine. A group of processes with a
limit is that machine here, so these need root."""
import contextlib
import os
import subprocess
import sys
import threading

import httpx
import pytest

from conftest import Server, alive, until
from fake_engines import FakeEngines

MIB = 1 << 20


class MemoryGroup:
    """Processes whose memory is limited together."""

    def __init__(self, limit_bytes):
        self.folder, limit = self.make(f"gantry-test-{os.getpid()}")
        with open(limit, "w") as file:
            file.write(str(limit_bytes))

    @staticmethod
    def make(name):
        for root, limit in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
            folder = f"{root}/{name}"
            with contextlib.suppress(OSError):
                os.mkdir(folder)
                if os.path.exists(f"{folder}/{limit}"):
                    return folder, f"{folder}/{limit}"
                os.rmdir(folder)
        pytest.skip("no memory group can be made here")

    @property
    def joining(self):
        """Words before a command that is to run in it."""
        return ("sh", "-c", f'echo $$ > {self.folder}/cgroup.procs && exec "$@"', "sh")

    def headroom(self):
        """Bytes until the kernel has to end one of them: files go first."""
        old = os.path.exists(f"{self.folder}/memory.usage_in_bytes")
        limit, usage = ("limit_in_bytes", "usage_in_bytes") if old else ("max", "current")
        held = int(open(f"{self.folder}/memory.{usage}").read())
        stat = dict(line.split() for line in open(f"{self.folder}/memory.stat"))
        files = sum(int(stat[("total_" if old else "") + f"{kind}_file"]) for kind in ("active", "inactive"))
        return int(open(f"{self.folder}/memory.{limit}").read()) - held + files

    def add(self, pid):
        with open(f"{self.folder}/cgroup.procs", "w") as members:
            members.write(str(pid))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        until(lambda: not open(f"{self.folder}/cgroup.procs").read(), "the group is empty")
        os.rmdir(self.folder)


class Eater:
    """A program beside ours that takes memory and gives it back as it is told. The kernel never chooses it."""
    PROGRAM = "\n".join(["import sys", "open('/proc/self/oom_score_adj', 'w').write('-1000')", "held = []", "print('ready', flush=True)",
                         "for line in sys.stdin:", "    held = held + [b'x' * int(line)] if int(line) else []", "    print(len(held), flush=True)"])

    def __init__(self, group):
        self.process = subprocess.Popen([*group.joining, sys.executable, "-c", self.PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n", "it is out of the kernel's choice"

    def eat(self, count):
        """So many bytes more; 0: all is given back."""
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        self.process.stdout.readline()
        return True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        assert self.process.wait(30) == 0


@pytest.fixture
def small_machine():
    with MemoryGroup(512 * MIB) as group:
        yield group


@contextlib.contextmanager
def server_in(group, folder, *flags):
    server = Server(folder / "data", *flags)
    server.prefix = group.joining
    try:
        yield server.start()
    finally:
        server.stop()


def test_f4_an_engine_out_of_memory_is_named_so(tmp_path):
    with MemoryGroup(64 * MIB) as group:
        server = Server(tmp_path / "data").start()
        try:
            engines = FakeEngines(server, tmp_path, "hungry").deploy()
            [before] = engines.running()
            group.add(before["pid"])
            engines.behave(eat=True)
            reasons = set()

            def ended():
                reasons.update(i["reason"] for i in engines.instances())
                return not alive(before["pid"])
            threading.Thread(target=engines.ask, daemon=True).start()
            until(ended, "the kernel ends it")
            until(lambda: reasons.update(i["reason"] for i in engines.instances()) or any("memory" in r for r in reasons), f"why is said: {reasons}")
            engines.behave()
            until(lambda: [i for i in engines.instances() if i["state"] == "running" and i["pid"] != before["pid"]], "it is started again")
        finally:
            server.stop()


def test_f5_load_is_shed_before_memory_runs_out(small_machine, tmp_path):
    with server_in(small_machine, tmp_path, "--memory-reserve", "64") as server, Eater(small_machine) as eater:
        engines = FakeEngines(server, tmp_path).deploy()
        [before] = engines.running()
        engines.behave(stall=2)
        with engines.stream() as (_, lines):
            next(lines)

            def short():
                told = httpx.get(f"{server.url}/readyz")
                return told.json()["reasons"] if told.status_code == 503 else None
            assert not short()
            eater.eat(small_machine.headroom() - 40 * MIB)
            [reason] = until(short, "memory is short")
            assert "memory is short" in reason and "of 512 MiB are left, and 64 MiB are to stay free" in reason, reason
            # What would take more is refused, in the shape of each API, before its body is read...
            for path in ("/v1/chat/completions", "/v1/embeddings"):
                refused = server.api("POST", path, json=engines.body())
                assert refused.status_code == 503 and int(refused.headers["retry-after"]) >= 1, refused.text
                assert refused.json()["error"]["code"] == "server_memory_short" and reason in refused.json()["error"]["message"]
            message = server.api("POST", "/v1/messages", json={**engines.body(), "max_tokens": 5})
            assert message.status_code == 503 and message.json()["type"] == "error"
            assert server.request("POST", "/v1/chat/completions", json=engines.body()).status_code == 401   # strangers learn nothing
            assert len(engines.journal("asked")) == 1, "no engine saw any of them"
            # ... and all else goes on, what makes room included.
            assert httpx.get(f"{server.url}/healthz").status_code == 200
            assert server.api("GET", "/v1/models").status_code == 200
            assert server.api("POST", "/api/v1/keys", json={"name": "k"}).status_code == 201
            assert "fake" in server.cli("ps").stdout
            shed = [line for line in server.api("GET", "/metrics").text.splitlines() if line.startswith("gantry_gateway_shed_total ")]
            assert shed == ["gantry_gateway_shed_total 3"]
            (engines.folder / "go").touch()
            rest = list(lines)
            assert rest[-1] == "data: [DONE]", "what was being answered is answered to its end"
        engines.behave()
        eater.eat(0)
        until(server.ready, "memory is there again")
        assert engines.ask().status_code == 200
        [after] = engines.running()
        assert after["pid"] == before["pid"] and after["restarts"] == before["restarts"], "nothing had to end"


def test_f5_what_runs_out_all_the_same_ends_an_engine_and_not_the_server(small_machine, tmp_path):
    with server_in(small_machine, tmp_path, "--memory-reserve", "0") as server, Eater(small_machine) as eater:
        if open(f"/proc/{eater.process.pid}/oom_score_adj").read() != "-1000\n":
            pytest.skip("this user may not keep a program out of the kernel's choice (CAP_SYS_RESOURCE)")
        engines = FakeEngines(server, tmp_path).deploy()
        [before] = engines.running()
        sizes = {pid: int(open(f"/proc/{pid}/statm").read().split()[1]) for pid in (before["pid"], server.process.pid)}
        assert sizes[before["pid"]] < sizes[server.process.pid], "by size it would be the server"
        until(lambda: eater.eat(2 * MIB) and not alive(before["pid"]), "the kernel ends the engine", timeout=120, every=0)
        eater.eat(0)
        assert server.process.poll() is None and server.api("GET", "/api/v1/deployments").status_code == 200
        until(lambda: [i for i in engines.instances() if i["state"] == "running" and i["pid"] != before["pid"]], "it is started again")
        assert engines.ask().status_code == 200
        said = server.log()
        assert "memory" in said.lower(), said[-2000:]
