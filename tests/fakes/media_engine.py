"""An engine of audio and images that costs nothing (backend `custom`): python3 media_engine.py PORT. It says what it was asked."""
import base64
import email.parser
import http.server
import json
import sys

SOUND = bytes(range(256)) * 64


def form_of(kind, body):
    """The parts of a form by Python's own parser, which is not ours."""
    message = email.parser.BytesParser().parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    return [(part.get_param("name", header="content-disposition"), part.get_filename(), part.get_payload(decode=True)) for part in message.get_payload()]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(b"ok", "text/plain")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        kind = self.headers["content-type"]
        fields = form_of(kind, body) if kind.startswith("multipart/") else json.loads(body)
        if self.path == "/v1/audio/speech":
            self.send_response(200)
            self.send_header("content-type", "audio/" + {"mp3": "mpeg"}.get(fields.get("response_format", "mp3"), "wav"))
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for at in range(0, len(SOUND), 1000):
                self.chunk(SOUND[at:at + 1000])
            self.chunk(b"")
        elif self.path.startswith("/v1/images/"):
            said = [[name, file, len(content)] for name, file, content in fields] if isinstance(fields, list) else fields
            image = base64.b64encode(json.dumps(said).encode()).decode()
            count = 1 if isinstance(fields, list) else fields.get("n", 1)
            self.answer(json.dumps({"created": 1, "data": [{"b64_json": image}] * count}).encode(), "application/json")
        elif self.path == "/v1/audio/transcriptions":
            said = " ".join(f"{name}={file or content.decode()}" for name, file, content in fields)
            self.answer(json.dumps({"text": said, "usage": {"type": "duration", "seconds": 2}}).encode(), "application/json")
        else:
            self.send_error(404)

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


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
