"""What is too big, too many or too deep is refused early, cheaply and in words."""

import time
import tracemalloc
from collections.abc import Callable

import pytest

from cards.vcard import Limits, VCardError, jcard, read, xcard

HEAD = b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:A\r\n"
XML = b'<vcards xmlns="urn:ietf:params:xml:ns:vcard-4.0">'
MANY = 1_000_000
EARLY = 2  # seconds; an idle machine takes a third of one, a busy one under coverage may not

Door = Callable[[bytes], object]
BOMBS: dict[str, tuple[Door, Callable[[], bytes], str]] = {
    "100 MB": (read, lambda: b"x" * 100 * MANY, "10000000 octets"),
    "a million properties": (read, lambda: HEAD + b"TEL:1\r\n" * MANY, "100000 properties"),
    "too many in one card": (read, lambda: HEAD + b"TEL:1\r\n" * 90_000, " 1000 properties"),
    "a million in many cards": (
        read,
        lambda: (HEAD + b"TEL:1\r\n" * 900) * 1_100,
        "100000 properties",
    ),
    "a million nameless lines": (read, lambda: HEAD + b"a b:1\r\n" * MANY, "100000 prop"),
    "half a million cards": (read, lambda: b"BEGIN:VCARD\nN:A\n" * (MANY // 2), "5000 cards"),
    "a million components": (read, lambda: HEAD + b"ADR:" + b";" * MANY, "1000 parts"),
    "a million categories": (read, lambda: HEAD + b"CATEGORIES:" + b"," * MANY, "1000 parts"),
    "a million parts in all": (
        read,
        lambda: HEAD + (b"ADR:" + b";" * 900 + b"\r\n") * 1_200,
        "more parts",
    ),
    "a million parameters": (read, lambda: HEAD + b"TEL" + b";A=1" * MANY + b":1", "parameters"),
    "a million quotes": (read, lambda: HEAD + b"TEL" + b';A="' * MANY + b":1", "parameters"),
    "a million types": (read, lambda: HEAD + b"TEL;TYPE=" + b"A," * 900_000 + b":1", "parameters"),
    "9 MB of value": (read, lambda: HEAD + b"NOTE:" + b"x" * 9 * MANY, "8000000 octets"),
    "9 MB of folds": (read, lambda: HEAD + b"NOTE:" + b"x\n " * 3 * MANY, "8000000 octets"),
    "9 MB of soft breaks": (read, lambda: HEAD + b"N;Q:" + b"x=\n" * 3 * MANY, "8000000 octets"),
    "9 MB of base64 lines": (read, lambda: HEAD + b"LOGO;B:" + b"xx\n" * 3 * MANY, "8000000 oct"),
    "9 MB of lines": (read, lambda: HEAD + b"xx\n" * 3 * MANY, "8000000 octets"),
    "cards in cards": (read, lambda: (HEAD + b"AGENT:\n") * 10_000, "4 deep"),
    "9 MB of line ends": (read, lambda: b"\r\n" * 4_500_000, "no vCard"),
    "9 MB of text": (read, lambda: b"hello world\n" * 750_000, "no vCard"),
    "9 MB of zeros": (read, lambda: b"\0" * 9 * MANY, "no vCard"),
    "xml of 100 MB": (xcard.loads, lambda: b"<a>" * 34 * MANY, "10000000 octets"),
    "xml deep": (xcard.loads, lambda: XML + b"<vcard>" * 100_000, "too deep"),
    "xml wide": (xcard.loads, lambda: XML + b"<vcard>" + b"<tel/>" * 100_000, "too many elements"),
    "xml many": (xcard.loads, lambda: XML + b"<vcard/>" * 100_000, "5000 cards"),
    "xml in many cards": (
        xcard.loads,
        lambda: XML + (b"<vcard>" + b"<a/>" * 999 + b"</vcard>") * 2_200,
        "too many elements",
    ),
    "laughs": (
        xcard.loads,
        lambda: b'<!DOCTYPE v [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><v>&b;</v>',
        "document type",
    ),
    "outside document type": (
        xcard.loads,
        lambda: b'<!DOCTYPE v SYSTEM "http://example.com/v.dtd"><v/>',
        "document type",
    ),
    "outside entity": (
        xcard.loads,
        lambda: b'<!DOCTYPE v [<!ENTITY a SYSTEM "file:///etc/passwd">]><v>&a;</v>',
        "document type",
    ),
    "json of 100 MB": (jcard.loads, lambda: b"[" * 100 * MANY, "10000000 octets"),
    "json deep": (jcard.loads, lambda: b"[" * 900_000, "too deep"),
    "json wide": (jcard.loads, lambda: b'["vcard",[' + b"[]," * MANY, "too many parts"),
    "json long": (
        jcard.loads,
        lambda: b'["vcard",[' + b'["tel",{},"text","1"],' * 9_000 + b'["tel",{},"text","1"]]]',
        "1000 properties",
    ),
    "json of a big value": (
        jcard.loads,
        lambda: b'["vcard",[["note",{},"text","' + b"x" * 9 * MANY + b'"]]]',
        "8000000 octets",
    ),
    "xml of a big value": (
        xcard.loads,
        lambda: XML + b"<vcard><fn><text>" + b"x" * 9 * MANY + b"</text></fn></vcard></vcards>",
        "8000000 octets",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_early(name: str) -> None:
    door, made, words = BOMBS[name]
    bomb = made()
    started = time.process_time()
    with pytest.raises(VCardError, match=words):
        door(bomb)
    assert time.process_time() - started < EARLY


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_takes_little_memory(name: str) -> None:
    door, made, words = BOMBS[name]
    bomb = made()
    tracemalloc.start()
    with pytest.raises(VCardError, match=words):
        door(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 80 * MANY


def test_what_is_within_the_limits_is_read() -> None:
    card = HEAD + b"TEL:1\r\n" * 998 + b"END:VCARD\r\n"
    assert len(read(card * 5)) == 5
    assert len(read(HEAD + b"NOTE:" + b"x" * 7 * MANY)[0].properties) == 3


@pytest.mark.parametrize(
    "line",
    [
        b'ADR;LABEL="' + b"\\" * 99_000 + b'":;;Elm 1',
        b"ADR:\nLABEL:\n" * 490,
        b"NOTE:" + b"\\" * 7 * MANY,
        b"PHOTO;BASE64:" + b"QUFB!\n " * MANY,
        b"NOTE:" + b"\x01\xff" * 3 * MANY,
        b"AGENT:\nBEGIN:VCARD\nEND:VCARD\n" * 490,
    ],
    ids=["backslashes in a label", "labels", "backslashes", "dirty base64", "controls", "agents"],
)
def test_what_is_odd_but_allowed_takes_no_long_time(line: bytes) -> None:
    started = time.process_time()
    read(HEAD + line + b"\nEND:VCARD")
    assert time.process_time() - started < 5


def test_limits_can_be_narrowed() -> None:
    with pytest.raises(VCardError, match="More than 2 cards"):
        read("BEGIN:VCARD\nFN:A\nEND:VCARD\n" * 3, Limits(cards=2))


@pytest.mark.parametrize(
    "given", [b"", "", b"\xff\xfe", "FN:nobody\n", "BEGIN:VCARD\nEND:VCARD\n", "\ufeff\n \n"]
)
def test_a_file_without_a_card_is_refused(given: bytes | str) -> None:
    with pytest.raises(VCardError, match="There is no vCard in this"):
        read(given)


@pytest.mark.parametrize(
    "given",
    [
        "", "[]", "{}", "1", '"vcard"', "[1]", '["vcard"]', '["vcard",1]', '["vcard",[1]]',
        '["vcard",[["fn",{},"text"]]]', '["vcard",[["fn",1,"text","A"]]]', "nonsense", "NaN",
        '["vcard",[["fn",{},"text",null]]]', '["vcard",[["fn",{},"text",{}]]]', "\ud800",
        '["vcard",[[null,{},"text","A"]]]', '["vcard",[["fn",{"a":[[1]]},"text","A"]]]',
    ],
)  # fmt: skip
def test_json_that_is_no_jcard_is_refused(given: str) -> None:
    with pytest.raises(VCardError):
        jcard.loads(given)


@pytest.mark.parametrize(
    "given",
    [
        "", "<", "<a/>", "<vcard/>", XML + b"</vcards>", "<a>\ud800</a>", "<a>\0</a>", b"\xff<a/>",
        b'<?xml version="1.0" encoding="no-such"?><a/>',
        b'<?xml version="1.0" encoding="utf-7"?><a/>',
    ],
)  # fmt: skip
def test_xml_that_is_no_xcard_is_refused(given: bytes | str) -> None:
    with pytest.raises(VCardError):
        xcard.loads(given)
