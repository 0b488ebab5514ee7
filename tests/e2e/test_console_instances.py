"""The console's page of a deployment in a real browser: what its engines say of themselves as they say it, and what an instance went through,
each held against the API."""
import os
import signal

import pytest

from browser import PASSWORD, PHONE, admin, browser, chromium, faults, needs_chromium, photograph, served, session   # noqa: F401: fixtures
from conftest import until
from remote_workers import ask

pytestmark = needs_chromium


def figures(server, name="smollm2"):
    answer = server.api("GET", f"/api/v1/deployments/{name}/metrics")
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def fact(region, name):
    return region.locator("dl > div").filter(has_text=name).locator("dd").inner_text()


def test_what_its_engine_says_now(browser, served, admin):
    """Seen while a request runs; the figures are the engine's own; nobody polls."""
    [before] = figures(served)
    page = browser.page(admin)
    browser.open(page, "/deployments/smollm2")
    now = page.get_by_role("region", name="Now", exact=True)
    now.wait_for()
    browser.requests.clear()
    ask(served, "smollm2", tokens=300)
    until(lambda: fact(now, "TTFT") not in ("–", ""), "the first token is told")
    [after] = until(lambda: (lambda items: items if items[0]["first_token_count"] == before["first_token_count"] + 1 else None)(figures(served)),
                    "the engine counts it")
    assert after["generated_tokens_total"] >= before["generated_tokens_total"] + 2
    assert 0 < after["first_token_seconds_sum"] - before["first_token_seconds_sum"] < 60
    assert after["sequences_running"] == 0 and 0 <= after["kv_usage_ratio"] <= 1
    now.get_by_role("img").wait_for()
    until(lambda: "0.00" not in now.get_by_role("img").get_attribute("aria-label"), "its speed was seen")
    assert fact(now, "Being computed") in ("0", "1") and fact(now, "KV cache").endswith("%")
    assert not browser.requests, [request.url for request in browser.requests]
    photograph(page, "figures")
    assert not faults(page)


def test_what_an_instance_went_through(browser, served, admin):
    """Killed while it is watched: its timeline goes on, with the reason that the server gives."""
    [instance] = served.running("smollm2")
    page = browser.page(admin)
    browser.open(page, "/deployments/smollm2")
    page.get_by_role("button", name="Timeline").click()
    timeline = page.get_by_role("region", name=f"Timeline of {instance['id']}")
    timeline.get_by_role("listitem").first.filter(has_text="running").wait_for()
    events = served.items(f"/api/v1/instances/{instance['id']}/events")
    states = [event["state"] for event in events]
    assert states[:2] == ["pending", "scheduled"] and states[-1] == "running" and "starting" in states
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)
    os.kill(instance["pid"], signal.SIGKILL)
    rows = timeline.get_by_role("listitem")
    until(lambda: "restarts: 1" in rows.first.inner_text() and "running" in rows.first.inner_text(), "it is back, and its timeline says so")
    events = served.items(f"/api/v1/instances/{instance['id']}/events")
    assert events[-1]["state"] == "running" and events[-1]["restarts"] == 1
    assert any("SIGKILL" in event["reason"] for event in events), events
    assert rows.count() == len(events) and timeline.get_by_text("killed by SIGKILL").count() > 0
    assert timeline.get_by_role("img").get_attribute("aria-label").count("running") >= 2
    photograph(page, "timeline")
    assert not faults(page)
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    photograph(page, "timeline-phone")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_chinese(browser, served, admin, scheme):
    page = browser.page(admin, locale="zh-CN", color_scheme=scheme)
    browser.open(page, "/deployments/smollm2")
    page.get_by_role("region", name="实时指标").wait_for()
    page.get_by_role("button", name="时间线").click()
    page.get_by_role("listitem").filter(has_text="运行中").first.wait_for()
    photograph(page, f"instance-zh-{scheme}")
    assert not faults(page)


def test_a_user_sees_them_without_what_is_an_admins(browser, served):
    served.api("POST", "/api/v1/users", json={"name": "uma", "password": PASSWORD, "role": "user", "must_change_password": False})
    page = browser.page(session(served, "uma"))
    browser.open(page, "/deployments/smollm2")
    page.get_by_role("region", name="Now", exact=True).wait_for()
    page.get_by_role("button", name="Timeline").click()
    page.get_by_role("listitem").filter(has_text="running").first.wait_for()
    assert page.get_by_role("alert").count() == 0 and page.get_by_role("button", name="Logs").count() == 0


def test_the_api_refuses_what_is_not_there(served):
    for path, status in (("/api/v1/instances/ins_none/events", 404), ("/api/v1/deployments/none/metrics", 404), ("/api/v1/deployments/none/metrics?follow=true", 404),
                         ("/api/v1/deployments/smollm2/metrics?follow=perhaps", 400)):
        answer = served.api("GET", path)
        assert answer.status_code == status and set(answer.json()["error"]) == {"message", "type", "param", "code"}, (path, answer.text)
