"""Makes docs/live.png: two browser windows, one change. Run it with `make pictures`."""

import tempfile
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.servers import CHROMIUM, running_server

PASSWORD = "cards-for-everyone"  # noqa: S105  (of the demo)
HERE = Path(__file__).parent
GAP = 24  # pixels between the two windows


def signed_in(browser: Browser, url: str, person: str) -> Page:
    page = browser.new_context(viewport={"width": 720, "height": 620}).new_page()
    page.goto(f"{url}/account/login/")
    page.get_by_label("Email").fill(f"{person}@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{url}/")
    return page


def side_by_side(*shots: bytes) -> Image.Image:
    windows = [Image.open(BytesIO(shot)) for shot in shots]
    width = sum(window.width for window in windows) + GAP * (len(windows) - 1)
    picture = Image.new("RGB", (width, windows[0].height), "#888")
    for number, window in enumerate(windows):
        picture.paste(window, (number * (window.width + GAP), 0))
    return picture


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(Path(folder), DEMO="1") as server,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(**CHROMIUM)
        bob, alice = (signed_in(browser, server.url, who) for who in ("bob", "alice"))
        alice.goto(f"{server.url}/cards/")
        alice.get_by_role("link", name="Edit").first.click()
        number = alice.locator("input[value='+43 1 555 0100']")
        number.fill("+43 1 555 0142")
        shot = alice.screenshot()
        number.press("Enter")
        expect(bob.get_by_text("+43 1 555 0142").first).to_be_visible()
        side_by_side(shot, bob.screenshot()).save(HERE / "live.png", optimize=True)
        browser.close()


if __name__ == "__main__":
    main()
