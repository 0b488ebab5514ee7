"""Logging in at an outside provider, as a browser does: at one that can be told to misbehave (tests/fakes/oidc_provider.py), and at
node's oidc-provider, which knows nothing of us."""
import concurrent.futures
import itertools
import os
import pathlib
import signal
import subprocess
import sys
import time
import urllib.parse

import httpx
import pytest

from conftest import GANTRY, TLS, Server, free_port, until

FAKES = pathlib.Path(__file__).resolve().parents[1] / "fakes"
NODE_FOLDER = pathlib.Path(__file__).parent / "node"
NODE = pathlib.Path(sys.prefix) / "bin/node"
ANN = {"sub": "ann-1", "preferred_username": "ann", "email": "ann@example.com", "email_verified": True}
PEERS = (f"203.0.113.{n}" for n in itertools.count(1))   # each browser is somebody else's, so that none waits for another's failures


class Provider:
    def __init__(self, port=0):
        self.process = subprocess.Popen([sys.executable, str(FAKES / "oidc_provider.py"), str(port)], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}"

    def tell(self, person=ANN, **misdeeds):
        assert httpx.post(f"{self.url}/control", json={"person": person, **misdeeds}, verify=TLS).status_code == 200

    def count(self, path):
        return httpx.get(f"{self.url}/counts", verify=TLS).json().get(path, 0)

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


class Browser(httpx.Client):
    def __init__(self, server):
        super().__init__(verify=TLS, timeout=60, headers={"X-Forwarded-For": next(PEERS)})
        self.server = server

    def leave(self, next_path=None):
        """Up to the callback: its URL, with code and state."""
        query = f"?next={urllib.parse.quote(next_path, safe='')}" if next_path is not None else ""
        to_provider = self.get(f"{self.server.url}/api/v1/auth/oidc/login{query}")
        assert to_provider.status_code == 302, to_provider.text
        back = self.get(to_provider.headers["location"])
        assert back.status_code == 302, back.text
        return back.headers["location"]

    def login(self, next_path=None):
        return self.get(self.leave(next_path))

    def who(self):
        return self.get(f"{self.server.url}/api/v1/auth/me")


def refused(answer, status, code):
    assert answer.status_code == status, (answer.status_code, answer.text)
    assert answer.json()["error"]["code"] == code, answer.text
    assert "gantry_session" not in answer.headers.get("set-cookie", "")
    return answer.json()["error"]["message"]


@pytest.fixture(scope="module")
def provider():
    provider = Provider()
    yield provider
    provider.stop()


@pytest.fixture(autouse=True)
def well_behaved(provider):
    provider.tell()


@pytest.fixture(scope="module")
def secret_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("oidc") / "secret"
    path.write_text("s3cret: with +/% in it\n")
    path.chmod(0o644)
    return path


@pytest.fixture(scope="module")
def oidc_server(tmp_path_factory, provider, secret_file):
    server = Server(tmp_path_factory.mktemp("oidc") / "data", "--no-worker", "--oidc-issuer", provider.url, "--oidc-client-id", "gantry",
                    "--oidc-client-secret-file", str(secret_file), "--oidc-allow-domain", "example.com", "--oidc-allow-group", "staff",
                    "--oidc-admin-group", "chiefs", "--trusted-proxy", "127.0.0.1").start()
    yield server
    server.stop()


@pytest.fixture
def browser(oidc_server):
    with Browser(oidc_server) as browser:
        yield browser


def audit(server, count=1):
    return server.items(f"/api/v1/audit?order=desc&limit={count}")


def test_the_console_can_ask_how_to_log_in(oidc_server, provider):
    config = httpx.get(f"{oidc_server.url}/api/v1/auth/config", verify=TLS).json()
    assert config == {"password": True, "oidc": {"login_url": "/api/v1/auth/oidc/login", "issuer": provider.url}}


def test_the_first_login_makes_a_user_and_the_second_finds_it(browser, oidc_server):
    answer = browser.login("/models?x=1")
    assert answer.status_code == 302 and answer.headers["location"] == "/models?x=1"
    cookie = next(value for value in answer.headers.get_list("set-cookie") if value.startswith("gantry_session="))
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Secure" not in cookie
    me = browser.who().json()
    assert me["name"] == "ann" and me["role"] == "user" and not me["must_change_password"]
    login = audit(oidc_server)[0]
    assert (login["action"], login["via"], login["actor_name"], login["peer"]) == ("login", "oidc", "ann", browser.headers["X-Forwarded-For"])
    with Browser(oidc_server) as again:
        assert again.login().headers["location"] == "/"
        assert again.who().json()["id"] == me["id"]


def test_cookies_are_secure_behind_tls(browser):
    browser.headers["X-Forwarded-Proto"] = "https"
    to_provider = browser.get(f"{browser.server.url}/api/v1/auth/oidc/login")
    assert "; Secure" in to_provider.headers["set-cookie"]
    assert urllib.parse.parse_qs(urllib.parse.urlsplit(to_provider.headers["location"]).query)["redirect_uri"][0].startswith("https://127.0.0.1")


def test_a_subject_keeps_its_user_whatever_it_is_called(browser, oidc_server, provider):
    browser.login()
    before = browser.who().json()
    provider.tell({**ANN, "preferred_username": "ann.smith", "email": "smith@example.com"})
    with Browser(oidc_server) as again:
        again.login()
        assert again.who().json()["id"] == before["id"] and again.who().json()["name"] == "ann"


def test_es256(browser, provider):
    provider.tell(alg="ES256")
    assert browser.login().status_code == 302 and browser.who().status_code == 200


@pytest.mark.parametrize("what,misdeeds,logged", [
    ("wrong nonce", {"token": {"nonce": "another"}}, "nonce"),
    ("no nonce", {"token": {"nonce": None}}, "nonce"),
    ("another audience", {"token": {"aud": "another"}}, "another client"),
    ("another authorized party", {"token": {"aud": ["gantry", "x"], "azp": "x"}}, "made for another client"),
    ("another issuer", {"token": {"iss": "https://evil.example"}}, "another issuer"),
    ("expired", {"token": {"exp": int(time.time()) - 120}}, "expired"),
    ("of a time to come", {"token": {"iat": int(time.time()) + 3600}}, "time to come"),
    ("no subject", {"token": {"sub": None}}, "nobody"),
    ("alg none", {"alg": "none"}, "neither RS256 nor ES256"),
    ("alg HS256", {"alg": "HS256"}, "neither RS256 nor ES256"),
    ("another's signature", {"signer": "stranger", "kid": "rsa-1"}, "made the token's signature"),
])
def test_a_token_that_is_not_right_is_refused(browser, oidc_server, provider, what, misdeeds, logged):
    provider.tell(**misdeeds)
    message = refused(browser.login(), 401, "oidc_token")
    assert logged not in message, "what was wrong is for the log"
    until(lambda: logged in oidc_server.log(), f"the log says why: {logged}")
    assert browser.who().status_code == 401
    event = audit(oidc_server)[0]
    assert event["status"] == 401 and event["via"] == "oidc" and event["changes"][0]["to"] == "oidc_token"


def test_a_state_of_another_browser_is_refused(browser, oidc_server):
    with Browser(oidc_server) as victim:
        refused(victim.get(browser.leave()), 400, "oidc_state")          # a login planted by somebody else
        mine = victim.leave()
        theirs = urllib.parse.parse_qs(urllib.parse.urlsplit(browser.leave()).query)
        swapped = urllib.parse.urlsplit(mine)
        query = {**dict(urllib.parse.parse_qsl(swapped.query)), "state": theirs["state"][0]}
        refused(victim.get(swapped._replace(query=urllib.parse.urlencode(query)).geturl()), 400, "oidc_state")
        refused(victim.get(f"{oidc_server.url}/api/v1/auth/oidc/callback"), 400, "oidc_state")
        # Another's code in one's own attempt: PKCE and nonce are not its.
        query = {**dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(mine).query)), "code": theirs["code"][0]}
        refused(victim.get(urllib.parse.urlsplit(mine)._replace(query=urllib.parse.urlencode(query)).geturl()), 401, "oidc_refused")


def test_a_code_is_for_once(browser):
    callback = browser.leave()
    kept = [(c.name, c.value, c.domain, c.path) for c in browser.cookies.jar]
    assert browser.get(callback).status_code == 302
    refused(browser.get(callback), 400, "oidc_state")                    # the attempt's cookie went with it
    for name, value, domain, path in kept:
        browser.cookies.set(name, value, domain, path)
    refused(browser.get(callback), 401, "oidc_refused")                  # and who kept it has a code that is spent


def test_a_browser_that_begins_again_and_again_can_still_log_in(browser):
    for _ in range(60):
        begun = browser.get(f"{browser.server.url}/api/v1/auth/oidc/login", params={"next": "/" + "x" * 500})
        assert begun.status_code == 302, begun.text   # else the cookies would fill the head at some time
    assert browser.login().status_code == 302


def test_an_office_logs_in_at_the_same_time_behind_one_address(oidc_server, provider):
    browsers = [Browser(oidc_server) for _ in range(15)]
    for browser in browsers:
        browser.headers["X-Forwarded-For"] = browsers[0].headers["X-Forwarded-For"]
    callbacks = []
    for n, browser in enumerate(browsers):
        provider.tell({"sub": f"clerk-{n}", "preferred_username": f"clerk{n}", "groups": ["staff"]})
        callbacks.append(browser.leave())
    provider.tell(delay={"/token": 2})
    with concurrent.futures.ThreadPoolExecutor(len(browsers)) as pool:
        answers = list(pool.map(lambda pair: pair[0].get(pair[1]).status_code, zip(browsers, callbacks)))
    assert answers == [302] * len(browsers)
    assert [browser.who().json()["name"] for browser in browsers] == [f"clerk{n}" for n in range(len(browsers))]


def test_an_answer_of_another_provider_is_refused(browser):
    split = urllib.parse.urlsplit(browser.leave())
    query = {**dict(urllib.parse.parse_qsl(split.query)), "iss": "https://evil.example"}
    answer = browser.get(split._replace(query=urllib.parse.urlencode(query)).geturl())
    assert answer.status_code == 400 and answer.json()["error"]["param"] == "iss"


def test_who_says_no_at_the_provider_is_told_so(browser):
    split = urllib.parse.urlsplit(browser.leave())
    state = dict(urllib.parse.parse_qsl(split.query))["state"]
    message = refused(browser.get(split._replace(query=urllib.parse.urlencode({"state": state, "error": "access_denied\r\nx"})).geturl()),
                      401, "oidc_refused")
    assert "access_denied" in message and "\n" not in message


@pytest.mark.parametrize("bad", ["https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)",
                                 "/x\r\nset-cookie: a=b", "evil.example", "/\t/evil.example", "/" + "x" * 600])
def test_nobody_is_sent_elsewhere(browser, bad):
    answer = browser.get(f"{browser.server.url}/api/v1/auth/oidc/login", params={"next": bad})
    assert answer.status_code == 400 and answer.json()["error"]["param"] == "next"


def test_only_those_who_may_log_in(browser, oidc_server, provider):
    for n, person in enumerate([{"email": "eve@evil.example", "email_verified": True}, {"email": "eve@example.com", "email_verified": False},
                                {"email": "eve@example.com"}, {"groups": ["guests"]}]):
        provider.tell({"sub": f"eve-{n}", "preferred_username": f"eve{n}", **person})
        refused(browser.login(), 403, "oidc_not_allowed")
    assert not any(user["name"].startswith("eve") for user in oidc_server.items("/api/v1/users?limit=500"))
    provider.tell({"sub": "tom-1", "preferred_username": "tom", "groups": ["staff"]})
    assert browser.login().status_code == 302


def test_a_local_user_is_never_taken_over(browser, oidc_server, provider):
    provider.tell({**ANN, "sub": "other", "preferred_username": "admin"})
    assert "admin" in refused(browser.login(), 409, "oidc_name_taken")
    assert browser.who().status_code == 401
    provider.tell({**ANN, "sub": "other-2", "preferred_username": "Ann Smith <b>"})
    refused(browser.login(), 403, "oidc_name_invalid")


def test_admins_are_who_the_provider_says(browser, oidc_server, provider):
    provider.tell({"sub": "chief-1", "preferred_username": "chief", "groups": ["staff", "chiefs"]})
    browser.login()
    assert browser.who().json()["role"] == "admin"
    provider.tell({"sub": "chief-1", "preferred_username": "chief", "groups": ["staff"]})
    with Browser(oidc_server) as later:
        later.login()
        assert later.who().json()["role"] == "user"
    assert browser.who().json()["role"] == "user"   # in the session before, too


def test_a_disabled_user_stays_out_and_has_no_password(browser, oidc_server, provider):
    provider.tell({"sub": "dan-1", "preferred_username": "dan", "groups": ["staff"]})
    browser.login()
    user = browser.who().json()
    for password in ("", "x", "password"):
        answer = httpx.post(f"{oidc_server.url}/api/v1/auth/login", json={"name": "dan", "password": password}, verify=TLS,
                            headers={"X-Forwarded-For": next(PEERS)})
        assert answer.status_code in (400, 401), answer.text
    assert oidc_server.api("PATCH", f"/api/v1/users/{user['id']}", json={"disabled": True}).status_code == 200
    assert browser.who().status_code == 401
    refused(browser.login(), 403, "user_disabled")


def test_new_keys_of_the_provider_are_fetched_and_no_more_often_than_that(browser, oidc_server, provider):
    assert browser.login().status_code == 302
    provider.tell(rotate=True)
    until(lambda: Browser(oidc_server).login().status_code == 302, "a token of the new key is taken", timeout=30, every=1)
    before = provider.count("/jwks")
    provider.tell(signer="stranger")   # of a key that never comes
    for _ in range(5):
        with Browser(oidc_server) as stranger:
            refused(stranger.login(), 401, "oidc_token")
    assert provider.count("/jwks") - before <= 1


def test_a_provider_that_fails_is_told(browser, oidc_server, provider):
    callback = browser.leave()
    provider.tell(status={"/token": 500})
    refused(browser.get(callback), 503, "oidc_unavailable")
    provider.tell(status={"/token": 302})
    refused(browser.login(), 503, "oidc_unavailable")
    provider.tell()
    assert browser.login().status_code == 302


def test_a_slow_provider_holds_nobody_else_up(browser, oidc_server, provider):
    callback = browser.leave()
    provider.tell(delay={"/token": 30})
    begun = time.monotonic()
    with httpx.stream("GET", callback, cookies=browser.cookies, headers=browser.headers, verify=TLS, timeout=60) as answer:
        assert answer.status_code == 504, answer.read()
    assert 5 < time.monotonic() - begun < 25
    assert oidc_server.api("GET", "/api/v1/users").status_code == 200


def test_a_provider_that_is_away_comes_back(tmp_path, secret_file):
    port = free_port()
    server = Server(tmp_path / "data", "--no-worker", "--oidc-issuer", f"http://127.0.0.1:{port}", "--oidc-client-id", "gantry",
                    "--oidc-client-secret-file", str(secret_file), "--oidc-allow-anyone", "--trusted-proxy", "127.0.0.1",
                    "--public-url", "http://localhost:1234").start()
    provider = None
    try:
        with Browser(server) as browser:
            away = browser.get(f"{server.url}/api/v1/auth/oidc/login")
            refused(away, 503, "oidc_unavailable")
            provider = Provider(port)
            provider.tell(discovery={"issuer": "https://evil.example"})   # not the one that was meant
            until(lambda: browser.get(f"{server.url}/api/v1/auth/oidc/login").status_code == 503 and
                  'calls itself "https://evil.example"' in server.log(), "the wrong provider is told", every=0.5)
            provider.tell({"sub": "zoe", "preferred_username": "zoe"})
            there = until(lambda: (lambda a: a if a.status_code == 302 else None)(browser.get(f"{server.url}/api/v1/auth/oidc/login")),
                          "the provider is found", every=0.5)
            assert "redirect_uri=http%3A%2F%2Flocalhost%3A1234%2Fapi" in there.headers["location"]
    finally:
        server.stop()
        if provider:
            provider.stop()


def test_without_a_provider_there_is_nothing(server):
    assert server.request("GET", "/api/v1/auth/config").json() == {"password": True, "oidc": None}
    for path in ("login", "callback?state=x&code=y"):
        answer = server.request("GET", f"/api/v1/auth/oidc/{path}")
        assert answer.status_code == 404 and answer.json()["error"]["code"] == "oidc_off"


@pytest.mark.parametrize("flags,said", [
    (["--oidc-issuer", "http://id.example", "--oidc-client-id", "x", "--oidc-allow-anyone"], "must be reached by https://"),
    (["--oidc-issuer", "id.example", "--oidc-client-id", "x", "--oidc-allow-anyone"], "is no https:// URL"),
    (["--oidc-issuer", "https://id.example", "--oidc-allow-anyone"], "needs --oidc-client-id"),
    (["--oidc-issuer", "https://id.example", "--oidc-client-id", "x"], "who may log in"),
    (["--oidc-issuer", "https://id.example", "--oidc-client-id", "x", "--oidc-allow-anyone", "--oidc-scopes", "profile"], "must hold \"openid\""),
    (["--oidc-client-secret-file", "/nowhere"], "/nowhere can't be read"),
    (["--public-url", "https://gantry.example/console"], "write it as https://HOST"),
    (["--public-url", "https://10.0.0.1.evil.example:x"], "write it as https://HOST"),
])
def test_what_is_wrong_is_said_at_the_start(tmp_path, flags, said):
    done = subprocess.run([GANTRY, "serve", "--port", "0", "--no-worker", "--data-dir", str(tmp_path / "data"), *flags],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and said in done.stderr, done.stderr


def test_a_secret_that_everybody_can_read_is_told(oidc_server):
    until(lambda: "everybody on this machine can read the client's secret" in oidc_server.log(), "the log warns")


@pytest.fixture(scope="module")
def node_provider(tmp_path_factory):
    assert NODE.exists() and (NODE_FOLDER / "node_modules/oidc-provider").is_dir(), "./dev test installs Node and oidc-provider"
    server_port = free_port()
    process = subprocess.Popen([str(NODE), str(NODE_FOLDER / "oidc_provider.mjs"), f"http://127.0.0.1:{server_port}/api/v1/auth/oidc/callback"],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True)
    url = process.stdout.readline().strip()
    yield url, server_port
    os.killpg(process.pid, signal.SIGTERM)   # the wheel's node is a script that starts the real one
    process.wait(10)


def test_a_provider_that_others_use(tmp_path, node_provider):
    """node's oidc-provider, which is certified: its login page and its consent page are filled in as a person does."""
    url, port = node_provider
    secret = tmp_path / "secret"
    secret.write_text("a-secret-of-the-test's-own\n")
    server = Server(tmp_path / "data", "--no-worker", "--oidc-issuer", url, "--oidc-client-id", "gantry", "--oidc-client-secret-file",
                    str(secret), "--oidc-allow-domain", "example.com", "--trusted-proxy", "127.0.0.1")
    server.port = port
    server.start()
    try:
        with Browser(server) as browser:
            page = browser.get(f"{server.url}/api/v1/auth/oidc/login?next=/after")
            for _ in range(12):
                if page.headers.get("location") == "/after":
                    break
                if page.is_redirect:
                    page = browser.get(urllib.parse.urljoin(str(page.url), page.headers["location"]))
                else:
                    prompt = "login" if 'name="login"' in page.text else "consent"
                    page = browser.post(str(page.url), data={"prompt": prompt, "login": "nina", "password": "any"})
            assert page.headers.get("location") == "/after", (page.status_code, page.text[:500], server.log()[-1000:])
            assert browser.who().json()["name"] == "nina"
    finally:
        server.stop()
