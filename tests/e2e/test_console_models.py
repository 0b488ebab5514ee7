"""The console's way from a hub to a served model, in a real browser: searched in the form, fetched while it is watched, edited, its files
kept, read again and deleted."""
import json
import re
import urllib.parse

import httpx
import pytest

from browser import PASSWORD, PHONE, Browser, chromium, faults, needs_chromium, photograph, session  # noqa: F401: fixtures
from conftest import SMOLLM2, Server, until
from remote_workers import RemoteWorker, new_token
from test_hub import GGUF, REPO, Hub

pytestmark = needs_chromium

# One of our own beside what is built in: its files are at the hub that tests/fakes/hub.py plays, and its name is an attack.
CATALOGUE = {"version": 1, "models": [
    {"id": "ours", "name": "<img src=x onerror=window.hit=1> Ours", "family": "Ours", "modality": "text", "licence": "apache-2.0", "gated": True,
     "config": {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
                "num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 49152, "max_position_embeddings": 8192,
                "tie_word_embeddings": True, "torch_dtype": "bfloat16"},
     "variants": [{"backend": "engine", "format": "gguf", "quantizations": ["Q4_K_M", "Q8_0"], "hf": "Org/listed-GGUF", "modelscope": "Org/listed-GGUF",
                   "options": {"context_tokens": 512}},
                  {"backend": "vllm", "format": "safetensors", "hf": "Org/listed", "options": {"extra_args": ["--tool-call-parser", "hermes"]}}]}]}


@pytest.fixture(scope="module")
def hub():
    with Hub() as own:
        own.add(REPO, {GGUF: SMOLLM2, "README.md": b"# SmolLM2\n", "config.json": b"{}"})
        own.add("Org/listed-GGUF", {"listed-q4_k_m.gguf": SMOLLM2, "listed-q8_0.gguf": SMOLLM2.read_bytes() + bytes(64)})   # content of its own
        own.add("Org/several-GGUF", {"several.Q4_1.gguf": SMOLLM2, "several.Q8_0.gguf": SMOLLM2})
        yield own


@pytest.fixture(scope="module")
def far(tmp_path_factory, hub):
    """A server that knows the hub, and the cookies of its administrator."""
    own = Server(tmp_path_factory.mktemp("far") / "data")
    own.data_dir.mkdir(parents=True, exist_ok=True)
    (own.data_dir / "catalogue.json").write_text(json.dumps(CATALOGUE))
    own.environment_more = {"HF_ENDPOINT": hub.url, "MODELSCOPE_ENDPOINT": hub.url}
    own.start()
    own.api("POST", "/api/v1/users", json={"name": "ada", "password": PASSWORD, "role": "admin", "must_change_password": False})
    yield own, session(own, "ada")
    own.stop()


@pytest.fixture
def surfer(chromium, far):
    own = Browser(chromium, far[0])
    yield own
    own.check()
    for context in chromium.contexts:
        context.close()


def test_the_stream_that_the_page_reads(far, hub):
    """GET /api/v1/model-files/watch: the list as it is, then each change of it, to admins alone."""
    server, _ = far
    server.api("POST", "/api/v1/users", json={"name": "eve", "password": PASSWORD, "role": "user", "must_change_password": False})
    refused = server.request("GET", "/api/v1/model-files/watch", cookies={one["name"]: one["value"] for one in session(server, "eve")})
    assert refused.status_code == 403
    source = f"modelscope:{REPO}"
    seen = []
    with httpx.stream("GET", f"{server.url}/api/v1/model-files/watch", headers={"Authorization": f"Bearer {server.key}"}, timeout=60) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        for line in answer.iter_lines():
            if not line.startswith("data:"):
                continue
            items = json.loads(line[5:])["items"]
            if not seen:
                assert items == server.items("/api/v1/model-files")
                assert server.api("POST", "/api/v1/model-files", json={"source": source}).status_code == 202
            seen.append([(one["state"], one["bytes_done"]) for one in items if one["source"] == source])
            if seen[-1] and seen[-1][0][0] == "ready":
                break
    assert seen[0] == [] and seen[-1] == [("ready", SMOLLM2.stat().st_size)]
    assert all(a != b for a, b in zip(seen, seen[1:])), "only changes are told"
    server.cli("rm", "--files", source, "--yes")


def test_from_a_hub_to_a_served_model(surfer, far, hub):
    """Found by words, judged before anything is fetched, fetched while its rate and the time left are shown, served."""
    server, cookies = far
    page = surfer.page(cookies)
    surfer.open(page, "/deployments/new")
    page.get_by_text("Search a hub").first.click()
    box = page.get_by_role("searchbox", name="Search a hub")
    box.fill("nothing-like-it")
    box.press("Enter")
    page.get_by_text("The hub has nothing named “nothing-like-it”.").wait_for()
    box.fill("smol")
    page.get_by_role("button", name="Search", exact=True).click()
    page.get_by_role("button", name=f"hf:{REPO}").click()
    assert page.get_by_label("Source").input_value() == f"hf:{REPO}"
    assert page.get_by_label("Name").input_value() == "smollm2-135m-instruct"
    page.get_by_role("complementary", name="Does it fit?").get_by_text("It fits.").wait_for()
    hub.misbehave("Signature=", rate=4 << 20)
    page.get_by_role("button", name="Deploy a model").click()
    page.get_by_role("heading", name="smollm2-135m-instruct", exact=True).wait_for()
    page.get_by_role("progressbar", name="Loading").wait_for()
    page.get_by_text(re.compile(r"MiB of 9\d\.\d MiB · .*/s · \d+ s left")).first.wait_for()
    photograph(page, "download")
    assert not faults(page)
    hub.behave()
    page.get_by_text("1 of 1 ready").wait_for(timeout=120_000)


def test_what_a_repository_has_is_chosen_from(surfer, far):
    """Of several quantizations the server takes one and says why; a click takes another. Of what is not there a refusal names those that are."""
    page = surfer.page(far[1])
    surfer.open(page, "/deployments/new?source=hf:Org/several-GGUF")
    judged = page.get_by_role("complementary", name="Does it fit?")
    judged.get_by_text("Of the hub's quantizations it is hf:Org/several-GGUF:Q4_1.").wait_for()
    assert page.get_by_label("Source").input_value() == "hf:Org/several-GGUF"
    judged.get_by_role("button", name="Q8_0").click()
    assert page.get_by_label("Source").input_value() == "hf:Org/several-GGUF:Q8_0"
    judged.get_by_text("Of the hub's quantizations").wait_for(state="detached")
    judged.get_by_text("It fits.").wait_for()
    surfer.open(page, "/deployments/new?source=hf:Org/several-GGUF:Q2_K")
    page.get_by_role("button", name="Q4_1").click()
    judged.get_by_text("It fits.").wait_for()
    assert page.get_by_label("Source").input_value() == "hf:Org/several-GGUF:Q4_1"


def address(page):
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(page.url).query))


def test_the_catalogue_is_looked_through(surfer, far):
    """Each model with its facts and whether it fits, as the API says; what is looked for stands in the address; no hub is asked."""
    server, cookies = far
    entries = {one["id"]: one for one in server.items("/api/v1/catalogue")}
    page = surfer.page(cookies)
    surfer.open(page, "/catalogue")
    cards = page.locator("section.entry")
    until(lambda: cards.count() == len(entries), "a card each")
    small = page.get_by_role("region", name="SmolLM2 135M Instruct")
    words = small.inner_text()
    assert "fits" in words and "135 M" in words and "8,192" in words and "apache-2.0" in words and "Q8_0" in words, words
    large = page.get_by_role("region", name="Llama 3.3 70B Instruct")
    if entries["llama-3.3-70b-instruct"]["verdict"] != "fits":
        assert "does not fit" in large.inner_text() and "needed" in large.locator(".entry-why").inner_text(), "and why"
    assert page.locator("img[src=x]").count() == 0 and not page.evaluate("window.hit")
    page.get_by_role("searchbox").fill("qwen3 reasoning")
    page.get_by_label("Only what fits").check()
    page.get_by_label("Order").select_option("small")
    wanted = [one for one in entries.values() if one["family"] == "Qwen3" and "reasoning" in one["abilities"] and one["verdict"] == "fits"]
    page.get_by_text(f"{len(wanted)} of {len(entries)}", exact=True).wait_for()
    assert address(page) == {"q": "qwen3 reasoning", "fits": "yes", "sort": "small"}
    assert [card.get_attribute("aria-label") for card in cards.all()] == [one["name"] for one in sorted(wanted, key=lambda one: one["parameters"])]
    page.reload()
    page.get_by_text(f"{len(wanted)} of {len(entries)}", exact=True).wait_for()
    page.get_by_role("searchbox").fill("no such thing")
    page.get_by_role("button", name="Clear the filters").click()
    page.get_by_role("region", name="Qwen3 8B", exact=True).get_by_role("button", name="All variants of Qwen3 8B").click()
    shown = page.get_by_role("dialog").inner_text()
    for variant in entries["qwen3-8b"]["variants"]:
        assert variant["quantization"] in shown and all(source in shown for source in variant["sources"]), shown
    assert not faults(page)
    page.keyboard.press("Escape")
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    photograph(page, "catalogue-phone")


def test_deployed_from_the_catalogue(surfer, far):
    """A variant of a card opens the form with what the catalogue recommends; another variant or hub changes that, and not what a person typed."""
    server, cookies = far
    page = surfer.page(cookies)
    surfer.open(page, "/catalogue?q=ours")
    page.get_by_role("link", name=re.compile("^Deploy .* as Q8_0: ")).click()
    source = page.get_by_label("Source")
    until(lambda: source.input_value() == "hf:Org/listed-GGUF:Q8_0", "the catalogue's name becomes the hub's")
    judged = page.get_by_role("complementary", name="Does it fit?")
    judged.get_by_text("It fits.").wait_for()
    picked = page.get_by_role("group", name="From the catalogue")
    assert "consent" in picked.inner_text() and page.locator("img[src=x]").count() == 0
    assert page.get_by_label("Name").input_value() == "ours"
    page.get_by_role("heading", name="Engine", exact=True).click()
    assert page.get_by_label("Context (tokens)").input_value() == "512"
    picked.get_by_label("Variant").select_option(index=2)
    until(lambda: source.input_value() == "hf:Org/listed", "of safetensors")
    assert page.get_by_label("Backend").input_value() == "vllm" and page.get_by_label("More arguments").input_value() == "--tool-call-parser hermes"
    page.get_by_label("Context (tokens)").fill("1024")
    picked.get_by_label("Variant").select_option(index=0)
    picked.get_by_role("button", name="ModelScope").click()
    until(lambda: source.input_value() == "modelscope:Org/listed-GGUF:Q4_K_M", "at the other hub")
    assert page.get_by_label("Context (tokens)").input_value() == "1024" and page.get_by_label("More arguments").input_value() == ""
    judged.get_by_text("It fits.").wait_for()
    photograph(page, "deploy-from-catalogue")
    assert not faults(page)
    page.get_by_label("Name").fill("from-the-catalogue")
    page.get_by_role("button", name="Deploy a model").click()
    page.get_by_role("heading", name="from-the-catalogue", exact=True).wait_for()
    made = server.api("GET", "/api/v1/deployments/from-the-catalogue").json()
    assert (made["source"], made["backend"], made["options"]["context_tokens"]) == ("modelscope:Org/listed-GGUF:Q4_K_M", "engine", 1024)
    server.cli("rm", "from-the-catalogue", "--yes")
    # Named in the form itself, or picked there; what the catalogue does not have is said at the field.
    surfer.open(page, "/deployments/new")
    source.fill("catalogue:ours:Q2_K")
    page.get_by_text("The catalogue has no such variant; there are Q4_K_M, Q8_0").wait_for()
    source.fill("catalogue:nothing")
    page.get_by_text('The catalogue has no "nothing"').wait_for()
    source.fill("")
    page.get_by_text("Pick from the catalogue").click()
    page.get_by_role("searchbox", name="Search the catalogue").fill("smollm2 135m")
    page.get_by_role("button", name="SmolLM2 135M Instruct").click()
    until(lambda: source.input_value().startswith("hf:"), "picked")
    assert page.get_by_label("Name").input_value() == "smollm2-135m-instruct"


def test_a_deployment_is_edited(surfer, far):
    """What it runs changes, and only that; a form that somebody else was faster than is refused in words."""
    server, cookies = far
    if not server.items("/api/v1/deployments"):
        server.deploy("smollm2-135m-instruct")
    page = surfer.page(cookies)
    surfer.open(page, "/deployments/smollm2-135m-instruct")
    page.get_by_role("link", name="Edit").click()
    page.get_by_role("heading", name="Edit smollm2-135m-instruct").wait_for()
    assert page.get_by_role("button", name="Save").is_disabled(), "nothing is changed yet"
    page.get_by_role("heading", name="Engine", exact=True).click()
    page.get_by_label("Context (tokens)").fill("2048")
    page.get_by_text("new ones start and take over").wait_for()
    photograph(page, "edit")
    with page.expect_request("**/api/v1/deployments/*") as asked:
        page.get_by_role("button", name="Save").click()
    assert set(json.loads(asked.value.post_data)) == {"options", "version"}
    page.get_by_role("heading", name="Revisions").wait_for()
    until(lambda: (lambda one: one["options"]["context_tokens"] == 2048 and one["status"]["rollout"]["state"] == "complete")(
        server.items("/api/v1/deployments")[0]), "the new revision runs")
    page.get_by_role("link", name="Edit").click()
    page.get_by_role("heading", name="Operation").click()
    page.get_by_label("Sleeps after (minutes)").fill("90")
    one = server.items("/api/v1/deployments")[0]
    assert server.api("PATCH", f"/api/v1/deployments/{one['id']}", json={"idle_timeout_seconds": 60}).status_code == 200
    page.get_by_role("button", name="Save").click()
    page.get_by_role("alert").filter(has_text="changed meanwhile").wait_for()


def test_model_files(surfer, far, hub):
    """Fetched ahead while the page shows it, read again, kept from those in use, deleted by name. The page asks nothing by a clock."""
    server, cookies = far
    page = surfer.page(cookies)
    surfer.open(page, "/models/files")
    until(lambda: page.get_by_text("No files from hubs yet").count() + page.get_by_role("row").count() > 0, "the list is there")
    source = f"modelscope:{REPO}/{GGUF}"
    page.get_by_role("button", name="Fetch a model").first.click()
    page.get_by_role("textbox", name="Source").or_(page.get_by_role("combobox", name="Source")).fill(source)
    assert not faults(page)
    page.get_by_role("dialog").get_by_role("button", name="Fetch a model").click()
    row = page.get_by_role("row").filter(has_text=source)
    row.get_by_text("ready").wait_for(timeout=60_000)
    surfer.requests.clear()
    row.get_by_role("button", name="Read modelscope").click()
    page.get_by_text(f"{source} is what the hub lists").wait_for()
    assert [request.method for request in surfer.requests] == ["POST"], "one request, and no list read again"
    photograph(page, "files")
    used = page.get_by_role("row").filter(has_text=f"hf:{REPO}")
    if used.count() > 0:
        assert used.get_by_role("button", name="A deployment uses them").is_disabled()
    row.get_by_role("button", name="Delete modelscope").click()
    assert page.get_by_role("dialog").get_by_role("button", name="Delete").is_disabled(), "the name is asked first"
    page.get_by_label(re.compile("^Type ")).fill(source)
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    row.wait_for(state="detached")
    assert source not in [one["source"] for one in server.items("/api/v1/model-files")]


def test_model_files_of_each_worker(surfer, far, hub, tmp_path):
    """The same source on two machines: two rows, each with what can be done there; a download is paused and goes on."""
    server, cookies = far
    worker = RemoteWorker(server, tmp_path, "beta")
    try:
        with pytest.MonkeyPatch.context() as environment:   # of the worker, which knows the same hub
            environment.setenv("HF_ENDPOINT", hub.url)
            worker.start(new_token(server))
        until(worker.ready, "the worker reports")
        source = "hf:Org/listed-GGUF:Q4_K_M"   # none that another test deploys
        server.cli("pull", source)
        beta = next(one for one in server.items("/api/v1/workers") if one["name"] == "beta")
        server.api("PATCH", f"/api/v1/workers/{beta['id']}", json={"labels": {"rack": "b"}})
        made = server.api("POST", "/api/v1/deployments", json={"name": "elsewhere", "source": source, "placement": {"worker_labels": {"rack": "b"}}})
        assert made.status_code == 201, made.text
        assert server.running("elsewhere")[0]["worker_name"] == "beta"
        page = surfer.page(cookies)
        surfer.open(page, "/models/files?q=listed")
        rows = page.get_by_role("row").filter(has_text=source)
        until(lambda: rows.filter(has_text="beta").count() == 1 and rows.count() == 2, "a row for each machine")
        page.get_by_label("Worker").select_option("beta")
        until(lambda: rows.count() == 1, "that one's")
        assert address(page)["worker"] == "beta" and "elsewhere" in rows.first.inner_text()
        photograph(page, "files-of-workers")
        assert not faults(page)
        rows.get_by_role("button", name=f"Read {source}").click()
        page.get_by_text(f"{source} is what the hub lists").wait_for()
        server.cli("rm", "elsewhere", "--yes")
        until(lambda: all(one["worker_name"] != "beta" for one in server.items("/api/v1/instances")), "its engine has ended")
        remove = rows.get_by_role("button", name=f"Delete {source}")
        until(remove.is_enabled, "nobody uses them")
        remove.click()
        page.get_by_text("come free on beta").wait_for()
        page.get_by_label(re.compile("^Type ")).fill(source)
        with page.expect_response(lambda got: got.request.method == "DELETE") as answer:
            page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        assert answer.value.status == 204, answer.value.text()
        rows.filter(has_text="beta").wait_for(state="detached")
        [left] = [one["worker_name"] for one in server.items("/api/v1/model-files") if one["source"] == source]
        assert left != "beta", "the server's own are kept"
    finally:
        worker.stop()
    # Paused where it is, and gone on with.
    hub.misbehave("Signature=", rate=4 << 20)
    page = surfer.page(cookies)
    surfer.open(page, "/models/files")
    slow = "hf:Org/listed-GGUF:Q8_0"
    assert server.api("POST", "/api/v1/model-files", json={"source": slow}).status_code == 202
    row = page.get_by_role("row").filter(has_text=slow)
    row.get_by_role("button", name="Pause the download").click()
    row.get_by_text("paused").wait_for()
    photograph(page, "files-paused")
    hub.behave()
    row.get_by_role("button", name="Go on with the download").click()
    row.get_by_text("ready", exact=True).wait_for()
