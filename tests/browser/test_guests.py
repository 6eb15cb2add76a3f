"""A visitor leaves a card without an account, and without JavaScript; the holder sees it change;
later it is claimed, by keyboard alone."""

from itertools import count
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.conftest import Newcomer, Open, Say
from tests.browser.keyboard import Keyboard, button, link
from tests.browser.test_owner import PASSWORD, link_of

claimants = count(1)


def turn_page_on(page: Page, say: Say) -> str:
    page.get_by_role("link", name=say("Share my card")).click()
    page.get_by_role("link", name=say("Public page")).click()
    page.locator(".ticks input").first.check()
    page.get_by_role("button", name=say("Turn the page on")).click()
    return page.locator("#link").input_value()


def leave_card(page: Page, say: Say, name: str, phone: str) -> None:
    page.get_by_label(say("Name on the card")).fill(name)
    page.get_by_label(say("Phone")).fill(phone)
    page.get_by_role("button", name=say("Leave my card")).click()
    expect(page.get_by_role("heading", name=say("Keep this link"))).to_be_visible()


def test_a_card_left_by_a_visitor_follows_and_is_claimed(
    newcomer: Newcomer,
    window: Open,
    screen: dict[str, Any],
    say: Say,
    complaints: list[str],
) -> None:
    owner = newcomer("Gerda Muster", "+43 1 555 0021")
    visitor = window(**screen, java_script_enabled=False)
    visitor.goto(turn_page_on(owner, say))
    visitor.get_by_role("link", name=say("Leave my card")).click()
    leave_card(visitor, say, "Gast Muster", "+43 1 555 0022")
    private = visitor.locator("#link").input_value()
    owner.goto("/held/")
    owner.get_by_role("link", name="Gast Muster").click()
    expect(owner.locator(".lines")).to_contain_text("+43 1 555 0022")
    visitor.get_by_label(say("Phone")).fill("+43 1 555 0023")
    visitor.get_by_role("button", name=say("Save")).click()
    expect(owner.locator(".lines")).to_contain_text("+43 1 555 0023")

    person = window(**screen, reduced_motion="reduce")
    keys = Keyboard(person)
    person.goto(private)
    keys.follow(person.get_by_role("main").get_by_role("link", name=say("Sign up")))
    keys.write(person.get_by_label(say("Your name")), "Gustav Muster")
    keys.write(person.locator("[name=email]"), f"claimant{next(claimants)}@example.org")
    keys.write(person.locator("[name=password1]"), PASSWORD)
    person.keyboard.press("Enter")
    keys.press(button(person, say("Take it into my account")))
    expect(person.get_by_text(say("The card is yours now, in your account."))).to_be_visible()
    keys.write(person.get_by_label(say("Phone"), exact=True), "+43 1 555 0024")
    keys.press(button(person, say("Save")).last)
    expect(owner.locator(".lines")).to_contain_text("+43 1 555 0024")
    expect(owner.get_by_text("Gustav Muster")).to_be_visible()  # whose card it is now

    holder = person.locator("#reach").get_by_role("link", name="Gerda Muster")
    expect(holder).to_be_visible()
    keys.follow(link(person, say("History")))
    changes = person.locator(".differences")
    expect(changes.nth(0)).to_contain_text("+43 1 555 0024")
    expect(changes.last.locator("del")).to_have_text("+43 1 555 0022")
    expect(changes.last.locator("ins")).to_have_text("+43 1 555 0023")
    keys.follow(link(person, say("Cards I hold")))
    keys.follow(link(person, "Gerda Muster"))
    expect(person.locator(".lines")).to_contain_text("+43 1 555 0021")
    visitor.goto(private)
    gone = say("This link does not work")
    expect(visitor.get_by_role("heading", name=gone)).to_be_visible()
    complaints[:] = [each for each in complaints if "404 (Not Found)" not in each]


def test_a_visitor_leaves_a_card_for_an_invitation(
    newcomer: Newcomer, window: Open, screen: dict[str, Any], say: Say
) -> None:
    owner = newcomer("Hanna Muster", "+43 1 555 0025")
    visitor = window(**screen, java_script_enabled=False)
    owner.get_by_role("link", name=say("Share my card")).click()
    visitor.goto(link_of(owner, say))
    visitor.get_by_role("link", name=say("Leave my card without an account")).click()
    leave_card(visitor, say, "Heinz Muster", "+43 1 555 0026")
    expect(visitor.get_by_text("+43 1 555 0025")).to_be_visible()
    visitor.get_by_role("link", name=say("Remove my card")).click()
    visitor.get_by_role("button", name=say("Remove it")).click()
    expect(visitor.get_by_role("heading", name=say("Your card is removed"))).to_be_visible()
    owner.goto("/held/")
    expect(owner.get_by_text("Heinz Muster")).to_have_count(0)
