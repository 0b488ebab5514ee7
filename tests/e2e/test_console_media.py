"""The playground's pictures and speech in a real browser, with an outside provider that draws, speaks and hears (tests/fakes/media_api.py): what
the forms ask for, what is shown and kept of the answers."""
import io
import pathlib
import subprocess
import sys
import wave

import httpx
import pytest

from browser import PHONE, admin, browser, chromium, faults, needs_chromium, photograph, served   # noqa: F401: fixtures
from conftest import until

pytestmark = needs_chromium
FAKE = pathlib.Path(__file__).resolve().parents[1] / "fakes/media_api.py"


class MediaApi:
    def __init__(self):
        self.process = subprocess.Popen([sys.executable, str(FAKE)], stdout=subprocess.PIPE, text=True)
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"

    def last(self):
        return httpx.get(f"{self.url}/asked").json()[-1]["fields"]

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture(scope="module")
def media(served):
    own = MediaApi()
    made = served.api("POST", "/api/v1/providers", json={"name": "media", "base_url": f"{own.url}/v1", "models": ["dall-e-3", "tts-1", "whisper-1"]})
    assert made.status_code == 201, made.text
    yield own
    own.stop()


def downloaded(page, button):
    with page.expect_download() as loaded:
        button.click()
    return loaded.value.suggested_filename, pathlib.Path(loaded.value.path()).read_bytes()


def fits_a_phone(page, name):
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    photograph(page, f"{name}-phone")
    page.set_viewport_size({"width": 1360, "height": 860})


def test_pictures(browser, admin, media):
    page = browser.page(admin)
    browser.open(page, "/playground?model=media/dall-e-3")
    page.get_by_role("button", name="Image", pressed=True).wait_for()
    page.get_by_label("Prompt").fill("a crane")
    page.get_by_label("Size").fill("96x64")
    page.get_by_label("Pictures").fill("2")
    page.get_by_label("Seed").fill("7")
    page.get_by_role("button", name="Draw").click()
    shown = page.get_by_role("region", name="Pictures 1")
    shown.get_by_role("img").nth(1).wait_for()
    asked = media.last()
    assert {name: asked[name] for name in ("model", "prompt", "n", "size", "seed")} == {"model": "dall-e-3", "prompt": "a crane", "n": 2, "size": "96x64", "seed": 7}
    assert [(one["w"], one["h"]) for one in shown.get_by_role("img").evaluate_all("all => all.map(one => ({w: one.naturalWidth, h: one.naturalHeight}))")] == [(96, 64)] * 2
    name, picture = downloaded(page, shown.get_by_role("button", name="Save gantry-1-2.png"))
    assert name == "gantry-1-2.png" and picture.startswith(b"\x89PNG")
    photograph(page, "image")
    assert not faults(page)
    fits_a_phone(page, "image")
    # The newest stands first; a refusal is the provider's own, and takes nothing away.
    page.get_by_role("button", name="Draw").click()
    page.get_by_role("region", name="Pictures 2").get_by_role("img").first.wait_for()
    page.get_by_label("Prompt").fill("nothing")
    page.get_by_role("button", name="Draw").click()
    page.get_by_role("alert").filter(has_text="There is nothing to draw.").wait_for()
    assert page.get_by_role("region", name="Pictures 1").count() == 1
    page.get_by_role("button", name="Code").click()
    assert "/v1/images/generations" in page.get_by_label("curl").inner_text()


def test_text_to_speech(browser, admin, media):
    page = browser.page(admin)
    browser.open(page, "/playground?mode=speech&model=media/tts-1")
    page.get_by_role("button", name="Text to speech", pressed=True).wait_for()
    page.get_by_label("Text", exact=True).fill("twelve marks")
    page.get_by_label("Voice").fill("nova")
    page.get_by_label("Format").select_option("wav")
    page.get_by_label("Speed").fill("2")
    page.get_by_role("button", name="Read it out").click()
    player = page.get_by_label("What it sounds like")
    player.wait_for()
    assert media.last() == {"model": "tts-1", "input": "twelve marks", "voice": "nova", "response_format": "wav", "speed": 2}
    until(lambda: player.evaluate("one => one.duration") == pytest.approx(0.6, abs=0.05), "the browser can play it")
    name, sound = downloaded(page, page.get_by_role("button", name="Download"))
    assert name == "gantry-speech.wav" and wave.open(io.BytesIO(sound)).getnframes() == 9600
    photograph(page, "speak")
    assert not faults(page)
    fits_a_phone(page, "speak")


def test_speech_to_text(browser, admin, media):
    page = browser.page(admin)
    browser.open(page, "/playground?model=media/whisper-1")
    page.get_by_role("button", name="Speech to text", pressed=True).wait_for()
    write = page.get_by_role("button", name="Write it down")
    assert write.is_disabled(), "there is no recording yet"
    page.get_by_label("Recording").set_input_files({"name": "it's <b>.wav", "mimeType": "audio/wav", "buffer": b"x" * 1234})
    page.get_by_text("it's <b>.wav · 1.21 KiB").wait_for()
    page.get_by_label("Language").fill("en")
    write.click()
    said = page.get_by_role("region", name="What was said")
    said.get_by_text("heard 1234 bytes").wait_for()
    asked = media.last()
    assert (asked["model"], asked["language"], asked["response_format"], asked["file"]["bytes"]) == ("whisper-1", "en", "text", 1234)
    page.get_by_label("Result").select_option("verbose_json")
    write.click()
    said.get_by_text("0:01.5 – 1:02.3").wait_for()
    assert said.get_by_role("listitem").count() == 2 and page.locator("img[src=x]").count() == 0 and not page.evaluate("window.hit")
    photograph(page, "transcribe")
    assert not faults(page)
    fits_a_phone(page, "transcribe")
    page.get_by_label("Result").select_option("srt")
    write.click()
    said.get_by_text("00:00:00,000 --> 00:00:01,500").wait_for()
    name, text = downloaded(page, said.get_by_role("button", name="Download"))
    assert name == "gantry-transcript.srt" and text.decode().startswith("1\n00:00:00,000 --> ")


@pytest.mark.parametrize("mode", ["image", "speech"])
def test_in_chinese(browser, admin, media, mode):
    page = browser.page(admin, locale="zh-CN", color_scheme="dark")
    browser.open(page, f"/playground?mode={mode}")
    page.get_by_role("button", name={"image": "生成", "speech": "朗读"}[mode]).wait_for()
    photograph(page, f"{mode}-zh-dark")
    assert not faults(page)
