"""Limits, allowed models, scopes and revocation of keys, as the official client and people see them."""
import contextlib
import json
import threading
import time

import httpx
import openai
import pytest

from conftest import Server, until

PROMPT = [{"role": "user", "content": "Say hi."}]


@pytest.fixture
def make_key(server):
    """A key with these flags: (its text, a client of it without retries)."""
    made = []

    def make(*flags):
        name = f"quota-{len(made)}-{time.monotonic_ns()}"
        key = json.loads(server.cli("keys", "create", name, *flags, "--json").stdout)
        made.append(key["id"])
        return key, openai.OpenAI(base_url=f"{server.url}/v1", api_key=key["secret"], max_retries=0, timeout=120)

    yield make
    for key_id in made:
        server.api("DELETE", f"/api/v1/keys/{key_id}")


def ask(client, max_tokens=1, **fields):
    return client.chat.completions.create(model="smollm2", messages=PROMPT, max_tokens=max_tokens, **fields)


def limits_of(headers):
    return {name[len("x-ratelimit-"):]: value for name, value in headers.items() if name.startswith("x-ratelimit-")}


def test_requests_a_minute(make_key, server):
    key, client = make_key("--rpm", "3")
    seen = [client.chat.completions.with_raw_response.create(model="smollm2", messages=PROMPT, max_tokens=1) for _ in range(2)]
    assert [limits_of(one.headers)["remaining-requests"] for one in seen] == ["2", "1"]
    assert limits_of(seen[0].headers) == {"limit-requests": "3", "remaining-requests": "2", "reset-requests": "20s"}
    with client.chat.completions.with_streaming_response.create(model="smollm2", messages=PROMPT, max_tokens=1, stream=True) as stream:
        assert limits_of(stream.headers)["remaining-requests"] == "0"
        assert "data: [DONE]" in list(stream.iter_lines())
    with pytest.raises(openai.RateLimitError) as over:
        ask(client)
    assert over.value.code == "rate_limit_exceeded" and over.value.type == "rate_limit_error"
    headers = over.value.response.headers
    assert 1 <= int(headers["retry-after"]) <= 20 and 0 < int(headers["retry-after-ms"]) <= 20_000
    assert limits_of(headers)["remaining-requests"] == "0" and "x-should-retry" not in headers
    # Listing models is no request, but says how it stands.
    assert limits_of(client.models.with_raw_response.list().headers)["limit-requests"] == "3"
    server.cli("keys", "edit", key["id"], "--rpm", "none")
    assert ask(client).usage and not limits_of(client.models.with_raw_response.list().headers)


def test_the_clients_own_retry_gets_through(make_key):
    """At 30 a minute the next request is due in two seconds: the official client waits as it is told."""
    _, client = make_key("--rpm", "30")
    with pytest.raises(openai.RateLimitError):
        for _ in range(60):
            ask(client)
    assert ask(client.with_options(max_retries=2)).usage


def test_tokens_a_minute(make_key):
    _, client = make_key("--tpm", "400")
    used = 0
    with pytest.raises(openai.RateLimitError) as over:
        for _ in range(40):
            used += ask(client, 50, extra_body={"ignore_eos": True}).usage.total_tokens
    assert 300 < used < 700 and "400 tokens a minute of this key" in over.value.message
    assert limits_of(over.value.response.headers)["limit-tokens"] == "400"


def test_requests_at_once(make_key):
    _, client = make_key("--concurrent", "1")
    running = ask(client, 4000, stream=True, extra_body={"ignore_eos": True})
    next(iter(running))
    with pytest.raises(openai.RateLimitError) as over:
        ask(client)
    assert over.value.response.headers["retry-after"] == "1"
    running.close()

    def free():
        with contextlib.suppress(openai.RateLimitError):
            return ask(client)

    until(free, "the place of the stream that was left is free", timeout=5)
    for _ in range(10):
        ask(client)                                    # one after the other, none is in the way of the next
    for _ in range(3):
        for _ in ask(client, 3, stream=True):
            pass


def test_models(make_key, server):
    server.api("POST", "/api/v1/deployments", json={"name": "org/hidden:q4", "source": "file:/nowhere.gguf", "stopped": True})
    _, client = make_key("--model", "smollm2", "--model", "later")
    for name in ("org/hidden:q4", "no-such-model"):
        with pytest.raises(openai.PermissionDeniedError) as refused:
            client.chat.completions.create(model=name, messages=PROMPT)
        assert refused.value.code == "model_not_allowed" and refused.value.type == "permission_error"
        with pytest.raises(openai.NotFoundError) as hidden:
            client.models.retrieve(name)
        assert hidden.value.code == "model_not_found"
        with pytest.raises(openai.PermissionDeniedError):
            client.embeddings.create(model=name, input="x")
    assert [m.id for m in client.models.list(extra_query={"all": "1"})] == ["smollm2"]
    assert "org/hidden:q4" in [m.id for m in server.openai().models.list(extra_query={"all": "1"})]
    assert ask(client).usage
    server.api("DELETE", "/api/v1/deployments/org%2Fhidden:q4")


def statuses(server, secret):
    """What a key gets on every way in: /v1 and /api/v1, by either header."""
    found = {}
    for header in ({"Authorization": f"Bearer {secret}"}, {"x-api-key": secret}):
        for method, path, body in [("GET", "/v1/models", None), ("GET", "/v1-openai/models", None), ("GET", "/v1/models/smollm2", None),
                                   ("POST", "/v1/chat/completions", {"model": "smollm2", "messages": PROMPT, "max_tokens": 1}),
                                   ("GET", "/api/v1/auth/me", None), ("GET", "/api/v1/deployments", None), ("GET", "/metrics", None)]:
            answer = httpx.request(method, server.url + path, headers=header, json=body, timeout=60)
            found.setdefault("inference" if path.startswith("/v1") else "management", set()).add(answer.status_code)
    return found


def test_scopes(make_key, server):
    for scope, expected in [("inference", {"inference": {200}, "management": {403}}), ("management", {"inference": {403}, "management": {200}})]:
        key, _ = make_key("--scope", scope)
        assert statuses(server, key["secret"]) == expected


@pytest.fixture(scope="module")
def strict_server(tmp_path_factory):
    """One of its own: whoever is refused so often is throttled for a while, and other tests come from the same address."""
    own = Server(tmp_path_factory.mktemp("strict") / "data").start()
    own.deploy("smollm2")
    yield own
    own.stop()


REVOCATIONS = {
    "delete": lambda server, key, user: server.api("DELETE", f"/api/v1/keys/{key}"),
    "disable": lambda server, key, user: server.api("PATCH", f"/api/v1/keys/{key}", json={"disabled": True}),
    "expiry": lambda server, key, user: server.api("PATCH", f"/api/v1/keys/{key}", json={"expires_at": "2020-01-01T00:00:00Z"}),
    "scopes": lambda server, key, user: server.api("PATCH", f"/api/v1/keys/{key}", json={"scopes": ["management"]}),
    "user disabled": lambda server, key, user: server.api("PATCH", f"/api/v1/users/{user}", json={"disabled": True}),
    "user deleted": lambda server, key, user: server.api("DELETE", f"/api/v1/users/{user}"),
}


@pytest.mark.parametrize("how", REVOCATIONS)
def test_revocation_is_in_force_within_a_second(strict_server, how):
    server, name = strict_server, "rev-" + how.replace(" ", "-")
    made = server.api("POST", "/api/v1/users", json={"name": name, "password": "correct horse", "role": "user"})
    assert made.status_code == 201, made.text
    key = server.api("POST", "/api/v1/keys", json={"name": name, "user_id": name}).json()
    assert statuses(server, key["secret"]) == {"inference": {200}, "management": {200}}
    with httpx.Client(base_url=server.url, timeout=30) as browser:
        browser.post("/api/v1/auth/login", json={"name": name, "password": "correct horse"}, headers={"Origin": server.url})
        assert browser.get("/api/v1/auth/me").status_code == 200 and browser.get("/v1/models").status_code == 200

        # In the middle of it: somebody asks all the time.
        answers, stop = [], threading.Event()

        def ask_on():
            while not stop.is_set():
                at = time.monotonic()
                with contextlib.suppress(httpx.HTTPError):
                    answers.append((at, httpx.get(f"{server.url}/v1/models", headers={"x-api-key": key["secret"]}, timeout=30).status_code))

        asking = threading.Thread(target=ask_on)
        asking.start()
        until(lambda: answers, "it asks")
        assert REVOCATIONS[how](server, key["id"], name).status_code in (200, 204)
        at = time.monotonic()
        refused = 403 if how == "scopes" else 401
        until(lambda: any(status in (refused, 429) for _, status in answers), "it is refused", timeout=10)
        stop.set()
        asking.join()
        assert not [(when - at, status) for when, status in answers if when > at and status == 200], "asked after, answered all the same"
        assert time.monotonic() - at < 5

        seen = statuses(server, key["secret"])
        if how == "scopes":
            assert seen == {"inference": {403}, "management": {200}}
        else:
            # Many wrong keys in a row are answered with 429 in between.
            assert seen["inference"] | seen["management"] <= {401, 429}
        left = {401, 429} if how.startswith("user") else {200}
        assert browser.get("/api/v1/auth/me").status_code in left and browser.get("/v1/models").status_code in left
    server.api("DELETE", f"/api/v1/users/{name}")


def test_a_watch_ends_with_its_key(server):
    key = server.api("POST", "/api/v1/keys", json={"name": "watch"}).json()
    with httpx.stream("GET", f"{server.url}/api/v1/watch?kinds=models", timeout=30,
                      headers={"Authorization": f"Bearer {key['secret']}"}) as stream:
        lines = stream.iter_lines()
        assert any(line == "event: synced" for line in lines)
        server.api("DELETE", f"/api/v1/keys/{key['id']}")
        at = time.monotonic()
        assert not [line for line in lines if line.startswith("event:")]
        assert time.monotonic() - at < 1.5


def test_users_limits_hold_over_all_keys(server):
    server.api("POST", "/api/v1/users", json={"name": "team", "password": "correct horse", "role": "user"})
    assert server.cli_json("users", "edit", "team", "--rpm", "2", "--model", "smollm2")["limits"]["requests_per_minute"] == 2
    clients = []
    for name in ("a", "b"):
        secret = server.api("POST", "/api/v1/keys", json={"name": name, "user_id": "team"}).json()["secret"]
        clients.append(openai.OpenAI(base_url=f"{server.url}/v1", api_key=secret, max_retries=0))
    assert ask(clients[0]).usage and ask(clients[1]).usage
    for client in clients:
        with pytest.raises(openai.RateLimitError) as over:
            ask(client)
        assert "of this user" in over.value.message
    # Users set narrower ones for themselves, no wider ones.
    own = server.api("POST", "/api/v1/keys", key=secret, json={"name": "wide", "limits": {"requests_per_minute": 3}})
    assert own.status_code == 403 and own.json()["error"]["param"] == "limits.requests_per_minute"
    assert server.api("PATCH", "/api/v1/users/team", key=secret, json={"limits": {"requests_per_minute": None}}).status_code == 403
    server.api("DELETE", "/api/v1/users/team")


def test_the_command_line(server):
    made = json.loads(server.cli("keys", "create", "cli-key", "--rpm", "60", "--tpm", "10k", "--concurrent", "2", "--monthly-tokens", "2M",
                                 "--model", "smollm2", "--scope", "inference", "--expires", "30d", "--json").stdout)
    assert made["limits"] == {"requests_per_minute": 60, "tokens_per_minute": 10_000, "concurrent_requests": 2,
                              "tokens_per_month": 2_000_000}
    assert made["models"] == ["smollm2"] and made["scopes"] == ["inference"] and made["expires_at"]
    [line] = [line for line in server.cli("keys", "list").stdout.splitlines() if "cli-key" in line]
    assert "60 rpm, 10k tpm, 2 at once, 2M a month, inference only, models smollm2" in line
    edited = server.cli_json("keys", "edit", "cli-key", "--tpm", "none", "--model", "none", "--expires", "none", "--disable",
                             "--scope", "inference", "--scope", "management")
    assert edited["limits"]["tokens_per_minute"] is None and edited["limits"]["requests_per_minute"] == 60
    assert edited["models"] == [] and edited["expires_at"] is None and edited["disabled"] and len(edited["scopes"]) == 2
    assert server.cli_json("keys", "edit", made["prefix"], "--enable", "--name", "renamed")["disabled"] is False
    assert server.cli("keys", "edit", "renamed", "--rpm", "0", check=False).returncode == 2
    gone = server.cli("keys", "edit", "renamde", "--rpm", "1", check=False)
    assert gone.returncode == 1 and "renamed" in gone.stderr
    server.cli("keys", "rm", "renamed")


def test_a_monthly_budget_survives_a_restart(fresh_server):
    server = fresh_server.start()
    server.deploy("smollm2")
    key = json.loads(server.cli("keys", "create", "budget", "--monthly-tokens", "100", "--json").stdout)

    def client():
        return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key["secret"], max_retries=2, timeout=120)

    used = 0
    with pytest.raises(openai.RateLimitError) as spent:
        for _ in range(20):
            used += ask(client(), 8, extra_body={"ignore_eos": True}).usage.total_tokens
    assert used >= 100 and spent.value.code == "insufficient_quota"
    assert spent.value.response.headers["x-should-retry"] == "false" and "retry-after" not in spent.value.response.headers

    # The last records are in the journal only.
    server.kill9()
    server.start()
    server.running("smollm2")
    with pytest.raises(openai.RateLimitError) as still:
        ask(client())
    assert still.value.code == "insufficient_quota"
    server.cli("keys", "edit", "budget", "--monthly-tokens", str(used + 1))
    ask(client())
    with pytest.raises(openai.RateLimitError):
        ask(client())
    assert ask(server.openai()).usage, "others are not affected"

    # A budget set on a key that was used without one counts what was used.
    free = json.loads(server.cli("keys", "create", "free", "--json").stdout)
    other = openai.OpenAI(base_url=f"{server.url}/v1", api_key=free["secret"], max_retries=0)
    total = ask(other, 8).usage.total_tokens
    server.cli("keys", "edit", "free", "--monthly-tokens", str(total))
    with pytest.raises(openai.RateLimitError) as counted:
        ask(other)
    assert counted.value.code == "insufficient_quota"
