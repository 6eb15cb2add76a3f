"""What an owner does with a card, from signing up to going back to what it was."""

from itertools import count
from typing import Any

from playwright.sync_api import Page, expect

from cardsite.demo import PASSWORD as DEMO_PASSWORD
from tests.browser.conftest import Newcomer, Open, Say
from tests.browser.keyboard import Keyboard, button
from tests.rest import picture

PASSWORD = "correct-horse-battery"
numbers = count(1)


def sign_up(page: Page, say: Say, name: str, *, here: bool = False) -> None:
    if not here:
        page.goto("/account/signup/")
    page.get_by_label(say("Your name")).fill(name)
    page.locator("[name=email]").fill(f"person{next(numbers)}@example.org")
    page.locator("[name=password1]").fill(PASSWORD)
    page.get_by_role("button", name=say("Sign up")).click()


def make_first_card(page: Page, say: Say, phone: str) -> None:
    page.get_by_role("link", name=say("Make my first card")).click()
    page.get_by_label(say("Phone"), exact=True).fill(phone)
    expect(page.locator("#preview")).to_contain_text(phone)
    page.get_by_role("button", name=say("Save")).last.click()
    expect(page.get_by_text(say("Your card is ready. Let somebody scan it."))).to_be_visible()


def link_of(page: Page, say: Say) -> str:
    page.get_by_role("button", name=say("Make a QR code and a link")).click()
    return page.locator("#link").input_value()


def edit(page: Page, say: Say) -> None:
    page.goto("/cards/")
    page.get_by_role("link", name=say("Edit")).click()


def test_two_strangers_hold_each_others_cards_in_a_few_steps(
    window: Open, screen: dict[str, Any], say: Say
) -> None:
    dora, emil = window(**screen), window(**screen)
    sign_up(dora, say, "Dora Muster")
    make_first_card(dora, say, "+43 1 555 0001")
    link = link_of(dora, say)
    emil.goto(link)
    expect(emil.get_by_text("+43 1 555 0001")).to_be_visible()
    emil.get_by_role("main").get_by_role("link", name=say("Sign up")).click()
    emil.get_by_label(say("Your name")).fill("Emil Muster")
    emil.locator("[name=email]").fill(f"person{next(numbers)}@example.org")
    emil.locator("[name=password1]").fill(PASSWORD)
    emil.get_by_role("button", name=say("Sign up")).click()
    emil.get_by_label(say("Phone")).fill("+43 1 555 0002")
    emil.get_by_role("button", name=say("Exchange cards")).click()
    expect(emil.get_by_role("heading", name="Dora Muster")).to_be_visible()
    edit(dora, say)
    phone = dora.get_by_label(say("Phone"), exact=True)
    phone.fill("+43 1 555 0003")
    expect(dora.locator("#preview .reached")).not_to_be_empty()
    dora.get_by_role("button", name=say("Save")).last.click()
    expect(emil.locator(".lines").get_by_text("+43 1 555 0003")).to_be_visible()
    dora.get_by_role("button", name=say("Undo this change")).click()
    expect(emil.locator(".lines").get_by_text("+43 1 555 0001")).to_be_visible()


def test_the_history_goes_back(newcomer: Newcomer, say: Say) -> None:
    page = newcomer("Fritz Muster", "+43 1 555 0004")
    for phone in ("+43 1 555 0005", "+43 1 555 0006"):
        edit(page, say)
        page.get_by_label(say("Phone"), exact=True).fill(phone)
        page.get_by_role("button", name=say("Save")).last.click()
        expect(page.locator("del")).to_be_visible()
    page.get_by_role("link", name=say("History")).click()
    page.get_by_role("button", name=say("Go back to this")).last.click()
    page.goto("/cards/")
    expect(page.get_by_text("+43 1 555 0004")).to_be_visible()


def test_rows_are_moved_by_keyboard(window: Open, screen: dict[str, Any], say: Say) -> None:
    page = window(**screen, reduced_motion="reduce")
    sign_up(page, say, "Gerda Muster")
    make_first_card(page, say, "+43 1 555 0007")
    edit(page, say)
    legends = page.locator("#rows > fieldset > legend")
    name = say("Parts of the name")
    expect(legends).to_have_text([name, say("Phone"), say("Email")])
    Keyboard(page).press(page.locator("[data-move=down]").nth(1))
    expect(legends).to_have_text([name, say("Email"), say("Phone")])
    expect(page.locator("[data-move=down]:focus")).to_have_count(1)
    page.get_by_role("button", name=say("Save")).last.click()
    expect(page.locator("#reach")).to_be_visible()
    edit(page, say)
    expect(legends).to_have_text([name, say("Email"), say("Phone")])


def test_a_photo_is_cut_out_by_keyboard(newcomer: Newcomer, say: Say) -> None:
    page = newcomer("Ida Muster", "+43 1 555 0009")
    edit(page, say)
    keys, photo = Keyboard(page), page.get_by_label(say("Photo"), exact=True)
    keys.give_file(photo, {"name": "a.txt", "mimeType": "text/plain", "buffer": b"a"})
    expect(page.locator("#no-picture")).to_be_visible()
    wide = picture("JPEG", size=(400, 200))
    keys.give_file(photo, {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": wide})
    expect(page.locator("#id_crop")).to_have_value("0.2500,0.0000,1.0000")
    keys.go_to(page.locator("#cropping canvas"))
    for _n in range(20):
        page.keyboard.press("ArrowLeft")
    expect(page.locator("#id_crop")).to_have_value("0.0500,0.0000,1.0000")
    page.get_by_role("button", name=say("Save")).last.click()
    expect(page.locator("#reach")).to_be_visible()
    page.goto("/cards/")
    shown = page.locator("img.photo").evaluate("(img) => [img.naturalWidth, img.naturalHeight]")
    assert shown == [200, 200]


def test_the_preview_is_what_the_chosen_circle_sees(newcomer: Newcomer, say: Say) -> None:
    page = newcomer("Hanna Muster", "+43 1 555 0010")
    page.goto("/circles/")
    page.locator("[name=name]").fill("Kin")
    page.locator("main form button[type=submit]").last.click()
    page.goto("/cards/new/")
    page.get_by_label(say("Phone"), exact=True).fill("+43 1 555 0008")
    row = page.locator("#rows fieldset.row").first
    row.get_by_label(say("Everyone who holds the card")).uncheck()
    expect(page.locator("#preview")).not_to_contain_text("+43 1 555 0008")
    row.get_by_label("Kin").check()
    page.locator("#as").select_option(label="Kin")
    expect(page.locator("#preview")).to_contain_text("+43 1 555 0008")


def test_the_preview_is_what_one_holder_sees(newcomer: Newcomer, say: Say) -> None:
    page = newcomer("Hugo Muster", "+43 1 555 0061")
    holder = newcomer("Heidi Muster", "+43 1 555 0062")
    page.goto("/qr/")
    holder.goto(link_of(page, say))
    Keyboard(holder).follow(button(holder, say("Exchange cards")))
    edit(page, say)
    keys = Keyboard(page)
    expect(page.locator("#as option", has_text="Heidi Muster")).to_have_count(1)
    keys.choose(page.locator("#as"), "Heidi Muster")
    expect(page.locator("#preview")).to_contain_text("+43 1 555 0061")
    row = page.get_by_role("group", name=say("Phone"))
    keys.tick(row.get_by_label(say("Everyone who holds the card")))
    expect(page.locator("#preview")).not_to_contain_text("+43 1 555 0061")


def test_of_two_windows_the_later_is_told_of_the_earlier(
    newcomer: Newcomer, say: Say, complaints: list[str]
) -> None:
    page = newcomer("Jutta Muster", "+43 1 555 0011")
    other = page.context.new_page()
    for window in (page, other):
        edit(window, say)
    save_phone(page, say, "+43 1 555 0012")
    expect(page.locator("#reach")).to_be_visible()
    save_phone(other, say, "+43 1 555 0013")
    stale = other.get_by_role("alert")
    expect(stale).to_contain_text(say("Somebody has changed this card meanwhile"))
    expect(stale).to_contain_text("+43 1 555 0012")
    expect(other.get_by_label(say("Phone"), exact=True)).to_have_value("+43 1 555 0013")
    Keyboard(other).press(button(other, say("Save")).last)
    expect(other.locator(".differences ins")).to_have_text("+43 1 555 0013")
    complaints[:] = [each for each in complaints if "409 (Conflict)" not in each]


def save_phone(page: Page, say: Say, number: str) -> None:
    keys = Keyboard(page)
    keys.write(page.get_by_label(say("Phone"), exact=True), number)
    keys.press(button(page, say("Save")).last)


def test_cards_are_found_and_edited_without_javascript(
    window: Open, screen: dict[str, Any], say: Say, language: str
) -> None:
    name = {"en": "bob", "zh-hans": "zhangwei"}[language]
    page = window(**screen, java_script_enabled=False)
    page.goto("/account/login/?next=/held/")
    expect(page.get_by_role("button", name=say("Use a passkey"))).to_be_hidden()
    page.locator("[name=login]").fill(f"{name}@example.org")
    page.locator("[name=password]").fill(DEMO_PASSWORD)
    page.get_by_role("button", name=say("Sign in"), exact=True).click()
    page.get_by_role("searchbox").fill("nobody")
    page.get_by_role("button", name=say("Search")).click()
    page.get_by_role("link", name=say("Show all")).click()
    page.get_by_role("link", name="Alice Example").click()
    expect(page.locator(".lines")).to_contain_text("+43 1 555 0100")
    edit(page, say)
    page.get_by_label(say("What to add")).select_option("note")
    page.get_by_role("button", name=say("Add"), exact=True).click()
    page.get_by_role("group", name=say("Note")).get_by_role("textbox").fill("Hello")
    page.get_by_role("button", name=say("Save")).last.click()
    expect(page.locator(".differences")).to_contain_text("Hello")
