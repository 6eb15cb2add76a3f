"""What changes is seen without a reload, in a real browser, against a real server."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open, Say, SignIn
from tests.browser.keyboard import Keyboard, button, link
from tests.servers import Server


def change_phone(page: Page, number: str) -> None:
    page.goto("/cards/")
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Phone").first.fill(number)
    page.get_by_role("button", name="Save").last.click()
    expect(page.get_by_text("Saved.")).to_be_visible()


@pytest.fixture
def reader(language: str) -> str:
    """Somebody who reads the language and holds Alice's card."""
    return {"en": "bob", "zh-hans": "zhangwei"}[language]


def test_a_changed_number_shows_on_the_other_page_without_reload(
    sign_in: SignIn, reader: str, say: Say
) -> None:
    alice, page = sign_in("alice"), sign_in(reader)
    page.evaluate("window.notReloaded = true")
    change_phone(alice, f"+43 1 555 7{len(reader)}")
    expect(page.get_by_text(f"+43 1 555 7{len(reader)}")).to_be_visible()
    said = say("{name} changed: {lines}").format(name="Alice Example", lines=say("Phone"))
    expect(page.locator("#news")).to_contain_text(said)
    expect(page.locator("li.changed")).to_contain_text("Alice Example")
    page.get_by_role("link", name="Alice Example").click()
    page.evaluate("window.notReloaded = true")
    change_phone(alice, f"+43 1 555 8{len(reader)}")
    expect(page.locator(".lines")).to_contain_text(f"+43 1 555 8{len(reader)}")
    assert page.evaluate("window.notReloaded")


def test_what_changed_is_read_by_keyboard_and_goes_on_as_it_does(
    sign_in: SignIn, reader: str, say: Say
) -> None:
    """With what the reader has opened, and the focus where it was."""
    alice, page = sign_in("alice"), sign_in(reader, reduced_motion="reduce")
    numbers = [f"+43 1 555 66{len(reader)}{each}" for each in range(3)]
    for number in numbers[:2]:
        change_phone(alice, number)
    keys = Keyboard(page)
    keys.press(link(page, "Alice Example"))
    timeline = page.locator(".timeline")
    keys.press(timeline.get_by_text(say("What changed")))
    newest = timeline.locator("li li").filter(has_text=say("Phone"))
    expect(newest.first).to_contain_text(numbers[1])
    expect(timeline).not_to_contain_text(numbers[0])  # an old one is not shown again
    keys.go_to(page.locator(".lines a[href^='mailto:']"))
    change_phone(alice, numbers[2])
    expect(newest.first).to_contain_text(numbers[2])
    expect(page.locator(".lines a[href^='mailto:']")).to_be_focused()
    expect(timeline.locator("ol")).to_be_visible()
    keys.tick(timeline.locator("summary"))
    expect(timeline.locator("ol")).to_be_hidden()


def test_what_any_window_complains_of_is_heard(window: Open, complaints: list[str]) -> None:
    """Or nothing of this would fail for a broken policy."""
    first = window()
    other = first.context.new_page()
    other.goto("/account/login/")
    with first.context.expect_event("weberror"):
        other.evaluate("setTimeout(() => { throw new Error('thrown'); })")
    with first.context.expect_event("console"):
        other.evaluate(
            "document.body.append(Object.assign(document.createElement('script'), {text: '1'}))"
        )
    assert ["thrown" in complaints[0], "Content Security Policy" in complaints[1]] == [True, True]
    complaints.clear()


def test_the_page_of_the_api_works_within_the_policy(sign_in: SignIn) -> None:
    alice = sign_in("alice")
    alice.goto("/api/v1/docs")
    expect(alice.get_by_text("/api/v1/cards/import")).to_be_visible()


def test_what_was_missed_while_the_server_was_away_is_there_afterwards(
    sign_in: SignIn, server: Server, complaints: list[str]
) -> None:
    """Whatever language the page is in."""
    pages = {"Offline. ": sign_in("bob"), "离线": sign_in("zhangwei")}
    for page in pages.values():
        expect(page.locator("#offline")).to_be_hidden()
    server.stop()
    for said, page in pages.items():
        expect(page.locator("#offline")).to_contain_text(said)
    server.start()
    change_phone(sign_in("alice"), "+43 1 555 9999")
    for page in pages.values():
        expect(page.locator("#offline")).to_be_hidden()
        expect(page.get_by_text("+43 1 555 9999")).to_be_visible()
    # What ends while a page opens its socket is answered with 500 by uvicorn.
    away = ("ERR_CONNECTION_REFUSED", "Unexpected response code: 500")
    complaints[:] = [said for said in complaints if not any(why in said for why in away)]


def test_rows_are_added_in_place_and_seen_by_whom_they_are_shown(sign_in: SignIn) -> None:
    alice, carol = sign_in("alice"), sign_in("carol")
    carol.get_by_role("link", name="Alice Example").click()
    alice.goto("/cards/")
    alice.get_by_role("link", name="Edit").click()
    alice.get_by_label("Name on the card").fill("Alice E. Example")
    alice.get_by_label("What to add").select_option("bday")
    alice.get_by_role("button", name="Add", exact=True).click()
    row = alice.get_by_role("group", name="Birthday")
    row.get_by_label("Birthday").fill("--04-12")
    row.get_by_label("Family").check()
    expect(alice.get_by_label("Name on the card")).to_have_value("Alice E. Example")
    alice.get_by_role("button", name="Save").last.click()
    expect(carol.locator(".lines").get_by_text("April 12")).to_be_visible()


OWNERS = {"en": ("bob", "carol", "Carol Model"), "zh-hans": ("alice", "zhangwei", "张伟")}


def test_a_card_that_is_taken_back_leaves_the_open_page(
    sign_in: SignIn, language: str, say: Say
) -> None:
    owner, holder, name = OWNERS[language]
    owners, holders = sign_in(owner), sign_in(holder)
    holders.locator("#held h2 a").last.click()
    phone = holders.locator(".lines a").first.inner_text()
    owners.goto("/cards/")
    keys = Keyboard(owners)
    for each in ("Who holds it", name, "Take the card back"):
        keys.follow(link(owners, each))
    keys.press(button(owners, "Take it back"))
    gone = say("This card is no longer shared with you")
    expect(holders.get_by_role("heading", name=gone)).to_be_visible()
    expect(holders.get_by_text(phone)).to_have_count(0)


def test_signing_out_in_one_tab_ends_the_others(sign_in: SignIn) -> None:
    bob = sign_in("bob")
    other = bob.context.new_page()
    other.goto("/cards/")
    bob.locator(".account summary").click()
    bob.get_by_role("button", name="Sign out").click()
    expect(other.get_by_role("heading", name="Sign in")).to_be_visible()
