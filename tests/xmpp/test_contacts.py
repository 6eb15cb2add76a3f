"""Cards as contacts, by slixmpp's plain client at a real Prosody."""

from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async as in_rows
from slixmpp.exceptions import IqError

from accounts.models import Device, User
from bindings import exchange
from bindings.models import Binding, Request
from cards.models import Card
from tests.conftest import bind, make_card, make_person, prop
from tests.prosody import RunningProsody
from tests.xmpp.clients import Client, signed_in
from tests.xmpp.conftest import fan_out, stored, until
from tests.xmpp.test_updates import has_all

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("bridge")]

ALICE, BOB = "alice@cards.example.org", "bob@cards.example.org"


async def test_to_subscribe_is_to_ask_and_to_approve_is_to_accept(
    prosody: RunningProsody, alice_card: Card, bob_card: Card, bob: User, alice: User
) -> None:
    async with (
        signed_in(prosody, "alice", approves=False) as hers,
        signed_in(prosody, "bob") as his,
    ):
        await hers.linked()
        his.send_presence(pto=ALICE, ptype="subscribe", pstatus="We met in Vienna")
        asked = await hers.hears("presence", BOB, "subscribe")
        assert asked.findtext("{jabber:client}status") == "We met in Vienna"
        assert not his.stanzas("presence", ALICE)
        hers.send_presence(pto=BOB, ptype="subscribed")
        await stored(lambda: Binding.objects.active().count() == 2)
        await fan_out()
        await his.hears("presence", ALICE, "subscribed")
        await his.hears("message", ALICE, having="+43 1 111")
        await hers.hears("message", BOB, having="bob@example.org")


async def test_to_refuse_is_to_decline_and_looks_like_nobody(
    prosody: RunningProsody, alice_card: Card, bob_card: Card, bob: User
) -> None:
    async with (
        signed_in(prosody, "alice", approves=False) as hers,
        signed_in(prosody, "bob") as his,
    ):
        await hers.linked()
        his.send_presence(pto=ALICE, ptype="subscribe")
        await hers.hears("presence", BOB, "subscribe")
        hers.send_presence(pto=BOB, ptype="unsubscribed")
        await stored(Request.objects.filter(decided_at__isnull=False, accepted=False).exists)
        his.send_presence(pto=ALICE, ptype="subscribe")  # as his server will at each sign-in
        await his.is_heard()
        assert await in_rows(Request.objects.count)() == 1
        assert not his.stanzas("presence", ALICE)


async def test_a_request_for_nobody_is_as_silent(
    prosody: RunningProsody, bob_card: Card, bob: User
) -> None:
    async with signed_in(prosody, "bob") as his:
        his.send_presence(pto="nobody@cards.example.org", ptype="subscribe")
        await his.is_heard()
        assert not his.stanzas("presence", "nobody")


@pytest.mark.parametrize("way", ["in the status", "in the address"])
async def test_an_invitations_code_binds_at_once(
    way: str, prosody: RunningProsody, alice_card: Card, bob_card: Card, bob: User
) -> None:
    _made, code = await in_rows(exchange.invite)(alice_card, lifetime=timedelta(days=1))
    to = ALICE if way == "in the status" else f"alice?{code.lower()}@cards.example.org"
    async with signed_in(prosody, "bob") as his:
        status = code if way == "in the status" else ""
        his.send_presence(pto=to, ptype="subscribe", pstatus=status)
        await his.hears("presence", to, "subscribed")
        vcard = await his.vcard(to)
        assert vcard.findtext("{vcard-temp}TEL/{vcard-temp}NUMBER") == "+43 1 111"
    assert await in_rows(Binding.objects.active().count)() == 2


async def test_a_wrong_code_is_a_request_like_any(
    prosody: RunningProsody, alice_card: Card, bob_card: Card, bob: User
) -> None:
    async with signed_in(prosody, "bob") as his:
        his.send_presence(pto=ALICE, ptype="subscribe", pstatus="0000-0000-0000")
        await his.is_heard()
        assert not his.stanzas("presence", ALICE)
        assert await in_rows(Request.objects.waiting().count)() == 1


async def test_two_who_ask_each_other_are_agreed(
    prosody: RunningProsody, alice_card: Card, bob_card: Card, bob: User, alice: User
) -> None:
    await in_rows(exchange.ask)(alice, "bob", alice_card)
    async with signed_in(prosody, "bob") as his:
        his.send_presence(pto=ALICE, ptype="subscribe")
        await his.hears("presence", ALICE, "subscribed")
        assert (await his.vcard(ALICE)).findtext("{vcard-temp}FN") == "Alice Example"


async def test_to_unsubscribe_is_to_leave(prosody: RunningProsody, held: Binding) -> None:
    async with signed_in(prosody, "bob") as his:
        his.send_presence(pto=ALICE, ptype="subscribe")
        await his.hears("presence", ALICE, "subscribed")
        his.send_presence(pto=ALICE, ptype="unsubscribe")
        await stored(Binding.objects.filter(ended_at__isnull=False).exists)
        await in_rows(held.refresh_from_db)()
        assert held.ended_by == Binding.Ended.HOLDER
        with pytest.raises(IqError):
            await his.vcard(ALICE)


async def test_revoked_is_gone(prosody: RunningProsody, held: Binding) -> None:
    async with signed_in(prosody, "bob") as his:
        his.send_presence(pto=ALICE, ptype="subscribe")
        await his.hears("presence", ALICE, "subscribed")
        await fan_out()
        await in_rows(exchange.revoke)(held)
        await fan_out()
        await his.hears("presence", ALICE, "unsubscribed")
        await his.hears("presence", ALICE, "unavailable")
        await his.hears("message", ALICE, having="removed")
        with pytest.raises(IqError):
            await his.vcard(ALICE)


async def test_the_contact_stays_for_whoever_holds_another_card_of_the_same_person(
    prosody: RunningProsody, held: Binding, alice: User, bob: User
) -> None:
    second = await in_rows(make_card)(alice, prop("note", "second", "*"), fn="Alice at home")
    await in_rows(bind)(second, bob)
    async with signed_in(prosody, "bob") as his:
        his.send_presence(pto=ALICE, ptype="subscribe")
        await his.hears("presence", ALICE, "subscribed")
        await fan_out()
        await in_rows(exchange.revoke)(held)
        await fan_out()
        await his.hears("message", ALICE, having="removed")
        assert not his.stanzas("presence", ALICE, "unsubscribed")
        assert (await his.vcard(ALICE)).findtext("{vcard-temp}NOTE") == "second"


async def test_who_is_blocked_meets_nobody(
    prosody: RunningProsody, held: Binding, alice: User, bob: User
) -> None:
    await in_rows(exchange.block)(alice, bob)
    async with signed_in(prosody, "bob") as his:
        his.send_presence(pto=ALICE, ptype="subscribe")
        await his.is_heard()
        assert not his.stanzas("presence", ALICE)
        assert await his.refusal(ALICE) == await his.refusal("nobody@cards.example.org")


async def test_a_contact_that_is_none_any_more_says_so(
    prosody: RunningProsody, held: Binding, bob: User
) -> None:
    """As a roster may have one that was taken away while nobody could tell it."""
    async with signed_in(prosody, "bob") as his:
        his.send_presence(pto=ALICE, ptype="subscribe")
        await his.hears("presence", ALICE, "subscribed")
        await stored(lambda: has_all(bob))  # else he is told of the end when he is told the rest
    await in_rows(exchange.revoke)(held)
    async with signed_in(prosody, "bob") as his:
        await his.hears("presence", ALICE, "unsubscribed")


async def test_signing_in_again_finds_the_contact_there(
    prosody: RunningProsody, held: Binding
) -> None:
    async with signed_in(prosody, "bob") as his:
        his.send_presence(pto=ALICE, ptype="subscribe")
        await his.hears("presence", ALICE, "subscribed")
    async with signed_in(prosody, "bob") as his:
        here = await his.hears("presence", ALICE, "")
        assert here.find("{vcard-temp:x:update}x") is not None


async def test_whoever_has_many_contacts_finds_them_all(
    prosody: RunningProsody, held: Binding, bob: User
) -> None:
    """A client that comes speaks to all of them at once."""

    def many() -> set[str]:
        owners = [make_person(f"owner{number}", f"Owner {number}") for number in range(120)]
        for each in owners:
            bind(make_card(each), bob)
        return {f"{each.username}@cards.example.org" for each in owners}

    wanted = await in_rows(many)()

    def seen(his: Client, type: str) -> set[str]:
        return {each.get("from", "").split("/")[0] for each in his.stanzas("presence", "", type)}

    async with signed_in(prosody, "bob") as his:
        for each in wanted:
            his.send_presence(pto=each, ptype="subscribe")
        await until(lambda: wanted <= seen(his, "subscribed"))
    async with signed_in(prosody, "bob") as his:
        await until(lambda: wanted <= seen(his, ""))


async def test_the_component_is_a_contact_of_its_own(prosody: RunningProsody, bob: User) -> None:
    async with signed_in(prosody, "bob") as his:
        his.send_presence(pto="cards.example.org", ptype="subscribe")
        await his.hears("presence", "cards.example.org", "subscribed")
        assert await in_rows(Device.objects.active().filter(platform="xmpp").count)() == 1
        his.send_presence(pto="cards.example.org", ptype="unsubscribe")
        await stored(lambda: not Device.objects.active().filter(platform="xmpp").exists())
