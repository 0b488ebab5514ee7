"""The console's page of a deployment whose instance two workers run together: each part, where it is and how it is, held against the API."""
import os
import pathlib
import signal

import pytest

from browser import PHONE, admin, browser, chromium, faults, needs_chromium, photograph   # noqa: F401: fixtures
from conftest import LLAMA_SERVER, SMOLLM2, Server, until
from remote_workers import RemoteWorker, new_token

RPC_SERVER = pathlib.Path(LLAMA_SERVER).parent / "ggml-rpc-server"
pytestmark = [needs_chromium,
              pytest.mark.skipif(not RPC_SERVER.is_file(), reason="no ggml-rpc-server beside LLAMA_SERVER: ./dev build release llama-server ggml-rpc-server")]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    server = Server(folder / "server", "--no-worker").start()
    workers = [RemoteWorker(server, folder, name).start(new_token(server), "--data-address", address)
               for name, address in (("lead", "127.0.0.2"), ("follow", "127.0.0.3"))]
    for worker in workers:
        until(worker.ready, f"{worker.name} is ready")
    server.cli("deploy", "both", "--source", str(SMOLLM2), "--backend", "llama-server", "--binary", LLAMA_SERVER, "--ctx", "1024",
               "--max-sequences", "2", "--across-workers", "--devices", "lead/cpu/0,follow/cpu/0")
    until(lambda: running(server), "it runs on both")
    yield server
    for worker in workers:
        worker.stop()
    server.stop()


def running(server):
    found = server.instances("both")
    return found[0] if found and found[0]["state"] == "running" else None


def parts_on(page, instance):
    return page.get_by_role("list", name=instance["id"]).get_by_role("listitem")


def test_every_part_is_shown_with_its_own_devices(browser, served, admin):
    instance = running(served)
    page = browser.page(admin)
    browser.open(page, "/deployments/both")
    parts = parts_on(page, instance)
    parts.first.wait_for()
    page.get_by_text("2 workers run it together").wait_for()
    assert parts.count() == len(instance["parts"]) == 2
    for at, part in enumerate(instance["parts"]):
        text = parts.nth(at).inner_text()
        claims = [claim for claim in instance["placement"]["claims"] if claim["worker_id"] == part["worker_id"]]
        assert text.startswith(part["worker_name"]) and "running" in text and claims, text
        assert all(claim["device"] in text for claim in claims) and text.count("cpu/0") == len(claims), (text, claims)
        assert ("leads" in text) == (at == 0), text
    photograph(page, "parts")
    assert not faults(page)
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    photograph(page, "parts-phone")


def test_the_end_of_a_part_is_seen(browser, served, admin):
    instance = running(served)
    page = browser.page(admin)
    browser.open(page, "/deployments/both")
    parts = parts_on(page, instance)
    parts.first.wait_for()
    os.kill(instance["parts"][1]["pid"], signal.SIGKILL)
    until(lambda: "restarts: 1" in parts.nth(1).inner_text() and "running" in parts.nth(1).inner_text(), "it is back, and the page says so")
    until(lambda: running(served), "all of it runs again")
    assert running(served)["parts"][1]["restarts"] == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_chinese(browser, served, admin, scheme):
    instance = until(lambda: running(served), "it runs")
    page = browser.page(admin, locale="zh-CN", color_scheme=scheme)
    browser.open(page, "/deployments/both")
    parts = parts_on(page, instance)
    parts.first.wait_for()
    page.get_by_text("由 2 个工作节点共同运行").wait_for()
    assert "主节点" in parts.first.inner_text() and "主节点" not in parts.nth(1).inner_text()
    photograph(page, f"parts-zh-{scheme}")
    assert not faults(page)
