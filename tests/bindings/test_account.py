"""Taking all of one's data along, and erasing the account on the page."""

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import Circle, User
from bindings import archive
from bindings.models import Binding
from cards import photos, vcard
from cards.models import Card
from tests.conftest import PASSWORD, bind, make_card, make_device, make_person, prop
from tests.test_leaks import jpeg

Web = Callable[[User], Client]


def proven(person: User) -> Client:
    """A browser whose person has typed the password just now."""
    client = Client()
    client.post(reverse("account_login"), {"login": person.email, "password": PASSWORD})
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    return client


def files_of(archive: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert opened.testzip() is None
        return {name: opened.read(name).decode() for name in opened.namelist()}


def downloaded(person: User) -> dict[str, str]:
    answer: Any = proven(person).get(reverse("own-data-archive"))
    assert answer["Content-Type"] == "application/zip"
    assert "no-store" in answer["Cache-Control"]
    return files_of(b"".join(answer.streaming_content))


def test_all_that_is_mine_is_in_it(
    held: Binding, alice: User, alice_card: Card, bob: User, family: Circle
) -> None:
    alice_card.photo = photos.keep(alice_card, jpeg())
    alice_card.save()
    files = downloaded(alice)
    (card,) = vcard.read(files["my-cards.vcf"])
    texts = [each.value for each in card.properties]
    assert "hidden from all" in texts and "+43 664 222" in texts
    assert "data:image/jpeg" in files["my-cards.vcf"]
    (mine,) = json.loads(files["my-cards.json"])
    assert mine["properties"][1]["circles"] == [str(family.pk)]
    assert len(mine["history"]) == alice_card.revisions.count() == 2
    assert [each["holder__username"] for each in mine["holders"]] == ["bob"]
    account = json.loads(files["account.json"])
    assert account["email"] == alice.email
    assert [each["name"] for each in account["circles"]] == ["Family"]


def test_what_i_hold_is_as_i_see_it(held: Binding, bob: User) -> None:
    Binding.objects.filter(pk=held.pk).update(note="met in Graz", tags=["work"])
    files = downloaded(bob)
    assert "+43 1 111" in files["cards-i-hold.vcf"]
    (mine,) = json.loads(files["cards-i-hold.json"])
    assert (mine["note"], mine["tags"]) == ("met in Graz", ["work"])
    whole = "".join(files.values())
    assert "+43 664 222" not in whole and "hidden from all" not in whole


def test_what_others_keep_is_theirs(held: Binding, alice: User) -> None:
    Binding.objects.filter(pk=held.pk).update(note="PRIVATE", nickname="PRIVATE")
    assert "PRIVATE" not in "".join(downloaded(alice).values())


def test_nothing_in_it_signs_anybody_in(bob: User) -> None:
    device = make_device(bob, "ios", push_token="ab" * 32)
    whole = "".join(downloaded(bob).values())
    secrets = (bob.password, device.token_hash, device.identifier_hash, "ab" * 32)
    assert not [each for each in secrets if each in whole]


def test_an_empty_account_has_an_archive(bob: User) -> None:
    files = downloaded(bob)
    assert files["my-cards.vcf"] == "" and json.loads(files["my-cards.json"]) == []
    assert json.loads(files["cards-i-hold.json"]) == []


def test_it_takes_as_many_queries_for_many_held_cards(held: Binding, bob: User) -> None:
    few = queries_of(bob)
    for number in range(5):
        bind(make_card(make_person(f"p{number}", f"P {number}"), prop("tel", "1", "*")), bob)
    assert queries_of(bob) == few


def queries_of(person: User) -> int:
    with CaptureQueriesContext(connection) as asked:
        archive.of(person).close()
    return len(asked)


@pytest.mark.parametrize("name", ["own-data-archive", "erase"])
def test_who_is_there_is_asked_again(name: str, bob: User, web: Web, client: Client) -> None:
    answer = web(bob).get(reverse(name))
    assert answer["Location"].startswith(reverse("account_reauthenticate"))
    assert web(bob).post(reverse(name)).status_code == 302
    assert client.get(reverse(name))["Location"].startswith(reverse("account_login"))
    bob.refresh_from_db()
    assert bob.is_active


def test_the_page_says_whom_it_concerns(held: Binding, alice: User) -> None:
    page = proven(alice).get(reverse("erase"))
    assert (page.context["cards"], page.context["holders"], page.context["held"]) == (1, 1, 1)
    alice.refresh_from_db()
    assert alice.is_active, "looking erases nothing"


def test_an_erased_account_is_gone_and_signed_out(held: Binding, alice: User, bob: User) -> None:
    browser = proven(alice)
    answer = browser.post(reverse("erase"))
    assert answer["Location"] == reverse("account_login")
    assert browser.get(reverse("home")).status_code == 302
    alice.refresh_from_db()
    assert not alice.is_active and alice.name == ""
    assert not Binding.objects.active().filter(holder=bob).exists()


def test_whoever_asks_for_it_again_and_again_has_to_wait(bob: User) -> None:
    browser = proven(bob)
    answers = [browser.get(reverse("own-data-archive")) for _each in range(11)]
    assert [each.status_code for each in answers] == [200] * 10 + [429]
    for each in answers:
        each.close()
