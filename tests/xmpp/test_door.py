"""The door that Prosody asks at, seen by Prosody and by strangers."""

import json
from typing import Any

import pytest
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.test import Client

import cardsite.urls  # noqa: F401  (made when it is first imported, which must be before XMPP is on)
from accounts import devices
from accounts.models import AppPassword, User
from bindings import exchange
from tests.conftest import PASSWORD, make_person

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.xmpp.urls")]

SECRET = "a-secret-of-the-tests"


@pytest.fixture(autouse=True)
def xmpp(settings: Any) -> None:
    settings.XMPP_DOMAIN, settings.XMPP_SECRET = "example.org", SECRET


def app_password_of(user: User) -> str:
    password = AppPassword.new_password()
    hashed = AppPassword.hash_password(password)
    AppPassword.objects.create(user=user, name="Client", password_hash=hashed)
    return password


def ask(what: str, said: Any, secret: str = SECRET, **more: Any) -> Any:
    body = said if isinstance(said, bytes) else json.dumps(said)
    headers = {"authorization": f"Bearer {secret}"}
    return Client().post(f"/xmpp/{what}", body, "application/json", headers=headers, **more)


def sign_in(username: str, password: str, address: str = "192.0.2.1") -> Any:
    return ask("sign-in", {"username": username, "password": password, "address": address})


def look(username: str, person: str, *keys: str) -> Any:
    said = {"people": [{"username": username, "person": person, "keys": keys}]}
    return ask("signed-in", said).json()


def test_an_app_password_signs_in(alice: User) -> None:
    answer = sign_in("alice", app_password_of(alice))
    assert answer.status_code == 200
    device = alice.devices.get(platform="xmpp", revoked_at=None)
    key = f"{device.pk}/{alice.app_passwords.get().pk}"
    assert answer.json() == {"person": str(alice.pk), "key": key}
    assert alice.app_passwords.get().last_used_at


def test_it_is_typed_as_people_type(alice: User) -> None:
    assert sign_in("alice", app_password_of(alice).upper().replace("-", " ")).status_code == 200


@pytest.mark.parametrize("username", ["bob", "nobody", "alice@example.org", "ALICE", ""])
def test_it_is_good_for_nobody_else(alice: User, bob: User, username: str) -> None:
    assert sign_in(username, app_password_of(alice)).status_code in (400, 403)


def test_the_password_of_the_account_is_taken_if_the_operator_says_so(
    alice: User, settings: Any
) -> None:
    assert sign_in("alice", PASSWORD).status_code == 403
    settings.XMPP_ACCOUNT_PASSWORDS = True
    assert sign_in("alice", PASSWORD).status_code == 200
    assert sign_in("alice", PASSWORD + " ").status_code == 403
    assert sign_in("bob", PASSWORD).status_code == 403


def test_but_not_of_whom_a_second_step_is_asked(alice: User, settings: Any) -> None:
    settings.XMPP_ACCOUNT_PASSWORDS = True
    key = sign_in("alice", PASSWORD).json()["key"]
    TOTP.activate(alice, generate_totp_secret())
    assert sign_in("alice", PASSWORD).status_code == 403
    assert sign_in("alice", app_password_of(alice)).status_code == 200
    assert look("alice", str(alice.pk), key)["ended"] == [{"username": "alice", "keys": [key]}]


def test_a_name_is_not_an_address_of_another_person(alice: User, settings: Any) -> None:
    settings.XMPP_ACCOUNT_PASSWORDS = True
    assert sign_in(alice.email, PASSWORD).status_code == 403


def test_nobody_signs_in_to_a_closed_account(alice: User) -> None:
    password = app_password_of(alice)
    alice.is_active = False
    alice.save()
    assert sign_in("alice", password).status_code == 403


def test_who_guesses_has_to_wait_and_whom_they_guess_at_does_not(alice: User) -> None:
    password = app_password_of(alice)
    guesses = [sign_in("alice", "guess", f"192.0.2.{n}").status_code for n in range(7)]
    assert guesses == [403] * 5 + [429] * 2
    assert sign_in("alice", password).status_code == 200


def test_one_address_guesses_at_many_names_no_longer(db: None) -> None:
    guesses = [sign_in(f"name{n}", "guess").status_code for n in range(12)]
    assert guesses == [403] * 10 + [429] * 2
    assert sign_in("another", "guess", "192.0.2.9").status_code == 403


# Who may still be there


def test_a_key_ends_with_its_app_password(alice: User) -> None:
    key = sign_in("alice", app_password_of(alice)).json()["key"]
    other = sign_in("alice", app_password_of(alice)).json()["key"]
    assert look("alice", str(alice.pk), key, other) == {"gone": [], "ended": []}
    alice.app_passwords.get(pk=key.split("/")[1]).delete()
    ended = [{"username": "alice", "keys": [key]}]
    assert look("alice", str(alice.pk), key, other) == {"gone": [], "ended": ended}


def test_a_key_ends_with_the_password(alice: User, settings: Any) -> None:
    settings.XMPP_ACCOUNT_PASSWORDS = True
    key = sign_in("alice", PASSWORD).json()["key"]
    assert look("alice", str(alice.pk), key)["ended"] == []
    alice.set_password("another-horse-1")
    alice.save()
    assert look("alice", str(alice.pk), key)["ended"] == [{"username": "alice", "keys": [key]}]


def test_a_key_ends_with_the_device_and_the_next_one_is_good(alice: User) -> None:
    password = app_password_of(alice)
    key = sign_in("alice", password).json()["key"]
    devices.revoke(alice.devices.get(platform="xmpp"))
    assert look("alice", str(alice.pk), key)["ended"] == [{"username": "alice", "keys": [key]}]
    again = sign_in("alice", password).json()["key"]
    assert look("alice", str(alice.pk), key, again)["ended"][0]["keys"] == [key]


def test_all_end_with_the_account(alice: User) -> None:
    key = sign_in("alice", app_password_of(alice)).json()["key"]
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert look("alice", str(alice.pk), key)["ended"] == [{"username": "alice", "keys": [key]}]
    exchange.erase(alice)
    assert look("alice", str(alice.pk), key) == {"gone": ["alice"], "ended": []}


def test_a_name_that_is_given_up_is_gone_whoever_takes_it(alice: User, bob: User) -> None:
    alice.username = "alice-b"
    alice.save()
    assert look("alice", str(alice.pk))["gone"] == ["alice"]
    bob.username = "alice"
    bob.save()
    assert look("alice", str(alice.pk))["gone"] == ["alice"]
    assert look("alice", str(bob.pk))["gone"] == []


def test_many_are_looked_at_with_few_questions(
    alice: User, settings: Any, django_assert_max_num_queries: Any
) -> None:
    people = [make_person(f"person{n}", "Person") for n in range(20)]
    settings.XMPP_ACCOUNT_PASSWORDS = True
    known = [
        {"username": each.username, "person": str(each.pk), "keys": ["none"]} for each in people
    ]
    with django_assert_max_num_queries(4):
        ended = ask("signed-in", {"people": known}).json()["ended"]
    assert len(ended) == 20


# Strangers, and what nobody can read


@pytest.mark.parametrize("secret", ["", "guess", SECRET[:-1], SECRET + "é"])
@pytest.mark.parametrize("what", ["sign-in", "signed-in"])
def test_to_a_stranger_there_is_no_door(alice: User, what: str, secret: str) -> None:
    said = {"username": "alice", "password": app_password_of(alice), "address": "192.0.2.1"}
    refused, nowhere = ask(what, said, secret), ask("nowhere", said, secret)
    assert refused.status_code == nowhere.status_code == 404
    assert refused.content == nowhere.content
    assert Client().get(f"/xmpp/{what}").status_code == 404


def test_nor_to_the_empty_secret(alice: User, settings: Any) -> None:
    settings.XMPP_SECRET = ""
    assert ask("sign-in", {}, "").status_code == 404


@pytest.mark.urls("cardsite.urls")
def test_nor_is_there_one_to_anybody_while_xmpp_is_off(alice: User) -> None:
    said = {"username": "alice", "password": app_password_of(alice), "address": "192.0.2.1"}
    assert ask("sign-in", said).status_code == ask("nowhere", said).status_code == 404


def test_https_is_not_asked_of_whoever_is_near(alice: User, settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert sign_in("alice", app_password_of(alice)).status_code == 200
    assert Client().get("/").status_code == 301


@pytest.mark.parametrize("address", ["192.0.2.1", "10.0.0.1", "2001:db8::1", "", "unix:"])
def test_from_elsewhere_there_is_one_by_https_alone(alice: User, address: str) -> None:
    said = {"username": "alice", "password": "guess", "address": "192.0.2.1"}
    assert ask("sign-in", said, REMOTE_ADDR=address).status_code == 404
    assert ask("sign-in", said, REMOTE_ADDR=address, secure=True).status_code == 403


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"{",
        b"[" * 100_000,
        b'"\xff"',
        {},
        [],
        {"username": "alice"},
        {"username": "alice", "password": "guess", "address": "here"},
        {"username": {}, "password": [], "address": 1},
        {"username": "a" * 100, "password": "guess", "address": "::1"},
        {"username": "alice", "password": "p" * 2000, "address": "::1"},
        {"username": "a\x00b", "password": "guess", "address": "::1"},
        {"people": [{"username": "alice"}]},
        {"people": "alice"},
        {"people": [{"username": "alice", "person": "1", "keys": [{}]}]},
        {"people": [{"username": "alice\x00", "person": "1", "keys": []}]},
    ],
)
@pytest.mark.parametrize("what", ["sign-in", "signed-in"])
def test_garbage_is_refused(db: None, what: str, said: Any) -> None:
    assert ask(what, said).status_code == 400


def test_so_is_what_is_too_large(db: None) -> None:
    one = {"username": "a", "person": "1", "keys": []}
    assert ask("signed-in", {"people": [one] * 1001}).status_code == 400
    assert ask("signed-in", b'"' + b"a" * 3_000_000 + b'"').status_code == 413
