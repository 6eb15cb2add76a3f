"""Somebody on another server holds a card: a guest here, who is updated like everybody."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async as in_rows

from accounts.models import User
from bindings import exchange
from bindings.models import Binding, Guest, Request
from cards.models import Card
from tests.conftest import change
from tests.nameserver import asking, naming
from tests.prosody import RunningProsody, running_prosody
from tests.xmpp.clients import CARDS, signed_in
from tests.xmpp.conftest import PEOPLE, fan_out, stored, use
from tests.xmpp.test_updates import has_all
from xmpp.bridge import Bridge
from xmpp.throttles import allowed

pytestmark = pytest.mark.django_db(transaction=True)

ALICE, HANS = "alice@cards.example.org", "hans@other.example"


@pytest.fixture
def other(tmp_path: Path, settings: Any) -> Iterator[RunningProsody]:
    """The other server. Ours comes with it, and the two find each other."""
    ports: dict[str, int] = {}
    with naming(ports) as names:
        more: dict[str, Any] = {"more": asking(names)}
        away = {"domain": "other.example", "cards_domain": "cards.other.example"}
        with (
            running_prosody(tmp_path / "ours", PEOPLE, **more) as ours,
            running_prosody(tmp_path / "other", ["hans"], **away, **more) as theirs,
        ):
            ports |= {"example.org": ours.has.server_port, CARDS: ours.has.server_port}
            ports["other.example"] = theirs.has.server_port
            use(ours, settings)
            yield theirs


@pytest.fixture
def prosody(other: RunningProsody) -> RunningProsody:
    """In place of the one for itself: ours came with the other."""
    return other


async def test_an_invitation_makes_a_guest_who_is_updated_away_and_back(
    other: RunningProsody, bridge: Bridge, alice: User, alice_card: Card
) -> None:
    _made, code = await in_rows(exchange.invite)(alice_card, lifetime=timedelta(days=1))
    async with signed_in(other, "hans") as his:
        his.send_presence(pto=ALICE, ptype="subscribe", pstatus=code)
        await his.hears("presence", ALICE, "subscribed")
        guest = await User.objects.aget(guest__isnull=False)
        assert guest.name == HANS
        link = await his.hears("message", CARDS, having="/guest/")
        assert link is not None
        assert (await his.vcard(ALICE)).findtext("{vcard-temp}FN") == "Alice Example"
        given = await Binding.objects.select_related("card").aget(holder=alice)
        assert given.card.properties[0]["value"] == f"xmpp:{HANS}"
        await fan_out()
        await his.hears("message", ALICE, having="+43 1 111")
        await stored(lambda: has_all(guest))
        await in_rows(change)(alice_card, tel="+43 1 222")
        await fan_out()
        told = await his.hears("message", ALICE, having="+43 1 222")
        assert "+43 664 222" not in str(told)
        await stored(lambda: has_all(guest))
    await in_rows(change)(alice_card, tel="+43 1 333")
    await fan_out()
    async with signed_in(other, "hans") as his:
        await his.hears("message", ALICE, having="+43 1 333")
        await stored(lambda: has_all(guest))
        binding = await Binding.objects.aget(card=alice_card, holder=guest)
        await in_rows(exchange.revoke)(binding)
        await fan_out()
        await his.hears("presence", ALICE, "unsubscribed")
        assert await his.refusal(ALICE) == "service-unavailable"


async def test_who_only_asks_waits_for_the_owner(
    other: RunningProsody, bridge: Bridge, alice_card: Card
) -> None:
    async with signed_in(other, "hans") as his:
        his.send_presence(pto=ALICE, ptype="subscribe", pstatus="We met in Vienna")
        await stored(Request.objects.waiting().exists)
        asked = await Request.objects.select_related("sender").aget()
        assert (asked.sender.name, asked.message) == (HANS, "We met in Vienna")
        assert not his.stanzas("presence", ALICE)
        await in_rows(exchange.accept_request)(asked, alice_card)
        await fan_out()
        await his.hears("presence", ALICE, "subscribed")


async def test_whoever_asks_for_nobody_leaves_nothing_behind(
    other: RunningProsody, bridge: Bridge, alice: User
) -> None:
    async with signed_in(other, "hans") as his:
        his.send_presence(pto="nobody@cards.example.org", ptype="subscribe")
        his.send_presence(pto=CARDS, ptype="subscribe")
        await his.is_heard()
        assert not await Guest.objects.aexists()
        assert not his.stanzas("presence", CARDS)


async def test_newcomers_of_one_domain_are_counted_together(
    other: RunningProsody, bridge: Bridge, alice: User
) -> None:
    def use_up() -> None:
        while allowed("page", "other.example"):
            pass

    await in_rows(use_up)()
    async with signed_in(other, "hans") as his:
        his.send_presence(pto=ALICE, ptype="subscribe")
        await his.is_heard()
        assert not await Guest.objects.aexists()
