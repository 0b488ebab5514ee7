"""Outside providers, played by a second Gantry: called by name and through a route, and where their key is kept."""
import sqlite3

import openai
import pytest

from conftest import Server, until
from test_tls import Authority, TlsServer

PROMPT = [{"role": "user", "content": "Complete the sentence: The capital of France is"}]


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    own = Server(tmp_path_factory.mktemp("provider") / "data").start()
    own.deploy("smollm2", "--ctx", "1024")
    yield own
    own.stop()


@pytest.fixture
def server(tmp_path, provider):
    own = Server(tmp_path / "data").start()
    own.cli("providers", "create", "out", "--base-url", f"{provider.url}/v1/", "--model", "smollm2", "--model", "none", "--api-key-file", "-",
            "--quiet", stdin=provider.key + "\n")
    yield own
    own.stop()


def chat(server, model, **more):
    return server.openai().chat.completions.create(model=model, messages=PROMPT, max_tokens=4, temperature=0, **more)


def test_its_models_are_models(server, provider):
    assert [(p["name"], p["has_api_key"], p["models"]) for p in server.cli_json("providers", "list")["items"]] == [("out", True, ["smollm2", "none"])]
    tested = server.api("POST", "/api/v1/providers/out/test").json()
    assert tested == {"reachable": True, "status": 200, "models": ["smollm2"], "error": None}
    assert server.cli_json("providers", "test", "out") == tested
    assert "answers and lists 1 model; not among them: none" in server.cli("providers", "test", "out").stderr
    listed = {m.id: m.model_extra["meta"] for m in server.openai().models.list()}
    assert set(listed) == {"out/smollm2", "out/none"} and listed["out/smollm2"]["provider"] == "out"
    whole = chat(server, "out/smollm2")
    assert whole.model == "out/smollm2" and whole.choices[0].message.content == chat(provider, "smollm2").choices[0].message.content
    with chat(server, "out/smollm2", stream=True, stream_options={"include_usage": True}) as events:
        events = list(events)
    assert {e.model for e in events} == {"out/smollm2"} and events[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert "".join(e.choices[0].delta.content or "" for e in events if e.choices) == whole.choices[0].message.content
    answer = server.openai().responses.create(model="out/smollm2", input="Hello", max_output_tokens=4)
    assert answer.model == "out/smollm2" and answer.output_text
    with pytest.raises(openai.NotFoundError) as unknown:   # the provider's own no
        chat(server, "out/none")
    assert unknown.value.status_code == 404
    refused = server.api("POST", "/v1/tokenize", json={"model": "out/smollm2", "prompt": "a"})
    assert refused.status_code == 400 and refused.json()["error"]["code"] == "unsupported_operation"
    ids = {p["id"] for p in server.items("/api/v1/providers")}
    used = until(lambda: (lambda items: items if len(items) >= 3 else None)(server.items("/api/v1/usage?model=out/smollm2")), "all is recorded")
    assert {u["instance_id"] for u in used} == ids and all(u["prompt_tokens"] > 0 for u in used)
    server.cli("providers", "edit", "out", "--disable", "--quiet")
    with pytest.raises(openai.NotFoundError):
        chat(server, "out/smollm2")


def test_a_route_falls_back_when_the_provider_is_gone(server, tmp_path):
    server.deploy("own", "--ctx", "1024")
    gone = Server(tmp_path / "gone").start()
    gone.deploy("smollm2", "--ctx", "1024")
    server.cli("providers", "create", "gone", "--base-url", f"{gone.url}/v1", "--model", "smollm2", "--api-key-file", "-", "--quiet", stdin=gone.key)
    server.cli("routes", "create", "public", "--target", "gone/smollm2", "--fallback", "own", "--quiet")
    assert chat(server, "public").model == "public"
    until(lambda: len(server.items("/api/v1/usage?model=public")) == 1, "it is recorded")
    assert server.items("/api/v1/usage?model=public")[0]["instance_id"].startswith("prv_")
    gone.stop()
    assert chat(server, "public").model == "public"
    until(lambda: len(server.items("/api/v1/usage?model=public")) == 2, "it is recorded")
    assert sorted(u["instance_id"][:4] for u in server.items("/api/v1/usage?model=public")) == ["ins_", "prv_"]
    with pytest.raises(openai.InternalServerError) as failed:
        chat(server, "gone/smollm2")
    assert failed.value.status_code == 502 and failed.value.code == "provider_failed"
    untested = server.cli("providers", "test", "gone", check=False)
    assert untested.returncode == 1 and "gone: " in untested.stderr and gone.key not in untested.stderr


def test_the_key_is_nowhere_to_be_read(server, provider):
    secret = provider.key.rsplit("_", 1)[1]
    assert chat(server, "out/smollm2").model == "out/smollm2"
    wrong = "sk-wrong-key-000"
    server.cli("providers", "edit", "out", "--api-key-file", "-", "--quiet", stdin=wrong)
    with pytest.raises(openai.InternalServerError) as refused:
        chat(server, "out/smollm2")
    assert refused.value.status_code == 502 and refused.value.code == "provider_refused"
    shown = (server.cli("providers", "list", "--json").stdout + server.api("GET", "/api/v1/audit").text + refused.value.response.text +
             server.api("GET", "/metrics").text)
    server.cli("backup")
    files = [path for path in server.data_dir.rglob("*") if path.is_file()]
    assert any(path.suffix == ".db" and path.parent.name == "backups" for path in files)
    for text in [shown.encode(), server.log().encode(), *(path.read_bytes() for path in files)]:
        assert secret.encode() not in text and wrong.encode() not in text
    assert (server.data_dir / "secrets.key").stat().st_mode & 0o777 == 0o600


def test_a_database_without_its_secrets_key_says_so(server, provider):
    server.deploy("own", "--ctx", "1024")
    server.stop()
    (server.data_dir / "secrets.key").unlink()
    server.start()
    listed = {m["id"]: m["meta"] for m in server.api("GET", "/v1/models?all=1").json()["data"]}
    assert "another secrets.key" in listed["out/smollm2"]["not_ready_reason"]
    refused = server.api("POST", "/v1/chat/completions", json={"model": "out/smollm2", "messages": PROMPT})
    assert refused.status_code == 503 and "gantry providers edit" in refused.json()["error"]["message"]
    server.running("own")
    assert chat(server, "own").model == "own"
    server.cli("providers", "edit", "out", "--api-key-file", "-", "--quiet", stdin=provider.key)
    assert chat(server, "out/smollm2").model == "out/smollm2"
    with sqlite3.connect(f"file:{server.data_dir}/gantry.db?mode=ro", uri=True) as db:
        assert db.execute("SELECT count(*) FROM providers WHERE sealed_key != ''").fetchone() == (1,)


def test_a_provider_over_https_is_called_only_if_its_certificate_is_trusted(tmp_path):
    authority = Authority(tmp_path / "ca")
    far = TlsServer(tmp_path / "far", authority).start()
    near = Server(tmp_path / "near")
    stranger = Server(tmp_path / "stranger").start()
    near.environment_more = {"SSL_CERT_FILE": str(authority.ca)}   # how a process is told of an authority of one's own
    near.start()
    try:
        far.deploy("smollm2", "--ctx", "1024")
        for server in (near, stranger):
            server.cli("providers", "create", "far", "--base-url", f"{far.url}/v1", "--model", "smollm2", "--api-key-file", "-",
                       "--quiet", stdin=far.key + "\n")
        assert near.api("POST", "/api/v1/providers/far/test").json()["models"] == ["smollm2"]
        whole = chat(near, "far/smollm2")
        assert whole.choices[0].message.content
        with chat(near, "far/smollm2", stream=True) as events:
            assert "".join(e.choices[0].delta.content or "" for e in events if e.choices) == whole.choices[0].message.content
        tested = stranger.api("POST", "/api/v1/providers/far/test").json()
        assert not tested["reachable"] and "certificate" in tested["error"], tested
        with pytest.raises(openai.APIStatusError) as refused:
            chat(stranger, "far/smollm2")
        assert refused.value.status_code in (502, 503) and far.key not in str(refused.value.body)
    finally:
        for server in (near, stranger, far):
            server.stop()
