"""From a saved card to frames and rows: who is told, what, and how often."""

import uuid
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import devices
from accounts.models import Circle, Device, User
from bindings import exchange
from bindings.models import Binding
from cards.models import Card
from delivery import fanout, mailbox, rows
from delivery.layers import LocalLayer
from delivery.models import CardUpdate, Chunk, OfflineMessage
from tests.conftest import (
    RecordingLayer,
    bind,
    catch_up,
    change,
    make_card,
    make_device,
    make_person,
    pending,
    prop,
)


@pytest.fixture
def quiet(held: Binding, wire: RecordingLayer) -> Binding:
    """Bob holds Alice's card, and everybody has been told."""
    fanout.run_all()
    wire.published.clear()
    held.refresh_from_db()
    return held


def test_a_change_reaches_the_holders_socket_and_devices(
    quiet: Binding, bob: User, wire: RecordingLayer
) -> None:
    phone = make_device(bob)
    catch_up(phone)
    card = change(quiet.card, tel="+43 1 999")
    fanout.run_all()
    (frame,) = wire.frames_to(bob)
    assert (frame["type"], frame["rev"]) == ("card", card.rev)
    assert frame["view"]["properties"][0]["value"] == "+43 1 999"
    assert pending(phone) == {str(card.pk): ("card", card.rev)}


def test_a_hidden_change_tells_nobody_and_moves_no_rev(
    quiet: Binding, bob: User, wire: RecordingLayer
) -> None:
    phone = make_device(bob)
    catch_up(phone)
    before = Binding.objects.complete().get(pk=quiet.pk).followed_rev
    change(quiet.card, note="another secret")
    fanout.run_all()
    late = make_device(bob)
    assert wire.frames_to(bob) == []
    assert pending(phone) == {}
    assert Binding.objects.complete().get(pk=quiet.pk).followed_rev == before
    assert [message["rev"] for message in catch_up(late)] == [before]


def test_a_change_only_the_family_sees_reaches_the_family_alone(
    quiet: Binding, bob: User, charlie: User, family: Circle, wire: RecordingLayer
) -> None:
    bind(quiet.card, charlie, str(family.pk))
    fanout.run_all()
    wire.published.clear()
    card = Card.objects.get(pk=quiet.card_id)
    card.properties[1]["value"] = "+43 664 333"
    card.save()
    fanout.run_all()
    assert wire.frames_to(bob) == []
    assert "+43 664 333" in str(wire.frames_to(charlie))


def test_narrowing_a_circle_takes_the_property_from_the_copies(
    quiet: Binding, bob: User, family: Circle, wire: RecordingLayer
) -> None:
    exchange.regrant(quiet, [str(family.pk)])
    phone = make_device(bob)
    assert "+43 664 222" in str(catch_up(phone))
    card = Card.objects.get(pk=quiet.card_id)
    card.properties[1]["circles"] = []
    card.save()
    fanout.run_all()
    (news,) = catch_up(phone)
    assert "+43 664 222" not in str(news)
    assert news["rev"] == card.rev


def test_moving_to_circles_that_show_the_same_is_not_told_to_the_holder(
    quiet: Binding, alice: User, bob: User, wire: RecordingLayer
) -> None:
    empty = Circle.objects.create(owner=alice, name="Nothing in it")
    phone = make_device(bob)
    catch_up(phone)
    exchange.regrant(quiet, [str(empty.pk)])
    fanout.run_all()
    assert wire.frames_to(bob) == []
    assert pending(phone) == {}
    assert wire.frames_to(alice)[0]["binding"]["circles"] == [str(empty.pk)]


def test_an_exchange_is_told_to_every_device_of_both(
    alice_card: Card, bob: User, bob_card: Card, alice: User, wire: RecordingLayer
) -> None:
    """Claims 2 and 6: the binding is sent down to both clients."""
    devices = [make_device(alice, "ios"), make_device(alice), make_device(bob)]
    bind(alice_card, bob)
    fanout.run_all()
    for device in devices:
        sides = sorted(message["binding"]["side"] for message in catch_up(device))
        assert sides == ["holder", "owner"]
    for person in (alice, bob):
        assert {frame["type"] for frame in wire.frames_to(person)} == {"binding"}


@pytest.mark.parametrize("end", [exchange.revoke, exchange.leave])
def test_the_end_of_a_binding_reaches_both_sides(
    quiet: Binding, alice: User, bob: User, wire: RecordingLayer, end: Any
) -> None:
    phone, tablet = make_device(bob), make_device(alice)
    catch_up(phone)
    end(quiet)
    fanout.run_all()
    rev = Card.objects.get(pk=quiet.card_id).rev
    assert pending(phone) == {str(quiet.card_id): ("removed", rev)}
    assert wire.frames_to(bob) == [{"type": "removed", "card": str(quiet.card_id), "rev": rev}]
    (told,) = [each for each in catch_up(tablet) if each["rev"] == rev]
    assert told["binding"]["state"] == "ended"


def test_nothing_follows_a_revocation(quiet: Binding, bob: User, wire: RecordingLayer) -> None:
    phone = make_device(bob)
    exchange.revoke(quiet)
    fanout.run_all()
    catch_up(phone)
    wire.published.clear()
    change(quiet.card, tel="+43 1 555")
    fanout.run_all()
    assert wire.frames_to(bob) == []
    assert pending(phone) == {}


def test_a_retired_card_is_removed_from_every_copy(
    quiet: Binding, bob: User, wire: RecordingLayer
) -> None:
    phone = make_device(bob)
    catch_up(phone)
    card = Card.objects.get(pk=quiet.card_id)
    card.retire()
    fanout.run_all()
    assert pending(phone) == {str(card.pk): ("removed", card.rev)}
    assert [frame["type"] for frame in wire.frames_to(bob)] == ["removed"]


def test_a_card_given_again_beats_its_own_removal(
    quiet: Binding, bob: User, wire: RecordingLayer
) -> None:
    phone = make_device(bob)
    catch_up(phone)
    exchange.revoke(quiet)
    bind(quiet.card, bob)
    fanout.run_all()
    news = {
        message["kind"]: message["rev"]
        for message in catch_up(phone)
        if message["card"] == str(quiet.card_id)
    }
    assert news["removed"] < news["binding"]


def test_edits_coalesce_into_the_newest(quiet: Binding, bob: User, wire: RecordingLayer) -> None:
    phone = make_device(bob)
    catch_up(phone)
    for number in range(5):
        card = change(quiet.card, tel=f"+43 1 {number}")
    fanout.run_all()
    (news,) = catch_up(phone)
    assert (news["rev"], news["view"]["properties"][0]["value"]) == (card.rev, "+43 1 4")
    assert len(wire.frames_to(bob)) == 1


def test_a_change_taken_back_before_its_fan_out_is_still_told(
    quiet: Binding, bob: User, wire: RecordingLayer
) -> None:
    """After a crash in mid fan-out some copies may have the change in between."""
    change(quiet.card, tel="+43 1 999")
    change(quiet.card, tel="+43 1 111")
    fanout.run_all()
    (frame,) = wire.frames_to(bob)
    assert frame["view"]["properties"][0]["value"] == "+43 1 111"


def holders(card: Card, count: int) -> list[Binding]:
    """Many holders with a device each, set up faster than by exchanging cards."""
    people = User.objects.bulk_create(
        User(email=f"h{n}@example.org", username=f"h{n}", name=f"H {n}") for n in range(count)
    )
    Device.objects.bulk_create(
        Device(user=user, platform="android", identifier_hash=f"h{n}", token_hash=f"h{n}")
        for n, user in enumerate(people)
    )
    view = card.view_for([])
    return Binding.objects.bulk_create(
        Binding(card=card, holder=user, view=view, rev=card.rev, held_rev=card.rev)
        for user in people
    )


def test_a_crash_in_mid_fan_out_leaves_nobody_stale(
    alice_card: Card, wire: RecordingLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some have A, some B when the worker dies; then A is restored. Looking only at the first and
    the last content would tell nobody."""
    monkeypatch.setattr(fanout, "CHUNK", 10)
    holders(alice_card, 30)
    fanout.run_all()
    change(alice_card, tel="B")
    die_over_a_chunk()  # ten holders have B
    change(alice_card, tel="+43 1 111")
    fanout.run_all()
    alice_card.refresh_from_db()
    assert set(OfflineMessage.objects.values_list("rev", flat=True)) == {alice_card.rev}


def die_over_a_chunk() -> None:
    """What a worker leaves that is killed when it has done a chunk and not said so."""
    part = fanout.take()
    assert part
    fanout.tell(part)
    Chunk.objects.all().abandon()


def test_another_worker_does_again_what_one_died_over(
    alice_card: Card, wire: RecordingLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanout, "CHUNK", 10)
    holders(alice_card, 25)
    die_over_a_chunk()
    wire.published.clear()
    fanout.run_all()
    assert OfflineMessage.objects.count() == 25
    alone = [groups for groups, _event in wire.published if len(groups) == 1]
    assert len(alone) == 50  # 25 holders, ten of them for the second time; 25 times their owner
    assert not Chunk.objects.exists()


def test_what_one_worker_has_taken_no_other_takes(
    alice_card: Card, wire: RecordingLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several workers share a card, and the pass is over when the last of them is done."""
    monkeypatch.setattr(fanout, "CHUNK", 10)
    holders(alice_card, 25)
    parts = [fanout.take() for _worker in range(4)]
    assert [len(part.rows) if part else None for part in parts] == [10, 10, 5, None]
    for part in reversed(parts):
        assert CardUpdate.objects.due().exists()
        if part:
            fanout.tell(part)
            fanout.end(part)
    assert not CardUpdate.objects.due().exists()
    assert OfflineMessage.objects.count() == 25


def test_a_worker_that_was_thought_dead_does_no_harm(quiet: Binding, wire: RecordingLayer) -> None:
    change(quiet.card, tel="+1")
    slow = fanout.take()
    assert slow
    Chunk.objects.all().abandon()
    fanout.run_all()
    change(quiet.card, tel="+2")
    fanout.tell(slow)
    fanout.end(slow)
    update = CardUpdate.objects.get(card=quiet.card)
    assert update.done_rev < update.rev
    fanout.run_all()
    update.refresh_from_db()
    assert update.done_rev == update.rev


def test_a_big_card_lets_others_have_their_turn(
    alice_card: Card,
    bob: User,
    bob_card: Card,
    wire: RecordingLayer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fanout, "CHUNK", 10)
    holders(alice_card, 50)
    fanout.run_one()
    change(bob_card, email="new@example.org")
    while not CardUpdate.objects.filter(card=bob_card, done_rev__gt=1).exists():
        assert fanout.run_one()
    assert CardUpdate.objects.due().get().card == alice_card


def queries_of_a_chunk(card: Card) -> int:
    change(card, tel=timezone.now().isoformat())
    with CaptureQueriesContext(connection) as queries:
        fanout.run_one(card.pk)
    return len(queries)


def test_a_chunk_costs_the_same_number_of_queries_whatever_its_size(
    alice_card: Card, wire: RecordingLayer
) -> None:
    holders(alice_card, 3)
    fanout.run_all()
    few = queries_of_a_chunk(alice_card)
    card = make_card(alice_card.owner, prop("tel", "1", "*"))
    more = [
        Binding(card=card, holder=each.holder, view=card.view_for([]), rev=1, held_rev=1)
        for each in Binding.objects.select_related("holder")
    ]
    Binding.objects.bulk_create(more)
    bind(card, make_person("dora", "Dora"))
    fanout.run_all()
    assert queries_of_a_chunk(card) == few


def test_saving_costs_the_same_number_of_queries_whatever_the_holders(
    alice_card: Card, wire: RecordingLayer
) -> None:
    with CaptureQueriesContext(connection) as alone:
        change(alice_card, tel="1")
    holders(alice_card, 50)
    with CaptureQueriesContext(connection) as watched:
        change(alice_card, tel="2")
    assert len(watched) <= len(alone) + 1  # the one view that all of them see


def test_a_device_that_registers_late_gets_every_held_card_once(quiet: Binding, bob: User) -> None:
    phone = make_device(bob)
    rows.fill([phone])
    rows.fill([phone])
    assert pending(phone) == {str(quiet.card_id): ("binding", quiet.rev)}


def test_a_revoked_device_gets_no_rows(quiet: Binding, bob: User) -> None:
    phone = make_device(bob)
    devices.revoke(phone)
    change(quiet.card, tel="+1")
    fanout.run_all()
    assert not OfflineMessage.objects.filter(device=phone).exists()


def test_whoever_answers_within_a_breath_needs_no_row(
    quiet: Binding, bob: User, wire: RecordingLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick, slow = make_device(bob), make_device(bob)
    catch_up(quick)
    catch_up(slow)
    card = change(quiet.card, tel="+43 1 999")
    breaths = []

    def answer(breath: float) -> None:
        breaths.append(breath)
        assert wire.frames_to(bob)
        ack = str(card.pk), card.rev
        mailbox.hear({ack: [str(quick.pk)]}, told={ack})

    monkeypatch.setattr(fanout, "WORTH_A_BREATH", 1)
    monkeypatch.setattr("delivery.fanout.time.sleep", answer)
    fanout.run_one(breath=0.25)
    assert breaths == [0.25]
    assert (pending(quick), pending(slow)) == ({}, {str(card.pk): ("card", card.rev)})
    assert OfflineMessage.objects.get(device=quick).rev < card.rev
    assert mailbox.read([quick.pk], 10)[0].said == []


def test_a_breath_is_for_many_and_not_for_each_chunk(
    quiet: Binding, charlie: User, wire: RecordingLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "delivery.fanout.time.sleep", lambda breath: pytest.fail("It took a breath")
    )
    change(quiet.card, tel="+43 1 999")
    assert fanout.run_one(breath=0.25)  # for one
    bind(quiet.card, charlie)
    fanout.run_all()
    monkeypatch.setattr(fanout, "WORTH_A_BREATH", 1)
    monkeypatch.setattr(fanout, "CHUNK", 1)
    change(quiet.card, tel="+43 1 998")
    while fanout.run_one(breath=0.25):
        pass


def test_frames_that_nobody_gets_lose_nothing(
    quiet: Binding, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I7: a hint is never the record."""
    phone = make_device(bob)
    catch_up(phone)
    monkeypatch.setattr(LocalLayer, "publish", lambda *args: None)
    card = change(quiet.card, tel="+43 1 999")
    fanout.run_all()
    (news,) = catch_up(phone)
    assert (news["rev"], news["view"]["properties"][0]["value"]) == (card.rev, "+43 1 999")


# What an ended or moved binding owes


def test_an_old_removal_does_not_take_a_card_that_was_given_again(
    quiet: Binding, bob: User
) -> None:
    """The device was away all the while, and removals win over whatever is older."""
    phone = make_device(bob)
    catch_up(phone)
    exchange.revoke(quiet)
    bind(Card.objects.get(pk=quiet.card_id), bob)
    change(quiet.card, tel="+43 1 999")
    fanout.run_all()
    mailbox.forget(phone)
    told = {message["kind"]: message["rev"] for message in catch_up(phone)}
    assert told["binding"] > told["removed"]


def test_what_was_hidden_goes_although_its_holder_moved_to_a_view_like_it(
    alice_card: Card, bob: User, bob_card: Card, family: Circle, wire: RecordingLayer
) -> None:
    """The new view is older than what the holder has, and looks like what they must get."""
    friends = Circle.objects.create(owner=alice_card.owner, name="Friends")
    bind(alice_card, make_person("dora", "Dora"), str(friends.pk))
    held = bind(alice_card, bob, str(family.pk))
    fanout.run_all()
    phone = make_device(bob)
    assert "+43 664 222" in str(catch_up(phone))
    card = Card.objects.get(pk=alice_card.pk)
    card.properties[1]["circles"] = []
    card.save()
    exchange.regrant(held, [str(friends.pk)])
    fanout.run_all()
    (news,) = catch_up(phone)
    assert "+43 664 222" not in str(news)


def test_the_same_when_the_circle_is_dropped(
    alice_card: Card, bob: User, bob_card: Card, family: Circle, wire: RecordingLayer
) -> None:
    bind(alice_card, make_person("dora", "Dora"))
    bind(alice_card, bob, str(family.pk))
    fanout.run_all()
    phone = make_device(bob)
    catch_up(phone)
    card = Card.objects.get(pk=alice_card.pk)
    card.properties[1]["circles"] = []
    card.save()
    exchange.drop_circle(family)
    fanout.run_all()
    assert "+43 664 222" not in str(catch_up(phone)[-1])


def test_acknowledgements_may_be_more_than_a_statement_takes(quiet: Binding, bob: User) -> None:
    phone = make_device(bob)
    rows.fill([phone])
    known = str(quiet.card_id), quiet.rev
    others = [(str(uuid.uuid4()), 1) for _ in range(rows.AT_ONCE * 2)]
    rows.acknowledge(dict.fromkeys([*others, known], [str(phone.pk)]), told=False)
    assert pending(phone) == {}
