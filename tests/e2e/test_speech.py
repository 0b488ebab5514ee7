"""Speech to text on the real engine (Whisper tiny.en), alone and behind the gateway, by OpenAI's own client; and audio and images of others."""
import base64
import concurrent.futures
import json
import re
import struct
import sys

import httpx
import openai
import pytest

from conftest import MODELS, ROOT, SOURCES, Engine, serving_smollm2, until
from test_openapi_v1 import check_answer

WHISPER = MODELS / "stt/ggml-tiny.en.bin"
JFK = SOURCES / "pywhispercpp-1.5.1/whisper.cpp/samples/jfk.wav"
WORDS = "and so my fellow americans ask not what your country can do for you ask what you can do for your country"

if missing := [str(path) for path in (WHISPER, JFK) if not path.exists()]:
    pytest.skip(f"{', '.join(missing)} not there: ./dev models whisper-tiny-en, ./dev setup", allow_module_level=True)


def words(text):
    return re.sub(r"[^a-z ]", "", text.lower()).split()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Of this file's own: others count the shared one's models."""
    yield from serving_smollm2(tmp_path_factory.mktemp("speech"))


@pytest.fixture(scope="module")
def hearing(server):
    """The server with `ears`."""
    server.deploy("ears", source=f"file:{WHISPER}")
    return server


@pytest.fixture(scope="module")
def client(hearing):
    return hearing.openai()


def transcribe(client, **more):
    return client.audio.transcriptions.create(model="ears", file=JFK, **more)


def test_it_hears(client):
    heard = transcribe(client)
    assert words(heard.text) == words(WORDS)
    assert heard.usage.type == "duration" and heard.usage.seconds == pytest.approx(11, abs=0.1)
    mp3 = client.audio.transcriptions.create(model="ears", file=JFK.with_suffix(".mp3"), language="en", temperature=0, prompt="Kennedy")
    assert words(mp3.text) == words(WORDS)


def seconds(time):
    hours, minutes, rest = time.replace(",", ".").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


def test_every_format(client):
    assert words(transcribe(client, response_format="text")) == words(WORDS)
    srt = transcribe(client, response_format="srt").strip().split("\n\n")
    assert [block.split("\n")[0] for block in srt] == [str(i + 1) for i in range(len(srt))]
    vtt = transcribe(client, response_format="vtt")
    assert vtt.startswith("WEBVTT\n\n")
    for blocks in (srt, ["0\n" + block for block in vtt.strip().split("\n\n")[1:]]):
        spoken, last = [], 0
        for block in blocks:
            _, times, text = block.split("\n")
            begin, end = map(seconds, times.split(" --> "))
            assert last <= begin < end <= 11.5
            last, spoken = end, spoken + words(text)
        assert spoken == words(WORDS)
    verbose = transcribe(client, response_format="verbose_json", timestamp_granularities=["word", "segment"])
    assert verbose.language == "english" and verbose.duration == pytest.approx(11, abs=0.1)
    assert words(" ".join(segment.text for segment in verbose.segments)) == words(WORDS)
    assert all(segment.avg_logprob < 0 and 0 <= segment.no_speech_prob <= 1 and segment.tokens for segment in verbose.segments)
    assert [w for word in verbose.words for w in words(word.word)] == words(WORDS)
    assert all(word.start <= word.end <= 11.5 for word in verbose.words)
    assert words(client.audio.translations.create(model="ears", file=JFK).text) == words(WORDS)


def test_a_stream(client):
    events = list(transcribe(client, stream=True))
    assert [event.type for event in events] == ["transcript.text.delta"] * (len(events) - 1) + ["transcript.text.done"] and len(events) > 1
    assert "".join(event.delta for event in events[:-1]).strip() == events[-1].text
    assert words(events[-1].text) == words(WORDS)


def wav(samples=b"\0\0" * 1600, rate=16000, channels=1, bits=16, size=None):
    head = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, rate * channels * bits // 8, channels * bits // 8, bits)
    body = b"WAVE" + head + b"data" + struct.pack("<I", len(samples) if size is None else size) + samples
    return b"RIFF" + struct.pack("<I", len(body)) + body


HOSTILE = {
    "one byte": b"R", "text": b"hello, I am no sound" * 50, "zeros": bytes(5000), "a head alone": JFK.read_bytes()[:44], "half a head": JFK.read_bytes()[:20],
    "no samples": wav(b""), "a size that lies, and nothing": wav(b"", size=0xFFFFFFF0), "no channels": wav(channels=0), "no rate": wav(rate=0),
    "an mp3's mark alone": b"ID3\x04\0\0\0\0\0\x7f", "flac's mark alone": b"fLaC\0\0\0\x22" + b"\xff" * 34, "a picture": b"\x89PNG\r\n\x1a\n" + bytes(200),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_recordings(client, hearing, name):
    with pytest.raises(openai.BadRequestError) as refused:
        client.audio.transcriptions.create(model="ears", file=("a.wav", HOSTILE[name]))
    assert refused.value.param == "file"
    assert len(hearing.running("ears")) == 1


def test_odd_recordings_are_heard(client):
    for sound in (wav(), wav(rate=8000, channels=2), wav(b"\x80" * 3000, bits=8), wav(rate=192000), JFK.read_bytes()[:100_001], wav(b"\0\0")):
        client.audio.transcriptions.create(model="ears", file=("../../a\0.wav", sound))


def test_too_long_a_recording(hearing):
    slow = wav(b"\x80" * 400_000, rate=100, bits=8)   # 4,000 s
    answer = hearing.api("POST", "/v1/audio/transcriptions", data={"model": "ears"}, files={"file": slow})
    assert answer.status_code == 413, answer.text
    answer = hearing.api("POST", "/v1/audio/transcriptions", data={"model": "ears"}, files={"file": bytes(28 << 20)})
    assert answer.status_code == 413, answer.text


def test_answers_are_those_of_the_document(hearing):
    for more in ({}, {"response_format": "verbose_json"}, {"response_format": "srt"}, {"response_format": "vtt"}, {"response_format": "text"},
                 {"language": "xx"}, {"language": "de"}, {"response_format": "xml"}):
        for path in ("/v1/audio/transcriptions", "/v1/audio/translations"):
            answer = hearing.api("POST", path, data={"model": "ears", **more}, files={"file": JFK.read_bytes()})
            wrong = more.get("response_format") == "xml" or ("language" in more and path.endswith("transcriptions"))
            assert answer.status_code == (400 if wrong else 200), answer.text
            check_answer(path, "post", answer)


def test_what_it_cannot_do(client, hearing):
    for ask in (lambda: client.chat.completions.create(model="ears", messages=[{"role": "user", "content": "hi"}]),
                lambda: client.embeddings.create(model="ears", input="hi"), lambda: client.audio.speech.create(model="ears", input="hi", voice="a"),
                lambda: client.audio.transcriptions.create(model="smollm2", file=JFK), lambda: client.images.generate(model="ears", prompt="a")):
        with pytest.raises(openai.BadRequestError) as refused:
            ask()
        assert refused.value.code == "unsupported_operation"


def test_a_client_that_leaves_frees_the_engine():
    with Engine("--model", str(WHISPER)) as engine:
        long = wav(JFK.read_bytes()[44:] * 40)   # seven minutes
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{engine.url}/v1/audio/transcriptions", data={"model": "x"}, files={"file": long}, timeout=1)
        until(lambda: engine.metric("gantry_engine_recordings_waiting") == 0, "it is given up")
        assert engine.metric("gantry_engine_recordings_total") == 0
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            ask = lambda _: httpx.post(f"{engine.url}/v1/audio/transcriptions", data={"model": "x"}, files={"file": JFK.read_bytes()}, timeout=120)
            assert all(words(answer.json()["text"]) == words(WORDS) for answer in pool.map(ask, range(4)))
        assert engine.metric("gantry_engine_recordings_total") == 4
        for path, body in (("/v1/chat/completions", {"messages": []}), ("/v1/embeddings", {"input": "a"}), ("/tokenize", {"content": "a"})):
            assert engine.post(path, status=400, model="x", **body)["error"]["code"] == "unsupported_model_capability"


def test_it_is_metered(client, hearing):
    transcribe(client)
    def heard():
        return [r for r in hearing.items("/api/v1/usage?limit=500") if r["operation"] == "transcription" and r["status"] == 200 and r["model"] == "ears"]
    until(lambda: any(record["audio_ms"] == pytest.approx(11_000, abs=100) for record in heard()), "the record is there, with its 11 s")
    def same():   # records and sums may be folded between two questions
        total = hearing.api("GET", "/api/v1/usage/summary?bucket=total&group_by=model,operation&model=ears").json()["items"]
        sums = [one["audio_ms"] for one in total if one["operation"] == "transcription"]
        return sums == [sum(r["audio_ms"] for r in hearing.items("/api/v1/usage?limit=500") if r["operation"] == "transcription" and r["model"] == "ears")]
    until(same, "the sums are those of the records")
    table = hearing.cli("usage", "--by", "operation", "--model", "ears").stdout.splitlines()
    assert "AUDIO" in table[0].split() and any(re.search(r"transcription .* [1-9]\d*\.\d s", line) for line in table[1:]), table
    assert {m["id"]: m["meta"].get("modality") for m in hearing.api("GET", "/v1/models").json()["data"]}["ears"] == "transcription"
    assert 'gantry_gateway_audio_seconds_total{model="ears"}' in hearing.api("GET", "/metrics").text


def test_a_damaged_model_is_refused(hearing, tmp_path):
    broken = tmp_path / "ggml-broken.bin"
    broken.write_bytes(WHISPER.read_bytes()[:3_000_000])
    done = hearing.cli("evaluate", str(broken), check=False)
    assert "ends within a tensor" in done.stdout + done.stderr


@pytest.fixture(scope="module")
def media(server):
    """The server with `fake`: an engine of others."""
    server.cli("deploy", "fake", "--backend", "custom", "--source", f"file:{WHISPER}", "--wait", "--health-path", "/",
               "--command", f"{sys.executable} {ROOT}/tests/fakes/media_engine.py {{{{port}}}}")
    return server


def test_audio_and_images_of_others(media):
    client = media.openai()
    with client.audio.speech.with_streaming_response.create(model="fake", input="hi", voice="a", response_format="mp3") as speech:
        assert speech.headers["content-type"] == "audio/mpeg" and speech.read() == bytes(range(256)) * 64
    assert client.audio.transcriptions.create(model="fake", file=("../x y.wav", b"RIFF\r\n--"), language="en").text.split() == [
        "language=en", "file=x_y.wav", "model=fake"]
    drawn = client.images.generate(model="fake", prompt="a cat", n=2, size="512x512", extra_body={"lora": "x"})
    until(lambda: [r["images"] for r in media.items("/api/v1/usage?limit=500") if r["operation"] == "image" and r["model"] == "fake"] == [2], "both are counted")
    assert "images" in media.api("GET", "/api/v1/usage/summary?format=csv").text.splitlines()[0].split(",")
    assert [json.loads(base64.b64decode(image.b64_json)) for image in drawn.data] == [{"model": "fake", "prompt": "a cat", "n": 2, "size": "512x512"}] * 2
    edited = client.images.edit(model="fake", prompt="a dog", image=[b"\x89PNG", b"\x89PNG2"], mask=b"m")
    assert sorted(json.loads(base64.b64decode(edited.data[0].b64_json))) == sorted(
        [["prompt", None, 5], ["image[]", "upload", 4], ["image[]", "upload", 5], ["mask", "upload", 1], ["model", None, 4]])
    with pytest.raises(openai.BadRequestError) as refused:
        client.audio.translations.create(model="fake", file=("a.wav", b"x"))
    assert refused.value.code == "unsupported_operation"
