"""The one form that a card has inside the product, and how anything is brought into it.

`canonical` takes what any reader or caller made and answers what every writer can write and
every reader gives back. Doing it twice changes nothing. Meanings: RFC 6350; tables: grammar.
"""

import re
from collections.abc import Callable, Iterable, Sequence

from cards.vcard import dates, media, names
from cards.vcard.grammar import (
    COMPONENTS,
    DEFAULT_TYPES,
    ENCODING_PARAMS,
    FRAME,
    GROUP,
    LIST_COMPONENTS,
    LISTS,
    MEDIA,
    NUMBER,
    RESERVED_IN_XML,
    SEXES,
    SINGLE_PARAMS,
    TOKEN,
    UNKNOWN,
    URI,
    URI_OR_TEXT,
    VALUE_TYPES,
)
from cards.vcard.model import (
    Component,
    Limits,
    Params,
    ParsedCard,
    Property,
    Value,
    VCardError,
    texts_of,
)

NO_NAME = "(no name)"

# Other line ends become \n; what XML forbids or no one can see goes: controls, lone surrogates,
# noncharacters.
_LINE_END = re.compile("\r\n?|[\x85\u2028\u2029]")
_FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_OLD_GEO = re.compile(rf"({NUMBER}) ?[;,] ?({NUMBER})")
_DATA_URI = re.compile(r"data:", re.IGNORECASE)


def parsed(
    properties: Sequence[Property], limits: Limits, warnings: Iterable[str] = ()
) -> ParsedCard:
    """A card of these properties, with an fn made from the rest, and a warning, if it has none."""
    if len(properties) > limits.properties:
        raise VCardError(f"A card with more than {limits.properties} properties is not read.")
    kept = canonical(properties)
    if any(len(text) > limits.value for each in kept for text in texts_of(each.value)):
        raise VCardError(f"A value of more than {limits.value} octets is not read.")
    made = with_fn(kept)
    if made is not kept:
        warnings = [*warnings, f"The card had no name: it was named {made[0].value!r}."]
    return ParsedCard(made, list(warnings))


def gathered(cards: Iterable[ParsedCard], limits: Limits) -> list[ParsedCard]:
    """The cards, as long as all of them together have not too many properties."""
    kept, count = list[ParsedCard](), 0
    for card in cards:
        kept.append(card)
        count += len(card.properties)
        if count > limits.properties_of_all:
            raise too_many_properties(limits)
    return kept


def too_many_properties(limits: Limits) -> VCardError:
    return VCardError(f"More than {limits.properties_of_all} properties at once are not read.")


def canonical(properties: Iterable[Property]) -> list[Property]:
    """The properties in canonical form, fn first; empty and unspeakable ones are left out."""
    kept = [each for each in map(canonical_property, properties) if each]
    return sorted(kept, key=lambda each: each.name != "fn")


def with_fn(properties: list[Property]) -> list[Property]:
    """The same, and an fn made from n, nickname, org, email or tel if there is none."""
    if any(each.name == "fn" for each in properties):
        return properties
    return [Property("fn", made_name(properties)), *properties]


def made_name(properties: Sequence[Property]) -> str:
    for source in ("n", "nickname", "org", "email", "tel", "impp", "url"):
        for each in properties:
            if each.name == source:
                return _spoken(each)
    return NO_NAME


def _spoken(named: Property) -> str:
    if named.name != "n":
        return named.value if isinstance(named.value, str) else ", ".join(_flat(named.value))
    return names.together([_flat([part]) for part in named.value])


def made_n(properties: Sequence[Property]) -> list[Component]:
    """The components of n, guessed from fn. All empty for an organisation: it has no given name."""
    fn = next((str(each.value) for each in properties if each.name == "fn"), "")
    names_org = any(each.name == "org" and fn in _flat(_as_list(each.value)) for each in properties)
    if names_org or any(each.name == "kind" and each.value == "org" for each in properties):
        return [""] * 5
    return [*names.apart(fn), "", "", ""]


def canonical_property(given: Property) -> Property | None:
    """None if nothing is left of it."""
    name = _name(given.name)
    if not name or name in FRAME:
        return None
    params = _params(given.params)
    declared = params.pop("value", [""])[0].lower()
    value: Value
    if name in COMPONENTS:
        value = _components(name, given.value)
        return Property(name, value, params) if any(value) else None
    if name in LISTS:
        value = [*_flat(_as_list(given.value))]
        return Property(name, value, params) if value else None
    text = given.value if isinstance(given.value, str) else ", ".join(_flat(given.value))
    text = clean(text)
    if name in MEDIA and declared != "text" and media.looks_like_base64(text):
        text = media.data_uri(text, "".join(params.pop("mediatype", [])))
    value_type, value = _typed(name, declared, text)
    if value_type != DEFAULT_TYPES.get(name, UNKNOWN):
        params["value"] = [value_type]
    return Property(name, value, params) if value else None


def type_of(each: Property) -> str:
    """The value type of a canonical property."""
    return each.params.get("value", [DEFAULT_TYPES.get(each.name, UNKNOWN)])[0]


def clean(text: str) -> str:
    """Without control characters, strange line ends and outer white space."""
    if not text.isprintable():
        text = _FORBIDDEN.sub("", _LINE_END.sub("\n", text))
    return text.strip()


def _name(name: str) -> str:
    """Empty if it cannot be a name. XML wants a letter first and has a use for some names."""
    name = name.lower()
    if not TOKEN.fullmatch(name):
        return ""
    return name if name[0].isalpha() and name not in RESERVED_IN_XML else f"x-{name}"


def _flat(value: Iterable[Component]) -> list[str]:
    """The strings in it that are not empty."""
    return [
        text
        for part in value
        for given in ((part,) if isinstance(part, str) else part)
        if (text := clean(given))
    ]


def _as_list(value: Value) -> list[Component]:
    return [value] if isinstance(value, str) else value


def _components(name: str, value: Value) -> list[Component]:
    """As many as the property has; surplus ones become further values of the last."""
    parts = [_flat([part]) for part in _as_list(value)]
    if names := COMPONENTS[name]:
        last = len(names) - 1
        parts = [*parts[:last], [text for part in parts[last:] for text in part]]
        parts += [[]] * (len(names) - len(parts))
    whole = name in LIST_COMPONENTS
    joined: list[Component] = [
        part if whole and len(part) > 1 else ", ".join(part) for part in parts
    ]
    if name == "gender":
        return _gender(*map(str, joined))
    while joined and not names and not joined[-1]:
        joined.pop()
    return joined


def _gender(sex: str, identity: str) -> list[Component]:
    if sex.upper() in SEXES:
        return [sex.upper(), identity]
    return ["", f"{sex}, {identity}" if identity else sex]


def _typed(name: str, declared: str, text: str) -> tuple[str, str]:
    """The type of a single value and its form in that type. What does not have the form that its
    type asks for is text."""
    default = DEFAULT_TYPES.get(name, UNKNOWN)
    value_type = declared if declared in VALUE_TYPES else default
    if name == "geo" and (place := _OLD_GEO.fullmatch(_uri(text))):
        return default, f"geo:{place[1]},{place[2]}"
    if name in URI_OR_TEXT and value_type == "uri" and not URI.match(text):
        return "text", text
    if value_type in _DATES_AND_TIMES and default == "date-and-or-time":
        found = dates.shaped(f"T{text}" if value_type == "time" and text[:1] != "T" else text)
        return (default, found[1]) if found else ("text", text)
    if value_type == "date-and-or-time":
        found = dates.shaped(text)
        return (found[0], found[1].lstrip("T")) if found else ("text", text)
    form = _FORMS[value_type](text)
    return ("text", text) if form is None else (value_type, form)


def _uri(text: str) -> str:
    text = text.replace("\n", "")
    return re.sub(r"\s+", "", text) if _DATA_URI.match(text) else text


def _boolean(text: str) -> str | None:
    return text.upper() if text.upper() in ("TRUE", "FALSE") else None


def _integer(text: str) -> str | None:
    return str(int(text)) if re.fullmatch(r"[+-]?[0-9]{1,18}", text) else None


def _float(text: str) -> str | None:
    if not re.fullmatch(r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?", text):
        return None
    number = repr(float(text))
    return None if "e" in number else number


_DATES_AND_TIMES = frozenset({"date", "time", "date-time", "date-and-or-time"})
_FORMS: dict[str, Callable[[str], str | None]] = {
    "text": lambda text: text,
    UNKNOWN: lambda text: text.replace("\n", "\\n"),
    "uri": _uri,
    "language-tag": lambda text: text.replace("\n", " "),
    "boolean": _boolean,
    "integer": _integer,
    "float": _float,
    "date": dates.date,
    "time": dates.time,
    "date-time": dates.date_time,
    "timestamp": dates.timestamp,
    "utc-offset": dates.utc_offset,
}


def _params(given: Params) -> Params:
    if not given:
        return {}
    params: Params = {}
    for name, values in given.items():
        cleaned = [text for text in map(clean, values) if text]
        if (name := _param_name(name)) and cleaned:
            params.setdefault(name, []).extend(cleaned)
    formed = {name: _PARAM_FORMS.get(name, list)(values) for name, values in params.items()}
    if "pref" in formed.get("type", ()):
        formed["type"].remove("pref")
        formed["pref"] = formed.get("pref") or ["1"]
    return {name: values for name, values in formed.items() if values}


def _param_name(name: str) -> str:
    """As `_name`, save that `group` has its meaning here; empty too for what decoding ended."""
    name = name.lower()
    if name in ENCODING_PARAMS or not TOKEN.fullmatch(name):
        return ""
    return name if name[0].isalpha() else f"x-{name}"


def type_words(values: list[str]) -> list[str]:
    """What TYPE says, each word once, in small letters; RFC 6350 itself puts several in quotes."""
    words = (word.strip().lower() for value in values for word in value.split(","))
    return [word for word in dict.fromkeys(words) if word]


def _pref(values: list[str]) -> list[str]:
    numbers = (int(value) for value in values if re.fullmatch(r"[0-9]{1,3}", value))
    return [str(number) for number in numbers if 1 <= number <= 100][:1]


def _group(values: list[str]) -> list[str]:
    return [value.lower() for value in values if GROUP.fullmatch(value)][:1]


def _label(values: list[str]) -> list[str]:
    """RFC 6350 itself writes line breaks in LABEL as backslash n; RFC 6868 came later."""
    text = re.sub(r"(?<!\\)\\++[nN]", "\n", ",".join(values))
    return [re.sub(r"(?<!\\)\\++,", ",", text).strip()]


def _joined(values: list[str]) -> list[str]:
    return [",".join(values)]


_PARAM_FORMS: dict[str, Callable[[list[str]], list[str]]] = {
    **dict.fromkeys(SINGLE_PARAMS, _joined),
    "type": type_words,
    "pref": _pref,
    "group": _group,
    "label": _label,
    "value": lambda values: values[:1],
}
