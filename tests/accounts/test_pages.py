"""Pages of a person's own account: signing up and in, settings, devices."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse

from accounts.models import Device, User
from tests.conftest import PASSWORD, make_device

Web = Callable[[User], Client]

PAGES = ["settings", "devices", "account_email", "account_change_password"]
ENTRANCES = ["account_login", "account_signup", "account_reset_password"]


@pytest.mark.parametrize("name", PAGES)
def test_each_page_works_and_asks_a_visitor_to_sign_in(
    name: str, web: Web, alice: User, client: Client
) -> None:
    assert web(alice).get(reverse(name)).status_code == 200
    answer = client.get(reverse(name))
    assert answer.status_code == 302
    assert answer["Location"].startswith(reverse("account_login"))


@pytest.mark.parametrize("name", ENTRANCES)
def test_the_entrances_look_like_the_rest(name: str, client: Client, db: None) -> None:
    page = client.get(reverse(name)).content.decode()
    assert '<main id="main"' in page
    assert "cardsite" in page.lower()


def test_somebody_signs_up_and_lands_on_the_first_page(client: Client, db: None) -> None:
    form = {"name": "Dora New", "email": "dora@example.org", "password1": PASSWORD}
    answer = client.post(reverse("account_signup"), form, follow=True)
    assert answer.redirect_chain[-1][0] == reverse("home")
    assert User.objects.get(email="dora@example.org").name == "Dora New"


@pytest.mark.parametrize(
    ("said", "zone"), [("Asia/Shanghai", "Asia/Shanghai"), ("Mars/Base", "UTC"), ("", "UTC")]
)
def test_the_time_zone_is_that_of_the_browser(
    said: str, zone: str, client: Client, db: None
) -> None:
    form = {"name": "Dora", "email": "dora@example.org", "password1": PASSWORD, "time_zone": said}
    client.post(reverse("account_signup"), form)
    assert User.objects.get(email="dora@example.org").time_zone == zone


@pytest.mark.parametrize("sends", [True, False])
def test_a_mail_is_only_spoken_of_where_there_is_one(
    sends: bool, client: Client, db: None, settings: Any
) -> None:
    settings.SENDS_MAIL = sends
    form = {"name": "Dora", "email": "dora@example.org", "password1": PASSWORD}
    page = client.post(reverse("account_signup"), form, follow=True).content.decode()
    assert ("Confirmation email sent" in page) == sends


def test_signing_in_goes_back_to_the_page_that_asked_for_it(client: Client, alice: User) -> None:
    form = {"login": alice.email, "password": PASSWORD, "next": reverse("circles")}
    answer = client.post(reverse("account_login"), form)
    assert answer["Location"] == reverse("circles")


def test_a_wrong_password_is_said_on_the_page(client: Client, alice: User) -> None:
    answer = client.post(reverse("account_login"), {"login": alice.email, "password": "no"})
    assert answer.status_code == 200
    assert "errorlist" in answer.content.decode()


def test_resetting_the_password_sends_a_mail(client: Client, alice: User) -> None:
    client.post(reverse("account_reset_password"), {"email": alice.email})
    assert alice.email in mail.outbox[0].to


def test_settings_are_saved(web: Web, alice: User) -> None:
    form = {
        "name": "Alice B",
        "username": "alice.b",
        "language": "zh-hans",
        "time_zone": "Asia/Tokyo",
    }
    assert web(alice).post(reverse("settings"), form).status_code == 302
    alice.refresh_from_db()
    assert (alice.name, alice.username, alice.language) == ("Alice B", "alice.b", "zh-hans")


@pytest.mark.parametrize(
    "wrong",
    [
        {"username": "Not Lower"},
        {"username": "bob"},
        {"time_zone": "Mars/Base"},
        {"language": "xx"},
    ],
)
def test_garbage_in_the_settings_is_a_form_error_and_changes_nothing(
    wrong: dict[str, str], web: Web, alice: User, bob: User
) -> None:
    form = {"name": "New", "username": "new", "language": "en", "time_zone": "UTC", **wrong}
    answer = web(alice).post(reverse("settings"), form)
    assert "errorlist" in answer.content.decode()
    alice.refresh_from_db()
    assert (alice.name, alice.username) == ("Alice Example", "alice")


def test_a_device_is_listed_and_signed_out(web: Web, alice: User) -> None:
    device, browser = make_device(alice, name="Alice's telephone"), web(alice)
    assert "Alice&#x27;s telephone" in browser.get(reverse("devices")).content.decode()
    browser.post(reverse("device-sign-out", args=[device.pk]))
    assert not Device.objects.active().exists()


def test_of_an_xmpp_client_it_is_said_that_it_comes_back(web: Web, alice: User) -> None:
    phone, xmpp = make_device(alice), make_device(alice, "xmpp")
    browser = web(alice)
    for device, comes_back in ((phone, False), (xmpp, True)):
        page = browser.post(reverse("device-sign-out", args=[device.pk]), follow=True)
        assert ("app password signs in again" in page.content.decode()) is comes_back


def test_nobody_signs_out_the_device_of_another(web: Web, alice: User, charlie: User) -> None:
    device = make_device(alice)
    page = web(charlie)
    assert page.post(reverse("device-sign-out", args=[device.pk])).status_code == 404
    assert device.name not in page.get(reverse("devices")).content.decode()
    assert Device.objects.active().exists()


def test_a_link_alone_signs_no_device_out(web: Web, alice: User) -> None:
    device = make_device(alice)
    assert web(alice).get(reverse("device-sign-out", args=[device.pk])).status_code == 405
