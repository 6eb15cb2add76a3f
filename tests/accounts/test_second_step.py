"""The second step of signing in: asked for at every door, and done without by apps that have a
password of their own."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import Permission
from django.core import mail
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from accounts import second_step
from accounts.models import AppPassword, Device, User
from bindings import exchange
from tests.conftest import PASSWORD, make_person
from tests.staff import act_at_once, browser_of, make_staff

Web = Callable[[User], Client]

SECRET = generate_totp_secret()
POWERS = ("view_user", "change_user")
DEVICE = {"platform": "android", "identifier": "second-step-terminal"}


def code(at: float = 0) -> str:
    """What the authenticator app shows so many seconds from now."""
    return str(format_hotp_value(hotp_value(SECRET, int(time.time() + at) // 30)))


@pytest.fixture
def careful(bob: User) -> User:
    """Bob, with an authenticator app and recovery codes."""
    TOTP.activate(bob, SECRET)
    RecoveryCodes.activate(bob)
    return bob


def recovery_code(person: User) -> str:
    kept = Authenticator.objects.get(user=person, type=Authenticator.Type.RECOVERY_CODES)
    return str(kept.wrap().get_unused_codes()[0])


def sign_in(password: str = PASSWORD, **also: str) -> Any:
    body = {"email": "bob@example.org", "password": password, "device": DEVICE, **also}
    return APIClient().post("/api/v1/session", body)


def signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def test_the_page_asks_for_the_code(careful: User, client: Client) -> None:
    form = {"login": careful.email, "password": PASSWORD}
    answer = client.post(reverse("account_login"), form)
    assert answer["Location"] == reverse("mfa_authenticate") and not signed_in(client)
    assert client.get(reverse("home"))["Location"].startswith(reverse("account_login"))
    wrong = client.post(reverse("mfa_authenticate"), {"code": "000000"})
    assert wrong.status_code == 200 and not signed_in(client)
    client.post(reverse("mfa_authenticate"), {"code": code()})
    assert signed_in(client)


def test_the_admin_has_no_door_of_its_own(careful: User, client: Client) -> None:
    careful.is_staff = careful.is_superuser = True
    careful.save()
    answer = client.post("/admin/login/", {"username": careful.email, "password": PASSWORD})
    assert answer.status_code == 302 and "/account/login/" in answer["Location"]
    assert not signed_in(client)


def test_an_app_is_told_that_a_code_is_needed(careful: User) -> None:
    answer = sign_in()
    assert answer.status_code == 400 and "app password" in answer.json()["errors"]["code"][0]
    assert not Device.objects.exists()


def test_a_wrong_password_tells_nothing_of_the_second_step(careful: User) -> None:
    for answer in (sign_in("wrong-password"), sign_in("wrong-password", code=code())):
        assert answer.status_code == 400 and "code" not in answer.json().get("errors", {})


@pytest.mark.parametrize("way", [lambda person: code(), recovery_code])
def test_an_app_signs_in_with_a_code(careful: User, way: Callable[[User], str]) -> None:
    given = way(careful)
    assert sign_in(code=given).status_code == 201
    assert sign_in(code=given).status_code == 400, "a code is good for once"


@pytest.mark.parametrize("wrong", ["000000", "x", "9" * 64, "'", "０００００0"])
def test_a_wrong_code_signs_nobody_in(careful: User, wrong: str) -> None:
    answer = sign_in(code=wrong)
    assert answer.status_code == 400 and answer.json()["errors"]["code"]
    assert not Device.objects.exists()


def test_whoever_guesses_codes_is_stopped(careful: User) -> None:
    for _each in range(12):
        sign_in(code="000000")
    assert sign_in(code=code()).status_code in (400, 429)
    assert not Device.objects.exists()


def test_nobody_else_is_asked(bob: User) -> None:
    assert sign_in().status_code == 201


@pytest.mark.django_db(transaction=True)
def test_the_secret_is_not_in_the_database(careful: User, web: Web) -> None:
    browser = web(careful)
    browser.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    Authenticator.objects.all().delete()
    page = browser.get(reverse("mfa_activate_totp"))
    secret = page.context["form"].secret
    value = format_hotp_value(hotp_value(secret, int(time.time()) // 30))
    assert browser.post(reverse("mfa_activate_totp"), {"code": value}).status_code == 302
    kept = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert Authenticator.objects.filter(type="totp").exists() and secret not in kept
    assert careful.email in mail.outbox[-1].to, "they are told"


def test_the_key_of_the_server_can_be_changed(careful: User, settings: Any) -> None:
    kept = second_step.SecondStep().encrypt("a secret")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another", [settings.SECRET_KEY]
    assert second_step.SecondStep().decrypt(kept) == "a secret"


# App passwords


def make_app_password(browser: Client, name: str = "Phone") -> Any:
    browser.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    return browser.post(reverse("app-passwords"), {"name": name})


def test_an_app_password_signs_apps_in_without_a_code(careful: User, web: Web) -> None:
    browser = browser_with_code(careful)
    made = make_app_password(browser).context["made"]
    assert len(made) == 23 and made not in str(list(AppPassword.objects.values()))
    assert made not in browser.get(reverse("app-passwords")).content.decode()
    assert sign_in(made.upper().replace("-", " ")).status_code == 201
    assert AppPassword.objects.get().last_used_at
    page = Client()
    page.post(reverse("account_login"), {"login": careful.email, "password": made})
    assert not signed_in(page), "it is good for apps alone"


def browser_with_code(person: User) -> Client:
    browser = Client()
    browser.post(reverse("account_login"), {"login": person.email, "password": PASSWORD})
    browser.post(reverse("mfa_authenticate"), {"code": code()})
    return browser


def test_the_page_says_how_an_xmpp_client_signs_in(bob: User, web: Web, settings: Any) -> None:
    browser = web(bob)
    assert "XMPP" not in make_app_password(browser).content.decode()
    settings.XMPP_DOMAIN = "example.org"
    page = browser.get(reverse("app-passwords")).content.decode()
    assert "<strong>bob@example.org</strong>" in page


def test_an_app_password_is_of_one_person(bob: User, charlie: User) -> None:
    password = AppPassword.new_password()
    hashed = AppPassword.hash_password(password)
    AppPassword.objects.create(user=charlie, name="Phone", password_hash=hashed)
    assert sign_in(password).status_code == 400
    charlie.is_active = False
    charlie.save()
    assert AppPassword.objects.person_with(charlie.email, password) is None


def test_app_passwords_ask_who_is_there_again(bob: User, web: Web) -> None:
    answer = web(bob).post(reverse("app-passwords"), {"name": "Phone"})
    assert answer["Location"].startswith(reverse("account_reauthenticate"))
    assert not AppPassword.objects.exists()


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "a\0b"])
def test_an_app_password_needs_a_name(name: str, bob: User, client: Client) -> None:
    client.post(reverse("account_login"), {"login": bob.email, "password": PASSWORD})
    answer = make_app_password(client, name)
    assert answer.status_code == 200 and answer.context["form"].errors
    assert not AppPassword.objects.exists()


def test_an_app_password_is_deleted_by_its_person_alone(bob: User, charlie: User, web: Web) -> None:
    password = AppPassword.new_password()
    kept = AppPassword.objects.create(
        user=bob, name="Phone", password_hash=AppPassword.hash_password(password)
    )
    door = reverse("app-password-delete", args=[kept.pk])
    assert web(charlie).post(door).status_code == 404
    assert web(bob).get(door).status_code == 405
    assert sign_in(password).status_code == 201
    assert web(bob).post(door).status_code == 302
    assert sign_in(password).status_code == 400


# Losing it


def test_staff_help_whoever_has_lost_it(careful: User) -> None:
    act_at_once(browser_of(make_staff()), "drop_second_step", careful)
    assert not second_step.is_asked_of(careful)
    assert sign_in().status_code == 201


def test_staff_do_not_help_themselves_to_a_superuser(careful: User) -> None:
    careful.is_superuser = True
    careful.save()
    helper = make_staff("helper", superuser=False)
    helper.user_permissions.set(Permission.objects.filter(codename__in=POWERS))
    act_at_once(browser_of(helper), "drop_second_step", careful)
    assert second_step.is_asked_of(careful)


def test_an_erased_person_leaves_none_of_it(careful: User) -> None:
    AppPassword.objects.create(user=careful, name="Phone", password_hash="x")
    browser_with_code(careful)
    exchange.erase(careful)
    for kept in (Authenticator, AppPassword, UserSession):
        assert not kept.objects.exists(), kept


def test_two_people_may_have_the_same_name_for_one(bob: User) -> None:
    other = make_person("emil", "Emil")
    for person in (bob, other):
        hashed = AppPassword.hash_password(AppPassword.new_password())
        AppPassword.objects.create(user=person, name="Phone", password_hash=hashed)
    assert AppPassword.objects.count() == 2
