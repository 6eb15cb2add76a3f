"""The browsers that somebody is signed in with: listed, and signed out."""

from collections.abc import Callable

import pytest
from allauth.usersessions.models import UserSession
from django.test import Client
from django.urls import reverse

from accounts import browsers
from accounts.models import Device, User
from tests.conftest import PASSWORD

Web = Callable[[User], Client]

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PHONE = (
    "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 "
    "Mobile Safari/537.36"
)


def sign_in(person: User, agent: str) -> Client:
    client = Client(headers={"User-Agent": agent})
    client.post(reverse("account_login"), {"login": person.email, "password": PASSWORD})
    return client


def is_in(client: Client) -> bool:
    return client.get(reverse("home")).status_code == 200


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (FIREFOX, "Firefox, Linux"),
        (PHONE, "Chrome, Android"),
        (FIREFOX.replace("Firefox", "Edg"), "Edge, Linux"),
        ("curl/8", ""),
        ("", ""),
    ],
)
def test_a_browser_is_named_as_people_know_it(agent: str, name: str) -> None:
    assert browsers.described(agent) == name


def test_each_is_listed_this_one_first(bob: User) -> None:
    here, other = sign_in(bob, FIREFOX), sign_in(bob, PHONE)
    listed = here.get(reverse("devices")).context["browsers"]
    assert [each.name for each in listed] == ["Firefox, Linux", "Chrome, Android"]
    assert [each.is_here for each in listed] == [True, False]
    assert is_in(other)


def test_one_is_signed_out_and_not_listed_any_more(bob: User) -> None:
    here, other = sign_in(bob, FIREFOX), sign_in(bob, PHONE)
    there = UserSession.objects.get(user_agent=PHONE)
    answer = here.post(reverse("browser-sign-out", args=[there.pk]))
    assert answer.status_code == 302
    assert is_in(here) and not is_in(other)
    assert len(here.get(reverse("devices")).context["browsers"]) == 1


def test_all_others_are_signed_out(bob: User, charlie: User) -> None:
    here, stranger = sign_in(bob, FIREFOX), sign_in(charlie, FIREFOX)
    others = [sign_in(bob, PHONE), sign_in(bob, PHONE)]
    here.post(reverse("browsers-sign-out"))
    assert is_in(here) and is_in(stranger)
    assert not [each for each in others if is_in(each)]


def test_nobody_signs_out_a_stranger(bob: User, charlie: User) -> None:
    his = sign_in(bob, FIREFOX)
    row = UserSession.objects.get(user=bob)
    door = reverse("browser-sign-out", args=[row.pk])
    assert sign_in(charlie, PHONE).post(door).status_code == 404
    assert his.get(door).status_code == 405 and is_in(his)


def test_a_browser_that_is_signed_out_is_notified_no_more(bob: User) -> None:
    here, other = sign_in(bob, FIREFOX), sign_in(bob, PHONE)
    there = UserSession.objects.get(user_agent=PHONE)
    device = Device.objects.create(
        user=bob,
        platform="browser",
        identifier_hash="i",
        token_hash="t",
        session_key=there.session_key,
    )
    here.post(reverse("browser-sign-out", args=[there.pk]))
    device.refresh_from_db()
    assert device.revoked_at and not is_in(other)


def test_a_session_from_before_is_listed_once_it_comes_again(bob: User, web: Web) -> None:
    browser = web(bob)
    assert not UserSession.objects.exists()
    assert len(browser.get(reverse("devices")).context["browsers"]) == 1
