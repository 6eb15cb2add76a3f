"""Who sees what, as a table of ticks, and the card through the eyes of somebody."""

import uuid
from collections.abc import Callable
from typing import Any

from django.test import Client

from accounts.models import Circle, User
from bindings.models import Binding
from cards.models import Card
from delivery import fanout
from tests.conftest import catch_up, change, make_device

Web = Callable[[User], Client]


def ticks(card: Card, **changed: list[str]) -> dict[str, Any]:
    """The form as it was opened, but for the rows that were changed."""
    rows = {f"row{at}": each["circles"] for at, each in enumerate(card.properties)}
    return {"base": card.content_rev, "seen": card.content_rev, **rows, **changed}


def test_a_tick_that_is_taken_away_takes_the_line_away(
    held: Binding, alice: User, bob: User, web: Web
) -> None:
    fanout.run_all()
    phone, card = make_device(bob), held.card
    catch_up(phone)
    answer = web(alice).post(f"/cards/{card.pk}/audience/", ticks(card, row0=[]))
    assert answer.status_code == 302
    fanout.run_all()
    (news,) = catch_up(phone)
    assert news["view"]["properties"] == []
    before, card = card, Card.objects.get(pk=card.pk)
    assert [each["value"] for each in card.properties] == [
        each["value"] for each in before.properties
    ]


def test_the_page_has_a_named_box_for_each_line_and_circle(
    alice_card: Card, family: Circle, alice: User, web: Web
) -> None:
    page = web(alice).get(f"/cards/{alice_card.pk}/audience/")
    boxes = len(alice_card.properties) * 3  # everyone, the family, the public
    assert page.content.count(b'type="checkbox"') == boxes
    assert page.content.count(b'aria-labelledby="line-') == boxes
    assert page.content.count(b" checked ") == sum(
        len(each["circles"]) for each in alice_card.properties
    )


def test_a_circle_of_somebody_else_cannot_be_ticked(
    alice_card: Card, alice: User, web: Web
) -> None:
    answer = web(alice).post(
        f"/cards/{alice_card.pk}/audience/", ticks(alice_card, row0=[str(uuid.uuid4())])
    )
    assert answer.status_code == 200
    assert b"errorlist" in answer.content
    assert Card.objects.get(pk=alice_card.pk).rev == alice_card.rev


def test_ticks_do_not_go_over_what_was_changed_meanwhile(
    alice_card: Card, alice: User, web: Web
) -> None:
    opened = ticks(alice_card, row0=[])
    change(alice_card, tel="+43 1 999")
    answer = web(alice).post(f"/cards/{alice_card.pk}/audience/", opened)
    assert answer.status_code == 409
    assert Card.objects.get(pk=alice_card.pk).properties[0]["circles"] == ["*"]


def test_the_preview_is_through_the_eyes_of_a_holder(
    held: Binding, alice: User, bob: User, charlie: User, family: Circle, web: Web
) -> None:
    owner, card = web(alice), held.card
    viewers = owner.get(f"/cards/{card.pk}/viewers/").content.decode()
    assert f'value="{held.pk}"' in viewers
    address = f"/cards/{card.pk}/audience/preview/"
    shown = ticks(card, row0=[str(family.pk)])
    assert card.properties[0]["value"] not in str(
        owner.post(address, {**shown, "as": str(held.pk)}).content
    )
    through_family = owner.post(address, {**shown, "as": str(family.pk)}).content
    assert card.properties[0]["value"] in str(through_family)
    assert b"One person will see this change." in through_family


def test_a_stranger_finds_no_table(alice_card: Card, charlie: User, web: Web) -> None:
    for door in ("audience/", "viewers/"):
        assert web(charlie).get(f"/cards/{alice_card.pk}/{door}").status_code == 404
    preview = f"/cards/{alice_card.pk}/audience/preview/"
    assert web(charlie).post(preview, ticks(alice_card)).status_code == 404
