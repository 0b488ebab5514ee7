"""Models that a hub has in several files: a GGUF model in two parts, fetched and served; safetensors by their index."""
import json
import pathlib
import struct
import sys

import pytest

from conftest import SMOLLM2, Server

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "fakes"))
from hub import Hub  # noqa: E402

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}   # bytes of a GGUF value, by its type
ALIGNMENT = 32


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        values = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return values[0]

    def text(self):
        length = self.take("Q")
        self.at += length
        return self.data[self.at - length:self.at]

    def value(self, kind):
        if kind == 8:
            self.text()
        elif kind == 9:
            inner, count = self.take("I"), self.take("Q")
            for _ in range(count if inner in (8, 9) else 0):
                self.value(inner)
            self.at += 0 if inner in (8, 9) else SIZES[inner] * count
        else:
            self.at += SIZES[kind]


def padded(data):
    return data + bytes(-len(data) % ALIGNMENT)


def split(path):
    """A GGUF file as llama-gguf-split leaves it: two parts, the keys in the first."""
    data = path.read_bytes()
    reader = Reader(data)
    assert reader.data[:4] == b"GGUF"
    reader.at = 4
    version, tensors, pairs = reader.take("I"), reader.take("Q"), reader.take("Q")
    begin = reader.at
    for _ in range(pairs):
        reader.text()
        reader.value(reader.take("I"))
    keys = data[begin:reader.at]
    infos = []
    for _ in range(tensors):
        at = reader.at
        reader.text()
        for _ in range(reader.take("I")):
            reader.take("Q")
        reader.take("I")
        infos.append((data[at:reader.at], reader.take("Q")))
    body = data[(reader.at + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT:]

    def text(value):
        return struct.pack("<Q", len(value)) + value

    def part(number, keys, count, chosen, body):
        keys += text(b"split.no") + struct.pack("<IH", 2, number) + text(b"split.count") + struct.pack("<IH", 2, 2)
        keys += text(b"split.tensors.count") + struct.pack("<Ii", 5, tensors)
        base = chosen[0][1]
        head = b"GGUF" + struct.pack("<IQQ", version, len(chosen), count + 3) + keys
        return padded(head + b"".join(info + struct.pack("<Q", offset - base) for info, offset in chosen)) + body
    half = tensors // 2
    cut = infos[half][1]
    return part(0, keys, pairs, infos[:half], body[:cut]), part(1, b"", 0, infos[half:], body[cut:])


@pytest.fixture(scope="module")
def hub():
    first, second = split(SMOLLM2)
    with Hub() as own:
        own.add("Org/parts-GGUF", {"Q4_1/m-Q4_1-00001-of-00002.gguf": first, "Q4_1/m-Q4_1-00002-of-00002.gguf": second, "README.md": b"# parts"})
        own.add("Org/torn-GGUF", {"m-Q4_1-00001-of-00002.gguf": first, "README.md": b"# torn"})
        header = b"".join([json.dumps({"model.layers.0.mlp.up_proj.weight": {"dtype": "BF16", "shape": [8, 8], "data_offsets": [0, 128]}}).encode()])
        weights = struct.pack("<Q", len(header)) + header + bytes(128)
        names = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
        index = {"metadata": {"total_size": 256}, "weight_map": {f"model.layers.{i}.mlp.up_proj.weight": name for i, name in enumerate(names)}}
        config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 2,
                  "num_attention_heads": 1, "num_key_value_heads": 1, "vocab_size": 8, "max_position_embeddings": 64, "torch_dtype": "bfloat16"}
        own.add("Org/sharded", {"config.json": json.dumps(config).encode(), "model.safetensors.index.json": json.dumps(index).encode(),
                                names[0]: weights, names[1]: weights.replace(b"layers.0", b"layers.1"), "consolidated.safetensors": weights,
                                "tokenizer.json": b"{}", "modeling.py": b"raise SystemExit", "pytorch_model.bin": b"x" * 70_000})
        yield own


@pytest.fixture(scope="module")
def server(tmp_path_factory, hub):
    own = Server(tmp_path_factory.mktemp("parts") / "data")
    own.environment_more = {"HF_ENDPOINT": hub.url}
    yield own.start()
    own.stop()


def test_a_model_in_two_parts_is_served(server):
    whole = server.cli_json("inspect", str(SMOLLM2))["model"]
    evaluated = server.api("POST", "/api/v1/evaluations", json={"source": "hf:Org/parts-GGUF", "options": {"context_tokens": 512}}).json()
    assert evaluated["model"]["parameter_count"] == whole["parameter_count"] and evaluated["verdict"] == "fits"
    server.deploy("parts", "--ctx", "512", source="hf:Org/parts-GGUF:Q4_1")
    files, = server.items("/api/v1/model-files")
    assert files["files"] == ["m-Q4_1-00001-of-00002.gguf", "m-Q4_1-00002-of-00002.gguf"]
    server.deploy("whole", "--ctx", "512")
    said = [server.openai().chat.completions.create(model=model, messages=[{"role": "user", "content": "Count to ten."}], max_tokens=24, temperature=0)
            for model in ("whole", "parts")]
    assert said[0].choices[0].message.content == said[1].choices[0].message.content != "", said
    server.cli("rm", "parts", "--yes")


def test_a_part_that_is_missing_is_named(server):
    refused = server.cli("deploy", "torn", "--source", "hf:Org/torn-GGUF", check=False)
    assert refused.returncode == 1 and "is in 2 parts, of which the repository holds 1" in refused.stderr, refused.stderr


def test_safetensors_come_by_their_index(server):
    pulled = server.cli_json("pull", "hf:Org/sharded")
    assert sorted(pulled["files"]) == ["config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
                                       "model.safetensors.index.json", "tokenizer.json"]
    evaluated = server.api("POST", "/api/v1/evaluations", json={"source": "hf:Org/sharded", "backend": "vllm"}).json()
    assert evaluated["model"]["format"] == "safetensors" and evaluated["model"]["layers"] == 2 and evaluated["choice"] is None
