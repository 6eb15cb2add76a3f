"""What a holder keeps to themselves reaches all their devices, and nobody else's."""

import json
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from asgiref.sync import sync_to_async
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.test import Client
from django.urls import reverse

from accounts.models import Device, User
from bindings import exchange, keeping
from bindings.models import Binding
from cards.models import Card
from delivery import fanout, live, messages, offline, prompts
from delivery.models import Epoch, Mailbox, OfflineMessage
from delivery.resend import send_again
from tests.conftest import (
    RecordingLayer,
    api_of,
    bind,
    catch_up,
    change,
    make_card,
    make_device,
    make_person,
    pending,
    prop,
    subject_of,
)
from tests.delivery.test_socket import all_stored, listening, opened, token  # noqa: F401  (a fixture)
from tests.delivery.test_sync import ack, sync


@pytest.fixture
def phone(held: Binding, bob: User) -> Device:
    """Bob's, which has all there is."""
    phone = make_device(bob)
    fanout.run_all()
    catch_up(phone)
    return phone


def answers(told: list[dict[str, Any]]) -> list[tuple[int, Any, int]]:
    return [
        (each["rev"], each["binding"]["approved_rev"], each["binding"]["private_rev"])
        for each in told
        if each["kind"] == "private"
    ]


def test_a_choice_and_an_answer_reach_every_device_of_the_holder(
    phone: Device, held: Binding, bob: User
) -> None:
    tablet = make_device(bob, "ios")
    keeping.keep(held, {"asks": True})
    change(held.card, tel="+43 1 999")
    fanout.run_all()
    newest = Binding.objects.complete().get(pk=held.pk).followed_rev
    keeping.keep(held, {"approved_rev": newest})
    for device in (phone, tablet):
        told = catch_up(device)
        assert answers(told) == [(2, newest, 2)]
        assert "view" not in next(each for each in told if each["kind"] == "private")
        assert pending(device) == {}


def test_the_newest_is_delivered_whatever_the_holder_says(phone: Device, held: Binding) -> None:
    """I1: asking is about the address book; the device itself has what may be seen now."""
    keeping.keep(held, {"asks": True})
    change(held.card, tel="+43 1 999")
    fanout.run_all()
    (card,) = [each for each in catch_up(phone) if each["kind"] == "card"]
    assert card["view"]["properties"][0]["value"] == "+43 1 999"
    row = OfflineMessage.objects.get(device=phone, subject=held.card_id)
    assert not row.is_pending


def test_notes_reach_the_other_devices(phone: Device, held: Binding) -> None:
    keeping.keep(held, {"note": "met in Graz"})
    (told,) = catch_up(phone)
    assert (told["kind"], told["binding"]["note"]) == ("private", "met in Graz")


def test_nobody_elses_device_hears_of_it(phone: Device, held: Binding, alice: User) -> None:
    alices = make_device(alice)
    dora = make_person("dora", "Dora")
    bind(held.card, dora)
    doras = make_device(dora)
    fanout.run_all()
    for device in (alices, doras):
        catch_up(device)
    keeping.keep(held, {"asks": True, "note": "x"})
    fanout.run_all()
    assert pending(alices) == pending(doras) == {}
    assert pending(phone) == {str(held.pk): ("private", 1)}


@pytest.mark.django_db(transaction=True)
def test_it_is_told_at_once_to_the_holder_alone(
    held: Binding, alice: User, bob: User, wire: RecordingLayer
) -> None:
    keeping.keep(held, {"asks": True})
    (frame,) = wire.frames_to(bob)
    assert (frame["type"], frame["rev"]) == ("private", 1)
    assert wire.published[-1][1]["owes"] == (str(held.pk), 1)
    assert wire.frames_to(alice) == []


@pytest.mark.django_db(transaction=True)
def test_of_many_cards_the_devices_read_it_themselves(
    held: Binding, alice: User, bob: User, wire: RecordingLayer
) -> None:
    for n in range(live.SAID_AT_ONCE):
        bind(make_card(alice, prop("tel", str(n), "*")), bob)
    phone = make_device(bob)
    fanout.run_all()
    catch_up(phone)
    wire.published.clear()
    keeping.ask_about_all(bob, True)
    assert ([live.user_group(bob.pk)], {"drain": True}) in wire.published
    assert len(answers(catch_up(phone))) == live.SAID_AT_ONCE + 1


def test_what_is_rolled_back_is_told_to_nobody(phone: Device, held: Binding) -> None:
    with pytest.raises(ValidationError):
        keeping.keep(held, {"asks": True, "approved_rev": 10**6})
    assert pending(phone) == {}


def test_an_acknowledgement_counts_by_its_own_revs(phone: Device, held: Binding, bob: User) -> None:
    """REST does not know what was said: a rev is believed as far as it has come."""
    client, (card_rev, many) = api_of(bob, phone), (held.card.rev, held.card.rev + 5)
    for n in range(many):
        keeping.keep(held, {"note": str(n)})
    assert ack(client, [str(held.card_id), card_rev + 1]).json() == {"pending": 1}
    assert not OfflineMessage.objects.filter(acknowledged_rev=card_rev + 1).exists()
    assert ack(client, [str(held.pk), many + 1]).json() == {"pending": 1}
    assert [each["rev"] for each in sync(client)["messages"]] == [many]
    assert ack(client, [str(held.pk), many]).json() == {"pending": 0}


def test_an_owner_acknowledges_by_the_revs_of_the_card(
    held: Binding, alice: User, bob: User
) -> None:
    phone = make_device(alice)
    sync(client := api_of(alice, phone))
    for n in range(9):
        keeping.keep(held, {"note": str(n)})
    dora = bind(held.card, make_person("dora", "Dora"))
    fanout.run_all()
    news = {subject_of(each): each for each in sync(client)["messages"]}
    told, rest = news[str(dora.pk)], len(news) - 1
    assert ack(client, [str(dora.pk), dora.rev + 1]).json() == {"pending": rest + 1}
    assert ack(client, [str(dora.pk), told["rev"]]).json() == {"pending": rest}


def test_of_a_card_that_has_ended_nothing_private_is_sent(phone: Device, held: Binding) -> None:
    keeping.keep(held, {"note": "secret"})
    exchange.revoke(held)
    fanout.run_all()
    told = catch_up(phone)
    assert "secret" not in json.dumps(told)
    assert {each["kind"] for each in told} == {"removed", "private"}
    assert pending(phone) == {}
    ended = next(each for each in told if each["kind"] == "private")
    assert ended["binding"] == {"id": str(held.pk), "side": "holder", "state": "ended"}


def test_a_removal_is_not_asked_about(phone: Device, held: Binding) -> None:
    keeping.keep(held, {"asks": True})
    exchange.revoke(held)
    fanout.run_all()
    assert pending(phone)[str(held.card_id)][0] == "removed"


def test_a_new_device_is_told_with_the_card(held: Binding, bob: User) -> None:
    keeping.keep(held, {"asks": True})
    (told,) = catch_up(make_device(bob))
    assert told["kind"] == "binding"
    assert told["binding"]["approved_rev"] == told["rev"]
    assert told["binding"]["private_rev"] == 1


def test_after_a_restore_it_comes_again(phone: Device, held: Binding) -> None:
    keeping.keep(held, {"asks": True})
    catch_up(phone)
    Epoch.renew()
    assert pending(phone)[str(held.pk)] == ("private", 1)


def test_staff_do_not_list_it(phone: Device, held: Binding) -> None:
    staff = Client()
    staff.force_login(User.objects.create_superuser("staff@example.org", "x", name="Staff"))
    keeping.keep(held, {"note": "Met in Vienna"})
    listed = staff.get(reverse("admin:delivery_offlinemessage_changelist"))
    assert phone.messages.pending().count() == 1
    assert b"result_list" not in listed.content


def test_nobody_is_prompted_for_it_when_it_is_sent_again(
    phone: Device, held: Binding, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeping.keep(held, {"note": "Met in Vienna"})
    monkeypatch.setattr(prompts, "configured", lambda: True)
    monkeypatch.setattr(prompts, "reachable", Q)
    send_again(phone.messages.filter(subject=held.pk))
    assert not Mailbox.objects.due().exists()
    send_again(phone.messages.filter(subject=held.card_id))
    assert {each.device_id for each in Mailbox.objects.due()} == {phone.pk}


def test_in_xml_it_says_the_same(held: Binding) -> None:
    keeping.keep(held, {"asks": True, "tags": ["work"]})
    binding = Binding.objects.complete().get(pk=held.pk)
    said = messages.xml_frame(messages.private(binding))
    assert ET.fromstring(said).tag == messages.tag("private")
    assert f'approved_rev="{binding.approved_rev}" private_rev="1"' in said
    keeping.keep(held, {"asks": None})
    binding = Binding.objects.complete().get(pk=held.pk)
    assert "approved_rev" not in messages.xml_frame(messages.private(binding))


def test_what_a_browser_keeps_is_read_again(held: Binding, bob: User) -> None:
    before = offline.fingerprint(bob)
    keeping.keep(held, {"note": "new"})
    assert offline.fingerprint(bob) != before


@pytest.mark.django_db(transaction=True)
async def test_an_open_socket_hears_it_and_is_idle_after_it(held: Binding, bob: User) -> None:
    phone = await sync_to_async(make_device)(bob)
    await sync_to_async(fanout.run_all)()
    async with opened(token(phone)) as peer:
        await sync_to_async(keeping.keep)(held, {"asks": True})
        heard: set[str] = set()
        while not {"idle", "private"} <= heard:
            frame = await peer.frame()
            heard.add(frame["type"])
            if "card" in frame:
                await peer.acknowledge(frame)
        await all_stored(phone)


def test_an_edit_costs_as_before(
    held: Binding, bob_card: Card, django_assert_num_queries: Any
) -> None:
    """An answer is one row, its messages one statement, whatever the number of devices."""
    for _n in range(3):
        make_device(held.holder)
    with django_assert_num_queries(6):  # savepoint, lock, row, update, messages, release
        keeping.keep(held, {"note": "x"})
