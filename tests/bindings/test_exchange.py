"""The verbs of exchange at their edges: all or nothing, twice is once, and races."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.core.exceptions import ValidationError
from django.db.models.signals import post_save
from django.utils import timezone

from accounts.models import Circle, User
from bindings import exchange
from bindings.models import Binding, Block, Exchange, Invitation, Request
from cards.models import Card
from tests.conftest import bind, make_card, prop
from tests.servers import Server, running_server

WEEK = timedelta(days=7)


@pytest.fixture
def offer(alice_card: Card) -> tuple[Invitation, str]:
    return exchange.invite(alice_card, lifetime=WEEK, uses=2)


def used(offer: tuple[Invitation, str]) -> int:
    offer[0].refresh_from_db()
    return offer[0].used


# Accepting


def test_both_bindings_and_how_they_came_about_are_made(
    offer: tuple[Invitation, str], bob: User, bob_card: Card
) -> None:
    held, given = exchange.accept_invitation(offer[1], bob, bob_card)
    made = Exchange.objects.get()
    assert (made.invitation, made.given, made.returned) == (offer[0], held, given)
    assert (held.holder, given.holder.username, given.card) == (bob, "alice", bob_card)
    assert used(offer) == 1


def test_both_are_bound_or_neither(
    offer: tuple[Invitation, str], bob: User, bob_card: Card
) -> None:
    """The second card cannot be saved: nothing of the first is left, and the use is not spent."""

    class DiskIsFull(Exception):
        pass

    def fail(sender: Any, instance: Card, **kwargs: Any) -> None:
        if Binding.objects.exists():
            raise DiskIsFull

    post_save.connect(fail, sender=Card)
    try:
        with pytest.raises(DiskIsFull):
            exchange.accept_invitation(offer[1], bob, bob_card)
    finally:
        post_save.disconnect(fail, sender=Card)
    assert not Binding.objects.exists()
    assert not Exchange.objects.exists()
    assert [card.rev for card in Card.objects.all()] == [1, 1]
    assert used(offer) == 0


def test_accepting_twice_does_nothing_new_and_spends_no_use(
    offer: tuple[Invitation, str], bob: User, bob_card: Card
) -> None:
    first = exchange.accept_invitation(offer[1], bob, bob_card)
    revs = sorted(Card.objects.values_list("pk", "rev"))
    assert exchange.accept_invitation(offer[1], bob, bob_card) == first
    assert sorted(Card.objects.values_list("pk", "rev")) == revs
    assert (Binding.objects.count(), Exchange.objects.count(), used(offer)) == (2, 1, 1)


def test_who_has_a_binding_keeps_its_circles(
    alice_card: Card, family: Circle, held: Binding, bob: User, bob_card: Card
) -> None:
    _, code = exchange.invite(alice_card, circles=[str(family.pk)], lifetime=WEEK)
    again, _given = exchange.accept_invitation(code, bob, bob_card)
    assert (again.pk, again.view.circles) == (held.pk, [])


def test_another_card_given_back_is_another_binding(
    offer: tuple[Invitation, str], bob: User, bob_card: Card
) -> None:
    exchange.accept_invitation(offer[1], bob, bob_card)
    exchange.accept_invitation(offer[1], bob, make_card(bob))
    assert (Binding.objects.count(), used(offer)) == (3, 2)


def test_ones_own_invitation_is_refused(offer: tuple[Invitation, str], alice: User) -> None:
    with pytest.raises(ValidationError):
        exchange.accept_invitation(offer[1], alice, make_card(alice))
    assert used(offer) == 0


def test_a_card_that_is_gone_is_not_given_back(
    offer: tuple[Invitation, str], bob: User, bob_card: Card
) -> None:
    """It was there when the request was read, and has been retired since."""
    Card.objects.get(pk=bob_card.pk).retire()
    with pytest.raises(exchange.Gone):
        exchange.accept_invitation(offer[1], bob, bob_card)
    assert not Binding.objects.exists()
    assert used(offer) == 0


def test_everyone_is_no_circle_that_is_granted(alice_card: Card, bob: User) -> None:
    assert bind(alice_card, bob, "*").view.circles == []


# Requests


def test_a_request_that_was_accepted_is_not_accepted_again(
    alice_card: Card, bob: User, bob_card: Card
) -> None:
    asked = exchange.ask(alice_card.owner, "bob", alice_card)
    exchange.accept_request(asked, bob_card)
    with pytest.raises(exchange.Gone):
        exchange.accept_request(asked, bob_card)
    with pytest.raises(exchange.Gone):
        exchange.decline_request(asked)


def test_a_request_runs_out(alice_card: Card, bob: User, bob_card: Card) -> None:
    asked = exchange.ask(alice_card.owner, "bob", alice_card)
    Request.objects.update(expires_at=timezone.now())
    with pytest.raises(exchange.Gone):
        exchange.accept_request(asked, bob_card)
    assert not Binding.objects.exists()


@pytest.mark.parametrize("blocker", ["alice", "bob"])
def test_a_block_that_comes_in_between_leaves_nothing_half_done(
    alice_card: Card, bob: User, bob_card: Card, blocker: str
) -> None:
    """It was made after the request had been read, and before it is taken."""
    asked = exchange.ask(alice_card.owner, "bob", alice_card)
    one, other = (alice_card.owner, bob) if blocker == "alice" else (bob, alice_card.owner)
    Block.objects.create(blocker=one, blocked=other)
    with pytest.raises(exchange.Gone):
        exchange.accept_request(asked, bob_card)
    asked.refresh_from_db()
    assert (asked.accepted, asked.decided_at) == (False, None)


# Ending


def test_ending_what_has_ended_does_nothing(held: Binding) -> None:
    exchange.revoke(held)
    rev = Card.objects.get(pk=held.card_id).rev
    exchange.leave(held)
    held.refresh_from_db()
    assert (held.ended_by, Card.objects.get(pk=held.card_id).rev) == ("owner", rev)


def test_the_circles_of_what_has_ended_do_not_change(held: Binding, family: Circle) -> None:
    exchange.revoke(held)
    with pytest.raises(exchange.Gone):
        exchange.regrant(held, [str(family.pk)])


def test_circles_that_are_granted_already_are_no_news(held: Binding) -> None:
    rev = Card.objects.get(pk=held.card_id).rev
    exchange.regrant(held, ["*"])
    assert Card.objects.get(pk=held.card_id).rev == rev


def test_after_an_end_there_can_be_a_new_binding(held: Binding, bob: User) -> None:
    exchange.revoke(held)
    again = bind(Card.objects.get(pk=held.card_id), bob)
    assert again.pk != held.pk
    assert again.rev > held.rev


def test_dropping_a_circle_moves_its_holders_and_leaves_the_others(
    alice: User, alice_card: Card, bob: User, charlie: User, family: Circle
) -> None:
    friends = Circle.objects.create(owner=alice, name="Friends")
    bind(alice_card, bob, str(family.pk), str(friends.pk))
    bind(alice_card, charlie, str(friends.pk))
    untouched = make_card(alice, prop("tel", "1", "*"))
    exchange.drop_circle(family)
    circles = Binding.objects.filter(card=alice_card).values_list("view__circles", flat=True)
    assert [*circles] == [[str(friends.pk)]] * 2
    untouched.refresh_from_db()
    assert untouched.rev == 1


# Races, against a real server with its own rows


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("races")) as server:
        yield server


class Person:
    """Somebody with an account on the real server, and a card."""

    def __init__(self, api: httpx.Client, name: str) -> None:
        self.api = api
        self.known = {"email": f"{name}@example.org", "password": "correct-horse-battery"}
        device = {"platform": "android", "identifier": f"terminal-of-{name}"}
        person = {**self.known, "name": name, "device": device}
        self.api.headers["Authorization"] = (
            f"Bearer {api.post('signup', json=person).json()['token']}"
        )
        self.card = self.api.post("cards", json={"fn": name}).json()["id"]


@pytest.fixture
def person(server: Server) -> Iterator[Callable[[str], Person]]:
    with ExitStack() as stack:

        def made(name: str) -> Person:
            client = httpx.Client(base_url=f"{server.url}/api/v1/", timeout=60)
            return Person(stack.enter_context(client), name)

        yield made


def at_once(*calls: Any) -> list[httpx.Response]:
    """The answers to calls that are made at the same moment."""
    ready = threading.Barrier(len(calls))

    def made(call: Any) -> httpx.Response:
        ready.wait(timeout=30)
        return call()  # type: ignore[no-any-return]

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(made, calls))


def test_of_all_who_race_for_the_last_use_one_gets_it(person: Callable[[str], Person]) -> None:
    host = person("host")
    guests = [person(f"guest{n}") for n in range(4)]
    code = host.api.post("invitations", json={"card": host.card, "uses": 1}).json()["code"]

    def accepting(guest: Person) -> Any:
        return lambda: guest.api.post(f"invitations/{code}/accept", json={"card": guest.card})

    answers = at_once(*map(accepting, guests))
    assert sorted(answer.status_code for answer in answers) == [201, 404, 404, 404]
    assert len(host.api.get("bindings?side=owner").json()["results"]) == 1
    assert host.api.get("invitations").json()["results"][0]["used"] == 1


def test_of_all_who_save_the_same_rev_one_is_first(person: Callable[[str], Person]) -> None:
    editor = person("editor")

    def saving(label: str) -> Any:
        change, read = {"label": label}, {"If-Match": '"1"'}
        return lambda: editor.api.patch(f"cards/{editor.card}", json=change, headers=read)

    answers = at_once(*map(saving, "abcd"))
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412]
    revisions = editor.api.get(f"cards/{editor.card}/revisions").json()["results"]
    assert [each["rev"] for each in revisions] == [2, 1]


def test_of_the_same_request_sent_many_times_at_once_one_is_done(
    person: Callable[[str], Person],
) -> None:
    sender = person("sender")
    key = {"Idempotency-Key": "one and the same"}
    calls = [lambda: sender.api.post("cards", json={"fn": "New"}, headers=key)] * 4
    answers = at_once(*calls)
    assert {(answer.status_code, answer.json()["id"]) for answer in answers} == {
        (201, answers[0].json()["id"])
    }
    assert len(sender.api.get("cards").json()["results"]) == 2


def test_of_all_who_sign_up_with_one_address_at_once_one_does(server: Server) -> None:
    device = {"platform": "android", "identifier": "terminal-of-twin"}
    twin = {"email": "twin@example.org", "password": "correct-horse-battery", "name": "Twin"}

    def signing_up() -> httpx.Response:
        url = f"{server.url}/api/v1/signup"
        return httpx.post(url, json={**twin, "device": device}, timeout=60)

    answers = at_once(*[signing_up] * 3)
    assert sorted(answer.status_code for answer in answers) == [201, 400, 400]


def test_of_all_who_take_one_phone_over_at_once_one_keeps_it(
    person: Callable[[str], Person],
) -> None:
    device = {"platform": "ios", "identifier": "one-phone-for-all", "push_token": "ab" * 32}

    def signing_in(who: Person) -> Any:
        return lambda: who.api.post("session", json={**who.known, "device": device})

    def status(answer: httpx.Response) -> int:
        token = {"Authorization": f"Bearer {answer.json()['token']}"}
        return people[0].api.get("me", headers=token).status_code

    people = [person(f"taker{n}") for n in range(6)]
    answers = at_once(*map(signing_in, people))
    assert [answer.status_code for answer in answers] == [201] * 6
    assert sorted(map(status, answers)) == [200] + [401] * 5


def test_nothing_went_wrong_in_the_server(server: Server) -> None:
    """Last of the races: no request ended in an error that nobody expected."""
    assert "Traceback" not in server.log()
