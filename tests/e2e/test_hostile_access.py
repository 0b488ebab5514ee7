"""Who may not, and what must not be seen: rows 44 to 52 and 56 to 60 of the checklist in shared/reference/trust.md B3, on a server of their
own. After each case the server is alive and nothing is in flight; after each row the log holds no secret.

Left out: row 46 (no JWT here), scopes and allowed models of keys in row 51, exports to CSV in row 49, rows 53 to 55 (no workers of other
machines yet)."""
import base64
import contextlib
import json
import re
import time

import httpx
import pytest

from conftest import SMOLLM2, Server, until
from hostile import LEAKS, Answer, Case, Watch, post, raw, request, run_row

MARK = "sesame-of-the-prompt"
REFUSED = {401, 429}   # 429 after as many failures as these tests make


@pytest.fixture(scope="module")
def watch(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("access") / "data").start()
    yield Watch(server, secrets=[(server.data_dir / "initial_admin_password").read_text().strip(), MARK])
    server.stop()


@pytest.fixture(scope="module")
def people(watch):
    """Two users with a password and a key each, and what each of them has."""
    made = {}
    for name in ("ada", "bob"):
        password = f"{name}: open the door"
        user = watch.server.api("POST", "/api/v1/users", json={"name": name, "password": password, "role": "user"}).json()
        key = watch.server.api("POST", "/api/v1/keys", json={"name": f"{name}'s", "user_id": user["id"]}).json()
        made[name] = {"id": user["id"], "password": password, "key": key["secret"], "key_id": key["id"]}
        watch.secrets += [password, key["secret"]]
    return made


def jwt(header, payload):
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, payload)) + "."


def browser(server, name=None, password=None):
    client = httpx.Client(base_url=server.url, timeout=30, headers={"Origin": server.url})
    if name:
        assert client.post("/api/v1/auth/login", json={"name": name, "password": password}).status_code == 200
    return client


def credential(name, value, header="Authorization"):
    """A wrong one: 401 like any other, or 429 when there were many."""
    return request(name, REFUSED, "GET", "/v1/models", {header: value}, key=False)


def test_row_45_keys_that_are_none(watch):
    key = watch.server.key
    flipped = key[:-1] + ("a" if key[-1] != "a" else "b")
    run_row(watch, [
        credential("quotes", "Bearer ' OR 1=1--"), credential("a union", "Bearer gtk_' UNION SELECT 1,2,3--_x"), credential("a wildcard", "Bearer gtk_%_%"),
        credential("long", "Bearer gtk_aaaaaaaaaaaa_" + "b" * 20_000), credential("of bytes", b"Bearer gtk_\xc3\x28"), credential("Latin-1", "Bearer é".encode("latin-1")),
        credential("wrong case", "Bearer " + key.swapcase()), credential("cut", "Bearer " + key[:-1]), credential("longer", "Bearer " + key + "a"),
        credential("one letter off", "Bearer " + flipped), credential("its id alone", "Bearer " + key.rsplit("_", 1)[0]), credential("Basic", "Basic " + base64.b64encode(f"x:{key}".encode()).decode()),
        credential("no scheme", key), credential("another scheme", "Token " + key), credential("empty", "Bearer"), credential("a token of no signature", "Bearer " + jwt({"alg": "none"}, {"sub": "admin"})),
        credential("in x-api-key", "gtk_no", "x-api-key"), credential("a session of nobody", "gantry_session=" + "a" * 43, "Cookie"), credential("an empty session", "gantry_session=", "Cookie"),
        raw("NUL", 400, b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer KEY\0\r\n\r\n"),
        raw("two headers", {400, 401, 429}, b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer gtk_no\r\nAuthorization: Bearer KEY\r\n\r\n", closes=False),
        *(Case(f"in the query as {name}", lambda server, name=name: sent(server, f"/v1/models?{name}={server.key}"), REFUSED)
          for name in ("api_key", "key", "access_token", "token")),
    ])


def sent(server, path, **options):
    answer = server.request("GET", path, **options)
    return Answer(answer.status_code, answer.headers, answer.content)


# Row 44. A thousand guesses a second are slowed down; who holds a right key is not locked out by them.
def test_row_44_guessing(watch, people):
    server = watch.server
    with httpx.Client(base_url=server.url) as guesser:
        answers = [guesser.get("/v1/models", headers={"Authorization": f"Bearer gtk_aaaaaaaaaaaa_{i:032}"}) for i in range(60)]
    assert answers[-1].status_code == 429 and int(answers[-1].headers["retry-after"]) >= 1
    assert {answer.status_code for answer in answers} <= REFUSED
    assert len({answer.text for answer in answers if answer.status_code == 401}) <= 1, "one text for all"
    assert server.api("GET", "/v1/models").status_code == 200

    def login(name, password):
        return server.request("POST", "/api/v1/auth/login", json={"name": name, "password": password})
    known, unknown = login("bob", "wrong"), login("nobody", "wrong")
    assert known.status_code == unknown.status_code == 401
    assert known.json() == unknown.json(), "whether there is such a user is not told"
    tries = [login("bob", f"wrong {i}").status_code for i in range(8)]
    assert set(tries) <= REFUSED and tries[-1] == 429
    assert server.api("GET", "/v1/models", key=people["bob"]["key"]).status_code == 200
    watch.assert_well()
    watch.assert_log_clean()


# Row 47.
def test_row_47_requests_of_other_sites(watch, people):
    server = watch.server
    with contextlib.closing(browser(server, "ada", people["ada"]["password"])) as own:
        cookie = "; ".join(f"{name}={value}" for name, value in own.cookies.items())
        form = {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
        key = f"/api/v1/keys/{people['ada']['key_id']}"
        run_row(watch, [
            Case(f"{method} {path} from {where}", lambda server, a=(method, path, headers, content): cross(server, *a), 403)
            for where, origin in {"a foreign origin": {"Origin": "https://evil.example"}, "no origin": {}, "a null origin": {"Origin": "null"},
                                  "a longer one of ours": {"Origin": server.url + ".evil.example"}, "another port": {"Origin": "http://127.0.0.1:1"},
                                  "a cross-site fetch": {"Origin": server.url, "Sec-Fetch-Site": "cross-site"},
                                  "another site of the domain": {"Sec-Fetch-Site": "same-site"}}.items()
            for method, path, headers, content in [
                ("POST", "/api/v1/keys", {**form, **origin, "Content-Type": "text/plain"}, b'{"name": "planted"}'),
                ("POST", "/api/v1/keys", {**form, **origin, "Content-Type": "multipart/form-data; boundary=b"}, b"--b--"),
                ("PATCH", key, {**form, **origin}, b'{"name": "renamed"}'), ("DELETE", key, {**form, **origin}, b""),
                ("POST", "/v1/chat/completions", {**form, **origin}, b"{}"), ("POST", "/api/v1/auth/logout", {**form, **origin}, b"")]
        ])
        assert [k["name"] for k in own.get("/api/v1/keys").json()["items"]] == ["ada's"], "nothing of it was done"
        for path in ("/api/v1/auth/logout", "/api/v1/keys"):
            assert own.get(path).status_code in (200, 405), "a GET changes nothing"
        assert own.post("/api/v1/keys", json={"name": "second"}).status_code == 201, "its own page may"
    assert server.api("POST", "/api/v1/keys", key=people["ada"]["key"], json={"name": "third"},
                      headers={"Origin": "https://elsewhere.example"}).status_code == 201, "a key is no cookie"


def cross(server, method, path, headers, content):
    answer = server.request(method, path, headers=headers, content=content)
    return Answer(answer.status_code, answer.headers, answer.content)


# Row 48.
def test_row_48_sessions(watch):
    server = watch.server

    def make(name):
        made = server.api("POST", "/api/v1/users", json={"name": name, "password": f"{name}: the first", "role": "admin"})
        assert made.status_code == 201
        return made.json()["id"], f"{name}: the first"

    def alive(session):
        return session.get("/api/v1/auth/me").status_code

    _, password = make("cleo")
    planted = httpx.Client(base_url=server.url, headers={"Origin": server.url}, cookies={"gantry_session": "planted-by-another"}, timeout=30)
    answer = planted.post("/api/v1/auth/login", json={"name": "cleo", "password": password})
    token = re.match(r"gantry_session=([^;]+)", answer.headers["set-cookie"]).group(1)
    assert token != "planted-by-another" and len(token) >= 32
    assert "HttpOnly" in answer.headers["set-cookie"] and "SameSite=Lax" in answer.headers["set-cookie"]
    watch.secrets.append(token)
    first = browser(server, "cleo", password)
    again = first.post("/api/v1/auth/login", json={"name": "cleo", "password": password})
    assert again.status_code == 200
    left = httpx.Client(base_url=server.url, headers={"Origin": server.url}, cookies=dict(first.cookies))
    assert first.post("/api/v1/auth/logout").status_code == 204
    assert alive(left) in REFUSED, "after the logout"

    one, two = browser(server, "cleo", password), browser(server, "cleo", password)
    changed = one.post("/api/v1/auth/password", json={"current_password": password, "new_password": "cleo: the second"})
    assert changed.status_code == 204 and alive(one) == 200 and alive(two) in REFUSED, "a new password ends the others"

    for change in ({"role": "user"}, {"disabled": True}, {"password": "dora: the third"}, None):
        user, password = make("dora")
        session = browser(server, "dora", password)
        assert alive(session) == 200
        answer = server.api("PATCH", f"/api/v1/users/{user}", json=change) if change else server.api("DELETE", f"/api/v1/users/{user}")
        assert answer.status_code in (200, 204)
        assert alive(session) in REFUSED, change
        if change:
            assert server.api("DELETE", f"/api/v1/users/{user}").status_code == 204
    watch.assert_well()
    watch.assert_log_clean()


# Row 49. There is no page that shows names yet: they must be refused, or come as JSON that no browser takes for a page.
def test_row_49_names_that_are_markup(watch):
    server = watch.server
    for name in ("<img src=x onerror=alert(1)>", "javascript:alert(1)", "=cmd()", "\x1b[31mred", "a\nb", "../../etc"):
        assert server.api("POST", "/api/v1/deployments", json={"name": name, "source": "file:/x", "stopped": True}).status_code in (400, 201)
        assert server.api("POST", "/api/v1/users", json={"name": name, "password": "12345678", "role": "user"}).status_code == 400
        made = server.api("POST", "/api/v1/keys", json={"name": name})
        for answer in (made, server.api("GET", "/api/v1/keys"), server.api("GET", f"/v1/models/{name}".replace("\n", "%0a").replace("\x1b", "%1b"))):
            assert answer.headers["content-type"].startswith("application/json")
            assert "\x1b" not in answer.text
        if made.status_code == 201:
            assert made.json()["name"] == name
    names = [d["name"] for d in server.items("/api/v1/deployments")]
    assert not [name for name in names if re.search(r"[<>\s\x1b=]", name)]
    for name in names:
        assert server.api("DELETE", f"/api/v1/deployments/{name.replace('/', '%2F')}").status_code == 204
    assert server.api("GET", "/api/v1/keys").headers["x-content-type-options"] == "nosniff"
    watch.assert_well()
    watch.assert_log_clean()


# Row 50.
def test_row_50_frames_redirects_and_other_origins(watch):
    server = watch.server
    page = server.request("GET", "/")
    assert page.headers["x-frame-options"] == "DENY" and "frame-ancestors 'none'" in page.headers["content-security-policy"]
    for path in ("/?next=//evil.example", "//evil.example/", "/\\evil.example", "/api/v1/auth/login?next=https://evil.example"):
        answer = server.request("GET", path)
        assert answer.status_code < 300 or answer.status_code >= 400, (path, answer.status_code)
        assert "location" not in answer.headers
    for path in ("/v1/models", "/api/v1/users", "/healthz"):
        answer = server.api("GET", path, headers={"Origin": "https://evil.example"})
        assert "access-control-allow-credentials" not in answer.headers
        assert answer.headers.get("access-control-allow-origin") != "https://evil.example"
    watch.assert_well()


# Rows 51 and 52, by each way to show who one is.
@pytest.mark.parametrize("way", ["Bearer", "x-api-key", "cookie"])
def test_rows_51_and_52_what_is_not_ones_own(watch, people, way):
    server, ada, bob = watch.server, people["ada"], people["bob"]
    if way == "cookie":
        client = browser(server, "ada", ada["password"])
    else:
        client = httpx.Client(base_url=server.url, timeout=30,
                              headers={"Authorization": f"Bearer {ada['key']}"} if way == "Bearer" else {"x-api-key": ada["key"]})
    with contextlib.closing(client):
        def ask(method, path, **options):
            answer = client.request(method, path, **options)
            if answer.status_code >= 400:
                assert not LEAKS.search(answer.text) and bob["key"] not in answer.text
            return answer.status_code
        assert ask("GET", "/v1/models") == 200 and ask("GET", f"/api/v1/keys/{ada['key_id']}") == 200
        for method, path, content in [("GET", f"/api/v1/keys/{bob['key_id']}", None), ("PATCH", f"/api/v1/keys/{bob['key_id']}", {"name": "mine"}),
                                      ("DELETE", f"/api/v1/keys/{bob['key_id']}", None), ("GET", f"/api/v1/users/{bob['id']}", None),
                                      ("GET", "/api/v1/users/bob", None)]:
            assert ask(method, path, json=content) == 404, path
        assert ask("GET", "/api/v1/users/nobody") == 404, "another's is as nobody's"
        for method, path, content in [("POST", "/api/v1/users", {"name": "eve", "password": "12345678", "role": "admin"}),
                                      ("PATCH", f"/api/v1/users/{ada['id']}", {"role": "admin"}), ("DELETE", f"/api/v1/users/{bob['id']}", None),
                                      ("POST", "/api/v1/deployments", {"name": "x", "source": "file:/etc/passwd"}), ("POST", "/api/v1/backups", {}),
                                      ("POST", "/api/v1/workers", {"name": "w"}), ("DELETE", "/api/v1/models/x", None),
                                      ("GET", "/api/v1/instances/ins_x/logs", None), ("POST", "/api/v1/keys", {"name": "k", "user_id": bob["id"]})]:
            assert ask(method, path, json=content) == 403, path
        assert {key["user_id"] for key in client.get("/api/v1/keys").json()["items"]} == {ada["id"]}
        assert {user["name"] for user in client.get("/api/v1/users").json()["items"]} == {"ada"}
        assert all(record["user_id"] == ada["id"] for record in client.get("/api/v1/usage").json()["items"])
    watch.assert_well()
    watch.assert_log_clean()


def test_row_51_keys_that_were_once(watch):
    server = watch.server
    user = server.api("POST", "/api/v1/users", json={"name": "fay", "password": "fay: the first", "role": "user"}).json()["id"]

    def make(**fields):
        made = server.api("POST", "/api/v1/keys", json={"name": "fay's", "user_id": user, **fields})
        assert made.status_code == 201, made.text
        return made.json()

    def ask(key):
        return {sent(server, "/v1/models", headers=headers).status
                for headers in ({"Authorization": f"Bearer {key['secret']}"}, {"x-api-key": key["secret"]})}
    expired, off, orphan = make(expires_at="2001-01-01T00:00:00Z"), make(), make()
    assert ask(off) == ask(orphan) == {200}
    assert ask(expired) <= REFUSED
    server.api("PATCH", f"/api/v1/keys/{off['id']}", json={"disabled": True})
    assert ask(off) <= REFUSED
    server.api("PATCH", f"/api/v1/users/{user}", json={"disabled": True})
    assert ask(orphan) <= REFUSED
    watch.assert_well()


# Row 56.
def test_row_56_lines_for_the_log(watch):
    fake = "2026-01-01T00:00:00.000+00:00 error the server is on fire"
    quoted = fake.replace(" ", "%20").replace(":", "%3a").replace("+", "%2b")
    run_row(watch, [
        request("CR LF in the path", 404, "GET", f"/v1/x%0d%0a{quoted}"), request("ANSI in the path", 404, "GET", "/v1/x%1b%5b31mred"),
        request("a long path", {404, 414}, "GET", "/v1/" + "x" * 7_000), request("a long agent", 200, "GET", "/v1/models", {"User-Agent": "x" * 20_000}),
        request("an agent of JSON", 200, "GET", "/v1/models", {"User-Agent": '{"level":"error"}', "X-Request-Id": "a\tb"}),
        post("a model of lines", 404, "/v1/chat/completions", {"model": f"a\r\n{fake}\x1b[31m", "messages": [{"role": "user", "content": MARK}]}),
        post("a login of lines", 401, "/api/v1/auth/login", {"name": f"a\r\n{fake}", "password": MARK}),
        raw("bytes in the path", 400, b"GET /v1/\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ])
    assert not [line for line in watch.server.log().splitlines() if line.startswith(fake)]


# Row 58.
def test_row_58_arguments_for_engines(watch):
    def deploy(name, param, **options):
        return post(name, 400, "/api/v1/deployments", {"name": "x", "source": "file:/x", "stopped": True, **options}, param)

    def words(*given, backend="engine"):
        return deploy(f"{backend} {given}", "options.extra_args", backend=backend, options={"extra_args": list(given)})
    run_row(watch, [
        words("--host", "0.0.0.0"), words("--host=0.0.0.0"), words("--api-key", "x"), words("--model", "/etc/passwd"), words("-m", "/etc/passwd"),
        words("--port", "1"), words("--socket", "/x"), words("--model-name", "other"), words("--threads\n--host"), words("a\0b"), words("x" * 10_000),
        words(*["x"] * 300), words("--host", "0.0.0.0", backend="llama-server"), words("--api-key=x", backend="llama-server"),
        words("--rpc", "127.0.0.1:1", backend="llama-server"), words("-mmu", "http://127.0.0.1:1", backend="llama-server"), words("--slot-save-path", "/", backend="llama-server"),
        words("--no-such-flag"), words("--chat-template", "/etc/passwd"), words("--draft-model", "/etc/passwd"), words("--no-such-flag", backend="llama-server"),
        words("--log-file", "/x", backend="llama-server"), words("--grammar-file", "/etc/passwd", backend="llama-server"),
        *(deploy(name, "options.env", options={"env": {name: "x"}}) for name in ("LD_PRELOAD", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "GANTRY_TOKEN", "a=b", "", "A B")),
        deploy("a value with NUL", "options.env", options={"env": {"A": "a\0b"}}), deploy("no backend", "backend", backend="shell"),
        deploy("a source of no kind", "source", source="http://127.0.0.1/x.gguf"), deploy("a relative source", "source", source="file:../x.gguf"),
        deploy("replicas", "replicas", replicas=1 << 40), deploy("a field of no kind", None, command="rm -rf /"),
    ])
    assert watch.server.items("/api/v1/deployments") == []


def test_row_58_nothing_goes_through_a_shell(watch, tmp_path):
    server, canary = watch.server, tmp_path / "canary"
    server.deploy("odd", "--env", f"X=$(touch {canary})", "--arg=--no-speculation", source=f"file:{SMOLLM2}")
    server.cli("rm", "odd", "--yes", check=False)
    for word in (f"; touch {canary}", f"$(touch {canary})", f"`touch {canary}`", f"| touch {canary}"):
        made = server.api("POST", "/api/v1/deployments", json={"name": "odd2", "source": "file:/nowhere; touch " + str(canary), "options": {"extra_args": [word]}})
        assert made.status_code in (201, 400)
        if made.status_code == 201:
            until(lambda: server.instances("odd2"), "it was tried", timeout=20)
            assert server.api("DELETE", "/api/v1/deployments/odd2").status_code == 204
            until(lambda: not server.items("/api/v1/instances"), "it is gone", timeout=30)
    assert not canary.exists()
    watch.assert_well()


# Row 57: wherever one may look.
def test_row_57_secrets(watch, people, tmp_path):
    server = watch.server
    server.deploy("smollm2")
    server.api("POST", "/v1/chat/completions", json={"model": "smollm2", "max_tokens": 2, "messages": [{"role": "user", "content": MARK}]})
    server.api("POST", "/v1/chat/completions", json={"model": "smollm2", "max_tokens": "2", "messages": [{"role": "user", "content": MARK}]})
    server.cli("backup", str(tmp_path / "backup.db"), check=False)
    pids = [server.process.pid, *watch.engine_pids()]
    assert len(pids) == 2
    places = {"metrics": server.api("GET", "/metrics").content, "server": server.api("GET", "/api/v1/server").content,
              "keys": server.api("GET", "/api/v1/keys").content, "users": server.api("GET", "/api/v1/users").content,
              "deployments": server.api("GET", "/api/v1/deployments").content, "instances": server.api("GET", "/api/v1/instances").content}
    for pid in pids:
        for name in ("cmdline", "environ"):
            places[f"/proc/{pid}/{name}"] = open(f"/proc/{pid}/{name}", "rb").read()
    kept = [path for path in (*server.data_dir.rglob("*"), *tmp_path.rglob("*")) if path.is_file() and path.name != "initial_admin_password"]
    assert any(path.name == "gantry.log" for path in kept) and any(path.suffix == ".db" for path in kept)
    for path in kept:
        places[str(path)] = path.read_bytes()
    found = [(place, secret) for place, content in places.items() for secret in watch.secrets if secret.encode() in content]
    assert not found
    server.cli("rm", "smollm2", "--yes", check=False)


# Row 59.
def test_row_59_names_in_metrics(watch):
    server = watch.server

    def series():
        return len(server.api("GET", "/metrics").text.splitlines())

    def fill(round):
        with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {server.key}"}, timeout=30) as client:
            for i in range(300):
                client.post("/v1/chat/completions", json={"model": f"made-up-{round}-{i}", "messages": [{"role": "user", "content": "x"}]})
                client.request(f"M{i}", f"/v1/made-up/{round}/{i}")
                client.get(f"/v1/models/made-up-{round}-{i}")
    fill(1)
    before = series()
    fill(2)
    assert series() == before
    assert "made-up" not in server.api("GET", "/metrics").text
    watch.assert_well()


# Row 60. The walk over all routes is test_security.py's; here are the names that scanners try.
@pytest.mark.parametrize("path", ["/metrics", "/openapi.json", "/v1/openapi.json", "/api/v1/openapi.json", "/docs", "/redoc", "/swagger", "/debug/pprof/", "/debug/vars",
                                  "/server-status", "/.env", "/.git/config", "/actuator/env", "/serveLogs", "/proxy/", "/v1/", "/api/", "/token", "/health", "/slots", "/props",
                                  "/tokenize", "/v1/internal", "/api/v1/../../metrics", "/%2e%2e/metrics", "//metrics"])
def test_row_60_doors(watch, path):
    answer = watch.server.request("GET", path)
    assert answer.status_code in (400, 401, 404), answer.text
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_everything_is_as_it_was(watch):
    watch.assert_well()
    watch.assert_log_clean()
    watch.assert_memory_back(24)
    begin = time.monotonic()
    assert watch.server.api("GET", "/v1/models").json() == {"object": "list", "data": []}
    assert time.monotonic() - begin < 1
