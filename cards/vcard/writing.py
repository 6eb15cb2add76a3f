"""Text vCards: strictly RFC 6350 (4.0, with RFC 6868 for parameters) or RFC 2426 (3.0).

What 3.0 can say of a card, and in which words, is in downgrade.
"""

import re
from collections.abc import Callable, Iterable

from cards.vcard.canonical import canonical, type_of, with_fn
from cards.vcard.downgrade import downgraded
from cards.vcard.escaping import escape
from cards.vcard.grammar import LISTS
from cards.vcard.model import Component, Property

LINE_OCTETS = 75

_QUOTED = re.compile("[,;:]")
_CARET = str.maketrans({"^": "^^", "\n": "^n", '"': "^'"})
_PLAIN = str.maketrans({"\n": " ", '"': "'"})


def write(properties: Iterable[Property], version: str = "4.0") -> str:
    """One vCard, its lines ended by CRLF. Whatever is given comes out as valid text: it is made
    canonical first, and gets an fn (in 3.0 an n too) if it has none.

    In 3.0 a line break in a parameter becomes a space and a double quote a single one; what else
    RFC 2426 cannot express is left out, see downgrade. Raises ValueError for another version.
    """
    if version not in _LINES:
        raise ValueError(f"vCard {version} is not written, only 3.0 and 4.0.")
    lines = _LINES[version](with_fn(canonical(properties)))
    framed = ["BEGIN:VCARD", f"VERSION:{version}", *lines, "END:VCARD"]
    return "".join(f"{folded(line)}\r\n" for line in framed)


def _lines_4(properties: list[Property]) -> list[str]:
    return [_line(each, type_of(each), lambda text: text.translate(_CARET)) for each in properties]


def _lines_3(properties: list[Property]) -> list[str]:
    return [
        _line(each, value_type, lambda text: text.translate(_PLAIN))
        for each, value_type in downgraded(properties)
    ]


_LINES = {"3.0": _lines_3, "4.0": _lines_4}


def _line(written: Property, value_type: str, encoded: Callable[[str], str]) -> str:
    params = "".join(
        f";{name.upper()}={','.join(_quoted(encoded(text)) for text in values)}"
        for name, values in written.params.items()
        if name != "group"
    )
    group = "".join(f"{name}." for name in written.params.get("group", ()))
    return f"{group}{written.name.upper()}{params}:{_value(written, value_type)}"


def _quoted(text: str) -> str:
    return f'"{text}"' if _QUOTED.search(text) else text


def _value(written: Property, value_type: str) -> str:
    if isinstance(written.value, str):
        return escape(written.value, value_type)
    parts = [_component(part) for part in written.value]
    if written.name in LISTS:
        return ",".join(parts)
    return ";".join(parts[:1] if written.name == "gender" and not parts[1] else parts)


def _component(part: Component) -> str:
    return escape(part) if isinstance(part, str) else ",".join(map(escape, part))


def folded(line: str) -> str:
    """The line broken so that no piece has more than 75 octets, and no character is torn."""
    octets = line.encode()
    if len(octets) <= LINE_OCTETS:
        return line
    pieces, start, room = [], 0, LINE_OCTETS
    while start < len(octets):
        end = start + room
        while end < len(octets) and octets[end] & 0b1100_0000 == 0b1000_0000:
            end -= 1
        pieces.append(octets[start:end])
        start, room = end, LINE_OCTETS - 1
    return b"\r\n ".join(pieces).decode()
