"""Staff's pages of cards: one save, checked as the API checks it, never over somebody else's."""

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Circle, User
from bindings.models import Binding
from cards.admin import CardForm
from cards.models import Card, CardRevision, Door
from delivery import fanout
from delivery.models import CardUpdate
from tests.conftest import change, make_card, prop
from tests.staff import (
    act,
    act_at_once,
    browser_of,
    delete_page_of,
    last_log,
    list_page,
    make_staff,
    page_of,
    said,
)


@pytest.fixture
def staff(db: None) -> Client:
    return browser_of(make_staff())


def form_of(card: Card, **changes: Any) -> dict[str, Any]:
    """What a browser sends from the page of the card."""
    fields = {"label": card.label, "fn": card.fn, "properties": card.properties, **changes}
    if not isinstance(fields["properties"], str):
        fields["properties"] = json.dumps(fields["properties"])
    return {"seen_rev": card.rev, **fields}


def errors_of(answer: Any) -> dict[str, list[str]]:
    assert answer.status_code == 200
    form = answer.context["adminform"].form
    return {name: list(errors) for name, errors in form.errors.items()}


def traces() -> list[Any]:
    """All that a save leaves behind."""
    return [
        list(model.objects.order_by("pk").values()) for model in (Card, CardRevision, CardUpdate)
    ]


def test_a_save_is_one_rev_one_revision_and_one_update(staff: Client, alice_card: Card) -> None:
    fanout.run_all()
    properties = [*alice_card.properties, prop("title", "Designer", "*")]
    answer = staff.post(page_of(alice_card), form_of(alice_card, properties=properties))
    assert answer.status_code == 302
    card = Card.objects.get(pk=alice_card.pk)
    assert card.rev == alice_card.rev + 1
    assert card.properties == properties
    assert [each.rev for each in card.revisions.all()] == [card.rev, alice_card.rev]
    assert list(CardUpdate.objects.due().values_list("card", "rev")) == [(card.pk, card.rev)]


def test_a_save_says_who_it_was_and_by_which_door(staff: Client, alice_card: Card) -> None:
    staff.post(page_of(alice_card), form_of(alice_card, fn="Alice Renamed"))
    revision = alice_card.revisions.latest("rev")
    assert revision.fn == "Alice Renamed"
    assert revision.changed_by == User.objects.get(username="staff")
    assert revision.changed_via == Door.ADMIN


def test_saving_what_was_not_changed_is_no_save(staff: Client, alice_card: Card) -> None:
    before = traces()
    assert staff.post(page_of(alice_card), form_of(alice_card)).status_code == 302
    assert traces() == before


def test_a_stale_save_is_refused(staff: Client, alice_card: Card) -> None:
    seen = form_of(alice_card, fn="Staff's name")
    changed = change(alice_card, tel="+43 1 333")
    before = traces()
    errors = errors_of(staff.post(page_of(alice_card), seen))
    assert "changed since this page was opened" in errors["__all__"][0]
    assert f"revision {changed.rev}" in errors["__all__"][0]
    assert traces() == before


def test_a_stale_page_stays_stale(staff: Client, alice_card: Card) -> None:
    """Pressing save once more on the page that said so must not write over the change either."""
    seen = form_of(alice_card, fn="Staff's name")
    change(alice_card, tel="+43 1 333")
    page = staff.post(page_of(alice_card), seen)
    again = page.context["adminform"].form["seen_rev"].value()
    errors_of(staff.post(page_of(alice_card), {**seen, "seen_rev": again}))
    alice_card.refresh_from_db()
    assert alice_card.fn == "Alice Example"


def test_a_change_between_the_check_and_the_save_is_kept(
    staff: Client, alice_card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = CardForm.clean

    def overtaken(form: CardForm) -> dict[str, Any]:
        checked = check(form)
        change(Card.objects.get(pk=alice_card.pk), tel="+43 1 444")
        return checked

    monkeypatch.setattr(CardForm, "clean", overtaken)
    answer = staff.post(page_of(alice_card), form_of(alice_card, fn="Late"), follow=True)
    assert "Nothing has been saved" in said(answer)[0]
    assert Card.objects.get(pk=alice_card.pk).fn == "Alice Example"


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ("[{", "valid JSON"),
        ('{"name": "tel"}', "list"),
        ('"text"', "list"),
        ("[3]", "Property 1"),
        ('[{"name": "tel"}]', "Property 1: value: This field is required."),
        ('[{"name": "tel", "value": {"a": "b"}}]', "tel has to be a string"),
        ('[{"name": "two words", "value": "x"}]', "Property 1"),
        ('[{"name": "fn", "value": "Somebody"}]', "fn is a field"),
        ('[{"name": "tel", "value": "1", "circles": ["nobody"]}]', "Property 1: circles: "),
        ('[{"name": "tel", "value": "1", "params": {"type": "work"}}]', "Property 1: params: "),
    ],
)
def test_properties_that_the_api_refuses_are_refused(
    staff: Client, alice_card: Card, properties: str, words: str
) -> None:
    before = traces()
    answer = staff.post(page_of(alice_card), form_of(alice_card, properties=properties, fn="X"))
    assert words in errors_of(answer)["properties"][0]
    assert traces() == before


@pytest.mark.parametrize("fn", ["", "two\x07lines"])
def test_a_name_that_is_none_is_refused(staff: Client, alice_card: Card, fn: str) -> None:
    before = traces()
    assert "fn" in errors_of(staff.post(page_of(alice_card), form_of(alice_card, fn=fn)))
    assert traces() == before


def test_circles_are_the_owners_own(staff: Client, alice_card: Card, bob: User) -> None:
    his = Circle.objects.create(owner=bob, name="Bob's")
    properties = [prop("tel", "1", str(his.pk))]
    answer = staff.post(page_of(alice_card), form_of(alice_card, properties=properties))
    assert str(his.pk) in errors_of(answer)["properties"][0]


def test_no_properties_are_an_empty_list(staff: Client, alice_card: Card) -> None:
    for nothing in ("", "null", "[]"):
        alice_card.refresh_from_db()
        staff.post(page_of(alice_card), form_of(alice_card, properties=nothing))
        assert Card.objects.get(pk=alice_card.pk).properties == []


def test_staff_add_a_card_for_its_owner(staff: Client, alice: User, family: Circle) -> None:
    properties = [prop("tel", "+43 1 555", str(family.pk))]
    form = form_of(Card(owner=alice, fn="Alice", properties=properties))
    answer = staff.post(reverse("admin:cards_card_add"), {**form, "owner": alice.pk})
    assert answer.status_code == 302
    card = Card.objects.get(owner=alice)
    assert (card.rev, card.properties, card.changed_via) == (1, properties, Door.ADMIN)
    assert CardUpdate.objects.get(card=card).rev == 1


def test_a_new_card_has_the_circles_of_its_own_owner(
    staff: Client, bob: User, family: Circle
) -> None:
    form = form_of(Card(fn="Bob", properties=[prop("tel", "1", str(family.pk))]))
    answer = staff.post(reverse("admin:cards_card_add"), {**form, "owner": bob.pk})
    assert str(family.pk) in errors_of(answer)["properties"][0]
    assert not Card.objects.exists()


def test_a_new_card_needs_an_owner(staff: Client) -> None:
    form = form_of(Card(fn="Nobody", properties=[]))
    assert "owner" in errors_of(staff.post(reverse("admin:cards_card_add"), form))


def test_the_owner_of_a_new_card_can_be_looked_for(staff: Client, alice: User) -> None:
    asked = {"app_label": "cards", "model_name": "card", "field_name": "owner", "term": "ali"}
    found = staff.get(reverse("admin:autocomplete"), asked).json()["results"]
    assert [each["id"] for each in found] == [str(alice.pk)]


def test_the_owner_of_a_card_is_never_changed(staff: Client, alice_card: Card, bob: User) -> None:
    staff.post(page_of(alice_card), {**form_of(alice_card, fn="New"), "owner": bob.pk})
    card = Card.objects.get(pk=alice_card.pk)
    assert (card.fn, card.owner) == ("New", alice_card.owner)


def test_the_page_shows_what_each_audience_sees(
    staff: Client, alice_card: Card, family: Circle
) -> None:
    faces = staff.get(page_of(alice_card)).content.decode().partition("<h3>")[2]
    everyone, _between, relatives = faces.partition("<h3>Family</h3>")
    assert str(family.pk) in relatives
    assert "+43 1 111" in everyone
    assert "+43 664 222" not in everyone
    assert "+43 1 111" in relatives
    assert "+43 664 222" in relatives
    assert "hidden from all" not in faces


def test_the_page_escapes_what_is_on_a_card(staff: Client, alice: User) -> None:
    card = make_card(alice, prop("note", "<script>alert(1)</script>", "*"), fn="<b>Bold</b>")
    for page in (page_of(card), list_page(Card), page_of(card.revisions.get())):
        text = staff.get(page).content.decode()
        assert "<script>alert" not in text
        assert "<b>Bold" not in text


def test_the_page_leads_to_the_revisions_of_this_card(
    staff: Client, alice_card: Card, bob_card: Card
) -> None:
    change(alice_card, tel="+43 1 333")
    query = f"card__id__exact={alice_card.pk}"
    assert query in staff.get(page_of(alice_card)).content.decode()
    page = staff.get(f"{list_page(CardRevision)}?{query}")
    assert [each.rev for each in page.context["cl"].result_list] == [2, 1]


def test_revisions_are_only_looked_at(staff: Client, alice_card: Card) -> None:
    revision = alice_card.revisions.get()
    before = traces()
    assert staff.post(page_of(revision), {"fn": "Forged"}).status_code == 403
    assert staff.get(reverse("admin:cards_cardrevision_add")).status_code == 403
    assert traces() == before


def test_retiring_asks_first(staff: Client, alice_card: Card) -> None:
    page = act(staff, "retire", [alice_card])
    assert b"for good" in page.content
    alice_card.refresh_from_db()
    assert alice_card.retired_at is None


def test_retiring_takes_the_card_back(staff: Client, held: Binding, alice_card: Card) -> None:
    fanout.run_all()
    act_at_once(staff, "retire", alice_card)
    card = Card.objects.get(pk=alice_card.pk)
    assert card.retired_at
    assert card.rev == alice_card.rev + 1
    assert (card.changed_by, card.changed_via) == (User.objects.get(username="staff"), Door.ADMIN)
    assert CardUpdate.objects.due().get().card == card
    assert "Alice" not in last_log().object_repr


def test_what_is_retired_is_retired_once(staff: Client, alice_card: Card) -> None:
    alice_card.retire()
    before = traces()
    act_at_once(staff, "retire", alice_card)
    assert traces() == before


def test_a_retired_card_is_only_looked_at(staff: Client, alice_card: Card) -> None:
    form = form_of(alice_card, fn="Back again")
    alice_card.retire()
    assert staff.get(page_of(alice_card)).status_code == 200
    answer = staff.post(page_of(alice_card), {**form, "seen_rev": alice_card.rev})
    assert answer.status_code == 403


def test_every_page_of_a_retired_card_names_it_by_its_id(staff: Client, alice_card: Card) -> None:
    alice_card.retire()
    history = staff.get(reverse("admin:cards_card_history", args=[alice_card.pk])).content.decode()
    assert f'<a href="{page_of(alice_card)}">{alice_card.pk}</a>' in history


def test_a_card_is_not_deleted(staff: Client, alice_card: Card) -> None:
    assert staff.post(delete_page_of(alice_card), {"post": "yes"}).status_code == 403
    act_at_once(staff, "delete_selected", alice_card)
    assert Card.objects.filter(pk=alice_card.pk, retired_at=None).exists()
