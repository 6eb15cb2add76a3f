"""What became of an invitation, the sheet of paper cards, and requests that are taken back."""

import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Circle, User
from bindings import exchange
from bindings.models import Binding, Invitation, Request
from cards.models import Card
from tests.bindings.test_pages import offer, text
from tests.conftest import api_of, make_card

Web = Callable[[User], Client]


def made(card: Card, *circles: str, uses: int = 1) -> Invitation:
    invitation, _code = exchange.invite(
        card, circles=circles, lifetime=timedelta(days=1), uses=uses
    )
    return invitation


NAMES = ["invitation-page", "invitation-vcf", "invitation-revoke"]


@pytest.mark.parametrize("name", NAMES)
def test_an_invitation_is_open_to_its_owner_alone(
    name: str, alice_card: Card, charlie: User, web: Web, client: Client
) -> None:
    url = reverse(name, args=[made(alice_card).pk])
    for method in ("get", "post"):
        assert getattr(web(charlie), method)(url).status_code in (404, 405)
        assert getattr(client, method)(url)["Location"].startswith(reverse("account_login"))
    assert web(charlie).post(url).status_code == 404
    assert Invitation.objects.get().is_open


def test_the_list_says_what_became_of_each(alice_card: Card, alice: User, web: Web) -> None:
    states = {"open": made(alice_card), "taken back": made(alice_card), "used up": made(alice_card)}
    states["expired"] = made(alice_card)
    now = timezone.now()
    Invitation.objects.filter(pk=states["taken back"].pk).update(revoked_at=now)
    Invitation.objects.filter(pk=states["used up"].pk).update(used=1)
    Invitation.objects.filter(pk=states["expired"].pk).update(expires_at=now)
    page = text(web(alice).get(reverse("invitations")))
    for state, each in states.items():
        row = page.partition(str(each.pk))[2].partition("</li>")[0]
        assert f">{state}<" in row, state


def test_the_page_says_who_used_it(
    alice_card: Card, alice: User, bob: User, bob_card: Card, family: Circle, web: Web
) -> None:
    address = offer(alice_card, str(family.pk))
    exchange.accept_invitation(address.rpartition("/")[2], bob, bob_card)
    page = text(web(alice).get(reverse("invitation-page", args=[Invitation.objects.get().pk])))
    assert "Bob Sample" in page and "Family" in page and ">used up<" in page
    exchange.revoke(Binding.objects.get(holder=bob))
    page = text(web(alice).get(reverse("invitation-page", args=[Invitation.objects.get().pk])))
    assert "no longer holds the card" in page


def test_the_file_is_what_is_offered(
    alice_card: Card, alice: User, family: Circle, web: Web
) -> None:
    everyone, kin = made(alice_card), made(alice_card, str(family.pk))
    shown = web(alice).get(reverse("invitation-vcf", args=[everyone.pk])).content
    assert b"VERSION:3.0" in shown and b"+43 1 111" in shown and b"+43 664 222" not in shown
    more = web(alice).get(reverse("invitation-vcf", args=[kin.pk]) + "?version=4.0").content
    assert b"VERSION:4.0" in more and b"+43 664 222" in more and b"hidden" not in more


# The sheet


def test_a_sheet_has_a_code_that_works(
    alice_card: Card, alice: User, bob: User, bob_card: Card, web: Web
) -> None:
    page = web(alice).post(reverse("sheet", args=[alice_card.pk]), {"paper": "a4"})
    assert text(page).count('class="card"') == 10
    code = page.context["made"]["code"].replace("-", "")
    held = exchange.accept_invitation(code, bob, bob_card).held
    assert held.card == alice_card
    assert Invitation.objects.get().uses == 1000


@pytest.mark.parametrize(
    ("language", "used"), [("en", "Used 0 of 1,000"), ("zh-hans", "共 1,000 次")]
)
def test_how_often_a_sheet_is_used_is_written_as_numbers_are(
    language: str, used: str, alice_card: Card, alice: User, web: Web
) -> None:
    alice.language = language
    alice.save()
    web(alice).post(reverse("sheet", args=[alice_card.pk]), {"paper": "a4"})
    page = reverse("invitation-page", args=[Invitation.objects.get().pk])
    assert used in text(web(alice).get(page))


def test_a_sheet_shows_what_its_circles_see(
    alice_card: Card, alice: User, family: Circle, web: Web
) -> None:
    url = reverse("sheet", args=[alice_card.pk])
    assert "hidden from all" not in text(web(alice).post(url, {"paper": "letter"}))
    assert Invitation.objects.get().circles == []


@pytest.mark.parametrize("wrong", [{}, {"paper": "a0"}, {"paper": "a4", "circles": "*"}])
def test_garbage_makes_no_sheet(
    wrong: dict[str, str], alice_card: Card, alice: User, family: Circle, web: Web
) -> None:
    answer = web(alice).post(reverse("sheet", args=[alice_card.pk]), wrong)
    assert answer.status_code == 200 and answer.context["form"].errors
    assert not Invitation.objects.exists()


def test_nobody_prints_a_strangers_card(alice_card: Card, charlie: User, web: Web) -> None:
    url = reverse("sheet", args=[alice_card.pk])
    assert web(charlie).get(url).status_code == 404
    assert web(charlie).post(url, {"paper": "a4"}).status_code == 404
    assert not Invitation.objects.exists()


# Requests that are taken back


@pytest.fixture
def asked(alice_card: Card, alice: User, bob: User) -> Request:
    return exchange.ask(alice, bob.username, alice_card)


def test_a_request_is_taken_back_by_its_sender_alone(
    asked: Request, alice: User, bob: User, charlie: User, web: Web
) -> None:
    url = reverse("request-withdraw", args=[asked.pk])
    for person in (bob, charlie):
        assert web(person).post(url).status_code == 404
        assert api_of(person).delete(f"/api/v1/requests/{asked.pk}").status_code == 404
    assert web(alice).get(url).status_code == 405
    assert web(alice).post(url).status_code == 302
    assert not Request.objects.exists()
    assert web(bob).get(reverse("request", args=[asked.pk])).status_code == 404


def test_an_app_takes_a_request_back(asked: Request, alice: User) -> None:
    app = api_of(alice)
    assert app.delete(f"/api/v1/requests/{asked.pk}").status_code == 204
    assert app.delete(f"/api/v1/requests/{asked.pk}").status_code == 404


def test_one_that_was_declined_looks_no_different(asked: Request, alice: User) -> None:
    exchange.decline_request(asked)
    assert api_of(alice).delete(f"/api/v1/requests/{asked.pk}").status_code == 204


def test_one_that_was_accepted_stays(asked: Request, alice: User, bob_card: Card) -> None:
    exchange.accept_request(asked, bob_card)
    assert api_of(alice).delete(f"/api/v1/requests/{asked.pk}").status_code == 404
    assert Request.objects.get().accepted


# In one order of locks


def at_once(*verbs: Callable[[], Any]) -> None:
    """Each in a thread of its own; what one raises, but for Gone, is raised here."""
    started, raised = threading.Barrier(len(verbs)), []

    def run(verb: Callable[[], Any]) -> None:
        started.wait(10)
        try:
            verb()
        except exchange.Gone:
            pass
        except Exception as error:
            raised.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[verb]) for verb in verbs]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    for error in raised:
        raise error


@pytest.mark.django_db(transaction=True)
def test_a_circle_that_is_dropped_meanwhile_is_granted_to_nobody(
    alice: User, bob: User, bob_card: Card
) -> None:
    for number in range(8):
        circle = Circle.objects.create(owner=alice, name=f"Circle {number}")
        card = make_card(alice)
        code = offer(card, str(circle.pk)).rpartition("/")[2]
        name = str(circle.pk)
        at_once(
            partial(exchange.accept_invitation, code, bob, bob_card),
            partial(exchange.drop_circle, circle),
        )
        held = Binding.objects.get(card=card, holder=bob)
        assert name not in held.view.circles


@pytest.mark.django_db(transaction=True)
def test_a_request_is_accepted_or_taken_back_never_both(
    alice: User, bob: User, bob_card: Card
) -> None:
    for _number in range(8):
        card = make_card(alice)
        request = exchange.ask(alice, bob.username, card)
        at_once(
            partial(exchange.accept_request, request, bob_card),
            partial(exchange.withdraw_request, request),
        )
        is_held = Binding.objects.filter(card=card, holder=bob).exists()
        assert Request.objects.filter(pk=request.pk).exists() == is_held
