"""Servers under test, each a process group of its own on one port. Only one computes at a time: the others are stopped by SIGSTOP,
so that neither their threads nor their timers disturb."""
import contextlib
import http.client
import os
import pathlib
import signal
import subprocess
import tempfile

from common import environment, free_port, until

RIVALS = pathlib.Path(os.environ.get("RIVALS") or pathlib.Path.home() / ".cache/gantry/rivals")


def ticks_of(pid):
    """CPU time of a process so far, user and system, in ticks of 10 ms."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]), int(fields[12])


def cpu_of(pids):
    """Seconds of CPU so far: all to the nanosecond, by the scheduler; the user's share of it by the ticks."""
    user = system = ns = 0
    for pid in pids:
        ticks = ticks_of(pid)
        user, system = user + ticks[0], system + ticks[1]
        with contextlib.suppress(OSError):   # of a thread that ended meanwhile
            ns += sum(int(path.read_text().split()[0]) for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return {"all": ns / 1e9 or (user + system) / 100, "user": user / 100}


class Server:
    """start() waits until it is healthy and freezes it; `with server:` lets it run."""

    def __init__(self, name, argv, port=None, env=None, patience_s=120, port_flag="--port"):
        self.name, self.port, self.env, self.patience_s = name, port or free_port(), env, patience_s
        self.command = [str(word) for word in argv]
        self.argv = self.command + ([port_flag, str(self.port)] if port_flag else [])
        self.process = None

    def spawn(self):
        self.log = tempfile.NamedTemporaryFile(prefix="gantry-bench-", suffix=".log")
        self.process = subprocess.Popen(self.argv, stdout=self.log, stderr=self.log, start_new_session=True,
                                        env={**environment(), **(self.env or {})})

    def start(self, timeout=300):
        self.spawn()
        until(self.healthy, f"{self.name} is ready", timeout=timeout, every=0.05)
        self.signal(signal.SIGSTOP)
        return self

    def get(self, path, timeout=5):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")

    def healthy(self):
        if self.process.poll() is not None:
            tail = pathlib.Path(self.log.name).read_text(errors="replace")[-1500:]
            raise AssertionError(f"{self.name} ended with {self.process.returncode}: {' '.join(self.argv)}\n{tail}")
        try:
            return self.get("/health")[0] == 200
        except OSError:
            return False

    def signal(self, number):
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def __enter__(self):
        self.signal(signal.SIGCONT)
        return self

    def __exit__(self, *_):
        self.signal(signal.SIGSTOP)

    def stop(self):
        if self.process is None:
            return
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            self.process.wait()
        self.signal(signal.SIGKILL)   # of a group, those that outlived their parent
        self.process = None           # stopping twice must not reach whoever gets the pid next
        self.log.close()

    def processes(self):
        """Pids of the whole group: vLLM is three processes."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                if entry.name.isdigit() and os.getpgid(int(entry.name)) == self.process.pid:
                    found.append(int(entry.name))
        return found

    def cpu_ticks(self):
        return sum(sum(ticks_of(pid)) for pid in self.processes())

    def describe(self):
        return {"command": " ".join(self.command).replace(str(pathlib.Path.home()), "~")}


@contextlib.contextmanager
def fleet(servers):
    """Starts all; gives those that came up, so that a rival that crashes at its start costs only its own column."""
    up = []
    try:
        for server in servers:
            try:
                up.append(server.start(server.patience_s))
            except (AssertionError, OSError) as failure:
                print(f"left out: {failure}", flush=True)
                server.stop()
        yield up
    finally:
        for server in servers:   # Also the one that was starting when the run was killed.
            server.stop()
