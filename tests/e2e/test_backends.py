"""Which backends there are and where each works: two workers, each with programs of its own in PATH, as API, command line and console show
them. The programs are files that are never started: versions are read from what lies beside them."""
import os

import pytest

from browser import (PASSWORD, PHONE, Browser, admin, browser, chromium, faults, needs_chromium, photograph,   # noqa: F401: fixtures
                     session, settled)
from conftest import GANTRY, Server, until
from remote_workers import RemoteWorker, new_token


def install(folder, version, program="vllm"):
    """As `pip install` into a virtual environment lays it out; another version takes the place of a former one."""
    bin_folder, packages = folder / "bin", folder / "lib/python3.11/site-packages"
    bin_folder.mkdir(parents=True, exist_ok=True)
    packages.mkdir(parents=True, exist_ok=True)
    (bin_folder / program).write_text(f"#!{bin_folder}/python3\nraise SystemExit('nobody starts this')\n")
    (bin_folder / program).chmod(0o755)
    for former in packages.glob(f"{program}-*.dist-info"):
        former.rmdir()
    (packages / f"{program}-{version}.dist-info").mkdir()
    return bin_folder / program


class Cluster:
    def __init__(self, folder):
        self.homes = {name: folder / f"{name}-programs" for name in ("alpha", "beta")}
        install(self.homes["alpha"], "0.32.0+cpu")
        self.server = Server(folder / "server", "--no-worker").start()
        self.workers = []
        for name, home in self.homes.items():
            path = f"{home}/bin:/usr/local/bin:/usr/bin:/bin"
            self.workers.append(RemoteWorker(self.server, folder, name, prefix=("env", f"PATH={path}")).start(new_token(self.server)))
        for worker in self.workers:
            until(worker.ready, f"{worker.name} is ready")

    def on(self, backend, worker):
        [found] = [one for one in self.server.items("/api/v1/backends") if one["name"] == backend]
        return next(one for one in found["workers"] if one["worker_name"] == worker)

    def deploy_on(self, worker, name):
        self.server.deploy(name, "--ctx", "512", "--devices", f"{worker}/cpu/0")

    def stop(self):
        for worker in self.workers:
            worker.stop()
        self.server.stop()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    made = Cluster(tmp_path_factory.mktemp("backends"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def served(cluster):
    return cluster.server


def test_each_worker_tells_its_programs_and_what_to_do_for_those_it_lacks(cluster):
    server = cluster.server
    alpha, beta = (until(lambda: (lambda one: one if one["state"] != "unknown" else None)(cluster.on("vllm", name)), f"{name} has said")
                   for name in ("alpha", "beta"))
    assert (alpha["state"], alpha["version"], alpha["path"]) == ("ready", "0.32.0+cpu", str(cluster.homes["alpha"] / "bin/vllm")), alpha
    assert [(one["vendor"], one["works"]) for one in alpha["devices"] if one["vendor"] == "cpu"] == [("cpu", True)], alpha
    assert (beta["state"], beta["version"], beta["path"]) == ("missing", "", ""), beta
    assert "pip install vllm" in beta["next_step"] and "options.binary" in beta["next_step"], beta
    assert all(one["works"] for one in beta["devices"] if one["vendor"] == "cpu"), "with a program it would"

    version = server.cli_json("version")["version"]
    for name in ("alpha", "beta"):
        engine = cluster.on("engine", name)
        assert (engine["state"], engine["version"], engine["next_step"]) == ("ready", version, ""), engine
        assert os.path.samefile(engine["path"], GANTRY)
        assert cluster.on("custom", name)["state"] == "by_command"
        mindie = cluster.on("mindie", name)
        assert mindie["state"] == "refused" and "Ascend" in mindie["reason"], mindie
    workers = {one["name"]: {backend["name"]: backend["version"] for backend in one["backends"]} for one in server.items("/api/v1/workers")}
    assert workers["alpha"]["vllm"] == "0.32.0+cpu" and "vllm" not in workers["beta"] and workers["beta"]["engine"] == version


def test_paths_are_for_admins(cluster):
    server = cluster.server
    made = server.api("POST", "/api/v1/users", json={"name": "bob", "password": "12345678", "role": "user", "must_change_password": False}).json()
    key = server.api("POST", "/api/v1/keys", json={"name": "bobs", "user_id": made["id"]}).json()["secret"]
    seen = server.api("GET", "/api/v1/backends", key=key)
    assert seen.status_code == 200 and str(cluster.homes["alpha"]) not in seen.text and "0.32.0+cpu" in seen.text
    assert server.request("GET", "/api/v1/backends").status_code == 401


def test_the_command_line_shows_the_same(cluster):
    server = cluster.server
    lines = [line.split() for line in server.cli("backends").stdout.splitlines()]
    assert lines[0][:4] == ["BACKEND", "WORKER", "STATE", "VERSION"]
    assert ["vllm", "alpha", "ready", "0.32.0+cpu", "cpu/0"] in lines, lines
    assert any(line[:3] == ["vllm", "beta", "missing"] for line in lines), lines
    told = server.cli("backends", "vllm").stdout
    for words in ("https://docs.vllm.ai", "safetensors", "alpha: ready (0.32.0+cpu, ", "beta: missing", "pip install vllm", "no vllm in the PATH"):
        assert words in told, f"{words} is not in:\n{told}"
    assert "not on cpu/0: MindIE runs on Ascend devices only" in server.cli("backends", "mindie").stdout
    assert server.cli("backends", "-q").stdout.split() == ["engine", "llama-server", "vllm", "sglang", "mindie", "custom"]
    assert server.cli_json("backends", "vllm")["workers"] == [cluster.on("vllm", name) for name in ("alpha", "beta")]
    wrong = server.cli("backends", "vlm", check=False)
    assert wrong.returncode == 1 and 'did you mean "vllm"' in wrong.stderr


@needs_chromium
def test_the_page_says_where_why_not_and_what_to_do(cluster, browser, admin):
    server = cluster.server
    assert server.api("POST", "/api/v1/deployments", json={"name": "big", "source": "file:/models/big", "backend": "vllm", "stopped": True}).status_code == 201
    page = browser.page(admin)
    browser.open(page, "/backends")
    card = page.get_by_role("region", name="vLLM")
    card.get_by_text("works on 1 of 2 workers").wait_for()
    assert "0.32.0+cpu on 1" in card.inner_text() and "safetensors" in card.inner_text()
    card.get_by_role("button", name="Workers (2)").click()
    places = card.get_by_role("list", name="vLLM on each worker").get_by_role("listitem")
    beta = places.filter(has_text="beta")
    assert "not installed" in beta.inner_text() and "pip install vllm" in beta.inner_text()
    assert "open=vllm" in page.url
    photograph(page, "backends")
    assert not faults(page)

    page.reload()
    card.get_by_role("list", name="vLLM on each worker").wait_for()
    page.get_by_role("searchbox", name="Filter").fill("ascend")
    page.get_by_text("Nothing here holds").wait_for()
    page.get_by_role("searchbox", name="Filter").fill("0.32.0+cpu")
    card.wait_for()
    assert page.get_by_role("link", name="Deploy with it").count() == 1 and "q=0.32.0" in page.url
    page.get_by_role("searchbox", name="Filter").fill("")
    card.get_by_text("Flags that a deployment may give it").click()
    card.get_by_text("--enforce-eager").wait_for()
    photograph(page, "backends-flags")

    # By keyboard, and without a mouse.
    unfold = page.get_by_role("region", name="MindIE").get_by_role("button", name="Workers (2)")
    unfold.focus()
    page.keyboard.press("Enter")
    page.get_by_role("list", name="MindIE on each worker").get_by_text("MindIE runs on Ascend devices only").first.wait_for()
    assert unfold.get_attribute("aria-expanded") == "true"

    card.get_by_role("link", name="big").click()
    page.get_by_role("heading", name="big", exact=True).wait_for()
    page.go_back()
    card.get_by_role("link", name="Deploy with it").click()
    page.get_by_label("Backend").wait_for()
    assert page.get_by_label("Backend").input_value() == "vllm"


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_chinese_and_on_a_phone(cluster, browser, admin, scheme):
    page = browser.page(admin, locale="zh-CN", color_scheme=scheme)
    browser.open(page, "/backends?open=vllm")
    settled(page)
    page.get_by_text("节点的 PATH 中没有 vllm").first.wait_for()
    page.get_by_text("请在该节点上安装：pip install vllm").first.wait_for()
    photograph(page, f"backends-zh-{scheme}")
    found = faults(page)
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    photograph(page, f"backends-zh-{scheme}-phone")
    assert not found + faults(page)


@needs_chromium
def test_what_is_installed_meanwhile_is_seen_without_a_reload(cluster, browser, admin):
    page = browser.page(admin)
    browser.open(page, "/backends?open=vllm")
    card = page.get_by_role("region", name="vLLM")
    card.get_by_text("works on 1 of 2 workers").wait_for()
    install(cluster.homes["beta"], "0.33.0+cpu")
    cluster.deploy_on("beta", "knock")   # who deploys is not made to wait for the next look
    card.get_by_text("works on 2 of 2 workers").wait_for()
    assert "0.33.0+cpu on 1" in card.inner_text()
    # A build for accelerators is there, but of no use on a CPU: its own files say so.
    install(cluster.homes["beta"], "0.33.0")
    cluster.deploy_on("beta", "knock-again")
    card.get_by_text("works on 1 of 2 workers").wait_for()
    card.get_by_text("is a build for accelerators").first.wait_for()
    card.get_by_text("Install a build of it for these devices").wait_for()


@needs_chromium
def test_without_workers_the_page_says_what_would_tell(chromium, fresh_server):
    fresh_server.flags = ("--no-worker",)
    server = fresh_server.start()
    server.api("POST", "/api/v1/users", json={"name": "ada", "password": PASSWORD, "role": "admin", "must_change_password": False})
    alone = Browser(chromium, server)
    page = alone.page(session(server, "ada"))
    alone.open(page, "/backends")
    page.get_by_role("heading", name="No machine could run a backend yet").wait_for()
    assert page.get_by_text("works nowhere yet").count() == 5 and not faults(page)
    photograph(page, "backends-none")
    page.locator("main").get_by_role("link", name="Workers & devices").click()
    page.get_by_role("heading", name="No machine yet").wait_for()
    alone.check()
    assert "no worker" in server.cli("backends").stdout


def test_a_worker_that_is_gone_keeps_what_it_said_and_is_marked(cluster):
    cluster.workers[1].stop()
    until(lambda: cluster.on("engine", "beta")["worker_state"] == "unreachable", "beta is missed", timeout=40)
    assert any(line.split()[:4] == ["engine", "beta", "ready,", "unreachable"] for line in cluster.server.cli("backends").stdout.splitlines())
