"""Prompting iOS devices through a server that speaks Apple's protocol."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Device, User
from bindings.models import Binding
from delivery import fanout, prompts
from delivery.models import Mailbox, PushAttempt
from tests.apple import TOPIC, Apple, Fault, Reply, signing_key
from tests.conftest import RecordingLayer, catch_up, change, make_device

TOKEN = "ab" * 32
PRIVATE, PUBLIC = signing_key()


@pytest.fixture
def apple(settings: Any) -> Iterator[Apple]:
    """Apple, and settings that point there."""
    with Apple(public_key=PUBLIC) as apple:
        settings.APNS_HOST, settings.APNS_PORT = apple.host, apple.port
        settings.APNS_CA_FILE = apple.ca_file
        settings.PUSH_NOTIFICATIONS_SETTINGS = {
            **settings.PUSH_NOTIFICATIONS_SETTINGS,
            "APNS_AUTH_KEY_PATH": PRIVATE,
            "APNS_AUTH_KEY_ID": apple.key_id,
            "APNS_TEAM_ID": apple.team_id,
            "APNS_TOPIC": TOPIC,
        }
        settings.PROMPT_GRACE = timedelta(0)
        prompts.transport.cache_clear()
        yield apple
        transport = prompts.transport()
        assert transport
        transport.close()
        prompts.transport.cache_clear()


@pytest.fixture
def iphone(held: Binding, bob: User, wire: RecordingLayer, apple: Apple) -> Device:
    """Bob's iPhone, which has all there is."""
    fanout.run_all()
    iphone = make_device(bob, "ios", push_token=TOKEN)
    catch_up(iphone)
    return iphone


@pytest.fixture
def news(iphone: Device, held: Binding) -> Device:
    """The iPhone, with something that it does not have yet."""
    change(held.card, tel="+43 1 999")
    fanout.run_all()
    return iphone


def run() -> list[PushAttempt]:
    while prompts.run_one():
        pass
    return list(PushAttempt.objects.order_by("pk"))


def due(device: Device) -> datetime | None:
    return Mailbox.objects.get(pk=device.pk).prompt_due_at


def test_a_device_with_news_is_prompted_without_personal_content(
    news: Device, apple: Apple, held: Binding
) -> None:
    (attempt,) = run()
    pushed = apple.wait_for(TOKEN)
    assert (attempt.verdict, attempt.status) == ("delivered", 200)
    assert pushed.payload["aps"]["alert"]["body"].startswith("Cards that you hold")
    assert not [word for word in ("Alice", "999") if word in str(pushed.payload)]
    assert due(news) is None


def test_the_prompt_speaks_the_persons_language(news: Device, apple: Apple, bob: User) -> None:
    bob.language = "zh-hans"
    bob.save()
    run()
    assert "名片" in apple.wait_for(TOKEN).payload["aps"]["alert"]["body"]


def test_a_device_that_acknowledged_in_time_is_left_alone(news: Device) -> None:
    catch_up(news)
    assert run() == []
    assert due(news) is None


def test_it_waits_for_the_grace_time(iphone: Device, held: Binding, settings: Any) -> None:
    settings.PROMPT_GRACE = timedelta(minutes=1)
    change(held.card, tel="+43 1 999")
    fanout.run_all()
    assert run() == []
    assert due(iphone)


def test_a_prompt_that_is_not_heeded_is_not_repeated_at_once(news: Device, held: Binding) -> None:
    run()
    change(held.card, tel="+43 1 998")
    fanout.run_all()
    assert len(run()) == 1
    Mailbox.objects.update(
        prompt_due_at=timezone.now(), prompted_at=timezone.now() - timedelta(hours=1)
    )
    assert len(run()) == 2


def test_a_heeded_prompt_may_be_followed_by_the_next(news: Device, held: Binding) -> None:
    run()
    catch_up(news)
    change(held.card, tel="+43 1 998")
    fanout.run_all()
    assert len(run()) == 2


def test_a_prompt_may_be_heeded_before_apple_has_answered(
    news: Device, held: Binding, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = prompts.transport()
    assert transport
    send = transport.send

    def heeded_at_once(*to: Any) -> Any:
        outcome = send(*to)
        catch_up(news)
        return outcome

    monkeypatch.setattr(transport, "send", heeded_at_once)
    run()
    change(held.card, tel="+43 1 998")
    fanout.run_all()
    assert len(run()) == 2


@pytest.mark.parametrize(
    "answer",
    [Reply(500), Reply(503, "ServiceUnavailable"), Reply(429, "TooManyRequests"), Fault.RESET],
    ids=str,
)
def test_trouble_at_apple_is_tried_again_later(news: Device, apple: Apple, answer: Any) -> None:
    apple.script(TOKEN, answer)
    (attempt,) = run()
    assert attempt.verdict == "retry"
    later = due(news)
    assert later and later > timezone.now() + timedelta(seconds=4)
    Mailbox.objects.update(prompt_due_at=timezone.now())
    assert [each.verdict for each in run()] == ["retry", "delivered"]


def test_retry_after_is_obeyed(news: Device, apple: Apple) -> None:
    apple.script(TOKEN, Reply(429, "TooManyRequests", retry_after="1800"))
    run()
    later = due(news)
    assert later and later > timezone.now() + timedelta(seconds=1790)


def test_it_gives_up_after_a_day(news: Device, apple: Apple) -> None:
    apple.script(TOKEN, Reply(500))
    Mailbox.objects.update(failing_since=timezone.now() - timedelta(days=2), failures=20)
    run()
    assert due(news) is None


def unregistered(since: datetime) -> Reply:
    return Reply(410, "Unregistered", timestamp=int(since.timestamp() * 1000))


def test_a_dead_token_is_switched_off(news: Device, apple: Apple) -> None:
    apple.script(TOKEN, unregistered(datetime.now(UTC) + timedelta(minutes=1)))
    run()
    news.refresh_from_db()
    assert news.apns and not news.apns.active
    assert due(news) is None


def test_a_token_registered_again_since_it_died_lives(news: Device, apple: Apple) -> None:
    apple.script(TOKEN, unregistered(datetime.now(UTC) - timedelta(days=1)))
    run()
    news.refresh_from_db()
    assert news.apns and news.apns.active
    assert due(news)


def test_a_wrong_key_is_said_and_loses_no_prompt(
    news: Device, apple: Apple, caplog: pytest.LogCaptureFixture
) -> None:
    apple.script(TOKEN, Reply(403, "InvalidProviderToken"))
    (attempt,) = run()
    assert (attempt.verdict, attempt.reason) == ("refused", "InvalidProviderToken")
    assert "refuses our prompts" in caplog.text and TOKEN not in caplog.text
    assert due(news)


def test_a_worker_that_dies_over_an_attempt_leaves_it_to_the_next(news: Device) -> None:
    assert prompts.claim()
    assert prompts.claim() is None
    Mailbox.objects.update(prompt_due_at=timezone.now())
    assert [each.verdict for each in run()] == ["delivered"]


def test_news_that_come_while_apple_is_asked_are_prompted_as_well(
    news: Device, apple: Apple, held: Binding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device has acknowledged what it was to be prompted for, and then there is more."""
    catch_up(news)
    step = prompts.next_step

    def slowly(*args: Any) -> datetime | None:
        outcome = step(*args)
        change(held.card, tel="+43 1 777")
        fanout.run_all()
        return outcome

    monkeypatch.setattr(prompts, "next_step", slowly)
    assert prompts.run_one()
    assert due(news)


def test_a_signed_out_device_is_not_prompted(news: Device) -> None:
    Device.objects.filter(pk=news.pk).revoke()
    assert run() == []


def test_nothing_is_done_where_apple_is_not_configured(
    held: Binding, bob: User, wire: RecordingLayer
) -> None:
    make_device(bob, "ios", push_token=TOKEN)
    fanout.run_all()
    assert not prompts.run_one()
    assert not Mailbox.objects.filter(prompt_due_at__isnull=False).exists()
