"""`gantry bundle`: saved on a machine that has a network, loaded by the program that is in it on one that has none, and served there."""
import hashlib
import json
import pathlib
import subprocess
import sys
import tarfile

import pytest

import machines
from conftest import SMOLLM2, TOWER, Server, until

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "fakes"))
from hub import Hub  # noqa: E402

SOURCE = "hf:Org/tiny-GGUF"
OWN = {"version": 1, "models": []}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """The file, of a server that runs."""
    folder = tmp_path_factory.mktemp("bundle")
    with Hub() as hub:
        hub.add("Org/tiny-GGUF", {"tiny-Q4_1.gguf": SMOLLM2, "mmproj-f16.gguf": TOWER if TOWER.exists() else b"x", "README.md": b"# tiny"})
        hub.add("Org/other-GGUF", {"other-Q4_1.gguf": SMOLLM2.read_bytes()[:50_000_000]})
        server = Server(folder / "data")
        server.data_dir.mkdir()
        (server.data_dir / "catalogue.json").write_text(json.dumps(OWN))
        server.environment_more = {"HF_ENDPOINT": hub.url}
        server.start()
        try:
            server.cli("pull", SOURCE, "--quiet")
            saved = server.cli("bundle", "save", str(folder / "site.tar"), "--json")
        finally:
            server.stop()
    contents = json.loads(saved.stdout)
    assert contents["models"] == [SOURCE] and contents["catalogue"] is True
    return folder / "site.tar"


@pytest.fixture
def island(tmp_path):
    """A network namespace with a loopback and nothing else."""
    name = f"gantry-island-{tmp_path.name[-12:]}"
    if machines.ip("netns", "add", name, check=False).returncode != 0:
        pytest.skip("network namespaces need root and ip: apt-get install iproute2")
    machines.ip("link", "set", "lo", "up", at=name)
    yield ("nsenter", f"--net=/run/netns/{name}", "--")
    machines.ip("netns", "del", name, check=False)


def test_a_site_without_a_network(bundle, island, tmp_path):
    with tarfile.open(bundle) as archive:
        assert archive.getnames()[:2] == ["bundle.json", "gantry"]
    subprocess.run(["tar", "-xf", bundle, "-C", tmp_path, "gantry"], check=True)   # as the docs say
    program = tmp_path / "gantry"
    data = tmp_path / "data"
    loaded = subprocess.run([*island, program, "bundle", "load", bundle, "--data-dir", data, "--program", tmp_path / "installed"],
                            capture_output=True, text=True)
    assert loaded.returncode == 0 and loaded.stdout == f"{SOURCE}\n", loaded.stderr
    assert hashlib.sha256((tmp_path / "installed").read_bytes()).digest() == hashlib.sha256(program.read_bytes()).digest()
    assert json.loads((data / "catalogue.json").read_text()) == OWN
    server = Server(data, "--offline")
    server.prefix = island
    server.start(wait=False)
    try:
        until(lambda: server.cli("ps", check=False).returncode == 0, "the server answers at its admin socket")
        assert [f["source"] for f in server.cli_json("ls", "--files")["items"]] == [SOURCE]
        server.cli("verify", SOURCE)
        server.cli("deploy", "tiny", "--source", SOURCE, "--ctx", "512", "--wait")
        assert server.cli("run", "tiny", "Say hello.").stdout.strip()
    finally:
        server.stop()


def test_what_is_damaged_changes_nothing(bundle, tmp_path):
    whole = bundle.read_bytes()
    damaged = tmp_path / "damaged.tar"
    at = len(whole) - 10_000_000   # in the model
    damaged.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])
    server = Server(tmp_path / "data")
    done = server.cli("bundle", "load", str(damaged), check=False)
    assert done.returncode == 1 and "SHA-256" in done.stderr, done.stderr
    damaged.write_bytes(whole[:at])
    assert server.cli("bundle", "load", str(damaged), check=False).returncode == 1
    left = [p for p in (tmp_path / "data").rglob("*") if p.is_file() and p.name != "bundle.lock"]
    assert left == [], left
    there = server.cli("bundle", "save", str(bundle), check=False)
    assert there.returncode == 1 and "there already" in there.stderr
    assert "no hub's models" in server.cli("bundle", "save", str(tmp_path / "none.tar"), check=False).stderr
