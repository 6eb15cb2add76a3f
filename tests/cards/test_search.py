"""What finds a card, and where it stands in a list; also for those who look among the cards that
they hold."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import Circle, User
from bindings.models import Binding
from cards.models import Card, Property
from cards.search import search_text, sort_text, terms
from tests.conftest import bind, change, make_card, make_person, prop

Web = Callable[[User], Client]


def view(fn: str, *properties: Property) -> dict[str, Any]:
    return {"fn": fn, "properties": list(properties), "photo": None}


CARD = view(
    "Dr. Zoë Müller",
    prop("n", ["Müller", "Zoë", "", "Dr.", ""]),
    prop("org", ["Ärzte & Co", "Radiology"]),
    prop("tel", "tel:+43-1-555 0100"),
    prop("email", "Zoe@Example.org"),
    prop("note", "met in Graz"),
)
HAN = view("张伟", prop("org", ["示例科技"]), prop("adr", ["", "", "", "北京", "", "", "中国"]))


@pytest.mark.parametrize(
    ("wanted", "card", "is_found"),
    [
        ("zoe", CARD, True),
        ("MULLER", CARD, True),
        ("Müller Zoë", CARD, True),
        ("zoe radio", CARD, True),
        ("arzte", CARD, True),
        ("01 555 01", CARD, True),
        ("1 555 01", CARD, True),
        ("0043 1 555", CARD, True),
        ("+43/1/555-0100", CARD, True),
        ("zoe@example", CARD, True),
        ("zoe bob", CARD, False),
        ("graz", CARD, False),
        ("张", HAN, True),
        ("zhangwei", HAN, True),
        ("zw", HAN, True),
        ("ZhangWei shili", HAN, True),
        ("beijing", HAN, True),
        ("李", HAN, False),
        ("", HAN, True),
    ],
)
def test_what_is_typed_finds_it(wanted: str, card: dict[str, Any], is_found: bool) -> None:
    text = search_text(card)
    assert all(term in text for term in terms(wanted)) is is_found


def test_names_stand_where_people_look_for_them() -> None:
    names = [
        view("Zoë Adler", prop("n", ["Adler", "Zoë", "", "", ""])),
        view("Émile"),
        view("李娜"),
        view("Mao Ning"),
        view("张伟", prop("n", ["张", "伟", "", "", ""])),
    ]
    in_order = sorted(names[2:] + names[:2], key=sort_text)
    assert [each["fn"] for each in in_order] == [each["fn"] for each in names]


def test_a_view_is_found_by_what_it_shows_alone(held: Binding) -> None:
    held.view.refresh_from_db()
    assert "431111" in held.view.search
    assert "43664222" not in held.view.search and "hidden" not in held.view.search
    change(held.card, tel="+43 1 999")
    held.view.refresh_from_db()
    assert "431999" in held.view.search and "431111" not in held.view.search
    held.card.retire()
    held.view.refresh_from_db()
    assert (held.view.search, held.view.sort) == ("", "")


# The list of the cards one holds


def listed(browser: Client, **query: str) -> list[str]:
    page = browser.get(reverse("held"), query)
    assert page.status_code == 200
    return [face.fn for _binding, face in page.context["held"]]


PEOPLE = (("Ben", "+49 30 333"), ("Zora Adler", "+43 1 111"), ("张伟", "+86 10 222"))


@pytest.fixture
def book(bob: User) -> dict[str, Binding]:
    """Bob holds three people's cards."""
    book = {}
    for name, number in PEOPLE:
        owner = make_person(f"p{number[-3:]}", name)
        card = make_card(owner, prop("tel", number, "*"), prop("note", "secret of " + name))
        book[name] = bind(card, bob)
    return book


def test_the_list_is_narrowed_and_sorted(web: Web, bob: User, book: dict[str, Binding]) -> None:
    browser = web(bob)
    assert listed(browser) == ["Ben", "张伟", "Zora Adler"]
    assert listed(browser, sort="new") == ["张伟", "Zora Adler", "Ben"]
    assert listed(browser, q="zhang") == ["张伟"]
    assert listed(browser, q="49 30 333") == ["Ben"]
    assert listed(browser, q="secret") == []
    assert listed(browser, q="x\0y", sort="garbage") == []


def test_what_one_keeps_beside_a_card_finds_it(
    web: Web, bob: User, book: dict[str, Binding]
) -> None:
    ben = book["Ben"]
    ben.nickname, ben.tags = "Benni", ["Vienna", "工作"]
    ben.save()
    browser = web(bob)
    assert listed(browser, q="benni") == ["Ben"]
    assert listed(browser, tag="工作") == ["Ben"]
    assert listed(browser, tag="Vien") == []
    assert browser.get(reverse("held")).context["tags"] == ["Vienna", "工作"]


def test_a_circle_of_ones_own_narrows_the_list(
    web: Web, bob: User, book: dict[str, Binding], charlie: User
) -> None:
    circle = Circle.objects.create(owner=bob, name="Work")
    given = Binding.objects.get(card__owner=bob, holder=book["张伟"].card.owner)
    given.view = Card.objects.get(owner=bob).view_for([str(circle.pk)])
    given.save()
    browser = web(bob)
    assert listed(browser, circle=str(circle.pk)) == ["张伟"]
    assert listed(browser, circle="garbage") == []
    assert listed(web(charlie), circle=str(circle.pk)) == []


def test_more_cards_take_no_more_queries(web: Web, bob: User, book: dict[str, Binding]) -> None:
    browser, query = web(bob), {"q": "a", "tag": "x", "circle": "y"}
    browser.get(reverse("held"), query)
    with CaptureQueriesContext(connection) as few:
        browser.get(reverse("held"), query)
    for number in range(5):
        bind(make_card(make_person(f"a{number}", f"A {number}")), bob)
    with CaptureQueriesContext(connection) as more:
        browser.get(reverse("held"), query)
    assert len(more) == len(few)
