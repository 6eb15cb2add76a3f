"""Asking a holder before a change is applied: the choice, what waits, and the two answers."""

import json
import re
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from accounts.models import Circle, User
from bindings import archive, exchange, guests, keeping
from bindings.models import Binding
from cards.models import Card
from tests.bindings.test_account import downloaded
from tests.conftest import api_of, bind, change, make_card, make_person, prop
from tests.rest import API, after_reading, all_rows, refused

Web = Callable[[User], Client]


def text(answer: Any) -> str:
    return str(answer.content.decode())


def now(binding: Binding) -> Binding:
    return Binding.objects.complete().get(pk=binding.pk)


@pytest.fixture
def asked(held: Binding) -> Binding:
    """Bob is asked about Alice's card."""
    keeping.keep(held, {"asks": True})
    return now(held)


@pytest.fixture
def waiting(asked: Binding) -> Binding:
    """It has another number now."""
    change(asked.card, tel="+43 1 999")
    return now(asked)


# What waits


def test_nothing_waits_for_whoever_is_not_asked(held: Binding) -> None:
    change(held.card, tel="+43 1 999")
    assert not now(held).waits and not Binding.objects.waiting().exists()


def test_to_want_to_be_asked_takes_over_what_was_applied(held: Binding) -> None:
    change(held.card, tel="+43 1 999")
    keeping.keep(held, {"asks": True})
    assert not now(held).waits
    assert now(held).approved_rev == now(held).followed_rev


def test_a_change_waits_until_it_is_taken_over(waiting: Binding) -> None:
    assert waiting.waits and list(Binding.objects.waiting()) == [waiting]
    keeping.keep(waiting, {"approved_rev": waiting.followed_rev})
    assert not now(waiting).waits and not Binding.objects.waiting().exists()


def test_what_comes_after_what_was_seen_waits_on(waiting: Binding) -> None:
    change(waiting.card, tel="+43 1 000")
    keeping.keep(waiting, {"approved_rev": waiting.followed_rev})
    assert now(waiting).waits


def test_what_was_taken_over_is_not_taken_back(waiting: Binding) -> None:
    keeping.keep(waiting, {"approved_rev": waiting.followed_rev})
    keeping.keep(waiting, {"approved_rev": 1})
    assert now(waiting).approved_rev == waiting.followed_rev


def test_a_change_that_is_hidden_from_the_holder_does_not_wait(asked: Binding) -> None:
    change(asked.card, note="hidden as well")
    assert not now(asked).waits


def test_a_card_that_is_taken_back_does_not_wait(waiting: Binding) -> None:
    exchange.revoke(waiting)
    assert not now(waiting).waits and not Binding.objects.waiting().exists()
    with pytest.raises(exchange.Gone):
        keeping.keep(waiting, {"approved_rev": waiting.followed_rev})


def test_what_differs_is_told_without_what_was_taken_away(asked: Binding, bob: User) -> None:
    card = Card.objects.get(pk=asked.card_id)
    card.properties[0] = prop("email", "alice@example.org", "*")
    card.save()
    told = keeping.unapproved(now(asked))
    assert [(each.label, each.after) for each in told] == [
        ("Something that is no longer shown", ""),
        ("Email", "alice@example.org"),
    ]
    assert "+43 1 111" not in str(told)


def test_a_change_that_was_undone_differs_in_nothing(waiting: Binding) -> None:
    change(waiting.card, tel="+43 1 111")
    assert keeping.unapproved(now(waiting)) == []


def test_what_other_circles_saw_is_not_told(asked: Binding, family: Circle) -> None:
    card = Card.objects.get(pk=asked.card_id)
    card.properties[1]["value"] = "+43 664 999"
    card.save()
    exchange.regrant(asked, [str(family.pk)])
    assert now(asked).waits
    assert keeping.unapproved(now(asked)) == []


def show_note_to(card: Card, *circles: str) -> None:
    card.refresh_from_db()
    card.properties[2]["circles"] = [*circles]
    card.save()


def test_circles_that_show_the_same_do_not_wait(asked: Binding, alice: User) -> None:
    """Whatever the revs at which they came to show it."""
    circle = Circle.objects.create(owner=alice, name="Alike")
    bind(asked.card, make_person("dora", "Dora"), str(circle.pk))
    show_note_to(asked.card, str(circle.pk))
    show_note_to(asked.card)
    exchange.regrant(asked, [str(circle.pk)])
    assert now(asked).view.rev > asked.approved_rev and not now(asked).waits
    show_note_to(asked.card, str(circle.pk))
    before = now(asked).followed_rev
    keeping.keep(asked, {"approved_rev": before})
    show_note_to(asked.card, "*")
    exchange.drop_circle(circle)
    assert now(asked).view.rev > before and not now(asked).waits


# The choice for all cards


def test_the_choice_for_all_does_not_touch_what_was_chosen_for_one(
    held: Binding, bob: User, alice: User
) -> None:
    never = bind(make_card(alice, prop("tel", "1", "*")), bob)
    keeping.keep(never, {"asks": False})
    keeping.ask_about_all(bob, True)
    change(held.card, tel="2")
    change(never.card, tel="2")
    assert list(Binding.objects.waiting()) == [held]
    keeping.ask_about_all(bob, False)
    assert not Binding.objects.waiting().exists()


def test_what_waits_is_not_taken_over_by_asking_about_all(waiting: Binding, bob: User) -> None:
    keeping.ask_about_all(bob, True)
    assert list(Binding.objects.waiting()) == [waiting]
    keeping.ask_about_all(bob, False)
    assert list(Binding.objects.waiting()) == [waiting]


def test_asking_about_all_begins_with_what_was_applied(held: Binding, bob: User) -> None:
    change(held.card, tel="2")
    keeping.ask_about_all(bob, True)
    assert not now(held).waits
    assert now(held).private_rev == 1


def test_a_card_that_is_new_does_not_wait(alice_card: Card, bob: User, bob_card: Card) -> None:
    keeping.ask_about_all(bob, True)
    assert not now(bind(alice_card, bob)).waits


def test_a_claimed_card_does_not_wait_for_anybody(
    alice_card: Card, alice: User, charlie: User
) -> None:
    for person in (alice, charlie):
        keeping.ask_about_all(person, True)
    _invitation, code = exchange.invite(alice_card, lifetime=timedelta(days=1))

    def leave(guest: User) -> None:
        exchange.accept_invitation(code, guest, make_card(guest, prop("tel", "1", "*")))

    guests.claim(guests.welcome("Grace", leave), charlie)
    assert Binding.objects.active().filter(holder__in=[alice, charlie]).count() == 2
    assert not Binding.objects.waiting().exists()


def test_nothing_of_the_choice_is_left_of_who_is_erased(waiting: Binding, bob: User) -> None:
    keeping.ask_about_all(bob, True)
    exchange.erase(bob)
    bob.refresh_from_db()
    assert not bob.asks_before_applying and now(waiting).asks is None


# Pages


DOORS = ["take-over", "put-off"]


@pytest.mark.parametrize("door", DOORS)
def test_only_the_holder_answers(
    door: str, waiting: Binding, alice: User, charlie: User, web: Web, client: Client
) -> None:
    url, before = reverse(door, args=[waiting.pk]), all_rows()["bindings.Binding"]
    for stranger in (alice, charlie):
        assert web(stranger).post(url, {"rev": waiting.followed_rev}).status_code == 404
    assert client.post(url)["Location"].startswith(reverse("account_login"))
    assert all_rows()["bindings.Binding"] == before


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("rev", ["", "x", "0", "-1", "1.5", str(2**63), "9" * 5000, "\0", "²"])
def test_garbage_is_no_answer(door: str, rev: str, waiting: Binding, bob: User, web: Web) -> None:
    browser, before = web(bob), all_rows()["bindings.Binding"]
    url = reverse(door, args=[waiting.pk])
    assert browser.get(url).status_code == 405
    assert browser.post(url, {"rev": rev}).status_code == 400
    assert browser.post(url, {}).status_code == 400
    assert all_rows()["bindings.Binding"] == before


def test_a_revision_that_is_not_there_yet_is_not_taken_over(
    waiting: Binding, bob: User, web: Web
) -> None:
    url = reverse("take-over", args=[waiting.pk])
    assert web(bob).post(url, {"rev": waiting.followed_rev + 1}).status_code == 400
    assert now(waiting).waits


def test_the_page_of_the_card_asks(waiting: Binding, bob: User, web: Web) -> None:
    browser, page = web(bob), reverse("held-card", args=[waiting.pk])
    shown = text(browser.get(page))
    assert "Take the change over?" in shown and "<ins>+43 1 999</ins>" in shown
    assert "+43 1 111" not in shown
    answer = browser.post(reverse("take-over", args=[waiting.pk]), {"rev": waiting.followed_rev})
    assert answer["Location"] == page
    assert "Take the change over?" not in text(browser.get(page))


def test_the_first_page_asks_until_it_hears_not_now(waiting: Binding, bob: User, web: Web) -> None:
    browser, url = web(bob), reverse("put-off", args=[waiting.pk])
    first = text(browser.get("/"))
    assert "Changes to take over" in first and "changed-" + str(waiting.pk) not in first
    answer = browser.post(url, {"rev": waiting.followed_rev, "home": "1"})
    assert answer["Location"] == "/"
    first = text(browser.get("/"))
    assert "Changes to take over" not in first
    assert "One change waits until you take it over" in first
    shown = text(browser.get(reverse("held-card", args=[waiting.pk])))
    assert "Take it over" in shown and "Not now" not in shown
    change(waiting.card, tel="+43 1 000")
    assert "Changes to take over" in text(browser.get("/"))


def test_the_list_says_what_waits_and_shows_only_that(
    waiting: Binding, alice: User, bob: User, web: Web
) -> None:
    bind(make_card(alice, fn="Other card"), bob)
    browser = web(bob)
    assert text(browser.get(reverse("held"))).count("Changed, not taken over") == 1
    narrowed = text(browser.get(reverse("held"), {"waiting": "1"}))
    assert "Alice Example" in narrowed and "Other card" not in narrowed


def test_all_that_is_listed_is_taken_over_as_it_was_listed(
    waiting: Binding, alice: User, bob: User, charlie: User, web: Web
) -> None:
    other = bind(make_card(alice, prop("tel", "1", "*"), fn="Other card"), bob)
    keeping.keep(other, {"asks": True})
    change(other.card, tel="2")
    browser, url = web(bob), reverse("take-all-over")
    page = text(browser.get(reverse("held"), {"waiting": "1"}))
    seen = re.findall(r'name="seen" value="([^"]+)"', page)
    assert len(seen) == 2 and "take-all-over" not in text(browser.get(reverse("held")))
    assert web(charlie).post(url, {"seen": seen}).status_code == 404
    assert Binding.objects.waiting().count() == 2
    change(other.card, tel="3")
    assert browser.post(url, {"seen": seen})["Location"] == reverse("held")
    assert list(Binding.objects.waiting()) == [other]
    exchange.revoke(waiting)
    assert (
        browser.post(url, {"seen": [seen[0], f"{other.pk} {now(other).followed_rev}"]}).status_code
        == 302
    )
    assert not Binding.objects.waiting().exists()


@pytest.mark.parametrize(
    "seen", ["", "x", "x 1", "{pk}", "{pk} ", "{pk} x", "{pk} 0", "{pk} 1 1", "{pk} 999"]
)
def test_a_list_of_garbage_takes_nothing_over(
    seen: str, waiting: Binding, bob: User, web: Web, client: Client
) -> None:
    url, before = reverse("take-all-over"), all_rows()["bindings.Binding"]
    good = f"{waiting.pk} {waiting.followed_rev}"
    browser = web(bob)
    answer = browser.post(url, {"seen": [good, seen.format(pk=waiting.pk)]})
    assert answer.status_code == 400
    assert browser.get(url).status_code == 405 and browser.post(url).status_code == 404
    assert client.post(url)["Location"].startswith(reverse("account_login"))
    assert all_rows()["bindings.Binding"] == before


def test_the_choice_for_all_is_made_on_a_page(
    held: Binding, bob: User, web: Web, client: Client
) -> None:
    url = reverse("asking")
    assert client.get(url)["Location"].startswith(reverse("account_login"))
    browser = web(bob)
    assert browser.post(url, {"asks": "on"}).status_code == 302
    change(held.card, tel="2")
    assert "checked" in text(browser.get(url)) and now(held).waits
    browser.post(url, {})
    assert "checked" not in text(browser.get(url)) and not now(held).waits


def test_the_choice_for_one_card_is_made_with_its_notes(held: Binding, bob: User, web: Web) -> None:
    browser, url = web(bob), reverse("held-card", args=[held.pk])
    for chosen, expected in (("yes", True), ("no", False), ("", None)):
        browser.post(url, {"nickname": "Al", "asks": chosen})
        assert now(held).asks is expected
        shown = text(browser.get(reverse("asking")))
        assert ("chose otherwise" in shown) == (expected is not None)
    assert "errorlist" in text(browser.post(url, {"asks": "perhaps"}))


# REST


def test_an_app_chooses_and_takes_over(held: Binding, bob: User) -> None:
    app, path = api_of(bob), f"{API}/bindings/{held.pk}"
    before = app.get(path).json()
    assert (before["asks"], before["approved_rev"], before["private_rev"]) == (None, None, 0)
    chosen = app.patch(path, {"asks": True}).json()
    assert (chosen["asks"], chosen["approved_rev"]) == (True, chosen["card"]["rev"])
    change(held.card, tel="+43 1 999")
    newest = app.get(path).json()
    assert newest["approved_rev"] < newest["card"]["rev"]
    taken = app.patch(path, {"approved_rev": newest["card"]["rev"]}).json()
    assert taken["approved_rev"] == newest["card"]["rev"]
    assert taken["private_rev"] == 2


def test_what_says_nothing_new_counts_nothing(asked: Binding, bob: User) -> None:
    app, path = api_of(bob), f"{API}/bindings/{asked.pk}"
    app.patch(path, {"asks": True, "note": "", "approved_rev": 1})
    assert now(asked).private_rev == asked.private_rev


@pytest.mark.parametrize(
    "said",
    [
        {"asks": "perhaps"},
        {"asks": []},
        {"approved_rev": 0},
        {"approved_rev": -1},
        {"approved_rev": None},
        {"approved_rev": "x"},
        {"approved_rev": 2**63},
        {"approved_rev": 10**6},
        {"private_rev": 7},
        {"put_off_rev": 1},
    ],
    ids=str,
)
def test_garbage_from_an_app_is_refused(said: dict[str, Any], asked: Binding, bob: User) -> None:
    app = api_of(bob)
    before = all_rows()
    refused(app.patch(f"{API}/bindings/{asked.pk}", said), 400)
    assert all_rows() == before


@pytest.mark.parametrize("said", [{"asks": True}, {"approved_rev": 1}], ids=str)
def test_an_owner_chooses_nothing_for_a_holder(
    said: dict[str, Any], held: Binding, alice: User, charlie: User
) -> None:
    owner, stranger = api_of(alice), api_of(charlie)
    before = all_rows()
    refused(owner.patch(f"{API}/bindings/{held.pk}", said), 400)
    refused(stranger.patch(f"{API}/bindings/{held.pk}", said), 404)
    assert all_rows() == before


def test_an_answer_that_comes_after_the_end_is_refused(waiting: Binding, bob: User) -> None:
    app = api_of(bob)

    def meanwhile() -> None:
        exchange.revoke(Binding.objects.get(pk=waiting.pk))

    with after_reading("bindings_binding", meanwhile):
        said = {"approved_rev": waiting.followed_rev}
        refused(app.patch(f"{API}/bindings/{waiting.pk}", said), 404)
    assert now(waiting).approved_rev < waiting.followed_rev


@pytest.mark.django_db(transaction=True)
def test_a_note_is_kept_while_the_owner_decides_what_the_holder_sees(
    held: Binding, family: Circle
) -> None:
    decides = threading.Event()

    def regrant() -> None:
        with transaction.atomic():
            exchange.regrant(now(held), [str(family.pk)])
            decides.set()
            time.sleep(0.3)
        connection.close()

    owner = threading.Thread(target=regrant)
    owner.start()
    assert decides.wait(10)
    keeping.keep(held, {"note": "Met in Vienna"})
    owner.join()
    assert now(held).note == "Met in Vienna"
    assert now(held).view.circles == [str(family.pk)]


def test_the_choice_for_all_over_rest(held: Binding, bob: User) -> None:
    app, path = api_of(bob), f"{API}/me/asking"
    assert app.get(path).json() == {"asks": False}
    assert app.patch(path, {"asks": True}).json() == {"asks": True}
    assert app.get(path).json() == {"asks": True}
    assert app.get(f"{API}/bindings/{held.pk}").json()["approved_rev"] == held.rev
    garbage: tuple[Any, ...] = ({}, {"asks": None}, {"asks": "perhaps"}, [], "x")
    for said in garbage:
        refused(app.patch(path, said), 400)
    assert app.get(path).json() == {"asks": True}
    refused(APIClient().get(path), 401)


# What others see, and what one takes along


def owners_pages(alice: User, held: Binding, web: Web) -> str:
    """All that an owner may look at."""
    app, browser = api_of(alice), web(alice)
    card = held.card_id
    pages = [reverse("holder", args=[held.pk]), reverse("holders", args=[card]), "/"]
    pages += [reverse("reach", args=[card]), reverse("card-history", args=[card])]
    doors = ["bindings?side=owner", f"bindings/{held.pk}", f"cards/{card}"]
    doors += [f"cards/{card}/deliveries", "sync"]
    own = archive.own(Card.objects.get(pk=card))
    seen = [app.get(f"{API}/{door}").content.decode() for door in doors]
    seen += [text(browser.get(page)) for page in pages]
    return "".join([*seen, json.dumps(own, default=str)])


def test_an_owner_sees_nothing_of_it(waiting: Binding, alice: User, bob: User, web: Web) -> None:
    keeping.keep(waiting, {"asks": False})
    before = all_rows()["cards.Card"]
    first = owners_pages(alice, waiting, web)
    keeping.ask_about_all(bob, True)
    keeping.keep(waiting, {"asks": True})
    keeping.put_off(waiting, waiting.followed_rev)
    keeping.keep(waiting, {"approved_rev": waiting.followed_rev})
    assert without_secrets(owners_pages(alice, waiting, web)) == without_secrets(first)
    assert all_rows()["cards.Card"] == before


def without_secrets(pages: str) -> str:
    """But for what differs each time that a page is made."""
    return re.sub(r'(csrfmiddlewaretoken" value=")[^"]+', r"\1", pages)


def test_it_is_in_the_archive_of_ones_own(waiting: Binding, bob: User) -> None:
    files = downloaded(bob)
    assert json.loads(files["account.json"])["asks_before_applying"] is False
    (mine,) = json.loads(files["cards-i-hold.json"])
    assert (mine["asks"], mine["waits_to_be_taken_over"]) == (True, True)
