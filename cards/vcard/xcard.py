"""xCard: vCard 4.0 as XML (RFC 6351), out strictly and in tolerantly.

XML from outside goes through defusedxml and a tree builder that counts: no DTD, no entities, no
deep or endless trees.
"""

from collections.abc import Iterable, Iterator
from copy import copy
from xml.etree.ElementTree import Element, ParseError, SubElement, TreeBuilder, tostring
from xml.sax.saxutils import escape, quoteattr

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from cards.vcard import dates
from cards.vcard.canonical import canonical, gathered, parsed, type_of, with_fn
from cards.vcard.grammar import COMPONENTS, UNKNOWN
from cards.vcard.model import (
    DEFAULT_LIMITS,
    Component,
    Limits,
    Params,
    ParsedCard,
    Property,
    VCardError,
)

NAMESPACE = "urn:ietf:params:xml:ns:vcard-4.0"
DEPTH = 20
# For each property of the limits, how many elements one card may have and all cards together,
# and how many signs may be in the way before anything is parsed.
ELEMENTS_OF_ONE = 20
ELEMENTS_OF_ALL = 5
TAGS_OF_ALL = 10

_NS = f"{{{NAMESPACE}}}"
# RFC 6351 appendix A, section 5; what is not here is "unknown", as section 6 says.
_PARAM_TYPES = {
    "language": "language-tag", "pref": "integer", "altid": "text", "pid": "text",
    "type": "text", "mediatype": "text", "calscale": "text", "sort-as": "text", "geo": "uri",
    "tz": "text", "label": "text",
}  # fmt: skip


def element(properties: Iterable[Property]) -> Element:
    """The `vcard` element of one card: made canonical, with an fn if it had none.

    Neighbours of one group share a `group` element. An `xml` property stands as the element that
    it holds, and is left out if it holds none.
    """
    card = Element(f"{_NS}vcard")
    room, group = card, ""
    for each in with_fn(canonical(properties)):
        name = "".join(each.params.get("group", ()))
        if name != group:
            room = SubElement(card, f"{_NS}group", name=name) if name else card
            group = name
        room.extend(_written(each))
    return card


def dumps(cards: Iterable[Iterable[Property]]) -> str:
    """A whole document, `vcards`, without an XML declaration."""
    root = Element(f"{_NS}vcards")
    root.extend(element(card) for card in cards)
    return text_of(root)


def text_of(tree: Element, inherited: str = "") -> str:
    """The tree as text, each namespace declared where it begins and not by prefixes, so that
    trees of several namespaces can be nested."""
    if any(name.startswith("{") for name in tree.attrib):
        return _text_with_prefixes(tree)
    namespace, _, name = tree.tag.rpartition("}")
    namespace = namespace[1:]
    declared = f" xmlns={quoteattr(namespace)}" if namespace != inherited else ""
    attributes = "".join(f" {key}={quoteattr(value)}" for key, value in tree.items())
    inside = escape(tree.text or "") + "".join(
        text_of(child, namespace) + escape(child.tail or "") for child in tree
    )
    head = f"{name}{declared}{attributes}"
    return f"<{head}>{inside}</{name}>" if inside else f"<{head}/>"


def loads(source: bytes | str, limits: Limits = DEFAULT_LIMITS) -> list[ParsedCard]:
    """Every `vcard` of the document, wherever in it. Raises VCardError if it is no XML, has none,
    or goes beyond the limits."""
    found = _outermost(_tree(source, limits))
    cards = gathered((parsed([*_properties(each, "")], limits) for each in found), limits)
    if not cards:
        raise VCardError("There is no vCard in this XML.")
    return cards


def _text_with_prefixes(tree: Element) -> str:
    alone = copy(tree)
    alone.tail = None
    return tostring(alone, encoding="unicode")


def _written(each: Property) -> Iterator[Element]:
    if each.name == "xml":
        yield from _embedded(str(each.value))
        return
    written = Element(f"{_NS}{each.name}")
    names = each.params.keys() - {"group", "value"}
    if names:
        params = SubElement(written, f"{_NS}parameters")
        for name in sorted(names):
            _add_param(params, name, each.params[name])
    for name, text in _value_elements(each):
        SubElement(written, f"{_NS}{name}").text = text
    yield written


def _add_param(params: Element, name: str, values: list[str]) -> None:
    param = SubElement(params, f"{_NS}{name}")
    for value in values:
        SubElement(param, f"{_NS}{_PARAM_TYPES.get(name, UNKNOWN)}").text = value


def _value_elements(each: Property) -> Iterator[tuple[str, str]]:
    """The names and texts of the elements that make up the value."""
    if isinstance(each.value, str):
        yield _single(type_of(each), each.value)
        return
    names = COMPONENTS.get(each.name) or ["text"] * len(each.value)
    for name, part in zip(names, each.value, strict=True):
        if name != "identity" or part:
            yield from ((name, text) for text in ([part] if isinstance(part, str) else part))


def _single(value_type: str, value: str) -> tuple[str, str]:
    if value_type != "date-and-or-time":
        return value_type, value
    shape, _ = dates.shaped(value) or ("text", "")
    return shape, value.lstrip("T") if shape == "time" else value


def _embedded(source: str) -> Iterator[Element]:
    """The element that an `xml` property holds: nothing that could pass for a part of the card."""
    try:
        tree = _tree(source, DEFAULT_LIMITS)
    except VCardError:
        return
    if not tree.tag.startswith(_NS):
        yield tree


class _Counter(TreeBuilder):
    """Builds the tree, and refuses one that is too deep or has too many elements in a card."""

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self.limits = limits
        self.depth = self.cards = self.elements = self.elements_before = 0

    def start(self, tag: str, attrs: dict[str, str]) -> Element:
        self.depth += 1
        self.elements += 1
        if tag == f"{_NS}vcard":
            self.cards += 1
            self.elements_before = self.elements
        if self.depth > DEPTH:
            raise VCardError("This XML is nested too deep.")
        if self.cards > self.limits.cards:
            raise VCardError(f"More than {self.limits.cards} cards at once are not read.")
        if self.elements - self.elements_before > ELEMENTS_OF_ONE * self.limits.properties:
            raise VCardError("This XML has too many elements for a card.")
        if self.elements > ELEMENTS_OF_ALL * self.limits.properties_of_all:
            raise VCardError("This XML has too many elements.")
        return super().start(tag, attrs)

    def end(self, tag: str) -> Element:
        self.depth -= 1
        return super().end(tag)


def _tree(source: bytes | str, limits: Limits) -> Element:
    if len(source) > limits.size:
        raise VCardError(f"More than {limits.size} octets at once are not read.")
    tags = source.count("<") if isinstance(source, str) else source.count(b"<")
    if tags > TAGS_OF_ALL * limits.properties_of_all:
        raise VCardError("This XML has too many elements.")
    parser = DefusedXMLParser(target=_Counter(limits), forbid_dtd=True)
    try:
        parser.feed(source)
        tree: Element = parser.close()
    except VCardError:
        raise
    except DefusedXmlException:
        raise VCardError("XML with a document type or entities is not read.") from None
    except (ParseError, ValueError, LookupError) as error:
        raise VCardError(f"This is not XML that can be read: {error}.") from None
    return tree


def _outermost(tree: Element) -> Iterator[Element]:
    if tree.tag == f"{_NS}vcard":
        yield tree
    else:
        for child in tree:
            yield from _outermost(child)


def _properties(room: Element, group: str) -> Iterator[Property]:
    for each in room:
        if not each.tag.startswith(_NS):
            yield Property("xml", text_of(each), {"group": [group]})
        elif each.tag == f"{_NS}group":
            yield from _properties(each, each.get("name", ""))
        else:
            yield _property(each, group)


def _property(each: Element, group: str) -> Property:
    name = each.tag.removeprefix(_NS).lower()
    parts = [(part.tag.removeprefix(_NS), "".join(part.itertext())) for part in each]
    params: Params = {"group": [group]}
    for param in each.iterfind(f"{_NS}parameters/*"):
        values = ["".join(value.itertext()) for value in param]
        params[param.tag.removeprefix(_NS)] = values or [param.text or ""]
    parts = [(part, text) for part, text in parts if part != "parameters"]
    if names := COMPONENTS.get(name):
        components: list[Component] = [[text for at, text in parts if at == part] for part in names]
        return Property(name, components, params)
    if parts and parts[0][0] != UNKNOWN:
        params["value"] = [parts[0][0]]
    return Property(name, [text for _, text in parts] or (each.text or ""), params)
