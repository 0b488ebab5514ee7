"""A real browser (Debian's chromium, driven by Playwright) on a server's console: fixtures and helpers of the tests of its pages."""
import os
import pathlib
import re
import shutil

import playwright.sync_api as playwright
import pytest

from conftest import ROOT, serving_smollm2, until

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine: ./dev test installs Debian's")
PASSWORD = "a-password-of-mine"
PHONE = {"width": 390, "height": 844}
SHOTS = os.environ.get("GANTRY_SCREENSHOTS")   # a folder: the pages are photographed into it
PICTURES = os.environ.get("GANTRY_PICTURES")   # docs/pictures: those of the documents are taken anew (bench/requirements.txt has what makes them small)


class Browser:
    """Pages of one server. Whatever a page says on its console is a failure, but for answers that are refusals."""

    def __init__(self, browser, server):
        self.browser = browser
        self.server = server
        self.said = []
        self.requests = []

    def page(self, cookies=None, **options):
        context = self.browser.new_context(**{"locale": "en-GB", "viewport": {"width": 1360, "height": 860}, **options})
        context.set_default_timeout(20_000)
        if cookies:
            context.add_cookies(cookies)
        page = context.new_page()
        page.on("console", lambda message: self.said.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("dialog", lambda dialog: self.said.append(f"dialog: {dialog.message}"))
        context.on("request", lambda request: self.requests.append(request))
        return page

    def open(self, page, path):
        page.goto(self.server.url + path)
        try:
            page.locator("main h1, main h2").first.wait_for()
        except playwright.TimeoutError:
            # Chromium drops what is under way when a network interface comes or goes, as others on the machine make them do.
            if not any("ERR_NETWORK_CHANGED" in line for line in self.said):
                raise AssertionError(f"{path} shows nothing but {page.content()[:1500]}; the page says {self.said}") from None
            page.reload()
            page.locator("main h1, main h2").first.wait_for()
        return page

    def check(self):
        wrong = [line for line in self.said if not re.search(r"status of 40[0-9]|ERR_NETWORK_CHANGED", line)]
        assert not wrong, wrong
        foreign = {request.url for request in self.requests if not request.url.startswith((self.server.url, "data:", "blob:"))}
        assert not foreign, foreign


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    yield from serving_smollm2(tmp_path_factory.mktemp("console"))


def session(server, name="admin", password=PASSWORD):
    answer = server.request("POST", "/api/v1/auth/login", json={"name": name, "password": password})
    assert answer.status_code == 200, answer.text
    return [{"name": "gantry_session", "value": answer.cookies["gantry_session"], "url": server.url}]


@pytest.fixture(scope="module")
def admin(served):
    """The cookies of an administrator whose password is an own one."""
    served.api("POST", "/api/v1/users", json={"name": "ada", "password": PASSWORD, "role": "admin", "must_change_password": False})
    return session(served, "ada")


@pytest.fixture
def browser(chromium, served):
    made = Browser(chromium, served)
    yield made
    made.check()
    for context in chromium.contexts:
        context.close()


def photograph(page, name):
    if SHOTS:
        pathlib.Path(SHOTS).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)


def settled(page):
    page.locator("main h1, main h2").first.wait_for()
    # Not wait_for_function, which evaluates words: the page's policy forbids it.
    until(lambda: page.locator("main [role=status] .spin, main .skeleton").count() == 0, "the page has all that it shows")


def faults(page):
    """What axe finds serious on a page as it is now."""
    page.evaluate((ROOT / "console/node_modules/axe-core/axe.min.js").read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [f"{one['id']}: {one['nodes'][0]['html'][:160]}" for one in found["violations"] if one["impact"] in ("serious", "critical")]


def picture(page, name, height=860):
    """Of the documents: the page's upper part, in 256 colours."""
    if PICTURES:
        import PIL.Image
        path = pathlib.Path(PICTURES) / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        page.mouse.move(0, 0)
        page.screenshot(path=path, full_page=True, clip={"x": 0, "y": 0, "width": 1360, "height": height}, animations="disabled")
        with PIL.Image.open(path) as taken:
            taken.convert("RGB").quantize(256, method=PIL.Image.Quantize.MAXCOVERAGE, dither=PIL.Image.Dither.NONE).save(path, optimize=True)
