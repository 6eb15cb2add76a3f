"""Windows of Debian's Chromium, each with somebody in it, before a server with the demo people.

Flows of people are tried in both languages: `window` is a window of a visitor who reads one of
them, and `say` is what the pages say in it.
"""

import re
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from django.utils.translation import gettext, override
from playwright.sync_api import Browser, Page, expect, sync_playwright

from cardsite.demo import PASSWORD
from tests.servers import SHELL, Server, running_server

LAPTOP, PHONE = {"width": 1280, "height": 800}, {"width": 360, "height": 740}
LANGUAGES = {"en": "en-GB", "zh-hans": "zh-CN"}  # the browser's name of each

# How long to wait is no measure of speed: other tests may have the machine.
expect.set_options(timeout=20_000)

CARD = "BEGIN:VCARD\r\nVERSION:4.0\r\nFN:{}\r\nTEL:{}\r\nEND:VCARD\r\n"
people = count(1)

SignIn = Callable[..., Page]
Newcomer = Callable[..., Page]
Say = Callable[[str], str]
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("browser"), DEMO="1") as server:
        yield server


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Ended with the module: while it runs, its event loop is in the way of other tests'."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**SHELL)
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """What the browsers had to complain of, a breach of the policy included: nothing."""
    heard: list[str] = []
    yield heard
    assert heard == []


@pytest.fixture
def window(chromium: Browser, server: Server, complaints: list[str]) -> Iterator[Open]:
    """Opens a window of a visitor, apart from all others; what any page in it complains of is
    heard."""
    contexts = []

    def opened(browser: Browser = chromium, **options: Any) -> Page:
        context = browser.new_context(base_url=server.url, **options)
        contexts.append(context)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        context.on("console", lambda said: complaints.extend([said.text] * (said.type == "error")))
        return context.new_page()

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture
def sign_in(window: Open) -> SignIn:
    """A window of its own for each of the demo people."""

    def signed_in(name: str, **options: Any) -> Page:
        page = window(**options)
        page.goto("/account/login/?next=/held/")
        page.locator("[name=login]").fill(f"{name}@example.org")
        page.locator("[name=password]").fill(PASSWORD)
        page.locator("main button[type=submit]").click()
        page.wait_for_url("**/held/")
        return page

    return signed_in


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def say(language: str) -> Say:
    """A text of the pages, given in English, in the language of the test."""

    def said(text: str) -> str:
        with override(language):
            return gettext(text)

    return said


@pytest.fixture
def screen(language: str) -> dict[str, Any]:
    """Of somebody who reads this language: a laptop with one of them, a phone with the other."""
    is_phone = language == "zh-hans"
    size = PHONE if is_phone else LAPTOP
    return {"viewport": size, "locale": LANGUAGES[language], "has_touch": is_phone}


@pytest.fixture
def newcomer(window: Open, screen: dict[str, Any]) -> Newcomer:
    """A window of somebody who has just come, as `username_of` says, and has a card with a number
    for everyone. All that without a page: how it is done on pages, tests/browser/test_owner.py
    shows."""

    def come(name: str, number: str, **options: Any) -> Page:
        page = window(**screen, reduced_motion="reduce", **options)
        person = {"email": f"newcomer{next(people)}@example.org", "password1": PASSWORD}
        hand_in(page, "/account/signup/", name=name, **person)
        card = CARD.format(name, number).encode()
        file = {"name": "card.vcf", "mimeType": "text/vcard", "buffer": card}
        hand_in(page, "/cards/import/", file=file, circles="*", wanted="0")
        page.goto("/")
        return page

    return come


def hand_in(page: Page, path: str, **fields: Any) -> None:
    """The form that is there."""
    language = {"Accept-Language": page.evaluate("navigator.language")}
    form = page.request.get(path).text()
    found = re.search('name="csrfmiddlewaretoken" value="(.*?)"', form)
    assert found
    fields["csrfmiddlewaretoken"] = found[1]
    answer = page.request.post(path, multipart=fields, headers=language)
    assert answer.ok, answer.text()
