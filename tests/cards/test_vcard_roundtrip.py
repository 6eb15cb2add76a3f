"""Whatever a card holds, writing and reading it again gives the same card."""

import re
import string
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cards.vcard import Property, canonical, from_json, jcard, read, to_json, write, xcard
from cards.vcard.canonical import clean, with_fn
from cards.vcard.grammar import COMPONENTS, DEFAULT_TYPES, LISTS, VALUE_TYPES
from cards.vcard.model import Value

pytestmark = pytest.mark.usefixtures("uncounted")

# Time is no matter here: the machine may be busy.
thorough = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# Signs that mean something somewhere: in text, parameters, folding, XML, JSON or encodings.
MARKS = ",;:\\\"'^=\n\r\t <>&[]{}.-+%\ufeff\u2028\x85\x00\x1bß漢😀"
texts = st.one_of(
    st.text(max_size=40),
    st.text(MARKS + "nNab1", max_size=40),
    st.text("é漢😀 a", min_size=60, max_size=200),
)
tokens = st.text(string.ascii_letters + string.digits + "-", min_size=1, max_size=8)
days = st.one_of(
    st.dates().map(lambda day: day.isoformat()),
    st.dates().map(lambda day: day.strftime("--%m%d")),
    st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    st.datetimes().map(lambda moment: moment.strftime("%Y%m%dT%H%M-05")),
    st.sampled_from(["1985", "1985-04", "---12", "--04", "T102200", "T-2200", "T10+02:00"]),
)
uris = st.sampled_from(
    [
        "http://example.com/a,b;c?d=e\\f",
        "urn:uuid:4fbe8971-0bc3-424c-9c26-36c3e1eff6b1",
        "data:image/png;base64,iVBORw0KGgo=",
        "DATA:text/plain,a%20b",
        "iVBORw0KGgo" * 10,
        "geo:48.2,16.37;u=10",
        "tel:+1-555;ext=2",
    ]
)
offsets = st.sampled_from(["-05:00", "+0100", "-05"])
numbers = st.one_of(st.integers().map(str), st.floats().map(str), st.sampled_from(["TRUE", "no"]))
plain = st.one_of(texts, days, uris, offsets, numbers)

names = st.one_of(
    st.sampled_from(sorted(DEFAULT_TYPES.keys() - {"xml"})),
    st.sampled_from(["group", "vcard", "parameters", "X-group", "1st", "-", "begin", "version"]),
    tokens.map(lambda token: f"x-{token}"),
).filter(lambda name: name != "xml")
params = st.dictionaries(
    st.one_of(
        st.sampled_from(
            ["type", "pref", "group", "label", "language", "sort-as", "altid", "encoding", "vcard"]
        ),
        tokens,
    ),
    st.lists(st.one_of(texts, st.sampled_from(["home", "PREF", "1", "item1"])), max_size=3),
    max_size=3,
)


@st.composite
def properties(draw: st.DrawFn) -> Property:
    name = draw(names)
    with_params = draw(params)
    if draw(st.booleans()):
        with_params["value"] = [draw(st.sampled_from(sorted(VALUE_TYPES | {"unknown", "zz"})))]
    if name in COMPONENTS:
        return Property(
            name, draw(st.lists(st.one_of(texts, st.lists(texts, max_size=3)))), with_params
        )
    if name in LISTS:
        return Property(name, [*draw(st.lists(texts, max_size=4))], with_params)
    return Property(name, draw(plain), with_params)


cards = st.lists(properties(), max_size=8)

# What RFC 2426 can express: its own properties, the parameters that it has, whole dates or days
# without a year, and no quotes or line breaks in parameters. LABEL only as what an ADR says.
plain_texts = texts.map(lambda text: clean(text).replace('"', "").replace("\n", ""))
params_3 = st.fixed_dictionaries(
    {},
    optional={
        "type": st.lists(tokens, max_size=2),
        "pref": st.just(["1"]),
        "group": st.lists(tokens, max_size=1),
        "language": st.just(["de-AT"]),
        "x-note": st.lists(plain_texts, max_size=2),
    },
)
components = st.one_of(texts, st.lists(texts, max_size=3))
pictures = ["data:image/jpeg;base64,AAAA", "data:image/x-odd;base64,AA==", "http://a/,b"]
values_3: dict[str, st.SearchStrategy[Value]] = {
    **dict.fromkeys(("title", "role", "note", "tel", "email", "mailer", "sort-string"), texts),
    **dict.fromkeys(("class", "agent", "x-ablabel", "x-any", "kind"), texts),
    **dict.fromkeys(("nickname", "categories", "org"), st.lists(texts, max_size=3)),
    **dict.fromkeys(("photo", "logo"), st.sampled_from(pictures)),
    "sound": st.just("data:audio/basic;base64,AAAA"),
    "key": st.sampled_from(["data:application/pgp-keys;base64,AAAA", "in words"]),
    "url": st.just("http://example.com/a,b;c"),
    "uid": st.sampled_from(["urn:uuid:1", "not a uri"]),
    "geo": st.just("geo:48.2,-16.37"),
    "bday": st.one_of(
        st.dates().map(lambda day: day.isoformat()),
        st.dates().map(lambda day: day.strftime("--%m%d")),
        st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    ),
    "rev": st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
}


@st.composite
def cards_3(draw: st.DrawFn) -> list[Property]:
    name = draw(st.text(string.ascii_letters, min_size=1))
    card = [Property("fn", name), Property("n", [name, *draw(st.lists(components, max_size=4))])]
    for _ in range(draw(st.integers(0, 6))):
        name = draw(st.sampled_from([*values_3, "adr", "tz"]))
        with_params = draw(params_3)
        if name == "adr":
            with_params["label"] = [draw(texts)]
            card.append(Property(name, draw(st.lists(components, max_size=7)), with_params))
        elif name == "tz":
            card.append(Property(name, "-0530", with_params | {"value": ["utc-offset"]}))
        else:
            card.append(Property(name, draw(values_3[name]), with_params))
    return card


def by_text(card: list[Property]) -> list[Property]:
    (again,) = read(write(card))
    assert again.warnings == []
    return again.properties


def by_octets(card: list[Property]) -> list[Property]:
    return read(write(card).encode())[0].properties


def by_xml(card: list[Property]) -> list[Property]:
    return xcard.loads(xcard.dumps([card]))[0].properties


def by_json(card: list[Property]) -> list[Property]:
    return jcard.loads(jcard.dumps([card]))[0].properties


@pytest.mark.parametrize("way", [by_text, by_octets, by_xml, by_json])
@thorough
@given(card=cards)
def test_any_card_comes_back_as_it_went(
    way: Callable[[list[Property]], list[Property]], card: list[Property]
) -> None:
    assert way(card) == with_fn(canonical(card))


@thorough
@given(card=cards)
def test_the_canonical_form_is_reached_at_once(card: list[Property]) -> None:
    assert canonical(canonical(card)) == canonical(card)


@settings(thorough, max_examples=50)
@given(many=st.lists(cards, min_size=2, max_size=3))
def test_many_cards_stay_apart(many: list[list[Property]]) -> None:
    expected = [with_fn(canonical(card)) for card in many]
    for again in (
        read("".join(map(write, many))),
        xcard.loads(xcard.dumps(many)),
        jcard.loads(jcard.dumps(many)),
    ):
        assert [card.properties for card in again] == expected


@thorough
@given(card=cards, version=st.sampled_from(["3.0", "4.0"]))
def test_what_is_written_is_strict(card: list[Property], version: str) -> None:
    written = write(card, version)
    assert written.startswith(f"BEGIN:VCARD\r\nVERSION:{version}\r\n")
    assert written.endswith("\r\nEND:VCARD\r\n")
    for octets in written.encode().split(b"\r\n"):
        assert len(octets) <= 75
        assert octets.decode() is not None
        assert not re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", octets)
    for line in written.replace("\r\n ", "").split("\r\n")[:-1]:
        assert re.match(
            r"([a-zA-Z0-9-]+\.)?[A-Z][A-Z0-9-]*"
            r'(;[A-Z][A-Z0-9-]*=([^",;:]*|"[^"]*")(,([^",;:]*|"[^"]*"))*)*:',
            line,
        )


@thorough
@given(card=cards_3())
def test_what_3_0_can_say_comes_back_as_it_went(card: list[Property]) -> None:
    (again,) = read(write(card, "3.0"))
    assert again.properties == canonical(card)
    assert again.warnings == []


@thorough
@given(card=cards)
def test_any_card_is_stable_once_it_has_been_a_3_0(card: list[Property]) -> None:
    once = read(write(card, "3.0"))[0]
    again = read(write(once.properties, "3.0"))[0]
    assert again == once
    assert once.warnings == []


@thorough
@given(card=cards)
def test_any_canonical_card_passes_the_api_save_for_its_photo(card: list[Property]) -> None:
    kept = [each for each in canonical(card) if each.name != "photo"]
    assert from_json(to_json(kept)) == kept
