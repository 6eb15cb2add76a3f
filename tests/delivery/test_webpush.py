"""Notifying browsers: who may subscribe to what, when they are told, and when no more."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import IntegrityError
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from push_notifications.models import WebPushDevice

from accounts import webpush
from accounts.models import Device, User
from accounts.webpush import Subscription
from bindings import exchange
from bindings.models import Binding
from delivery import fanout, prompts
from delivery.models import Mailbox, PushAttempt
from tests.conftest import PASSWORD, RecordingLayer, bind, change, make_card, make_device
from tests.push_service import PushService

Web = Callable[[User], Client]
COPY = "/offline/copy"


@pytest.fixture
def service(settings: Any) -> Iterator[PushService]:
    """A push service, and settings that know it."""
    settings.VAPID_PRIVATE_KEY = webpush.new_private_key()
    settings.PROMPT_GRACE = timedelta(0)
    with PushService(webpush.public_key()) as service:
        settings.WEB_PUSH_CA_FILE, settings.WEB_PUSH_HOSTS = service.ca_file, [service.host]
        prompts.web_push.cache_clear()
        yield service
        if web := prompts.web_push():
            web.close()
        prompts.web_push.cache_clear()


def subscribe(client: Client, subscription: Subscription) -> Any:
    return client.post("/account/devices/notify/", subscription._asdict())


def look(client: Client) -> None:
    """The browser's worker reads the copy, and says that it has it."""
    known = client.get(COPY)["ETag"]
    assert client.get(COPY, headers={"If-None-Match": known}).status_code == 304


@pytest.fixture
def notified(
    held: Binding, web: Web, bob: User, wire: RecordingLayer, service: PushService
) -> Client:
    """Bob's, which has all there is and is to be notified."""
    fanout.run_all()
    client = web(bob)
    assert subscribe(client, service.subscription()).status_code == 302
    look(client)
    return client


@pytest.fixture
def news(notified: Client, held: Binding) -> Client:
    change(held.card, tel="+43 1 999")
    fanout.run_all()
    return notified


def run() -> list[PushAttempt]:
    while prompts.run_one():
        pass
    return list(PushAttempt.objects.order_by("pk"))


def due() -> Any:
    return Mailbox.objects.get().prompt_due_at


def test_a_browser_with_news_is_told_without_personal_content(
    news: Client, service: PushService, bob: User
) -> None:
    bob.language = "zh-hans"
    bob.save()
    (attempt,) = run()
    assert (attempt.transport, attempt.verdict, attempt.status) == ("webpush", "delivered", 201)
    ((said, headers),) = service.taken
    assert said == {"title": "Cardsite", "body": prompts.worded("zh-hans", "browser").body}
    assert headers["topic"] == "cards" and due() is None


def test_one_that_has_looked_is_left_alone(news: Client) -> None:
    look(news)
    assert run() == [] and due() is None


def test_a_copy_that_was_only_asked_for_may_not_have_arrived(news: Client) -> None:
    news.get(COPY)
    assert [each.verdict for each in run()] == ["delivered"]


def test_one_that_does_not_look_is_told_once(
    news: Client, held: Binding, service: PushService
) -> None:
    run()
    change(held.card, tel="+43 1 998")
    fanout.run_all()
    assert len(run()) == len(service.taken) == 1


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ((404, {}), "dead"),
        ((410, {}), "dead"),
        ((413, {}), "refused"),
        ((403, {}), "refused"),
        ((429, {"retry-after": "1800"}), "retry"),
        ((503, {}), "retry"),
        ((307, {"location": "https://127.0.0.1/"}), "refused"),
    ],
)
def test_the_answer_decides(
    news: Client, service: PushService, answer: tuple[int, dict[str, str]], verdict: str
) -> None:
    service.script.append(answer)
    (attempt,) = run()
    assert (attempt.verdict, service.asked) == (verdict, 1)
    assert Device.objects.active().filter(platform="browser").exists() == (verdict != "dead")
    assert WebPushDevice.objects.exists() == (verdict != "dead")
    if answer[0] == 429:
        assert due() > timezone.now() + timedelta(seconds=1790)


def test_a_service_that_is_away_is_tried_again(news: Client, service: PushService) -> None:
    service._server.server_close()
    assert [each.verdict for each in run()] == ["retry"]
    assert due() > timezone.now()


# Where it leads


def where(client: Client) -> str:
    return str(client.get(reverse("notified"))["Location"])


def test_it_leads_to_the_card_that_it_is_about(news: Client, held: Binding) -> None:
    assert where(news) == reverse("held-card", args=[held.pk])


def test_it_leads_to_all_that_is_new_where_there_is_more_than_one_card(
    news: Client, bob: User, charlie: User
) -> None:
    bind(make_card(charlie), bob)
    fanout.run_all()
    assert where(news) == reverse("home")


def test_it_leads_to_all_that_is_new_where_nothing_waits(news: Client) -> None:
    look(news)
    assert where(news) == reverse("home")


def test_it_leads_to_no_card_that_was_taken_back(news: Client, held: Binding) -> None:
    exchange.revoke(held)
    fanout.run_all()
    assert where(news) == reverse("home")


def test_nobody_else_is_led_to_the_card(
    news: Client, web: Web, charlie: User, client: Client
) -> None:
    assert where(web(charlie)) == reverse("home")
    assert where(client).startswith(reverse("account_login"))


# When no more


def sign_out(client: Client) -> None:
    client.post("/account/logout/")


def stop(client: Client) -> None:
    client.post("/account/devices/notify/stop/")


def another_password(client: Client) -> None:
    bob = User.objects.get(username="bob")
    bob.set_password("another-horse-battery")
    bob.save()


def run_out(client: Client) -> None:
    Session.objects.update(expire_date=timezone.now())


def sign_out_there(client: Client) -> None:
    """From the list of devices in another browser."""
    other, device = Client(), Device.objects.active().get(platform="browser")
    other.post("/account/login/", {"login": "bob@example.org", "password": PASSWORD})
    other.post(f"/account/devices/{device.pk}/sign-out/")
    assert client.get(COPY).status_code == 302


@pytest.mark.parametrize("end", [sign_out, stop, another_password, run_out, sign_out_there])
def test_whoever_is_signed_out_or_does_not_want_it_is_not_told(
    end: Callable[[Client], None], news: Client, service: PushService
) -> None:
    end(news)
    assert run() == [] and service.asked == 0
    assert not WebPushDevice.objects.exists()
    assert not Device.objects.active().filter(platform="browser").exists()


def test_a_password_that_one_changes_oneself_ends_nothing(
    notified: Client, held: Binding, bob: User
) -> None:
    new = "another-horse-battery"
    form = {"oldpassword": PASSWORD, "password1": new, "password2": new}
    notified.post("/account/password/change/", form)
    look(notified)
    change(held.card, tel="+43 1 999")
    fanout.run_all()
    assert [each.verdict for each in run()] == ["delivered"]


# Who may subscribe to what


def test_the_next_person_at_a_browser_takes_it_over(
    notified: Client, service: PushService, web: Web, alice: User
) -> None:
    subscribe(web(alice), service.subscription())
    assert WebPushDevice.objects.get().user == alice
    assert Device.objects.active().get(platform="browser").user == alice


def test_the_database_keeps_one_owner_of_an_endpoint(
    notified: Client, service: PushService, alice: User
) -> None:
    endpoint = service.subscription().endpoint
    with pytest.raises(IntegrityError):
        WebPushDevice.objects.create(registration_id=endpoint, user=alice)


def test_the_database_gives_no_session_to_an_app(alice: User) -> None:
    phone = make_device(alice)
    with pytest.raises(IntegrityError):
        Device.objects.filter(pk=phone.pk).update(session_key="x")


GARBAGE = {
    "nothing": {"endpoint": ""},
    "plain": {"endpoint": "http://{host}/push"},
    "inside": {"endpoint": "https://127.0.0.1/push"},
    "metadata": {"endpoint": "https://169.254.169.254/latest"},
    "person": {"endpoint": "https://{host}@evil.example/push"},
    "lookalike": {"endpoint": "https://{host}.evil.example/push"},
    "line break": {"endpoint": "https://{host}\n.evil.example/push"},
    "backslash": {"endpoint": "https://evil.example\\@{host}/push"},
    "long": {"endpoint": "https://{host}/" + "x" * 1000},
    "no point": {"p256dh": "BAAA"},
    "no base64": {"p256dh": "!" * 87},
    "short secret": {"auth": "AAAA"},
    "nul": {"auth": "\0"},
}


@pytest.mark.parametrize("wrong", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_refused_and_said(
    wrong: dict[str, str], service: PushService, web: Web, bob: User
) -> None:
    given = {name: text.replace("{host}", service.host) for name, text in wrong.items()}
    answer = web(bob).post(
        "/account/devices/notify/", {**service.subscription()._asdict(), **given}
    )
    assert answer.status_code == 400
    assert "did not say where it can be notified" in answer.content.decode()
    assert not Device.objects.exists() and not WebPushDevice.objects.exists()


@pytest.mark.parametrize(
    ("endpoint", "known"),
    [
        ("https://fcm.googleapis.com/x", True),
        ("https://fcm.googleapis.com:8443/x", False),
        ("https://fcm.googleapis.com.evil.example/x", False),
        ("https://evil.example/fcm.googleapis.com/", False),
        ("https://web.push.apple.com/x", True),
        ("https://push.apple.com/x", False),
        ("https://evilpush.apple.com/x", False),
        ("https://web.push.apple.com.evil.example/x", False),
    ],
)
def test_a_host_is_met_as_a_whole_or_with_a_star_by_its_end(
    endpoint: str, known: bool, settings: Any
) -> None:
    settings.WEB_PUSH_HOSTS = ["fcm.googleapis.com", "*.push.apple.com"]
    assert webpush.is_known(endpoint) == known


@pytest.mark.parametrize("door", ["notify/", "notify/stop/"])
def test_a_visitor_signs_in_first_and_a_link_does_nothing(
    door: str, client: Client, web: Web, bob: User
) -> None:
    assert client.post(f"/account/devices/{door}")["Location"].startswith("/account/login/")
    assert web(bob).get(f"/account/devices/{door}").status_code == 405


def test_without_a_key_the_page_says_so(
    web: Web, bob: User, service: PushService, settings: Any
) -> None:
    settings.VAPID_PRIVATE_KEY = ""
    assert "not set up on this server" in web(bob).get("/account/devices/").content.decode()
    assert subscribe(web(bob), service.subscription()).status_code == 400
    assert not Device.objects.exists()


def test_an_app_cannot_call_itself_a_browser(client: Client, bob: User) -> None:
    said = {"platform": "browser", "identifier": "https://fcm.googleapis.com/x"}
    answer = client.post(
        "/api/v1/session",
        {"email": bob.email, "password": PASSWORD, "device": said},
        content_type="application/json",
    )
    assert answer.status_code == 400
    assert not Device.objects.exists()


def test_a_key_is_made_for_the_environment(
    capsys: pytest.CaptureFixture[str], settings: Any
) -> None:
    call_command("vapid")
    found = re.fullmatch(r"VAPID_PRIVATE_KEY=(\S+)\n", capsys.readouterr().out)
    assert found
    settings.VAPID_PRIVATE_KEY = found[1]
    assert len(webpush.decoded(webpush.public_key())) == 65
