"""Cards as programs really write them: vcf/*.vcf, and beside each by hand what is in it."""

import json
from pathlib import Path
from typing import Any

import pytest

from cards.vcard import read, to_json, write

TRAPS = sorted((Path(__file__).parent / "vcf").glob("*.vcf"))


def facts_of(trap: Path) -> list[dict[str, Any]]:
    facts: list[dict[str, Any]] = json.loads(trap.with_suffix(".json").read_text())["cards"]
    return facts


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.stem)
def test_a_card_is_read_as_it_was_meant(trap: Path) -> None:
    cards = read(trap.read_bytes())
    facts = facts_of(trap)
    assert [card.fn for card in cards] == [fact["fn"] for fact in facts]
    for card, fact in zip(cards, facts, strict=True):
        properties = to_json(card.properties)
        for expected in fact["has"]:
            assert expected in properties
        assert len(properties) == fact.get("size", len(properties))
        assert card.warnings == fact["warnings"]


@pytest.mark.parametrize("version", ["3.0", "4.0"])
@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.stem)
def test_what_was_read_is_written_and_read_again(trap: Path, version: str) -> None:
    for card in read(trap.read_bytes()):
        (again,) = read(write(card.properties, version))
        assert again.warnings == []
        assert again.fn == card.fn
        if version == "4.0":
            assert again.properties == card.properties


def test_there_are_enough_traps() -> None:
    assert len(TRAPS) >= 20
