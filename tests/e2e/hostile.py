"""For the tests of hostile input: cases as rows of a table, and what must hold after each of them whatever it was."""
import dataclasses
import json
import os
import pathlib
import re
import socket
import time

import httpx

from conftest import until

# What would tell a stranger about our insides: addresses, paths, source files, SQL, exceptions.
LEAKS = re.compile(r"0x[0-9a-f]{6,}|/root/|/tmp/|/home/|/work/|\.cc:|\.h:\d|Traceback|std::|SELECT |boost|sqlite", re.I)
MIB = 1 << 20


@dataclasses.dataclass
class Answer:
    status: int
    headers: dict
    body: bytes
    closed: bool = False      # the server closed the connection behind it
    seconds: float = 0.0


@dataclasses.dataclass
class Case:
    name: str
    send: object              # send(server) -> Answer
    status: object            # one, or a set of those that are right
    param: str = None         # of the error, its beginning
    code: str = None
    closes: bool = False      # the connection must be closed behind the answer
    within_s: float = 10.0


def post(name, status, path, body, param=None, code=None, headers=None, **more):
    """A body: anything that JSON can say, or bytes, or a function that makes one of these when its turn comes."""
    def send(server):
        content = body() if callable(body) else body
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        begin = time.monotonic()
        answer = server.api("POST", path, content=content, headers={"Content-Type": "application/json", **(headers or {})})
        return Answer(answer.status_code, answer.headers, answer.content, seconds=time.monotonic() - begin)
    return Case(name, send, status, param, code, **more)


def request(name, status, method, path, headers=None, key=True, **more):
    def send(server):
        own = {"Authorization": f"Bearer {server.key}"} if key else {}
        answer = server.request(method, path, headers={**own, **(headers or {})})
        return Answer(answer.status_code, answer.headers, answer.content)
    return Case(name, send, status, **more)


def raw(name, status, data, closes=True, **more):
    """Bytes as they are; KEY stands for the key. `data` may be a function that makes them."""
    def send(server):
        content = data() if callable(data) else data
        return exchange(server, content.replace(b"KEY", server.key.encode()), closes)
    return Case(name, send, status, closes=closes, **more)


def connect(server):
    sock = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def exchange(server, data, closes):
    """Sends the bytes, and reads the first answer and, where one is due, up to the close."""
    with connect(server) as sock:
        try:
            sock.sendall(data)
        except OSError:
            pass  # it answered and closed while we went on
        status, headers, body, rest = read_answer(sock)
        try:
            closed = closes and not rest and sock.recv(1) == b""
        except ConnectionError:
            closed = True
        except TimeoutError:
            closed = False
        return Answer(status, headers, body, closed=closed)


def read_answer(sock, buffered=b""):
    """One answer off a connection: status, headers, body, and what came behind it."""
    while b"\r\n\r\n" not in buffered:
        piece = sock.recv(65536)
        assert piece, f"closed without an answer, after {buffered[:200]!r}"
        buffered += piece
    head, _, body = buffered.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = httpx.Headers([tuple(line.split(": ", 1)) for line in lines[1:]])
    length = int(headers.get("content-length", 0))
    while len(body) < length:
        piece = sock.recv(65536)
        assert piece, "closed within the body"
        body += piece
    return int(lines[0].split(" ")[1]), headers, body[:length], body[length:]


def problem_of(case, answer):
    """What is wrong with the answer; empty: nothing."""
    right = case.status if isinstance(case.status, (set, tuple)) else {case.status}
    if answer.status not in right:
        return f"status {answer.status}, not {case.status}: {answer.body[:300]!r}"
    try:
        text = answer.body.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"the answer is no UTF-8: {error}"
    if answer.status >= 400:
        if answer.status != 501 and not answer.headers.get("x-request-id"):
            return "no x-request-id"
        error = json.loads(text)["error"] if text else None
        if error is None or set(error) != {"message", "type", "param", "code"}:
            return f"not the four-key shape: {text[:300]}"
        if LEAKS.search(text):
            return f"the error tells of our insides: {text[:300]}"
        if len(text) > 4096:
            return f"an error of {len(text)} bytes"
        if case.param is not None and not (error["param"] or "").startswith(case.param):
            return f"param {error['param']}, not {case.param}: {error['message'][:200]}"
        if case.code is not None and error["code"] != case.code:
            return f"code {error['code']}, not {case.code}"
    if case.closes and not answer.closed:
        return "the connection stays open"
    if answer.seconds > case.within_s:
        return f"it took {answer.seconds:.2f} s"
    return ""


class Watch:
    """What must hold after each row: the server and its engines live and are the same ones, nothing is in flight, memory is back, and
    the log holds no secret."""

    def __init__(self, server, secrets=()):
        self.server = server
        self.secrets = [server.key, *secrets]
        self.engines = self.engine_pids()
        self.base = {pid: resident(pid) for pid in self.pids()}
        self.log_seen = 0

    def engine_pids(self):
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                if str(self.server.data_dir).encode() in words and b"engine\0--model" in words:
                    found.append(int(entry.name))
        return sorted(found)

    def pids(self):
        return [self.server.process.pid, *self.engines]

    def assert_well(self):
        assert self.server.process.poll() is None, "the server died"
        assert self.server.request("GET", "/healthz").status_code == 200
        until(lambda: self.server.in_flight() == 0, "nothing is in flight", timeout=20)

    def assert_log_clean(self):
        text = self.server.log()
        fresh, self.log_seen = text[self.log_seen:], len(text)
        for secret in self.secrets:
            assert secret not in fresh, "a secret is in the log"
        for line in fresh.splitlines():
            assert len(line) < 4096, f"a line of {len(line)} bytes in the log"
            assert all(" " <= c or c == "\t" for c in line), f"control characters in the log: {line!r}"
            assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00 \w+ |gantry |  (console|first|data|stop)", line), line

    def assert_memory_back(self, more_mib):
        assert self.engine_pids() == self.engines, "an engine died"

        def grown():
            return {pid: (resident(pid) - self.base[pid]) // MIB for pid in self.pids()}
        until(lambda: all(mib <= more_mib for mib in grown().values()), f"memory is back within {more_mib} MiB, not {grown()}", timeout=10)


def resident(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def run_row(watch, cases):
    """All cases of a row, so that a failure of one does not hide the others."""
    problems = []
    for case in cases:
        try:
            answer = case.send(watch.server)
            problem = problem_of(case, answer)
        except (OSError, httpx.HTTPError, AssertionError, ValueError) as error:
            problem = f"{type(error).__name__}: {error}"
        if problem:
            problems.append(f"{case.name}: {problem}")
        watch.assert_well()
    watch.assert_log_clean()
    assert not problems, "\n".join(problems)
