"""vcard-temp: vCard 3.0 as XMPP has carried it since before there was xCard (XEP-0054).

Out in the order of the XEP's DTD, and only what the DTD has; in tolerantly.
https://xmpp.org/extensions/xep-0054.html
"""

from collections.abc import Callable, Iterable, Iterator
from xml.etree.ElementTree import Element, SubElement

from cards.vcard import media
from cards.vcard.canonical import canonical, made_n, parsed, with_fn
from cards.vcard.model import (
    DEFAULT_LIMITS,
    Component,
    Params,
    ParsedCard,
    Property,
    Value,
    VCardError,
)

NAMESPACE = "vcard-temp"
_NS = f"{{{NAMESPACE}}}"

# A property and its element with one text.
_TEXTS = {
    "nickname": "NICKNAME",
    "bday": "BDAY",
    "tz": "TZ",
    "title": "TITLE",
    "role": "ROLE",
    "note": "NOTE",
    "rev": "REV",
    "uid": "UID",
    "url": "URL",
}
_NAMES = {element: name for name, element in _TEXTS.items()} | {"DESC": "note"}
_N = ("FAMILY", "GIVEN", "MIDDLE", "PREFIX", "SUFFIX")
_ADR = ("POBOX", "EXTADD", "STREET", "LOCALITY", "REGION", "PCODE", "CTRY")
# What may stand in each, in the order of the DTD.
_TEL_TYPES = (
    *("HOME", "WORK", "VOICE", "FAX", "PAGER", "MSG", "CELL", "VIDEO", "BBS", "MODEM", "ISDN"),
    *("PCS", "PREF"),
)
_ADR_TYPES = ("HOME", "WORK", "PREF")
_EMAIL_TYPES = ("HOME", "WORK", "INTERNET", "PREF")
DEPTH = 5  # elements in one another


def element(properties: Iterable[Property]) -> Element:
    """The `vCard` element of one card. What vcard-temp has no element for is left out."""
    kept = with_fn(canonical(properties))
    card = Element(f"{_NS}vCard")
    _add(card, "VERSION", "3.0")
    _add(card, "FN", next(str(each.value) for each in kept if each.name == "fn"))
    n = next((each.value for each in kept if each.name == "n"), made_n(kept))
    card.append(_parts("N", _N, n))
    for each in kept:
        card.extend(_WRITERS.get(each.name, _nothing)(each))
    return card


def read(card: Element) -> ParsedCard:
    """The card in a `vCard` element. Raises VCardError for one beyond the limits."""
    if sum(1 for _each in card.iter()) > 20 * DEFAULT_LIMITS.properties or _is_deep(card):
        raise VCardError("This has more parts than any cards need.")
    found = [given for each in card for given in _read(each)]
    return parsed([each for each in found if each.name != "version"], DEFAULT_LIMITS)


# Writing


def _add(room: Element, name: str, text: str = "") -> Element:
    made = SubElement(room, f"{_NS}{name}")
    made.text = text or None
    return made


def _flat(part: Component) -> str:
    return part if isinstance(part, str) else ", ".join(part)


def _parts(name: str, names: tuple[str, ...], value: Value) -> Element:
    made = Element(f"{_NS}{name}")
    for part, text in zip(names, value, strict=False):
        if text:
            _add(made, part, _flat(text))
    return made


def _types(each: Property, made: Element, known: tuple[str, ...]) -> None:
    said = {word.upper() for word in each.params.get("type", ())}
    if "pref" in each.params:
        said.add("PREF")
    for word in known:
        if word in said:
            _add(made, word)


def _nothing(each: Property) -> Iterator[Element]:
    yield from ()


def _text(each: Property) -> Iterator[Element]:
    made = Element(f"{_NS}{_TEXTS[each.name]}")
    made.text = _flat(each.value) if isinstance(each.value, str) else ", ".join(_all(each.value))
    yield made


def _all(value: Value) -> list[str]:
    return [_flat(part) for part in value]


def _tel(each: Property) -> Iterator[Element]:
    made = Element(f"{_NS}TEL")
    _types(each, made, _TEL_TYPES)
    number = str(each.value)
    _add(made, "NUMBER", number[4:] if number.lower().startswith("tel:") else number)
    yield made


def _email(each: Property) -> Iterator[Element]:
    made = Element(f"{_NS}EMAIL")
    _types(
        Property("email", "", {**each.params, "type": [*each.params.get("type", ()), "internet"]}),
        made,
        _EMAIL_TYPES,
    )
    _add(made, "USERID", str(each.value))
    yield made


def _adr(each: Property) -> Iterator[Element]:
    made = Element(f"{_NS}ADR")
    _types(each, made, _ADR_TYPES)
    made.extend(_parts("ADR", _ADR, each.value))
    yield made


def _org(each: Property) -> Iterator[Element]:
    name, *units = _all(each.value) or [""]
    made = Element(f"{_NS}ORG")
    _add(made, "ORGNAME", name)
    for unit in units:
        _add(made, "ORGUNIT", unit)
    yield made


def _impp(each: Property) -> Iterator[Element]:
    scheme, _colon, address = str(each.value).partition(":")
    if scheme.lower() == "xmpp":
        made = Element(f"{_NS}JABBERID")
        made.text = address
        yield made


def _categories(each: Property) -> Iterator[Element]:
    made = Element(f"{_NS}CATEGORIES")
    for keyword in _all(each.value) if not isinstance(each.value, str) else [each.value]:
        _add(made, "KEYWORD", keyword)
    yield made


def _photo(each: Property) -> Iterator[Element]:
    made, carried = Element(f"{_NS}PHOTO"), media.opened(str(each.value))
    if carried:
        _add(made, "TYPE", carried[0])
        _add(made, "BINVAL", carried[1])
    else:
        _add(made, "EXTVAL", str(each.value))
    yield made


_WRITERS: dict[str, Callable[[Property], Iterator[Element]]] = {
    **dict.fromkeys(_TEXTS, _text),
    "tel": _tel,
    "email": _email,
    "adr": _adr,
    "org": _org,
    "impp": _impp,
    "categories": _categories,
    "photo": _photo,
}


# Reading


def _is_deep(card: Element) -> bool:
    level = [card]
    for _depth in range(DEPTH):
        level = [child for each in level for child in each]
    return bool(level)


def _read(each: Element) -> Iterator[Property]:
    name = each.tag.removeprefix(_NS)
    text = (each.text or "").strip()
    inside = {child.tag.removeprefix(_NS): (child.text or "").strip() for child in each}
    types = [word.lower() for word in inside if word in (*_TEL_TYPES, *_EMAIL_TYPES)]
    pref: Params = {"pref": ["1"]} if "pref" in types else {}
    params: Params = {"type": [word for word in types if word not in ("pref", "internet")], **pref}
    if name == "FN":
        yield Property("fn", text)
    elif name == "N":
        yield Property("n", [inside.get(part, "") for part in _N])
    elif name == "ADR":
        yield Property("adr", [inside.get(part, "") for part in _ADR], params)
    elif name == "TEL":
        yield Property("tel", inside.get("NUMBER", text), params)
    elif name == "EMAIL":
        yield Property("email", inside.get("USERID", text), params)
    elif name == "ORG":
        units = [unit.text or "" for unit in each.findall(f"{_NS}ORGUNIT")]
        yield Property("org", [inside.get("ORGNAME", text), *units])
    elif name == "JABBERID":
        yield Property("impp", f"xmpp:{text}" if text else "")
    elif name == "CATEGORIES":
        yield Property("categories", [keyword.text or "" for keyword in each])
    elif name == "PHOTO" and inside.get("BINVAL"):
        yield Property("photo", media.data_uri(inside["BINVAL"], inside.get("TYPE", "").lower()))
    elif name in _NAMES:
        values: Value = [*text.split(", ")] if _NAMES[name] == "nickname" else text
        yield Property(_NAMES[name], values)
