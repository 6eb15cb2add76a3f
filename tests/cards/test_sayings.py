"""What the codec says is said in the language of the person."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils.translation import override

from cards.sayings import SAYINGS, spoken

CODEC = Path(__file__).parent.parent.parent / "cards" / "vcard"
FOR_PROGRAMS = ("xcard.py", "jcard.py")  # which nobody fills in by hand


def texts() -> Iterator[str]:
    """All that is raised as a VCardError or warned of, with %s for what varies."""
    for module in CODEC.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Call) and node.args and module.name not in FOR_PROGRAMS:
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if name in ("VCardError", "warn"):
                    yield written(node.args[0])


def written(text: ast.expr) -> str:
    parts = text.values if isinstance(text, ast.JoinedStr) else [text]
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "%s" for part in parts)


def test_all_that_the_codec_says_is_known() -> None:
    said = {each for each in texts() if each not in ("%s", "Property %s: %s")}
    assert said == {str(each) for each in SAYINGS}


@pytest.mark.parametrize(
    ("text", "chinese"),
    [
        ("There is no vCard in this.", "其中没有 vCard。"),
        ("A card has at most 1000 properties.", "一张名片最多有 1000 个属性。"),
        ("A line without a name was added to tel: 'a%\nb'.", "没有名称的一行已并入 tel：'a%\nb'。"),
        ("Nobody has heard of this: 100%.", "Nobody has heard of this: 100%."),
    ],
)
def test_it_is_said_in_the_language_of_the_person(text: str, chinese: str) -> None:
    assert spoken(text) == text
    with override("zh-hans"):
        assert spoken(text) == chinese
