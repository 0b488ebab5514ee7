"""The catalogue: which of its models fit this machine, without a hub; one of it deployed from the hub that tests/fakes/hub.py plays."""
import json
import pathlib
import sys

import pytest

from conftest import SMOLLM2, Server

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "fakes"))
from hub import Hub  # noqa: E402

OWN = {"version": 1, "models": [
    {"id": "ours", "name": "Ours", "family": "Ours", "modality": "text", "licence": "apache-2.0",
     "config": {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
                "num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 49152, "max_position_embeddings": 8192,
                "tie_word_embeddings": True, "torch_dtype": "bfloat16"},
     "variants": [{"backend": "engine", "format": "gguf", "quantizations": ["Q8_0"], "hf": "Org/Ours-GGUF", "modelscope": "Org/Ours-MS-GGUF",
                   "options": {"context_tokens": 512}}]}]}


@pytest.fixture(scope="module")
def hub():
    with Hub() as own:
        for name in ("Org/Ours-GGUF", "Org/Ours-MS-GGUF"):
            own.add(name, {"ours-q8_0.gguf": SMOLLM2})
        yield own


@pytest.fixture(scope="module")
def server(tmp_path_factory, hub):
    own = Server(tmp_path_factory.mktemp("catalogue") / "data")
    own.data_dir.mkdir(parents=True, exist_ok=True)
    (own.data_dir / "catalogue.json").write_text(json.dumps(OWN))
    own.environment_more = {"HF_ENDPOINT": hub.url, "MODELSCOPE_ENDPOINT": hub.url}
    yield own.start()
    own.stop()


def entries(server, *more):
    return {e["id"]: e for e in server.cli_json("catalogue", *more)["items"]}


def test_says_what_fits_here_and_asks_no_hub(server, hub):
    hub.requests.clear()
    all_of_it = entries(server)
    assert len(all_of_it) > 40
    small, large = all_of_it["smollm2-135m-instruct"], all_of_it["llama-3.3-70b-instruct"]
    assert small["verdict"] == "fits" and small["parameters"] == 134515008
    best = small["variants"][small["recommended"]]
    assert best["backend"] == "engine" and best["placement"]["claims"] and best["needs_bytes"] > best["bytes"] > 100_000_000, best
    memory = max(d["memory_total_bytes"] for d in server.items("/api/v1/devices"))
    for entry in all_of_it.values():
        for variant in entry["variants"]:
            if variant["bytes"] > memory:
                assert variant["verdict"] in ("does_not_fit", "incompatible") and variant["reason"], (entry["id"], variant)
    assert large["verdict"] != "fits" or memory > 42 << 30
    fitting = entries(server, "--fits")
    assert set(fitting) == {name for name, e in all_of_it.items() if e["verdict"] == "fits"} and fitting
    assert {e["modality"] for e in entries(server, "--modality", "embedding").values()} == {"embedding"}
    assert "qwen3-8b" in server.cli("catalogue", "--family", "Qwen3").stdout
    shown = server.cli("catalogue", "qwen3-8b").stdout
    assert "hf:unsloth/Qwen3-8B-GGUF:Q4_K_M" in shown and "modelscope:unsloth/Qwen3-8B-GGUF:Q4_K_M" in shown and "licence apache-2.0" in shown
    assert server.cli("catalogue", "none", check=False).returncode == 1
    assert not hub.requests


def test_deployed_by_its_id_from_either_hub(server, hub):
    done = server.cli("evaluate", "catalogue:ours", "--json")
    assert json.loads(done.stdout)["source"] == "hf:Org/Ours-GGUF:Q8_0"
    server.cli("deploy", "ours", "--source", "catalogue:ours", "--wait")
    made = server.api("GET", "/api/v1/deployments/ours").json()
    assert (made["source"], made["backend"], made["options"]["context_tokens"]) == ("hf:Org/Ours-GGUF:Q8_0", "engine", 512)
    server.cli("deploy", "again", "--source", "catalogue:ours:q8_0", "--hub", "modelscope", "--ctx", "1024")
    made = server.api("GET", "/api/v1/deployments/again").json()
    assert (made["source"], made["options"]["context_tokens"]) == ("modelscope:Org/Ours-MS-GGUF:Q8_0", 1024)
    for source, message in (("catalogue:none", 'the catalogue has no "none"'), ("catalogue:ours:Q2_K", "there are Q8_0 for engine")):
        refused = server.cli("deploy", "refused", "--source", source, check=False)
        assert refused.returncode == 1 and message in refused.stderr, refused.stderr
    server.cli("pull", "catalogue:ours", "--hub", "hf")


def test_a_file_that_is_wrong_is_named(tmp_path, server):
    path = tmp_path / "wrong.json"
    wrong = json.loads(json.dumps(OWN))
    wrong["models"][0]["license"] = wrong["models"][0].pop("licence")
    path.write_text(json.dumps(wrong))
    checked = server.cli("catalogue", "--check", str(path), check=False)
    assert checked.returncode == 1 and 'ours: "licence" is missing' in checked.stderr, checked.stderr
    path.write_text(json.dumps(OWN))
    assert "is a catalogue" in server.cli("catalogue", "--check", str(path)).stderr
