"""REST for a device without a socket: what is pending, what it has, and who has what."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts import devices
from accounts.models import Circle, Device, User
from bindings import exchange
from bindings.models import Binding
from cards.models import Card
from delivery import fanout
from delivery.models import Epoch, OfflineMessage
from tests.conftest import (
    api_of,
    bind,
    change,
    make_card,
    make_device,
    make_person,
    prop,
    subject_of,
)
from tests.rest import API, all_rows, refused, send

UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def phone(held: Binding, bob: User) -> Device:
    """Bob's phone; he holds Alice's card, and she holds his."""
    fanout.run_all()
    return make_device(bob)


@pytest.fixture
def client(phone: Device, bob: User) -> APIClient:
    return api_of(bob, phone)


def sync(client: APIClient, query: str = "") -> dict[str, Any]:
    response = client.get(f"{API}/sync{query}")
    assert response.status_code == 200, response.content
    answer: dict[str, Any] = response.json()
    return answer


def ack(client: APIClient, *acks: Any) -> Any:
    return client.post(f"{API}/sync/ack", {"acks": list(acks)})


def test_a_new_device_gets_every_card_that_is_held(client: APIClient, held: Binding) -> None:
    answer = sync(client)
    (news,) = answer["messages"]
    assert (answer["more"], answer["epoch"]) == (False, Epoch.current())
    assert (news["kind"], news["card"]) == ("binding", str(held.card_id))
    assert news["binding"]["owner"] == {"username": "alice", "name": "Alice Example"}
    assert [each["value"] for each in news["view"]["properties"]] == ["+43 1 111"]
    assert "circles" not in str(news)


def test_it_answers_the_same_until_it_is_acknowledged(client: APIClient) -> None:
    first = sync(client)
    assert sync(client) == first
    (news,) = first["messages"]
    assert ack(client, [news["card"], news["rev"]]).json() == {"pending": 0}
    assert sync(client)["messages"] == []


def test_an_acknowledgement_of_less_leaves_it_pending(client: APIClient, held: Binding) -> None:
    (news,) = sync(client)["messages"]
    assert ack(client, [news["card"], news["rev"] - 1]).json() == {"pending": 1}


def test_a_rev_that_the_card_has_not_reached_is_not_believed(
    client: APIClient, held: Binding
) -> None:
    (news,) = sync(client)["messages"]
    for rev in (news["rev"] + 1, 2**63 - 1):
        assert ack(client, [news["card"], rev]).json() == {"pending": 1}


def test_acknowledging_twice_or_out_of_order_does_no_harm(client: APIClient) -> None:
    (news,) = sync(client)["messages"]
    acks = [[news["card"], rev] for rev in (news["rev"], 1, news["rev"])]
    for _ in range(2):
        assert ack(client, *acks).json() == {"pending": 0}


def test_the_next_change_is_pending_again(client: APIClient, held: Binding) -> None:
    (news,) = sync(client)["messages"]
    ack(client, [news["card"], news["rev"]])
    card = change(held.card, tel="+43 1 999")
    fanout.run_all()
    (news,) = sync(client)["messages"]
    assert (news["kind"], news["rev"]) == ("card", card.rev)
    assert news["view"]["properties"][0]["value"] == "+43 1 999"


def test_what_the_owner_is_told_is_acknowledged_by_the_binding(
    phone: Device, bob: User, charlie: User, bob_card: Card
) -> None:
    client = api_of(bob, phone)
    given = bind(bob_card, charlie)
    fanout.run_all()
    (news,) = [each for each in sync(client)["messages"] if "view" not in each]
    assert news["binding"]["holder"]["username"] == "charlie"
    before = sync(client)["messages"]
    assert ack(client, [str(given.pk), news["rev"]]).json() == {"pending": len(before) - 1}


def test_the_limit_is_kept_and_more_is_said(client: APIClient, bob: User) -> None:
    for n in range(4):
        bind(make_card(make_person(f"owner{n}", "Owner"), prop("tel", str(n), "*")), bob)
    fanout.run_all()
    got = []
    while (page := sync(client, "?limit=2"))["messages"]:
        assert len(page["messages"]) <= 2
        got += page["messages"]
        subjects = [subject(each) for each in page["messages"]]
        assert (ack(client, *subjects).json()["pending"] > 0) == page["more"]
    holding = [each["card"] for each in got if "view" in each]
    assert len(holding) == len(set(holding)) == 5


def subject(news: dict[str, Any]) -> list[Any]:
    return [subject_of(news), news["rev"]]


@pytest.mark.parametrize("limit", ["0", "-1", "501", "x", "", "1.5", "9" * 5000])
def test_a_bad_limit_is_refused(client: APIClient, limit: str) -> None:
    assert "limit" in refused(client.get(f"{API}/sync?limit={limit}"), 400)["errors"]


@pytest.mark.parametrize(
    "acks",
    [
        None,
        [],
        {},
        "x",
        7,
        [[]],
        [None],
        ["x"],
        [[UNKNOWN]],
        [[UNKNOWN, 1, 1]],
        [[UNKNOWN, "1"]],
        [[UNKNOWN, 0]],
        [[UNKNOWN, -1]],
        [[UNKNOWN, 1.5]],
        [[UNKNOWN, True]],
        [[UNKNOWN, None]],
        [[UNKNOWN, 2**63]],
        [["x", 1]],
        [[7, 1]],
        [[UNKNOWN, 1]] * 1_001,
        [[UNKNOWN, 1], "x"],
    ],
    ids=lambda acks: str(acks)[:40],
)
def test_garbage_is_not_acknowledged(client: APIClient, held: Binding, acks: Any) -> None:
    sync(client)
    before = all_rows()
    refused(client.post(f"{API}/sync/ack", {"acks": acks}), 400)
    assert all_rows() == before


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"7", b"[[", b'{"ack": []}'])
def test_what_is_no_acknowledgement_is_refused(client: APIClient, body: bytes) -> None:
    refused(send(client, "POST", f"{API}/sync/ack", body, "application/json"), 400)


def test_an_unknown_card_is_passed_over(client: APIClient, held: Binding) -> None:
    (news,) = sync(client)["messages"]
    assert ack(client, [UNKNOWN, 1], [news["card"], news["rev"]]).json() == {"pending": 0}


def test_no_device_acknowledges_for_another(
    client: APIClient, phone: Device, charlie: User, bob: User
) -> None:
    (news,) = sync(client)["messages"]
    others = [api_of(charlie), api_of(bob, make_device(bob))]
    for other in others:
        sync(other)
        ack(other, [news["card"], news["rev"]])
    assert sync(client)["messages"] == [news]


def test_a_stranger_has_nothing_pending(held: Binding, charlie: User) -> None:
    fanout.run_all()
    assert sync(api_of(charlie))["messages"] == []


def test_after_a_reset_everything_is_pending_again(client: APIClient) -> None:
    first = sync(client)
    ack(client, *map(subject, first["messages"]))
    assert client.post(f"{API}/sync/reset").status_code == 204
    assert sync(client)["messages"] == first["messages"]


def test_a_revoked_card_is_told_as_removed_and_nothing_else(
    client: APIClient, held: Binding
) -> None:
    ack(client, *map(subject, sync(client)["messages"]))
    exchange.revoke(held)
    fanout.run_all()
    removed = [each for each in sync(client)["messages"] if each["card"] == str(held.card_id)]
    card = Card.objects.get(pk=held.card_id)
    assert removed == [{"kind": "removed", "card": str(card.pk), "rev": card.rev}]


def test_a_browser_is_no_device(alice: User) -> None:
    browser = APIClient()
    browser.force_login(alice, "allauth.account.auth_backends.AuthenticationBackend")
    refused(browser.get(f"{API}/sync"), 403)
    refused(browser.post(f"{API}/sync/ack", {"acks": [[UNKNOWN, 1]]}), 403)
    refused(browser.post(f"{API}/sync/reset"), 403)


def test_a_device_that_is_signed_out_syncs_no_more(client: APIClient, phone: Device) -> None:
    devices.revoke(phone)
    refused(client.get(f"{API}/sync"), 401)
    refused(client.post(f"{API}/sync/ack", {"acks": [[UNKNOWN, 1]]}), 401)
    refused(client.post(f"{API}/sync/reset"), 401)


# Who has what


def deliveries(held: Binding, query: str = "") -> dict[str, Any]:
    owner = held.card.owner
    path = f"{API}/cards/{held.card_id}/deliveries{query}"
    page: dict[str, Any] = api_of(owner).get(path).json()
    return page


def test_the_owner_sees_who_has_which_rev_on_which_kind_of_device(
    client: APIClient, held: Binding
) -> None:
    (news,) = sync(client)["messages"]
    (before,) = deliveries(held)["results"]
    ack(client, [news["card"], news["rev"]])
    (after,) = deliveries(held)["results"]
    assert before["holder"] == {"username": "bob", "name": "Bob Sample"}
    assert (before["platform"], before["rev"]) == ("android", news["rev"])
    assert (before["acknowledged_rev"], before["pending"]) == (0, True)
    assert (after["acknowledged_rev"], after["pending"]) == (news["rev"], False)
    assert after["acknowledged_at"]


def test_the_owner_does_not_see_which_device_it_is(client: APIClient, held: Binding) -> None:
    sync(client)
    (row,) = deliveries(held)["results"]
    told = {"holder", "platform", "rev", "acknowledged_rev", "pending", "acknowledged_at"}
    assert set(row) == told


def test_who_holds_the_card_no_more_is_not_listed(client: APIClient, held: Binding) -> None:
    sync(client)
    exchange.leave(held)
    assert deliveries(held)["results"] == []


def test_deliveries_are_paged_in_a_constant_number_of_queries(
    held: Binding, bob: User, django_assert_max_num_queries: Any
) -> None:
    for _ in range(5):
        sync(api_of(bob))
    client, path = api_of(held.card.owner), f"{API}/cards/{held.card_id}/deliveries?limit=4"
    with django_assert_max_num_queries(4):
        page = client.get(path).json()
    rest = client.get(page["next"]).json()
    assert (len(page["results"]), len(rest["results"]), rest["next"]) == (4, 1, None)


def test_a_change_that_is_hidden_is_no_delivery(
    client: APIClient, held: Binding, family: Circle
) -> None:
    ack(client, *map(subject, sync(client)["messages"]))
    change(held.card, note="another secret")
    fanout.run_all()
    assert sync(client)["messages"] == []
    row = OfflineMessage.objects.get(subject=held.card_id, device__user__username="bob")
    assert row.rev == row.acknowledged_rev < Card.objects.get(pk=held.card_id).rev
