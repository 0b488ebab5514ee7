"""The console in a real browser (Debian's chromium, driven by Playwright) on a real server with SmolLM2: the field report's walk from the
first login to six panels, with what the page measures held against the server's own records; names that are attacks; axe; sizes."""
import csv
import io
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import zlib

import pytest

from browser import (PASSWORD, PHONE, Browser, admin, browser, chromium, faults, needs_chromium, photograph,  # noqa: F401: fixtures
                     picture, served, session, settled)
from conftest import ROOT, SMOLLM2, Server, until

pytestmark = needs_chromium

ADMIN_PAGES = ["overview", "playground", "deployments", "catalogue", "models", "benchmarks", "routes", "providers", "workers", "backends", "keys", "usage", "users", "audit", "settings"]
USER_PAGES = ["overview", "playground", "deployments", "models", "benchmarks", "keys", "usage"]
ATTACK = "<img src=x onerror=\"window.hit=1\">"


def test_the_field_report(chromium, tmp_path):
    """First login, devices, a deployment that is refused and one that fits, six panels with the same model; the numbers are the server's."""
    server = Server(tmp_path / "data").start()
    browser = Browser(chromium, server)
    try:
        page = browser.page()
        browser.open(page, "/")
        first = (tmp_path / "data/initial_admin_password").read_text().strip()
        log_in_first(page, first)
        page.get_by_role("heading", name="Deploy your first model").wait_for()
        page.get_by_role("link", name="Workers & devices").click()
        page.get_by_text("cpu/0").wait_for()
        deploy(page)
        compare(page, server)
        page.get_by_role("link", name="Overview").click()
        page.get_by_role("img", name="Tokens by hour").wait_for()
        picture(page, "overview", 720)
        browser.check()
    finally:
        for context in chromium.contexts:
            context.close()
        server.stop()


def log_in_first(page, first):
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill("not it at all")
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("alert").filter(has_text="wrong").wait_for()
    page.get_by_label("Password").fill(first)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="Choose a password").wait_for()
    page.get_by_label("Current password").fill(first)
    page.get_by_label("New password").fill(PASSWORD)
    page.get_by_label("The new one again").fill(PASSWORD)
    page.get_by_role("button", name="Save password").click()


def deploy(page):
    page.get_by_role("link", name="Overview").click()
    page.get_by_role("link", name="Deploy a model").first.click()
    judged = page.get_by_role("complementary", name="Does it fit?")
    page.get_by_label("Source").fill("/no/such/model.gguf")
    judged.get_by_text("Not known yet.").wait_for()
    page.get_by_label("Source").fill(str(SMOLLM2))
    judged.get_by_text("It fits.").wait_for()
    assert page.get_by_label("Name").input_value() == "smollm2-135m-instruct"
    page.get_by_label("Name").fill("smollm2")
    page.get_by_role("heading", name="Engine").click()
    page.get_by_label("Context (tokens)").fill("40000000")   # hundreds of GiB of keys and values
    judged.get_by_text("It does not fit.").wait_for()
    judged.get_by_text("is needed").first.wait_for()
    picture(page, "deploy", 1000)
    judged.get_by_role("button", name="Use").first.click()
    judged.get_by_text("It fits.").wait_for()
    page.get_by_role("button", name="Deploy a model").click()
    page.get_by_role("heading", name="smollm2", exact=True).wait_for()
    page.get_by_role("link", name="Open in playground").wait_for(timeout=60_000)


def compare(page, server):
    page.get_by_role("link", name="Open in playground").click()
    page.get_by_role("button", name="Compare").click()
    assert page.get_by_role("region", name=re.compile(r"^Answer of panel \d$")).count() == 6
    page.get_by_label("Max tokens").fill("24")
    with page.expect_request("**/api/v1/compare") as asked:
        page.get_by_role("button", name="Run").click()
    assert len(json.loads(asked.value.post_data)["panels"]) == 6
    page.get_by_role("heading", name="Results").wait_for(timeout=60_000)
    photograph(page, "compare")
    page.get_by_text("smollm2 is deployed").wait_for(state="detached")
    picture(page, "compare", 1420)
    page.get_by_role("button", name="Save").click()
    with page.expect_download() as saved:
        page.get_by_role("menuitem", name=re.compile("JSON")).click()
    told = json.loads(pathlib.Path(saved.value.path()).read_text())
    page.get_by_role("button", name="Save").click()
    with page.expect_download() as saved:
        page.get_by_role("menuitem", name=re.compile("CSV")).click()
    lines = list(csv.DictReader(io.StringIO(pathlib.Path(saved.value.path()).read_text())))
    run = told["targets"][0]["runs"][0]
    assert told["version"] == 1 and run["concurrency"] == 6 and run["requests_ok"] == 6 and len(lines) == 6

    records = until(lambda: (lambda found: found if len(found) == 6 else None)(
        [one for one in server.items("/api/v1/usage") if one["completion_tokens"] <= 24]), "the six requests are metered")
    assert sorted(one["completion_tokens"] for one in records) == sorted(one["output_tokens"] for one in run["samples"])
    assert run["output_tokens"] == sum(one["completion_tokens"] for one in records)
    assert run["throughput_tok_s"] == pytest.approx(run["output_tokens"] / run["wall_s"])
    for sample in run["samples"]:
        assert sample["ttft_ms"] > sample["server"]["queue_ms"]
        assert sample["e2e_ms"] - sample["ttft_ms"] >= sample["server"]["decode_ms"] * 0.8
    # The gateway's clock starts a little later than the page's and sees tokens a little earlier.
    seen, metered = (sorted(values)[3] for values in ([one["ttft_ms"] for one in run["samples"]], [one["ttft_ms"] for one in records]))
    assert metered - 5 <= seen <= metered + 500, (seen, metered)
    shown = page.get_by_role("region", name="Results").first.inner_text()
    told_ttft = float(re.search(r"([\d.]+) ms", shown)[1])
    assert told_ttft == pytest.approx(run["ttft_ms"]["mean"], rel=0.01), shown


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page(browser, admin, language, scheme):
    """By its own address, in both languages and themes; axe finds no serious fault; no page is wider than a phone."""
    page = browser.page(admin, locale={"en": "en-GB", "zh": "zh-CN"}[language], color_scheme=scheme)
    found = []
    for name in [*ADMIN_PAGES, "deployments/new", "deployments/smollm2", "deployments/smollm2/edit", "models/files", "catalogue?model=qwen3-8b", "playground?mode=compare",
                 "playground?mode=completion"]:
        browser.open(page, f"/{name}")
        settled(page)
        words = page.locator("main").inner_text()
        assert ("模" in words or "的" in words or "部署" in words) == (language == "zh"), f"{name} in {language}: {words[:200]}"
        found += [f"{name}: {one}" for one in faults(page)]
        photograph(page, f"{re.sub('[/?]', '-', name)}-{language}-{scheme}")
        page.set_viewport_size(PHONE)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= PHONE["width"], f"{name} is {width} pixels wide on a phone"
        page.set_viewport_size({"width": 1360, "height": 860})
    assert not found, "\n".join(found)


def test_names_that_are_attacks_are_text(browser, served, admin):
    """Keys, labels, a model's file and what an engine logs may hold anything."""
    for name in (ATTACK, "=cmd|' /C calc'!A0", "a" * 100):
        assert served.api("POST", "/api/v1/keys", json={"name": name}).status_code == 201
    worker = served.items("/api/v1/workers")[0]
    labels = {"attack": ATTACK, "long": "x" * 250}
    assert served.api("PATCH", f"/api/v1/workers/{worker['id']}", json={"labels": labels}).status_code == 200
    source = f"file:/nowhere/{ATTACK}.gguf"
    assert served.api("POST", "/api/v1/deployments", json={"name": "attack", "source": source}).status_code == 201
    until(lambda: served.items("/api/v1/deployments?name=attack")[0]["status"]["reason"], "it says why it does not run")
    page = browser.page(admin)
    for path, seen in (("/keys", ATTACK), ("/workers", "onerror"), ("/deployments", "onerror"), ("/deployments/attack", ATTACK), ("/overview", "attack")):
        browser.open(page, path)
        page.get_by_text(seen).first.wait_for()
        assert page.locator("img[src=x]").count() == 0 and not page.evaluate("window.hit"), path
        page.set_viewport_size(PHONE)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path
        page.set_viewport_size({"width": 1360, "height": 860})
    # And what a person says to a model, which comes back as Markdown.
    browser.open(page, "/playground?model=smollm2")
    page.get_by_label("Max tokens").fill("1")
    page.get_by_role("textbox", name="Message").fill(f"{ATTACK} [x](javascript:window.hit=1)")
    page.get_by_role("button", name="Send").click()
    page.get_by_text("1 tokens").wait_for()
    assert page.locator("main img").count() == 0 and page.locator("a[href^=javascript]").count() == 0 and not page.evaluate("window.hit")
    served.cli("rm", "attack", "--yes")


def test_what_happens_is_seen_as_it_happens(browser, served, admin):
    """An engine is killed and comes back, another is scaled up from the page: nobody loads the page again, and nobody polls."""
    page = browser.page(admin)
    browser.open(page, "/deployments/smollm2")
    page.get_by_text("1 of 1 ready").wait_for()
    browser.requests.clear()
    os.kill(served.running("smollm2")[0]["pid"], signal.SIGKILL)
    page.get_by_text("restarts: 1").wait_for(timeout=60_000)
    served.running("smollm2")
    page.get_by_text("1 of 1 ready").wait_for()
    assert not browser.requests, [request.url for request in browser.requests]
    page.get_by_role("button", name="Logs").click()
    page.get_by_label(re.compile("^Log of")).last.filter(has_text="ready").wait_for()
    page.get_by_role("button", name="Actions for smollm2").click()
    page.get_by_role("menuitem", name="Scale").click()
    page.get_by_label("Replicas").fill("2")
    page.get_by_role("button", name="Scale").click()
    page.get_by_text("2 of 2 ready").wait_for(timeout=60_000)
    page.get_by_role("button", name="Actions for smollm2").click()
    page.get_by_role("menuitem", name="Delete").click()
    assert page.get_by_role("button", name="Delete").is_disabled(), "the name is asked first"
    page.keyboard.press("Escape")
    served.cli("scale", "smollm2", "1")
    page.get_by_text("1 of 1 ready").wait_for(timeout=60_000)


def test_quotas_of_users_and_keys(browser, served, admin):
    """Set and lifted from the page; what is not shown stays as it was."""
    served.api("POST", "/api/v1/users", json={"name": "carla", "password": PASSWORD, "role": "user", "must_change_password": False})
    page = browser.page(admin)
    browser.open(page, "/users?q=carla")
    page.get_by_role("button", name="Edit").click()
    page.get_by_label("Requests per minute").fill("60")
    page.get_by_label("Tokens per month").fill("1000000")
    page.get_by_label("Models", exact=True).fill("smollm2, other")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("60 requests/min, 1,000,000 tokens/month").wait_for()
    of = lambda kind, name: next(one for one in served.items(f"/api/v1/{kind}") if one["name"] == name)
    carla = of("users", "carla")
    assert carla["limits"] == {"requests_per_minute": 60, "tokens_per_minute": None, "concurrent_requests": None, "tokens_per_month": 1_000_000}
    assert carla["models"] == ["smollm2", "other"]
    page.get_by_role("button", name="Edit").click()
    page.get_by_label("Requests per minute").fill("")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("60 requests/min").wait_for(state="detached")
    assert of("users", "carla")["limits"]["requests_per_minute"] is None

    browser.open(page, "/keys")
    page.get_by_role("button", name="Make a key").first.click()
    page.get_by_label("Name").fill("narrow")
    page.get_by_text("Models and limits").click()
    page.get_by_label("Requests at once").fill("2")
    page.get_by_role("dialog").get_by_role("button", name="Make a key").click()
    page.get_by_role("button", name="I have kept it").click()
    page.get_by_role("row").filter(has_text="narrow").get_by_text("2 at once").wait_for()
    assert of("keys", "narrow")["limits"]["concurrent_requests"] == 2


def test_ones_own_budget(browser, served):
    """What the month's budget has left, by the server's own sums."""
    served.api("POST", "/api/v1/users", json={"name": "dora", "password": PASSWORD, "role": "user", "must_change_password": False,
                                              "limits": {"tokens_per_month": 50_000}})
    key = served.api("POST", "/api/v1/keys", json={"name": "dora", "user_id": "dora"}).json()["secret"]
    asked = served.api("POST", "/v1/chat/completions", key=key,
                       json={"model": "smollm2", "messages": [{"role": "user", "content": "Hello."}], "max_tokens": 8})
    tokens = asked.json()["usage"]["total_tokens"]
    until(lambda: [one for one in served.items("/api/v1/usage") if one["user_name"] == "dora"], "it is metered")
    page = browser.page(session(served, "dora"))
    browser.open(page, "/usage")
    page.get_by_role("region", name="Your limits").get_by_text(f"{tokens} of 50.0 k").wait_for()


def test_the_servers_words_in_chinese(browser, served, admin):
    """Why it does not fit, what would, and what a refusal says: in the page's language; the numbers are the server's."""
    page = browser.page(admin, locale="zh-CN")
    browser.open(page, "/deployments/new")
    page.get_by_label("来源").fill(str(SMOLLM2))
    page.get_by_text("放得下。", exact=True).wait_for()
    page.get_by_role("heading", name="引擎选项").click()
    page.get_by_label("上下文（词元）").fill("40000000")
    page.get_by_text("放不下。", exact=True).wait_for()
    judged = page.get_by_role("complementary", name="能放下吗？").inner_text()
    said = served.api("POST", "/api/v1/evaluations", json={"source": f"file:{SMOLLM2}", "options": {"context_tokens": 40_000_000}}).json()
    needed = re.search(r"and ([\d.]+ GiB) is needed", said["reason"])[1]
    assert "没有节点能容纳它" in judged and f"需要 {needed}" in judged and "上下文" in judged, judged
    assert "is needed" not in judged and "a context of" not in judged


def test_two_tabs_watch_by_one_stream(browser, served, admin):
    page = browser.page(admin)
    browser.open(page, "/deployments")
    page.get_by_text("smollm2").first.wait_for()
    other = page.context.new_page()
    browser.open(other, "/overview")
    other.get_by_text("smollm2").first.wait_for()
    watching = [request for request in browser.requests if "/api/v1/watch" in request.url]
    assert len(watching) <= 1, "a shared worker's own request may not be seen here, but no tab has one"
    # Logged out in one, logged out in both.
    page.get_by_role("button", name="ada").click()
    page.get_by_role("menuitem", name="Log out").click()
    other.get_by_role("heading", name="Log in").wait_for()


def test_a_user_sees_what_is_a_users(browser, served):
    served.api("POST", "/api/v1/users", json={"name": "bob", "password": PASSWORD, "role": "user", "must_change_password": False})
    page = browser.page(session(served, "bob"))
    browser.open(page, "/")
    names = page.get_by_role("navigation").get_by_role("link").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert names == ["/"] + [f"/{name}" for name in USER_PAGES[1:]]
    for name in USER_PAGES:
        browser.open(page, f"/{name}")
        settled(page)
        assert page.get_by_role("alert").count() == 0, page.locator("main").inner_text()
    page.get_by_role("button", name="Make a key").or_(page.get_by_role("heading", name="Usage")).first.wait_for()


def test_sizes(chromium, served, admin):
    """Login and overview take 300 KB of a connection at most, together; each other page little more. Nothing comes from elsewhere."""
    browser = Browser(chromium, served)
    page = browser.page()
    sizes = {}

    def measure(response):
        if "/assets/" in response.url or response.url.rstrip("/") == served.url:
            assert response.headers.get("content-encoding") in ("gzip", "br") or int(response.headers["content-length"]) < 1000, response.url
            sizes[response.url] = int(response.headers["content-length"])

    page.on("response", measure)
    browser.open(page, "/")
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="Overview").wait_for()
    settled(page)
    first = sum(sizes.values())
    assert first <= 300_000, sizes
    for name in ADMIN_PAGES:
        page.goto(f"{served.url}/{name}")
        settled(page)
    print(f"console: login and overview {first} bytes, all pages {sum(sizes.values())} bytes")
    assert sum(sizes.values()) <= 450_000, sizes
    page.context.close()
    browser.check()


def test_its_own_units():
    """The parts that are pure, by Node's own test runner: formats, statistics, forms, and that both languages have the same texts."""
    node = pathlib.Path(sys.prefix) / "bin/node"
    assert node.exists(), "./dev test installs Node"
    done = subprocess.run([node, "--test", "src/**/*.test.ts"], cwd=ROOT / "console", capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-4000:]
    assert int(re.search(r"pass (\d+)", done.stdout).group(1)) > 10


def test_files_are_as_they_are_said_to_be(served):
    home = served.request("GET", "/", headers={"accept-encoding": "identity"})
    assert "unsafe" not in home.headers["content-security-policy"]
    assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=", home.text), "no inline script or style"
    assets = re.findall(r"/assets/[\w.-]+", home.text)
    assert assets
    for path in assets:
        plain = served.request("GET", path, headers={"accept-encoding": "identity"})
        assert "immutable" in plain.headers["cache-control"] and re.search(r"-[\w-]{8}\.\w+$", path)
        with served_raw(served, path) as raw:
            assert zlib.decompress(raw, 31) == plain.content


class served_raw:
    """The bytes as they come, which httpx would unpack."""

    def __init__(self, server, path):
        import urllib.request
        request = urllib.request.Request(server.url + path, headers={"Accept-Encoding": "gzip"})
        with urllib.request.urlopen(request) as answer:
            self.raw = answer.read()
            self.coded = answer.headers.get("Content-Encoding") == "gzip"

    def __enter__(self):
        import gzip
        return self.raw if self.coded else gzip.compress(self.raw)

    def __exit__(self, *_):
        pass
