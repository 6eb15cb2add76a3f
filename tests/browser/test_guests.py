"""A visitor leaves a card without an account, and without JavaScript; the holder sees it change;
later it is claimed."""

from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.conftest import Newcomer, Open, Say
from tests.browser.test_owner import link_of, sign_up


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
    newcomer: Newcomer, window: Open, screen: dict[str, Any], say: Say
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

    person = window(**screen)
    person.goto(private)
    person.get_by_role("link", name=say("Sign up")).click()
    sign_up(person, say, "Gustav Muster", here=True)
    person.get_by_role("button", name=say("Take it into my account")).click()
    expect(person.get_by_text(say("The card is yours now, in your account."))).to_be_visible()
    person.get_by_label(say("Phone"), exact=True).fill("+43 1 555 0024")
    person.get_by_role("button", name=say("Save")).last.click()
    expect(owner.locator(".lines")).to_contain_text("+43 1 555 0024")


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
