"""What a vCard is to the rest of the product: properties, parsed cards, limits, the one error.

No syntax lives here: see reading, writing, xcard and jcard.
"""

from dataclasses import dataclass, field
from typing import TypeAlias

Component: TypeAlias = str | list[str]
Value: TypeAlias = str | list[Component]
Params: TypeAlias = dict[str, list[str]]


@dataclass(frozen=True)
class Property:
    """One property in the terms of vCard 4.0 (RFC 6350), whatever it was read from.

    `name` and the names of `params` are lower-case. `value` is a string; for n, adr, org, gender
    and clientpidmap a list of components (a component of n or adr may itself be a list); for
    categories and nickname a list of strings. The group is `params["group"]`.
    """

    name: str
    value: Value
    params: Params = field(default_factory=dict)


def texts_of(value: Value) -> list[str]:
    """Every string in a value."""
    if isinstance(value, str):
        return [value]
    return [text for part in value for text in ((part,) if isinstance(part, str) else part)]


@dataclass(frozen=True)
class ParsedCard:
    """One card as it was read, `fn` first, and in words what had to be guessed or left out."""

    properties: list[Property]
    warnings: list[str] = field(default_factory=list)

    @property
    def fn(self) -> str:
        return str(self.properties[0].value)


@dataclass(frozen=True)
class Limits:
    """What a reader accepts before it refuses.

    Sizes are octets (characters if given a str); `properties` counts those of one card, `parts`
    the components, list entries or parameters of one property, `nesting` cards in cards.
    """

    size: int = 10_000_000
    cards: int = 5_000
    properties: int = 1_000
    properties_of_all: int = 100_000
    value: int = 8_000_000
    header: int = 100_000
    parts: int = 1_000
    nesting: int = 4


DEFAULT_LIMITS = Limits()


class VCardError(ValueError):
    """What was given cannot be taken as cards. The text is meant for a person.

    Where one property of a list is at fault, `index` is its place and `reason` what is wrong.
    """

    def __init__(self, message: str, *, index: int | None = None, reason: str = "") -> None:
        super().__init__(message)
        self.index = index
        self.reason = reason or message
