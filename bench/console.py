"""The console's figures in Debian's chromium: what a connection carries, how soon a page can be used with a CPU four times as slow, how long the
page's thread is held by a list of 1,000 deployments and by six streams, and what an idle page asks for. usage: console"""
import json
import shutil
import sys

from playwright.sync_api import sync_playwright

from common import Server, SMOLLM2, report, summary, until, workspace
from fake_engines import FakeEngines  # tests/e2e, which common has put into the path

SLOWER, LOADS, DEPLOYMENTS, IDLE_S = 4, 7, 1000, 10
STREAM_TOKENS, STREAM_RATE = 300, 50
PASSWORD = "a-password-of-mine"
LONG_TASKS = """() => { window.long = []; new PerformanceObserver((list) => { for (const one of list.getEntries()) window.long.push(one.duration); })
  .observe({type: 'longtask', buffered: true}); }"""


# Since the load began: what is waited for is there, was painted, and the page's thread has taken a further task, as it would a click.
USABLE = """() => { const look = () => document.querySelector(%s)
    ? requestAnimationFrame(() => setTimeout(() => { window.usable = performance.now(); })) : requestAnimationFrame(look);
  requestAnimationFrame(look); }"""


def step(what):
    print(f"… {what}", file=sys.stderr, flush=True)


def context_of(browser, login=None):
    """`login`: the state of a context that is logged in; its cookies and the page's own storage, nothing of the browser's cache."""
    return browser.new_context(viewport={"width": 1360, "height": 860}, locale="en-GB", storage_state=login)


def slowed(page):
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})


def sizes_of_first_pages(browser, server):
    page = context_of(browser).new_page()
    sizes = []
    page.on("response", lambda answer: sizes.append(int(answer.headers["content-length"])) if "/assets/" in answer.url or answer.url == server.url + "/" else None)
    page.goto(server.url + "/")
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="Overview").wait_for()
    page.locator("main .skeleton").wait_for(state="detached")
    login = page.context.storage_state()
    page.context.close()
    return sum(sizes), login


def interactive(browser, server, selector, login):
    """Milliseconds from the start of a load of / until what `selector` names is shown and the page can take a click."""
    times = []
    for _ in range(LOADS):
        page = context_of(browser, login).new_page()
        slowed(page)
        page.add_init_script(f"({USABLE % json.dumps(selector)})()")
        page.goto(server.url + "/", wait_until="commit")
        times.append(until(lambda: page.evaluate("window.usable"), f"{selector} can be used"))
        page.context.close()
    return times


def scrolled(browser, server, login):
    page = context_of(browser, login).new_page()
    page.goto(server.url + "/deployments")
    page.get_by_text("d0003").wait_for()
    page.evaluate(LONG_TASKS)
    # From top to bottom, a quarter of a screen each frame; rows are drawn as they come near.
    page.evaluate("""async () => { window.long.length = 0;
      for (let y = 0; y < document.documentElement.scrollHeight; y += 200) { scrollTo(0, y); await new Promise(requestAnimationFrame); } }""")
    found = page.evaluate("window.long")
    page.get_by_text(f"d{DEPLOYMENTS - 1:04}").wait_for()   # the list's last, or all but it is left out by mistake
    page.context.close()
    return found


def six_streams(browser, server, engines, login):
    """Long tasks while six mock engines' streams are shown, and what the page measured of them."""
    engines.behave(tokens=STREAM_TOKENS, delay_s=1 / STREAM_RATE)
    page = context_of(browser, login).new_page()
    page.goto(f"{server.url}/playground?mode=compare&models={engines.name}&panels=6")
    page.get_by_role("button", name="Run").wait_for()
    page.evaluate(LONG_TASKS)
    page.evaluate("window.long.length = 0")
    page.get_by_role("button", name="Run").click()
    page.get_by_role("heading", name="Results").wait_for(timeout=120_000)
    found = page.evaluate("window.long")
    rate = page.get_by_role("region", name="Results").get_by_text("tok/s").first.inner_text()
    page.context.close()
    return found, rate


def idle_requests(browser, server, login):
    page = context_of(browser, login).new_page()
    page.goto(server.url + "/")
    page.get_by_role("heading", name="Overview").wait_for()
    page.locator("main .skeleton").wait_for(state="detached")
    asked = []
    page.context.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(IDLE_S * 1000)
    page.context.close()
    return asked


def main():
    chromium = shutil.which("chromium")
    if not chromium:
        sys.exit("no chromium on this machine: apt-get install chromium")
    with workspace() as folder, sync_playwright() as playwright:
        server = Server(f"{folder}/data").start()
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            server.deploy("smollm2")
            server.api("POST", "/api/v1/users", json={"name": "ada", "password": PASSWORD, "role": "admin", "must_change_password": False})
            step("first pages")
            first, logged_in = sizes_of_first_pages(browser, server)
            login = interactive(browser, server, "input[name=name]", None)
            overview = interactive(browser, server, "main a[href='/deployments/new']", logged_in)
            step("six streams")
            engines = FakeEngines(server, folder, "mock").deploy()
            streams, rate = six_streams(browser, server, engines, logged_in)
            step("an idle page")
            idle = idle_requests(browser, server, logged_in)
            step("a long list")
            for i in range(DEPLOYMENTS):
                server.api("POST", "/api/v1/deployments", json={"name": f"d{i:04}", "source": f"file:{SMOLLM2}", "stopped": True})
            scroll = scrolled(browser, server, logged_in)
        finally:
            browser.close()
            server.stop()
    report("console", {
        "login and overview, bytes": first,
        f"login usable, ms, CPU / {SLOWER}": summary(login),
        f"overview usable, ms, CPU / {SLOWER}": summary(overview),
        f"long tasks while {DEPLOYMENTS} deployments scroll, ms": scroll,
        f"long tasks while six mock streams of {STREAM_RATE} tok/s are shown ({rate} together), ms": streams,
        f"requests of an idle page in {IDLE_S} s": idle,
    }, {"login": login, "overview": overview})


main()
