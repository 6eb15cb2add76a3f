"""The property JSON of the API: what it takes, and what it refuses in words."""

from typing import Any

import pytest

from cards.vcard import Property, VCardError, from_json, to_json

GOOD: list[dict[str, Any]] = [
    {
        "name": "tel",
        "value": "+43 1 234",
        "params": {"type": ["work", "voice"], "group": ["item1"]},
    },
    {"name": "n", "value": ["King", "Ada", ["A", "B"], "", ""], "params": {}},
    {"name": "categories", "value": ["a", "b,c"], "params": {}},
    {"name": "note", "value": "tab\tand\nline", "params": {}},
    {"name": "x-room", "value": "4.02;left", "params": {"x-floor": ["4"]}},
    {"name": "photo", "value": "https://example.com/a.jpg", "params": {}},
]


def test_what_is_right_comes_back() -> None:
    assert to_json(from_json(GOOD)) == GOOD


def test_other_keys_and_missing_params_are_passed_over() -> None:
    given = [{"name": "tel", "value": "1", "circles": ["*"]}]
    assert from_json(given) == [Property("tel", "1")]


def test_each_property_takes_its_canonical_form_in_its_place() -> None:
    given = [
        {"name": "bday", "value": "1985-04-15"},
        {"name": "adr", "value": ["", "", " Elm 1 "], "params": {"type": ["HOME", "pref"]}},
        {"name": "fn", "value": "A"},
        {"name": "group", "value": "A"},
    ]
    assert from_json(given) == [
        Property("bday", "19850415"),
        Property("adr", ["", "", "Elm 1", "", "", "", ""], {"type": ["home"], "pref": ["1"]}),
        Property("fn", "A"),
        Property("x-group", "A"),
    ]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("tel", "A property is an object"),
        ({"value": "1"}, "A name has"),
        ({"name": "TEL", "value": "1"}, "A name has"),
        ({"name": "tel:1\r\nx", "value": "1"}, "A name has"),
        ({"name": "version", "value": "4.0"}, "A name has"),
        ({"name": "tel"}, "has to be a string"),
        ({"name": "tel", "value": ["1"]}, "has to be a string"),
        ({"name": "tel", "value": 1}, "has to be a string"),
        (
            {"name": "n", "value": "King"},
            "has to be a list of strings or lists of strings, at most 5",
        ),
        ({"name": "n", "value": [""] * 6}, "at most 5"),
        ({"name": "n", "value": [["a", 1]]}, "at most 5"),
        ({"name": "org", "value": [["a", "b"]]}, "has to be a list of strings"),
        ({"name": "categories", "value": "a"}, "has to be a list of strings"),
        ({"name": "categories", "value": ["a"] * 1_001}, "has to be a list of strings"),
        ({"name": "tel", "value": "1", "params": []}, "Parameters are"),
        ({"name": "tel", "value": "1", "params": {"type": "home"}}, "Parameters are"),
        ({"name": "tel", "value": "1", "params": {"TYPE": ["home"]}}, "Parameters are"),
        ({"name": "tel", "value": "1", "params": {"type": [1]}}, "Parameters are"),
        ({"name": "tel", "value": "1", "params": None}, "Parameters are"),
        ({"name": "note", "value": "a\x00"}, "Control characters"),
        ({"name": "note", "value": "a\r\nb"}, "Control characters"),
        ({"name": "note", "value": "a\x85"}, "Control characters"),
        ({"name": "note", "value": "\ud800"}, "Control characters"),
        ({"name": "tel", "value": "1", "params": {"x-a": ["\x1b"]}}, "Control characters"),
        ({"name": "n", "value": [["a", "\x07"]]}, "Control characters"),
        ({"name": "note", "value": "a" * 100_001}, "too long"),
        ({"name": "note", "value": "ß" * 50_001}, "too long"),
        ({"name": "note", "value": "a", "params": {"x-a": ["a" * 100_000]}}, "too long"),
        ({"name": "photo", "value": " DATA:image/png;base64,AA=="}, "A photo is not sent"),
        ({"name": "tel", "value": "  "}, "is empty"),
        ({"name": "n", "value": ["", ""]}, "is empty"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place_and_the_reason(given: Any, reason: str) -> None:
    with pytest.raises(VCardError) as refused:
        from_json([GOOD[0], given, GOOD[1]])
    assert refused.value.index == 1
    assert reason in refused.value.reason
    assert str(refused.value).startswith("Property 2: ")


def test_too_many_are_refused() -> None:
    assert len(from_json([GOOD[0]] * 1_000)) == 1_000
    with pytest.raises(VCardError, match="at most 1000"):
        from_json([GOOD[0]] * 1_001)
