"""What staff do most in the admin, by keyboard alone."""

from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from cardsite.demo import PASSWORD
from tests.browser.conftest import Open, Say
from tests.browser.keyboard import Keyboard, button, link


@pytest.fixture
def staff(window: Open, screen: dict[str, Any], language: str) -> Page:
    """At the first page of the admin, in the language of the test."""
    page = window(**screen, reduced_motion="reduce")
    keys = Keyboard(page)
    page.goto("/admin/")
    keys.write(page.locator("[name=login]"), "staff@example.org")
    keys.write(page.locator("[name=password]"), PASSWORD)
    page.keyboard.press("Enter")
    keys.follow(page.locator("#user-tools a[href='/']"))
    keys.press(page.locator(".account summary"))
    keys.follow(page.locator(".account a[href='/account/settings/']"))
    languages = page.locator("[name=language]")
    keys.choose(languages, languages.locator(f"option[value={language}]").inner_text())
    keys.follow(page.locator("main button[type=submit]").last)
    expect(page.locator("html")).to_have_attribute("lang", language)
    page.goto("/admin/")
    return page


def open_list(page: Page, model: str) -> None:
    Keyboard(page).follow(page.locator(f"#content-main .model-{model} th a"))


def search(page: Page, text: str) -> Locator:
    """The rows that are found by it in the list that is open."""
    Keyboard(page).write(page.locator("#searchbar"), text)
    with page.expect_navigation():
        page.keyboard.press("Enter")
    return page.locator("#result_list tbody tr")


def test_they_find_a_person_and_change_them(staff: Page, say: Say, language: str) -> None:
    keys = Keyboard(staff)
    open_list(staff, "user")
    found = search(staff, "carol")
    expect(found).to_have_count(1)
    keys.follow(link(staff, "carol@example.org"))
    keys.write(staff.locator("[name=name]"), f"Carol {language}")
    keys.choose(staff.locator("[name=time_zone]"), "WET")
    keys.follow(button(staff, say("Save")))
    expect(staff.locator(".messagelist .success")).to_contain_text(f"Carol {language}")
    expect(search(staff, "carol")).to_contain_text(f"Carol {language}")


def test_they_narrow_and_sort_a_list(staff: Page, say: Say) -> None:
    keys = Keyboard(staff)
    open_list(staff, "user")
    rows, filters = staff.locator("#result_list tbody tr"), staff.locator("#changelist-filter")
    keys.follow(filters.locator("a[href*='is_staff__exact=1']"))
    expect(rows).to_have_count(1)
    keys.follow(filters.get_by_role("link", name=say("Clear all filters")))
    keys.follow(staff.locator("#result_list thead .column-username .text a"))
    expect(rows.first).to_contain_text("alice")
    keys.follow(staff.locator("#result_list thead .column-username .toggle"))
    expect(rows.first).to_contain_text("zhangwei")


def test_they_look_at_what_is_delivered(staff: Page, say: Say) -> None:
    keys = Keyboard(staff)
    keys.follow(link(staff, say("Deliveries and pushes at a glance")))
    keys.follow(link(staff, say("Last 30 days")))
    expect(staff.locator("[aria-current=page]").last).to_have_text(say("Last 30 days"))
    chart = staff.locator(".charts figure").first
    keys.press(chart.locator("summary"))
    expect(chart.locator("table")).to_be_visible()


def test_they_act_on_chosen_rows(staff: Page, say: Say) -> None:
    keys, words = Keyboard(staff), say("Ask for no second step")
    open_list(staff, "user")
    row = search(staff, "bob")
    keys.tick(row.locator(".action-select"))
    keys.choose(staff.locator("[name=action]"), words)
    keys.follow(staff.locator(".actions button[type=submit]"))
    expect(staff.locator("#content li")).to_contain_text("bob@example.org")
    keys.follow(button(staff, words))
    done = say("%(action)s: done for %(count)d.") % {"action": words, "count": 1}
    expect(staff.locator(".messagelist")).to_have_text(done)


def test_they_add_a_card_for_somebody_and_sign_out(staff: Page, say: Say, language: str) -> None:
    keys, name = Keyboard(staff), f"Bob {language}"
    keys.follow(staff.locator("#content-main .model-card .addlink"))
    keys.press(staff.locator(".field-owner .select2-selection"))
    staff.keyboard.type("bob")
    expect(staff.locator(".select2-results__option--highlighted")).to_contain_text("bob")
    staff.keyboard.press("Enter")
    keys.write(staff.locator("[name=fn]"), name)
    keys.follow(button(staff, say("Save")))
    expect(staff.locator(".messagelist .success")).to_contain_text(name)
    keys.follow(staff.locator("#logout-form button"))
    expect(staff.locator("[name=login]")).to_be_visible()
