"""Every way to write a card makes exactly one piece of news for each device that holds it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core import serializers
from django.db import OperationalError, transaction
from django.test import Client

from accounts.models import User
from bindings.models import Binding
from cards.models import Card
from delivery import fanout
from delivery.models import CardUpdate
from tests.conftest import RecordingLayer, api_of, catch_up, make_device, pending

PROPERTIES = [{"name": "tel", "value": "+43 1 999", "params": {}, "circles": ["*"]}]


def through_save(card: Card, web: Any) -> None:
    card.properties = PROPERTIES
    card.save()


def through_save_with_update_fields(card: Card, web: Any) -> None:
    card.properties = PROPERTIES
    card.save(update_fields=["properties"])


def through_update_or_create(card: Card, web: Any) -> None:
    Card.objects.update_or_create(pk=card.pk, defaults={"properties": PROPERTIES})


def through_api_patch(card: Card, web: Any) -> None:
    through_api("patch", card, {"properties": PROPERTIES})


def through_api_put(card: Card, web: Any) -> None:
    through_api("put", card, {"fn": card.fn, "properties": PROPERTIES})


def through_api(method: str, card: Card, body: dict[str, Any]) -> None:
    api = getattr(api_of(card.owner), method)
    answer = api(f"/api/v1/cards/{card.pk}", body, headers={"If-Match": f'"{card.rev}"'})
    assert answer.status_code == 200, answer.content


def through_admin(card: Card, web: Callable[[User], Client]) -> None:
    staff = User.objects.create_superuser("root@example.org", "x", name="Root", username="root")
    page = web(staff).get(f"/admin/cards/card/{card.pk}/change/")
    form = page.context["adminform"].form
    fields = {name: form[name].value() or "" for name in form.fields}
    inlines = {
        f"{each.formset.prefix}-{part}": "0"
        for each in page.context["inline_admin_formsets"]
        for part in ("TOTAL_FORMS", "INITIAL_FORMS")
    }
    body = {**fields, **inlines, "properties": json.dumps(PROPERTIES)}
    answer = web(staff).post(f"/admin/cards/card/{card.pk}/change/", body)
    assert answer.status_code == 302, answer.content


DOORS = [
    through_save,
    through_save_with_update_fields,
    through_update_or_create,
    through_api_patch,
    through_api_put,
    through_admin,
]


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_one_save_is_one_piece_of_news(
    held: Binding, bob: User, wire: RecordingLayer, web: Any, door: Any
) -> None:
    fanout.run_all()
    phones = [make_device(bob), make_device(bob, "desktop")]
    for phone in phones:
        catch_up(phone)
    wire.published.clear()
    before = Card.objects.get(pk=held.card_id)
    door(before, web)
    after = Card.objects.get(pk=held.card_id)
    assert after.rev == held.card.rev + 1
    assert CardUpdate.objects.get(pk=after.pk).rev == after.rev
    fanout.run_all()
    assert len(wire.frames_to(bob)) == 1
    for phone in phones:
        assert pending(phone) == {str(after.pk): ("card", after.rev)}


def test_a_fixture_brings_its_own_rows(alice_card: Card) -> None:
    CardUpdate.objects.all().delete()
    for read in serializers.deserialize("json", serializers.serialize("json", [alice_card])):
        read.save()
    assert not CardUpdate.objects.exists()


def test_the_intent_is_written_in_the_cards_own_transaction(alice_card: Card) -> None:
    """Not after the commit: the process may die between the two."""
    with transaction.atomic():
        alice_card.save()
        assert CardUpdate.objects.get(pk=alice_card.pk).rev == alice_card.rev


def test_a_card_whose_intent_cannot_be_written_is_not_saved(
    alice_card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("disk full")

    monkeypatch.setattr(CardUpdate.objects, "bulk_create", full_disk)
    with pytest.raises(OperationalError):
        alice_card.save()
    assert Card.objects.get(pk=alice_card.pk).rev == alice_card.rev


@pytest.mark.django_db(transaction=True)
def test_a_save_that_is_rolled_back_leaves_no_intent(alice_card: Card) -> None:
    before = CardUpdate.objects.get(pk=alice_card.pk).rev
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        alice_card.save()
        raise ZeroDivisionError
    assert CardUpdate.objects.get(pk=alice_card.pk).rev == before
