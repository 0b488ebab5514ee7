"""`gantry inspect`: what a model's files say, without a server."""
import json
import subprocess

from conftest import GANTRY, SMOLLM2


def inspect(*words, check=True):
    done = subprocess.run([GANTRY, "inspect", *map(str, words)], capture_output=True, text=True, timeout=60)
    assert not check or done.returncode == 0, done.stderr
    return done


def test_says_what_a_file_holds_and_takes(tmp_path):
    seen = json.loads(inspect(SMOLLM2, "--json", "--ctx", "4096", "--max-sequences", "4").stdout)
    assert seen["model"]["architecture"] == "llama" and seen["model"]["parameter_count"] == 134515008
    keys = {key["key"]: key for key in seen["keys"]}
    assert keys["llama.block_count"]["value"] == "30" and keys["tokenizer.ggml.tokens"]["type"] == "49152 x string"
    assert 0 < sum(seen["bytes_of_type"].values()) <= SMOLLM2.stat().st_size
    terms = {term["name"]: term["bytes"] for term in seen["estimate"]["terms"]}
    assert terms["kv_cache"] == 30 * 3 * (64 + 64) * 2 * 4096, "30 layers of 3 heads, keys and values of 64, of 2 bytes each"
    longer = json.loads(inspect(SMOLLM2, "--json", "--ctx", "8192", "--max-sequences", "4").stdout)
    assert longer["estimate"]["total_bytes"] > seen["estimate"]["total_bytes"]
    text = inspect(SMOLLM2, "--keys").stdout
    assert "general.architecture" in text and "total" in text and "135M parameters" in text
    template = inspect(SMOLLM2, "--template").stdout
    assert "<|im_start|>" in template and "{%" in template
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + b"\xff" * 100)
    refused = inspect(broken, check=False)
    assert refused.returncode == 1 and "invalid model file" in refused.stderr
    assert inspect(tmp_path / "none.gguf", check=False).returncode == 1
