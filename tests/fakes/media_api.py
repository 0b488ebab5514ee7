"""An OpenAI-compatible API of pictures and sound, a process of its own: it draws squares of one colour, speaks in one tone and hears how large a
recording is. What it is asked is kept. Prints its port.

    POST /v1/images/generations   PNGs of the size that is asked for, coloured by the seed; "nothing" as a prompt is refused
    POST /v1/audio/speech         WAV whatever is asked for; a tenth of a second a letter, by the speed
    POST /v1/audio/transcriptions "heard N bytes", in each of OpenAI's five formats
    GET  /v1/models, /asked       its models; what it was asked: {"path", "fields"}, of files their names and sizes
"""
import base64
import email.parser
import email.policy
import http.server
import io
import json
import math
import struct
import sys
import wave
import zlib

MODELS = ("dall-e-3", "tts-1", "whisper-1")
ASKED = []


def png(width, height, seed):
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    colour = bytes(((seed * 47 + 90) % 256, (seed * 31 + 120) % 256, (seed * 17 + 160) % 256))
    rows = (b"\0" + colour * width) * height
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tone(seconds):
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(b"".join(struct.pack("<h", int(9000 * math.sin(i * 440 * 2 * math.pi / 16_000))) for i in range(int(16_000 * seconds))))
    return out.getvalue()


def form_of(kind, body):
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    fields = {}
    for part in message.iter_parts():
        data = part.get_payload(decode=True)
        fields[part.get_param("name", header="content-disposition")] = {"name": part.get_filename(), "bytes": len(data)} if part.get_filename() else data.decode()
    return fields


def stamp(seconds, comma):
    return f"00:00:{seconds:06.3f}".replace(".", "," if comma else ".")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, data, kind="application/json"):
        data = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.answer(200, ASKED if self.path == "/asked" else {"object": "list", "data": [{"id": name, "object": "model"} for name in MODELS]})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        kind = self.headers["Content-Type"]
        fields = form_of(kind, body) if kind.startswith("multipart/") else json.loads(body)
        ASKED.append({"path": self.path, "fields": fields})
        {"/v1/images/generations": self.draw, "/v1/audio/speech": self.speak, "/v1/audio/transcriptions": self.hear}[self.path](fields)

    def draw(self, fields):
        if fields["prompt"] == "nothing":
            self.answer(400, {"error": {"message": "There is nothing to draw.", "type": "invalid_request_error", "param": "prompt", "code": None}})
            return
        width, height = map(int, fields.get("size", "64x64").split("x"))
        seed = fields.get("seed", 1)
        self.answer(200, {"created": 1, "data": [{"b64_json": base64.b64encode(png(width, height, seed + i)).decode()} for i in range(fields.get("n", 1))]})

    def speak(self, fields):
        self.answer(200, tone(0.1 * len(fields["input"]) / fields.get("speed", 1)), "audio/wav")

    def hear(self, fields):
        text = f"heard {fields['file']['bytes']} bytes"
        wanted = fields.get("response_format", "json")
        segments = [{"id": 0, "start": 0.0, "end": 1.5, "text": text}, {"id": 1, "start": 1.5, "end": 62.25, "text": "<img src=x onerror=window.hit=1>"}]
        if wanted in ("json", "verbose_json"):
            more = {"task": "transcribe", "language": fields.get("language", "english"), "duration": 62.25, "segments": segments} if wanted == "verbose_json" else {}
            self.answer(200, {"text": text, **more})
        elif wanted == "text":
            self.answer(200, f"{text}\n".encode(), "text/plain; charset=utf-8")
        else:
            lines = [f"{i + 1}\n{stamp(one['start'], wanted == 'srt')} --> {stamp(one['end'], wanted == 'srt')}\n{one['text']}\n" for i, one in enumerate(segments)]
            self.answer(200, ("WEBVTT\n\n" if wanted == "vtt" else "").encode() + "\n".join(lines).encode(), "text/vtt" if wanted == "vtt" else "text/plain; charset=utf-8")


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    sys.exit(server.serve_forever())
