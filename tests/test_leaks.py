"""I2 and the stranger: what is hidden occurs nowhere that a holder can look, and nobody finds
what is not theirs. The doors are taken from the URLs themselves, so a new one is looked through
on the day it is made."""

import io
import json
import logging
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from PIL import Image

from accounts.models import Circle, User
from bindings import exchange
from bindings.models import Binding, Exchange, Invitation, Request
from cards import photos
from cards.models import Card
from delivery import fanout, messages, prompts
from tests.conftest import (
    RecordingLayer,
    api_of,
    bind,
    catch_up,
    change,
    make_card,
    make_device,
    make_person,
    prop,
)
from tests.delivery.test_prompts import apple  # noqa: F401  (a fixture)

pytestmark = pytest.mark.usefixtures("uncounted")

CANARY = "CANARY"
NAMES: tuple[str, ...] = (
    "n",
    "nickname",
    "org",
    "title",
    "role",
    "tel",
    "email",
    "adr",
    "url",
    "impp",
    "bday",
)
NAMES += ("note", "categories", "x-secret")
STRUCTURED = {"n": 5, "adr": 7, "org": 2, "nickname": 1, "categories": 1}


def jpeg() -> bytes:
    picture = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(picture, "JPEG")
    return picture.getvalue()


def canary(name: str) -> Any:
    """A value of the property's shape that is found wherever it leaks."""
    value = f"{CANARY}-{name}"
    return [value] * STRUCTURED[name] if name in STRUCTURED else value


@pytest.fixture
def secretive(alice: User, bob: User, bob_card: Card) -> Binding:
    """Bob holds a card of Alice's on which all but one number is hidden from him: for nobody, or
    for circles that he is not in. What it once showed to all is hidden too."""
    circle = Circle.objects.create(owner=alice, name=f"{CANARY}-circle")
    card = make_card(
        alice,
        prop("tel", "+43 1 111", "*"),
        *(prop(name, canary(name)) for name in NAMES),
        *(prop(name, canary(name), str(circle.pk)) for name in NAMES),
    )
    card.label = f"{CANARY}-label"
    card.photo, card.photo_circles = photos.keep(card, jpeg()), [str(circle.pk)]
    card.save()
    held = bind(card, bob)
    dora = make_person("dora", f"{CANARY}-other-holder")
    bind(card, dora, str(circle.pk))
    dora_holds = Binding.objects.get(card=card, holder=dora)
    dora_holds.note = f"{CANARY}-note-of-another"
    dora_holds.save()
    exchange.ask(alice, "charlie", card, [str(circle.pk)], f"{CANARY}-message")
    return held


def doors(patterns: Any = None, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    """Every URL of ours: its route and its pattern."""
    for pattern in patterns if patterns is not None else get_resolver().url_patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            if pattern.app_name != "admin":
                yield from doors(pattern.url_patterns, route)
        elif "allauth" not in pattern.callback.__module__:
            yield route, pattern


def ids_of_all() -> list[str]:
    rows = (Card, Binding, Invitation, Request, Exchange, Circle)
    return [str(pk) for model in rows for pk in model._default_manager.values_list("pk", flat=True)]


def addresses(ids: list[str]) -> Iterator[str]:
    """Every URL, with each of the ids in its place."""
    for route, _pattern in doors():
        for pk in ids if "<" in route else [""]:
            yield "/" + re.sub(r"<[^>]+>", pk, route)


def everything(response: Any) -> str:
    body = b"".join(response.streaming_content) if response.streaming else response.content
    return f"{response.headers} {body.decode(errors='replace')}"


FORMS = ["*/*", "text/vcard", "application/vcard+xml"]  # in which the API answers, and no page


def test_no_door_shows_a_holder_what_is_hidden(
    secretive: Binding, bob: User, web: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    photo = secretive.card.photo
    app, page = api_of(bob), web(bob)
    answers = []
    for address in addresses(ids_of_all()):
        answers.append(page.get(address))
        for accept in FORMS if address.startswith("/api/") else ["*/*"]:
            answers.append(app.get(address, headers={"accept": accept}))
    seen = "".join(map(everything, answers))
    assert "+43 1 111" in seen, "the doors were not looked through"
    assert CANARY not in seen and CANARY not in caplog.text
    assert photo not in seen


def test_no_frame_or_row_brings_a_holder_what_is_hidden(
    secretive: Binding, bob: User, wire: RecordingLayer
) -> None:
    phone = make_device(bob)
    fanout.run_all()
    change(secretive.card, tel="+43 1 222")
    fanout.run_all()
    told = [*catch_up(phone), *wire.frames_to(bob)]
    in_xml = [
        messages.xml_frame({"kind": frame.get("type", frame.get("kind")), **frame})
        for frame in told
    ]
    assert "+43 1 222" in json.dumps(told) and "+43 1 222" in str(in_xml)
    assert CANARY not in json.dumps(told) + str(in_xml)


def test_no_push_brings_what_is_hidden_or_seen(
    secretive: Binding,
    bob: User,
    wire: RecordingLayer,
    apple: Any,  # noqa: F811
) -> None:
    make_device(bob, "ios", push_token="cd" * 32)
    fanout.run_all()
    assert prompts.run_one()
    pushed = str(apple.wait_for("cd" * 32))
    assert CANARY not in pushed and "+43" not in pushed and "Alice" not in pushed


METHODS = ("get", "post", "put", "patch", "delete")


def test_a_stranger_gets_404_at_every_url_of_others(
    secretive: Binding, charlie: User, web: Any
) -> None:
    Request.objects.all().delete()  # the one to Charlie is Charlie's
    invitation, _code = exchange.invite(secretive.card, lifetime=timedelta(days=1))
    circle, other = Circle.objects.get(), Exchange.objects.all()[0]
    others = [str(each.pk) for each in (secretive.card, secretive, invitation, circle, other)]
    app, page = api_of(charlie), web(charlie)
    before = snapshot()
    for route, _pattern in doors():
        if "<uuid" not in route:
            continue
        for pk in others:
            address = "/" + re.sub(r"<[^>]+>", pk, route)
            client: Any = app if route.startswith("api/") else page
            said = {getattr(client, method)(address).status_code for method in METHODS}
            assert 404 in said and said <= {404, 405}, (address, said)
    assert snapshot() == before


def test_an_anonymous_visitor_is_asked_to_sign_in_everywhere(secretive: Binding) -> None:
    for address in addresses(ids_of_all()[:1]):
        answer = Client().get(address)
        assert CANARY not in everything(answer)
        if "<" in address or "/api/" not in address:
            continue
        assert answer.status_code in (401, 404, 405) or address in OPEN, address


OPEN = {"/api/v1/schema", "/api/v1/docs"}


def snapshot() -> list[Any]:
    return [
        list(model._default_manager.order_by("pk").values())
        for model in (Card, Binding, Invitation, Circle)
    ]


def test_the_hidden_photo_is_there_to_be_found(secretive: Binding) -> None:
    """Else the test above could not fail."""
    assert default_storage.exists(photos.path_of(secretive.card.photo))
