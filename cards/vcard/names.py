"""Names of people, whole (FN) and in parts (N, RFC 6350, section 6.2.2): family, given, additional,
prefix, suffix.

Chinese names are written without spaces, the family's first.
"""

import re
from collections.abc import Sequence

HAN = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff]+")
LONGEST_HAN = 4  # characters; what is longer is hardly a person's name

# All other family names are of one character.
TWO_CHARACTERS = re.compile(
    "欧阳|歐陽|上官|皇甫|令狐|诸葛|諸葛|司徒|司马|司馬|申屠|夏侯|慕容|尉迟|尉遲|长孙|長孫|端木|"
    "公孙|公孫|东方|東方|独孤|獨孤|南宫|南宮|宇文|鲜于|鮮于|呼延|淳于|钟离|鍾離|轩辕|軒轅|拓跋|"
    "赫连|赫連|百里|东郭|東郭"
)


def together(parts: Sequence[Sequence[str]]) -> str:
    """The whole name of the five parts, each a list of words."""
    family, given, additional, prefix, suffix = parts
    name = "".join([*family, *additional, *given])
    if not HAN.fullmatch(name):
        return " ".join([*prefix, *given, *additional, *family, *suffix])
    words = [*prefix, name, *suffix]
    return ("" if HAN.fullmatch("".join(words)) else " ").join(words)


def apart(whole: str) -> tuple[str, str]:
    """The family name and the given name, as well as can be guessed."""
    family, comma, given = (part.strip() for part in whole.partition(","))
    if comma and given:
        return family, given
    return _han(family) if HAN.fullmatch(family) else _spaced(family.split())


def _han(whole: str) -> tuple[str, str]:
    length = 2 if TWO_CHARACTERS.match(whole) else 1
    if not length < len(whole) <= LONGEST_HAN:
        return "", whole
    return whole[:length], whole[length:]


def _spaced(words: list[str]) -> tuple[str, str]:
    """The last word, and what is written small before it, as in Ludwig van Beethoven."""
    start = len(words) - 1
    while start > 1 and words[start - 1].islower():
        start -= 1
    if start < 1:
        return "", " ".join(words)
    return " ".join(words[start:]), " ".join(words[:start])
