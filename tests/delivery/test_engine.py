"""The embedded engine: threads that do what is due, batches, and the cleaning."""

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts import devices
from accounts.models import Device, IdempotentReply, User
from bindings import exchange
from bindings.models import Binding, Invitation, Request
from cards.models import Card
from delivery import engine, fanout, retention, rows, worker
from delivery.batch import LARGEST, Batch
from delivery.models import CardUpdate, Chunk, Epoch, OfflineMessage, PushAttempt
from delivery.worker import Worker
from tests.conftest import RecordingLayer, catch_up, change, make_device, pending


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

    batch = Batch(double)
    results = await asyncio.gather(*(batch(number) for number in range(LARGEST + 50)))
    assert results == [2 * number for number in range(LARGEST + 50)]
    assert calls == [LARGEST, 50]


async def test_all_in_a_failed_batch_hear_of_it_and_the_next_works() -> None:
    def fail_on_zero(items: list[int]) -> list[int]:
        return [1 // item for item in items]

    batch = Batch(fail_on_zero)
    failed = await asyncio.gather(batch(0), batch(1), return_exceptions=True)
    assert [type(each) for each in failed] == [ZeroDivisionError] * 2
    assert await batch(1) == 1


def test_acknowledgements_and_revs_commute(held: Binding, bob: User, wire: RecordingLayer) -> None:
    """A frame may be acknowledged before its row says that it must be."""
    phone = make_device(bob)
    fanout.run_all()
    catch_up(phone)
    card = change(held.card, tel="+43 1 999")
    rows.acknowledge([(phone.pk, (card.pk, card.rev))])
    fanout.run_all()
    assert pending(phone) == {}
    rows.acknowledge([(phone.pk, (card.pk, card.rev - 1))] * 2)
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
    rows.fill(phone)
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
