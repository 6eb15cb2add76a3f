"""jCard: vCard 4.0 as JSON (RFC 7095), out strictly and in tolerantly."""

import json
from collections.abc import Iterable
from typing import Any

from cards.vcard import dates
from cards.vcard.canonical import canonical, gathered, parsed, type_of, with_fn
from cards.vcard.grammar import LISTS, UNKNOWN
from cards.vcard.model import (
    DEFAULT_LIMITS,
    Component,
    Limits,
    ParsedCard,
    Property,
    Value,
    VCardError,
)

# Each array, object and comma of JSON makes Python objects: so many are more than any card needs.
MARKS = 1_000_000

_EXTENDED = frozenset({"date", "time", "date-time", "date-and-or-time", "timestamp", "utc-offset"})


def array(properties: Iterable[Property]) -> list[Any]:
    """One card as `["vcard", [...]]`: made canonical, with an fn if it had none."""
    written = [_written(each) for each in with_fn(canonical(properties))]
    return ["vcard", [["version", {}, "text", "4.0"], *written]]


def dumps(cards: Iterable[Iterable[Property]]) -> str:
    """One card as a jCard; several, or none, as an array of jCards."""
    arrays = [array(card) for card in cards]
    made = arrays[0] if len(arrays) == 1 else arrays
    return json.dumps(made, ensure_ascii=False, separators=(",", ":"))


def loads(source: bytes | str, limits: Limits = DEFAULT_LIMITS) -> list[ParsedCard]:
    """The cards of a jCard or of an array of jCards. Raises VCardError if it is neither, or goes
    beyond the limits."""
    given = _json(source, limits)
    cards = [given] if isinstance(given, list) and given[:1] == ["vcard"] else given
    if not isinstance(cards, list) or not cards:
        raise VCardError("There is no jCard in this JSON.")
    if len(cards) > limits.cards:
        raise VCardError(f"More than {limits.cards} cards at once are not read.")
    return gathered((_card(each, limits) for each in cards), limits)


def _written(each: Property) -> list[Any]:
    value_type = type_of(each)
    params = {
        name: values[0] if len(values) == 1 else values
        for name, values in each.params.items()
        if name != "value"
    }
    return [each.name, params, value_type, *_values(each, value_type)]


def _values(each: Property, value_type: str) -> list[Any]:
    if isinstance(each.value, str):
        return [_single(each.value, value_type)]
    if each.name in LISTS:
        return each.value
    parts = each.value[:1] if each.name == "gender" and not each.value[1] else each.value
    return parts if len(parts) == 1 else [parts]


def _single(value: str, value_type: str) -> Any:
    if value_type in _EXTENDED:
        return dates.extended(value, value_type)
    if value_type == "boolean":
        return value == "TRUE"
    if value_type == "integer":
        return int(value)
    return float(value) if value_type == "float" else value


def _json(source: bytes | str, limits: Limits) -> Any:
    if len(source) > limits.size:
        raise VCardError(f"More than {limits.size} octets at once are not read.")
    try:
        text = source if isinstance(source, str) else source.decode("utf-8-sig")
        if text.count("[") + text.count("{") + text.count(",") > MARKS:
            raise VCardError("This JSON has too many parts.")
        return json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
    except VCardError:
        raise
    except RecursionError:
        raise VCardError("This JSON is nested too deep.") from None
    except ValueError as error:
        raise VCardError(f"This is not JSON that can be read: {error}.") from None


def _card(given: Any, limits: Limits) -> ParsedCard:
    if not isinstance(given, list) or len(given) != 2 or given[0] != "vcard":
        raise VCardError('A jCard is an array of "vcard" and a list of properties.')
    if not isinstance(given[1], list):
        raise VCardError("The properties of a jCard are an array.")
    return parsed([_property(each, index) for index, each in enumerate(given[1])], limits)


def _property(given: Any, index: int) -> Property:
    try:
        name, params, value_type, first, *more = given
        read = {key: _strings(value) for key, value in params.items()}
        if not isinstance(name, str) or not isinstance(value_type, str):
            raise TypeError
        if value_type != UNKNOWN:
            read["value"] = [value_type]
        return Property(name, _value([first, *more]), read)
    except (TypeError, ValueError, AttributeError):
        raise VCardError(
            f"Property {index + 1} of the jCard is not [name, parameters, type, value].",
            index=index,
        ) from None


def _value(values: list[Any]) -> Value:
    """A structured value is one array; a multi-valued one several strings."""
    structured = len(values) == 1 and isinstance(values[0], list)
    return [_component(each) for each in (values[0] if structured else values)]


def _component(value: Any) -> Component:
    return _strings(value) if isinstance(value, list) else _string(value)


def _strings(value: Any) -> list[str]:
    return [_string(each) for each in (value if isinstance(value, list) else [value])]


def _string(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, str):
        return value
    raise TypeError
