"""What makes an app of the pages: its manifest, its service worker, and the copy of a browser."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Circle, User
from bindings import exchange
from bindings.models import Binding
from cards.models import Card
from tests.conftest import bind, change, make_card, make_person

Web = Callable[[User], Client]
COPY = "/offline/copy"


@pytest.mark.parametrize(
    ("language", "holds"), [("en", "Cards I hold"), ("zh-hans", "我持有的名片")]
)
def test_the_manifest_speaks_the_language_of_the_page(
    language: str, holds: str, client: Client, bob: User, web: Web
) -> None:
    bob.language = language
    bob.save()
    page = web(bob).get("/").content.decode()
    address = re.search('rel="manifest" href="(.*?)"', page)
    assert address
    answer = client.get(address[1])
    assert answer["Content-Type"] == "application/manifest+json"
    said = json.loads(answer.content)
    assert (said["start_url"], said["display"]) == ("/", "standalone")
    assert [each["name"] for each in said["shortcuts"]][1] == holds
    assert {"192x192", "512x512"} < {each["sizes"] for each in said["icons"]}


@pytest.mark.parametrize("door", ["/manifest/xx.webmanifest", "/offline/xx/"])
def test_there_is_no_other_language(door: str, client: Client, db: None) -> None:
    assert client.get(door).status_code == 404


def test_the_worker_serves_the_whole_site_and_knows_nobody(
    client: Client, web: Web, bob: User
) -> None:
    answer = web(bob).get("/worker.js")
    assert answer["Content-Type"] == "text/javascript"
    assert "worker-src 'self'" in answer["Content-Security-Policy"]
    assert answer.content == client.get("/worker.js").content
    for page in re.findall(r'"(/offline/[\w-]+/)"', answer.content.decode()):
        assert "Bob" not in web(bob).get(page).content.decode()


def test_each_page_says_whose_it_is(web: Web, alice: User, bob: User, client: Client) -> None:
    bobs, alices = (web(person).get("/")["Cardsite-Person"] for person in (bob, alice))
    assert bobs == web(bob).get("/nowhere/")["Cardsite-Person"] != alices
    assert client.get("/account/login/")["Cardsite-Person"] == "nobody"


def test_the_shortcut_leads_to_the_qr(web: Web, alice_card: Card, bob: User) -> None:
    assert web(alice_card.owner).get("/qr/")["Location"] == f"/cards/{alice_card.pk}/share/"
    assert web(bob).get("/qr/")["Location"] == "/cards/new/"


# The copy


def copy_of(web: Web, person: User) -> dict[str, Any]:
    answer = web(person).get(COPY)
    assert answer["Cache-Control"] == "no-store"
    return dict(answer.json())


def test_the_copy_has_what_the_pages_show_and_nothing_else(
    held: Binding, web: Web, bob: User
) -> None:
    (shown,) = copy_of(web, bob)["held"]
    assert (shown["fn"], shown["lines"]) == (
        "Alice Example",
        [["Phone (work)", "+43 1 111", "tel:+431111"]],
    )
    assert not [secret for secret in ("222", "hidden from all") if secret in json.dumps(shown)]


def test_nobody_else_has_it(held: Binding, web: Web, charlie: User, client: Client) -> None:
    assert copy_of(web, charlie) == {"held": [], "own": []}
    assert client.get(COPY)["Location"].startswith("/account/login/")


def test_it_is_in_the_language_of_the_person(held: Binding, web: Web, bob: User) -> None:
    bob.language = "zh-hans"
    bob.save()
    assert web(bob).get(COPY)["Content-Language"] == "zh-hans"
    assert copy_of(web, bob)["held"][0]["lines"][0][0] == "电话（工作）"


def renamed(held: Binding) -> None:
    held.card.owner.name = "Alice New"
    held.card.owner.save()


def noted(held: Binding) -> None:
    held.note = "met in Vienna"
    held.save()


def own_card_edited(held: Binding) -> None:
    change(Card.objects.get(owner=held.holder), email="new@example.org")


def another_language(held: Binding) -> None:
    held.holder.language = "zh-hans"
    held.holder.save()


@pytest.mark.parametrize(
    "event",
    [
        lambda held: change(held.card, tel="+43 1 999"),
        lambda held: exchange.revoke(held),
        lambda held: bind(make_card(make_person("dora", "Dora")), held.holder),
        renamed,
        noted,
        own_card_edited,
        another_language,
    ],
)
def test_whatever_changes_it_is_read_again(
    event: Callable[[Binding], Any], held: Binding, web: Web, bob: User
) -> None:
    browser = web(bob)
    before = browser.get(COPY)
    known = {"If-None-Match": before["ETag"]}
    assert browser.get(COPY, headers=known).status_code == 304
    event(held)
    after = browser.get(COPY, headers=known)
    assert (after.status_code, after.content != before.content) == (200, True)


def test_what_the_holder_may_not_see_changes_nothing(
    held: Binding, family: Circle, web: Web, bob: User
) -> None:
    known = {"If-None-Match": web(bob).get(COPY)["ETag"]}
    change(held.card, note="still hidden")
    assert web(bob).get(COPY, headers=known).status_code == 304


def test_it_takes_as_many_queries_for_many_cards_as_for_one(
    held: Binding, web: Web, bob: User
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            web(bob).get(COPY)
        return len(captured)

    one = queries()
    for number in range(3):
        bind(make_card(make_person(f"person{number}", f"Person {number}")), bob)
    assert queries() == one
