"""gantry serve from exec to /readyz 200 on an existing data folder, and its idle resident memory."""
import http.client
import os
import pathlib
import signal
import subprocess
import time

from common import GANTRY, environment, free_port, report, resident_mb, summary, workspace

ROUNDS = 11


def once(data, port):
    begin = time.perf_counter()
    process = subprocess.Popen([GANTRY, "serve", "--port", str(port), "--host", "127.0.0.1", "--data-dir", str(data)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                break
        except OSError:
            pass
        time.sleep(0.001)
    ready_ms = (time.perf_counter() - begin) * 1000
    time.sleep(1.0)   # idle: the reconciler and the worker have settled
    memory = resident_mb(process.pid)
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    return ready_ms, memory


with workspace() as folder:
    data, port = pathlib.Path(folder) / "data", free_port()
    once(data, port)   # the first start makes the data folder
    samples = [once(data, port) for _ in range(ROUNDS)]
report("start", {"exec to /readyz 200, ms": summary([s[0] for s in samples]),
                 "resident memory, idle server, MB": summary([s[1] for s in samples])},
       [{"ready_ms": s[0], "resident_mb": s[1]} for s in samples])
