"""Routes with real engines: shares, the fallback, what a client sees of it; the balance among instances."""
import httpx
import openai
import pytest

from conftest import Server, until

PROMPT = [{"role": "user", "content": "Complete the sentence: The capital of France is"}]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    own = Server(tmp_path_factory.mktemp("routing") / "data").start()
    own.deploy("one", "--ctx", "1024")
    own.deploy("two", "--ctx", "1024")
    yield own
    own.stop()


def chat(server, model, **more):
    return server.openai().chat.completions.create(model=model, messages=PROMPT, max_tokens=2, **more)


def served_by(server, model):
    """Which deployment answered how many requests of this public name."""
    owners = {i["id"]: i["deployment_name"] for i in server.items("/api/v1/instances")}
    counts = {}
    for item in server.items(f"/api/v1/usage?model={model}"):
        name = owners.get(item["instance_id"], "gone")
        counts[name] = counts.get(name, 0) + 1
    return counts


def test_a_route_shares_and_falls_back(server):
    server.cli("routes", "create", "public", "--target", "one=1", "--target", "two=1", "--quiet")
    assert [r["name"] for r in server.cli_json("routes", "list")["items"]] == ["public"]
    assert "public" in [m.id for m in server.openai().models.list()]
    for _ in range(20):
        assert chat(server, "public").model == "public"
    counts = until(lambda: (lambda c: c if sum(c.values()) == 20 else None)(served_by(server, "public")), "all is recorded")
    assert set(counts) == {"one", "two"}, counts   # the chance of one only is 2 in a million

    server.cli("routes", "edit", "public", "--target", "one", "--fallback", "two", "--quiet")
    server.cli("stop", "one")
    until(lambda: not server.instances("one"), "one is stopped")
    with server.openai().chat.completions.create(model="public", messages=PROMPT, max_tokens=2, stream=True) as events:
        assert {event.model for event in events} == {"public"}
    server.cli("start", "one")
    server.running("one")

    server.cli("routes", "edit", "public", "--disable", "--quiet")
    with pytest.raises(openai.NotFoundError):
        chat(server, "public")
    server.cli("routes", "rm", "public", "--quiet")
    assert server.cli_json("routes", "list")["items"] == []
    assert [e["action"] for e in server.items("/api/v1/audit?kind=route")] != []


def test_allowed_models_are_about_the_public_name(server):
    server.cli("routes", "create", "open", "--target", "one", "--quiet")
    key = server.cli("keys", "create", "narrow", "--model", "open", "--quiet").stdout.strip()
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0, timeout=120)
    assert client.chat.completions.create(model="open", messages=PROMPT, max_tokens=2).model == "open"
    with pytest.raises(openai.PermissionDeniedError):
        client.chat.completions.create(model="one", messages=PROMPT, max_tokens=2)
    assert [m.id for m in client.models.list()] == ["open"]


def test_a_full_queue_is_a_429_at_once(tmp_path):
    server = Server(tmp_path / "data", "--queue-per-instance", "1").start()
    try:
        server.deploy("one", "--ctx", "2048")
        body = {"model": "one", "messages": PROMPT, "max_tokens": 1500, "stream": True, "ignore_eos": True}
        with httpx.stream("POST", f"{server.url}/v1/chat/completions", timeout=60, headers={"Authorization": f"Bearer {server.key}"},
                          json=body) as answer:
            lines = answer.iter_lines()
            next(lines)
            refused = server.api("POST", "/v1/chat/completions", json={"model": "one", "messages": PROMPT, "max_tokens": 2})
            assert refused.status_code == 429 and refused.json()["error"]["code"] == "queue_full", refused.text
            assert int(refused.headers["retry-after"]) >= 1
        until(lambda: server.api("POST", "/v1/chat/completions", json={"model": "one", "messages": PROMPT, "max_tokens": 2})
              .status_code == 200, "the place is free again")
    finally:
        server.stop()
