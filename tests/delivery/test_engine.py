"""The embedded engine: threads that do what is due, batches, and the cleaning."""

import asyncio
import threading
import time
import uuid
from datetime import timedelta
from itertools import count
from typing import Any

import kombu.exceptions
import pytest
from django.db import OperationalError, connection, models, transaction
from django.utils import timezone

from accounts import deadlocks, devices
from accounts.models import Device, IdempotentReply, User
from bindings import exchange
from bindings.models import Binding, Invitation, Request
from cards.models import Card, digest_of
from delivery import engine, fanout, mailbox, retention, rows, tasks, worker
from delivery.batch import Asking
from delivery.models import CardUpdate, Chunk, Epoch, OfflineMessage, PushAttempt
from delivery.worker import Worker
from tests.conftest import RecordingLayer, bind, catch_up, change, make_device, pending


def test_a_worker_goes_on_until_nothing_is_left_and_when_woken() -> None:
    left, done, again = [1, 2, 3], threading.Event(), threading.Event()

    def job() -> bool:
        if left:
            left.pop()
            return True
        (again if done.is_set() else done).set()
        return False

    threads = Worker("test", job)
    threads.start()
    assert done.wait(5) and not left
    threads.woken.set()
    assert again.wait(5)
    threads.stop()
    assert not threads.is_alive()


def test_a_failing_job_is_logged_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker, "LOOK_EVERY", 0.01)
    calls, twice = [], threading.Event()

    def job() -> bool:
        calls.append(1)
        if len(calls) == 2:
            twice.set()
        raise ZeroDivisionError

    failing = Worker("test", job)
    failing.start()
    assert twice.wait(5)
    failing.stop()
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_the_engine_fans_out_what_was_left_behind(
    held: Binding, wire: RecordingLayer, settings: Any
) -> None:
    told = threading.Event()
    publish = wire.publish

    def watched(groups: object, event: dict[str, object]) -> None:
        publish(groups, event)
        if "+43 1 999" in str(event):
            told.set()

    wire.publish = watched  # type: ignore[method-assign]
    change(held.card, tel="+43 1 999")
    assert fanout.take()  # by a process that died with it
    if connection.vendor != "sqlite":
        Chunk.objects.all().abandon()  # where others may live, its lease must run out
    settings.CELERY_BROKER_URL = ""
    workers = engine.start()
    assert told.wait(10)
    engine.stop(workers)
    assert not any(each.is_alive() for each in workers)


async def test_a_batch_shares_one_call_among_many(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def double(items: list[int]) -> list[int]:
        calls.append(len(items))
        return [2 * item for item in items]

    batch = Asking(double, largest=200)
    results = await asyncio.gather(*(batch(number) for number in range(250)))
    assert results == [2 * number for number in range(250)]
    assert calls == [200, 50]


async def test_all_in_a_failed_batch_hear_of_it_and_the_next_works() -> None:
    def fail_on_zero(items: list[int]) -> list[int]:
        return [1 // item for item in items]

    batch = Asking(fail_on_zero, largest=10)
    failed = await asyncio.gather(batch(0), batch(1), return_exceptions=True)
    assert [type(each) for each in failed] == [ZeroDivisionError] * 2
    assert await batch(1) == 1


def acknowledge(phone: Device, card: Card, rev: int) -> None:
    rows.acknowledge({(str(card.pk), rev): [str(phone.pk)] * 2}, told=False)


def test_acknowledgements_and_revs_commute(held: Binding, bob: User, wire: RecordingLayer) -> None:
    """A frame may be acknowledged before its row says that it must be."""
    phone = make_device(bob)
    fanout.run_all()
    catch_up(phone)
    card = change(held.card, tel="+43 1 999")
    acknowledge(phone, card, card.rev)
    fanout.run_all()
    assert pending(phone) == {}
    acknowledge(phone, card, card.rev - 1)
    assert OfflineMessage.objects.get(device=phone, subject=card.pk).acknowledged_rev == card.rev


def test_a_new_epoch_makes_everything_pending_again(
    held: Binding, bob: User, wire: RecordingLayer
) -> None:
    phone = make_device(bob)
    fanout.run_all()
    before = {message["card"] for message in catch_up(phone)}
    epoch = Epoch.current()
    assert Epoch.renew() != epoch
    assert {message["card"] for message in catch_up(phone)} == before


@pytest.fixture
def old(alice_card: Card, alice: User, bob: User, held: Binding) -> None:
    """One of everything that is not kept for ever, all of it two years old."""
    then = timezone.now() - timedelta(days=730)
    phone = make_device(bob)
    rows.fill([phone])
    PushAttempt.objects.create(device=phone, transport="apns", sent_at=then)
    devices.revoke(phone)
    Device.objects.filter(pk=phone.pk).update(revoked_at=then)
    IdempotentReply.objects.create(user=alice, key_hash="x", request_hash="x", created_at=then)
    exchange.invite(alice_card, lifetime=timedelta(0))
    Invitation.objects.update(expires_at=then)
    Request.objects.update(expires_at=then)


def test_what_is_not_needed_any_more_goes(old: None) -> None:
    retention.clean()
    gone = (PushAttempt, IdempotentReply, Invitation, Request, OfflineMessage)
    assert {model: model._default_manager.count() for model in gone} == dict.fromkeys(gone, 0)
    assert not Device.objects.filter(revoked_at__isnull=False).exists()


def test_what_is_needed_stays(held: Binding, bob: User, wire: RecordingLayer) -> None:
    make_device(bob)
    fanout.run_all()
    kept = (Card, Binding, Device, OfflineMessage, CardUpdate, Request)
    before = {model: model._default_manager.count() for model in kept}
    retention.clean()
    assert {model: model._default_manager.count() for model in kept} == before


def test_the_cleaning_runs_once_an_hour(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[int] = []
    monkeypatch.setattr(retention, "_next_run", 0.0)
    monkeypatch.setattr(retention, "clean", lambda: runs.append(1))
    assert not any(retention.run_one() for _turn in range(3))
    assert runs == [1]


# Sweeping


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The cards that workers were called for."""
    cards: list[Any] = []
    monkeypatch.setattr(tasks.fan_out, "delay", lambda card=None: cards.append(card))
    return cards


@pytest.fixture
def big(alice_card: Card, bob: User, charlie: User, monkeypatch: pytest.MonkeyPatch) -> Card:
    """A card with more holders than a chunk has room for."""
    bind(alice_card, bob)
    bind(alice_card, charlie)
    monkeypatch.setattr(fanout, "CHUNK", 1)
    return alice_card


def test_the_sweep_calls_for_what_was_forgotten_and_not_again_at_once(
    held: Binding, wire: RecordingLayer, called: list[Any]
) -> None:
    tasks.sweep()
    assert called == []  # it has only just been changed
    long_ago = timezone.now() - timedelta(minutes=1)
    CardUpdate.objects.filter(card=held.card).update(wanted_at=long_ago, served_at=long_ago)
    tasks.sweep()
    tasks.sweep()
    assert called == [str(held.card_id)]


def test_the_sweep_calls_for_what_died_workers_left(
    big: Card, bob_card: Card, wire: RecordingLayer, called: list[Any]
) -> None:
    assert fanout.take(big.pk)
    tasks.sweep()
    assert called == []
    Chunk.objects.all().abandon()
    tasks.sweep()
    assert called == [None]
    left = Chunk.objects.get()
    fanout.turns = count(1)  # it is the turn of what is due
    tasks.fan_out()
    assert not Chunk.objects.filter(pk=left.pk).exists()
    assert CardUpdate.objects.due().filter(card=bob_card).exists()


def test_a_task_does_its_own_card(
    held: Binding, bob_card: Card, wire: RecordingLayer, called: list[Any]
) -> None:
    change(bob_card, email="new@example.org")
    tasks.fan_out(str(bob_card.pk))
    assert set(CardUpdate.objects.due()) == {CardUpdate.objects.get(card=held.card)}
    assert called == []


def test_a_task_of_a_big_card_calls_for_the_rest(
    big: Card, wire: RecordingLayer, called: list[Any]
) -> None:
    tasks.fan_out(str(big.pk))
    assert called == [str(big.pk)]
    tasks.fan_out(str(big.pk))
    assert called == [str(big.pk)]
    assert not CardUpdate.objects.filter(card=big).due().exists()


def test_a_task_does_what_it_has_taken_while_the_broker_is_away(
    big: Card, wire: RecordingLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(card: str | None) -> None:
        raise kombu.exceptions.OperationalError("the broker is away")

    monkeypatch.setattr(tasks.fan_out, "delay", away)
    monkeypatch.setattr(engine, "_quiet_until", 0.0)
    tasks.fan_out(str(big.pk))
    assert not Chunk.objects.exists()
    assert CardUpdate.objects.filter(card=big).due().exists()  # the sweep finds the rest


def test_a_card_that_cannot_be_told_of_does_not_make_others_wait(
    held: Binding, bob_card: Card, wire: RecordingLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def publish(views: Any, *_: Any, **__: Any) -> None:
        if any(view.card_id == held.card_id for view in views.values()):
            raise ZeroDivisionError

    fanout.run_all()
    change(held.card, tel="+43 1 999")
    change(bob_card, email="new@example.org")
    monkeypatch.setattr(fanout, "publish_cards", publish)
    fanout.turns = count(1)
    with pytest.raises(ZeroDivisionError):
        fanout.run_one()
    assert fanout.run_one()
    assert [update.card_id for update in CardUpdate.objects.due()] == [held.card_id]


@pytest.mark.django_db(transaction=True)
def test_a_task_waits_for_whoever_has_the_card_for_a_moment(
    big: Card, wire: RecordingLayer, called: list[Any]
) -> None:
    """As it does that ends a chunk. Nobody else would be called for the rest."""
    holds = threading.Event()

    def hold() -> None:
        with transaction.atomic():
            CardUpdate.objects.select_for_update().get(card=big)
            holds.set()
            time.sleep(0.3)
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert holds.wait(10)
    tasks.fan_out(str(big.pk))
    thread.join()
    assert called == [str(big.pk)]


# Deadlocks


def failing(times: int, state: str) -> Any:
    """A write that fails so many times, as PostgreSQL's driver says it."""
    left = iter(range(times))

    @deadlocks.again_if_deadlocked
    def write() -> str:
        for _time in left:
            cause = Exception()
            cause.sqlstate = state  # type: ignore[attr-defined]
            raise OperationalError from cause
        return "written"

    return write


def test_a_deadlock_is_tried_again_but_not_for_ever() -> None:
    assert failing(deadlocks.TRIES - 1, deadlocks.DEADLOCK)() == "written"
    with pytest.raises(OperationalError):
        failing(deadlocks.TRIES, deadlocks.DEADLOCK)()


def test_a_deadlock_is_not_tried_again_within_a_transaction_that_is_lost(db: None) -> None:
    with pytest.raises(OperationalError), transaction.atomic():
        failing(1, deadlocks.DEADLOCK)()


def test_other_failures_are_not_tried_again() -> None:
    write = failing(1, "57014")
    with pytest.raises(OperationalError):
        write()
    assert write() == "written"


# Ready texts


def test_ready_texts_are_shared_and_follow_the_content(
    held: Binding, bob: User, wire: RecordingLayer
) -> None:
    phones = [make_device(bob) for _number in range(2)]
    fanout.run_all()
    for phone in phones:
        catch_up(phone)
    change(held.card, tel="+43 1 999")
    fanout.run_all()
    first, second = mailbox.read([phone.pk for phone in phones], 10)
    assert first.said[0].text is second.said[0].text
    assert "+43 1 999" in first.said[0].text
    change(held.card, tel="+43 1 888")
    fanout.run_all()
    [again] = mailbox.read([phones[0].pk], 10)
    assert "+43 1 888" in again.said[0].text


def test_a_rev_that_comes_again_with_other_content_is_not_taken_for_the_old(
    held: Binding, bob: User, wire: RecordingLayer
) -> None:
    """As after a restore from a backup, under a server that was not restarted."""
    phone = make_device(bob)
    fanout.run_all()
    catch_up(phone)
    change(held.card, tel="+43 1 999")
    fanout.run_all()
    mailbox.read([phone.pk], 10)
    card = Card.objects.get(pk=held.card_id)
    card.properties = [{**each, "value": "+43 1 111"} for each in card.properties]
    models.QuerySet.update(Card.objects.filter(pk=card.pk), properties=card.properties)
    view = held.view
    view.digest = digest_of(card.visible_to(view.circles))
    view.save(update_fields=["digest"])
    [page] = mailbox.read([phone.pk], 10)
    assert "+43 1 111" in page.said[0].text


def test_ready_texts_do_not_pile_up() -> None:
    kept = mailbox.Kept(100)
    for rev in range(1, 6):
        kept.put((uuid.UUID(int=1), "look", rev), mailbox.Said({"rev": rev}, "x" * 40))
    assert [rev for _card, _look, rev in kept.said] == [4, 5]
    assert kept.length == 80
