"""The console's history of a worker's devices in a real browser: live on a real server; a month of many devices, which no machine here has, from a
made-up answer."""
import datetime
import json
import math
import re

import pytest

from browser import PHONE, admin, browser, chromium, faults, needs_chromium, photograph, served, session, settled   # noqa: F401: fixtures
from conftest import until

pytestmark = needs_chromium
GIB = 1 << 30


def test_it_goes_on_as_the_worker_reports(browser, served, admin):
    """The first point is there at once, and the newest follows what is used without being asked for; the range stays in the address."""
    [worker] = served.items("/api/v1/workers")
    page = browser.page(admin)
    browser.open(page, "/workers")
    page.get_by_role("button", name="History", exact=True).click()
    region = page.get_by_role("region", name=f"History of the devices of {worker['name']}")
    load = region.get_by_role("img", name=re.compile(r"^Load: cpu.0 .* \d+ % at last, up to \d+ %$"))
    load.wait_for()
    memory = region.get_by_role("img", name=re.compile(r"^Memory in use: cpu.0 .* at last, up to [\d.]+ [MG]iB$"))
    memory.wait_for()
    region.get_by_text("No device here tells its temperature.").wait_for()
    region.get_by_text("Measured since").wait_for()
    assert f"history={worker['name']}" in page.url
    settled(page)
    browser.requests.clear()
    before = memory.get_attribute("aria-label")
    held = [b"x" * GIB]
    until(lambda: memory.get_attribute("aria-label") != before, "what this test holds of the machine's memory is seen")
    assert not browser.requests, [request.url for request in browser.requests]

    chart = load.locator(".u-over")
    box = chart.bounding_box()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] / 2)
    tips = region.locator(".chart-tip")
    until(lambda: re.search(r"· cpu/0 \d+ % \(up to \d+ %\)$", tips.nth(1).inner_text()), "the newest is said")
    assert re.search(r"· cpu/0 [\d.]+ [MG]iB$", tips.nth(0).inner_text()), "at the same time in the other chart"
    before = tips.nth(0).inner_text()
    held.append(b"y" * GIB)
    until(lambda: tips.nth(0).inner_text() not in ("", before), "it is said anew as reports come")
    held.clear()
    assert not browser.requests, [request.url for request in browser.requests]

    region.get_by_role("button", name="7 days").click()
    until(lambda: "range=7d" in page.url, "the range is in the address")
    page.reload()
    region.get_by_role("button", name="7 days", pressed=True).wait_for()
    load.wait_for()
    assert not faults(page)
    page.get_by_role("button", name="History", exact=True).click()
    region.wait_for(state="detached")
    assert "history=" not in page.url and "range=" not in page.url


def made_up(worker, now, days=30):
    """Eight cards: one that came later, one without a temperature, all away for three days."""
    step, count = 3600, days * 24
    first = now - datetime.timedelta(hours=count)
    away = range(count // 3, count // 3 + 72)
    items = []
    for card in range(8):
        here = [i not in away and (card != 5 or i > count // 2) for i in range(count)]
        wave = [0.5 + 0.4 * math.sin(i / (9 + card) + card) for i in range(count)]
        put = lambda values: [value if is_here else None for value, is_here in zip(values, here)]
        items.append({"id": f"{worker['id']}/ascend/{card}", "vendor": "ascend", "index": card, "name": "Ascend 910B3",
                      "memory_used_bytes": put([int((20 + 5 * card + 4 * w) * GIB) for w in wave]),
                      "utilization": put([round(w, 4) for w in wave]), "utilization_max": put([min(1, round(w + 0.1, 4)) for w in wave]),
                      "temperature_celsius": put([None if card == 2 else round(40 + 30 * w, 1) for w in wave])})
    text = lambda time: time.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return {"worker_id": worker["id"], "worker_name": worker["name"], "from": text(first), "to": text(now), "step_seconds": step,
            "measured_since": text(first), "items": items}


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_month_of_eight_cards(browser, served, admin, language, scheme):
    [worker] = served.items("/api/v1/workers")
    now = datetime.datetime.now(datetime.timezone.utc).replace(minute=0, second=0, microsecond=0)
    page = browser.page(admin, locale={"en": "en-GB", "zh": "zh-CN"}[language], color_scheme=scheme)
    page.route("**/devices/history*", lambda route: route.fulfill(status=200, content_type="application/json", body=json.dumps(made_up(worker, now))))
    browser.open(page, f"/workers?history={worker['name']}&range=30d")
    hot = page.get_by_role("img", name=re.compile({"en": "^Temperature: ascend.0 Ascend 910B3 ", "zh": "^温度: ascend.0 Ascend 910B3 "}[language]))
    hot.wait_for()
    assert "ascend/2" not in hot.get_attribute("aria-label"), "it tells none"
    page.locator(".legend-list li").filter(has_text="cpu/0").wait_for()   # which the worker reports: drawn anew with its line
    settled(page)
    box = hot.locator(".u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 40)
    tip = page.locator(".chart-tip").nth(2)
    until(lambda: "ascend/5" in tip.inner_text() and "°C" in tip.inner_text(), "each card's value is said")
    photograph(page, f"device-history-{language}-{scheme}")
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 40)
    until(lambda: "°C" not in tip.inner_text(), "nothing was measured while the machine was away")
    found = faults(page)
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    photograph(page, f"device-history-{language}-{scheme}-phone")
    assert not found, "\n".join(found)


def test_nothing_was_measured_then(browser, served, admin):
    [worker] = served.items("/api/v1/workers")
    tomorrow = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)   # so that no report is newer
    page = browser.page(admin)
    none = {**made_up(worker, tomorrow, days=1), "items": [], "measured_since": "2026-11-01T10:00:00.000Z"}
    page.route("**/devices/history*", lambda route: route.fulfill(status=200, content_type="application/json", body=json.dumps(none)))
    browser.open(page, f"/workers?history={worker['name']}")
    region = page.get_by_role("region", name=f"History of the devices of {worker['name']}")
    region.get_by_text("Nothing was measured in this time").wait_for()
    region.get_by_text(re.compile("^Measured since 1 Nov 2026")).wait_for()
    assert not faults(page)
