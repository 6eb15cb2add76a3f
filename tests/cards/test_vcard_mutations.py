"""Nothing that is done to a file makes the reader fail in any way but its own."""

import random
from collections.abc import Callable
from pathlib import Path

from cards.vcard import VCardError, read, write

SEED = 20120822
MUTATIONS = 50_000
TRAPS = [trap.read_bytes() for trap in sorted((Path(__file__).parent / "vcf").glob("*.vcf"))]
SIGNS = b'\r\n \t;:,="\\.^\x00\xff\xc3\x81<&'


def flip(octets: bytearray, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 8)):
        octets[chance.randrange(len(octets))] ^= 1 << chance.randrange(8)


def put_signs(octets: bytearray, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(octets))
        octets[at : at + chance.randint(0, 1)] = bytes([chance.choice(SIGNS)])


def cut_out(octets: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(octets))
    del octets[at : at + chance.randint(1, 60)]


def repeat(octets: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(octets))
    octets[at:at] = octets[at : at + chance.randint(1, 200)] * chance.randint(1, 3)


def cut_off(octets: bytearray, chance: random.Random) -> None:
    del octets[chance.randrange(1, len(octets) + 1) :]


def splice(octets: bytearray, chance: random.Random) -> None:
    other = chance.choice(TRAPS)
    at, start = chance.randrange(len(octets)), chance.randrange(len(other))
    octets[at : at + chance.randint(0, 100)] = other[start : start + chance.randint(1, 300)]


def lines_about(octets: bytearray, chance: random.Random) -> None:
    """Lines lost, doubled and moved."""
    lines = bytes(octets).split(b"\n")
    for _ in range(chance.randint(1, 3)):
        line = lines.pop(chance.randrange(len(lines)))
        for _ in range(chance.randint(0, 2)):
            lines.insert(chance.randint(0, len(lines)), line)
        lines = lines or [b""]
    octets[:] = b"\n".join(lines)


DEEDS: list[Callable[[bytearray, random.Random], None]] = [
    flip, put_signs, cut_out, repeat, cut_off, splice, lines_about,
]  # fmt: skip


def mutated(chance: random.Random) -> bytes:
    octets = bytearray(chance.choice(TRAPS))
    for _ in range(chance.randint(1, 3)):
        if octets:
            chance.choice(DEEDS)(octets, chance)
    return bytes(octets)


def test_it_survives_fifty_thousand_mutations(uncounted: None) -> None:
    chance = random.Random(SEED)
    refused = 0
    for number in range(MUTATIONS):
        octets = mutated(chance)
        try:
            cards = read(octets)
        except VCardError:
            refused += 1
            continue
        assert all(card.fn for card in cards)
        if number % 25 == 0:
            for card in cards:
                assert read(write(card.properties))[0].properties == card.properties
    assert refused < MUTATIONS / 5
