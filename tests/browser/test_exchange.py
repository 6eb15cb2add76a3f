"""Ways for a card to change hands: a QR code on the whole screen, a camera, a picture, paper, and a
link without JavaScript."""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import segno
from PIL import Image
from playwright.sync_api import Browser, FilePayload, Page, expect

from tests.browser.conftest import Newcomer, Open, Say
from tests.browser.keyboard import Keyboard, button, link
from tests.browser.test_owner import link_of, sign_up
from tests.servers import CHROMIUM


def share(page: Page, say: Say) -> str:
    """The link of an invitation that a newcomer makes."""
    page.get_by_role("link", name=say("Share my card")).click()
    return link_of(page, say)


def picture_of(link: str) -> Image.Image:
    """What a camera sees of the code: a bit of paper around it, and some blur."""
    drawn = io.BytesIO()
    segno.make(link, error="m").save(drawn, kind="png", scale=8, border=6)
    code = Image.open(drawn).convert("RGB")
    scene = Image.new("RGB", (640, 480), "#c8c0b0")
    scene.paste(code.resize((400, 400)), (120, 40))
    return scene


def test_the_code_is_shown_on_the_whole_screen(
    newcomer: Newcomer, screen: dict[str, Any], say: Say
) -> None:
    page = newcomer("Ines Muster", "+43 1 555 0031")
    share(page, say)
    page.get_by_role("button", name=say("QR code on the whole screen")).click()
    code = page.locator("#whole-qr svg")
    expect(code).to_be_visible()
    size, whole = code.bounding_box(), screen["viewport"]
    assert size and size["width"] > min(whole.values()) * 0.7
    background = page.locator("#whole-qr").evaluate("(it) => getComputedStyle(it).backgroundColor")
    assert background == "rgb(255, 255, 255)"
    seen = code.screenshot()
    page.keyboard.press("Escape")
    expect(code).to_be_hidden()
    leads_to_ones_own(page, say, seen)


def leads_to_ones_own(page: Page, say: Say, seen: bytes) -> None:
    """What was seen of a code can be read, and is that of an invitation of one's own."""
    page.goto("/scan/")
    page.get_by_label(say("Or a picture with the code")).set_input_files(
        files={"name": "seen.png", "mimeType": "image/png", "buffer": seen}
    )
    expect(page.get_by_text(say("This is your own invitation"))).to_be_visible()


def png_of(link: str) -> FilePayload:
    picture = io.BytesIO()
    picture_of(link).save(picture, "PNG")
    return {"name": "seen.png", "mimeType": "image/png", "buffer": picture.getvalue()}


def test_a_picture_with_the_code_is_read(newcomer: Newcomer, say: Say) -> None:
    link_to_card = share(newcomer("Jana Muster", "+43 1 555 0032"), say)
    person = newcomer("Jakob Muster", "+43 1 5")
    person.goto("/scan/")
    keys = Keyboard(person)
    chooser = person.get_by_label(say("Or a picture with the code"))
    keys.give_file(chooser, png_of("https://elsewhere.example/i/X"))
    expect(person.locator("#scan [role=status]")).to_contain_text("elsewhere.example")
    keys.give_file(chooser, png_of(link_to_card))
    expect(person.get_by_text("+43 1 555 0032")).to_be_visible()


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the camera sees from the moment when it is switched on."""
    return tmp_path_factory.mktemp("camera") / "film.mjpeg"


@pytest.fixture(scope="module")
def with_camera(chromium: Browser, film: Path) -> Iterator[Browser]:
    camera = ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={film}"]
    launched = chromium.browser_type.launch(**{**CHROMIUM, "args": [*CHROMIUM["args"], *camera]})
    yield launched
    launched.close()


def test_a_code_is_typed_where_the_camera_is_refused_and_read_where_it_is_not(
    newcomer: Newcomer, with_camera: Browser, film: Path, say: Say
) -> None:
    link_to_card = share(newcomer("Karl Muster", "+43 1 555 0033"), say)
    frame = io.BytesIO()
    picture_of(link_to_card).save(frame, "JPEG")
    film.write_bytes(frame.getvalue() * 10)
    page = newcomer("Kamila Muster", "+43 1 6", browser=with_camera)
    keys = Keyboard(page)
    keys.press(link(page, say("Enter a code")).first)
    keys.follow(link(page, say("Or scan it with the camera")))
    keys.press(button(page, say("Use the camera")))
    expect(page.locator("#scan [role=status]")).to_have_text(said(page, "denied"))
    keys.follow(link(page, say("Or type the code")))
    keys.write(page.locator("[name=code]"), link_to_card.rpartition("/")[2])
    page.keyboard.press("Enter")
    expect(page.get_by_text("+43 1 555 0033")).to_be_visible()

    page.context.grant_permissions(["camera"])
    page.goto("/scan/")
    keys.press(button(page, say("Use the camera")))
    expect(page.get_by_text("+43 1 555 0033")).to_be_visible()
    keys.follow(button(page, say("Exchange cards")))
    expect(page.get_by_role("heading", name="Karl Muster", level=1, exact=True)).to_be_visible()
    page.context.close()


def said(page: Page, what: str) -> str:
    """What the page of scanning has to say in this case."""
    text = page.locator("#scan").get_attribute(f"data-{what}")
    assert text
    return text


def test_a_sheet_is_printed_on_one_page(newcomer: Newcomer, say: Say) -> None:
    page = newcomer("Lena Muster", "+43 1 555 0034")
    keys = Keyboard(page)
    keys.follow(link(page, say("Share my card")))
    for paper in ("US letter", "A4"):
        keys.follow(link(page, say("Print cards")))
        keys.choose(page.locator("[name=paper]"), say(paper))
        keys.follow(button(page, say("Make the sheet")))
        printed = page.pdf(prefer_css_page_size=True)
        assert printed.count(b"/Type /Page\n") == 1, paper
        seen = on_paper(page)
        page.evaluate("addEventListener('beforeprint', () => (window.isPrinted = true))")
        keys.press(button(page, say("Print")))
        page.wait_for_function("window.isPrinted")
        keys.follow(link(page, say("Back")))
    leads_to_ones_own(page, say, seen)


def on_paper(page: Page) -> bytes:
    """What the last of the cards looks like; all are alike, and nothing is beside them."""
    page.emulate_media(media="print")
    cards = page.locator(".card")
    expect(cards).to_have_count(10)
    [text] = {"\n".join(each.split()) for each in cards.all_inner_texts()}
    assert re.fullmatch(r"Lena\nMuster\n\+43\n1\n555\n0034\n[0-9A-Z-]{14}", text), text
    expect(page.locator("body > header")).to_be_hidden()
    seen = cards.last.screenshot()
    page.emulate_media(media="null")
    return seen


def test_a_link_is_enough_without_javascript(
    newcomer: Newcomer, window: Open, screen: dict[str, Any], say: Say
) -> None:
    owner = newcomer("Mara Muster", "+43 1 555 0035")
    person = window(**screen, java_script_enabled=False)
    person.goto(share(owner, say))
    expect(person.get_by_text("+43 1 555 0035")).to_be_visible()
    person.get_by_role("main").get_by_role("link", name=say("Sign up")).click()
    sign_up(person, say, "Milan Muster", here=True)
    person.get_by_label(say("Phone")).fill("+43 1 555 0036")
    person.get_by_role("button", name=say("Exchange cards")).click()
    expect(person.get_by_role("heading", name="Mara Muster", level=1, exact=True)).to_be_visible()
    owner.goto("/invitations/")
    owner.get_by_role("link", name="Mara Muster").click()
    expect(owner.get_by_role("link", name="Milan Muster")).to_be_visible()
