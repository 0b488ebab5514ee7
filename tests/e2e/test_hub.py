"""Models from the hubs, played by tests/fakes/hub.py: fetched, checked, gone on with after a kill, served; and what hubs do wrong."""
import pathlib
import re
import sys

import pytest

from conftest import SMOLLM2, Server, until

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "fakes"))
from hub import Hub  # noqa: E402

REPO = "HuggingFaceTB/SmolLM2-135M-Instruct-GGUF"
GGUF = "smollm2-135m-instruct-q4_1.gguf"
SIZE = SMOLLM2.stat().st_size if SMOLLM2.exists() else 0
PROMPT = [{"role": "user", "content": "Say hello."}]


@pytest.fixture(scope="module")
def one_hub():
    with Hub() as own:
        own.add(REPO, {GGUF: SMOLLM2, "README.md": b"# SmolLM2\n", "config.json": b"{}"})
        own.add("Org/gated", {GGUF: SMOLLM2}, gated=True, token="hf_right")
        own.add("Org/private", {GGUF: SMOLLM2}, token="hf_right")
        yield own


@pytest.fixture
def hub(one_hub):
    one_hub.behave()
    one_hub.requests.clear()
    return one_hub


@pytest.fixture
def server(tmp_path, hub):
    own = Server(tmp_path / "data")
    own.environment_more = {"HF_ENDPOINT": hub.url, "MODELSCOPE_ENDPOINT": hub.url}
    yield own
    own.stop()


def says(server, name):
    answer = server.openai().chat.completions.create(model=name, messages=PROMPT, max_tokens=4, temperature=0)
    return answer.choices[0].message.content


def instance(server, name):
    found = server.instances(name)
    return found[0] if found else {"state": "none", "reason": "", "progress": 0}


def fetched(hub):
    """Bytes that were downloaded: what a header is looked at by are ranges of 4 MiB at most, and a chunk has 8."""
    spans = [re.fullmatch(r"bytes=(\d+)-(\d+)", r[3].get("Range", "")) for r in hub.asked("", "storage")]
    sizes = [int(s[2]) + 1 - int(s[1]) for s in spans if s]
    return sum(size for size in sizes if size > 4 << 20)


@pytest.mark.parametrize("source", [f"hf:{REPO}:Q4_1", f"modelscope:{REPO}/{GGUF}"])
def test_deployed_by_name(server, hub, source):
    server.environment_more.update(HF_TOKEN="hf_mine", MODELSCOPE_API_TOKEN="ms_mine")
    server.start()
    done = server.deploy("m", source=source)
    assert "m is running" in done.stderr
    assert says(server, "m")
    models = server.items("/api/v1/models")
    assert [m["source"] for m in models] == [source] and models[0]["meta"]["architecture"] == "llama"
    blobs = list((server.data_dir / "models/blobs").iterdir())
    assert [b.name for b in blobs] == [hub.repos[REPO].files[GGUF].sha256] and blobs[0].stat().st_size == SIZE
    assert not list((server.data_dir / "models/partial").iterdir())
    assert fetched(hub) == SIZE, "once, though it was looked at before"
    assert hub.asked("", "storage") and all("authorization" not in {n.lower() for n in r[3]} for r in hub.asked("", "storage")), "no token goes along"
    token = "hf_mine" if source.startswith("hf:") else "ms_mine"
    assert {r[3].get("authorization") for r in hub.asked("")} == {f"Bearer {token}"}
    # The same file again, by another name and from the other hub: nothing is fetched.
    before = len(hub.asked("", "storage"))
    other = f"modelscope:{REPO}" if source.startswith("hf:") else f"hf:{REPO}"
    server.deploy("n", source=f"{other}/{GGUF}")
    assert says(server, "n") == says(server, "m")
    assert fetched(hub) == SIZE and len(hub.asked("", "storage")) > before
    # A restart asks nobody.
    server.cli("stop", "m", "n")
    server.stop()
    hub.requests.clear()
    server.start()
    server.cli("start", "m", "--wait")
    assert says(server, "m") and not hub.requests


def test_killed_and_gone_on_with(server, hub):
    server.start()
    hub.misbehave("Signature=", rate=8 << 20)
    server.cli("deploy", "m", "--source", f"hf:{REPO}:Q4_1")
    seen = until(lambda: (lambda i: i if i["state"] == "downloading" and i["progress"] > 0.4 else None)(instance(server, "m")), "half of it is here")
    assert re.fullmatch(r"downloading [\d.]+ MB of [\d.]+ MB, [\d.]+ MB/s, \d+ s left", seen["reason"]), seen
    assert "downloading" in server.cli("ps").stdout
    server.kill9()
    assert len(list((server.data_dir / "models/partial").iterdir())) == 2, "the file and its journal"
    hub.behave()
    hub.requests.clear()
    server.start()
    server.running("m")
    assert says(server, "m")
    assert 0 < fetched(hub) < SIZE, "what was there was not fetched again"


def test_what_is_not_what_the_hub_lists_is_never_used(server, hub):
    server.start()
    hub.misbehave("Signature=", corrupt=True)
    server.cli("deploy", "m", "--source", f"hf:{REPO}:Q4_1")
    failed = until(lambda: (lambda i: i if i["state"] == "error" else None)(instance(server, "m")), "it has failed")
    assert "not what the hub lists" in failed["reason"], failed
    assert not list((server.data_dir / "models/blobs").iterdir())
    hub.behave()
    server.running("m")
    assert says(server, "m")


@pytest.mark.parametrize("source, message", [
    ("hf:Org/none", "Hugging Face knows no Org/none that everybody may read: check the name, or set HF_TOKEN"),
    ("hf:Org/private:Q4_1", "knows no Org/private that everybody may read"),
    ("hf:Org/gated:Q4_1", "Org/gated is gated: ask for access at"),
    (f"hf:{REPO}@none:Q4_1", 'has no revision "none"'),
    (f"hf:{REPO}/none.gguf", 'has no file "none.gguf"; there are :Q4_1'),
    (f"hf:{REPO}:Q2_K", "holds no Q2_K; there are :Q4_1"),
    ("modelscope:Org/none", "ModelScope has no Org/none"),
    (f"modelscope:{REPO}@none", "revision \"none\""),
    ("hf:Org", "must be hf:ORG/NAME"),
])
def test_what_a_hub_refuses_is_said_at_once(one_server, hub, source, message):
    done = one_server.cli("deploy", "refused", "--source", source, "--wait", check=False)
    assert done.returncode == 1 and message in done.stderr, done.stderr
    assert one_server.items("/api/v1/deployments") == []


@pytest.fixture(scope="module")
def one_server(tmp_path_factory, one_hub):
    own = Server(tmp_path_factory.mktemp("refusals") / "data")
    own.environment_more = {"HF_ENDPOINT": one_hub.url, "MODELSCOPE_ENDPOINT": one_hub.url}
    yield own.start()
    own.stop()


@pytest.mark.parametrize("path", ["../../etc/cron.d/x", "/etc/passwd", "a/../../b.gguf"])
def test_hostile_names(one_server, hub, path):
    hub.misbehave("/tree/", extra=[{"type": "file", "oid": "a" * 40, "size": 5, "path": path}])
    done = one_server.cli("deploy", "hostile", "--source", f"hf:{REPO}:Q4_1", check=False)
    assert done.returncode == 1 and "unsafe path" in done.stderr, done.stderr


@pytest.mark.parametrize("location", ["http://169.254.169.254/latest/meta-data", "file:///etc/passwd", "http://0.0.0.0:1/x", "http://user@127.0.0.1/x"])
def test_redirects_that_are_not_followed(one_server, hub, location):
    hub.misbehave("/resolve/", status=302, headers={"Location": location})
    server = one_server
    server.cli("deploy", "led-away", "--source", f"hf:{REPO}:Q4_1", check=False)
    if server.items("/api/v1/deployments"):
        until(lambda: instance(server, "led-away")["reason"], "it says why")
        assert instance(server, "led-away")["state"] != "running"
        server.cli("rm", "led-away", "--yes")
        until(lambda: not server.items("/api/v1/instances"), "it is gone")
    assert not list((server.data_dir / "models/blobs").iterdir())


@pytest.mark.parametrize("status, says_so", [(429, "lets no more requests pass now (429) and asks to wait 2 s"), (503, "answers 503")])
def test_a_hub_that_is_busy_is_waited_for(server, hub, status, says_so):
    server.start()
    hub.misbehave("/api/models/", status=status, headers={"Retry-After": "2"})
    server.cli("deploy", "m", "--source", f"hf:{REPO}:Q4_1")
    seen = until(lambda: (lambda i: i if says_so in i["reason"] else None)(instance(server, "m")), "it says what it waits for")
    assert seen["state"] == "downloading" and "tried again" in seen["reason"]
    hub.behave()
    server.running("m")


def test_offline(server, hub):
    server.start()
    server.deploy("m", source=f"hf:{REPO}:Q4_1")
    server.stop()
    hub.requests.clear()
    server.environment_more["GANTRY_OFFLINE"] = "1"
    server.start()
    server.cli("start", "m", "--wait", check=False)
    assert says(server, "m")
    done = server.cli("deploy", "n", "--source", "hf:Org/other", "--wait", check=False)
    assert done.returncode == 1 and "offline" in done.stderr, done.stderr
    assert not hub.requests, "nobody was asked"


def test_files_as_things_of_their_own(server, hub):
    server.start()
    source = f"modelscope:{REPO}:Q4_1"
    assert [m["source"] for m in server.cli_json("search", "smollm2", "--hub", "modelscope")["items"]] == [f"modelscope:{REPO}"]
    assert server.cli("search", "smollm2", "-q").stdout == f"hf:{REPO}\n"
    pulled = server.cli_json("pull", source)
    assert (pulled["state"], pulled["bytes_done"], pulled["files"], pulled["used_by"]) == ("ready", SIZE, [GGUF], [])
    assert [f["source"] for f in server.items("/api/v1/model-files")] == [source]
    assert server.cli("verify", source).stderr.startswith(f"{source} is as its hub lists it")
    hub.requests.clear()
    server.deploy("m", source=source)
    assert not hub.requests, "pulled before, so nobody is asked"
    used = server.cli("rm", "--files", source, "--yes", check=False)
    assert used.returncode == 1 and "are those of m: remove that first" in used.stderr
    assert re.search(rf"^{re.escape(source)}  \S+ +ready", server.cli("ls", "--files").stdout, re.M)
    server.cli("rm", "m", "--yes")
    until(lambda: not server.items("/api/v1/instances"), "it is gone")
    blob = next((server.data_dir / "models/blobs").iterdir())
    with open(blob, "r+b") as damaged:
        damaged.seek(1000)
        damaged.write(b"x")
    bad = server.cli("verify", source, check=False)
    assert bad.returncode == 1 and "is damaged" in bad.stderr
    server.cli("pull", source)
    server.cli("rm", "--files", source, "--yes")
    assert not server.items("/api/v1/model-files") and not list((server.data_dir / "models/blobs").iterdir())
    refused = server.cli("pull", "hf:Org/none", check=False)
    assert refused.returncode == 1 and "knows no Org/none" in refused.stderr


def test_paused_and_gone_on_with(server, hub):
    server.start()
    hub.misbehave("Signature=", rate=8 << 20)
    source = f"hf:{REPO}:Q4_1"
    server.cli("deploy", "m", "--source", source)
    # Half of it: more than four chunks that are not whole, of which a pause keeps nothing.
    until(lambda: instance(server, "m")["progress"] > 0.5, "some of it is here")
    told = server.cli("pull", source, "--pause").stderr
    assert "is paused: paused at" in told, told
    paused = until(lambda: (lambda i: i if i["reason"].startswith("paused at") else None)(instance(server, "m")), "the instance says so")
    assert paused["state"] == "downloading"
    assert [f["state"] for f in server.items("/api/v1/model-files")] == ["paused"]
    again = server.cli("pull", source, "--pause", check=False)
    assert again.returncode == 1 and "not on its way any more" in again.stderr
    hub.behave()
    hub.requests.clear()
    until(lambda: server.cli("pull", source, "--resume", check=False).returncode == 0, "its last range has stopped, and it goes on")
    server.running("m")
    assert says(server, "m") and 0 < fetched(hub) < SIZE, "what was there was not fetched again"
    none = server.cli("pull", source, "--resume", check=False)
    assert none.returncode == 1 and "no download of these files is on its way here" in none.stderr


def test_a_quota_deletes_what_was_used_longest_ago_and_nothing_that_is_used(server, hub):
    for name in ("Org/one", "Org/two"):
        content = SMOLLM2.read_bytes() + name.encode()      # three models of different content
        hub.add(name, {GGUF: content})
    server.environment_more["GANTRY_MODELS_QUOTA"] = f"{SIZE * 5 // 2}"      # of which two fit
    server.start()
    mine, one, two = f"hf:{REPO}:Q4_1", "hf:Org/one:Q4_1", "hf:Org/two:Q4_1"
    there = lambda: [f["source"] for f in server.items("/api/v1/model-files") if f["state"] == "ready"]
    server.deploy("m", source=mine)
    server.cli("pull", one)
    assert sorted(there()) == sorted([mine, one])
    server.cli("pull", two)
    assert sorted(there()) == sorted([mine, two]), "what runs stays, however long ago it was fetched"
    server.cli("stop", "m")
    until(lambda: not server.items("/api/v1/instances"), "nothing runs")
    server.cli("pull", one)
    assert sorted(there()) == sorted([mine, one]), "a deployment that is stopped is used, too"
    server.cli("rm", "m", "--yes")
    server.deploy("n", source=one)
    server.cli("pull", two)
    assert sorted(there()) == sorted([one, two])
    server.deploy("o", source=two)
    refused = server.cli("pull", mine, check=False)
    assert refused.returncode == 1 and "GANTRY_MODELS_QUOTA" in refused.stderr, refused.stderr
    assert sorted(there()) == sorted([one, two]) and says(server, "n") and says(server, "o")
