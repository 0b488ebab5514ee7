"""A model that sees: its tower (mmproj) found in a folder and at a hub, fetched, counted, given to a real llama-server, and pictures sent to it.
The tower is of random numbers, so what the model says of a picture means nothing; that it was looked at is seen by the tokens it took."""
import base64
import os
import pathlib
import shutil
import socket
import struct
import sys
import zlib

import pytest

from conftest import LLAMA_SERVER, SMOLLM2, TOWER, Server

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "fakes"))
from hub import Hub  # noqa: E402

LLAMA = ("--backend", "llama-server", "--binary", LLAMA_SERVER, "--ctx", "2048", "--max-sequences", "2")
TOKENS_OF_A_PICTURE = 16   # 64 x 64 pixels in patches of 16


def png(width, height, rows=True):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    pixels = b"".join(b"\0" + bytes((x * 3 + y * 5) % 256 for x in range(width * 3)) for y in range(height)) if rows else b""
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b""))


def data_url(image, kind="png"):
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"


def question(*urls):
    """With words between pictures: of two that touch, llama-server of the pinned version can't drop the second from its cache ("Chunk not
    found", server_tokens::keep_first), which only a tower without marks around its pictures brings about, as this one."""
    parts = [{"type": "text", "text": "What is in this picture?"}]
    for url in urls:
        parts += [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "and"}]
    return [{"role": "user", "content": parts}]


@pytest.fixture(scope="module", autouse=True)
def needed():
    if not os.access(LLAMA_SERVER, os.X_OK):
        pytest.skip(f"no llama-server at {LLAMA_SERVER}: ./dev build release llama-server")
    if not TOWER.exists():
        pytest.skip("the tower is not in the model cache: ./dev models synthetic-tower-smollm2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    own = tmp_path_factory.mktemp("sees")
    shutil.copy(SMOLLM2, own / "smollm2-Q4_1.gguf")
    shutil.copy(TOWER, own / "mmproj-f16.gguf")
    return own


@pytest.fixture(scope="module")
def hub():
    with Hub() as own:
        own.add("Org/Sees-GGUF", {"smollm2-Q4_1.gguf": SMOLLM2, "mmproj-BF16.gguf": TOWER.read_bytes() + b"\0", "mmproj-F16.gguf": TOWER, "README.md": b"# sees"})
        yield own


@pytest.fixture(scope="module")
def seeing(tmp_path_factory, folder, hub):
    own = Server(tmp_path_factory.mktemp("vision") / "data")
    own.environment_more = {"HF_ENDPOINT": hub.url}
    own.start()
    own.deploy("sees", *LLAMA, source=f"file:{folder}")
    own.deploy("text", *LLAMA)
    own.deploy("embedded", "--ctx", "2048", source=f"file:{folder}")
    yield own
    own.stop()


def ask(server, model, messages, **more):
    return server.api("POST", "/v1/chat/completions", json={"model": model, "messages": messages, "max_tokens": 8, "temperature": 0, **more})


def test_pictures_are_looked_at(seeing):
    without = ask(seeing, "sees", question())
    one = ask(seeing, "sees", question(data_url(png(64, 64))))
    two = ask(seeing, "sees", question(data_url(png(64, 64)), data_url(png(40, 90))))
    tokens = [answer.json()["usage"]["prompt_tokens"] for answer in (without, one, two)]
    assert [answer.status_code for answer in (without, one, two)] == [200] * 3, (one.text, two.text)
    assert tokens[1] >= tokens[0] + TOKENS_OF_A_PICTURE and tokens[2] >= tokens[1] + TOKENS_OF_A_PICTURE, tokens
    assert one.json()["model"] == "sees"


def test_pictures_by_openais_client_as_a_stream(seeing):
    pieces = list(seeing.openai().chat.completions.create(
        model="sees", messages=question(data_url(png(64, 64))), max_tokens=8, stream=True, stream_options={"include_usage": True}))
    assert pieces[-1].usage.prompt_tokens > TOKENS_OF_A_PICTURE


def test_pictures_in_anthropics_messages(seeing):
    content = [{"type": "text", "text": "What is this?"},
               {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": base64.b64encode(png(64, 64)).decode()}}]
    answer = seeing.api("POST", "/v1/messages", json={"model": "sees", "max_tokens": 8, "messages": [{"role": "user", "content": content}]})
    assert answer.status_code == 200, answer.text
    assert answer.json()["usage"]["input_tokens"] > TOKENS_OF_A_PICTURE


@pytest.mark.parametrize("model", ["text", "embedded"])
def test_a_model_of_text_says_which_part_it_does_not_take(seeing, model):
    refused = ask(seeing, model, question(data_url(png(8, 8))))
    assert refused.status_code == 400, refused.text
    error = refused.json()["error"]
    assert error["param"] == "messages[0].content[1]" and error["code"] == "unsupported_content"
    assert ask(seeing, model, question()).status_code == 200


def test_hostile_pictures_are_refused_and_nothing_is_fetched(seeing):
    with socket.create_server(("127.0.0.1", 0)) as canary:
        canary.setblocking(False)
        port = canary.getsockname()[1]
        for url in (f"http://127.0.0.1:{port}/a.png", f"http://[::ffff:127.0.0.1]:{port}/a.png", "file:///etc/passwd", "/etc/passwd"):
            refused = ask(seeing, "sees", question(url))
            assert refused.status_code == 400 and refused.json()["error"]["code"] == "url_not_allowed", (url, refused.text)
            assert refused.json()["error"]["param"] == "messages[0].content[1].image_url.url"
        with pytest.raises(BlockingIOError):
            canary.accept()
    for image, code in ((png(65_535, 65_535, rows=False), "image_too_large"), (b"<svg/>", "invalid_image"), (b"", "invalid_image")):
        refused = ask(seeing, "sees", question(data_url(image)))
        assert refused.status_code == 400 and refused.json()["error"]["code"] == code, refused.text
    broken = ask(seeing, "sees", question(data_url(png(64, 64)[:60])))   # a good header: llama-server itself finds the rest missing
    assert broken.status_code == 400, broken.text
    assert ask(seeing, "sees", question()).status_code == 200


def test_a_folders_tower_is_counted_and_shown(seeing, folder):
    tower = TOWER.stat().st_size
    shown = seeing.cli_json("inspect", str(folder), "--backend", "llama-server")
    assert shown["model"]["modality"] == "vision" and shown["model"]["file_bytes"] == SMOLLM2.stat().st_size + tower
    terms = {t["name"]: t["bytes"] for t in shown["estimate"]["terms"]}
    assert 0 < tower - terms["vision"] < 65_536, terms   # its weights: the file without its header
    file = seeing.cli_json("inspect", str(folder / "smollm2-Q4_1.gguf"), "--backend", "llama-server")
    assert file["estimate"]["total_bytes"] == shown["estimate"]["total_bytes"]
    assert "mmproj-f16.gguf" in seeing.cli("inspect", str(folder)).stdout
    embedded = {t["name"] for t in seeing.cli_json("inspect", str(folder))["estimate"]["terms"]}
    assert "vision" not in embedded
    by_itself = seeing.api("POST", "/api/v1/evaluations", json={"source": f"file:{folder / 'mmproj-f16.gguf'}", "backend": "llama-server",
                                                              "options": {"binary": LLAMA_SERVER}})
    assert by_itself.json()["verdict"] == "incompatible" and "tower for pictures" in by_itself.json()["reason"], by_itself.text


def test_a_hubs_tower_comes_along(seeing, hub):
    evaluation = seeing.api("POST", "/api/v1/evaluations", json={"source": "hf:Org/Sees-GGUF", "backend": "llama-server",
                                                               "options": {"binary": LLAMA_SERVER, "context_tokens": 2048}}).json()
    assert evaluation["model"]["modality"] == "vision" and "vision" in {t["name"] for t in evaluation["estimate"]["terms"]}
    seeing.deploy("far", *LLAMA, source="hf:Org/Sees-GGUF")
    files, = [f for f in seeing.items("/api/v1/model-files") if f["source"] == "hf:Org/Sees-GGUF"]
    assert files["files"] == ["smollm2-Q4_1.gguf", "mmproj-F16.gguf"]
    assert "mmproj-F16.gguf" in seeing.cli("ls", "--files").stdout
    answer = ask(seeing, "far", question(data_url(png(64, 64))))
    assert answer.status_code == 200 and answer.json()["usage"]["prompt_tokens"] > TOKENS_OF_A_PICTURE, answer.text
    seeing.cli("rm", "far", "--yes")


def test_a_tower_that_comes_later_is_noticed_when_the_model_is_deployed_again(seeing, tmp_path):
    shutil.copy(SMOLLM2, tmp_path / "late.gguf")
    source = f"file:{tmp_path}/late.gguf"
    seeing.deploy("late", *LLAMA, source=source)
    assert ask(seeing, "late", question(data_url(png(64, 64)))).status_code == 400
    seeing.cli("rm", "late", "--yes")
    shutil.copy(TOWER, tmp_path / "mmproj-late.gguf")
    seeing.deploy("late", *LLAMA, source=source)
    assert ask(seeing, "late", question(data_url(png(64, 64)))).status_code == 200
    seeing.cli("rm", "late", "--yes")
