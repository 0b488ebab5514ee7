"""The hubs' official clients against the hub that our own client is tested against (tests/fakes/hub.py)."""
import os
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "fakes"))
from hub import COMMIT, Hub  # noqa: E402

WEIGHTS = os.urandom(300_000)
FILES = {"tiny.Q4_K_M.gguf": WEIGHTS, "README.md": b"# Tiny\n", "config.json": b"{}", "sub/part.safetensors": WEIGHTS[:70_000]}


@pytest.fixture
def hub():
    with Hub() as own:
        own.add("Org/tiny", FILES)
        own.add("Org/gated", FILES, gated=True, token="hf_right")
        own.add("Org/private", FILES, token="hf_right")
        yield own


def python(code, folder, **environment):
    """These clients read their environment when they are imported: a process of its own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "MODELSCOPE_")) and not k.lower().endswith("_proxy")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=folder,
                          env={**kept, "HOME": str(folder), "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", **environment})
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def test_huggingface_hub(hub, tmp_path):
    hub.misbehave("/tree/", page=2)
    out = python(f"""
import hashlib, pathlib
from huggingface_hub import HfApi, hf_hub_download, snapshot_download, errors
api = HfApi()
info = api.model_info("Org/tiny")
assert info.sha == "{COMMIT}" and len(info.siblings) == 4, info
files = {{f.path: f for f in api.list_repo_tree("Org/tiny", recursive=True) if hasattr(f, "size")}}
assert sorted(files) == {sorted(FILES)!r}, files
weights = files["tiny.Q4_K_M.gguf"]
path = pathlib.Path(hf_hub_download("Org/tiny", "tiny.Q4_K_M.gguf"))
assert hashlib.sha256(path.read_bytes()).hexdigest() == weights.lfs.sha256 and weights.size == 300000 == path.stat().st_size
assert "{COMMIT}" in str(path), path
folder = pathlib.Path(snapshot_download("Org/tiny"))
assert (folder / "config.json").read_text() == "{{}}" and (folder / "sub/part.safetensors").stat().st_size == 70000
assert [m.id for m in api.list_models(search="tin")] == ["Org/tiny"]
for call, error in [
    (lambda: api.model_info("Org/none"), errors.RepositoryNotFoundError),
    (lambda: api.model_info("Org/private"), errors.RepositoryNotFoundError),
    (lambda: hf_hub_download("Org/gated", "README.md"), errors.GatedRepoError),
    (lambda: hf_hub_download("Org/gated", "README.md", token="hf_wrong"), errors.GatedRepoError),
    (lambda: hf_hub_download("Org/tiny", "none.gguf"), errors.RemoteEntryNotFoundError),
    (lambda: api.model_info("Org/tiny", revision="none"), errors.RevisionNotFoundError),
]:
    try:
        call()
    except error:
        continue
    raise AssertionError(error)
hf_hub_download("Org/private", "README.md", token="hf_right")
print("well")
""", tmp_path, HF_ENDPOINT=hub.url)
    assert out.endswith("well\n")
    assert all("authorization" not in {name.lower() for name in r[3]} for r in hub.asked("", "storage"))


def test_modelscope_hub(hub, tmp_path):
    out = python(f"""
import hashlib, pathlib
from modelscope_hub import HubApi, errors
api = HubApi()
files = {{f.path: f for f in api.list_repo_files("Org/tiny", "model")}}
assert sorted(files) == {sorted(FILES)!r}, files
path = pathlib.Path(api.download_file("Org/tiny", "model", "tiny.Q4_K_M.gguf"))
assert path.stat().st_size == 300000 and hashlib.sha256(path.read_bytes()).hexdigest() == files["tiny.Q4_K_M.gguf"].sha256, files
folder = pathlib.Path(api.download_repo("Org/tiny", "model"))
assert (folder / "config.json").read_text() == "{{}}" and (folder / "sub/part.safetensors").stat().st_size == 70000
try:
    api.download_file("Org/none", "model", "README.md")
except errors.NotExistError:
    print("well")
""", tmp_path, MODELSCOPE_ENDPOINT=hub.url)
    assert out.endswith("well\n")
