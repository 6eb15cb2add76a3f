"""`Idempotency-Key`: what is repeated is done once, for each person."""

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient

from accounts.models import IdempotentReply, User
from bindings.models import Invitation
from cards.models import Card
from tests.conftest import api_of, make_device
from tests.rest import API, after_reading, all_rows, refused

KEY: dict[str, Any] = {"HTTP_IDEMPOTENCY_KEY": "8e03978e-40d5-43dd-bc93-6894a57f9324"}


def test_a_repeated_request_gets_the_same_answer_and_is_done_once(alice: User) -> None:
    client = api_of(alice)
    first = client.post(f"{API}/cards", {"fn": "Alice"}, **KEY)
    again = client.post(f"{API}/cards", {"fn": "Alice"}, **KEY)
    assert (first.status_code, again.status_code) == (201, 201)
    assert json.loads(again.content) == json.loads(first.content)
    assert Card.objects.count() == 1


def test_the_order_of_the_fields_does_not_make_another_request(alice: User) -> None:
    client = api_of(alice)
    client.post(f"{API}/cards", {"fn": "Alice", "label": "Work"}, **KEY)
    again = client.post(f"{API}/cards", {"label": "Work", "fn": "Alice"}, **KEY)
    assert (again.status_code, Card.objects.count()) == (201, 1)


def test_a_key_used_for_another_body_is_refused(alice: User) -> None:
    client = api_of(alice)
    client.post(f"{API}/cards", {"fn": "Alice"}, **KEY)
    before = all_rows()
    refused(client.post(f"{API}/cards", {"fn": "Other"}, **KEY), 422)
    assert all_rows() == before


def test_a_key_used_at_another_door_is_refused(alice: User) -> None:
    client = api_of(alice)
    client.post(f"{API}/circles", {"name": "Family"}, **KEY)
    refused(client.post(f"{API}/cards", {"name": "Family"}, **KEY), 422)


def test_the_same_key_of_two_people_is_two_keys(alice: User, bob: User) -> None:
    for person in (alice, bob):
        assert api_of(person).post(f"{API}/cards", {"fn": "One"}, **KEY).json()["fn"] == "One"
    assert Card.objects.count() == 2


def test_a_failed_try_leaves_the_key_free(alice: User) -> None:
    client = api_of(alice)
    refused(client.post(f"{API}/cards", {"fn": ""}, **KEY), 400)
    assert not IdempotentReply.objects.exists()
    assert client.post(f"{API}/cards", {"fn": "Alice"}, **KEY).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_that_is_none_is_refused(alice: User, key: str) -> None:
    client = api_of(alice)
    refused(client.post(f"{API}/cards", {"fn": "Alice"}, HTTP_IDEMPOTENCY_KEY=key), 400)
    assert not Card.objects.exists()


def test_without_a_key_every_request_counts(alice: User) -> None:
    client = api_of(alice)
    for _ in range(2):
        client.post(f"{API}/cards", {"fn": "Alice"})
    assert Card.objects.count() == 2


def test_the_reply_is_kept_encrypted(alice_card: Card, alice: User) -> None:
    offer = {"card": str(alice_card.pk)}
    invited = api_of(alice).post(f"{API}/invitations", offer, **KEY).json()
    kept = repr(all_rows()[IdempotentReply._meta.label])
    assert invited["code"] not in kept
    assert invited["id"] not in kept
    assert KEY["HTTP_IDEMPOTENCY_KEY"] not in kept


def test_an_invitation_repeated_shows_its_code_again(alice_card: Card, alice: User) -> None:
    client, offer = api_of(alice), {"card": str(alice_card.pk)}
    first, again = (client.post(f"{API}/invitations", offer, **KEY).json() for _ in range(2))
    assert first["code"] == again["code"]
    assert Invitation.objects.count() == 1


def test_an_import_repeated_is_one_import_whatever_its_boundary(alice: User) -> None:
    client = api_of(alice)
    for boundary in ("one", "two"):
        body = (
            f"--{boundary}\r\nContent-Disposition: form-data; name=file; filename=a.vcf\r\n\r\n"
            f"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Imported\r\nEND:VCARD\r\n\r\n--{boundary}--\r\n"
        )
        form = f"multipart/form-data; boundary={boundary}"
        response = client.post(f"{API}/cards/import", body, content_type=form, **KEY)
        assert response.status_code == 201
    assert Card.objects.count() == 1


def test_an_import_of_another_file_with_the_same_key_is_refused(alice: User) -> None:
    client = api_of(alice)
    for name, status in (("One", 201), ("Two", 422)):
        card = f"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:{name}\r\nEND:VCARD\r\n"
        upload = SimpleUploadedFile("cards.vcf", card.encode(), "text/vcard")
        response = client.post(f"{API}/cards/import", {"file": upload}, format="multipart", **KEY)
        assert response.status_code == status
    assert Card.objects.count() == 1


def test_two_at_once_are_one(alice: User) -> None:
    """The second comes in when the first has seen that the key is free, and wins."""
    phone = make_device(alice)
    first, second = api_of(alice, phone), api_of(alice, phone)
    answers: list[Any] = []

    def meanwhile(client: APIClient) -> None:
        answers.append(client.post(f"{API}/cards", {"fn": "Alice"}, **KEY))

    with after_reading("accounts_idempotentreply", lambda: meanwhile(second)):
        meanwhile(first)
    assert [answer.status_code for answer in answers] == [201, 201]
    assert json.loads(answers[0].content) == json.loads(answers[1].content)
    assert Card.objects.count() == 1
