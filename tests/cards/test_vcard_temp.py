"""vcard-temp (XEP-0054): what is written fits the XEP's DTD, and what clients write is read."""

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given

from cards.vcard import Property, VCardError, canonical
from cards.vcard.temp import NAMESPACE, element, read
from tests.cards.test_vcard_roundtrip import cards, thorough

NS = f"{{{NAMESPACE}}}"
# The content models of the DTD, as expressions over the names of the children, each with a space.
TYPES = "(HOME )?(WORK )?(VOICE )?(FAX )?(PAGER )?(MSG )?(CELL )?(VIDEO )?(BBS )?(MODEM )?(ISDN )?"
DTD = {
    "vCard": "VERSION FN N ((NICKNAME|PHOTO|BDAY|ADR|LABEL|TEL|EMAIL|JABBERID|MAILER|TZ|GEO|TITLE"
    "|ROLE|LOGO|AGENT|ORG|CATEGORIES|NOTE|PRODID|REV|SORT-STRING|SOUND|UID|URL|CLASS|KEY|DESC) )*",
    "N": "(FAMILY )?(GIVEN )?(MIDDLE )?(PREFIX )?(SUFFIX )?",
    "PHOTO": "TYPE BINVAL |EXTVAL ",
    "ADR": "(HOME )?(WORK )?(POSTAL )?(PARCEL )?((DOM|INTL) )?(PREF )?(POBOX )?(EXTADD )?(STREET )?"
    "(LOCALITY )?(REGION )?(PCODE )?(CTRY )?",
    "TEL": f"{TYPES}(PCS )?(PREF )?NUMBER ",
    "EMAIL": "(HOME )?(WORK )?(INTERNET )?(PREF )?(X400 )?USERID ",
    "ORG": "ORGNAME (ORGUNIT )*",
    "CATEGORIES": "(KEYWORD )+",
}

CARD = [
    Property("fn", "Alice Example"),
    Property("n", ["Example", "Alice", "", "Dr.", ""]),
    Property("org", ["Example Ltd", "Sales"]),
    Property("title", "Engineer"),
    Property("role", "Lead"),
    Property("tel", "tel:+43-1-111", {"type": ["work", "cell"], "value": ["uri"], "pref": ["1"]}),
    Property("email", "alice@example.org", {"type": ["home"]}),
    Property("adr", ["", "", "Street 1", "Vienna", "", "1010", "Austria"], {"type": ["work"]}),
    Property("url", "https://example.org/"),
    Property("impp", "xmpp:alice@example.org"),
    Property("bday", "1990-04-12"),
    Property("note", "a < b & c"),
    Property("nickname", ["Al", "Ali"]),
    Property("categories", ["red", "blue"]),
    Property("photo", "data:image/jpeg;base64,/9j/"),
]


def assert_fits_the_dtd(card: ET.Element) -> None:
    for each in card.iter():
        name = each.tag.removeprefix(NS)
        children = "".join(f"{child.tag.removeprefix(NS)} " for child in each)
        assert re.fullmatch(DTD.get(name, ""), children), (name, children)


def test_it_is_written_as_the_dtd_has_it() -> None:
    card = element(CARD)
    assert_fits_the_dtd(card)
    assert card.findtext(f"{NS}TEL/{NS}NUMBER") == "+43-1-111"
    assert card.findtext(f"{NS}ORG/{NS}ORGUNIT") == "Sales"
    assert card.findtext(f"{NS}JABBERID") == "alice@example.org"
    assert card.findtext(f"{NS}PHOTO/{NS}TYPE") == "image/jpeg"


@thorough
@given(cards)
def test_any_card_fits_the_dtd(card: list[Property]) -> None:
    assert_fits_the_dtd(element(card))


def test_what_was_written_is_read() -> None:
    back = {each.name: each for each in read(element(CARD)).properties}
    for each in canonical(CARD):
        if each.name not in ("tel", "photo"):
            assert back[each.name].value == each.value, each
    assert back["tel"].value == "+43-1-111"
    assert sorted(back["tel"].params["type"]) == ["cell", "work"]
    assert back["photo"].value == "data:image/jpeg;base64,/9j/"


def test_what_clients_write_is_read() -> None:
    card = read(
        ET.fromstring(
            "<vCard xmlns='vcard-temp'><FN>Bob</FN><TEL><VOICE/><NUMBER>1</NUMBER></TEL>"
            "<EMAIL><INTERNET/><USERID>bob@example.org</USERID></EMAIL><DESC>hello</DESC>"
            "<X-ODD>passed over</X-ODD><PHOTO><EXTVAL>http://x/</EXTVAL></PHOTO></vCard>"
        )
    )
    assert [(each.name, each.value) for each in card.properties] == [
        ("fn", "Bob"),
        ("tel", "1"),
        ("email", "bob@example.org"),
        ("note", "hello"),
    ]


@pytest.mark.parametrize(
    "inside",
    ["<TEL/>" * 30_000, "<A><B><C><D><E><F/></E></D></C></B></A>"],
)
def test_what_is_endless_is_refused(inside: str) -> None:
    with pytest.raises(VCardError):
        read(ET.fromstring(f"<vCard xmlns='vcard-temp'><FN>x</FN>{inside}</vCard>"))
