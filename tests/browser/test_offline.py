"""What can be read without a connection, by whom, and that nobody finds it afterwards."""

from typing import Any

from playwright.sync_api import Browser, Page, expect

from cardsite.demo import PASSWORD
from tests.browser.conftest import Say, SignIn
from tests.browser.keyboard import Keyboard, button, link
from tests.servers import CHROMIUM

# Headless windows are private ones, which is all that Chromium may have against installing.
INSTALLABLE = [{"errorId": "in-incognito", "errorArguments": []}]

KEPT = """async () => {
  const kept = {};
  for (const name of await caches.keys()) {
    const cache = await caches.open(name);
    for (const request of await cache.keys())
      kept[new URL(request.url).pathname] = await (await cache.match(request)).text();
  }
  return kept;
}"""


def kept(page: Page) -> dict[str, str]:
    """All that the service worker keeps: address to text."""
    found: dict[str, str] = page.evaluate(KEPT)
    return found


def wait_for_copy(page: Page, path: str = "/offline/checked") -> None:
    found = f"async () => '{path}' in await ({KEPT})()"
    page.wait_for_function(found)


def personal(page: Page) -> dict[str, str]:
    """What of it is not the same for everybody."""
    shell = ("/offline/en/", "/offline/zh-hans/", "/static/")
    return {path: text for path, text in kept(page).items() if not path.startswith(shell)}


def sign_out(page: Page, say: Say) -> None:
    keys = Keyboard(page)
    keys.press(page.locator(".account summary"))
    keys.press(button(page, say("Sign out")))
    expect(page.get_by_role("heading", name=say("Sign in"))).to_be_visible()


# Who reads the language, what they look for, and whom they find.
READERS = {"en": ("bob", "carol", "Carol Model"), "zh-hans": ("zhangwei", "0100", "Alice Example")}


def test_it_can_be_installed(chromium: Browser, sign_in: SignIn) -> None:
    """As a whole Chromium finds, which alone has somewhere to install it."""
    whole = chromium.browser_type.launch(**CHROMIUM)
    page = sign_in("bob", browser=whole)
    wait_for_copy(page)
    browser = page.context.new_cdp_session(page)
    assert browser.send("Page.getInstallabilityErrors")["installabilityErrors"] == INSTALLABLE
    page.context.close()
    whole.close()


def test_cards_and_the_qr_are_read_offline_until_one_signs_out(
    sign_in: SignIn, screen: dict[str, Any], say: Say, language: str, complaints: list[str]
) -> None:
    who, search, name = READERS[language]
    page = sign_in(who, **screen, reduced_motion="reduce")
    keys = Keyboard(page)
    wait_for_copy(page)
    page.goto("/qr/")
    keys.press(button(page, say("Make a QR code and a link")))
    code = page.locator(".code").inner_text()
    card = page.url.split("/")[-3]
    wait_for_copy(page, f"/offline/invitation/{card}")

    page.context.set_offline(True)
    page.goto("/qr/")
    expect(page.locator(".qr img")).to_be_visible()
    expect(page.locator(".code")).to_have_text(code)
    keys.follow(page.get_by_role("navigation").get_by_role("link", name=say("My cards")))
    keys.follow(link(page, say("Share")).first)
    expect(page.locator(".code")).to_have_text(code)
    keys.follow(page.get_by_role("navigation").get_by_role("link", name=say("Cards I hold")))
    expect(page.get_by_text(say("No connection."))).to_be_visible()
    keys.write(page.get_by_label(say("Search")), search)
    expect(page.locator("#list > li")).to_have_count(1)
    keys.follow(page.get_by_role("link", name=name))
    keys.go_to(page.locator(".lines a[href^='tel:']"))
    page.goto("/requests/")
    expect(page.get_by_role("heading", name=say("This page needs a connection"))).to_be_visible()
    keys.follow(link(page, say("Try again")))
    expect(page.get_by_role("heading", name=say("This page needs a connection"))).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    page.context.set_offline(False)
    expect(page.get_by_role("heading", name=say("Requests"), exact=True)).to_be_visible()
    sign_out(page, say)
    assert personal(page) == {}
    page.context.set_offline(True)
    for path in ("/", "/held/", f"/cards/{card}/share/"):
        page.goto(path)
        expect(page.get_by_role("heading", name=say("You are offline"))).to_be_visible()
    page.go_back()
    expect(page.get_by_text(name)).to_have_count(0)
    complaints[:] = [said for said in complaints if "ERR_INTERNET_DISCONNECTED" not in said]


def test_what_was_taken_away_is_not_read_offline_nor_by_the_next_person(
    sign_in: SignIn, complaints: list[str]
) -> None:
    """Carol loses a card, then is signed out from elsewhere, then Bob takes her place."""
    bob, carol, elsewhere = sign_in("bob"), sign_in("carol"), sign_in("carol")
    wait_for_copy(carol)
    assert "Bob Sample" in personal(carol)["/offline/copy"]
    bob.goto("/cards/")
    bob.get_by_role("link", name="Who holds it").click()
    bob.get_by_role("link", name="Carol Model").click()
    bob.get_by_role("link", name="Take the card back").click()
    bob.get_by_role("button", name="Take it back").click()
    carol.wait_for_function(
        "async () => !(await (await caches.match('/offline/copy')).text()).includes('Bob Sample')"
    )
    elsewhere.goto("/account/password/change/")
    elsewhere.get_by_label("Current Password").fill(PASSWORD)
    for field in ("New Password", "New Password (again)"):
        elsewhere.get_by_label(field, exact=True).fill("another-horse-battery")
    elsewhere.get_by_role("button", name="Change Password").click()
    expect(carol.get_by_role("heading", name="Sign in")).to_be_visible()
    assert personal(carol) == {}
    carol.get_by_label("Email").fill("bob@example.org")
    carol.get_by_label("Password").fill(PASSWORD)
    carol.get_by_role("button", name="Sign in").click()
    expect(carol.get_by_role("heading", name="What is new")).to_be_visible()
    wait_for_copy(carol)
    assert "carol@example.org" in personal(carol)["/offline/copy"]  # whose card Bob holds
    assert "zhangwei" not in personal(carol)["/offline/copy"]
    complaints.clear()
