"""Ways for a card to change hands: a QR code on the whole screen, a camera, a picture, paper, and a
link without JavaScript."""

import io
from pathlib import Path
from typing import Any

import segno
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Newcomer, Open, Say, SignIn
from tests.browser.test_owner import link_of, sign_up
from tests.servers import SHELL


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


def test_a_picture_with_the_code_is_read(newcomer: Newcomer, say: Say, tmp_path: Path) -> None:
    link = share(newcomer("Jana Muster", "+43 1 555 0032"), say)
    person = newcomer("Jakob Muster", "+43 1 5")
    person.goto("/code/")
    person.get_by_role("link", name=say("Or scan it with the camera")).click()
    person.wait_for_load_state()
    for text, name in (("https://elsewhere.example/i/X", "other"), (link, "ours")):
        picture_of(text).save(tmp_path / f"{name}.png")
    chooser = person.get_by_label(say("Or a picture with the code"))
    chooser.set_input_files(tmp_path / "other.png")
    expect(person.locator("#scan [role=status]")).to_contain_text("elsewhere.example")
    chooser.set_input_files(tmp_path / "ours.png")
    expect(person.get_by_text("+43 1 555 0032")).to_be_visible()


def test_a_camera_reads_the_code(
    chromium: Browser, window: Open, sign_in: SignIn, tmp_path: Path
) -> None:
    owner = sign_in("alice")
    owner.goto("/")
    link = share(owner, str)
    film = tmp_path / "scene.mjpeg"
    frame = io.BytesIO()
    picture_of(link).save(frame, "JPEG")
    film.write_bytes(frame.getvalue() * 10)
    fake = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    camera = [*SHELL["args"], *fake, f"--use-file-for-fake-video-capture={film}"]
    with_camera = chromium.browser_type.launch(**{**SHELL, "args": camera})
    page = window(with_camera)
    sign_up(page, str, "Kamila Muster")
    page.goto("/scan/")
    page.get_by_role("button", name="Use the camera").click()
    expect(page.get_by_text("+43 1 555 0100")).to_be_visible()
    page.context.close()
    with_camera.close()


def test_a_sheet_is_printed_on_one_page(newcomer: Newcomer, say: Say) -> None:
    page = newcomer("Lena Muster", "+43 1 555 0034")
    page.get_by_role("link", name=say("Share my card")).click()
    for paper in ("a4", "letter"):
        page.get_by_role("link", name=say("Print cards")).click()
        page.locator("[name=paper]").select_option(paper)
        page.get_by_role("button", name=say("Make the sheet")).click()
        expect(page.get_by_role("button", name=say("Print"))).to_be_visible()
        printed = page.pdf(prefer_css_page_size=True)
        assert printed.count(b"/Type /Page\n") == 1, paper
        seen = page.locator(".card svg").last.screenshot()
        page.get_by_role("link", name=say("Back")).click()
    leads_to_ones_own(page, say, seen)


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
