"""The same to many at once: in order, to each of their sessions, and not to whom has blocked it."""

from typing import Any

import pytest
from asgiref.sync import sync_to_async as in_rows

from accounts.models import User
from bindings.models import Binding
from cards.models import Card
from delivery.models import OfflineMessage
from tests.conftest import bind, change, make_card, make_person
from tests.prosody import RunningProsody
from tests.xmpp import conftest
from tests.xmpp.clients import CARDS, Client, signed_in
from tests.xmpp.conftest import fan_out, stored, until
from tests.xmpp.test_updates import has_all
from xmpp import multicast
from xmpp.bridge import Bridge
from xmpp.news import LETTER, Ready, id_of

ALICE = "alice@cards.example.org"
NAMES = [f"holder{n}" for n in range(multicast.FEW + 3)]

one, two = Ready("<message a ", ">1</message>"), Ready("<message b ", ">2</message>")


def said(*pairs: tuple[Ready, str]) -> list[tuple[str, list[str]]]:
    return [("1" if ready is one else "2", jids) for ready, jids in multicast.grouped(pairs)]


def test_what_is_the_same_is_one_group() -> None:
    assert said((one, "a"), (two, "a"), (one, "b"), (two, "b")) == [
        ("1", ["a", "b"]),
        ("2", ["a", "b"]),
    ]


def test_nobody_gets_an_earlier_one_after_a_later_one() -> None:
    assert said((two, "b"), (one, "a"), (two, "a"), (one, "b")) == [
        ("2", ["b"]),
        ("1", ["a", "b"]),
        ("2", ["a"]),
    ]


def test_only_our_own_people_are_told_together(settings: Any) -> None:
    settings.XMPP_DOMAIN, settings.XMPP_CARDS_DOMAIN = "example.org", "cards.example.org"
    jids = [f"{name}@example.org" for name in NAMES]
    texts = list(multicast.written([(one, [*jids, "hans@other.example"])], is_understood=True))
    assert len(texts) == 2
    assert "\n".join(NAMES) in texts[0]
    assert texts[1] == '<message a to="hans@other.example">1</message>'
    assert len(list(multicast.written([(one, jids)], is_understood=False))) == len(jids)
    few = jids[: multicast.FEW]
    assert len(list(multicast.written([(one, few)], is_understood=True))) == len(few)


# At a server


@pytest.fixture
def people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conftest, "PEOPLE", (*conftest.PEOPLE, *NAMES))


@pytest.fixture
def holders(people: None, alice_card: Card) -> list[User]:
    made = [make_person(name, name.title()) for name in NAMES]
    for each in made:
        make_card(each)
        bind(alice_card, each)
    return made


async def come(client: Client) -> None:
    await client.linked()
    await fan_out()


@pytest.mark.django_db(transaction=True)
async def test_many_are_told_and_acknowledge(
    holders: list[User], bridge: Bridge, prosody: RunningProsody, alice_card: Card
) -> None:
    """One of them has two clients, one counts its stanzas (XEP-0198), one has blocked the contact,
    and one is away."""
    await until(lambda: bridge.has_multicast)
    first, second, blocking, away, *rest = holders
    async with (
        signed_in(prosody, first.username, resource="one") as twice,
        signed_in(prosody, first.username, resource="two") as again,
        signed_in(prosody, second.username, counts=True) as counting,
        signed_in(prosody, blocking.username) as blocker,
        signed_in(prosody, rest[0].username) as third,
        signed_in(prosody, rest[1].username) as fourth,
    ):
        for each in (twice, counting, blocker, third, fourth):
            await come(each)
        async with signed_in(prosody, away.username) as gone:
            await come(gone)
            await stored(lambda: has_all(away))
        await stored(lambda: all(has_all(each) for each in holders))
        block = f"<block xmlns='urn:xmpp:blocking'><item jid='{ALICE}'/></block>"
        await blocker.asks("", block, "set")
        before = len(blocker.stanzas("message", ALICE))
        await in_rows(change)(alice_card, tel="+43 1 999")
        await fan_out()
        for each in (twice, again, counting, third, fourth):
            told = await each.hears("message", ALICE, having="+43 1 999")
            assert told.get("to", "").split("/")[0] == each.boundjid.bare
        await stored(lambda: all(has_all(each) for each in (first, second, *rest[:2])))
        await blocker.is_heard()
        assert len(blocker.stanzas("message", ALICE)) == before
        assert not await in_rows(has_all)(away)
        assert not await in_rows(has_all)(blocking)
    async with signed_in(prosody, away.username) as gone:
        await gone.hears("message", ALICE, having="+43 1 999")
        await stored(lambda: has_all(away))


@pytest.mark.django_db(transaction=True)
async def test_nobody_but_the_cards_tells_many_at_once(
    bridge: Bridge, prosody: RunningProsody, held: Binding
) -> None:
    async with signed_in(prosody, "bob") as his, signed_in(prosody, "alice") as hers:
        forged: Any = hers.make_message("example.org")
        forged.append(
            conftest.parsed(
                f"<multicast xmlns='{multicast.NAMESPACE}'><to>bob</to>"
                f"<message xmlns='jabber:client' from='{ALICE}'><body>forged</body></message>"
                "</multicast>"
            )
        )
        forged.send()
        await hers.is_heard()
        await his.is_heard()
        assert not his.stanzas("message")


@pytest.mark.django_db(transaction=True)
async def test_nobody_acknowledges_for_another(
    bridge: Bridge, prosody: RunningProsody, held: Binding, alice_card: Card, bob: User
) -> None:
    async with signed_in(prosody, "bob") as his:
        await come(his)
        await stored(lambda: has_all(bob))
    await in_rows(change)(alice_card, tel="+43 1 999")
    await fan_out()
    row = await OfflineMessage.objects.aget(device__user=bob, subject=held.card_id)
    id = id_of(str(row.subject), row.rev, LETTER)
    before = bridge.stores
    async with signed_in(prosody, "alice") as hers:
        for to in ("cards.example.org", "example.org"):
            acks: Any = hers.make_message(to)
            many = f"<acks xmlns='{multicast.NAMESPACE}'>{id} bob@example.org</acks>"
            acks.append(conftest.parsed(many))
            acks.send()
        receipt: Any = hers.make_message(CARDS)
        receipt.append(conftest.parsed(f"<received xmlns='urn:xmpp:receipts' id='{id}'/>"))
        receipt.send()
        await hers.linked()  # of her own there is something that she acknowledges, after all that
        await fan_out()
        await until(lambda: bridge.stores > before)
        assert await OfflineMessage.objects.pending().filter(pk=row.pk).aexists()
