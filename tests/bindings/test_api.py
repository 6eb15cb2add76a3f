"""REST: circles, invitations, requests, bindings, blocks and erasing oneself."""

from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import Circle, Device, User
from bindings import exchange
from bindings.models import Binding, Block, Invitation, Request
from cards.models import Card
from delivery import fanout
from tests.conftest import (
    PASSWORD,
    api_of,
    bind,
    catch_up,
    make_card,
    make_device,
    make_person,
    prop,
)
from tests.rest import (
    API,
    after_reading,
    all_rows,
    picture,
    refused,
    send,
    tables_with,
)

UNKNOWN = "00000000-0000-4000-8000-000000000000"
NO_CARD: list[Any] = [None, "", "x", 7, True, [], {}, UNKNOWN, [UNKNOWN]]


@pytest.fixture
def client(alice: User) -> APIClient:
    return api_of(alice)


@pytest.fixture
def bobs(bob: User) -> APIClient:
    return api_of(bob)


def invite(card: Card, **given: Any) -> dict[str, Any]:
    response = api_of(card.owner).post(f"{API}/invitations", {"card": str(card.pk), **given})
    assert response.status_code == 201, response.content
    made: dict[str, Any] = response.json()
    return made


# Circles


def test_circles_are_made_renamed_and_listed(client: APIClient) -> None:
    made = client.post(f"{API}/circles", {"name": "Family"})
    assert made.status_code == 201
    path = f"{API}/circles/{made.json()['id']}"
    assert client.patch(path, {"name": "family"}).json()["name"] == "family"
    assert [each["name"] for each in client.get(f"{API}/circles").json()["results"]] == ["family"]
    assert client.delete(path).status_code == 204
    assert not Circle.objects.exists()


@pytest.mark.parametrize("name", ["Family", "FAMILY", " family "])
def test_a_persons_circles_have_different_names(
    client: APIClient, family: Circle, name: str
) -> None:
    other = client.post(f"{API}/circles", {"name": "Other"}).json()["id"]
    before = all_rows()
    refused(client.post(f"{API}/circles", {"name": name}), 400)
    refused(client.patch(f"{API}/circles/{other}", {"name": name}), 400)
    assert all_rows() == before


def test_two_people_may_name_circles_alike(bobs: APIClient, family: Circle) -> None:
    assert bobs.post(f"{API}/circles", {"name": "Family"}).status_code == 201


@pytest.mark.parametrize("name", ["", None, "x" * 101, [], {}, True, "a\x00"])
def test_a_circle_needs_a_name(client: APIClient, family: Circle, name: Any) -> None:
    before = all_rows()
    refused(client.post(f"{API}/circles", {"name": name}), 400)
    refused(client.patch(f"{API}/circles/{family.pk}", {"name": name}), 400)
    assert all_rows() == before


def test_deleting_a_circle_takes_its_properties_from_the_copies(
    held: Binding, client: APIClient, bob: User, family: Circle
) -> None:
    exchange.regrant(held, [str(family.pk)])
    phone = make_device(bob)
    assert "+43 664 222" in str(catch_up(phone))
    assert client.delete(f"{API}/circles/{family.pk}").status_code == 204
    fanout.run_all()
    (news,) = [each for each in catch_up(phone) if each["card"] == str(held.card_id)]
    view = api_of(bob, phone).get(f"{API}/bindings/{held.pk}").json()["card"]
    for copy in (news["view"], view):
        assert [each["value"] for each in copy["properties"]] == ["+43 1 111"]


def test_a_circle_that_is_gone_is_gone_from_cards_and_offers(
    client: APIClient, alice_card: Card, family: Circle, bob: User
) -> None:
    circles = [str(family.pk)]
    invite(alice_card, circles=circles)
    exchange.ask(alice_card.owner, bob.username, alice_card, circles)
    client.delete(f"{API}/circles/{family.pk}")
    kept = [tables_with(form) for form in (str(family.pk), family.pk.hex)]
    assert kept == [{"cards_cardrevision.properties"}, set()]  # history stays what it was


def test_the_circle_of_another_is_refused_everywhere(
    held: Binding, bobs: APIClient, bob_card: Card, family: Circle
) -> None:
    hers = {"card": str(bob_card.pk), "circles": [str(family.pk)]}
    asked = exchange.ask(held.card.owner, "bob", held.card)
    code = invite(held.card)["code"]
    given = Binding.objects.get(card=bob_card)
    before = all_rows()
    for path, body in (
        ("invitations", hers),
        ("requests", {**hers, "to": "alice"}),
        (f"requests/{asked.pk}/accept", hers),
        (f"invitations/{code}/accept", hers),
    ):
        assert "circles" in refused(bobs.post(f"{API}/{path}", body), 400)["errors"]
    refused(bobs.patch(f"{API}/bindings/{given.pk}", {"circles": hers["circles"]}), 400)
    refused(bobs.patch(f"{API}/circles/{family.pk}", {"name": "Mine"}), 404)
    refused(bobs.delete(f"{API}/circles/{family.pk}"), 404)
    assert all_rows() == before


# Invitations


def test_an_invitation_can_be_scanned_followed_and_typed(alice_card: Card) -> None:
    made = invite(alice_card)
    assert made["url"].startswith("http://testserver/")
    assert made["qr_svg"].startswith("<svg")
    assert made["qr_png"].startswith("data:image/png;base64,")
    assert len(made["code"]) == len("XXXX-XXXX-XXXX")
    assert (made["uses"], made["used"], made["open"]) == (1, 0, True)


def test_the_code_is_shown_once_and_kept_as_a_hash(alice_card: Card, client: APIClient) -> None:
    code = invite(alice_card)["code"]
    assert code not in client.get(f"{API}/invitations").content.decode()
    for form in (code, code.replace("-", "")):
        assert form not in repr(all_rows())


@pytest.mark.parametrize(
    "change",
    [
        *({"card": card} for card in NO_CARD),
        {"circles": "*"},
        {"circles": [UNKNOWN]},
        {"circles": {}},
        {"expires_in": 59},
        {"expires_in": 10**9},
        {"expires_in": "soon"},
        {"expires_in": None},
        {"uses": 0},
        {"uses": -1},
        {"uses": 100_001},
        {"uses": 10**30},
        {"uses": 1.5},
        {"uses": True},
    ],
    ids=str,
)
def test_garbage_in_an_invitation_is_refused(
    alice_card: Card, client: APIClient, change: Any
) -> None:
    before = all_rows()
    response = client.post(f"{API}/invitations", {"card": str(alice_card.pk), **change})
    assert set(refused(response, 400)["errors"]) == set(change)
    assert all_rows() == before


def test_nobody_offers_the_card_of_another(bobs: APIClient, alice_card: Card) -> None:
    refused(bobs.post(f"{API}/invitations", {"card": str(alice_card.pk)}), 400)
    assert not Invitation.objects.exists()


@pytest.mark.parametrize(
    "typed",
    [
        lambda code: code,
        lambda code: code.lower(),
        lambda code: code.replace("-", ""),
        lambda code: code.replace("-", " "),
        lambda code: code.replace("0", "O").replace("1", "I"),
        lambda code: code.lower().replace("0", "o").replace("1", "l"),
    ],
)
def test_a_code_is_read_as_people_type_it(alice_card: Card, bobs: APIClient, typed: Any) -> None:
    invite(alice_card)
    Invitation.objects.update(code_hash=Invitation.hash_code("01AB01CD01EF"))
    assert bobs.get(f"{API}/invitations/{typed('01AB-01CD-01EF')}").status_code == 200


def test_the_preview_shows_what_would_be_held_and_binds_nobody(
    alice_card: Card, bobs: APIClient, family: Circle
) -> None:
    code = invite(alice_card, circles=[str(family.pk)])["code"]
    before = all_rows()
    shown = bobs.get(f"{API}/invitations/{code}").json()
    assert set(shown) == {"owner", "view", "expires_at"}
    assert shown["owner"] == {"username": "alice", "name": "Alice Example"}
    values = [each["value"] for each in shown["view"]["properties"]]
    assert values == ["+43 1 111", "+43 664 222"]
    assert str(family.pk) not in str(shown)
    assert all_rows() == before


def expired(invitation: Invitation, bob: User) -> None:
    invitation.expires_at = timezone.now() - timedelta(seconds=1)


def used_up(invitation: Invitation, bob: User) -> None:
    invitation.used = invitation.uses


def revoked(invitation: Invitation, bob: User) -> None:
    invitation.revoked_at = timezone.now()


def unknown(invitation: Invitation, bob: User) -> None:
    invitation.code_hash = "another"


def blocking(invitation: Invitation, bob: User) -> None:
    exchange.block(invitation.card.owner, bob)


def blocked(invitation: Invitation, bob: User) -> None:
    exchange.block(bob, invitation.card.owner)


def retired(invitation: Invitation, bob: User) -> None:
    invitation.card.retire()


def test_every_code_that_opens_nothing_answers_alike(
    alice_card: Card, bobs: APIClient, bob: User, bob_card: Card
) -> None:
    offer = {"card": str(bob_card.pk)}
    answers = set()
    for spoil in (expired, used_up, revoked, unknown, blocking, blocked, retired):
        Block.objects.all().delete()
        code = invite(alice_card)["code"]
        invitation = Invitation.objects.latest("created_at")
        spoil(invitation, bob)
        invitation.save()
        for response in (
            bobs.get(f"{API}/invitations/{code}"),
            bobs.post(f"{API}/invitations/{code}/accept", offer),
        ):
            refused(response, 404)
            answers.add(response.content)
    refused(bobs.get(f"{API}/invitations/0000-0000-0000"), 404)
    assert len(answers) == 1
    assert not Binding.objects.exists()


def test_an_invitation_is_taken_back_by_its_owner_alone(
    alice_card: Card, client: APIClient, bobs: APIClient
) -> None:
    made = invite(alice_card)
    path = f"{API}/invitations/{made['id']}"
    refused(bobs.delete(path), 404)
    refused(client.delete(f"{API}/invitations/{made['code']}"), 404)
    assert client.delete(path).status_code == 204
    refused(client.delete(path), 404)
    refused(bobs.get(f"{API}/invitations/{made['code']}"), 404)
    assert client.get(f"{API}/invitations").json()["results"] == []


def test_accepting_binds_both_ways(
    alice_card: Card, client: APIClient, bobs: APIClient, bob_card: Card
) -> None:
    code = invite(alice_card)["code"]
    response = bobs.post(f"{API}/invitations/{code}/accept", {"card": str(bob_card.pk)})
    assert response.status_code == 201
    taken, given = response.json()["binding"], response.json()["given"]
    assert (taken["side"], taken["card"]["fn"]) == ("holder", "Alice Example")
    assert (given["side"], given["holder"]["username"]) == ("owner", "alice")
    (held,) = client.get(f"{API}/bindings?side=holder").json()["results"]
    assert (held["id"], held["card"]["fn"]) == (given["id"], "Bob Sample")
    assert client.get(f"{API}/invitations").json()["results"][0]["used"] == 1


def test_accepting_with_the_circles_that_were_offered_and_given(
    alice_card: Card, client: APIClient, bobs: APIClient, bob: User, family: Circle
) -> None:
    friends = Circle.objects.create(owner=bob, name="Friends")
    card = make_card(bob, prop("tel", "+43 1 5", str(friends.pk)))
    code = invite(alice_card, circles=[str(family.pk)])["code"]
    offer = {"card": str(card.pk), "circles": [str(friends.pk)]}
    taken = bobs.post(f"{API}/invitations/{code}/accept", offer).json()["binding"]
    assert "+43 664 222" in str(taken["card"])
    (held,) = client.get(f"{API}/bindings?side=holder").json()["results"]
    assert "+43 1 5" in str(held["card"])


@pytest.mark.parametrize("card", NO_CARD, ids=str)
def test_accepting_needs_a_card_of_ones_own(
    alice_card: Card, bobs: APIClient, bob_card: Card, card: Any
) -> None:
    code = invite(alice_card)["code"]
    before = all_rows()
    for given in (card, str(alice_card.pk)):
        refused(bobs.post(f"{API}/invitations/{code}/accept", {"card": given}), 400)
    assert all_rows() == before


def test_ones_own_invitation_is_refused(alice_card: Card, client: APIClient) -> None:
    code = invite(alice_card)["code"]
    before = all_rows()
    offer = {"card": str(alice_card.pk)}
    refused(client.post(f"{API}/invitations/{code}/accept", offer), 400)
    assert all_rows() == before


def test_codes_are_throttled(bobs: APIClient) -> None:
    for _ in range(60):
        refused(bobs.get(f"{API}/invitations/0000-0000-0000"), 404)
    response = bobs.post(f"{API}/invitations/0000-0000-0000/accept", {})
    refused(response, 429)
    assert int(response["Retry-After"]) > 0


# Requests


def ask(client: APIClient, card: Card, to: str, **more: Any) -> Any:
    return client.post(f"{API}/requests", {"to": to, "card": str(card.pk), **more})


def shape(response: Any, to: str) -> tuple[int, Any]:
    """All of the answer that may not differ from one person asked to the next."""
    differs = {"id": "", "created_at": "", "expires_at": ""}
    asked = {**response.json(), **differs}
    assert asked.pop("to") == to
    return response.status_code, asked


def test_a_request_answers_alike_whoever_is_asked(
    client: APIClient, alice: User, alice_card: Card, bob: User, charlie: User
) -> None:
    exchange.block(charlie, alice)
    closed = make_person("dora", "Dora")
    User.objects.filter(pk=closed.pk).update(is_active=False)
    EmailAddress.objects.create(user=bob, email="unconfirmed@example.org")
    everybody = [
        *("bob", "bob@example.org", "BOB", "charlie", "charlie@example.org", "alice"),
        *("alice@example.org", "dora", "nobody", "nobody@example.org", "unconfirmed@example.org"),
    ]
    answers = [shape(ask(client, alice_card, to), to) for to in everybody]
    assert answers == [answers[0]] * len(everybody)
    assert answers[0][0] == 201
    listed = client.get(f"{API}/requests").json()["results"]
    assert [each["to"] for each in listed] == everybody[::-1]
    assert {(each["state"], each["incoming"]) for each in listed} == {("waiting", False)}
    assert {str(sorted(each)) for each in listed} == {str(sorted(listed[0]))}


def test_what_was_asked_in_vain_answers_alike_afterwards(
    client: APIClient, alice_card: Card, bob: User, bobs: APIClient
) -> None:
    """Declined, blocked and unknown: to the sender they stay requests that nobody answered."""
    pk = ask(client, alice_card, "bob").json()["id"]
    ask(client, alice_card, "nobody")
    assert bobs.post(f"{API}/requests/{pk}/decline").status_code == 204
    ask(client, alice_card, "bob")
    exchange.block(bob, alice_card.owner)
    for each in client.get(f"{API}/requests").json()["results"]:
        assert each["state"] == "waiting"
        refused(client.post(f"{API}/requests/{each['id']}/decline"), 404)
        offer = {"card": str(alice_card.pk)}
        refused(client.post(f"{API}/requests/{each['id']}/accept", offer), 404)


@pytest.mark.parametrize("to", ["bob", "nobody"])
def test_a_block_tells_nobody_whether_there_is_anybody(
    client: APIClient, alice_card: Card, bob: User, to: str
) -> None:
    ask(client, alice_card, to)
    refused(client.post(f"{API}/blocks", {"username": to}), 400)


def test_a_request_reaches_who_was_asked(
    client: APIClient, bobs: APIClient, alice_card: Card, bob: User, family: Circle
) -> None:
    ask(client, alice_card, "Bob@Example.org", message="Hello", circles=[str(family.pk)])
    (asked,) = bobs.get(f"{API}/requests").json()["results"]
    assert (asked["incoming"], asked["state"], asked["message"]) == (True, "waiting", "Hello")
    assert asked["sender"] == {"username": "alice", "name": "Alice Example"}
    assert "+43 664 222" in str(asked["view"])
    assert "hidden from all" not in str(asked)


@pytest.mark.parametrize("to", ["bob", "bob@example.org"])
def test_what_a_blocked_person_asks_reaches_nobody(
    client: APIClient, bobs: APIClient, alice_card: Card, bob: User, to: str
) -> None:
    exchange.block(bob, alice_card.owner)
    ask(client, alice_card, to)
    assert bobs.get(f"{API}/requests").json()["results"] == []


@pytest.mark.parametrize("end", ["accept", "decline", "expire", "block"])
def test_what_was_offered_is_seen_only_while_it_can_be_taken(
    client: APIClient, bobs: APIClient, alice_card: Card, bob_card: Card, bob: User, end: str
) -> None:
    pk = ask(client, alice_card, "bob").json()["id"]
    if end == "expire":
        Request.objects.update(expires_at=timezone.now())
    elif end == "block":
        exchange.block(alice_card.owner, bob)
    else:
        bobs.post(f"{API}/requests/{pk}/{end}", {"card": str(bob_card.pk)})
    (asked,) = bobs.get(f"{API}/requests").json()["results"]
    assert asked["view"] is None


def test_a_request_is_accepted(
    client: APIClient, bobs: APIClient, alice_card: Card, bob_card: Card
) -> None:
    pk = ask(client, alice_card, "bob").json()["id"]
    response = bobs.post(f"{API}/requests/{pk}/accept", {"card": str(bob_card.pk)})
    assert response.status_code == 201
    assert response.json()["binding"]["card"]["fn"] == "Alice Example"
    assert client.get(f"{API}/requests").json()["results"][0]["state"] == "accepted"
    offer = {"card": str(bob_card.pk)}
    refused(bobs.post(f"{API}/requests/{pk}/accept", offer), 404)
    refused(bobs.post(f"{API}/requests/{pk}/decline"), 404)


def test_a_request_is_declined_once(client: APIClient, bobs: APIClient, alice_card: Card) -> None:
    pk = ask(client, alice_card, "bob").json()["id"]
    assert bobs.post(f"{API}/requests/{pk}/decline").status_code == 204
    refused(bobs.post(f"{API}/requests/{pk}/decline"), 404)
    assert bobs.get(f"{API}/requests").json()["results"][0]["state"] == "declined"


@pytest.mark.parametrize("who", ["alice", "charlie"])
@pytest.mark.parametrize("answer", ["accept", "decline"])
def test_only_who_was_asked_may_answer(
    client: APIClient, alice_card: Card, bob: User, charlie: User, who: str, answer: str
) -> None:
    pk = ask(client, alice_card, "bob").json()["id"]
    person = User.objects.get(username=who)
    theirs, card = api_of(person), make_card(person)
    before = all_rows()
    refused(theirs.post(f"{API}/requests/{pk}/{answer}", {"card": str(card.pk)}), 404)
    assert all_rows() == before


@pytest.mark.parametrize(
    "change",
    [
        *({"card": card} for card in NO_CARD),
        {"to": ""},
        {"to": None},
        {"to": ["bob"]},
        {"to": "x" * 255},
        {"to": "a\x00b"},
        {"message": "x" * 501},
        {"message": None},
        {"circles": "*"},
    ],
    ids=str,
)
def test_garbage_in_a_request_is_refused(client: APIClient, alice_card: Card, change: Any) -> None:
    before = all_rows()
    given = {"to": "bob", "card": str(alice_card.pk), **change}
    assert set(refused(client.post(f"{API}/requests", given), 400)["errors"]) == set(change)
    assert all_rows() == before


def test_requests_are_throttled(client: APIClient, alice_card: Card) -> None:
    for _ in range(60):
        assert ask(client, alice_card, "nobody").status_code == 201
    response = ask(client, alice_card, "nobody")
    refused(response, 429)
    assert int(response["Retry-After"]) > 0
    assert client.get(f"{API}/requests").status_code == 200


# Bindings


def test_each_side_sees_its_own_of_a_binding(
    held: Binding, client: APIClient, bobs: APIClient, family: Circle
) -> None:
    exchange.regrant(held, [str(family.pk)])
    bobs.patch(f"{API}/bindings/{held.pk}", {"nickname": "Ali", "note": "N", "tags": ["t"]})
    owners = client.get(f"{API}/bindings/{held.pk}").json()
    holders = bobs.get(f"{API}/bindings/{held.pk}").json()
    both = {"id", "side", "state", "created_at", "card"}
    assert set(owners) == both | {"holder", "circles"}
    private = {"nickname", "note", "tags", "asks", "approved_rev", "private_rev"}
    assert set(holders) == both | private | {"owner"}
    assert set(owners["card"]) == {"id", "rev", "fn"}
    assert set(holders["card"]) == {"id", "rev", "fn", "properties", "photo"}
    assert (holders["nickname"], holders["note"], holders["tags"]) == ("Ali", "N", ["t"])
    assert "hidden from all" not in str(holders)
    assert str(family.pk) not in str(holders)


def test_bindings_are_listed_by_side(held: Binding, bobs: APIClient) -> None:
    sides = {
        side: [each["side"] for each in bobs.get(f"{API}/bindings{side}").json()["results"]]
        for side in ("?side=holder", "?side=owner", "")
    }
    assert sides["?side=holder"] == ["holder"]
    assert sides["?side=owner"] == ["owner"]
    assert sorted(sides[""]) == ["holder", "owner"]
    refused(bobs.get(f"{API}/bindings?side=middle"), 400)


def test_bindings_are_paged(alice_card: Card, client: APIClient) -> None:
    for name in ("dora", "emil", "fritz"):
        bind(alice_card, make_person(name, name.title()))
    page = client.get(f"{API}/bindings?side=owner&limit=2").json()
    rest = client.get(page["next"]).json()
    names = [each["holder"]["username"] for each in (*page["results"], *rest["results"])]
    assert names == ["fritz", "emil", "dora"]


def test_the_owner_changes_the_circles(
    held: Binding, client: APIClient, bobs: APIClient, family: Circle
) -> None:
    path = f"{API}/bindings/{held.pk}"
    changed = client.patch(path, {"circles": [str(family.pk)]})
    assert changed.json()["circles"] == [str(family.pk)]
    assert "+43 664 222" in str(bobs.get(path).json()["card"])
    client.patch(path, {"circles": []})
    assert "+43 664 222" not in str(bobs.get(path).json()["card"])


@pytest.mark.parametrize("name", ["nickname", "note", "tags", "card", "holder", "state", "rev"])
def test_an_owner_changes_nothing_of_the_holders(
    held: Binding, client: APIClient, name: str
) -> None:
    before = all_rows()
    refused(client.patch(f"{API}/bindings/{held.pk}", {name: "x"}), 400)
    assert all_rows() == before


@pytest.mark.parametrize("name", ["circles", "card", "owner", "view", "rev", "held_rev"])
def test_a_holder_changes_nothing_of_the_owners(held: Binding, bobs: APIClient, name: str) -> None:
    before = all_rows()
    refused(bobs.patch(f"{API}/bindings/{held.pk}", {name: ["*"]}), 400)
    assert all_rows() == before


@pytest.mark.parametrize(
    "change",
    [
        {"nickname": "x" * 201},
        {"nickname": None},
        {"nickname": ["x"]},
        {"note": "x" * 10_001},
        {"note": {}},
        {"tags": "x"},
        {"tags": [["x"]]},
        {"tags": ["x" * 101]},
        {"tags": ["x"] * 101},
        {"tags": None},
        [],
        "x",
        7,
    ],
    ids=lambda change: str(change)[:40],
)
def test_garbage_from_a_holder_is_refused(held: Binding, bobs: APIClient, change: Any) -> None:
    before = all_rows()
    refused(bobs.patch(f"{API}/bindings/{held.pk}", change), 400)
    assert all_rows() == before


@pytest.mark.parametrize("circles", [None, "*", {}, [UNKNOWN], [None], [[]]], ids=str)
def test_garbage_from_an_owner_is_refused(held: Binding, client: APIClient, circles: Any) -> None:
    before = all_rows()
    refused(client.patch(f"{API}/bindings/{held.pk}", {"circles": circles}), 400)
    assert all_rows() == before


def test_a_note_that_comes_late_does_not_undo_a_revocation(held: Binding, bobs: APIClient) -> None:
    """The holder's row was read before the card was taken back, and is written after it."""

    def meanwhile() -> None:
        exchange.revoke(Binding.objects.get(pk=held.pk))

    with after_reading("bindings_binding", meanwhile):
        refused(bobs.patch(f"{API}/bindings/{held.pk}", {"note": "late"}), 404)
    assert not Binding.objects.active().filter(pk=held.pk).exists()


def test_circles_given_too_late_are_refused(
    held: Binding, client: APIClient, family: Circle
) -> None:
    def meanwhile() -> None:
        exchange.leave(Binding.objects.get(pk=held.pk))

    with after_reading("bindings_binding", meanwhile):
        change = {"circles": [str(family.pk)]}
        refused(client.patch(f"{API}/bindings/{held.pk}", change), 404)


@pytest.mark.parametrize("side", ["owner", "holder"])
def test_either_side_ends_a_binding(
    held: Binding, client: APIClient, bobs: APIClient, side: str
) -> None:
    ends = client if side == "owner" else bobs
    path = f"{API}/bindings/{held.pk}"
    assert ends.delete(path).status_code == 204
    for person in (client, bobs):
        refused(person.get(path), 404)
        refused(person.patch(path, {}), 404)
        refused(person.delete(path), 404)
    assert Binding.objects.get(pk=held.pk).ended_by == side


def test_a_list_of_bindings_does_not_cost_queries_by_its_length(
    alice_card: Card, client: APIClient, django_assert_max_num_queries: Any
) -> None:
    for n in range(10):
        bind(alice_card, make_person(f"holder{n}", f"Holder {n}"))
    for side in ("owner", "holder"):
        with django_assert_max_num_queries(4):
            listed = client.get(f"{API}/bindings?side={side}").json()["results"]
        assert len(listed) == 10


# Blocks


def test_a_block_ends_everything_between_two(
    held: Binding, client: APIClient, bobs: APIClient, bob: User
) -> None:
    made = client.post(f"{API}/blocks", {"username": "BOB"})
    assert made.status_code == 201
    assert made.json()["person"] == {"username": "bob", "name": "Bob Sample"}
    for person in (client, bobs):
        assert person.get(f"{API}/bindings").json()["results"] == []
    (block,) = client.get(f"{API}/blocks").json()["results"]
    assert bobs.get(f"{API}/blocks").json()["results"] == []
    path = f"{API}/blocks/{block['id']}"
    refused(bobs.delete(path), 404)
    assert client.delete(path).status_code == 204
    assert not Block.objects.exists()


def test_blocking_twice_is_one_block(held: Binding, client: APIClient) -> None:
    first, again = (client.post(f"{API}/blocks", {"username": "bob"}).json() for _ in range(2))
    assert first == again


def test_who_asked_can_be_blocked(alice_card: Card, bobs: APIClient, bob: User) -> None:
    asked = exchange.ask(alice_card.owner, "bob", alice_card)
    assert bobs.post(f"{API}/blocks", {"username": "alice"}).status_code == 201
    refused(bobs.post(f"{API}/requests/{asked.pk}/decline"), 404)


@pytest.mark.parametrize("name", ["charlie", "nobody", "alice", "", None, [], "a\x00"])
def test_nobody_else_can_be_blocked(
    held: Binding, client: APIClient, charlie: User, name: Any
) -> None:
    before = all_rows()
    refused(client.post(f"{API}/blocks", {"username": name}), 400)
    assert all_rows() == before


# Erasing oneself


def test_erasing_takes_everything_back(held: Binding, client: APIClient, bob: User) -> None:
    phone = make_device(bob)
    catch_up(phone)
    assert client.post(f"{API}/me/erase", {"password": PASSWORD}).status_code == 204
    refused(client.get(f"{API}/me"), 401)
    fanout.run_all()
    kinds = {(each["kind"], each["card"]) for each in catch_up(phone)}
    assert ("removed", str(held.card_id)) in kinds
    assert not Device.objects.active().filter(user=held.card.owner).exists()
    given = {"email": "alice@example.org", "password": PASSWORD, "device": TERMINAL}
    refused(APIClient().post(f"{API}/session", given), 400)


TERMINAL = {"platform": "android", "identifier": "imei-356938035643809", "name": "Phone"}


@pytest.mark.parametrize(
    "given", [{}, [], {"password": "wrong"}, {"password": None}, {"password": 7}]
)
def test_erasing_needs_the_password(alice_card: Card, client: APIClient, given: Any) -> None:
    before = all_rows()
    refused(client.post(f"{API}/me/erase", given), 400)
    assert all_rows() == before


def test_nothing_of_an_erased_person_is_left_in_any_table(
    bob: User, bob_card: Card, charlie: User, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    canary = "zyxwvut"
    erased = make_person(canary, f"{canary} name")
    circle = Circle.objects.create(owner=erased, name=f"{canary} circle")
    everywhere = [prop("tel", f"{canary} tel", "*"), prop("note", f"{canary} note", str(circle.pk))]
    card = make_card(erased, *everywhere, fn=f"{canary} fn")
    card.label = f"{canary} label"
    card.save()
    phone = make_device(erased, "ios", name=f"{canary} phone", push_token=f"{canary}{canary}")
    client = api_of(erased, phone)
    path = f"{API}/cards/{card.pk}/photo"
    send(client, "PUT", path, picture(), "image/png", HTTP_IF_MATCH="*")
    own = bind(Card.objects.get(pk=card.pk), bob, str(circle.pk))
    Binding.objects.filter(pk=own.pk).update(nickname=canary, note=canary, tags=[canary])
    theirs = Binding.objects.get(holder=erased)
    Binding.objects.filter(pk=theirs.pk).update(nickname=canary, note=canary, tags=[canary])
    key: dict[str, Any] = {"HTTP_IDEMPOTENCY_KEY": canary}
    client.post(f"{API}/requests", {"to": "bob", "card": str(card.pk), "message": canary}, **key)
    exchange.block(erased, charlie)  # what he asks for from now on reaches nobody
    for to in (canary, f"{canary.upper()}@example.org"):
        exchange.ask(bob, to, bob_card)
        exchange.ask(charlie, to, make_card(charlie))
    fanout.run_all()
    assert len(tables_with(canary)) > 10
    with django_capture_on_commit_callbacks(execute=True):
        assert client.post(f"{API}/me/erase", {"password": PASSWORD}).status_code == 204
    fanout.run_all()
    assert tables_with(canary) == set()
    assert not list((settings.MEDIA_ROOT / "photos").glob("*"))


def test_nobody_can_stand_in_the_way_of_an_erasure(client: APIClient, bob: User) -> None:
    """The names that an erased account gets are such as nobody can have taken before."""
    for name in (f"erased-{bob.pk}", f"erased:{bob.pk}"):
        client.patch(f"{API}/me", {"username": name})
    given = {"password": PASSWORD, "name": "X", "device": TERMINAL}
    email = f"erased-{bob.pk}@invalid"
    refused(APIClient().post(f"{API}/signup", {**given, "email": email}), 400)
    exchange.erase(bob)
    bob.refresh_from_db()
    assert (bob.username, bob.email) == (f"erased:{bob.pk}", email)
