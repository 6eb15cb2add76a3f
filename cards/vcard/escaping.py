"""Backslashes and separators in the values of text vCards: RFC 6350 section 3.4.

A value is escaped by its type: text fully, what is kept verbatim not at all, the rest only where
a backslash would be misread.
"""

import re

from cards.vcard.grammar import UNKNOWN

_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_MEANING = {"n": "\n", "N": "\n", ",": ",", ";": ";", ":": ":", "\\": "\\"}
_TEXT = str.maketrans({"\\": "\\\\", ",": "\\,", ";": "\\;", "\n": "\\n"})
_PART = {
    separator: re.compile(rf"(?:[^\\{separator}]|\\.|\\$)*", re.DOTALL) for separator in (",", ";")
}


def escape(text: str, value_type: str = "text") -> str:
    if value_type == "text":
        return text.translate(_TEXT)
    return text if value_type == UNKNOWN else text.replace("\\", "\\\\")


def unescape(text: str, value_type: str = "text") -> str:
    """Undo the escapes that the RFCs know; a backslash before anything else stays."""
    if value_type == UNKNOWN or "\\" not in text:
        return text
    return _ESCAPED.sub(lambda found: _MEANING.get(found[1], found[0]), text)


def split(text: str, separator: str) -> list[str]:
    """The parts between unescaped separators, still escaped."""
    if "\\" not in text:
        return text.split(separator)
    parts, at = [], 0
    while at <= len(text):
        found = _PART[separator].match(text, at)
        end = found.end() if found else len(text)
        parts.append(text[at:end])
        at = end + 1
    return parts
