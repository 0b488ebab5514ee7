"""The console's door where an outside provider of logins is set up (tests/fakes/oidc_provider.py): the button, the way there and back to the page
that was asked for, and what a refusal looks like."""
import pytest

from browser import PHONE, Browser, chromium, faults, needs_chromium, photograph   # noqa: F401: fixtures
from test_oidc import ANN, oidc_server, provider, secret_file   # noqa: F401: fixtures

pytestmark = needs_chromium


@pytest.fixture
def door(chromium, oidc_server, provider):
    provider.tell()
    own = Browser(chromium, oidc_server)
    yield own
    wrong = [line for line in own.said if "status of 40" not in line]
    assert not wrong, wrong   # not check(): the provider is another host
    for context in chromium.contexts:
        context.close()


@pytest.mark.parametrize("language, words", [("en-GB", "Log in with single sign-on"), ("zh-CN", "单点登录")])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_button_is_there(door, provider, language, words, scheme):
    page = door.page(locale=language, color_scheme=scheme)
    page.goto(f"{door.server.url}/")
    button = page.get_by_role("link", name=words)
    button.wait_for()
    assert provider.url in page.locator("main, body").first.inner_text()
    assert not faults(page)
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.set_viewport_size({"width": 1360, "height": 860})
    photograph(page, f"login-oidc-{language[:2]}-{scheme}")


def test_there_and_back_to_the_page_that_was_asked_for(door, provider):
    page = door.page()
    page.goto(f"{door.server.url}/usage?q=x")
    page.get_by_role("link", name="Log in with single sign-on").click()
    page.get_by_role("heading", name="Usage").wait_for()
    assert page.url == f"{door.server.url}/usage?q=x"
    page.get_by_role("button", name=ANN["preferred_username"]).wait_for()
