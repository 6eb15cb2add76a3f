"""What people do with cards, by keyboard alone."""

import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from itertools import count
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from cardsite.demo import PASSWORD
from tests.browser.conftest import Newcomer, Open, Say, SignIn
from tests.browser.keyboard import Keyboard, button, link
from tests.browser.test_account import code_of
from tests.browser.test_owner import link_of
from tests.servers import Server, running_server

numbers = count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that sends mail: into its folder."""
    folder = tmp_path_factory.mktemp("keyboard")
    with running_server(folder, DEMO="1", EMAIL_URL=f"filemail:///{folder}/mail") as server:
        yield server


# What somebody is called, another given name, and both together as people of the language do.
NAMES = {"en": ("Nora Muster", "Anna", "Anna Muster"), "zh-hans": ("李小龙", "娜", "李娜")}


def test_a_newcomer_makes_a_card_and_shares_it(
    window: Open, screen: dict[str, Any], say: Say, language: str
) -> None:
    name, given, whole = NAMES[language]
    page = window(**screen, reduced_motion="reduce", timezone_id="Asia/Tokyo")
    keys = Keyboard(page)
    page.goto("/account/login/")
    keys.press(link(page, say("Sign up")))
    keys.write(page.get_by_label(say("Your name")), name)
    keys.write(page.locator("[name=email]"), f"person{next(numbers)}@example.org")
    keys.write(page.locator("[name=password1]"), PASSWORD)
    page.keyboard.press("Enter")
    keys.press(link(page, say("Make my first card")))
    keys.write(page.get_by_label(say("Given name"), exact=True), given)
    expect(page.get_by_label(say("Name on the card"))).to_have_value(whole)
    keys.write(page.get_by_label(say("Phone"), exact=True), "+43 1 555 0041")
    keys.choose(page.get_by_label(say("What to add")), say("Website"))
    keys.press(button(page, say("Add")))
    row = page.get_by_role("group", name=say("Website"))
    expect(row.get_by_role("textbox")).to_be_focused()
    page.keyboard.type("https://example.org/nora")
    keys.tick(row.get_by_label(say("Everyone who holds the card")))
    keys.press(button(page, say("Save")).last)
    keys.press(button(page, say("Make a QR code and a link")))
    page.context.grant_permissions(["clipboard-write"])
    keys.press(button(page, say("Copy")))
    expect(button(page, say("Copied"))).to_be_focused()
    keys.press(button(page, say("QR code on the whole screen")))
    keys.press(button(page, say("Close")))
    expect(button(page, say("QR code on the whole screen"))).to_be_focused()
    keys.press(button(page, say("Take back")), "Space")
    expect(page.locator(".tag")).to_have_text(say("taken back"))
    page.goto("/account/settings/")
    expect(page.get_by_label(say("Time zone"))).to_have_value("Asia/Tokyo")


def test_cards_are_exchanged_by_a_typed_code(newcomer: Newcomer, say: Say) -> None:
    owner, other = newcomer("Olga Muster", "+43 1 555 0042"), newcomer("Otto Muster", "+43 1 2")
    keys = Keyboard(owner)
    keys.press(link(owner, say("Share my card")))
    keys.press(owner.locator("main summary"))
    keys.choose(owner.get_by_label(say("Valid for")), say("an hour"))
    keys.write(owner.get_by_label(say("How many people may use it")), "2")
    keys.press(button(owner, say("Make a QR code and a link")))
    code = owner.locator(".code").inner_text()
    keys = Keyboard(other)
    keys.press(other.get_by_role("navigation").get_by_role("link", name=say("Enter a code")))
    keys.write(other.locator("[name=code]"), code)
    keys.press(button(other, say("Show the card")))
    keys.press(button(other, say("Exchange cards")))
    expect(other.locator(".lines")).to_contain_text("+43 1 555 0042")
    expect(owner.locator("#news")).to_contain_text("Otto Muster")


def test_who_is_asked_declines_or_accepts(newcomer: Newcomer, say: Say) -> None:
    asked, asking = newcomer("Paula Muster", "+43 1 555 0043"), newcomer("Paul Muster", "+43 1 3")
    name = username_of(asked)
    ask(asking, say, name)
    Keyboard(asking).follow(asking.get_by_role("button", name=say("Take back")))
    for _time in range(2):
        ask(asking, say, name)
    keys = Keyboard(asked)
    asked.goto("/")
    keys.press(link(asked, "Paul Muster").last)
    keys.press(button(asked, say("Decline")))
    keys.press(asked.get_by_role("main").get_by_role("link", name="Paul Muster").first)
    keys.follow(button(asked, say("Exchange cards")))
    expect(asked.locator(".lines")).to_contain_text("+43 1 3")
    expect(asking.get_by_text(say("accepted"))).to_be_visible()
    keys.press(link(asked, say("Block this person")))
    keys.press(button(asked, say("Block")))
    keys.press(button(asked, say("Lift the block")))
    expect(button(asked, say("Lift the block"))).to_have_count(0)


def username_of(page: Page) -> str:
    page.goto("/account/settings/")
    return page.locator("[name=username]").input_value()


def ask(page: Page, say: Say, name: str) -> None:
    keys = Keyboard(page)
    keys.press(page.get_by_role("navigation").get_by_role("link", name=say("Requests")))
    keys.write(page.get_by_label(say("Username or email address")), name)
    keys.write(page.get_by_label(say("Message")), "Hello")
    keys.follow(button(page, say("Send")))


def test_an_owner_decides_who_sees_what(newcomer: Newcomer, say: Say) -> None:
    page = newcomer("Rosa Muster", "+43 1 555 0044")
    keys = Keyboard(page)
    keys.press(link(page, say("Circles")))
    keys.write(page.locator("[name=name]"), "Kin")
    keys.press(button(page, say("Make the circle")))
    keys.press(link(page, say("My cards")))
    keys.press(link(page, say("Edit")))
    keys.press(link(page, say("Who sees what")))
    boxes = page.locator(".audience-table input")
    keys.tick(boxes.nth(0))
    page.keyboard.press("ArrowRight")
    expect(boxes.nth(1)).to_be_focused()
    page.keyboard.press("Space")
    expect(page.locator("#preview")).not_to_contain_text("+43 1 555 0044")
    keys.choose(page.locator("#as"), "Kin")
    expect(page.locator("#preview")).to_contain_text("+43 1 555 0044")
    keys.press(button(page, say("Save")))
    keys.follow(button(page, say("Undo this change")))
    keys.press(link(page, say("History")))
    keys.press(button(page, say("Go back to this")).first)
    expect(page.locator(".differences")).to_contain_text("Kin")


def test_an_owner_copies_and_retires_a_card(newcomer: Newcomer, say: Say) -> None:
    page = newcomer("Sara Muster", "+43 1 555 0045")
    keys = Keyboard(page)
    page.goto("/cards/")
    keys.press(link(page, say("Edit")))
    keys.follow(button(page, say("Make a copy of it")))
    keys.write(page.get_by_label(say("Name on the card")), "Sara Private")
    keys.tick(page.get_by_label(say("Remove")).first)
    page.keyboard.press("Enter")
    expect(page.locator(".differences")).to_contain_text("+43 1 555 0045")
    keys.press(link(page, say("My cards")).first)
    expect(link(page, "Sara Private")).to_be_visible()
    keys.press(link(page, "Sara Muster"))
    keys.press(link(page, say("Retire this card")))
    keys.press(button(page, say("Retire the card")))
    expect(link(page, say("Edit"))).to_have_count(1)


def test_a_file_is_imported(newcomer: Newcomer, say: Say, language: str) -> None:
    page = newcomer("Tina Muster", "+43 1 555 0046")
    keys = Keyboard(page)
    page.goto("/cards/")
    keys.press(link(page, say("Import")))
    lines = [
        "BEGIN:VCARD",
        "VERSION:3.0",
        "N:张;伟;;;",
        "FN:张伟",
        "TEL:+8613800138000",
        "END:VCARD",
    ]
    file = "\r\n".join([*lines, *lines, ""]).encode()
    vcf = page.get_by_label(say("A .vcf file"))
    keys.give_file(vcf, {"name": "cards.vcf", "mimeType": "text/vcard", "buffer": file})
    keys.tick(page.get_by_label("张伟").last)
    keys.press(button(page, say("Import")))
    at_home = {"en": "+86 138 0013 8000", "zh-hans": "138 0013 8000"}[language]
    expect(page.get_by_role("row").last).to_contain_text(at_home)


SEARCHES = {
    "en": ("alice", ["zhang wei", "55500103"], "张伟"),
    "zh-hans": ("zhangwei", ["5550100"], "Alice Example"),
}


def test_a_holder_finds_notes_and_gives_back(sign_in: SignIn, say: Say, language: str) -> None:
    who, searches, name = SEARCHES[language]
    page = sign_in(who, reduced_motion="reduce")
    keys = Keyboard(page)
    for text in searches:
        keys.write(page.get_by_role("searchbox"), text)
        found = re.compile(f"q={quote(text)}&")  # not what was there before
        expect(page.locator("#held")).to_have_attribute("data-url", found)
        expect(page.locator("#held li")).to_have_count(1)
    with page.expect_download() as download:
        keys.press(link(page, say("Download for a spreadsheet")))
    assert name in download.value.path().read_text()
    keys.press(link(page, name))
    keys.write(page.get_by_label(say("Nickname")), "Old friend")
    keys.write(page.get_by_label(say("Note")), "From the fair")
    keys.write(page.get_by_label(say("Tags")), "Wien, fair")
    keys.follow(button(page, say("Save my notes")))
    keys.press(link(page, say("Cards I hold")).first)
    keys.choose(page.get_by_label(say("Tag")), "fair")
    expect(page.locator("#held li")).to_have_count(1)
    keys.choose(page.get_by_label(say("Order")), say("Newest first"))
    keys.press(link(page, name))
    with page.expect_download() as download:
        keys.press(link(page, say("Download .vcf")))
    assert "BEGIN:VCARD" in download.value.path().read_text()
    keys.press(link(page, say("Give the card back")))
    keys.press(button(page, say("Give it back")))
    expect(page.get_by_text(name)).to_have_count(0)


def test_a_public_page_takes_the_card_of_a_visitor(
    newcomer: Newcomer, window: Open, screen: dict[str, Any], say: Say
) -> None:
    owner, visitor = (
        newcomer("Uma Muster", "+43 1 555 0047"),
        window(**screen, reduced_motion="reduce"),
    )
    keys, theirs = Keyboard(owner), Keyboard(visitor)
    keys.press(link(owner, say("Share my card")))
    keys.press(link(owner, say("Public page")))
    keys.tick(owner.locator(".ticks input").first)
    keys.press(button(owner, say("Turn the page on")))
    visitor.goto(owner.locator("#link").input_value())
    with visitor.expect_download() as download:
        theirs.press(link(visitor, say("Save to my address book")))
    assert "+43 1 555 0047" in download.value.path().read_text()
    theirs.press(link(visitor, say("Leave my card")))
    theirs.write(visitor.get_by_label(say("Name on the card")), "Gast Muster")
    theirs.press(button(visitor, say("Leave my card")))
    theirs.write(visitor.get_by_label(say("Phone")), "+43 1 4")
    theirs.follow(button(visitor, say("Save")))
    expect(owner.locator("#news")).to_contain_text("Gast Muster")
    with visitor.expect_download() as download:
        theirs.press(link(visitor, say("Save to my address book")))
    assert "+43 1 555 0047" in download.value.path().read_text()
    theirs.press(link(visitor, say("Remove my card")))
    theirs.press(button(visitor, say("Remove it")))
    keys.press(button(owner, say("Turn the page off")))
    expect(owner.get_by_text(say("Off"), exact=True)).to_be_visible()


def test_a_public_page_is_kept_by_somebody_with_an_account(newcomer: Newcomer, say: Say) -> None:
    owner, keeper = newcomer("Xaver Muster", "+43 1 555 0052"), newcomer("Xenia Muster", "+43 1 5")
    keys, theirs = Keyboard(owner), Keyboard(keeper)
    keys.press(link(owner, say("Share my card")))
    keys.press(link(owner, say("Public page")))
    keys.tick(owner.locator(".ticks input").first)
    keys.follow(button(owner, say("Only look")))
    expect(owner.locator("#preview")).to_contain_text("+43 1 555 0052")
    expect(owner.get_by_text(say("Off"), exact=True)).to_be_visible()
    keys.press(button(owner, say("Turn the page on")))
    keeper.goto(owner.locator("#link").input_value())
    theirs.tick(keeper.locator("details.more summary"))
    picture = keeper.get_by_role("img", name=say("QR code of this page"))
    expect(picture).to_have_js_property("complete", True)
    theirs.follow(link(keeper, say("Keep this card up to date")))
    theirs.follow(button(keeper, say("Exchange cards")))
    expect(keeper.locator(".lines")).to_contain_text("+43 1 555 0052")
    keys.follow(link(owner, say("Open the page")))
    expect(owner.locator("main h1")).to_have_text("Xaver Muster")


def test_an_invitation_is_looked_after(newcomer: Newcomer, say: Say) -> None:
    page = newcomer("Yvonne Muster", "+43 1 555 0053")
    keys = Keyboard(page)
    keys.press(link(page, say("Share my card")))
    keys.press(button(page, say("Make a QR code and a link")))
    with page.expect_download() as download:
        keys.press(link(page, say("As a file")))
    assert "VERSION:3.0" in download.value.path().read_text()
    keys.follow(link(page, say("All invitations, and who used them")))
    keys.follow(page.get_by_role("main").get_by_role("link", name="Yvonne Muster"))
    with page.expect_download() as download:
        keys.press(link(page, say("As vCard 4.0")))
    assert "VERSION:4.0" in download.value.path().read_text()
    keys.follow(button(page, say("Take back")))
    expect(page.get_by_text(say("Nobody yet."))).to_be_visible()
    expect(page.locator(".tag")).to_have_text(say("taken back"))


def test_a_circle_is_renamed_filled_and_deleted_and_the_card_taken_back(
    newcomer: Newcomer, say: Say
) -> None:
    owner, other = newcomer("Zita Muster", "+43 1 555 0054"), newcomer("Zeno Muster", "+43 1 6")
    exchange(owner, other, say)
    keys = Keyboard(owner)
    owner.goto("/circles/")
    keys.write(owner.locator("[name=name]"), "Kin")
    keys.follow(button(owner, say("Make the circle")))
    keys.follow(owner.get_by_role("link", name=say("Rename")))
    keys.write(owner.locator("[name=name]"), "Family")
    keys.follow(button(owner, say("Save")))
    keys.follow(link(owner, say("My cards")))
    keys.follow(link(owner, say("Edit")))
    row = owner.get_by_role("group", name=say("Phone"))
    keys.tick(row.get_by_label(say("Everyone who holds the card")))
    keys.tick(row.get_by_label("Family"))
    keys.follow(button(owner, say("Save")).last)
    expect(other.locator(".lines").get_by_text("+43 1 555 0054")).to_have_count(0)

    keys.follow(owner.locator("#reach").get_by_role("link", name="Zeno Muster"))
    keys.tick(owner.get_by_label("Family"))
    keys.follow(button(owner, say("Save")))
    expect(owner.get_by_text(say("Saved. Their copy of the card follows."))).to_be_visible()
    expect(other.locator(".lines")).to_contain_text("+43 1 555 0054")
    keys.follow(owner.get_by_role("navigation").get_by_role("link", name=say("Circles")))
    keys.follow(owner.get_by_role("link", name=say("Delete")))
    keys.follow(button(owner, say("Delete the circle")))
    expect(other.get_by_text("+43 1 555 0054")).to_have_count(0)
    keys.follow(link(owner, say("My cards")))
    for name in (say("Who holds it"), "Zeno Muster", say("Take the card back")):
        keys.follow(link(owner, name))
    keys.follow(button(owner, say("Take it back")))
    gone = say("This card is no longer shared with you")
    expect(other.get_by_role("heading", name=gone)).to_be_visible()


def exchange(owner: Page, other: Page, say: Say) -> None:
    """The other is at the page of the owner's card then."""
    owner.get_by_role("link", name=say("Share my card")).click()
    other.goto(link_of(owner, say))
    button(other, say("Exchange cards")).click()
    expect(other.locator(".lines")).to_be_visible()


ARROWS = {"en": "ArrowUp", "zh-hans": "ArrowDown"}  # to it in the list of languages


def test_an_account_is_set_up_and_erased(newcomer: Newcomer, say: Say, language: str) -> None:
    page = newcomer("Vera Muster", "+43 1 555 0048")
    keys = Keyboard(page)
    keys.press(page.locator(".account summary"))
    keys.press(link(page, say("Settings")))
    keys.choose(page.get_by_label(say("Time zone")), "WET")
    for code in (*(ARROWS.keys() - {language}), language):
        keys.press(page.locator("[name=language]"), ARROWS[code])
        keys.press(page.locator("main button[type=submit]"))
        expect(page.locator("html")).to_have_attribute("lang", code)
    keys.press(link(page, say("App passwords")))
    prove(page)
    keys.write(page.get_by_label(say("What it is for")), "Phone")
    keys.press(button(page, say("Make an app password")))
    keys.follow(page.get_by_role("button", name=say("Delete")))
    keys.press(link(page, say("Settings")).last)
    keys.press(link(page, say("My data")))
    keys.press(link(page, say("Erase my account")))
    keys.press(button(page, say("Erase everything")))
    expect(page.get_by_text(say("Your account is erased. Nothing of it is kept."))).to_be_visible()


def test_an_address_is_confirmed_and_a_password_forgotten(
    newcomer: Newcomer, server: Server, say: Say
) -> None:
    page = newcomer("Wanda Muster", "+43 1 555 0049")
    keys = Keyboard(page)
    address = f"{username_of(page)}@example.org"
    page.goto(mailed(server, address))
    keys.follow(button(page, say("Confirm")))
    page.goto("/account/settings/")
    keys.follow(link(page, say("Email addresses")))
    keys.write(page.locator("[name=email]:not([type=radio])"), f"second.{address}")
    page.keyboard.press("Enter")
    expect(page.get_by_role("radio")).to_have_count(2)
    keys.press(page.get_by_role("radio").first, "ArrowDown")
    page.once("dialog", lambda dialog: dialog.accept())
    keys.follow(page.locator("[name=action_remove]"))
    expect(page.get_by_role("radio")).to_have_count(1)
    keys.press(page.locator(".account summary"))
    keys.follow(link(page, say("Settings")))
    keys.press(link(page, say("Second step and passkeys")))
    keys.press(link(page, say("Set it up")))
    prove(page)
    keys.write(
        page.locator("[name=code]"), code_of(page.locator("#authenticator_secret").input_value())
    )
    page.keyboard.press("Enter")
    recovery = page.locator("textarea").input_value().split()
    keys.press(page.locator(".account summary"))
    keys.press(button(page, say("Sign out")))
    keys.press(link(page, say("Forgot your password?")))
    keys.write(page.locator("[name=email]"), address)
    keys.press(button(page, say("Send me the link")))
    expect(page.get_by_role("textbox")).to_have_count(0)
    page.goto(mailed(server, address))
    for field in ("password1", "password2"):
        keys.write(page.locator(f"[name={field}]"), "another-horse-battery")
    page.keyboard.press("Enter")
    expect(page.locator("[name=password1]")).to_have_count(0)
    page.goto("/account/login/")
    keys.write(page.locator("[name=login]"), address)
    keys.write(page.locator("[name=password]"), "another-horse-battery")
    page.keyboard.press("Enter")
    keys.write(page.locator("[name=code]"), recovery[0])
    page.keyboard.press("Enter")
    expect(page.locator(".account summary")).to_be_visible()


def mailed(server: Server, address: str) -> str:
    """The link in the last mail to this address."""
    files = sorted((server.folder / "mail").iterdir(), key=lambda file: file.stat().st_mtime_ns)
    mails = [message_from_bytes(file.read_bytes(), policy=policy.default) for file in files]
    last = [mail for mail in mails if mail["To"] == address][-1]
    found = re.search(r"http://\S+", last.get_content())
    assert found
    return found[0]


def prove(page: Page) -> None:
    """Who is there, as it is asked for again."""
    Keyboard(page).write(page.locator("[name=password]"), PASSWORD)
    page.keyboard.press("Enter")
