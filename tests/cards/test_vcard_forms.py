"""What is written, to the letter: the examples and rules of the RFCs."""

import json
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from cards.vcard import Property, canonical, jcard, read, write, xcard
from cards.vcard.model import Params, Value


def lines_of(*properties: Property, version: str = "4.0") -> list[str]:
    """What is written of these between fn and the end."""
    text = write([Property("fn", "A"), *properties], version)
    return text.replace("\r\n ", "").split("\r\n")[3:-2]


CASES_4: list[tuple[str, Value, Params, str]] = [
    ("n", ["Stevenson", "John", ["Philip", "Paul"], "Dr.", ""], {},
     "N:Stevenson;John;Philip,Paul;Dr.;"),
    ("adr", ["", "", "1, Elm; St", "Town", "", "", ""], {"type": ["home"], "label": ['a\n"b"^']},
     'ADR;TYPE=home;LABEL=a^n^\'b^\'^^:;;1\\, Elm\\; St;Town;;;'),
    ("org", ["ABC, Inc.", "R&D"], {"group": ["item1"]}, "item1.ORG:ABC\\, Inc.;R&D"),
    ("gender", ["M", ""], {}, "GENDER:M"),
    ("gender", ["", "it's complicated"], {}, "GENDER:;it's complicated"),
    ("gender", ["o", ""], {}, "GENDER:O"),
    ("categories", ["a,b", "c"], {}, "CATEGORIES:a\\,b,c"),
    ("note", "one\ntwo\\", {"language": ["en"]}, "NOTE;LANGUAGE=en:one\\ntwo\\\\"),
    ("tel", "tel:+1-555;ext=5", {"value": ["uri"], "pref": ["1"], "type": ["work", "voice"]},
     "TEL;PREF=1;TYPE=work,voice;VALUE=uri:tel:+1-555;ext=5"),
    ("url", "http://example.com/a,b;c", {"x-p": ["a;b,c:d"]},
     'URL;X-P="a;b,c:d":http://example.com/a,b;c'),
    ("bday", "1996-04-15", {}, "BDAY:19960415"),
    ("bday", "circa 1800", {}, "BDAY;VALUE=text:circa 1800"),
    ("rev", "1995-10-31T22:27:10.25Z", {}, "REV:19951031T222710Z"),
    ("uid", "not a uri", {}, "UID;VALUE=text:not a uri"),
    ("tz", "-05:00", {"value": ["utc-offset"]}, "TZ;VALUE=utc-offset:-0500"),
    ("geo", "1.5;\n-2", {}, "GEO:geo:1.5,-2"),
    ("x-raw", "a\\,b;c\nd", {}, "X-RAW:a\\,b;c\\nd"),
    ("x-said", "a,b", {"value": ["text"]}, "X-SAID;VALUE=text:a\\,b"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "params", "line"), CASES_4)
def test_4_0_is_written_as_rfc_6350_has_it(
    name: str, value: Value, params: Params, line: str
) -> None:
    (written,) = lines_of(Property(name, value, params))
    head, _, text = written.partition(":")
    expected_head, _, expected = line.partition(":")
    assert sorted(head.split(";")) == sorted(expected_head.split(";"))
    assert text == expected


CASES_3: list[tuple[str, Value, Params, list[str]]] = [
    ("tel", "+1 555", {"type": ["home"], "pref": ["1"], "altid": ["1"]},
     ["TEL;TYPE=home,pref:+1 555"]),
    ("tel", "tel:+1-555;ext=5", {"value": ["uri"]}, ["TEL:+1-555"]),
    ("adr", ["", "", "Elm 1", "", "", "", ""], {"type": ["home"], "label": ["Elm 1\nTown"]},
     ["ADR;TYPE=home:;;Elm 1;;;;", "LABEL;TYPE=home:Elm 1\\nTown"]),
    ("photo", "data:image/jpeg;base64,/9j/", {}, ["PHOTO;ENCODING=b;TYPE=JPEG:/9j/"]),
    ("photo", "data:image/svg+xml,%3Csvg/%3E", {},
     ["PHOTO;ENCODING=b;TYPE=IMAGE/SVG+XML:PHN2Zy8+"]),
    ("photo", "http://example.com/a,b", {"mediatype": ["image/gif"]},
     ["PHOTO;VALUE=uri;TYPE=GIF:http://example.com/a,b"]),
    ("bday", "19960415", {}, ["BDAY:1996-04-15"]),
    ("bday", "--0415", {}, ["BDAY;X-APPLE-OMIT-YEAR=1604:1604-04-15"]),
    ("bday", "19960415T1030-05", {}, ["BDAY;VALUE=date-time:1996-04-15T10:30:00-05"]),
    ("bday", "1996-04", {}, []),
    ("bday", "19961923", {}, []),
    ("bday", "circa 1800", {"value": ["text"]}, []),
    ("rev", "19951031T222710Z", {}, ["REV:1995-10-31T22:27:10Z"]),
    ("uid", "urn:uuid:1", {}, ["UID:urn:uuid:1"]),
    ("tz", "-0500", {"value": ["utc-offset"]}, ["TZ:-05:00"]),
    ("tz", "Europe/Vienna", {}, ["TZ;VALUE=text:Europe/Vienna"]),
    ("geo", "geo:1.5,-2;u=10", {}, ["GEO:1.5;-2"]),
    ("geo", "http://example.com/", {}, []),
    ("geo", "geo:1.5,-2.", {}, []),
    ("note", "a", {"x-p": ['say "hi"\nthere'], "language": ["de"]},
     ["NOTE;X-P=say 'hi' there;LANGUAGE=de:a"]),
    ("agent", "BEGIN:VCARD\nFN:B\nEND:VCARD", {}, ["AGENT:BEGIN:VCARD\\nFN:B\\nEND:VCARD"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "params", "lines"), CASES_3)
def test_3_0_is_written_as_rfc_2426_has_it(
    name: str, value: Value, params: Params, lines: list[str]
) -> None:
    assert lines_of(Property(name, value, params), version="3.0")[1:] == lines


@pytest.mark.parametrize(
    ("fn", "others", "n"),
    [
        ("Maria del Carmen Ruiz", [], "N:Ruiz;Maria del Carmen;;;"),
        ("Ruiz, Maria", [], "N:Ruiz;Maria;;;"),
        ("Madonna", [], "N:;Madonna;;;"),
        ("Acme", [Property("org", ["Acme"])], "N:;;;;"),
        ("Acme", [Property("kind", "org")], "N:;;;;"),
    ],
)
def test_3_0_always_has_a_structured_name(fn: str, others: list[Property], n: str) -> None:
    assert n in write([Property("fn", fn), *others], "3.0").split("\r\n")


def test_every_line_end_and_control_character_is_made_plain() -> None:
    (note,) = canonical([Property("note", " a\r\nb\rc\x85d\u2028e\u2029f\x00\x1b\x7f\tg\n")])
    assert note.value == "a\nb\nc\nd\ne\nf\tg"


def test_a_card_without_a_name_gets_one() -> None:
    assert "FN:(no name)\r\n" in write([])
    assert "FN:a@example.com\r\n" in write([Property("email", "a@example.com")])
    assert "FN:Ada King\r\n" in write([Property("n", ["King", "Ada"])])
    assert "FN:王芳\r\n" in write([Property("n", ["王", "芳"])])


def test_only_3_0_and_4_0_are_written() -> None:
    with pytest.raises(ValueError, match=r"vCard 2\.1"):
        write([], "2.1")


@pytest.mark.parametrize("version", ["3.0", "4.0"])
@pytest.mark.parametrize(
    "evil",
    [
        Property("note", "a\r\nTEL:1"),
        Property("note", "a\u2028TEL:1\x85TEL:2"),
        Property("url", "http://a\nTEL:1"),
        Property("x-raw", "a\r\nTEL:1\rTEL:2"),
        Property("note", "a", {"x-p": ['"\r\nTEL:1']}),
        Property("note", "a", {"x-p:\r\nTEL": ["1"]}),
        Property("note", "a", {"group": ["g:\r\nTEL"]}),
        Property("note:1\r\nTEL", "1"),
        Property("lang", "en\nTEL:1"),
        Property("bday", "19850415\nTEL:1"),
        Property("rev", "\nTEL:1"),
        Property("photo", "data:image/png;base64,AA==\nTEL:1"),
        Property("photo", "data:x;y\nTEL:1;base64,AA=="),
        Property("tel", "1", {"value": ["uri\nTEL:1"]}),
        Property("n", ["a\nTEL:1", ["b\rTEL:2"]]),
    ],
)
def test_no_line_can_be_smuggled_in(evil: Property, version: str) -> None:
    (card,) = read(write([Property("fn", "A"), evil], version))
    assert {each.name for each in card.properties} <= {"fn", "n", evil.name}
    assert len(write([evil], version).split("\r\n")) <= 8


SIMON = [
    Property("fn", "Simon Perreault"),
    Property("n", ["Perreault", "Simon", "", "", ["ing. jr", "M.Sc."]]),
    Property("bday", "--0203"),
    Property("anniversary", "20090808T1430-0500"),
    Property("gender", ["M", ""]),
    Property("lang", "fr", {"pref": ["1"]}),
    Property("org", ["Viagenie"], {"type": ["work"]}),
    Property("tel", "tel:+1-418-656-9254;ext=102", {"value": ["uri"], "type": ["work", "voice"]}),
    Property("tz", "-0500", {"value": ["utc-offset"]}),
    Property("rev", "20090808T143000Z"),
    Property("x-file", "alien.jpg", {"mediatype": ["image/jpeg"], "x-odd": ["1"]}),
    Property("note", "a", {"group": ["g1"]}),
    Property("email", "b", {"group": ["g1"]}),
    Property("deathdate", "T102200"),
    Property("clientpidmap", ["1", "urn:uuid:1"]),
]


def test_xcard_is_written_as_rfc_6351_has_it() -> None:
    assert xcard.dumps([SIMON]) == (
        '<vcards xmlns="urn:ietf:params:xml:ns:vcard-4.0"><vcard>'
        "<fn><text>Simon Perreault</text></fn>"
        "<n><surname>Perreault</surname><given>Simon</given><additional/><prefix/>"
        "<suffix>ing. jr</suffix><suffix>M.Sc.</suffix></n>"
        "<bday><date>--0203</date></bday>"
        "<anniversary><date-time>20090808T1430-0500</date-time></anniversary>"
        "<gender><sex>M</sex></gender>"
        "<lang><parameters><pref><integer>1</integer></pref></parameters>"
        "<language-tag>fr</language-tag></lang>"
        "<org><parameters><type><text>work</text></type></parameters><text>Viagenie</text></org>"
        "<tel><parameters><type><text>work</text><text>voice</text></type></parameters>"
        "<uri>tel:+1-418-656-9254;ext=102</uri></tel>"
        "<tz><utc-offset>-0500</utc-offset></tz>"
        "<rev><timestamp>20090808T143000Z</timestamp></rev>"
        "<x-file><parameters><mediatype><text>image/jpeg</text></mediatype>"
        "<x-odd><unknown>1</unknown></x-odd></parameters><unknown>alien.jpg</unknown></x-file>"
        '<group name="g1"><note><text>a</text></note><email><text>b</text></email></group>'
        "<deathdate><time>102200</time></deathdate>"
        "<clientpidmap><sourceid>1</sourceid><uri>urn:uuid:1</uri></clientpidmap>"
        "</vcard></vcards>"
    )


def test_jcard_is_written_as_rfc_7095_has_it() -> None:
    assert json.loads(jcard.dumps([SIMON])) == [
        "vcard",
        [
            ["version", {}, "text", "4.0"],
            ["fn", {}, "text", "Simon Perreault"],
            ["n", {}, "text", ["Perreault", "Simon", "", "", ["ing. jr", "M.Sc."]]],
            ["bday", {}, "date-and-or-time", "--02-03"],
            ["anniversary", {}, "date-and-or-time", "2009-08-08T14:30-05:00"],
            ["gender", {}, "text", "M"],
            ["lang", {"pref": "1"}, "language-tag", "fr"],
            ["org", {"type": "work"}, "text", "Viagenie"],
            ["tel", {"type": ["work", "voice"]}, "uri", "tel:+1-418-656-9254;ext=102"],
            ["tz", {}, "utc-offset", "-05:00"],
            ["rev", {}, "timestamp", "2009-08-08T14:30:00Z"],
            ["x-file", {"mediatype": "image/jpeg", "x-odd": "1"}, "unknown", "alien.jpg"],
            ["note", {"group": "g1"}, "text", "a"],
            ["email", {"group": "g1"}, "text", "b"],
            ["deathdate", {}, "date-and-or-time", "T10:22:00"],
            ["clientpidmap", {}, "text", ["1", "urn:uuid:1"]],
        ],
    ]


def test_several_cards_are_an_array_of_jcards() -> None:
    assert [each[0] for each in json.loads(jcard.dumps([SIMON, SIMON]))] == ["vcard", "vcard"]
    assert json.loads(jcard.dumps([])) == []


@pytest.mark.parametrize(
    ("value_type", "value", "written"),
    [
        ("integer", "5", 5),
        ("float", "1.50", 1.5),
        ("boolean", "true", True),
        ("time", "102200Z", "10:22:00Z"),
        ("time", "-2200", "-22:00"),
        ("date", "---12", "---12"),
    ],
)
def test_jcard_has_the_types_of_json(value_type: str, value: str, written: Any) -> None:
    card = [Property("fn", "A"), Property("x-it", value, {"value": [value_type]})]
    assert jcard.array(card)[1][2] == ["x-it", {}, value_type, written]
    assert jcard.loads(jcard.dumps([card]))[0].properties == canonical(card)


def test_xcard_drops_what_xml_forbids() -> None:
    text = xcard.dumps([[Property("fn", "a\x00b\x0bc\ufffed\ud800e<&>")]])
    assert "<text>abcde&lt;&amp;&gt;</text>" in text


def test_an_xml_property_stands_as_the_element_that_it_is() -> None:
    markup = '<a xmlns="http://www.w3.org/1999/xhtml" href="x">My <b>page</b>!</a>'
    card = [Property("fn", "A"), Property("xml", markup), Property("xml", "no markup")]
    assert f"</fn>{markup}</vcard>" in xcard.dumps([card])
    assert xcard.loads(xcard.dumps([card]))[0].properties == card[:2]


def test_an_xml_property_cannot_pass_for_another() -> None:
    markup = '<tel xmlns="urn:ietf:params:xml:ns:vcard-4.0"><text>1</text></tel>'
    assert "tel" not in xcard.dumps([[Property("fn", "A"), Property("xml", markup)]])


def test_an_xml_property_may_have_attributes_of_other_namespaces() -> None:
    card = [Property("fn", "A"), Property("xml", '<a xmlns="urn:a" xml:lang="de">b</a>')]
    again = xcard.loads(xcard.dumps([card]))[0].properties[1]
    assert ElementTree.fromstring(str(again.value)).text == "b"
    assert xcard.loads(xcard.dumps([[card[0], again]]))[0].properties[1] == again


def test_an_xcard_is_found_in_a_message_around_it() -> None:
    around = ElementTree.Element("{urn:example:a}card", rev="7")
    around.append(xcard.element(SIMON))
    text = xcard.text_of(around)
    assert text.startswith('<card xmlns="urn:example:a" rev="7"><vcard xmlns="urn:ietf:params')
    assert xcard.loads(text)[0].properties == SIMON


def test_a_loose_xcard_is_read() -> None:
    (card,) = xcard.loads(
        b'\xef\xbb\xbf<?xml version="1.0" encoding="UTF-8"?>'
        b'<v:vcards xmlns:v="urn:ietf:params:xml:ns:vcard-4.0"><v:vcard><!-- a -->\n'
        b"<v:fn>Bare</v:fn>\n<v:categories><v:text>a</v:text><v:text>b</v:text></v:categories>"
        b"<v:tel><v:parameters><v:type>HOME</v:type></v:parameters><v:text> 1 </v:text></v:tel>"
        b"</v:vcard></v:vcards>"
    )
    assert card.properties == [
        Property("fn", "Bare"),
        Property("categories", ["a", "b"]),
        Property("tel", "1", {"type": ["home"]}),
    ]


def test_a_loose_jcard_is_read() -> None:
    (card,) = jcard.loads(
        '["vcard",[["N",{},"text","Solo"],["org",{},"text","A","B"],["x-b",{},"boolean",true],'
        '["x-c",{},"integer",12345678901234567890],["tel",{"TYPE":"Home","pref":1},"unknown","1"]]]'
    )
    assert card.properties == [
        Property("fn", "Solo"),
        Property("n", ["Solo", "", "", "", ""]),
        Property("org", ["A", "B"]),
        Property("x-b", "TRUE", {"value": ["boolean"]}),
        Property("x-c", "12345678901234567890", {"value": ["text"]}),
        Property("tel", "1", {"type": ["home"], "pref": ["1"]}),
    ]
    assert card.warnings == ["The card had no name: it was named 'Solo'."]
