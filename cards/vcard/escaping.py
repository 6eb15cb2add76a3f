"""Backslashes and separators in the values of text vCards: RFC 6350 section 3.4.

A value is escaped by its type: text fully, what is kept verbatim not at all, the rest only where
a backslash would be misread.
"""

import re

from cards.vcard.grammar import UNKNOWN

# In this order. Meanwhile a NUL stands for an escaped backslash.
_MEANINGS = (
    ("\\\\", "\0"),
    ("\\n", "\n"),
    ("\\N", "\n"),
    ("\\,", ","),
    ("\\;", ";"),
    ("\\:", ":"),
    ("\0", "\\"),
)
_TEXT = str.maketrans({"\\": "\\\\", ",": "\\,", ";": "\\;", "\n": "\\n"})
_PART = {
    separator: re.compile(rf"(?:[^\\{separator}]++|\\.|\\$)*+", re.DOTALL)
    for separator in (",", ";")
}


def escape(text: str, value_type: str = "text") -> str:
    if value_type == "text":
        return text.translate(_TEXT)
    return text if value_type == UNKNOWN else text.replace("\\", "\\\\")


def unescape(text: str, value_type: str = "text") -> str:
    """Undo the escapes that the RFCs know; a backslash before anything else stays. The text has
    to be free of control characters."""
    if value_type == UNKNOWN or "\\" not in text:
        return text
    for escaped, meant in _MEANINGS:
        text = text.replace(escaped, meant)
    return text


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
