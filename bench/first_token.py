"""From `gantry deploy` to the first token, SmolLM2 in the page cache; llama-server alone, by hand, beside it."""
import http.client
import json
import os
import pathlib
import signal
import subprocess
import time

import httpx

from common import GANTRY, LLAMA_SERVER, SMOLLM2, Server, environment, free_port, report, summary, workspace

ROUNDS = 7
BODY = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4, "stream": True, "temperature": 0}


def first_token(url, model, key=""):
    """Asks until a token comes; the engine may still be loading."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with httpx.Client(timeout=60) as client:
        while True:
            try:
                with client.stream("POST", f"{url}/v1/chat/completions", json={**BODY, "model": model}, headers=headers) as answer:
                    if answer.status_code == 200:
                        for line in answer.iter_lines():
                            if line.startswith("data: {") and json.loads(line[6:])["choices"][0]["delta"].get("content"):
                                return time.perf_counter()
            except httpx.HTTPError:
                pass
            time.sleep(0.005)


def ours(server, n):
    name = f"m{n}"
    begin = time.perf_counter()
    made = server.api("POST", "/api/v1/deployments", json={"name": name, "source": f"file:{SMOLLM2}"})
    assert made.status_code == 201, made.text
    taken = first_token(server.url, name, server.key) - begin
    server.cli("rm", name, "--yes")
    while server.api("GET", "/api/v1/instances").json()["items"]:
        time.sleep(0.05)
    return taken


def theirs():
    port = free_port()
    begin = time.perf_counter()
    process = subprocess.Popen([LLAMA_SERVER, "-m", str(SMOLLM2), "--host", "127.0.0.1", "--port", str(port), "-c", "8192", "-np", "8",
                                "-kvu", "-t", str(os.cpu_count())], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    taken = first_token(f"http://127.0.0.1:{port}", "m") - begin
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    return taken


SMOLLM2.read_bytes()
with workspace() as folder:
    server = Server(pathlib.Path(folder) / "data").start()
    samples = []
    for n in range(ROUNDS):   # interleaved: the machine is shared
        samples.append({"gantry_s": ours(server, n), "llama_server_s": theirs()})
    server.stop()
report("first_token", {"gantry, deploy to first token, s": summary([s["gantry_s"] for s in samples], 3),
                       "llama-server alone, exec to first token, s": summary([s["llama_server_s"] for s in samples], 3)}, samples)
