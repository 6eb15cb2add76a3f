"""From octets to text: the encoding of a file, and the CHARSET and ENCODING of one value in it.

A file that is not UTF-8 as a whole is held as Latin-1, which loses nothing, and each value is
decoded by itself: old phones mix encodings in one file, and others fold in mid-character.
"""

import base64
import binascii
import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass

from cards.vcard.media import tidied

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# The names that occur and the widest encoding that each stands for in practice. No other is ever
# looked up: some of Python's codecs are slow on purpose-made input.
_CHARSETS = {
    "utf-8": "utf-8", "utf8": "utf-8", "utf-16": "utf-16", "utf-7": "utf-7",
    "iso-8859-1": "cp1252", "latin1": "cp1252", "windows-1252": "cp1252", "cp1252": "cp1252",
    "gb2312": "gb18030", "gbk": "gb18030", "gb18030": "gb18030", "cp936": "gb18030",
    "big5": "big5hkscs", "big5-hkscs": "big5hkscs", "cp950": "cp950",
    "shift_jis": "cp932", "shift-jis": "cp932", "x-sjis": "cp932", "windows-31j": "cp932",
    "euc-jp": "euc_jp", "iso-2022-jp": "iso2022_jp", "euc-kr": "cp949", "ks_c_5601-1987": "cp949",
    "koi8-r": "koi8_r", "koi8-u": "koi8_u", "macintosh": "mac_roman", "tis-620": "tis_620",
    **{f"iso-8859-{part}": f"iso8859_{part}" for part in (2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14, 15)},
    **{f"windows-125{part}": f"cp125{part}" for part in (0, 1, 3, 4, 5, 6, 7, 8)},
}  # fmt: skip
_SAMPLE = 100_000


@dataclass(frozen=True)
class Source:
    """The text of a file, its line ends all \\n and no line empty. With `guess`, the characters
    of `text` stand for octets."""

    text: str
    guess: str = ""

    def decoded(self, text: str, charset: str = "", encoding: str = "") -> str:
        """What a value, or a parameter of it, says."""
        decode = _ENCODINGS.get(encoding)
        if not decode and (not self.guess or text.isascii()):
            return text
        octets = self._octets(text)
        return _decoded(decode(octets) if decode else octets, charset, self.guess)

    def _octets(self, text: str) -> bytes:
        return text.encode("latin-1") if self.guess else text.encode("utf-8", "replace")


def opened(source: bytes | str) -> Source:
    if isinstance(source, str):
        return Source(_tidied(source))
    for bom, encoding in _BOMS:
        if source.startswith(bom):
            return Source(_tidied(source.decode(encoding, "replace")))
    if b"\0" in source[:2]:
        encoding = "utf-16-be" if source[:1] == b"\0" else "utf-16-le"
        return Source(_tidied(source.decode(encoding, "replace")))
    try:
        return Source(_tidied(source.decode()))
    except UnicodeDecodeError:
        return Source(_tidied(source.decode("latin-1")), _guessed(source))


def _tidied(text: str) -> str:
    """Every kind of line end, doubled or not, as one \\n. An indented file loses its indent."""
    text = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    while "\n\n" in text:
        text = text.replace("\n\n", "\n")
    if indent := re.match(r"[ \t]+(?=BEGIN)", text, re.IGNORECASE):
        text = text.replace(f"\n{indent[0]}", "\n")
    return text


def _decoded(octets: bytes, charset: str, guess: str) -> str:
    """By the charset that was declared, if it fits, else by what the octets look like."""
    declared = _CHARSETS.get(charset.strip(" \"'").lower())
    for encoding in (declared, "utf-8", guess or _guessed(octets), "cp1252"):
        try:
            if encoding:
                return octets.decode(encoding)
        except UnicodeDecodeError:
            continue
    return octets.decode("latin-1")


def _guessed(octets: bytes) -> str:
    """gb18030 if most of what is not ASCII are common Chinese characters (the first level of
    GB 2312, which Western accents next to each other do not make), else cp1252."""
    lines = [line for line in octets[:_SAMPLE].splitlines() if not line.isascii()]
    try:
        text = b"\n".join(line for line in lines if not _is_utf8(line)).decode("gb18030")
    except UnicodeDecodeError:
        return "cp1252"
    foreign = [character for character in text if not character.isascii()]
    common = sum(b"\xb0" <= each.encode("gb18030")[:1] <= b"\xd7" for each in foreign)
    return "gb18030" if foreign and common * 2 > len(foreign) else "cp1252"


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _from_base64(octets: bytes) -> bytes:
    return base64.b64decode(tidied(octets.decode("latin-1")))


_ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "quoted-printable": binascii.a2b_qp,
    "q": binascii.a2b_qp,
    "base64": _from_base64,
    "b": _from_base64,
}
