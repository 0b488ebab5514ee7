"""The playground in a real browser: panels with parameters of their own, models of other kinds than chat, tools."""
import base64
import json
import pathlib
import re

import pytest

from browser import PHONE, admin, browser, chromium, faults, needs_chromium, photograph, served  # noqa: F401: fixtures
from conftest import MINILM, RERANKER, TEMPLATES
from fake_engines import FakeEngines

pytestmark = needs_chromium


def test_panels_with_parameters_of_their_own(browser, served, admin):
    """They reach the server, are told apart in the results, and go along in the link; the charts are saved as a picture."""
    page = browser.page(admin, permissions=["clipboard-read", "clipboard-write"])
    browser.open(page, "/playground?mode=compare&models=smollm2&panels=2")
    page.get_by_label("Max tokens").fill("24")
    page.get_by_role("button", name="Own parameters of panel 2").click()
    second = page.get_by_role("region", name="Panel 2", exact=True)
    second.get_by_label("Max tokens").fill("5")
    second.get_by_label("Temperature").fill("0")
    page.get_by_role("textbox", name="Prompt", exact=True).fill("Count from one to fifty in words.")
    with page.expect_request("**/api/v1/compare") as asked:
        page.get_by_role("button", name="Run").click()
    panels = json.loads(asked.value.post_data)["panels"]
    assert [(one["max_tokens"], one["temperature"]) for one in panels] == [(24, 0.7), (5, 0)]
    page.get_by_role("heading", name="Results").wait_for()
    results = page.get_by_role("region", name="Results").first
    results.get_by_text("max_tokens 5, temperature 0").wait_for()
    assert results.get_by_role("row").count() == 3, "the head and a line for each"
    assert not faults(page)
    page.get_by_role("button", name="Save").click()
    with page.expect_download() as saved:
        page.get_by_role("menuitem", name=re.compile("PNG")).click()
    picture = pathlib.Path(saved.value.path()).read_bytes()
    assert picture.startswith(b"\x89PNG") and int.from_bytes(picture[16:20], "big") == 2400 and len(picture) > 10_000
    page.get_by_role("button", name="Copy a link").click()
    page.get_by_text("The link is copied").wait_for()
    link = page.evaluate("navigator.clipboard.readText()")
    other = browser.page(admin)
    browser.open(other, link.removeprefix(served.url))
    assert other.get_by_role("textbox", name="Prompt", exact=True).input_value() == "Count from one to fifty in words."
    other.get_by_text("max_tokens 5, temperature 0").wait_for()
    assert other.get_by_label("Max tokens").input_value() == "24"


@pytest.fixture(scope="module")
def kinds(served):
    if missing := [path.name for path in (MINILM, RERANKER) if not path.exists()]:
        pytest.skip(f"{', '.join(missing)} not in the model cache: ./dev models minilm-l6 synthetic-rerank-minilm")
    served.deploy("minilm", source=f"file:{MINILM}")
    served.deploy("reranker", source=f"file:{RERANKER}")
    served.deploy("tools", "--ctx", "4096", "--arg=--chat-template", f"--arg={TEMPLATES}/Qwen-Qwen2.5-7B-Instruct.jinja")
    return served


def test_playground_of_other_kinds(browser, kinds, admin):
    """Each kind has its tab because a model of it runs, and what the tab shows is what the API says."""
    page = browser.page(admin)
    browser.open(page, "/playground?model=minilm")
    page.get_by_role("button", name="Embeddings", pressed=True).wait_for()
    page.get_by_role("button", name="Compare", exact=True).last.click()
    matrix = page.get_by_role("region", name="Likeness (cosine)").last
    matrix.wait_for()
    texts = [page.get_by_label(f"Text {n}", exact=True).input_value() for n in (1, 2, 3, 4)]
    data = kinds.api("POST", "/v1/embeddings", json={"model": "minilm", "input": texts}).json()["data"]
    vectors = [one["embedding"] for one in sorted(data, key=lambda one: one["index"])]
    likeness = sum(a * b for a, b in zip(vectors[0], vectors[1]))
    assert float(matrix.get_by_role("cell").nth(1).inner_text()) == pytest.approx(likeness, abs=0.006)
    page.get_by_role("img", name="The texts as points").wait_for()
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.set_viewport_size({"width": 1360, "height": 860})
    photograph(page, "embeddings")
    assert not faults(page)

    page.get_by_role("button", name="Rerank").click()
    page.get_by_role("button", name="Rank", exact=True).click()
    page.get_by_role("heading", name="In order").wait_for()
    documents = [page.get_by_label(f"Document {n}", exact=True).input_value() for n in (1, 2, 3)]
    question = page.get_by_label("Question", exact=True).input_value()
    results = kinds.api("POST", "/v1/rerank", json={"model": "reranker", "query": question, "documents": documents}).json()["results"]
    best = documents[max(results, key=lambda one: one["relevance_score"])["index"]]
    assert best in page.get_by_role("region", name="In order").get_by_role("listitem").first.inner_text()
    photograph(page, "rerank")
    assert not faults(page)

    page.get_by_role("button", name="Completion").click()
    page.get_by_role("button", name="Go on").wait_for()
    page.get_by_role("combobox", name="Model").select_option("smollm2")
    page.get_by_label("Max tokens").fill("7")
    page.get_by_role("button", name="Go on").click()
    page.get_by_text("→ 7 tokens").wait_for()
    assert page.locator("mark").inner_text().strip()


def test_tools_are_called_and_answered(browser, kinds, admin):
    page = browser.page(admin)
    browser.open(page, "/playground?model=tools")
    page.get_by_text("Tools", exact=True).click()
    page.get_by_label("Definition (JSON)").fill("{")
    page.get_by_text("This is no JSON yet.").wait_for()
    page.get_by_label("Definition (JSON)").fill("")
    page.get_by_role("button", name="Put in an example").click()
    page.get_by_label("Calls").select_option("required")
    page.get_by_label("Max tokens").fill("200")
    page.get_by_role("textbox", name="Message").fill("How is the weather in Rome?")
    page.get_by_role("button", name="Send").click()
    call = page.get_by_role("region", name="Call of weather")
    call.wait_for()
    page.get_by_label("What weather gave").fill("sunny, 21 degrees")
    assert set(json.loads(call.locator("pre").inner_text())) == {"city", "days"}
    photograph(page, "tools")
    assert not faults(page)
    page.get_by_label("Calls").select_option("none")
    page.get_by_label("Max tokens").fill("5")
    with page.expect_request("**/v1/chat/completions") as asked:
        page.get_by_role("button", name="Give it to the model").click()
    messages = json.loads(asked.value.post_data)["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool"]
    assert messages[2]["content"] == "sunny, 21 degrees" and messages[2]["tool_call_id"] == messages[1]["tool_calls"][0]["id"]
    page.get_by_text("→ 5 tokens").wait_for()
    # Edited and sent again: what came after the question is gone.
    page.get_by_role("button", name="Edit and send again").first.click()
    box = page.get_by_role("textbox", name="Message")
    assert box.input_value() == "How is the weather in Rome?"
    box.fill("Say hello.")
    with page.expect_request("**/v1/chat/completions") as asked:
        page.get_by_role("button", name="Send").click()
    assert [message["content"] for message in json.loads(asked.value.post_data)["messages"]] == ["Say hello."]
    page.get_by_text("→ 5 tokens").wait_for()


def test_pictures_go_to_models_that_see(browser, kinds, admin, tmp_path):
    """Whether a model sees, its files say; only then is there a button for pictures, and they go along as data."""
    folder = tmp_path / "seer"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({
        "architectures": ["Qwen2VLForConditionalGeneration"], "model_type": "qwen2_vl", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "intermediate_size": 128, "vocab_size": 1000, "max_position_embeddings": 512, "torch_dtype": "float16",
        "vision_config": {"depth": 2, "embed_dim": 32, "num_heads": 2}}))
    head = json.dumps({"w": {"dtype": "F16", "shape": [64, 64], "data_offsets": [0, 8192]}}).encode()
    (folder / "model.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + bytes(8192))
    FakeEngines(kinds, tmp_path, "seer").deploy(source=f"file:{folder}")
    page = browser.page(admin)
    browser.open(page, "/playground?model=smollm2&mode=chat")
    page.get_by_role("button", name="Send").wait_for()
    assert page.get_by_role("button", name="Add pictures").count() == 0
    page.get_by_role("combobox", name="Model").select_option("seer")
    page.get_by_role("button", name="Add pictures").wait_for()
    dot = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==")
    page.get_by_label("Add pictures").and_(page.locator("input")).set_input_files({"name": "dot.png", "mimeType": "image/png", "buffer": dot})
    page.get_by_role("img", name="Picture 1").wait_for()
    page.get_by_role("textbox", name="Message").fill("What is it?")
    with page.expect_request("**/v1/chat/completions") as asked:
        page.get_by_role("button", name="Send").click()
    content = json.loads(asked.value.post_data)["messages"][0]["content"]
    assert [part["type"] for part in content] == ["image_url", "text"]
    assert base64.b64decode(content[0]["image_url"]["url"].removeprefix("data:image/png;base64,")) == dot
    page.get_by_text("→ 5 tokens").wait_for()
    page.get_by_role("button", name="Code").click()
    shown = page.get_by_label("curl").inner_text()
    assert "data:image/png;base64,…" in shown and base64.b64encode(dot).decode() not in shown
