"""Makes static/icons/ of static/icon.svg, for phones that want pictures: `make icons`."""

from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.servers import CHROMIUM

STATIC = Path(__file__).parent.parent / "static"
# Each with its size in pixels, how much of it the picture takes, and what is behind: a maskable
# icon may be cut to a circle of 80 %, and iOS makes black of what is transparent.
ICONS = {
    "192": (192, 100, "transparent"),
    "512": (512, 100, "transparent"),
    "maskable-512": (512, 62, "#ffffff"),
    "apple-180": (180, 78, "#ffffff"),
}


def main() -> None:
    svg = (STATIC / "icon.svg").read_text()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**CHROMIUM)
        page = browser.new_page()
        for name, (size, percent, behind) in ICONS.items():
            page.set_viewport_size({"width": size, "height": size})
            page.set_content(
                "<!doctype html><style>body { margin: 0; height: 100vh; display: grid; "
                f"place-items: center; background: {behind} }} "
                f"svg {{ width: {size * percent // 100}px }}</style>{svg}"
            )
            path = STATIC / "icons" / f"{name}.png"
            page.screenshot(path=path, omit_background=True)
            Image.open(path).quantize(64).save(path, optimize=True)
        browser.close()


if __name__ == "__main__":
    main()
