"""Text vCards as they really occur, 2.1, 3.0, 4.0 and what calls itself so, in the one canonical
form. Tolerant: it reads what can be read, and says in warnings what it guessed or left out.

RFC 6350, RFC 2426, the vCard 2.1 specification; habits of iPhones, Outlook and Android.
"""

import re
from collections import defaultdict
from dataclasses import replace

from cards.vcard import dates, media
from cards.vcard.canonical import clean, gathered, made_n, parsed, type_words
from cards.vcard.decoding import Source, opened
from cards.vcard.escaping import split, unescape
from cards.vcard.grammar import (
    COMPONENTS,
    DEFAULT_TYPES,
    ENCODING_PARAMS,
    LIST_COMPONENTS,
    LISTS,
    MEDIA,
    UNKNOWN,
    VALUE_TYPES,
)
from cards.vcard.lines import BASE64, Line, RawCard, raw_cards
from cards.vcard.model import (
    DEFAULT_LIMITS,
    Component,
    Limits,
    Params,
    ParsedCard,
    Property,
    Value,
    VCardError,
)

VERSIONS = ("2.1", "3.0", "4.0")

_CARET = re.compile(r"\^[n'^]")
_CARETS = {"^n": "\n", "^'": '"', "^^": "^"}
_OFFSET: Params = {"value": ["utc-offset"]}
_OLD_VALUE_TYPES = {"url": "uri", "cid": "uri", "content-id": "uri"}


def read(source: bytes | str, limits: Limits = DEFAULT_LIMITS) -> list[ParsedCard]:
    """Every card of a file, in its order; those with nothing in them are passed over, and so are
    properties without a value.

    Raises VCardError, and nothing else, if there is no card or a limit is passed.
    """
    if len(source) > limits.size:
        raise VCardError(f"More than {limits.size} octets at once are not read.")
    text = opened(source)
    made = (_Card(raw, text, limits).parsed() for raw in raw_cards(text.text, limits))
    cards = gathered((card for card in made if card), limits)
    if not cards:
        raise VCardError("There is no vCard in this.")
    return cards


class _Card:
    """One card on its way from lines to properties."""

    def __init__(self, raw: RawCard, source: Source, limits: Limits) -> None:
        self.raw, self.source, self.limits = raw, source, limits
        self.version = raw.version if raw.version in VERSIONS else "3.0"
        if raw.version not in VERSIONS:
            raw.warn(f"The card says no version that is known: it was read as {self.version}.")

    def parsed(self) -> ParsedCard | None:
        made = (self.property_of(line) for line in self.raw.lines)
        properties = [each for each in made if each and each.value]
        if self.version != "4.0":
            properties = _with_labels(properties)
            properties += self.missing_n(properties)
        return parsed(properties, self.limits, self.raw.warnings) if properties else None

    def missing_n(self, properties: list[Property]) -> list[Property]:
        if any(line.name == "n" for line in self.raw.lines):
            return []
        made = made_n(properties)
        if not any(made):
            return []
        self.raw.warn("The card had no structured name: it was made from the formatted one.")
        return [Property("n", made)]

    def property_of(self, line: Line) -> Property | None:
        params = self.params_of(line)
        if line.name in MEDIA or (line.encoding in BASE64 and line.name not in DEFAULT_TYPES):
            return self.media_of(line, params)
        text = self.text_of(line)
        value = self.value_of(line.name, text, params)
        if isinstance(value, str):
            value = _without_omitted_year(value, params)
        if line.name == "tz" and self.version != "4.0":
            params = _with_offset(params, text)
        return Property(line.name, value, params)

    def text_of(self, line: Line) -> str:
        charset = "".join(line.params.get("charset", [])[:1])
        return clean(self.source.decoded(line.value, charset, line.encoding))

    def params_of(self, line: Line) -> Params:
        params = {
            name: [self.param_of(text) for text in values]
            for name, values in line.params.items()
            if name not in ENCODING_PARAMS
        }
        if "value" in params:
            params["value"] = [_OLD_VALUE_TYPES.get(text.lower(), text) for text in params["value"]]
        return params

    def param_of(self, text: str) -> str:
        text = self.source.decoded(text)
        if self.version != "4.0" or "^" not in text:
            return text
        return _CARET.sub(lambda found: _CARETS[found[0]], text)

    def value_of(self, name: str, text: str, params: Params) -> Value:
        """Commas part the values of a component where the version's grammar says so, no others."""
        if name not in COMPONENTS and name not in LISTS:
            declared = "".join(params.get("value", [])[:1]).lower()
            known = declared if declared in VALUE_TYPES else DEFAULT_TYPES.get(name, UNKNOWN)
            return unescape(text, known)
        if text.count(";") + text.count(",") > self.limits.parts:
            raise VCardError(f"A value of more than {self.limits.parts} parts is not read.")
        if name in LISTS:
            return [unescape(part) for part in split(text, ",")]
        lists = name in LIST_COMPONENTS and self.version != "2.1"
        return [_component(part, lists) for part in split(text, ";")]

    def media_of(self, line: Line, params: Params) -> Property:
        """Base64 as a `data:` URI; with a URL, the media type that TYPE says of it."""
        inline = line.encoding in BASE64
        if inline or self.version != "4.0":
            words = type_words(params.get("type", []))
            said = [found for found in map(media.media_type_of, words) if found]
            params["type"] = [word for word in words if not media.media_type_of(word)]
            params["mediatype"] = params.get("mediatype") or said[:1]
        if not inline:
            return Property(line.name, unescape(self.text_of(line), "uri"), params)
        uri = media.data_uri(line.value, "".join(params.pop("mediatype")))
        if not uri:
            self.raw.warn(f"A {line.name} that cannot be read was left out.")
        return Property(line.name, uri, params | {"value": ["uri"]})


def _component(text: str, lists: bool) -> Component:
    if lists and "," in text:
        return [unescape(part) for part in split(text, ",")]
    return unescape(text)


def _with_labels(properties: list[Property]) -> list[Property]:
    """Each LABEL as a parameter of the ADR with the same types: the nearest before it, else the
    first after it. One without such an address stays a property."""
    if not any(each.name == "label" for each in properties):
        return properties
    kept = dict(enumerate(properties))
    free: dict[frozenset[str], list[int]] = defaultdict(list)
    early: list[int] = []

    def give(label: int, address: int) -> None:
        text = {"label": [str(kept.pop(label).value)]}
        kept[address] = replace(kept[address], params=kept[address].params | text)

    for at, each in enumerate(properties):
        if each.name == "adr" and "label" not in each.params:
            free[_places(each)].append(at)
        elif each.name == "label" and free[_places(each)]:
            give(at, free[_places(each)].pop())
        elif each.name == "label":
            early.append(at)
    for at in early:
        if waiting := free[_places(properties[at])]:
            give(at, waiting.pop(0))
    return list(kept.values())


def _places(each: Property) -> frozenset[str]:
    return frozenset(type_words(each.params.get("type", []))) - {"pref"}


def _with_offset(params: Params, text: str) -> Params:
    """Before 4.0 a time zone was an offset, and text had to be declared."""
    return params if "value" in params or not dates.utc_offset(text) else params | _OFFSET


def _without_omitted_year(text: str, params: Params) -> str:
    """iPhones write a birthday without a year as one of 1604, and declare that this is none."""
    years = params.pop("x-apple-omit-year", None)
    day = dates.date(text)
    return dates.yearless(day) if years and day and day.startswith(years[0]) else text
