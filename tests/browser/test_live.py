"""What changes is seen without a reload, in a real browser, against a real server."""

from playwright.sync_api import Page, expect

from tests.browser.conftest import SignIn
from tests.servers import Server

AT_ONCE = 1000  # milliseconds that a live change may take


def change_phone(page: Page, number: str) -> None:
    page.goto("/cards/")
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Phone").first.fill(number)
    page.get_by_role("button", name="Save").last.click()
    expect(page.get_by_text("Saved.")).to_be_visible()


def test_a_changed_number_shows_on_the_other_page_without_reload(sign_in: SignIn) -> None:
    alice, bob = sign_in("alice"), sign_in("bob")
    bob.evaluate("window.notReloaded = true")
    change_phone(alice, "+43 1 555 7777")
    expect(bob.get_by_text("+43 1 555 7777")).to_be_visible(timeout=AT_ONCE)
    expect(bob.locator("#news")).to_have_text("Alice Example changed: Phone (work)")
    expect(bob.locator("li.changed")).to_contain_text("Alice Example")
    bob.get_by_role("link", name="Alice Example").click()
    bob.evaluate("window.notReloaded = true")
    change_phone(alice, "+43 1 555 8888")
    expect(bob.locator(".lines").get_by_text("+43 1 555 8888")).to_be_visible(timeout=AT_ONCE)
    assert bob.evaluate("window.notReloaded")


def test_the_page_of_the_api_works_within_the_policy(sign_in: SignIn) -> None:
    alice = sign_in("alice")
    alice.goto("/api/v1/docs")
    expect(alice.get_by_text("/api/v1/cards/import")).to_be_visible()


def test_what_was_missed_while_the_server_was_away_is_there_afterwards(
    sign_in: SignIn, server: Server, complaints: list[str]
) -> None:
    bob = sign_in("bob")
    expect(bob.locator("#offline")).to_be_hidden()
    server.stop()
    expect(bob.locator("#offline")).to_be_visible()
    server.start()
    change_phone(sign_in("alice"), "+43 1 555 9999")
    expect(bob.locator("#offline")).to_be_hidden(timeout=10_000)
    expect(bob.get_by_text("+43 1 555 9999")).to_be_visible()
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
    expect(carol.locator(".lines").get_by_text("April 12")).to_be_visible(timeout=AT_ONCE)


def test_a_card_that_is_taken_back_leaves_the_open_page(sign_in: SignIn) -> None:
    bob, carol = sign_in("bob"), sign_in("carol")
    carol.get_by_role("link", name="Bob Sample").click()
    bob.goto("/cards/")
    bob.get_by_role("link", name="Who holds it").click()
    bob.get_by_role("link", name="Carol Model").click()
    bob.get_by_role("link", name="Take the card back").click()
    bob.get_by_role("button", name="Take it back").click()
    expect(carol.get_by_text("no longer shared with you").first).to_be_visible(timeout=AT_ONCE)
    expect(carol.get_by_text("+49 30 555 0101")).to_have_count(0)


def test_signing_out_in_one_tab_ends_the_others(sign_in: SignIn) -> None:
    bob = sign_in("bob")
    other = bob.context.new_page()
    other.goto("/cards/")
    bob.locator(".account summary").click()
    bob.get_by_role("button", name="Sign out").click()
    expect(other.get_by_role("heading", name="Sign in")).to_be_visible()
