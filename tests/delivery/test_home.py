"""What is new for a person, on the first page."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Circle, User
from bindings import exchange
from bindings.models import Binding
from cards.models import Card
from delivery import home
from delivery import views as home_page
from tests.conftest import bind, change, make_card, make_person, prop

Web = Callable[[User], Client]


def kinds(person: User) -> list[str]:
    return [each.kind for each in home.news(person)]


def test_a_change_that_the_holder_sees_is_news(held: Binding, bob: User) -> None:
    change(held.card, tel="+43 1 999")
    newest, *_others = home.news(bob)
    assert (newest.kind, newest.binding) == ("changed", held)
    assert [(each.label, each.after) for each in newest.differences] == [
        ("Phone (work)", "+43 1 999")
    ]


def test_a_change_that_is_hidden_from_the_holder_is_none(
    held: Binding, bob: User, family: Circle
) -> None:
    held.card.properties[1]["value"] = "+43 1 000"
    held.card.save()
    assert "changed" not in kinds(bob)


def test_who_came_and_what_was_taken_back_is_news(held: Binding, bob: User, alice: User) -> None:
    assert {*kinds(bob)} == {*kinds(alice)} == {"came", "holder"}
    exchange.revoke(held)
    assert kinds(bob) == ["gone", "holder"]
    assert kinds(alice) == ["came"]


def test_old_news_is_none(held: Binding, bob: User) -> None:
    Binding.objects.update(created_at=timezone.now() - timedelta(days=31))
    assert kinds(bob) == []


def test_the_first_page_says_who_asks_and_what_to_do_first(
    bob_card: Card, alice: User, bob: User, web: Web
) -> None:
    assert b"Make my first card" in web(alice).get("/").content
    for n in range(7):
        asking = make_person(f"p{n}", f"P {n}")
        exchange.ask(asking, "bob", make_card(asking), [], "")
    page = web(bob).get("/").content.decode()
    assert page.count("/requests/") - page.count('"/requests/"') == home_page.ASKING
    assert "2 more" in page


def test_many_cards_take_as_many_queries_as_a_few(held: Binding, bob: User, web: Web) -> None:
    def queries() -> int:
        browser = web(bob)
        with CaptureQueriesContext(connection) as asked:
            assert browser.get("/").status_code == 200
        return len(asked)

    def more(n: int) -> None:
        for at in range(n):
            card = make_card(make_person(f"p{n}-{at}", "P"), prop("tel", "1", "*"))
            bind(card, bob)
            change(card, tel="2")

    more(home.SHOWN)
    before = queries()
    more(home.SHOWN + 1)
    assert queries() == before


@pytest.mark.parametrize("door", ["/", "/held/"])
def test_a_visitor_is_asked_to_sign_in(client: Client, db: None, door: str) -> None:
    assert client.get(door)["Location"].startswith("/account/login/")
