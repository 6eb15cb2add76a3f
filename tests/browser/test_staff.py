"""What staff do in the admin, on a laptop and on a phone."""

from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.conftest import Open, Say, SignIn
from tests.browser.keyboard import Keyboard, button
from tests.servers import Server


def signed_in(page: Page, language: str) -> None:
    page.goto("/account/login/?next=/account/settings/")
    page.locator("[name=login]").fill("staff@example.org")
    page.locator("[name=password]").fill("cards-for-everyone")
    page.locator("main button[type=submit]").click()
    page.locator("[name=language]").select_option(language)
    page.locator("main button[type=submit]").last.click()
    expect(page.locator(f"html[lang={language}]")).to_be_attached()


def choose(page: Page, say: Say, name: str) -> None:
    """The cards that are found by this name, and what is to be done with them."""
    keys = Keyboard(page)
    page.goto("/admin/cards/card/")
    keys.write(page.locator("#searchbar"), name)
    with page.expect_navigation():
        page.keyboard.press("Enter")
    keys.tick(page.locator("#action-toggle"))
    keys.choose(page.locator("[name=action]"), say("Change a property"))
    keys.follow(page.locator(".actions button[type=submit]"))


def test_a_changed_property_comes_to_whoever_holds_the_card(
    window: Open, sign_in: SignIn, screen: dict[str, Any], say: Say, language: str
) -> None:
    bob = sign_in("bob")
    bob.get_by_role("link", name="Alice Example").click()
    staff, name = window(**screen), f"Example Group {language}"
    signed_in(staff, language)
    choose(staff, say, "alice")
    keys = Keyboard(staff)
    keys.choose(staff.get_by_label(say("Property")), say("Organization"))
    keys.follow(button(staff, say("Continue")))
    group = staff.get_by_role("group", name=say("Organization"))
    keys.write(group.get_by_label(say("Becomes"), exact=True), name)
    keys.follow(button(staff, say("Continue")))
    expect(staff.locator(".differences ins")).to_have_text(name)
    expect(bob.get_by_text(name)).to_have_count(0)
    keys.press(button(staff, say("Change these cards")))
    expect(staff.get_by_role("status")).to_have_text(say("Done."))
    expect(bob.get_by_text(name).first).to_be_visible()


def test_a_page_that_watches_it_finds_back_after_the_server_was_killed(
    window: Open,
    screen: dict[str, Any],
    say: Say,
    language: str,
    server: Server,
    complaints: list[str],
) -> None:
    staff = window(**screen)
    signed_in(staff, language)
    choose(staff, say, "")
    staff.get_by_label(say("Property")).select_option("url")
    staff.get_by_role("button", name=say("Continue")).click()
    staff.get_by_label(say("Becomes"), exact=True).fill(f"https://{language}.example")
    staff.get_by_role("button", name=say("Continue")).click()
    staff.get_by_role("button", name=say("Change these cards")).click()
    expect(staff.locator("#progress")).to_be_visible()
    server.kill()
    server.start()
    expect(staff.get_by_role("status")).to_have_text(say("Done."))
    complaints[:] = [each for each in complaints if "htmx" not in each and "ERR_" not in each]


def test_a_list_on_a_phone_says_what_each_line_is(
    window: Open, screen: dict[str, Any], say: Say, language: str
) -> None:
    page = window(**{**screen, "viewport": {"width": 360, "height": 740}})
    signed_in(page, language)
    page.goto("/admin/cards/card/")
    row = page.locator("#result_list tbody tr").first
    label = row.locator(".field-person").evaluate(
        "each => getComputedStyle(each, '::before').content"
    )
    assert label.strip('"') == say("owner").capitalize()
    assert page.evaluate("document.querySelector('.results').scrollWidth <= innerWidth")
