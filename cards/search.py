"""What a card is found by, and where it stands in a list.

Both are made of one view, so that nobody finds a card by what it does not show them.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from cards.face import texts_of
from cards.vcard import HAN

FOUND_BY = ("fn", "n", "nickname", "org", "title", "role", "tel", "email", "url", "impp", "adr")
FAMILY, GIVEN = 0, 1  # places in n (RFC 6350, 6.2.2)
NUMBER = re.compile(r"[\d\s()+./-]*\d[\d\s()+./-]*")
LONGEST = 200  # characters to sort by


def folded(text: str) -> str:
    """Without accents and capitals, as people type when they look for something."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(each for each in plain if not unicodedata.combining(each))


def pinyin(text: str) -> str:
    """The text with its Han characters as they are spoken, in syllables."""
    return HAN.sub(lambda han: " ".join(syllables(han[0])) + " ", text)


def initials(text: str) -> str:
    """Of Han characters: the first letter of each."""
    return " ".join("".join(each[:1] for each in syllables(han)) for han in HAN.findall(text))


def syllables(han: str) -> list[str]:
    """How these characters are spoken. What knows it takes 57 MB and a fifth of the time in which a
    process starts, so it is loaded with the first name that needs it."""
    from pypinyin import lazy_pinyin

    return lazy_pinyin(han)


def digits(text: str) -> str:
    """Of a number, without what says that it is a long-distance call."""
    return re.sub(r"\D", "", text).lstrip("0")


def search_text(view: Mapping[str, Any]) -> str:
    """All that the view `{fn, properties, photo}` is found by, folded."""
    named = [("fn", view["fn"]), *((each["name"], each["value"]) for each in view["properties"])]
    texts = [(name, " ".join(texts_of(value))) for name, value in named if name in FOUND_BY]
    words = [text for _name, text in texts]
    words += [digits(text) for name, text in texts if name == "tel"]
    for text in filter(HAN.search, list(words)):
        words += [pinyin(text).replace(" ", ""), initials(text)]
    return folded("\n".join(dict.fromkeys(words)))


def sort_text(view: Mapping[str, Any]) -> str:
    """The family name and the given name where they are told apart, or the name as it is; Han
    characters stand where their pinyin does."""
    parts: list[Any] = next(
        (each["value"] for each in view["properties"] if each["name"] == "n"), []
    )
    named = [" ".join(texts_of(part)) for part in parts[: GIVEN + 1]]
    name = " ".join(filter(None, named)) or view["fn"]
    return folded(pinyin(name)).strip()[:LONGEST]


def terms(wanted: str) -> list[str]:
    """What must all be found in the text of a card, if this was typed."""
    if NUMBER.fullmatch(wanted.strip()) and len(digits(wanted)) > 2:
        return [digits(wanted)]
    return folded(wanted).split()
