"""A page in the hands of somebody without a mouse: Tab and Shift+Tab, arrows, Space and Enter.

Wherever they come to, they see where they are.
"""

from playwright.sync_api import FilePayload, Locator, Page, expect

TRIES = 5  # at guessing how far something is

# How many times Tab leads to an element from where one is, or Shift+Tab if it is less than nothing.
# It is a guess: that one has come there is seen by the focus.
STEPS = """(wanted) => {
  const kinds = "a[href], button, input, select, textarea, summary, [tabindex]";
  const isOpen = (it) => it.tabIndex >= 0 && !it.disabled && it.checkVisibility();
  const all = [...document.querySelectorAll(kinds)].filter((it) => it === wanted || isOpen(it));
  return all.indexOf(wanted) - all.indexOf(document.activeElement);
}"""

# With a ring around it, on the screen, and nothing in front of it; null while it is laid out anew.
IS_SHOWN = """(it) => {
  const [box] = it.getClientRects();
  if (!box) return null;
  const { outlineStyle, outlineWidth } = getComputedStyle(it);
  const ring = outlineStyle === "solid" && parseFloat(outlineWidth) >= 2;
  const { left, top, width, height } = box;
  const seen = document.elementFromPoint(left + width / 2, top + height / 2);
  return { ring, seen: it.contains(seen) || (seen?.contains(it) ?? false) };
}"""


class Keyboard:
    def __init__(self, page: Page) -> None:
        self.page = page

    def go_to(self, wanted: Locator) -> None:
        expect(wanted).to_be_visible()
        for _each in range(TRIES):
            steps = int(wanted.evaluate(STEPS))
            if not steps:
                break
            for _step in range(abs(steps)):
                self.page.keyboard.press("Tab" if steps > 0 else "Shift+Tab")
        expect(wanted).to_be_focused()
        for _each in range(TRIES):
            expect(wanted).to_be_visible()
            if shown := wanted.evaluate(IS_SHOWN):
                break
        assert shown == {"ring": True, "seen": True}, wanted

    def press(self, wanted: Locator, key: str = "Enter") -> None:
        self.go_to(wanted)
        self.page.keyboard.press(key)

    def follow(self, wanted: Locator) -> None:
        """Press what leads to a page that looks like this one, and wait until it is there."""
        with self.page.expect_navigation():
            self.press(wanted)

    def tick(self, wanted: Locator) -> None:
        self.press(wanted, "Space")

    def write(self, wanted: Locator, text: str) -> None:
        """In place of what is there."""
        self.press(wanted, "ControlOrMeta+a")
        self.page.keyboard.type(text)

    def choose(self, wanted: Locator, label: str) -> None:
        """One of a list, by the arrow keys from where it stands."""
        self.go_to(wanted)
        labels = [each.strip() for each in wanted.locator("option").all_text_contents()]
        steps = labels.index(label) - int(wanted.evaluate("(it) => it.selectedIndex"))
        for _step in range(abs(steps)):
            self.page.keyboard.press("ArrowDown" if steps > 0 else "ArrowUp")
        expect(wanted.locator("option:checked")).to_have_text(label)

    def give_file(self, wanted: Locator, file: FilePayload) -> None:
        with self.page.expect_file_chooser() as chooser:
            self.press(wanted)
        chooser.value.set_files(file)


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def link(page: Page, name: str) -> Locator:
    return page.get_by_role("link", name=name, exact=True)
