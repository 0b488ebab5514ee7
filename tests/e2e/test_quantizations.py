"""A hub's repository of several quantizations, of which the source names none: the one that suits the workers is taken, and it is said why."""
import json
import pathlib
import struct
import sys

import pytest

from conftest import LLAMA_SERVER, SMOLLM2, Server

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "fakes"))
from hub import Hub  # noqa: E402

SOURCE = "hf:Org/Several-GGUF"   # can be served
MADE = "hf:Org/Made-GGUF"        # only headers are right, of larger files
TYPES = {"Q4_K_M": (12, 144, 256), "Q6_K": (14, 210, 256), "Q8_0": (8, 34, 32), "BF16": (30, 2, 1)}   # ggml's number, bytes of a block of values


def gguf(quantization):
    """A llama model of 4 layers with a matrix each, all of zeros."""
    number, block_bytes, block_values = TYPES[quantization]
    text = lambda value: struct.pack("<Q", len(value)) + value.encode()   # noqa: E731
    keys = {"block_count": 4, "context_length": 8192, "embedding_length": 1024, "attention.head_count": 16, "attention.head_count_kv": 4,
            "feed_forward_length": 16384}
    head = text("general.architecture") + struct.pack("<I", 8) + text("llama")
    head += b"".join(text(f"llama.{key}") + struct.pack("<II", 4, value) for key, value in keys.items())
    head += text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 1000) + b"".join(text(f"t{i}") for i in range(1000))
    tensors, offset = b"", 0
    for name, rows in [("token_embd", 1000), *((f"blk.{i}.ffn_up", 16384) for i in range(4)), ("output", 1000)]:
        tensors += text(f"{name}.weight") + struct.pack("<IQQIQ", 2, 1024, rows, number, offset)
        offset += (1024 * rows // block_values * block_bytes + 31) // 32 * 32
    head = b"GGUF" + struct.pack("<IQQ", 3, 6, len(keys) + 2) + head + tensors
    return head + bytes(-len(head) % 32 + offset)


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    own = tmp_path_factory.mktemp("files")
    smollm2 = SMOLLM2.read_bytes()
    with Hub() as hub:
        files = {"m-Q4_K_M.gguf": SMOLLM2, "README.md": b"# several"}
        for name, more in (("Q6_K", 60 << 20), ("Q8_0", 120 << 20), ("BF16", 240 << 20)):   # as good as larger: what a header says is in it
            (own / name).write_bytes(smollm2 + bytes(more))
            files[f"m-{name}.gguf"] = own / name
        hub.add("Org/Several-GGUF", files)
        for name in TYPES:
            (own / f"made-{name}").write_bytes(gguf(name))
        hub.add("Org/Made-GGUF", {f"m-{name}.gguf": own / f"made-{name}" for name in TYPES})
        yield hub


@pytest.fixture(scope="module")
def server(tmp_path_factory, hub):
    own = Server(tmp_path_factory.mktemp("several") / "data")
    own.environment_more = {"HF_ENDPOINT": hub.url}
    yield own.start()
    own.stop()


def evaluate(server, source, memory=None):
    body = {"source": source, "backend": "llama-server", "options": {"binary": LLAMA_SERVER, "max_sequences": 1}}
    if memory:
        body["workers"] = [{"name": "gpu", "os": "linux", "arch": "x86_64", "devices": [
            {"vendor": "cpu", "index": 0, "memory_total_bytes": 64 << 30, "memory_free_bytes": 60 << 30},
            {"vendor": "nvidia", "index": 0, "chip": "sm_90", "memory_total_bytes": memory, "memory_free_bytes": memory}]}]
    answer = server.api("POST", "/api/v1/evaluations", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def on_device(evaluation):
    placement = evaluation["placement"] or {"layers": 1, "layers_on_devices": 0, "context_tokens": 0}
    return placement["layers_on_devices"] >= placement["layers"] > 0 and placement["context_tokens"] == 8192


def test_on_an_accelerator_the_largest_that_fits(server):
    large = evaluate(server, MADE, 80 << 30)
    assert large["source"] == large["choice"]["source"] == f"{MADE}:Q8_0" and "largest in fewer than 16 bits" in large["choice"]["reason"]
    assert [c["quantization"] for c in large["choice"]["considered"]] == ["BF16", "Q8_0", "Q6_K", "Q4_K_M"]
    memory = next(m for m in range(512 << 20, 8 << 30, 8 << 20) if on_device(evaluate(server, f"{MADE}:Q6_K", m)))
    assert not on_device(evaluate(server, f"{MADE}:Q8_0", memory))
    between = evaluate(server, MADE, memory)
    assert between["source"] == f"{MADE}:Q6_K" and on_device(between), between["choice"]


def test_in_memory_the_usual_one_and_it_stays(server, tmp_path):
    here = evaluate(server, SOURCE)
    assert here["source"] == f"{SOURCE}:Q4_K_M" and "usual" in here["choice"]["reason"]
    assert "choice" in server.cli("evaluate", SOURCE, "--ctx", "512").stdout
    made = server.cli("deploy", "several", "--source", SOURCE, "--ctx", "512", "--wait")
    assert f"{SOURCE}:Q4_K_M suits these workers best" in made.stderr
    deployment = server.api("GET", "/api/v1/deployments/several").json()
    assert deployment["source"] == f"{SOURCE}:Q4_K_M"
    declared = tmp_path / "declared.json"
    declared.write_text(json.dumps({"deployments": [{"name": "several", "source": SOURCE, "options": {"context_tokens": 512}}]}))
    assert "nothing to change" in server.cli("apply", "-f", str(declared)).stderr
    patched = server.api("PATCH", "/api/v1/deployments/several", json={"source": SOURCE, "version": deployment["version"]}).json()
    assert patched["source"] == f"{SOURCE}:Q4_K_M" and patched["generation"] == deployment["generation"]


def test_what_is_named_is_taken(server, hub):
    assert evaluate(server, f"{SOURCE}:Q6_K")["choice"] is None
    assert evaluate(server, f"{SOURCE}/m-Q8_0.gguf")["choice"] is None
    assert evaluate(server, f"file:{SMOLLM2}")["choice"] is None
    hub.misbehave("several-gguf|Several-GGUF", status=503)
    try:
        assert evaluate(server, f"{SOURCE}@main")["verdict"] == "unknown", "it was not asked for before"
        assert evaluate(server, SOURCE)["verdict"] == "fits", "it was, just now"
    finally:
        hub.behave()
