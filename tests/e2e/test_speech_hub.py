"""Whisper models from the hubs, played by tests/fakes/hub.py, and from the catalogue: chosen, looked at, served; what is none is not taken."""
import pathlib
import sys

import pytest

from conftest import Server
from test_speech import JFK, WHISPER, WORDS, words

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "fakes"))
from hub import Hub  # noqa: E402

PICKLED = b"PK\x03\x04" + b"archive/data.pkl" + bytes(200_000)


@pytest.fixture(scope="module")
def hub():
    with Hub() as own:
        own.add("ggerganov/whisper.cpp", {"ggml-tiny.en.bin": WHISPER, "ggml-tiny.bin": WHISPER, "ggml-base-q5_1.bin": PICKLED, "README.md": b"# Whisper"})
        own.add("cjc1887415157/whisper.cpp", {"ggml-tiny.bin": WHISPER})
        own.add("Org/pickled", {"ggml-model.bin": PICKLED, "pytorch_model.bin": PICKLED})
        own.add("Org/lying", {"ggml-model.bin": PICKLED})
        yield own


@pytest.fixture(scope="module")
def server(tmp_path_factory, hub):
    own = Server(tmp_path_factory.mktemp("speech-hub") / "data")
    own.environment_more = {"HF_ENDPOINT": hub.url, "MODELSCOPE_ENDPOINT": hub.url}
    yield own.start()
    own.stop()


def heard(server, name):
    return words(server.openai().audio.transcriptions.create(model=name, file=JFK).text)


def test_deployed_by_its_file_from_either_hub(server, hub):
    looked = server.cli("evaluate", "hf:ggerganov/whisper.cpp/ggml-tiny.en.bin").stdout
    assert not any(server.data_dir.glob("models/blobs/*")), "looked at, not fetched"
    assert "whisper" in looked and "F16" in looked and "37.8M parameters" in looked
    server.deploy("ears", source="hf:ggerganov/whisper.cpp/ggml-tiny.en.bin")
    assert heard(server, "ears") == words(WORDS)
    server.deploy("others", source="modelscope:cjc1887415157/whisper.cpp")   # the only one there
    assert heard(server, "others") == words(WORDS)
    assert len(list(server.data_dir.glob("models/blobs/*"))) == 1, "the same file, fetched once"


def test_which_one(server):
    for source, why in (("hf:ggerganov/whisper.cpp", "holds 3 models; choose one by its quantization or its file: :Q5_1, ggml-tiny.bin, ggml-tiny.en.bin"),
                        ("hf:ggerganov/whisper.cpp:Q8_0", "holds no Q8_0; there are :Q5_1, ggml-tiny.bin"),
                        ("hf:ggerganov/whisper.cpp/ggml-small.bin", 'has no file "ggml-small.bin"; there are')):
        refused = server.cli("deploy", "none", "--source", source, check=False)
        assert refused.returncode == 1 and why in refused.stderr, refused.stderr


@pytest.mark.parametrize("source, why", [
    ("hf:Org/pickled/pytorch_model.bin", "may hold code that runs when it is loaded"), ("hf:Org/pickled", "does not begin as whisper.cpp's files do"),
    ("modelscope:Org/pickled/ggml-model.bin", "does not begin as whisper.cpp's files do"), ("hf:ggerganov/whisper.cpp:q5_1", "does not begin as")])
def test_pickled_weights_are_not_taken(server, hub, source, why):
    refused = server.cli("deploy", "none", "--source", source, check=False)
    assert refused.returncode == 1 and why in refused.stderr, refused.stderr
    hub.requests.clear()
    pulled = server.cli("pull", source, check=False)
    assert pulled.returncode == 1 and why in pulled.stderr, pulled.stderr
    assert len(hub.asked("", "storage")) <= 2, "where it is, and its beginning"
    assert not any(hub.repos["Org/pickled"].files["ggml-model.bin"].sha256 in path.name for path in server.data_dir.glob("models/*/*"))


def test_a_hub_that_sends_another_beginning_at_first(server, hub):
    source = "hf:Org/lying/ggml-model.bin"
    hub.misbehave(hub.repos["Org/lying"].files["ggml-model.bin"].sha256, begins=WHISPER.read_bytes()[:64])
    pulled = server.cli("pull", source, check=False)
    assert pulled.returncode == 1 and "does not begin as" in pulled.stderr, "what came is looked at again"
    hub.behave()
    assert not any(hub.repos["Org/lying"].files["ggml-model.bin"].sha256 in path.name for path in server.data_dir.glob("models/*/*"))


def test_from_the_catalogue(server, hub):
    entry = next(e for e in server.cli_json("catalogue", "--modality", "transcription")["items"] if e["id"] == "whisper-tiny")
    best = entry["variants"][entry["recommended"]]
    assert entry["verdict"] == "fits" and entry["licence"] == "mit" and best["format"] == "ggml" and best["quantization"] == "F16"
    assert best["sources"] == ["hf:ggerganov/whisper.cpp/ggml-tiny.bin", "modelscope:cjc1887415157/whisper.cpp/ggml-tiny.bin"]
    assert best["bytes"] == pytest.approx(77_691_713, rel=0.001) and best["needs_bytes"] > best["bytes"]
    server.cli("deploy", "tiny", "--source", "catalogue:whisper-tiny", "--wait")
    assert server.api("GET", "/api/v1/deployments/tiny").json()["source"] == "hf:ggerganov/whisper.cpp/ggml-tiny.bin"
    assert heard(server, "tiny") == words(WORDS)
    assert "q5_0" in server.cli("catalogue", "whisper-large-v3-turbo").stdout
