"""The console's page of benchmarks in a real browser: a measurement of SmolLM2 from the form to its figures, held against the API; several side
by side; files; cancelling; both languages and themes, axe, a phone."""
import csv
import io
import json
import pathlib
import re

import pytest

from browser import PHONE, admin, browser, chromium, faults, needs_chromium, photograph, served, settled   # noqa: F401: fixtures
from conftest import until
from fake_engines import FakeEngines
from test_benchmarks import get, half_way, over, start

pytestmark = needs_chromium


def download(page, button, entry):
    page.get_by_role("button", name=button).click()
    with page.expect_download() as loaded:
        page.get_by_role("menuitem", name=entry).click()
    return pathlib.Path(loaded.value.path()).read_text()


def test_from_the_form_to_figures_side_by_side(browser, served, admin):
    page = browser.page(admin)
    browser.open(page, "/benchmarks")
    page.get_by_role("heading", name="Nothing was measured yet").wait_for()
    photograph(page, "benchmarks-empty")
    page.get_by_role("link", name="New benchmark").first.click()
    page.get_by_role("checkbox", name="smollm2").check()
    page.get_by_label("Requests at once").fill("1, 3")
    page.get_by_label("Prompt tokens").fill("60")
    page.get_by_label("Output tokens").fill("8")
    page.get_by_label("Requests in a run").fill("3")
    page.get_by_text("2 runs, 6 requests").wait_for()
    page.get_by_text("More settings").click()
    page.get_by_label("Seed").fill("41")
    page.get_by_label("Name", exact=True).fill("evening <b>run</b>")
    photograph(page, "benchmarks-form")
    page.get_by_role("button", name="Start").click()
    page.get_by_role("heading", name="evening <b>run</b>").wait_for()
    [made] = served.items("/api/v1/benchmarks")
    page.get_by_role("heading", name="Figures").wait_for(timeout=120_000)
    page.locator(".pill", has_text=re.compile("^done$")).wait_for(timeout=120_000)
    kept = get(served, made["id"])
    assert kept["seed"] == 41 and kept["concurrencies"] == [1, 3] and kept["requests"] == 3
    rows = page.get_by_role("region", name="The figures of all runs").locator("tbody tr")
    assert rows.count() == 2
    for row, run in zip(rows.all(), kept["runs"]):
        words = row.inner_text()
        speed = run["throughput_tok_s"]
        assert f"{speed:.{max(0, 3 - len(str(int(speed))))}f} tok/s" in words and "smollm2" in words and "engine" in words, words
    charts = page.locator(".figure-chart svg")
    assert charts.count() == 3 and "smollm2 1: " in charts.first.get_attribute("aria-label")
    page.get_by_role("button", name="p99").click()
    page.locator("figcaption", has_text="TTFT p99").wait_for()
    assert "percentile=p99" in page.url, "what is looked at is in the address"
    lines = list(csv.DictReader(io.StringIO(download(page, "Save", "CSV"))))
    assert [line["concurrency"] for line in lines] == ["1", "3"] and lines[0]["benchmark"] == made["id"]
    assert float(lines[1]["throughput_tok_s"]) == pytest.approx(kept["runs"][1]["throughput_tok_s"], rel=0.01)
    assert json.loads(download(page, "Save", "JSON"))["targets"][0]["runs"][1]["concurrency"] == 3
    # Again, with another number, and both side by side.
    page.get_by_role("link", name="Run again").click()
    until(lambda: page.get_by_role("checkbox", name="smollm2").is_checked(), "the form holds what was asked")
    page.get_by_label("Requests at once").fill("0")
    page.get_by_role("button", name="Start").click()
    page.get_by_text("must be a whole number from 1 to 256").wait_for()
    page.get_by_label("Requests at once").fill("2")
    page.get_by_role("button", name="Start").click()
    page.locator(".pill", has_text=re.compile("^done$")).wait_for(timeout=120_000)
    page.get_by_role("link", name="Benchmarks").click()
    for box in page.locator("input.pick").all():
        box.check()
    page.get_by_role("button", name="Side by side (2)").click()
    page.get_by_role("region", name="The figures of all runs").wait_for()
    assert page.get_by_role("region", name="The figures of all runs").locator("tbody tr").count() == 3
    assert "evening" in page.get_by_role("region", name="The figures of all runs").inner_text(), "two of one name are told apart"
    page.get_by_role("link", name="Choose others").click()
    page.get_by_role("button", name="Actions for load: smollm2").click()
    page.get_by_role("menuitem", name="Delete").click()
    page.get_by_role("button", name="Delete").click()
    until(lambda: len(served.items("/api/v1/benchmarks")) == 1, "it is deleted")
    until(lambda: page.locator("tbody tr").count() == 1, "and its row with it")


def test_an_outside_server_beside_a_deployment(browser, served, admin):
    """Rows of the form: added, left out, filled; its key goes in and is not shown; the figures tell both apart."""
    page = browser.page(admin)
    browser.open(page, "/benchmarks/new")
    page.get_by_role("checkbox", name="smollm2").check()
    for _ in range(2):
        page.get_by_role("button", name="Outside server").click()
    second = page.get_by_role("group", name="Outside server 2")
    second.get_by_role("button", name="Leave it out").click()
    second.wait_for(state="detached")
    row = page.get_by_role("group", name="Outside server 1")
    row.get_by_label("Base URL").fill(f"{served.url}/v1")
    row.get_by_label("Model").fill("smollm2")
    row.get_by_label("Key").fill(served.key)
    row.get_by_label("Name").fill("the same from outside")
    page.get_by_label("Requests at once").fill("1")
    page.get_by_label("Prompt tokens").fill("40")
    page.get_by_label("Output tokens").fill("6")
    page.get_by_label("Requests in a run").fill("2")
    page.get_by_text("2 runs, 4 requests").wait_for()
    photograph(page, "benchmarks-outside")
    assert not faults(page)
    with page.expect_response("**/api/v1/benchmarks") as answered:
        page.get_by_role("button", name="Start").click()
    assert answered.value.status == 201 and served.key not in answered.value.text()
    page.locator(".pill", has_text=re.compile("^done$")).wait_for(timeout=120_000)
    figures = page.get_by_role("region", name="The figures of all runs")
    until(lambda: figures.locator("tbody tr").count() == 2, "both")
    assert "the same from outside" in figures.inner_text() and served.key not in page.content()
    one = get(served, answered.value.json()["id"])
    assert [run["requests_ok"] for run in one["runs"]] == [2, 2], one["runs"]


def test_live_and_cancelled(browser, served, admin, tmp_path):
    benchmark, _, second = half_way(served, tmp_path)
    waits = start(served, targets=[{"deployment": "first"}], requests=1, prompt_tokens=30, output_tokens=5)
    page = browser.page(admin)
    browser.open(page, f"/benchmarks/{waits}")
    page.get_by_text("1 before it").wait_for()
    browser.open(page, f"/benchmarks/{benchmark}")
    page.get_by_text("second, 1 at once").wait_for()
    assert page.get_by_role("progressbar").get_attribute("aria-valuenow") == "50"
    page.get_by_role("heading", name="Figures").wait_for()
    photograph(page, "benchmarks-running")
    page.get_by_role("button", name="Cancel it").click()
    page.locator(".pill", has_text="cancelled").wait_for()
    assert page.get_by_role("region", name="The figures of all runs").locator("tbody tr").count() == 1, "what was measured stays"
    assert over(served, waits)["state"] == "done"
    second.behave(status=500)
    dead = start(served, targets=[{"deployment": "first"}, {"deployment": "second"}], requests=1, prompt_tokens=30, output_tokens=5)
    browser.open(page, f"/benchmarks/{dead}")
    page.get_by_role("alert").filter(has_text="told to").wait_for()
    photograph(page, "benchmarks-failed")


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_view(browser, served, admin, tmp_path_factory, language, scheme):
    """With results of three targets; axe finds no serious fault; no view is wider than a phone."""
    if not served.items("/api/v1/deployments?name=quick"):
        for name, delay in (("quick", 0.004), ("steady", 0.008)):
            engines = FakeEngines(served, tmp_path_factory.mktemp(name), name)
            engines.behave(delay_s=delay, tokens=12)
            engines.deploy()
        for more in ({"name": "one card"}, {"name": "two cards"}):
            over(served, start(served, targets=[{"deployment": "quick"}, {"deployment": "steady"}, {"deployment": "smollm2"}], concurrencies=[1, 2, 6], prompt_tokens=40,
                               output_tokens=12, ignore_eos=True, **more))
    shown = [one["id"] for one in served.items("/api/v1/benchmarks") if one["name"] in ("one card", "two cards")]
    page = browser.page(admin, locale={"en": "en-GB", "zh": "zh-CN"}[language], color_scheme=scheme)
    found = []
    for name, path in (("list", ""), ("new", "/new"), ("one", f"/{shown[0]}"), ("side-by-side", f"/compare?ids={','.join(shown)}"), ("none", "/compare?ids=bmk_gone")):
        browser.open(page, f"/benchmarks{path}")
        settled(page)
        words = page.locator("main").inner_text()
        assert bool(re.search("[一-鿿]", words)) == (language == "zh"), words[:200]
        found += [f"{name}: {fault}" for fault in faults(page)]
        photograph(page, f"benchmarks-{name}-{language}-{scheme}")
        page.set_viewport_size(PHONE)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= PHONE["width"], f"{name} is {width} pixels wide on a phone"
        photograph(page, f"benchmarks-{name}-phone-{language}-{scheme}")
        page.set_viewport_size({"width": 1360, "height": 860})
    assert not found, "\n".join(found)
