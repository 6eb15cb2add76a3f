"""REST: an owner's cards, what a stale edit gets, every form of a card, and what is refused."""

import json
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from rest_framework.test import APIClient

from accounts.models import Circle, User
from bindings.models import Binding
from cards import vcard
from cards.models import Card
from tests.conftest import api_of, make_card, prop
from tests.rest import API, after_reading, all_rows, picture, refused, send

UNKNOWN = "00000000-0000-4000-8000-000000000000"
FORMS = ["text/vcard", "text/vcard; version=3.0", "application/vcard+xml", "application/vcard+json"]
TEL = {"name": "tel", "value": "+43 1 234", "params": {"type": ["work", "voice"]}, "circles": ["*"]}


@pytest.fixture
def client(alice: User) -> APIClient:
    return api_of(alice)


def path(card: Card, more: str = "") -> str:
    return f"{API}/cards/{card.pk}{more}"


def at(rev: int) -> dict[str, Any]:
    return {"HTTP_IF_MATCH": f'"{rev}"'}


# Making and reading


def test_a_card_is_made(client: APIClient, family: Circle) -> None:
    given = {"fn": "Alice", "label": "Work", "properties": [{**TEL, "circles": [str(family.pk)]}]}
    response = client.post(f"{API}/cards", given)
    assert response.status_code == 201
    assert response["ETag"] == '"1"'
    card = response.json()
    assert {name: card[name] for name in given} == given
    assert (card["rev"], card["photo"]) == (1, None)
    assert client.get(f"{API}/cards/{card['id']}").json() == card


def test_a_property_is_hidden_unless_it_is_given(client: APIClient) -> None:
    hidden = {"name": "note", "value": "secret"}
    card = client.post(f"{API}/cards", {"fn": "Alice", "properties": [hidden]}).json()
    assert card["properties"] == [{**hidden, "params": {}, "circles": []}]


def test_the_server_alone_decides_id_rev_and_owner(client: APIClient, bob: User) -> None:
    given = {"fn": "Alice", "id": UNKNOWN, "rev": 99, "owner": bob.pk, "changed_at": "1999-01-01"}
    card = client.post(f"{API}/cards", given).json()
    assert (card["id"] != UNKNOWN, card["rev"], card["changed_at"] > "2000") == (True, 1, True)
    assert Card.objects.get().owner != bob


def test_reading_answers_with_the_etag_of_the_rev(client: APIClient, alice_card: Card) -> None:
    response = client.get(path(alice_card))
    assert (response["ETag"], response.json()["rev"]) == ('"1"', 1)


def test_the_list_has_the_persons_own_cards_alone(
    client: APIClient, alice_card: Card, bob_card: Card, held: Binding
) -> None:
    listed = client.get(f"{API}/cards").json()["results"]
    assert [each["id"] for each in listed] == [str(alice_card.pk)]


def test_a_retired_card_is_gone(client: APIClient, alice_card: Card) -> None:
    assert client.delete(path(alice_card), **at(1)).status_code == 204
    for more in ("", "/photo", "/revisions", "/deliveries"):
        refused(client.get(path(alice_card, more)), 404)
    assert client.get(f"{API}/cards").json()["results"] == []
    refused(client.delete(path(alice_card), **at(2)), 404)


# Paging


def test_lists_are_paged_by_cursor(client: APIClient, alice: User) -> None:
    made = [str(make_card(alice, fn=f"Card {n}").pk) for n in range(5)]
    page = client.get(f"{API}/cards?limit=2").json()
    assert page["previous"] is None
    got = [each["id"] for each in page["results"]]
    make_card(alice, fn="Made in between")
    while page["next"]:
        page = client.get(page["next"]).json()
        assert len(page["results"]) <= 2
        got += [each["id"] for each in page["results"]]
    assert got == made[::-1]  # newest first, none twice, none left out


def test_the_way_back_leads_to_the_first_page(client: APIClient, alice: User) -> None:
    for n in range(3):
        make_card(alice, fn=f"Card {n}")
    first = client.get(f"{API}/cards?limit=2").json()
    second = client.get(first["next"]).json()
    assert client.get(second["previous"]).json()["results"] == first["results"]


@pytest.mark.parametrize("cursor", ["garbage", "cD1nYXJiYWdl", "bz0tMQ=="])
@pytest.mark.parametrize("more", ["", "/revisions"])
def test_a_cursor_that_nobody_was_given_is_404(
    client: APIClient, alice_card: Card, cursor: str, more: str
) -> None:
    url = (path(alice_card, more) if more else f"{API}/cards") + f"?cursor={cursor}"
    refused(client.get(url), 404)


# Changing


def test_a_patch_changes_what_is_given(client: APIClient, alice_card: Card) -> None:
    response = client.patch(path(alice_card), {"label": "Work"}, **at(1))
    assert response.status_code == 200
    assert response["ETag"] == '"2"'
    card = response.json()
    assert (card["label"], card["fn"], len(card["properties"])) == ("Work", "Alice Example", 3)


def test_a_patched_property_is_hidden_unless_it_is_given(
    client: APIClient, alice_card: Card
) -> None:
    hidden = {"name": "note", "value": "secret"}
    card = client.patch(path(alice_card), {"properties": [hidden]}, **at(1)).json()
    assert card["properties"] == [{**hidden, "params": {}, "circles": []}]


def test_a_put_replaces_all_but_the_photo(client: APIClient, alice_card: Card) -> None:
    alice_card.label, alice_card.photo = "Work", "abc.jpg"
    alice_card.save()
    card = client.put(path(alice_card), {"fn": "New"}, **at(2)).json()
    assert (card["fn"], card["label"], card["properties"]) == ("New", "", [])
    assert card["photo"]["url"].endswith("abc.jpg")


def test_what_was_read_can_be_put_back(client: APIClient, alice_card: Card) -> None:
    before = client.get(path(alice_card)).json()
    after = client.put(path(alice_card), before, **at(1)).json()
    assert after == {**before, "rev": 2}
    assert alice_card.revisions.count() == 1  # the same content is no revision


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_a_change_must_name_the_rev_that_was_read(
    client: APIClient, alice_card: Card, method: str
) -> None:
    before = all_rows()
    change = getattr(client, method)
    refused(change(path(alice_card), {"fn": "x"}), 428)
    for stale in ('"0"', '"2"', "1", '"01"', 'W/"1"', "", "garbage", '"1', "x" * 5000):
        refused(change(path(alice_card), {"fn": "x"}, HTTP_IF_MATCH=stale), 412)
    assert all_rows() == before


@pytest.mark.parametrize("named", ['"1"', "*", '"7", "1"', ' "1" '])
def test_every_form_of_if_match_is_read(client: APIClient, alice_card: Card, named: str) -> None:
    response = client.patch(path(alice_card), {"label": "x"}, HTTP_IF_MATCH=named)
    assert response.status_code == 200


def test_a_stale_garbage_edit_is_told_that_it_is_stale(client: APIClient, alice_card: Card) -> None:
    refused(client.put(path(alice_card), {"fn": ""}, **at(5)), 412)


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_of_two_edits_at_once_one_is_refused(
    client: APIClient, alice: User, alice_card: Card, method: str
) -> None:
    """Both have read rev 1; the other one's is saved after this one's rev was compared."""
    other = api_of(alice)

    def meanwhile() -> None:
        assert other.patch(path(alice_card), {"label": "First"}, **at(1)).status_code == 200

    with after_reading("cards_card", meanwhile):
        refused(getattr(client, method)(path(alice_card), {"fn": "Second"}, **at(1)), 412)
    alice_card.refresh_from_db()
    assert (alice_card.rev, alice_card.label, alice_card.fn) == (2, "First", "Alice Example")


def test_a_photo_that_comes_too_late_is_refused(
    client: APIClient, alice: User, alice_card: Card
) -> None:
    other = api_of(alice)

    def meanwhile() -> None:
        other.patch(path(alice_card), {"label": "First"}, **at(1))

    with after_reading("cards_card", meanwhile):
        response = send(client, "PUT", path(alice_card, "/photo"), picture(), "image/png", **at(1))
    refused(response, 412)
    alice_card.refresh_from_db()
    assert alice_card.photo == ""


# Garbage


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" * 100_000, 400),
        (b'{"fn":' * 100_000, 400),
        (b'{"fn": "\\ud800"}', 400),
        (
            b'{"fn": "A", "properties": [{"name": "x", "value": "1", "params": {"\\udfff": []}}]}',
            400,
        ),
        (b'{"fn": "' + b"x" * 2_200_000 + b'"}', 413),
    ],
    ids=["lists", "objects", "value", "key", "size"],
)
def test_a_bomb_of_json_is_refused(client: APIClient, body: bytes, status: int) -> None:
    response = send(client, "POST", f"{API}/cards", body, "application/json")
    refused(response, status)
    assert not Card.objects.exists()


def test_every_whole_character_is_taken(client: APIClient) -> None:
    body = b'{"fn": "A \\ud83d\\ude00 \\\\ud800"}'
    response = send(client, "POST", f"{API}/cards", body, "application/json")
    assert response.json()["fn"] == "A \U0001f600 \\ud800"


@pytest.mark.parametrize(
    "change",
    [
        {"fn": ""},
        {"fn": None},
        {"fn": ["Alice"]},
        {"fn": {"en": "Alice"}},
        {"fn": "x" * 501},
        {"fn": "a\x00b"},
        {"fn": "bell \x07"},
        {"label": "x" * 101},
        {"label": []},
        {"properties": None},
        {"properties": {}},
        {"properties": "tel"},
        {"properties": [None]},
        {"properties": [[]]},
        {"properties": ["tel"]},
        {"properties": [{}]},
        {"properties": [{"name": "tel"}]},
        {"properties": [{"name": "tel", "value": None}]},
        {"properties": [{"name": "tel", "value": ""}]},
        {"properties": [{"name": "tel", "value": 7}]},
        {"properties": [{"name": "tel", "value": ["1"]}]},
        {"properties": [{"name": "tel", "value": {"a": {"b": {}}}}]},
        {"properties": [{"name": "tel", "value": "x" * 100_001}]},
        {"properties": [{"name": "n", "value": "Alice"}]},
        {"properties": [{"name": "n", "value": ["a"] * 6}]},
        {"properties": [{"name": "n", "value": [[["a"]]]}]},
        {"properties": [{"name": "categories", "value": ["a", ["b"]]}]},
        {"properties": [{"name": "fn", "value": "Mallory"}]},
        {"properties": [{"name": "FN", "value": "Mallory"}]},
        {"properties": [{"name": "TEL", "value": "1"}]},
        {"properties": [{"name": "begin", "value": "VCARD"}]},
        {"properties": [{"name": "x y", "value": "1"}]},
        {"properties": [{"name": "x:y", "value": "1"}]},
        {"properties": [{"name": "x" * 65, "value": "1"}]},
        {"properties": [{"name": "photo", "value": "data:image/png;base64,AAAA"}]},
        {"properties": [{**TEL, "params": []}]},
        {"properties": [{**TEL, "params": {"type": "work"}}]},
        {"properties": [{**TEL, "params": {"TYPE": ["work"]}}]},
        {"properties": [{**TEL, "params": {"type": [["work"]]}}]},
        {"properties": [{**TEL, "params": {"a:b": ["x"]}}]},
        {"properties": [{**TEL, "circles": "*"}]},
        {"properties": [{**TEL, "circles": None}]},
        {"properties": [{**TEL, "circles": [None]}]},
        {"properties": [{**TEL, "circles": [UNKNOWN]}]},
        {"properties": [{**TEL, "circles": ["family"]}]},
        {"properties": [TEL] * 1_001},
    ],
    ids=lambda change: json.dumps(change)[:60],
)
def test_garbage_in_a_card_is_refused(client: APIClient, alice_card: Card, change: Any) -> None:
    before = all_rows()
    for response in (
        client.post(f"{API}/cards", {"fn": "Alice", **change}),
        client.put(path(alice_card), {"fn": "Alice", **change}, **at(1)),
        client.patch(path(alice_card), change, **at(1)),
    ):
        assert set(refused(response, 400)["errors"]) == set(change)
    assert all_rows() == before


@pytest.mark.parametrize(
    "body", ["", "{", "null", "[]", '"x"', "7", '{"fn": NaN}', "\xff", '{"fn": 1e999']
)
def test_what_is_no_json_object_is_refused(client: APIClient, alice_card: Card, body: str) -> None:
    before = all_rows()
    octets = body.encode("latin-1")
    for method, url in (("POST", f"{API}/cards"), ("PUT", path(alice_card))):
        response = send(client, method, url, octets, "application/json", **at(1))
        refused(response, 400)
    assert all_rows() == before


@pytest.mark.parametrize(
    "form", ["text/plain", "text/vcard", "application/xml", "multipart/form-data; boundary=x", "x"]
)
def test_another_content_type_is_refused(client: APIClient, alice_card: Card, form: str) -> None:
    refused(send(client, "POST", f"{API}/cards", b"x", form), 415)
    refused(send(client, "PUT", path(alice_card), b"x", form, **at(1)), 415)


@pytest.mark.parametrize(
    ("method", "more"),
    [
        ("post", ""),
        ("post", "/photo"),
        ("patch", "/photo"),
        ("post", "/revisions"),
        ("put", "/deliveries"),
    ],
)
def test_another_method_is_refused(
    client: APIClient, alice_card: Card, method: str, more: str
) -> None:
    response = getattr(client, method)(path(alice_card, more), {})
    refused(response, 405)
    assert "GET" in response["Allow"]


def test_the_circle_of_another_is_unknown(client: APIClient, bob: User) -> None:
    his = Circle.objects.create(owner=bob, name="His")
    given = {"fn": "Alice", "properties": [{**TEL, "circles": [str(his.pk)]}]}
    refused(client.post(f"{API}/cards", given), 400)
    assert not Card.objects.exists()


# Forms


def read_vcard(content: bytes) -> list[str]:
    return [each.name for each in vcard.read(content)[0].properties]


def read_xcard(content: bytes) -> list[str]:
    (card,) = ET.fromstring(content)
    return [each.tag.rpartition("}")[2] for each in card if not each.tag.endswith("group")]


def read_jcard(content: bytes) -> list[str]:
    (_vcard, properties) = json.loads(content)
    return [each[0] for each in properties]


@pytest.mark.parametrize(
    ("accept", "content_type", "read"),
    [
        ("text/vcard", "text/vcard", read_vcard),
        ("text/vcard; version=4.0", "text/vcard", read_vcard),
        ('text/vcard; version="3.0"', "text/vcard", read_vcard),
        ("application/vcard+xml", "application/vcard+xml", read_xcard),
        ("application/vcard+json", "application/vcard+json", read_jcard),
        ("text/html;q=0.1, application/vcard+json;q=0.9", "application/vcard+json", read_jcard),
    ],
)
def test_the_owner_gets_the_card_in_every_form(
    client: APIClient, alice_card: Card, accept: str, content_type: str, read: Any
) -> None:
    response = client.get(path(alice_card), HTTP_ACCEPT=accept)
    assert response.status_code == 200
    assert response["Content-Type"].split(";")[0] == content_type
    assert "Accept" in response["Vary"]
    assert {"fn", "tel", "note", "uid"} <= set(read(response.content))


def test_the_version_of_a_vcard_is_the_one_asked_for(client: APIClient, alice_card: Card) -> None:
    for version in ("3.0", "4.0"):
        accept = f"text/vcard; version={version}"
        content = client.get(path(alice_card), HTTP_ACCEPT=accept).content
        assert f"VERSION:{version}\r\n".encode() in content


@pytest.mark.parametrize("accept", FORMS)
def test_a_holder_gets_the_view_in_every_form(held: Binding, bob: User, accept: str) -> None:
    response = api_of(bob).get(f"{API}/bindings/{held.pk}", HTTP_ACCEPT=accept)
    assert response["Content-Type"].split(";")[0] == accept.split(";")[0]
    assert b"+43 1 111" in response.content
    for hidden in (b"+43 664 222", b"hidden from all"):
        assert hidden not in response.content


@pytest.mark.parametrize("accept", FORMS)
def test_an_owner_gets_no_form_of_the_card_through_a_binding(
    held: Binding, alice: User, accept: str
) -> None:
    refused(api_of(alice).get(f"{API}/bindings/{held.pk}", HTTP_ACCEPT=accept), 403)


@pytest.mark.parametrize("accept", FORMS)
def test_an_error_is_a_problem_whatever_was_asked_for(
    client: APIClient, alice_card: Card, charlie: User, accept: str
) -> None:
    refused(client.get(f"{API}/cards/{UNKNOWN}", HTTP_ACCEPT=accept), 404)
    refused(api_of(charlie).get(path(alice_card), HTTP_ACCEPT=accept), 404)
    refused(APIClient().get(path(alice_card), HTTP_ACCEPT=accept), 401)
    refused(client.patch(path(alice_card), {}, HTTP_ACCEPT=accept), 428)
    refused(client.put(path(alice_card), {}, HTTP_ACCEPT=accept, **at(1)), 400)


@pytest.mark.parametrize("accept", FORMS)
def test_changes_are_answered_in_the_form_that_was_asked_for(
    held: Binding, bob: User, accept: str
) -> None:
    theirs: dict[str, Any] = {"HTTP_ACCEPT": accept}
    changed = api_of(bob).patch(f"{API}/bindings/{held.pk}", {"note": "private"}, **theirs)
    assert b"+43 1 111" in changed.content
    assert b"private" not in changed.content
    client, card = api_of(held.card.owner), held.card
    assert b"New" in client.put(path(card), {"fn": "New"}, HTTP_IF_MATCH="*", **theirs).content
    gone = client.delete(path(card), HTTP_IF_MATCH="*", **theirs)
    assert (gone.status_code, gone.content) == (204, b"")


@pytest.mark.parametrize("accept", FORMS)
def test_an_owner_changes_no_circles_by_asking_for_a_vcard(
    held: Binding, alice: User, family: Circle, accept: str
) -> None:
    circles = {"circles": [str(family.pk)]}
    refused(api_of(alice).patch(f"{API}/bindings/{held.pk}", circles, HTTP_ACCEPT=accept), 403)
    assert Binding.objects.get(pk=held.pk).view.circles == []


@pytest.mark.parametrize("accept", [*FORMS, "application/json"])
def test_a_card_has_no_options(client: APIClient, alice_card: Card, accept: str) -> None:
    refused(client.options(path(alice_card), HTTP_ACCEPT=accept), 405)


def test_a_form_that_there_is_not_is_refused(client: APIClient, alice_card: Card) -> None:
    refused(client.get(path(alice_card), HTTP_ACCEPT="text/html"), 406)


def test_the_photo_is_in_the_vcard_itself(client: APIClient, alice_card: Card) -> None:
    photo = picture("JPEG")
    send(client, "PUT", path(alice_card, "/photo"), photo, "image/jpeg", **at(1))
    content = client.get(path(alice_card), HTTP_ACCEPT="text/vcard").content
    (read,) = vcard.read(content)
    (inline,) = [each for each in read.properties if each.name == "photo"]
    assert str(inline.value).startswith("data:image/jpeg;base64,")


# History


def test_the_revisions_are_what_the_card_was_newest_first(
    client: APIClient, alice_card: Card, bob: User, held: Binding
) -> None:
    client.patch(path(alice_card), {"label": "Work"}, HTTP_IF_MATCH="*")
    revisions = client.get(path(alice_card, "/revisions")).json()["results"]
    assert [(each["rev"], each["label"]) for each in revisions] == [(3, "Work"), (1, "")]
    assert revisions[0]["changed_by"] == "alice"
    assert revisions[0]["changed_via"] == "api"
    assert revisions[1]["properties"] == alice_card.properties


def test_the_revisions_are_paged(client: APIClient, alice_card: Card) -> None:
    for n in range(4):
        client.patch(path(alice_card), {"label": str(n)}, HTTP_IF_MATCH="*")
    page = client.get(path(alice_card, "/revisions?limit=3")).json()
    rest = client.get(page["next"]).json()
    revs = [each["rev"] for each in (*page["results"], *rest["results"])]
    assert (revs, rest["next"]) == ([5, 4, 3, 2, 1], None)


def test_a_card_is_put_back_as_a_new_rev(client: APIClient, alice_card: Card) -> None:
    client.patch(path(alice_card), {"fn": "Other"}, **at(1))
    answer = client.post(path(alice_card, "/restore"), {"rev": 1}, **at(2))
    assert (answer.json()["fn"], answer.json()["rev"], answer["ETag"]) == (
        "Alice Example",
        3,
        '"3"',
    )
    newest = client.get(path(alice_card, "/revisions")).json()["results"][0]
    assert (newest["changed_by"], newest["changed_via"]) == ("alice", "api")


@pytest.mark.parametrize("rev", [0, -1, 2, 2**63, "x", None, [1], True])
def test_a_revision_that_is_not_there_puts_nothing_back(
    client: APIClient, alice_card: Card, rev: Any
) -> None:
    before = all_rows()
    body = {"rev": rev}
    refused(client.post(path(alice_card, "/restore"), body, format="json", **at(1)), 400)
    refused(client.post(path(alice_card, "/restore"), {"rev": 1}, format="json"), 428)
    refused(client.post(path(alice_card, "/restore"), {"rev": 1}, format="json", **at(7)), 412)
    assert all_rows() == before


def test_a_holder_puts_nothing_back(held: Binding, bob: User) -> None:
    answer = api_of(bob).post(path(held.card, "/restore"), {"rev": 1}, HTTP_IF_MATCH="*")
    refused(answer, 404)


def test_a_holder_sees_no_revisions_and_no_deliveries(held: Binding, bob: User) -> None:
    for more in ("", "/revisions", "/deliveries", "/photo"):
        refused(api_of(bob).get(path(held.card, more)), 404)


def test_the_number_of_properties_does_not_cost_queries(
    client: APIClient, family: Circle, django_assert_max_num_queries: Any
) -> None:
    given = {"fn": "Alice", "properties": [{**TEL, "circles": [str(family.pk)]}] * 200}
    with django_assert_max_num_queries(20):
        assert client.post(f"{API}/cards", given).status_code == 201


def test_a_list_does_not_cost_queries_by_its_length(
    client: APIClient, alice: User, django_assert_max_num_queries: Any
) -> None:
    for n in range(20):
        make_card(alice, prop("tel", str(n), "*"), fn=f"Card {n}")
    with django_assert_max_num_queries(4):
        assert len(client.get(f"{API}/cards").json()["results"]) == 20
