"""An owner's history: what changed, line by line, and going back."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.translation import override

from accounts.models import Circle, Device, User
from bindings import exchange
from bindings.models import Binding
from cards import history
from cards.models import Card, CardRevision, Door
from delivery import fanout
from tests.conftest import bind, catch_up, change, make_card, make_device, make_person, prop
from tests.rest import all_rows

Web = Callable[[User], Client]


def last_change(card: Card, circles: dict[str, str] | None = None) -> list[tuple[str, str, str]]:
    after, before = card.revisions.all()[:2]
    changed = history.of_contents(before, after, circles or {})
    return [(each.label, each.before, each.after) for each in changed]


def test_a_line_that_changed_came_or_went_is_told(alice_card: Card, family: Circle) -> None:
    change(alice_card, tel="+43 1 999")
    assert last_change(alice_card) == [("Phone (work)", "+43 1 111", "+43 1 999")]
    alice_card.properties.append(prop("email", "alice@example.org", "*"))
    del alice_card.properties[2]
    alice_card.fn = "Alice E."
    alice_card.save()
    assert last_change(alice_card) == [
        ("Name on the card", "Alice Example", "Alice E."),
        ("Note", "hidden from all", ""),
        ("Email", "", "alice@example.org"),
    ]


def test_of_two_equal_lines_one_may_go(alice: User) -> None:
    card = make_card(alice, prop("tel", "1", "*"), prop("tel", "1", "*"))
    del card.properties[0]
    card.save()
    assert last_change(card) == [("Phone", "1", "")]


def test_another_type_is_told_of_the_same_number(alice: User) -> None:
    card = make_card(alice, prop("tel", "+43 1 111", "*", type=["work"]))
    card.properties[0]["params"] = {"type": ["home"]}
    card.save()
    assert last_change(card) == [("Phone (home)", "+43 1 111 (Phone (work))", "+43 1 111")]


@pytest.mark.parametrize(
    ("language", "said"),
    [("en", "the public, Family, Work"), ("zh-hans", "公众、Family、Work")],
)
def test_circles_are_listed_as_the_language_does(language: str, said: str) -> None:
    with override(language):
        assert history.spoken(["public", "1", "2"], {"1": "Family", "2": "Work"}) == said


def test_who_sees_a_line_is_told_in_words(alice_card: Card, family: Circle) -> None:
    alice_card.properties[1]["circles"] = []
    alice_card.properties[2]["circles"] = ["*"]
    alice_card.save()
    assert last_change(alice_card, {str(family.pk): "Family"}) == [
        ("Who sees: Phone (home)", "Family", "only you"),
        ("Who sees: Note", "only you", "everyone who holds the card"),
    ]


def test_the_label_and_the_photo_are_told(alice: User) -> None:
    card = make_card(alice)
    card.label, card.photo, card.photo_circles = "Work", "0" * 40 + ".jpg", ["*"]
    card.save()
    assert last_change(card) == [("Photo", "", "a new picture"), ("Label", "", "Work")]
    card.photo_circles = []
    card.save()
    assert last_change(card) == [
        ("Who sees: Photo", "everyone who holds the card", "only you"),
    ]


def test_a_move_alone_changes_no_line(alice_card: Card) -> None:
    alice_card.properties.reverse()
    alice_card.save()
    assert last_change(alice_card) == []


# Going back


def test_going_back_is_a_new_rev_with_the_old_content(alice_card: Card, alice: User) -> None:
    first = alice_card.revisions.get()
    change(alice_card, tel="+43 1 999")
    alice_card.changed_by, alice_card.changed_via = alice, Door.WEB
    alice_card.restore(first)
    assert alice_card.rev == 3
    assert alice_card.content() == first.content()
    assert [each.rev for each in alice_card.revisions.all()] == [3, 2, 1]


def test_what_a_circle_that_is_gone_saw_is_hidden(alice_card: Card, family: Circle) -> None:
    first, circle = alice_card.revisions.get(), str(family.pk)
    exchange.drop_circle(family)
    alice_card.refresh_from_db()
    change(alice_card, tel="+43 1 999")
    alice_card.restore(first)
    assert [each["circles"] for each in alice_card.properties] == [["*"], [], []]
    assert first.properties[1]["circles"] == [circle]  # the revision itself stays


def restore(browser: Client, card: Card, rev: Any, seen: Any) -> Any:
    return browser.post(reverse("card-restore", args=[card.pk]), {"rev": rev, "seen": seen})


def number_on(phone: Device, card: Card) -> str:
    """What the phone shows of the card once it has caught up."""
    views = [
        each["view"] for each in catch_up(phone) if each["card"] == str(card.pk) and "view" in each
    ]
    return str(views[-1]["properties"][0]["value"])


def test_undo_reaches_every_copy(web: Web, held: Binding, alice: User, bob: User) -> None:
    phone, card = make_device(bob), held.card
    catch_up(phone)
    change(card, tel="+43 1 999")
    fanout.run_all()
    assert number_on(phone, card) == "+43 1 999"
    newest, before = card.revisions.all()[:2]
    page = restore(web(alice), card, before.rev, newest.rev)
    assert page["Location"] == reverse("reach", args=[card.pk])
    fanout.run_all()
    assert number_on(phone, card) == "+43 1 111"
    assert card.revisions.first().changed_via == Door.WEB  # type: ignore[union-attr]


def test_undo_before_the_change_was_fanned_out_leaves_nobody_behind(
    web: Web, held: Binding, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pass is running: one holder has the change, the others get what it was before."""
    monkeypatch.setattr(fanout, "CHUNK", 1)
    card = held.card
    holders = [bob, *(make_person(name, name) for name in ("dora", "emil"))]
    for person in holders[1:]:
        bind(card, person)
    phones = [make_device(person) for person in holders]
    for phone in phones:
        catch_up(phone)
    first = card.content_rev
    change(card, tel="+43 1 999")
    fanout.run_one(card.pk)
    restore(web(alice), card, first, card.content_rev)
    fanout.run_all()
    assert [number_on(phone, card) for phone in phones] == ["+43 1 111"] * 3


def test_whoever_has_not_seen_the_newest_changes_nothing(
    web: Web, alice_card: Card, alice: User
) -> None:
    change(alice_card, tel="+43 1 999")
    browser = web(alice)
    answer = restore(browser, alice_card, 1, 1)
    assert "has changed meanwhile" in browser.get(answer["Location"]).content.decode()
    alice_card.refresh_from_db()
    assert alice_card.properties[0]["value"] == "+43 1 999"


@pytest.mark.parametrize("rev", ["", "0", "99", "-1", "1e3", "x" * 50, "٣" * 30])
def test_a_revision_that_is_not_there_is_404(
    web: Web, alice_card: Card, alice: User, rev: str
) -> None:
    browser, before = web(alice), all_rows()
    assert restore(browser, alice_card, rev, 1).status_code == 404
    assert all_rows() == before


@pytest.mark.parametrize("name", ["card-history", "card-restore", "card-duplicate"])
def test_a_stranger_finds_nothing(web: Web, alice_card: Card, charlie: User, name: str) -> None:
    browser, before = web(charlie), all_rows()
    url = reverse(name, args=[alice_card.pk])
    assert browser.get(url).status_code in {404, 405}
    assert browser.post(url, {"rev": 1, "seen": 1}).status_code == 404
    assert all_rows() == before


# Pages


def test_the_history_shows_each_change_and_the_way_back(
    web: Web, alice_card: Card, alice: User
) -> None:
    change(alice_card, tel="+43 1 999")
    page = web(alice).get(reverse("card-history", args=[alice_card.pk])).content.decode()
    assert "<del" in page and "+43 1 111" in page and "+43 1 999" in page
    assert page.count("Go back to this") == 1
    assert "The card was made." in page


def test_a_long_history_has_pages_whose_last_line_knows_what_was_before(
    web: Web, alice_card: Card, alice: User
) -> None:
    for number in range(25):
        change(alice_card, tel=f"+43 1 {number}")
    browser, url = web(alice), reverse("card-history", args=[alice_card.pk])
    first, second = browser.get(url), browser.get(f"{url}?page=2")
    assert [len(page.context["changes"]) for page in (first, second)] == [20, 6]
    assert all(differences for _revision, differences in first.context["changes"])
    assert second.context["changes"][-1][1] is None


def test_a_copy_has_the_same_on_it_and_no_holders(
    web: Web, held: Binding, alice: User, alice_card: Card
) -> None:
    web(alice).post(reverse("card-duplicate", args=[alice_card.pk]))
    copy = Card.objects.exclude(pk=alice_card.pk).get(owner=alice)
    assert copy.properties == alice_card.properties
    assert copy.label == "Copy of Alice Example"
    assert not copy.bindings.exists()
    assert CardRevision.objects.get(card=copy).changed_by == alice


# For a holder


def told(card: Card, *circles: str, since: int = 1) -> list[list[tuple[str, str]]]:
    card.refresh_from_db()
    changes = history.seen_through(card, circles, since)
    assert all(each.before == "" for change in changes for each in change.differences)
    return [[(each.label, each.after) for each in change.differences] for change in changes]


def test_a_holder_is_told_what_changed_for_them(alice_card: Card, family: Circle) -> None:
    change(alice_card, tel="+43 1 999")
    change(alice_card, note="still hidden")
    alice_card.fn = "Alice E."
    alice_card.save()
    assert told(alice_card) == [
        [("Name on the card", "Alice E.")],
        [("Phone (work)", "+43 1 999")],
    ]
    assert told(alice_card, since=2) == [[("Name on the card", "Alice E.")]]


def test_what_a_holder_sees_no_more_is_only_said_to_have_changed(
    alice_card: Card, family: Circle
) -> None:
    circle = str(family.pk)
    change(alice_card, tel="+43 1 999")
    alice_card.properties[1]["value"] = "+43 664 333"
    alice_card.save()
    alice_card.properties[1]["circles"] = []
    alice_card.properties[0]["value"] = "+43 1 000"
    alice_card.save()
    assert told(alice_card, circle) == [
        [("Phone (work)", "+43 1 000"), ("Something that is no longer shown", "")],
        [("Something that is no longer shown", "")],
        [("Phone (work)", "")],
    ]


def test_the_page_of_a_held_card_tells_it(web: Web, held: Binding, bob: User) -> None:
    change(held.card, tel="+43 1 999")
    page = web(bob).get(reverse("held-card", args=[held.pk])).content.decode()
    assert "What changed" in page and "<ins>+43 1 999</ins>" in page and "+43 1 111" not in page
