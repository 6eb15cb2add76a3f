"""From text to the lines of each card: where cards begin and end, unfolding, soft breaks, cards in
cards, and the limits. What a value means is for reading.

RFC 6350 section 3, RFC 2426 section 5, vCard 2.1 sections 2.1.3 to 2.1.5.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from cards.vcard.canonical import too_many_properties
from cards.vcard.model import Limits, VCardError

_IM = re.IGNORECASE | re.MULTILINE
_VCARD = r"[ \t]*:[ \t]*VCARD[ \t;]*$"
_BEGIN = re.compile(rf"^[ \t\ufeff\xef\xbb\xbf]*BEGIN{_VCARD}", _IM)
_COLON_LINE = re.compile(r"\n[A-Za-z][^\n:]{0,100}:")
_BORDER = re.compile(
    r"^[ \t]*(?:(?P<agent>AGENT[^\n:]*):\s*(?P<nested>BEGIN)|(?P<begin>BEGIN)|(?P<end>END))"
    + _VCARD,
    _IM,
)
# Where what began ends. Sought, not matched as a whole: a loop in a pattern costs memory.
_FOLDS_END = re.compile(r"\n(?![ \t])")
_SOFT_BREAKS_END = re.compile(r"\n(?:(?<!=\n)|(?=(?:END|BEGIN)[ \t]*:))", re.IGNORECASE)
_BASE64_END = re.compile(r"\n(?![A-Za-z0-9+/= \t]*+(?:\n|\Z))")
_NAMELESS_END = re.compile(r"\n(?=[^\n:]*+:)")
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_PARAM = re.compile(r';([^=:;"]*)(?:=((?:"[^"]*+"|[^";:])*+))?')
_PARAM_VALUE = re.compile(r'"([^"]*)"|([^",]+)')

SEPARATORS = 10  # for each property that is allowed, on the average

QUOTED_PRINTABLE = frozenset({"quoted-printable", "q"})
BASE64 = frozenset({"base64", "b"})
_WORDS = {
    **dict.fromkeys((*QUOTED_PRINTABLE, *BASE64, "7bit", "8bit"), "encoding"),
    **dict.fromkeys(("inline", "url", "content-id", "cid"), "value"),
}


@dataclass
class Line:
    """One property as it stands: unfolded, its value not decoded, its parameters unquoted under
    lower-case names. The bare words of 2.1 are under the names that they stand for."""

    name: str
    params: dict[str, list[str]]
    value: str
    encoding: str = field(init=False)

    def __post_init__(self) -> None:
        encodings = self.params.get("encoding")
        self.encoding = encodings[0].strip().lower() if encodings else ""


@dataclass
class RawCard:
    version: str = ""
    lines: list[Line] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def warn(self, warning: str) -> None:
        if warning not in self.warnings:
            self.warnings.append(warning)


def raw_cards(text: str, limits: Limits) -> Iterator[RawCard]:
    """The cards of a text in which no line is empty. What stands around them is warned of."""
    _check_numbers(text, limits)
    begin, at, number = _BEGIN.search(text), 0, 0
    while begin:
        number += 1
        if number > limits.cards:
            raise _too_many_cards(limits)
        reader = _Reader(text, begin.end() + 1, limits)
        reader.warn_of_stray(text[at : begin.start()])
        reader.read()
        at, begin = reader.at, _BEGIN.search(text, reader.at)
        if not begin:
            reader.warn_of_stray(text[at:])
        yield reader.card


def _check_numbers(text: str, limits: Limits) -> None:
    """Refuse at once what would be refused after much work. Cards in cards count as cards here."""
    if _more_than(limits.cards * limits.nesting, _BEGIN, text):
        raise _too_many_cards(limits)
    if _more_than(limits.properties_of_all, _COLON_LINE, text):
        raise too_many_properties(limits)
    if text.count(";") + text.count(",") > SEPARATORS * limits.properties_of_all:
        raise VCardError("This has more parts than any cards need.")


def _more_than(limit: int, pattern: re.Pattern[str], text: str) -> bool:
    return any(islice(pattern.finditer(text), limit, None))


def _too_many_cards(limits: Limits) -> VCardError:
    return VCardError(f"More than {limits.cards} cards at once are not read.")


class _Reader:
    """Reads one card from its first line on, and stops behind its last."""

    def __init__(self, text: str, at: int, limits: Limits) -> None:
        self.text, self.at, self.limits = text, at, limits
        self.card = RawCard()
        self.count = 0

    def warn_of_stray(self, text: str) -> None:
        if text := text[:1000].strip():
            self.card.warn(f"Text outside of a card was left out: {text[:40]!r}.")

    def read(self) -> None:
        while self.at < len(self.text):
            border = self.border()
            if border and border["end"]:
                self.at = border.end() + 1
                return
            if border and border["begin"]:
                break
            self.count += 1
            if self.count > self.limits.properties:
                raise VCardError(
                    f"A card with more than {self.limits.properties} properties is not read."
                )
            if border:
                self.take_nested(border)
            else:
                self.take_line()
        self.card.warn("The card had no END: it was read as far as it goes.")

    def border(self) -> re.Match[str] | None:
        """Where a card ends or another begins. Later versions than 2.1 escape a card in a card:
        there the first line of one is only text."""
        border = _BORDER.match(self.text, self.at)
        if border and border["agent"] and self.card.version != "2.1" and "\n" not in border[0]:
            return None
        return border

    def take_nested(self, border: re.Match[str]) -> None:
        """An AGENT of vCard 2.1: a whole card in the place of the value, kept as text."""
        depth, end = 2, len(self.text)
        for mark in _BORDER.finditer(self.text, border.end()):
            depth += bool(mark["agent"]) - bool(mark["end"])
            if depth > self.limits.nesting:
                raise VCardError(f"Cards in cards are read {self.limits.nesting} deep, no deeper.")
            if mark["begin"] or depth == 1:
                end = mark.end() if mark["end"] else mark.start() - 1
                break
        self.check_size(border.start(), end)
        header = _header(border["agent"].strip() + ":", self.limits)
        name, params, _ = header or ("agent", {}, 0)
        self.card.lines.append(Line(name, params, self.text[border.start("nested") : end]))
        self.at = end + 1

    def take_line(self) -> None:
        end = self.end_of(_FOLDS_END, self.at)
        folded = self.text[self.at : end]
        line = self.unfolded(folded)
        header = _header(line, self.limits)
        if not header:
            self.take_nameless(end)
            return
        name, params, length = header
        taken = Line(name, params, line[length + 1 :])
        if taken.encoding in QUOTED_PRINTABLE:
            rest = end
            end = self.end_of(_SOFT_BREAKS_END, end)
            value = folded[length + 1 :] if folded.startswith(line[:length]) else taken.value
            taken.value = self.unfolded((value + self.text[rest:end]).replace("=\n", ""))
        elif taken.encoding in BASE64 or ";base64," in taken.value[:100]:
            rest = end
            end = self.end_of(_BASE64_END, end)
            taken.value += self.text[rest:end]
        self.check_size(self.at, end)
        self.at = end + 1
        if name == "version":
            self.card.version = taken.value.strip()
        else:
            self.card.lines.append(taken)

    def take_nameless(self, end: int) -> None:
        """Lines that are no property: what a careless writer left of a value with line breaks."""
        end = self.end_of(_NAMELESS_END, end)
        self.check_size(self.at, end)
        lines = self.text[self.at : end].replace("\n", "\\n")
        self.at = end + 1
        before = self.card.lines[-1] if self.card.lines else None
        if before is None or before.encoding in BASE64 or ";base64," in before.value[:100]:
            self.card.warn(f"A line that is no property was left out: {lines[:40]!r}.")
        else:
            before.value += f"\\n{lines}"
            self.card.warn(f"A line without a name was added to {before.name}: {lines[:40]!r}.")

    def end_of(self, pattern: re.Pattern[str], at: int) -> int:
        found = pattern.search(self.text, at)
        return found.start() if found else len(self.text)

    def unfolded(self, text: str) -> str:
        """2.1 folds before white space and keeps it, later versions add a space to take away."""
        if "\n" not in text:
            return text
        if self.card.version == "2.1":
            return text.replace("\n", "")
        return text.replace("\n ", "").replace("\n\t", "")

    def check_size(self, start: int, end: int) -> None:
        if end - start > self.limits.value:
            raise VCardError(f"A value of more than {self.limits.value} octets is not read.")


def _header(line: str, limits: Limits) -> tuple[str, dict[str, list[str]], int] | None:
    """The name, the parameters and the length of all that is before the colon of the value."""
    length = line.find(":")
    name, *words = line[: max(length, 0)].split(";", limits.parts + 1)
    group, _, name = name.strip().rpartition(".")
    if not _NAME.fullmatch(name):
        return None
    if length <= limits.header and '"' in line[:length]:
        length, words = _quoted_params(line, length, words, limits)
    if length > limits.header or len(words) + line.count(",", 0, length) > limits.parts:
        raise VCardError("A property with that many parameters is not read.")
    params: dict[str, list[str]] = {}
    for word in words:
        _add_param(params, word)
    if group:
        params["group"] = [group.replace(".", "-")]
    return name.lower().replace("_", "-"), params, length


def _quoted_params(
    line: str, colon: int, words: list[str], limits: Limits
) -> tuple[int, list[str]]:
    """Where quotes hold colons and semicolons. Quotes that do not close are only characters."""
    at, quoted = line.find(";"), list[str]()
    while len(quoted) <= limits.parts and (found := _PARAM.match(line, at)):
        quoted.append(found[0][1:])
        at = found.end()
    return (at, quoted) if line[at : at + 1] == ":" else (colon, words)


def _add_param(params: dict[str, list[str]], word: str) -> None:
    name, equals, value = word.partition("=")
    name = name.strip().lower().replace("_", "-")
    if not equals:
        name, value = _WORDS.get(name, "type"), name
    values = (
        [quoted or bare for quoted, bare in _PARAM_VALUE.findall(value)]
        if '"' in value
        else value.split(",")
    )
    params.setdefault(name, []).extend(values)
