"""Figures of issue 8 on this machine, over loopback: one file of 2 GB from a hub that sends it as fast as the kernel can, by Gantry (which computes
its digest meanwhile) and by curl, in turns; the most memory that it took; 1,000 files listed and evaluated; what kills lose."""
import argparse
import hashlib
import os
import pathlib
import random
import re
import socket
import statistics
import subprocess
import sys
import threading
import time

from common import ROOT, SMOLLM2, Server, report, workspace

sys.path.insert(0, str(ROOT / "tests/fakes"))
from hub import Hub  # noqa: E402


class FileServer(threading.Thread):
    """Sends one file by ranges with sendfile(2), a thread a connection: as fast as the kernel can."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path, self.size = path, path.stat().st_size
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.sent = 0
        self.lock = threading.Lock()
        self.start()

    def run(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        buffer = b""
        try:
            with open(self.path, "rb") as file:
                while True:
                    while b"\r\n\r\n" not in buffer:
                        more = connection.recv(65536)
                        if not more:
                            return
                        buffer += more
                    head, _, buffer = buffer.partition(b"\r\n\r\n")
                    wanted = re.search(rb"(?i)\r\nrange: bytes=(\d+)-(\d*)", head)
                    begin = int(wanted[1]) if wanted else 0
                    end = min(int(wanted[2]) + 1, self.size) if wanted and wanted[2] else self.size
                    status = b"206 Partial Content" if wanted else b"200 OK"
                    connection.sendall(b"HTTP/1.1 " + status + f"\r\nContent-Length: {end - begin}\r\nAccept-Ranges: bytes\r\n".encode()
                                       + (f"Content-Range: bytes {begin}-{end - 1}/{self.size}\r\n".encode() if wanted else b"") + b"\r\n")
                    if head.startswith(b"HEAD"):
                        continue
                    at = begin
                    while at < end:
                        n = os.sendfile(connection.fileno(), file.fileno(), at, min(end - at, 4 << 20))
                        if n == 0:
                            return
                        at += n
                        with self.lock:
                            self.sent += n
        except OSError:
            pass
        finally:
            connection.close()


def big_model(path, size):
    """The small model, and noise behind its tensors: a GGUF file of that size, of which no two stretches are alike."""
    digest = hashlib.sha256()
    noise = random.Random(1)
    with open(path, "wb") as out:
        left = size
        for piece in [SMOLLM2.read_bytes()] + [None] * (size // (8 << 20) + 1):
            piece = (piece or noise.randbytes(8 << 20))[:left]
            out.write(piece)
            digest.update(piece)
            left -= len(piece)
    return digest.hexdigest()


def server_for(folder, hub):
    own = Server(folder)
    own.environment_more = {"HF_ENDPOINT": hub.url}
    return own


def anonymous_kib(pid):
    """What is the process's own: mapped files and the page cache are the kernel's to drop."""
    return int(re.search(r"RssAnon:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])


def redirect_storage(hub, store):
    """The hub's listing stays Python's; the bytes come from the fast server."""
    hub.storage_url = f"http://127.0.0.1:{store.port}"


def pull(server, source, store):
    """Seconds of a pull as the server counts them, and the most memory of its own that it took beyond what it had."""
    before = anonymous_kib(server.process.pid)
    most, stop = [before], threading.Event()

    def look():
        while not stop.wait(0.02):
            most[0] = max(most[0], anonymous_kib(server.process.pid))
    watcher = threading.Thread(target=look)
    watcher.start()
    began, sent = time.monotonic(), store.sent
    server.cli("pull", source, "--quiet", timeout=600)
    took = time.monotonic() - began
    stop.set()
    watcher.join()
    return took, (most[0] - before) * 1024, store.sent - sent


def curl(store, target):
    began = time.monotonic()
    subprocess.run(["curl", "-s", "-o", str(target), f"http://127.0.0.1:{store.port}/file"], check=True)
    took = time.monotonic() - began
    target.unlink()
    return took


def rates(folder, size, rounds):
    big = folder / "big.gguf"
    big_model(big, size)
    store = FileServer(big)
    with Hub() as hub:
        hub.add("Org/big", {"big-q4_1.gguf": big})
        redirect_storage(hub, store)
        server = server_for(folder / "data", hub).start()
        ours, theirs, memory = [], [], []
        try:
            pull(server, "hf:Org/big:Q4_1", store)
            server.cli("rm", "--files", "hf:Org/big:Q4_1", "--yes")
            curl(store, folder / "data/out")
            for _ in range(rounds):
                theirs.append(size / curl(store, folder / "data/out"))
                took, own, _ = pull(server, "hf:Org/big:Q4_1", store)
                ours.append(size / took)
                memory.append(own)
                server.cli("rm", "--files", "hf:Org/big:Q4_1", "--yes")
        finally:
            server.stop()
    return {"bytes": size, "rounds": rounds, "gantry_bytes_per_s": ours, "curl_bytes_per_s": theirs,
            "ratio_of_medians": statistics.median(ours) / statistics.median(theirs), "memory_bytes": memory}


def listing(folder, rounds):
    """1,000 files of a repository, listed by the hub in one page, chosen from and evaluated by a header that is read by ranges."""
    with Hub() as hub:
        files = {f"part{i:04}/file-{i:04}.json": b"{}" for i in range(999)}
        hub.add("Org/many", {**files, "m-q4_1.gguf": SMOLLM2})
        server = server_for(folder / "many", hub).start()
        took = []
        try:
            for i in range(rounds):
                hub.repos[f"Org/many{i}"] = hub.repos["Org/many"]
                began = time.monotonic()
                answer = server.api("POST", "/api/v1/evaluations", json={"source": f"hf:Org/many{i}:Q4_1"})
                took.append(time.monotonic() - began)
                assert answer.status_code == 200 and answer.json()["verdict"] == "fits", answer.text
        finally:
            server.stop()
    return {"files": 1000, "seconds": took, "median": statistics.median(took)}


def kills(folder, size, count):
    """kill -9 at random moments of one download: what was sent in all, beyond the file, by kill."""
    big = folder / "killed.gguf"
    digest = big_model(big, size)
    store = FileServer(big)
    chance = random.Random(8)
    with Hub() as hub:
        hub.add("Org/big", {"big-q4_1.gguf": big})
        redirect_storage(hub, store)
        server = server_for(folder / "killed", hub)
        server.environment_more["GANTRY_DOWNLOAD_LIMIT"] = "400M"     # so that it lasts as long as so many starts
        done = 0
        try:
            server.start()
            server.cli("pull", "hf:Org/big:Q4_1", "--detach")
            blob = folder / "killed/models/blobs" / digest
            while done < count and not blob.exists():
                time.sleep(chance.uniform(0, 0.15))
                if blob.exists():
                    break
                server.kill9()
                done += 1
                server.start()
                server.cli("pull", "hf:Org/big:Q4_1", "--detach")
            while not blob.exists():
                time.sleep(0.05)
            right = hashlib.sha256(blob.read_bytes()).hexdigest() == digest
        finally:
            server.stop()
    return {"bytes": size, "kills": done, "bytes_sent": store.sent, "bytes_lost_a_kill": (store.sent - size) / max(done, 1), "right": right}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="0: kills alone")
    parser.add_argument("--bytes", type=int, default=2_000_000_000)
    parser.add_argument("--kills", type=int, default=0)
    chosen = parser.parse_args()
    figures, samples = {}, {}
    with workspace() as name:
        folder = pathlib.Path(name)
        if chosen.rounds:
            file, many = rates(folder, chosen.bytes, chosen.rounds), listing(folder, chosen.rounds)
            samples = {"file": file, "listing": many}
            figures = {"of curl's rate, while hashing": f"{file['ratio_of_medians']:.2f}",
                       "MB/s": f"{statistics.median(file['gantry_bytes_per_s']) / 1e6:.0f}, curl {statistics.median(file['curl_bytes_per_s']) / 1e6:.0f}",
                       "memory of its own, MB": f"{max(file['memory_bytes']) / 1e6:.1f}",
                       "1,000 files listed and evaluated, s": f"{many['median']:.3f}"}
        if chosen.kills:
            samples["kills"] = killed = kills(folder, chosen.bytes, chosen.kills)
            figures["kills, and MB fetched again by each"] = f"{killed['kills']}, {killed['bytes_lost_a_kill'] / 1e6:.1f}; right: {killed['right']}"
    report("models", figures, samples)


main()
