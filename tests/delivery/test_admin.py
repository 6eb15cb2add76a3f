"""Staff's view of delivery, and sending a message again."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from accounts import devices
from accounts.models import User
from bindings.models import Binding
from cards.models import Card
from delivery import fanout, rows
from delivery.models import CardUpdate, Mailbox, OfflineMessage, PushAttempt
from delivery.resend import send_again
from tests.conftest import RecordingLayer, catch_up, change, make_device, pending
from tests.staff import (
    act,
    browser_of,
    delete_page_of,
    last_log,
    list_page,
    make_staff,
    page_of,
    populate,
    said,
)


@pytest.fixture
def staff(db: None) -> Client:
    return browser_of(make_staff())


@pytest.fixture
def apns_is_configured(settings: Any) -> None:
    settings.PUSH_NOTIFICATIONS_SETTINGS = {
        **settings.PUSH_NOTIFICATIONS_SETTINGS,
        "APNS_AUTH_KEY_PATH": "/nowhere/key.p8",
    }


def shown(staff: Client, model: type, **query: str) -> list[Any]:
    return list(staff.get(list_page(model), query).context["cl"].result_list)


def again(staff: Client, *messages: OfflineMessage) -> Any:
    return act(staff, "again", messages, query="?state=all")


def test_pending_messages_come_first_and_the_oldest_before_the_others(
    staff: Client, held: Binding, bob: User
) -> None:
    quick, slow, late = (make_device(bob) for _number in range(3))
    for phone in (quick, slow, late):
        rows.fill([phone])
    catch_up(quick)
    assert [message.device for message in shown(staff, OfflineMessage)] == [slow, late]
    assert [message.device for message in shown(staff, OfflineMessage, state="done")] == [quick]
    assert len(shown(staff, OfflineMessage, state="all")) == 3


@pytest.mark.parametrize(("platform", "count"), [("ios", 1), ("android", 2), ("desktop", 0)])
def test_messages_are_told_apart_by_platform(
    staff: Client, held: Binding, bob: User, platform: str, count: int
) -> None:
    for each in ("ios", "android", "android"):
        rows.fill([make_device(bob, each)])
    assert len(shown(staff, OfflineMessage, device__platform__exact=platform)) == count


def test_the_list_says_what_kind_of_news_waits_and_for_how_long(
    staff: Client, held: Binding, bob: User
) -> None:
    phone = make_device(bob)
    rows.fill([phone])
    OfflineMessage.objects.update(created_at=timezone.now() - timedelta(days=3))
    text = staff.get(list_page(OfflineMessage)).content.decode()
    assert 'field-kind">binding<' in text
    assert 'field-age">3\xa0days<' in text
    catch_up(phone)
    change(held.card, tel="+43 1 777")
    fanout.run_all()
    text = staff.get(list_page(OfflineMessage)).content.decode()
    assert 'field-kind">card<' in text
    assert 'field-age">0\xa0minutes<' in text


def test_a_message_is_found_by_its_device_its_card_and_its_binding(
    staff: Client, held: Binding, bob: User
) -> None:
    phone = make_device(bob)
    rows.fill([phone])
    for term in (phone.pk, held.card_id, held.pk, "bob@", OfflineMessage.objects.get().pk):
        assert len(shown(staff, OfflineMessage, q=str(term))) == 1, term


@pytest.mark.parametrize("model", [OfflineMessage, CardUpdate, Mailbox, PushAttempt])
def test_rows_are_only_looked_at(staff: Client, alice: User, model: Any) -> None:
    populate(alice, 0, 1)
    before = list(model.objects.values())
    row = model.objects.first()
    assert staff.post(page_of(row), {"rev": "99"}).status_code == 403
    assert staff.get(list_page(model) + "add/").status_code == 403
    assert staff.post(delete_page_of(row), {"post": "yes"}).status_code == 403
    assert list(model.objects.values()) == before


def test_sending_again_makes_an_acknowledged_message_pending(
    staff: Client, held: Binding, bob: User
) -> None:
    phone = make_device(bob)
    (got,) = catch_up(phone)
    message = OfflineMessage.objects.get(device=phone)
    assert said(again(staff, message)) == ["1 message is pending again."]
    assert pending(phone) == {got["card"]: ("binding", got["rev"])}
    assert last_log().object_id == str(message.pk)


def test_sending_again_says_the_newest_to_open_sockets(
    staff: Client, held: Binding, bob: User, wire: RecordingLayer
) -> None:
    phone = make_device(bob)
    catch_up(phone)
    change(held.card, tel="+43 1 888")
    fanout.run_all()
    wire.published.clear()
    again(staff, OfflineMessage.objects.get(device=phone, subject=held.card_id))
    (frame,) = wire.frames_to(bob)
    assert frame["view"]["properties"][0]["value"] == "+43 1 888"
    assert frame["rev"] == Card.objects.get(pk=held.card_id).rev
    assert len(wire.published) == 1


def test_sending_again_leaves_other_messages_alone(staff: Client, held: Binding, bob: User) -> None:
    phone, other = make_device(bob), make_device(bob)
    catch_up(phone)
    catch_up(other)
    again(staff, OfflineMessage.objects.get(device=phone))
    assert pending(phone)
    assert not pending(other)


def test_nothing_is_sent_again_to_a_revoked_device(
    staff: Client, held: Binding, bob: User, wire: RecordingLayer
) -> None:
    phone = make_device(bob)
    catch_up(phone)
    devices.revoke(phone)
    answer = again(staff, OfflineMessage.objects.get(device=phone))
    assert said(answer) == ["0 messages are pending again."]
    assert not wire.published
    assert not OfflineMessage.objects.pending().exists()


def test_sending_again_makes_a_prompt_due(
    held: Binding, bob: User, apns_is_configured: None
) -> None:
    phone = make_device(bob, "ios", push_token="ab" * 32)
    catch_up(phone)
    assert Mailbox.objects.get(device=phone).prompt_due_at is None
    assert send_again([OfflineMessage.objects.get(device=phone)]) == 1
    assert Mailbox.objects.filter(device=phone, prompt_due_at__lte=timezone.now()).exists()


def test_a_prompt_that_has_to_wait_keeps_waiting(
    held: Binding, bob: User, apns_is_configured: None
) -> None:
    phone = make_device(bob, "ios", push_token="ab" * 32)
    catch_up(phone)
    later = timezone.now() + timedelta(hours=1)
    Mailbox.objects.filter(device=phone).update(prompt_due_at=later)
    send_again(OfflineMessage.objects.filter(device=phone))
    assert Mailbox.objects.get(device=phone).prompt_due_at == later


def test_without_a_push_service_no_prompt_is_due(held: Binding, bob: User) -> None:
    phone = make_device(bob, "ios", push_token="ab" * 32)
    catch_up(phone)
    send_again(OfflineMessage.objects.filter(device=phone))
    assert Mailbox.objects.get(device=phone).prompt_due_at is None


def test_who_may_only_look_may_not_send_again(held: Binding, bob: User) -> None:
    looker = make_staff("looker", superuser=False)
    looker.user_permissions.add(Permission.objects.get(codename="view_offlinemessage"))
    phone = make_device(bob)
    catch_up(phone)
    browser = browser_of(looker)
    assert browser.get(list_page(OfflineMessage)).status_code == 200
    again(browser, OfflineMessage.objects.get(device=phone))
    assert not pending(phone)


def test_updates_that_are_due_come_first(staff: Client, alice_card: Card, bob_card: Card) -> None:
    fanout.run_all()
    assert shown(staff, CardUpdate) == []
    change(bob_card, email="bob@new.example")
    change(alice_card, tel="+43 1 999")
    CardUpdate.objects.filter(card=alice_card).update(served_at=timezone.now() - timedelta(1))
    CardUpdate.objects.filter(card=bob_card).update(served_at=timezone.now())
    assert [update.card for update in shown(staff, CardUpdate)] == [alice_card, bob_card]
    assert shown(staff, CardUpdate, state="done") == []


@pytest.mark.parametrize(
    ("query", "count"),
    [({"verdict": "dead"}, 1), ({"status": "410"}, 1), ({"status": "200"}, 2), ({}, 3)],
)
def test_push_attempts_are_told_apart_by_their_outcome(
    staff: Client, bob: User, query: dict[str, str], count: int
) -> None:
    phone = make_device(bob, "ios")
    for verdict, status in (("delivered", 200), ("delivered", 200), ("dead", 410)):
        PushAttempt.objects.create(
            device=phone, transport="apns", verdict=verdict, status=status, reason="Because"
        )
    assert len(shown(staff, PushAttempt, **query)) == count
