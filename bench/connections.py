"""2,000 idle connections and 200 slow readers: are other clients affected, and is memory bounded?"""
import pathlib
import resource
import socket
import statistics
import time

import httpx

from common import Server, report, resident_mb, summary, workspace

IDLE, SLOW, ASKS = 2000, 200, 300
resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))


def latencies(server, count=ASKS):
    values = []
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {server.key}"}) as client:
        for _ in range(count):
            begin = time.perf_counter()
            assert client.get("/v1/models").status_code == 200
            values.append((time.perf_counter() - begin) * 1000)
    return values


def idle(server):
    """Has been served once and rests; one that never speaks is closed after the header timeout."""
    connection = socket.create_connection(("127.0.0.1", server.port))
    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    return connection


def slow_reader(server):
    """Asks for a long stream and never reads it."""
    connection = socket.create_connection(("127.0.0.1", server.port))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.sendall((f"GET /api/v1/watch?kinds=deployments HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {server.key}\r\n\r\n").encode())
    return connection


with workspace() as folder:
    server = Server(pathlib.Path(folder) / "data", "--no-worker").start()
    latencies(server)
    memory = [resident_mb(server.process.pid)]
    before = latencies(server)
    resting = [idle(server) for _ in range(IDLE)]
    with_idle = latencies(server)
    memory.append(resident_mb(server.process.pid))
    slow = [slow_reader(server) for _ in range(SLOW)]
    # Something to stream: every change goes to all of them.
    for n in range(200):
        server.api("POST", "/api/v1/deployments", json={"name": f"d{n}", "source": "file:/nowhere.gguf", "stopped": True})
    with_slow = latencies(server)
    memory.append(resident_mb(server.process.pid))
    for connection in resting + slow:
        connection.close()
    server.stop()
report("connections", {"GET /v1/models, ms, alone": summary(before, 2),
                       f"beside {IDLE} idle connections": summary(with_idle, 2),
                       f"beside {IDLE} idle and {SLOW} slow readers": summary(with_slow, 2),
                       "p99, ms (alone, idle, slow)": [round(statistics.quantiles(v, n=100)[98], 2) for v in (before, with_idle, with_slow)],
                       "resident MB (alone, idle, slow)": [round(m, 1) for m in memory]},
       {"alone": before, "idle": with_idle, "slow": with_slow})
