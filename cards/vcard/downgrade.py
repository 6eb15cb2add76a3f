"""What vCard 3.0 (RFC 2426) can say of a canonical card, in the terms of 3.0.

Left out: parameters that only 4.0 has, dates that 3.0 has no form for (a year or a month alone,
a bare time, words), places that are no geo: URI. Properties that only 4.0 has go under their own
names, as registered tokens may.
"""

import re
from collections.abc import Callable, Iterator

from cards.vcard import dates, media
from cards.vcard.canonical import made_n, type_of
from cards.vcard.grammar import MEDIA, NUMBER
from cards.vcard.model import Params, Property

Line = tuple[Property, str]  # a property of 3.0 and the type by which its value is escaped

_PARAMS = frozenset({"type", "language", "value", "group"})
_GEO = re.compile(rf"geo:({NUMBER}),({NUMBER})(?:[,;]|$)", re.IGNORECASE)


def downgraded(properties: list[Property]) -> Iterator[Line]:
    """The lines of 3.0 in the same order; LABEL follows its ADR, an N that was missing its FN."""
    for each in properties:
        name = each.name if each.name not in MEDIA else "media"
        yield from _WORDS.get(name, _as_it_is)(each)
        if each is properties[0] and not any(other.name == "n" for other in properties):
            yield Property("n", made_n(properties)), "text"


def _params(each: Property, without: str = "") -> Params:
    params = {
        name: list(values)
        for name, values in each.params.items()
        if (name in _PARAMS or name.startswith("x-")) and name != without
    }
    if each.params.get("pref") == ["1"]:
        params["type"] = [*params.get("type", []), "pref"]
    return params


def _as_it_is(each: Property) -> Iterator[Line]:
    yield Property(each.name, each.value, _params(each)), type_of(each)


def _as_text(each: Property) -> Iterator[Line]:
    yield Property(each.name, each.value, _params(each, without="value")), "text"


def _address(each: Property) -> Iterator[Line]:
    yield from _as_it_is(each)
    for label in each.params.get("label", ()):
        yield Property("label", label, _params(each)), "text"


def _phone(each: Property) -> Iterator[Line]:
    number = str(each.value)
    if type_of(each) == "uri" and number.lower().startswith("tel:"):
        number = number[4:].partition(";")[0]
    yield from _as_text(Property(each.name, number, each.params))


def _place(each: Property) -> Iterator[Line]:
    if found := _GEO.match(str(each.value)):
        yield Property("geo", f"{found[1]};{found[2]}", _params(each)), type_of(each)


def _zone(each: Property) -> Iterator[Line]:
    if type_of(each) == "utc-offset":
        offset = dates.extended(str(each.value), "utc-offset")
        yield Property("tz", offset, _params(each, without="value")), "utc-offset"
    else:
        value = [type_of(each)]
        yield Property("tz", each.value, _params(each) | {"value": value}), value[0]


def _day(each: Property) -> Iterator[Line]:
    """A day without its year is written as iPhones do, with a year that is declared to be none."""
    value, params = str(each.value), _params(each)
    if type_of(each) == "text":
        return
    if re.fullmatch(r"--[0-9]{4}", value):
        year = dates.OMITTED_YEAR
        params["x-apple-omit-year"] = [year]
        yield Property(each.name, f"{year}-{value[2:4]}-{value[4:]}", params), "date"
    elif re.fullmatch(r"[0-9]{8}", value):
        yield Property(each.name, dates.extended(value, "date"), params), "date"
    elif moment := dates.timestamp(value):
        params["value"] = ["date-time"]
        yield Property(each.name, dates.extended(moment, "date-time"), params), "date-time"


def _moment(each: Property) -> Iterator[Line]:
    if type_of(each) == "timestamp":
        value = dates.extended(str(each.value), "timestamp")
        yield Property(each.name, value, _params(each)), "date-time"


def _media(each: Property) -> Iterator[Line]:
    params, value, value_type = _params(each), str(each.value), type_of(each)
    media_type = "".join(each.params.get("mediatype", ()))
    if value_type == "uri" and (inline := media.opened(value)):
        media_type, value = inline
        params["encoding"] = ["b"]
    elif value_type == "uri":
        params["value"] = ["uri"]
    if media_type:
        params["type"] = [*params.get("type", []), media.word_for(media_type).upper()]
    if value:
        yield Property(each.name, value, params), value_type


_WORDS: dict[str, Callable[[Property], Iterator[Line]]] = {
    "adr": _address,
    "tel": _phone,
    "uid": _as_text,
    "geo": _place,
    "tz": _zone,
    "bday": _day,
    "anniversary": _day,
    "deathdate": _day,
    "rev": _moment,
    "created": _moment,
    "media": _media,
}
