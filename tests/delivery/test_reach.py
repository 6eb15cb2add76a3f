"""How far a change has come, as its owner sees it."""

from collections.abc import Callable

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import User
from bindings.models import Binding
from cards.models import Card
from delivery import fanout, reach
from tests.conftest import bind, catch_up, change, make_device, make_person

Web = Callable[[User], Client]


def reached(card: Card) -> list[tuple[str, int, int]]:
    kinds = reach.by_kind(Binding.objects.active().filter(card=card))
    return [(each.kind, each.have, each.all) for each in kinds]


def test_each_kind_of_device_is_counted(held: Binding, bob: User) -> None:
    phone, tablet, laptop = (make_device(bob, kind) for kind in ("android", "android", "desktop"))
    catch_up(phone)
    assert reached(held.card) == [("Android", 1, 2), ("Desktop", 0, 1)]
    catch_up(tablet)
    catch_up(laptop)
    assert reached(held.card) == [("Android", 2, 2), ("Desktop", 1, 1)]
    change(held.card, tel="+43 1 999")
    assert reached(held.card) == [("Android", 0, 2), ("Desktop", 0, 1)]  # before any fan-out
    fanout.run_all()
    catch_up(phone)
    assert reached(held.card) == [("Android", 1, 2), ("Desktop", 0, 1)]


def test_what_a_holder_does_not_see_is_not_waited_for(held: Binding, bob: User) -> None:
    catch_up(make_device(bob))
    change(held.card, note="still hidden")
    fanout.run_all()
    assert reached(held.card) == [("Android", 1, 1)]


def test_a_device_that_is_signed_out_is_not_waited_for(held: Binding, bob: User) -> None:
    make_device(bob)
    bob.devices.revoke()
    assert reached(held.card) == []


def test_the_page_names_the_people_and_what_they_wait_for(
    web: Web, held: Binding, alice: User, bob: User
) -> None:
    make_device(bob)
    change(held.card, tel="+43 1 999")
    page = web(alice).get(reverse("reach", args=[held.card_id]))
    text = page.content.decode()
    assert "Bob Sample" in text and "0 of 1 device" in text and "Undo this change" in text
    assert "every 2s" in text
    fanout.run_all()
    catch_up(bob.devices.get())
    text = web(alice).get(reverse("reach", args=[held.card_id])).content.decode()
    assert "Every phone and computer" in text and "every 2s" not in text


def test_a_card_that_nobody_holds_says_so(web: Web, alice: User, alice_card: Card) -> None:
    text = web(alice).get(reverse("reach", args=[alice_card.pk])).content.decode()
    assert "Nobody holds this card yet." in text
    assert "Undo this change" not in text


def test_a_stranger_and_a_holder_find_nothing(
    web: Web, held: Binding, bob: User, charlie: User, client: Client
) -> None:
    url = reverse("reach", args=[held.card_id])
    assert web(bob).get(url).status_code == web(charlie).get(url).status_code == 404
    assert client.get(url).status_code == 302


def test_more_holders_take_no_more_queries(web: Web, held: Binding, alice: User) -> None:
    browser, url = web(alice), reverse("reach", args=[held.card_id])
    browser.get(url)
    with CaptureQueriesContext(connection) as few:
        browser.get(url)
    for number in range(5):
        person = make_person(f"p{number}", f"P {number}")
        bind(held.card, person)
        make_device(person)
    with CaptureQueriesContext(connection) as more:
        browser.get(url)
    assert len(more) == len(few)
