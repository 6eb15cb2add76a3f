"""Being asked before a change is applied: the choice, the two answers, what other pages show."""

from itertools import count
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from cardsite.demo import PASSWORD
from tests.browser.conftest import Open, Say, SignIn
from tests.browser.keyboard import Keyboard
from tests.browser.test_accessibility import AXE, FOUND
from tests.browser.test_live import change_phone

HOLDERS = {"en": "bob", "zh-hans": "zhangwei"}
numbers = count(1000)


@pytest.fixture
def holder(window: Open, screen: dict[str, Any], say: Say, language: str) -> Page:
    """The first page of somebody who holds Alice's card, and nothing else that changes."""
    page = window(**screen)
    page.add_init_script(AXE)
    page.goto("/account/login/")
    page.locator("[name=login]").fill(f"{HOLDERS[language]}@example.org")
    page.locator("[name=password]").fill(PASSWORD)
    page.get_by_role("button", name=say("Sign in"), exact=True).click()
    expect(page.get_by_role("heading", name=say("What is new"))).to_be_visible()
    return page


def new_number(alice: Page) -> str:
    number = f"+43 1 555 {next(numbers)}"
    change_phone(alice, number)
    return number


def look(page: Page) -> None:
    """With axe; and nothing is wider than the screen."""
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    assert page.evaluate(FOUND, "") == []
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(FOUND, "color-contrast") == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def asked(page: Page, number: str) -> Any:
    return page.locator(".asked").filter(has_text=number)


def test_whoever_chose_it_is_asked_and_takes_it_over(
    holder: Page, sign_in: SignIn, say: Say
) -> None:
    alice, other = sign_in("alice"), holder.context.new_page()
    holder.goto("/account/settings/")
    holder.get_by_role("link", name=say("When cards change")).click()
    holder.get_by_label(say("Ask me before a change is applied")).check()
    holder.get_by_role("button", name=say("Save")).click()
    expect(holder.get_by_text(say("Your settings are saved."))).to_be_visible()
    look(holder)
    for page in (holder, other):
        page.goto("/")
    other.evaluate("window.notReloaded = true")
    number = new_number(alice)
    expect(asked(other, number)).to_be_visible()
    look(holder)
    asked(holder, number).get_by_role("button", name=say("Not now")).click()
    expect(
        holder.get_by_text(say("It waits. Your devices keep the card as it was."))
    ).to_be_visible()
    expect(holder.locator(".asked")).to_have_count(0)
    holder.locator("a[href*=waiting]").click()
    expect(holder.get_by_text(say("Changed, not taken over"))).to_be_visible()
    look(holder)
    holder.get_by_role("link", name="Alice Example").click()
    expect(asked(holder, number).get_by_role("button")).to_have_count(1)
    look(holder)
    asked(holder, number).get_by_role("button", name=say("Take it over")).click()
    said = say("Taken over. Your devices change their copies.")
    expect(holder.get_by_text(said)).to_be_visible()
    for page in (holder, other):
        expect(page.locator(".asked")).to_have_count(0)
    assert other.evaluate("window.notReloaded")
    number = new_number(alice)
    holder.goto("/held/?waiting=1")
    expect(holder.get_by_text(number)).to_be_visible()
    holder.get_by_role("button", name=say("Take all of these over")).click()
    expect(holder.get_by_text(said)).to_be_visible()
    expect(holder.get_by_text(say("Changed, not taken over"))).to_have_count(0)
    holder.goto("/account/asking/")
    holder.get_by_label(say("Ask me before a change is applied")).uncheck()
    holder.get_by_role("button", name=say("Save")).click()
    expect(holder.get_by_text(say("Your settings are saved."))).to_be_visible()
    number = new_number(alice)
    holder.goto("/")
    expect(holder.get_by_text(number)).to_be_visible()
    expect(holder.locator(".asked")).to_have_count(0)


def test_it_is_chosen_for_one_card_and_answered_by_keyboard_alone(
    holder: Page, sign_in: SignIn, say: Say
) -> None:
    alice = sign_in("alice")
    keys = Keyboard(holder)
    holder.goto("/held/")
    keys.press(holder.get_by_role("link", name="Alice Example"))
    keys.go_to(holder.get_by_label(say("When it changes")))
    holder.keyboard.press("ArrowDown")
    keys.press(holder.get_by_role("button", name=say("Save my notes")))
    saved = say("Your notes are saved. Only you see them.")
    expect(holder.get_by_text(saved)).to_be_visible()
    holder.goto("/")
    number = new_number(alice)
    keys.press(asked(holder, number).get_by_role("button", name=say("Take it over")))
    said = say("Taken over. Your devices change their copies.")
    expect(holder.get_by_text(said)).to_be_visible()
    expect(holder.locator(".asked")).to_have_count(0)
    number = new_number(alice)
    holder.goto("/")
    keys.tick(asked(holder, number).get_by_role("button", name=say("Not now")))
    expect(holder.locator(".asked")).to_have_count(0)
    holder.goto("/held/?waiting=1")
    keys.press(holder.get_by_role("link", name="Alice Example"))
    keys.go_to(holder.get_by_label(say("When it changes")))
    holder.keyboard.press("ArrowUp")
    holder.keyboard.press("ArrowUp")
    keys.press(holder.get_by_role("button", name=say("Save my notes")))
    expect(holder.get_by_text(saved)).to_be_visible()
    expect(holder.locator(".asked")).to_have_count(0)


def test_what_is_answered_on_the_page_keeps_the_focus_of_another(
    holder: Page, sign_in: SignIn, say: Say
) -> None:
    """The buttons stand in a part that is read again: whoever is at one stays there."""
    alice = sign_in("alice")
    holder.goto("/account/asking/")
    holder.get_by_label(say("Ask me before a change is applied")).check()
    holder.get_by_role("button", name=say("Save")).click()
    expect(holder.get_by_text(say("Your settings are saved."))).to_be_visible()
    holder.goto("/")
    first = new_number(alice)
    button = asked(holder, first).get_by_role("button", name=say("Take it over"))
    button.focus()
    second = new_number(alice)
    expect(asked(holder, second)).to_be_visible()
    expect(holder.locator("[id^=take-over]:focus")).to_have_count(1)
    holder.keyboard.press("Enter")
    expect(holder.locator(".asked")).to_have_count(0)
