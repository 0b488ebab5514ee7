"""A tiny engine for /v1/chat/completions that misbehaves on demand: a deployment's `custom` backend starts it in a tenth of a second.

    chat_engine.py --port P --folder F [--ignore-term]

F holds what tests say and see: `behave.json` is read at each request (fields below), while `loading` exists engines that were
started under it answer their health check with 503, and `journal` gets a line of JSON for what happens: {"pid", "what": started|asked|done|left|refused, "request", "at" (monotonic)}.

    tokens, delay_s        how many are streamed, and the pause before each        status           answers with this instead
    usage                  whether the last chunk counts (default true)           reset            "head" | N: hangs up before, or after N tokens
    stall                  after N tokens nothing more comes until `go` exists    garbage          after N tokens comes what is no event
    eat                    takes memory until something ends it                    pids             {pid: fields} for one of several
"""
import argparse
import http.server
import json
import os
import pathlib
import select
import signal
import socket
import struct
import time

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--folder", type=pathlib.Path, required=True)
parser.add_argument("--ignore-term", action="store_true")
options, _ = parser.parse_known_args()


eaten = []


def note(what, request=None):
    line = json.dumps({"pid": os.getpid(), "what": what, "request": request, "at": time.monotonic()}) + "\n"
    with open(options.folder / "journal", "a") as journal:
        journal.write(line)


def behaviour():
    try:
        said = json.loads((options.folder / "behave.json").read_text())
    except FileNotFoundError:
        said = {}
    return {"tokens": 5, "delay_s": 0.0, "usage": True, **said, **said.get("pids", {}).get(str(os.getpid()), {})}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def whole(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        if loads and (options.folder / "loading").exists():
            return self.whole(503, {"status": "loading", "progress": 0.5})
        return self.whole(200, {"status": "ok"})

    def hang_up(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def client_left(self, wait_s, stalls):
        """Waits so long, or until the other side has gone."""
        while True:
            readable, _, _ = select.select([self.connection], [], [], 0.2 if stalls else wait_s)
            try:
                if readable:
                    return self.connection.recv(1, socket.MSG_PEEK) == b""
            except OSError:
                return True
            if not stalls or (options.folder / "go").exists():
                return False

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request = self.headers.get("x-request-id")
        does = behaviour()
        note("asked", request)
        try:
            self.answer(body, request, does)
        except OSError:
            note("left", request)
            self.close_connection = True

    def answer(self, body, request, does):
        while does.get("eat"):
            eaten.append(bytearray(os.urandom(1 << 20)))
        if does.get("reset") == "head":
            note("refused", request)
            return self.hang_up()
        if "status" in does:
            note("refused", request)
            return self.whole(does["status"], {"error": {"message": "told to", "type": "server_error", "param": None, "code": "told_to"}})
        if body.get("stream"):
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
        head = {"id": "chatcmpl-1", "created": 1, "model": body["model"]}
        usage = {"prompt_tokens": 7, "completion_tokens": does["tokens"], "total_tokens": 7 + does["tokens"]}
        for k in range(does["tokens"]):
            if does.get("reset") == k:
                return self.hang_up()
            if does.get("garbage") == k:
                self.chunk(b"data: {\"choices\": [\xff\n\n")
            if self.client_left(does["delay_s"], does.get("stall") == k):
                note("left", request)
                self.close_connection = True
                return None
            if body.get("stream"):
                delta = {"role": "assistant", "content": f"t{k} "}
                self.event({**head, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        if not body.get("stream"):
            message = {"role": "assistant", "content": "".join(f"t{k} " for k in range(does["tokens"]))}
            self.whole(200, {**head, "object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                             **({"usage": usage} if does["usage"] else {})})
        else:
            last = {**head, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
            self.event(last)
            if does["usage"]:
                self.event({**last, "choices": [], "usage": usage})
            self.chunk(b"data: [DONE]\n\n")
            self.chunk(b"")
        note("done", request)
        return None

    def event(self, value):
        self.chunk(b"data: " + json.dumps(value).encode() + b"\n\n")

    def chunk(self, data):
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024


if options.ignore_term:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
loads = (options.folder / "loading").exists()
note("started")
Server(("127.0.0.1", options.port), Handler).serve_forever()
