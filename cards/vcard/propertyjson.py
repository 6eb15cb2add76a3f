"""The property JSON of the API, `{name, value, params}`: checked on the way in, plain on the way
out. Who may see a property, and the name and photo of a card, are not its business.
"""

import re
from collections.abc import Iterable
from typing import Any

from cards.vcard.canonical import canonical_property
from cards.vcard.grammar import COMPONENTS, FRAME, LIST_COMPONENTS, LISTS, TOKEN
from cards.vcard.model import DEFAULT_LIMITS, Property, VCardError, texts_of

VALUE_SIZE = 100_000  # octets of UTF-8, parameters included

# All but tab and line feed; lone surrogates count too, as no encoding has them.
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def from_json(given: Iterable[Any]) -> list[Property]:
    """One canonical property for each object, in the same order.

    Other keys than name, value and params are passed over. Raises VCardError with the `index` of
    the first object that is wrong and the `reason`.
    """
    properties: list[Property] = []
    for index, each in enumerate(given):
        try:
            if index >= DEFAULT_LIMITS.properties:
                raise VCardError(f"A card has at most {DEFAULT_LIMITS.properties} properties.")
            properties.append(_property(each))
        except VCardError as error:
            raise VCardError(
                f"Property {index + 1}: {error.reason}", index=index, reason=error.reason
            ) from None
    return properties


def of_canonical(given: Iterable[dict[str, Any]]) -> list[Property]:
    """The properties of objects that from_json or canonical has made, without looking again."""
    return [Property(each["name"], each["value"], each["params"]) for each in given]


def to_json(properties: Iterable[Property]) -> list[dict[str, Any]]:
    return [{"name": each.name, "value": each.value, "params": each.params} for each in properties]


def _property(given: Any) -> Property:
    if not isinstance(given, dict):
        raise VCardError("A property is an object with name, value and params.")
    name: Any = given.get("name")
    value: Any = given.get("value")
    params: Any = given.get("params", {})
    if not isinstance(name, str) or not TOKEN.fullmatch(name) or name in FRAME:
        raise VCardError("A name has small letters, digits and hyphens, such as x-room.")
    if not _has_shape(name, value):
        raise VCardError(f"The value of {name} has to be {_shape(name)}.")
    if not _are_params(params):
        raise VCardError("Parameters are lists of strings under small-letter names.")
    texts = [*texts_of(value), *(text for values in params.values() for text in values)]
    _check_texts(texts)
    if name == "photo" and any(text.strip().lower().startswith("data:") for text in texts):
        raise VCardError("A photo is not sent inside a property: it has an address of its own.")
    made = canonical_property(Property(name, value, params))
    if made is None:
        raise VCardError(f"The value of {name} is empty.")
    return made


def _has_shape(name: str, value: Any) -> bool:
    if name in LISTS:
        return isinstance(value, list) and _are_strings(value)
    if name not in COMPONENTS:
        return isinstance(value, str)
    most = len(COMPONENTS[name]) or DEFAULT_LIMITS.parts
    return (
        isinstance(value, list)
        and len(value) <= most
        and all(
            isinstance(part, str)
            or (name in LIST_COMPONENTS and isinstance(part, list) and _are_strings(part))
            for part in value
        )
    )


def _shape(name: str) -> str:
    if name in LISTS:
        return "a list of strings"
    if name not in COMPONENTS:
        return "a string"
    parts = "strings or lists of strings" if name in LIST_COMPONENTS else "strings"
    most = len(COMPONENTS[name])
    return f"a list of {parts}" + (f", at most {most}" if most else "")


def _are_strings(values: list[Any]) -> bool:
    return len(values) <= DEFAULT_LIMITS.parts and all(isinstance(each, str) for each in values)


def _are_params(params: Any) -> bool:
    return isinstance(params, dict) and all(
        isinstance(name, str)
        and TOKEN.fullmatch(name)
        and isinstance(values, list)
        and _are_strings(values)
        for name, values in params.items()
    )


def _check_texts(texts: list[str]) -> None:
    if sum(map(len, texts)) > VALUE_SIZE:
        raise VCardError("This is too long.")
    if any(map(CONTROL.search, texts)):
        raise VCardError("Control characters are not text.")
    if sum(len(text.encode()) for text in texts) > VALUE_SIZE:
        raise VCardError("This is too long.")
