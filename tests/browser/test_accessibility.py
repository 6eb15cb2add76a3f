"""axe-core (WCAG 2.2 A and AA, and its good practices) finds nothing on any page that can be
reached, in both languages, light and dark."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page

from cardsite.demo import PASSWORD
from tests.browser.conftest import Open

AXE = (Path(__file__).parent / "vendor" / "axe-4.14.1.min.js").read_text()
FOUND = """async (only) => {
  const ours = { exclude: [".select2"] };  // Django's own way to choose from many
  // What it would load beforehand are styles that it puts into the page, against the policy.
  const how = only ? { runOnly: { type: "rule", values: [only] } } : {};
  const found = await axe.run(ours, { ...how, preload: false });
  const said = ({ html, any }) => `${html} (${any[0]?.message})`;
  return found.violations.map(({ id, nodes }) => `${id}: ${nodes.map(said)}`);
}"""
LINKS = """() => [...document.querySelectorAll("a[href]:not([download])")]
  .filter((link) => link.origin === location.origin).map((link) => link.pathname)"""
NO_PAGES = re.compile(r"/(admin|api)/|\.(vcf|csv|pdf|zip|svg)$")
NO_ADMIN = re.compile(r"^(?!/admin/)|/jsi18n/")


def kind_of(path: str) -> str:
    """The same for all pages of one kind: ids and codes are left out."""
    return re.sub(r"[0-9a-f-]{36}|[0-9A-Z]{12}|(?<=/people/)[^/]+|(?<=/)\d+(?=/)", "*", path)


def reached(
    page: Page, start: str, look: Callable[[], None], but: re.Pattern[str] = NO_PAGES
) -> set[str]:
    """Visit one page of each kind that links lead to."""
    seen, ahead = set(), [start]
    while ahead:
        path = ahead.pop()
        if kind_of(path) in seen or but.search(path):
            continue
        seen.add(kind_of(path))
        page.goto(path)
        look()
        ahead += [urlsplit(each).path for each in page.evaluate(LINKS)]
    return seen


def follow(page: Page, selector: str) -> None:
    """Press what leads to another page, and wait until it is there: one that goes cannot be looked
    at."""
    with page.expect_navigation():
        page.locator(selector).click()


@pytest.fixture
def found(window: Open, screen: dict[str, Any]) -> tuple[Page, list[str], Callable[[], None]]:
    page = window(**screen)
    page.add_init_script(AXE)
    said: list[str] = []

    def look() -> None:
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        here = page.evaluate(FOUND, "")
        page.emulate_media(color_scheme="dark")
        here += [f"dark: {each}" for each in page.evaluate(FOUND, "color-contrast")]
        said.extend(f"{page.url}: {each}" for each in here)

    return page, said, look


Found = tuple[Page, list[str], Callable[[], None]]


def test_pages_of_somebody_signed_in(found: Found, language: str) -> None:
    page, said, look = found
    name = {"en": "alice", "zh-hans": "zhangwei"}[language]
    page.goto("/account/login/")
    page.locator("[name=login]").fill(f"{name}@example.org")
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("main button[type=submit]").click()
    page.locator("details.account").wait_for()
    seen = reached(page, "/", look)
    page.goto("/cards/")
    page.locator("a[href$='/share/']").first.click()
    page.locator("main form button[type=submit]").first.click()
    page.locator("#link").wait_for()
    look()
    page.locator("main a[href$='/public/']").click()
    page.locator("main button[type=submit]:not([name])").click()
    page.locator("#link").wait_for()
    look()
    address = urlsplit(page.locator("#link").input_value()).path
    page.goto(address)
    look()
    look_as_guest(page, address, look)
    assert {"/", "/held/", "/held/*/", "/cards/*/", "/cards/*/audience/", "/holders/*/"} <= seen
    assert not said, "\n".join(said)


def look_as_guest(page: Page, address: str, look: Callable[[], None]) -> None:
    """Leave a card at a public page, and look at what is there for whoever did."""
    page.context.clear_cookies()
    page.goto(f"{address}/leave")
    look()
    page.locator("[name=fn]").fill("Guest")
    page.locator("main button[type=submit]").click()
    page.locator("#link").wait_for()
    look()
    follow(page, "a[href$='/remove/']")
    look()
    follow(page, "main button[type=submit]")
    look()


def test_pages_of_staff(found: Found, language: str) -> None:
    page, said, look = found

    def look_at_it() -> None:
        look()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url

    page.goto("/account/login/?next=/account/settings/")
    page.locator("[name=login]").fill("staff@example.org")
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("main button[type=submit]").click()
    page.locator("[name=language]").select_option(language)
    page.locator("main button[type=submit]").last.click()
    page.locator(f"html[lang={language}]").wait_for(state="attached")
    propose_a_change(page, look_at_it, f"Example {language}")
    seen = reached(page, "/admin/", look_at_it, NO_ADMIN)
    assert {"/admin/delivery/tally/", "/admin/cards/bulkchange/*/change/"} <= seen
    assert len(seen) > 40
    assert not said, "\n".join(said)


def propose_a_change(page: Page, look: Callable[[], None], name: str) -> None:
    """Go as far as to what would come of a change of many cards."""
    page.goto("/admin/cards/card/")
    page.locator("#action-toggle").check()
    page.locator("[name=action]").select_option("change_property")
    follow(page, ".actions button[type=submit]")
    look()
    page.locator("[name=name]").select_option("org")
    follow(page, "main input[type=submit]")
    look()
    page.locator("[name=new0]").fill(name)
    follow(page, "main input[type=submit]")
    look()


def test_pages_of_a_visitor(found: Found, complaints: list[str]) -> None:
    page, said, look = found
    seen = reached(page, "/account/login/", look)
    page.goto("/no/such/page/")
    look()
    complaints[:] = [each for each in complaints if "404 (Not Found)" not in each]
    page.goto("/account/login/")
    page.locator("main button[type=submit]").click()
    look()
    assert "/account/signup/" in seen
    assert not said, "\n".join(said)
