"""REST: signing up, in and out, the person and the devices, and what is refused there."""

from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth import hashers
from django.core import mail
from rest_framework.test import APIClient

from accounts.models import Device, User
from tests.conftest import PASSWORD, api_of, make_device
from tests.rest import API, all_rows, refused

PHONE = {"platform": "android", "identifier": "imei-356938035643809", "name": "Phone"}
DORA = {"email": "dora@example.org", "password": PASSWORD, "name": "Dora", "device": PHONE}
ALICE = {"email": "alice@example.org", "password": PASSWORD, "device": PHONE}


@pytest.fixture
def anyone(db: None) -> APIClient:
    return APIClient()


class CountingHasher(hashers.MD5PasswordHasher):
    """Counts how often a hash is computed: it is what a sign-in takes its time for."""

    computed = 0

    def encode(self, password: str, salt: str) -> str:
        CountingHasher.computed += 1
        return super().encode(password, salt)


# Signing up


def test_signing_up_makes_a_person_with_a_device(anyone: APIClient) -> None:
    response = anyone.post(f"{API}/signup", DORA)
    assert response.status_code == 201
    session = response.json()
    assert session["user"] == {
        "username": "dora",
        "email": "dora@example.org",
        "name": "Dora",
        "language": "en",
        "time_zone": "UTC",
    }
    assert session["device"]["platform"] == "android"
    anyone.credentials(HTTP_AUTHORIZATION=f"Bearer {session['token']}")
    assert anyone.get(f"{API}/me").json()["name"] == "Dora"


def test_signing_up_asks_for_the_address_to_be_confirmed(anyone: APIClient) -> None:
    anyone.post(f"{API}/signup", DORA)
    (message,) = mail.outbox
    assert message.to == ["dora@example.org"]


def test_signing_up_works_while_the_mail_server_is_away(anyone: APIClient, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9  # nobody listens
    assert anyone.post(f"{API}/signup", DORA).status_code == 201


def test_the_token_is_kept_nowhere(anyone: APIClient) -> None:
    token = anyone.post(f"{API}/signup", DORA).json()["token"]
    assert token not in repr(all_rows())
    assert PHONE["identifier"] not in repr(all_rows())


@pytest.mark.parametrize(
    "change",
    [
        {"email": "no address"},
        {"email": f"{'a' * 60}@{'b' * 60}.{'c' * 60}.{'d' * 60}.{'e' * 60}.org"},
        {"email": ["dora@example.org"]},
        {"email": "ALICE@example.org"},
        {"password": "short"},
        {"password": 12345678901},
        {"password": None},
        {"name": ""},
        {"name": "x" * 201},
        {"name": {"first": "Dora"}},
        {"name": "a\x00b"},
        {"device": None},
        {"device": "phone"},
        {"device": {**PHONE, "platform": "toaster"}},
        {"device": {**PHONE, "identifier": "short"}},
        {"device": {**PHONE, "identifier": "x" * 257}},
        {"device": {**PHONE, "platform": "ios", "push_token": "x" * 201}},
        {"device": {**PHONE, "push_token": "x" * 4097}},
    ],
)
def test_a_bad_sign_up_makes_nothing(anyone: APIClient, alice: User, change: Any) -> None:
    before = all_rows()
    problem = refused(anyone.post(f"{API}/signup", {**DORA, **change}), 400)
    assert set(problem["errors"]) == set(change)
    assert all_rows() == before


def test_an_address_that_another_has_confirmed_is_taken(anyone: APIClient, alice: User) -> None:
    EmailAddress.objects.create(user=alice, email="dora@example.org", verified=True)
    refused(anyone.post(f"{API}/signup", DORA), 400)


# Signing in and out


def test_signing_in_returns_a_token(anyone: APIClient, alice: User) -> None:
    session = anyone.post(f"{API}/session", ALICE).json()
    assert set(session) == {"token", "device", "user"}
    assert session["device"]["name"] == "Phone"
    assert Device.objects.get().user == alice


def test_the_address_is_not_case_sensitive(anyone: APIClient, alice: User) -> None:
    given = {**ALICE, "email": "Alice@Example.ORG"}
    assert anyone.post(f"{API}/session", given).status_code == 201


def test_a_dead_token_is_not_in_the_way_of_signing_in(anyone: APIClient, alice: User) -> None:
    anyone.credentials(HTTP_AUTHORIZATION="Bearer dead")
    assert anyone.post(f"{API}/session", ALICE).status_code == 201


def failed_sign_in(client: APIClient, **change: Any) -> tuple[int, bytes, int]:
    """The status, the body and the number of hashes computed."""
    CountingHasher.computed = 0
    response = client.post(f"{API}/session", {**ALICE, **change})
    refused(response, 400)
    return response.status_code, response.content, CountingHasher.computed


def test_wrong_password_unknown_address_and_closed_account_look_alike(
    anyone: APIClient, settings: Any, alice: User, bob: User
) -> None:
    settings.PASSWORD_HASHERS = [f"{__name__}.CountingHasher"]
    User.objects.filter(pk=bob.pk).update(is_active=False)
    wrong = failed_sign_in(anyone, password="not hers at all")
    assert wrong == failed_sign_in(anyone, email="nobody@example.org")
    assert wrong == failed_sign_in(anyone, email="bob@example.org")
    assert wrong == failed_sign_in(anyone, email="bob@example.org", password="not his at all")
    assert wrong[2] == 1
    assert not Device.objects.exists()


def test_a_failed_sign_in_takes_nobodys_phone(anyone: APIClient, alice: User, bob: User) -> None:
    phone = make_device(bob, identifier=PHONE["identifier"])
    anyone.post(f"{API}/session", {**ALICE, "password": "wrong"})
    phone.refresh_from_db()
    assert phone.revoked_at is None


@pytest.mark.parametrize("given", [{}, [], "x", 7, None, {**ALICE, "device": []}])
def test_a_bad_sign_in_is_refused(anyone: APIClient, alice: User, given: Any) -> None:
    refused(anyone.post(f"{API}/session", given), 400)
    assert not Device.objects.exists()


def test_signing_out_kills_the_token(alice: User) -> None:
    client = api_of(alice)
    assert client.delete(f"{API}/session").status_code == 204
    response = client.get(f"{API}/me")
    refused(response, 401)
    assert response["WWW-Authenticate"] == "Bearer"


def test_a_browser_cannot_sign_itself_out_as_a_device(alice: User) -> None:
    browser = APIClient()
    browser.force_login(alice, "allauth.account.auth_backends.AuthenticationBackend")
    refused(browser.delete(f"{API}/session"), 403)


def test_a_browser_writes_only_with_its_csrf_token(alice: User) -> None:
    browser = APIClient(enforce_csrf_checks=True)
    browser.force_login(alice, "allauth.account.auth_backends.AuthenticationBackend")
    assert browser.get(f"{API}/me").status_code == 200
    refused(browser.patch(f"{API}/me", {"name": "Mallory"}), 403)


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer ", "Bearer x y", "Bearer \xff", "Basic YTpi", "x", ""]
)
def test_a_bad_token_is_401(anyone: APIClient, alice: User, header: str) -> None:
    anyone.credentials(HTTP_AUTHORIZATION=header)
    response = anyone.get(f"{API}/me")
    refused(response, 401)
    assert response["WWW-Authenticate"] == "Bearer"


def test_the_token_of_a_closed_account_is_401(alice: User) -> None:
    client = api_of(alice)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    refused(client.get(f"{API}/me"), 401)


# Throttles


def test_signing_in_is_throttled(anyone: APIClient, alice: User) -> None:
    for _ in range(30):
        assert anyone.post(f"{API}/session", ALICE).status_code == 201
    throttled(anyone.post(f"{API}/session", ALICE))


def test_guessing_at_one_address_is_throttled(anyone: APIClient, alice: User) -> None:
    wrong = {**ALICE, "password": "wrong"}
    statuses = [anyone.post(f"{API}/session", wrong).status_code for _ in range(6)]
    assert statuses == [400, 400, 400, 400, 400, 429]
    throttled(anyone.post(f"{API}/session", ALICE))


def test_signing_up_is_throttled(anyone: APIClient) -> None:
    for count in range(20):
        given = {**DORA, "email": f"dora{count}@example.org"}
        assert anyone.post(f"{API}/signup", given).status_code == 201
    throttled(anyone.post(f"{API}/signup", DORA))
    assert User.objects.count() == 20


def throttled(response: Any) -> None:
    refused(response, 429)
    assert int(response["Retry-After"]) > 0


# The person


def test_a_person_changes_their_name_and_settings(alice: User) -> None:
    change = {
        "name": "Alicia",
        "username": "a.b-c",
        "language": "zh-hans",
        "time_zone": "Asia/Tokyo",
    }
    response = api_of(alice).patch(f"{API}/me", change)
    assert response.status_code == 200
    assert response.json() == {**change, "email": "alice@example.org"}


def test_the_address_is_not_changed_here(alice: User) -> None:
    response = api_of(alice).patch(f"{API}/me", {"email": "other@example.org"})
    assert response.json()["email"] == "alice@example.org"


@pytest.mark.parametrize(
    "change",
    [
        {"username": "bob"},
        {"username": "Not A Name"},
        {"username": ""},
        {"username": None},
        {"language": "klingon"},
        {"time_zone": "Mars/Olympus"},
        {"time_zone": "../../etc/passwd"},
        {"name": ["x"]},
        {"name": "x" * 201},
        [],
        "x",
    ],
)
def test_a_bad_change_of_the_person_is_refused(alice: User, bob: User, change: Any) -> None:
    client = api_of(alice)
    before = all_rows()
    refused(client.patch(f"{API}/me", change), 400)
    assert all_rows() == before


def test_a_change_that_comes_late_does_not_undo_an_erasure(alice: User) -> None:
    """The row was read before the account was closed, and is written after it."""
    from accounts.api import UserSerializer

    form = UserSerializer(User.objects.get(pk=alice.pk), data={"name": "Back"}, partial=True)
    assert form.is_valid()
    User.objects.filter(pk=alice.pk).update(is_active=False, password="!")
    form.save()
    alice.refresh_from_db()
    assert (alice.is_active, alice.password) == (False, "!")


# Devices


def test_a_person_sees_their_devices_and_nobody_elses(alice: User, bob: User) -> None:
    phone, tablet = make_device(alice), make_device(alice, "ios")
    make_device(bob)
    (page,) = [api_of(alice, phone).get(f"{API}/devices").json()["results"]]
    assert {(each["id"], each["current"]) for each in page} == {
        (str(phone.pk), True),
        (str(tablet.pk), False),
    }
    assert {"push_token", "identifier_hash", "token_hash"}.isdisjoint(page[0])


def test_a_device_is_renamed(alice: User) -> None:
    phone = make_device(alice)
    path = f"{API}/devices/{phone.pk}"
    assert api_of(alice, phone).patch(path, {"name": "Old one"}).json()["name"] == "Old one"


def test_the_platform_of_a_device_does_not_change(alice: User) -> None:
    phone = make_device(alice)
    path = f"{API}/devices/{phone.pk}"
    assert api_of(alice, phone).patch(path, {"platform": "ios"}).json()["platform"] == "android"


def test_deleting_a_device_signs_it_out(alice: User) -> None:
    phone, tablet = make_device(alice), make_device(alice)
    assert api_of(alice, phone).delete(f"{API}/devices/{tablet.pk}").status_code == 204
    refused(api_of(alice, tablet).get(f"{API}/me"), 401)
    assert api_of(alice, phone).get(f"{API}/me").status_code == 200
    refused(api_of(alice, phone).delete(f"{API}/devices/{tablet.pk}"), 404)


@pytest.mark.parametrize(
    "change", [{"name": "x" * 101}, {"name": None}, {"push_token": True}, {"push_token": []}, []]
)
def test_a_bad_change_of_a_device_is_refused(alice: User, change: Any) -> None:
    phone = make_device(alice, "ios", push_token="ab" * 32)
    client = api_of(alice, phone)
    before = all_rows()
    refused(client.patch(f"{API}/devices/{phone.pk}", change), 400)
    assert all_rows() == before


def test_an_apns_token_that_is_too_long_is_refused(alice: User) -> None:
    phone = make_device(alice, "ios")
    response = api_of(alice, phone).patch(f"{API}/devices/{phone.pk}", {"push_token": "x" * 201})
    assert "push_token" in refused(response, 400)["errors"]


def test_a_name_that_comes_late_does_not_undo_a_revocation(alice: User) -> None:
    """The row was read before the device was signed out, and is written after it."""
    from accounts.api import DeviceSerializer

    phone = make_device(alice)
    form = DeviceSerializer(Device.objects.get(pk=phone.pk), data={"name": "Late"}, partial=True)
    assert form.is_valid()
    Device.objects.filter(pk=phone.pk).revoke()
    form.save()
    assert not Device.objects.active().exists()
