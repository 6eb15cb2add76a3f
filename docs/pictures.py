"""Makes the pictures of the README: two windows and one change (docs/live.png), and the way of two
people from signing up to a change that follows, on a laptop and on a phone (docs/laptop.png,
docs/phone.png). Run it with `make pictures`."""

import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from tests.servers import CHROMIUM, running_server

PASSWORD = "cards-for-everyone"  # noqa: S105  (of the demo)
HERE = Path(__file__).parent
GAP = 24  # pixels between two windows
PEOPLE = {"laptop": ("Dora Muster", "Emil Probe"), "phone": ("Fina Muster", "Gerd Probe")}
SCREENS: dict[str, tuple[dict[str, Any], int, float]] = {  # how it is, windows in a row, scale
    "laptop": ({"viewport": {"width": 1280, "height": 800}}, 2, 0.5),
    "phone": ({"viewport": {"width": 360, "height": 740}, "has_touch": True}, 6, 0.75),
}


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(Path(folder), DEMO="1") as server,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(**CHROMIUM)

        def window(**options: Any) -> Page:
            return browser.new_context(base_url=server.url, **options).new_page()

        side_by_side([*change(window)], 2, 1).save(HERE / "live.png", optimize=True)
        for name, (screen, columns, scale) in SCREENS.items():
            began = time.monotonic()
            shots = [*way(partial(window, **screen), *PEOPLE[name])]
            print(f"{name}: {time.monotonic() - began:.0f} s for all that is shown")
            sheet = side_by_side(shots, columns, scale)
            sheet.quantize(128).save(HERE / f"{name}.png", optimize=True)
        browser.close()


def change(window: Callable[..., Page]) -> Iterator[bytes]:
    """Alice changes her number, and what Bob sees."""
    bob, alice = (signed_in(window, who) for who in ("bob", "alice"))
    alice.goto("/cards/")
    alice.get_by_role("link", name="Edit").first.click()
    number = alice.locator("input[value='+43 1 555 0100']")
    number.fill("+43 1 555 0142")
    yield alice.screenshot()
    number.press("Enter")
    expect(bob.get_by_text("+43 1 555 0142").first).to_be_visible()
    yield bob.screenshot()


def signed_in(window: Callable[..., Page], person: str) -> Page:
    page = window(viewport={"width": 720, "height": 620})
    page.goto("/account/login/")
    page.get_by_label("Email").fill(f"{person}@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="What is new")).to_be_visible()
    return page


def way(window: Callable[[], Page], one: str, other: str) -> Iterator[bytes]:
    """Sign up, first card, QR code; another one takes it; a change, and there it is."""
    dora, emil = window(), window()
    signed_up(dora, one)
    yield dora.screenshot()
    dora.get_by_role("link", name="Make my first card").first.click()
    dora.get_by_label("Phone", exact=True).fill("+43 1 555 0001")
    expect(dora.locator("#preview")).to_contain_text("+43 1 555 0001")
    yield dora.screenshot()
    dora.get_by_role("button", name="Save").last.click()
    dora.get_by_role("button", name="Make a QR code and a link").click()
    link = dora.locator("#link").input_value()
    yield dora.screenshot()
    emil.goto(link)
    emil.get_by_role("main").get_by_role("link", name="Sign up").click()
    signed_up(emil, other)
    yield emil.screenshot()
    emil.get_by_role("button", name="Exchange cards").click()
    dora.goto("/cards/")
    dora.get_by_role("link", name="Edit").click()
    dora.get_by_label("Phone", exact=True).fill("+43 1 555 0003")
    dora.get_by_role("button", name="Save").last.click()
    dora.locator("#reach").wait_for()
    yield dora.screenshot()
    expect(emil.locator(".lines").get_by_text("+43 1 555 0003")).to_be_visible()
    yield emil.screenshot()


def signed_up(page: Page, name: str) -> None:
    """Where the page is, if it is there already."""
    if "signup" not in page.url:
        page.goto("/account/signup/")
    page.get_by_label("Your name").fill(name)
    page.get_by_label("Email").fill(f"{name.replace(' ', '.').lower()}@example.org")
    page.get_by_label("Password").first.fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign up").click()
    expect(page.locator("header").get_by_text(name)).to_be_visible()


def side_by_side(shots: list[bytes], columns: int, scale: float) -> Image.Image:
    """Windows of one size, in rows."""
    windows = [Image.open(BytesIO(shot)).convert("RGB") for shot in shots]
    width, height = (round(side * scale) for side in windows[0].size)
    rows = -(-len(windows) // columns)
    size = columns * (width + GAP) - GAP, rows * (height + GAP) - GAP
    sheet = Image.new("RGB", size, "#888")
    for number, window in enumerate(windows):
        small = window.resize((width, height), Image.Resampling.LANCZOS)
        row, column = divmod(number, columns)
        sheet.paste(small, (column * (width + GAP), row * (height + GAP)))
    return sheet


if __name__ == "__main__":
    main()
