"""An engine that costs nothing, where replicas are many (backend `custom`): python3 cheap_engine.py PORT. It answers chats, whole or in
as many events as max_tokens says, and is ready at once."""
import http.server
import json
import sys
import time

EVENT_S = 0.02


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(b"ok", "text/plain")

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        tokens = asked.get("max_tokens", 16)
        usage = {"prompt_tokens": 10, "completion_tokens": tokens, "total_tokens": tokens + 10}
        about = {"id": "chatcmpl-cheap", "created": int(time.time()), "model": asked["model"]}
        if not asked.get("stream"):
            message = {"index": 0, "message": {"role": "assistant", "content": "word " * tokens}, "finish_reason": "length"}
            self.answer(json.dumps({**about, "object": "chat.completion", "choices": [message], "usage": usage}).encode(), "application/json")
            return
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        about["object"] = "chat.completion.chunk"
        for n in range(tokens):
            self.event({**about, "choices": [{"index": 0, "delta": {"content": f"word{n} "}, "finish_reason": None}]})
            time.sleep(EVENT_S)
        self.event({**about, "choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]})
        self.event({**about, "choices": [], "usage": usage})
        self.chunk(b"data: [DONE]\n\n")
        self.chunk(b"")

    def event(self, value):
        self.chunk(b"data: " + json.dumps(value).encode() + b"\n\n")

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def answer(self, body, kind):
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
