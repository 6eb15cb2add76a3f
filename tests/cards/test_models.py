"""A card is written one at a time, each change is a rev, and what it was is never changed."""

import uuid
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from accounts.models import Circle, User
from bindings import exchange
from cards.models import Card, CardRevision, Door, StaleCard
from tests.conftest import bind, change, make_card, prop


def test_every_save_is_one_rev_and_one_revision(alice: User) -> None:
    card = make_card(alice, prop("tel", "1", "*"))
    change(card, tel="2")
    assert [(each.rev, each.properties[0]["value"]) for each in card.revisions.all()] == [
        (2, "2"),
        (1, "1"),
    ]


def test_a_revision_says_who_changed_what_when_and_through_which_door(alice_card: Card) -> None:
    alice_card.label, alice_card.changed_by = "Work", alice_card.owner
    alice_card.changed_via = Door.API
    alice_card.save()
    revision = alice_card.revisions.get(rev=alice_card.rev)
    assert revision.content() == alice_card.content()
    assert (revision.changed_by, revision.changed_via) == (alice_card.owner, Door.API)
    assert revision.changed_at == alice_card.changed_at


def test_a_binding_is_a_rev_without_a_revision(alice_card: Card, bob: User) -> None:
    before, written = alice_card.rev, alice_card.changed_at
    held = bind(alice_card, bob)
    exchange.revoke(held)
    alice_card.refresh_from_db()
    assert alice_card.rev == before + 2
    assert alice_card.changed_at == written
    assert alice_card.revisions.count() == 1


def test_a_stale_card_is_not_saved(alice_card: Card) -> None:
    mine, theirs = (Card.objects.get(pk=alice_card.pk) for _ in range(2))
    theirs.label = "Theirs"
    theirs.save()
    mine.label = "Mine"
    with pytest.raises(StaleCard):
        mine.save()
    alice_card.refresh_from_db()
    assert (alice_card.label, alice_card.rev, mine.rev) == ("Theirs", 2, 1)
    assert alice_card.revisions.count() == 2


def test_a_stale_card_is_not_retired(alice_card: Card) -> None:
    mine = Card.objects.get(pk=alice_card.pk)
    alice_card.save()
    with pytest.raises(StaleCard):
        mine.retire()
    assert Card.objects.kept().filter(pk=alice_card.pk).exists()


def test_a_card_that_is_gone_is_not_saved_anew(alice: User) -> None:
    with pytest.raises(StaleCard):
        Card(pk=uuid.uuid4(), owner=alice, fn="Ghost", rev=3).save()


def test_a_save_that_fails_leaves_the_object_at_its_rev(alice_card: Card) -> None:
    alice_card.fn = None  # type: ignore[assignment]
    with pytest.raises(IntegrityError), transaction.atomic():
        alice_card.save()
    assert alice_card.rev == 1
    alice_card.fn = "Again"
    alice_card.save()
    assert alice_card.rev == 2


def test_update_fields_do_not_part_the_content_from_its_rev(alice_card: Card) -> None:
    alice_card.label, alice_card.fn = "Work", "Other"
    alice_card.save(update_fields=["label"])
    alice_card.refresh_from_db()
    assert (alice_card.fn, alice_card.rev) == ("Other", 2)


@pytest.mark.parametrize(
    "write",
    [
        lambda card: Card.objects.update(fn="x"),
        lambda card: Card.objects.filter(pk=card.pk).update(fn="x"),
        lambda card: card.owner.cards.update(fn="x"),
        lambda card: Card.objects.bulk_create([Card(owner=card.owner, fn="x")]),
        lambda card: Card.objects.bulk_update([card], ["fn"]),
        lambda card: Card.objects.all().delete(),
        lambda card: card.delete(),
    ],
)
def test_what_would_send_no_news_raises(alice_card: Card, write: Any) -> None:
    with pytest.raises(TypeError):
        write(alice_card)
    assert list(Card.objects.values_list("fn", "rev")) == [("Alice Example", 1)]


async def test_asynchronous_code_saves_through_the_same_door(
    transactional_db: None, django_user_model: Any
) -> None:
    owner = await django_user_model.objects.acreate(email="a@example.org", username="a", name="A")
    card = await Card.objects.acreate(owner=owner, fn="Async")
    await card.asave()
    assert await card.revisions.acount() == 1
    assert card.rev == 2


def test_a_revision_cannot_be_changed(alice_card: Card) -> None:
    revision = CardRevision.objects.get()
    revision.fn = "Never so called"
    with pytest.raises(TypeError):
        revision.save()
    assert CardRevision.objects.get().fn == "Alice Example"


@pytest.mark.parametrize(
    "write",
    [
        lambda revisions: revisions.update(fn="Never so called"),
        lambda revisions: revisions.bulk_update([revisions.get()], ["fn"]),
    ],
)
def test_revisions_cannot_be_changed_at_once(alice_card: Card, write: Any) -> None:
    with pytest.raises(TypeError):
        write(CardRevision.objects.all())


def test_the_database_keeps_one_revision_of_a_rev(alice_card: Card) -> None:
    copy = CardRevision(card=alice_card, rev=1, fn="Another")
    with pytest.raises(IntegrityError):
        copy.save()


def test_a_retired_card_is_empty_and_without_history(alice_card: Card) -> None:
    alice_card.retire()
    alice_card.refresh_from_db()
    assert alice_card.content() == ("", "", [], "", [])
    assert not CardRevision.objects.exists()
    assert not Card.objects.kept().exists()


def test_new_properties_are_seen_by_nobody_until_given(alice_card: Card, family: Circle) -> None:
    alice_card.properties.append(prop("url", "https://example.org"))
    assert "example.org" not in str(alice_card.visible_to([str(family.pk)]))


def test_a_view_shows_what_is_given_to_everyone_and_to_its_circles(
    alice_card: Card, family: Circle
) -> None:
    assert seen(alice_card) == ["+43 1 111"]
    assert seen(alice_card, str(family.pk)) == ["+43 1 111", "+43 664 222"]
    assert seen(alice_card, "another circle") == ["+43 1 111"]


def test_a_view_says_nothing_of_circles(alice_card: Card, family: Circle) -> None:
    alice_card.photo, alice_card.photo_circles = "abc.jpg", [str(family.pk)]
    view = alice_card.visible_to([str(family.pk)])
    assert str(family.pk) not in str(view)
    assert set(view["properties"][0]) == {"name", "value", "params"}
    assert view["photo"] == "/photos/abc.jpg"


def test_a_photo_is_seen_by_its_circles_alone(alice_card: Card, family: Circle) -> None:
    alice_card.photo, alice_card.photo_circles = "abc.jpg", [str(family.pk)]
    assert alice_card.visible_to([])["photo"] is None


def seen(card: Card, *circles: str) -> list[Any]:
    return [each["value"] for each in card.visible_to(circles)["properties"]]
