"""Pages of an owner's cards: the list, the form and its rows, two who write at once, retiring."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from PIL import Image

from accounts.models import Circle, User
from bindings.models import Binding
from cards.face import Face
from cards.models import Card, Door, Property
from tests.conftest import change, make_card, prop

Web = Callable[[User], Client]


def form_of(page: Any, **changes: Any) -> dict[str, Any]:
    """What a browser sends when it sends the form of this answer back, with changes; a field
    changed to None is left out, as an unticked box is."""
    form = page.context["form"]
    fields = [*form, *form.rows.management_form, *(field for row in form.rows for field in row)]
    sent = {field.html_name: field.value() for field in fields if field.name != "photo"}
    sent.update({name.replace("__", "-"): value for name, value in changes.items()})
    return {name: value for name, value in sent.items() if value is not None and value is not False}


def edit(browser: Client, card: Card, **changes: Any) -> Any:
    url = reverse("card", args=[card.pk])
    answer = browser.post(url, form_of(browser.get(url), **changes))
    card.refresh_from_db()
    return answer


def test_each_page_works_for_the_owner_and_for_nobody_else(
    web: Web, alice_card: Card, alice: User, charlie: User, client: Client
) -> None:
    for name in ("card", "card-retire"):
        url = reverse(name, args=[alice_card.pk])
        assert web(alice).get(url).status_code == 200
        assert web(charlie).get(url).status_code == 404
        assert web(charlie).post(url, {"fn": "Mine now"}).status_code == 404
        assert client.get(url)["Location"].startswith(reverse("account_login"))
    alice_card.refresh_from_db()
    assert alice_card.fn == "Alice Example"


@pytest.mark.parametrize("name", ["cards", "card-new", "card-row"])
def test_a_visitor_is_asked_to_sign_in(name: str, client: Client, db: None) -> None:
    assert client.get(reverse(name))["Location"].startswith(reverse("account_login"))


def test_the_list_has_ones_own_cards_alone(
    web: Web, alice_card: Card, alice: User, charlie: User
) -> None:
    assert "+43 1 111" in web(alice).get(reverse("cards")).content.decode()
    page = web(charlie).get(reverse("cards")).content.decode()
    assert "+43 1 111" not in page
    assert "no card yet" in page


def test_a_new_card_is_shown_to_those_who_are_ticked(web: Web, alice: User) -> None:
    browser, url = web(alice), reverse("card-new")
    form = form_of(browser.get(url), rows__1__part0="+43 1 5", rows__2__part0="a@example.org")
    assert form["rows-1-circles"] == form["rows-2-circles"] == ["*"]  # proposed
    form["rows-1-circles"] = []
    answer = browser.post(url, form)
    card = Card.objects.get(owner=alice)
    assert answer["Location"] == reverse("share", args=[card.pk])
    assert (card.changed_by, card.changed_via) == (alice, Door.WEB)
    assert [(each["name"], each["circles"]) for each in card.properties] == [
        ("n", ["*"]),
        ("tel", []),
        ("email", ["*"]),
    ]


@pytest.mark.parametrize(
    ("language", "family", "given", "whole"),
    [("en", "Example", "Alice", "Alice Example"), ("zh-hans", "欧阳", "娜", "欧阳娜")],
)
def test_a_name_is_put_together_of_its_parts(
    web: Web, alice: User, language: str, family: str, given: str, whole: str
) -> None:
    alice.name, alice.language = whole, language
    alice.save()
    browser, url = web(alice), reverse("card-new")
    page = browser.get(url)
    parts = [field.name for field in page.context["form"].rows.forms[0].part_fields()][:2]
    assert (parts == ["part0", "part1"]) is (language == "zh-hans")
    form = form_of(page, fn="")
    assert (form["rows-0-part0"], form["rows-0-part1"]) == (family, given)
    browser.post(url, form)
    card = Card.objects.get(owner=alice)
    assert (card.fn, card.properties[0]["value"][:2]) == (whole, [family, given])
    nameless = form_of(browser.get(url), fn="", rows__0__part0="", rows__0__part1="")
    assert browser.post(url, nameless).status_code == 200
    assert Card.objects.filter(owner=alice).count() == 1


def test_saving_without_a_change_leaves_every_property_as_it_was(web: Web, alice: User) -> None:
    odd = [
        prop("n", ["Example", ["Alice", "Maria"], "", "Dr", ""], "*"),
        prop("adr", ["", "", "Weg 1\nHof", "Wien", "", "1010", "AT"], "*", type=["home"]),
        prop("tel", "+43 1 111", "*", type=["work", "x-desk"], group=["item1"]),
        prop("x-ablabel", "Reception", "*", group=["item1"]),
        prop("nickname", ["Al", "Ali, the first"], "*"),
        prop("clientpidmap", ["1", "urn:uuid:53e374d9-337e-4727-8803-a1e9c14e0556"]),
        prop("org", ["Studio", "Design", "Print", "Paper"], "*"),
        prop("x-room", "2.13", "*", **{"x-floor": ["2"]}),
    ]
    card = make_card(alice, *odd)
    answer = edit(web(alice), card)
    assert answer.status_code == 302
    assert card.properties == odd


def test_a_changed_row_keeps_what_the_form_does_not_know(web: Web, alice: User) -> None:
    card = make_card(
        alice, prop("tel", "+43 1 111", "*", type=["work"], pref=["1"], group=["item1"])
    )
    edit(web(alice), card, rows__0__part0="+43 1 999", rows__0__type="cell")
    assert card.properties == [
        prop("tel", "+43 1 999", "*", type=["cell"], pref=["1"], group=["item1"])
    ]


def test_a_component_is_changed_and_the_others_stay(web: Web, alice: User) -> None:
    card = make_card(alice, prop("n", ["Example", ["Alice", "Maria"], "", "Dr", ""], "*"))
    edit(web(alice), card, rows__0__part0="Sample")
    assert card.properties[0]["value"] == ["Sample", ["Alice", "Maria"], "", "Dr", ""]


def test_a_line_is_hidden_by_unticking_its_boxes(web: Web, alice: User, alice_card: Card) -> None:
    edit(web(alice), alice_card, rows__0__circles=[])
    assert alice_card.properties[0]["circles"] == []


def test_removed_and_emptied_rows_go(web: Web, alice: User, alice_card: Card) -> None:
    edit(web(alice), alice_card, rows__0__remove="on", rows__1__part0=" ")
    assert [each["name"] for each in alice_card.properties] == ["note"]


def test_rows_that_were_not_sent_stay(web: Web, alice: User, alice_card: Card) -> None:
    before = alice_card.properties
    edit(web(alice), alice_card, rows__TOTAL_FORMS="1")
    assert alice_card.properties == before


def test_a_row_is_added_without_a_script_and_nothing_typed_is_lost(
    web: Web, alice: User, alice_card: Card
) -> None:
    page = edit(web(alice), alice_card, rows__0__part0="+43 1 7", kind="adr", add="1")
    assert page.status_code == 200
    assert [row.property_name for row in page.context["form"].rows] == ["tel", "tel", "note", "adr"]
    assert "+43 1 7" in page.content.decode()
    assert alice_card.properties[0]["value"] == "+43 1 111"


def test_a_row_is_added_with_a_script(web: Web, alice: User) -> None:
    url = reverse("card-row")
    row = web(alice).get(url, {"kind": "adr", "rows-TOTAL_FORMS": "4"}).content.decode()
    assert 'name="rows-4-part2"' in row
    assert 'value="5" hx-swap-oob' in row
    assert web(alice).get(url, {"kind": "begin", "rows-TOTAL_FORMS": "4"}).status_code == 400
    assert web(alice).get(url, {"kind": "adr", "rows-TOTAL_FORMS": "x"}).status_code == 400


@pytest.mark.parametrize(
    "wrong",
    [
        {"fn": ""},
        {"fn": "x" * 501},
        {"seen": "soon"},
        {"rows__TOTAL_FORMS": "many"},
        {"rows__0__part0": "\x07bell"},
        {"rows__0__circles": ["00000000-0000-0000-0000-000000000000"]},
        {"rows__0__type": "planet"},
        {"rows__TOTAL_FORMS": "4", "rows__3__name": "begin", "rows__3__part0": "x"},
    ],
)
def test_garbage_is_a_form_error_and_changes_nothing(
    wrong: dict[str, Any], web: Web, alice: User, alice_card: Card
) -> None:
    before = alice_card.content()
    answer = edit(web(alice), alice_card, **wrong)
    assert answer.status_code == 200
    assert "errorlist" in answer.content.decode()
    assert alice_card.content() == before


@pytest.mark.parametrize("base", ["", "x", "99", "9" * 30])
def test_a_form_that_was_never_ours_is_refused(
    base: str, web: Web, alice: User, alice_card: Card
) -> None:
    assert edit(web(alice), alice_card, base=base).status_code == 400


def test_somebody_elses_circle_cannot_be_named(
    web: Web, bob: User, bob_card: Card, family: Circle
) -> None:
    answer = edit(web(bob), bob_card, rows__0__circles=[str(family.pk)])
    assert "errorlist" in answer.content.decode()
    assert bob_card.properties[0]["circles"] == ["*"]


def test_of_two_who_write_at_once_both_versions_are_kept(
    web: Web, alice: User, alice_card: Card
) -> None:
    browser, url = web(alice), reverse("card", args=[alice_card.pk])
    form = form_of(browser.get(url), rows__0__part0="+43 1 typed")
    change(alice_card, tel="+43 1 stored")
    answer = browser.post(url, form)
    page = answer.content.decode()
    assert answer.status_code == 409
    assert "+43 1 typed" in page
    assert "+43 1 stored" in page
    alice_card.refresh_from_db()
    assert alice_card.properties[0]["value"] == "+43 1 stored"
    browser.post(url, form_of(answer))
    alice_card.refresh_from_db()
    assert alice_card.properties[0]["value"] == "+43 1 typed"


def test_an_exchange_in_between_does_not_get_in_the_way(
    web: Web, alice: User, alice_card: Card, request: pytest.FixtureRequest
) -> None:
    browser, url = web(alice), reverse("card", args=[alice_card.pk])
    form = form_of(browser.get(url), rows__0__part0="+43 1 9")
    request.getfixturevalue("held")
    assert browser.post(url, form).status_code == 302


def picture(kind: str = "PNG") -> SimpleUploadedFile:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(out, kind)
    return SimpleUploadedFile(f"me.{kind.lower()}", out.getvalue())


def test_a_photo_is_shown_to_its_circles_and_removed(
    web: Web, alice: User, alice_card: Card, family: Circle
) -> None:
    edit(web(alice), alice_card, photo=picture(), photo_circles=[str(family.pk)])
    url = alice_card.visible_to([str(family.pk)])["photo"]
    assert url
    assert alice_card.visible_to([])["photo"] is None
    assert url in web(alice).get(reverse("cards")).content.decode()
    edit(web(alice), alice_card, remove_photo="on")
    assert (alice_card.photo, alice_card.photo_circles) == ("", [])


@pytest.mark.parametrize(
    "fields",
    [
        {"photo": SimpleUploadedFile("me.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>")},
        {"photo": SimpleUploadedFile("me.jpg", b"\xff\xd8\xff\xe0<script>alert(1)</script>")},
        {"photo": SimpleUploadedFile("me.jpg", b"\xff\xd8" + b"x" * 5_300_000)},
        {"photo": SimpleUploadedFile("me.exe", b"MZ")},
        {"photo": SimpleUploadedFile("me.jpg", picture().read()), "crop": "everything"},
    ],
    ids=["svg", "polyglot", "large", "program", "crop"],
)
def test_a_hostile_photo_is_refused_in_words(
    web: Web, alice: User, alice_card: Card, fields: dict[str, Any]
) -> None:
    browser, url = web(alice), reverse("card", args=[alice_card.pk])
    answer = browser.post(url, form_of(browser.get(url), **fields))
    assert answer.status_code == 200
    assert answer.context["form"].errors["photo"]
    assert b"errorlist" in answer.content
    assert Card.objects.get(pk=alice_card.pk).rev == alice_card.rev


def test_a_photo_has_an_address_that_only_names_photos(
    web: Web, alice: User, alice_card: Card, client: Client
) -> None:
    edit(web(alice), alice_card, photo=picture("JPEG"))
    answer: Any = client.get(reverse("photo", args=[alice_card.photo]))
    assert b"".join(answer.streaming_content).startswith(b"\xff\xd8")
    assert answer["Content-Type"] == "image/jpeg"
    for name in ("0" * 40 + ".jpg", "..", "%2e%2e%2fsecret_key", "..%2f..%2fsecret_key"):
        assert client.get(f"/photos/{name}").status_code == 404


def test_what_is_no_picture_is_refused(web: Web, alice: User, alice_card: Card) -> None:
    upload = SimpleUploadedFile("me.png", b"#!/bin/sh")
    answer = edit(web(alice), alice_card, photo=upload, fn="Other")
    assert "must be a JPEG" in answer.content.decode()
    assert (alice_card.photo, alice_card.fn) == ("", "Alice Example")


def test_a_card_is_retired_after_a_question(web: Web, alice: User, held: Binding) -> None:
    browser, url = web(alice), reverse("card-retire", args=[held.card_id])
    assert "cannot be recalled" in browser.get(url).content.decode()
    assert Card.objects.kept().filter(pk=held.card_id).exists()
    browser.post(url)
    assert not Card.objects.kept().filter(pk=held.card_id).exists()
    assert browser.get(reverse("card", args=[held.card_id])).status_code == 404


def test_a_property_is_never_written_as_markup(web: Web, alice: User) -> None:
    evil = "<script>alert(1)</script>"
    card = make_card(alice, prop("title", evil, "*"), prop("x-evil", evil, "*"), fn=evil)
    for url in (reverse("cards"), reverse("card", args=[card.pk])):
        assert evil not in web(alice).get(url).content.decode()


def test_what_is_written_is_what_the_form_said(web: Web, alice: User) -> None:
    """Every kind that the form offers, in one card."""
    browser, url = web(alice), reverse("card-new")
    page = browser.get(url)
    form = form_of(page)
    for at, name in enumerate(page.context["kinds"]):
        form |= {f"rows-{at}-name": name, f"rows-{at}-part0": "one", f"rows-{at}-part1": "two"}
    form["rows-TOTAL_FORMS"] = str(len(page.context["kinds"]))
    assert browser.post(url, form).status_code == 302
    written: dict[str, Property] = {
        each["name"]: each for each in Card.objects.get(owner=alice).properties
    }
    assert written.keys() == page.context["kinds"].keys()
    assert written["org"]["value"] == ["one", "two"]
    assert written["adr"]["value"] == ["one", "two", "", "", "", "", ""]
    assert written["nickname"]["value"] == ["one"]


def test_a_card_reads_as_people_speak() -> None:
    view = {
        "fn": "Alice",
        "photo": None,
        "properties": [
            prop("bday", "--0412"),
            prop("anniversary", "20150620"),
            prop("bday", "1990"),
            prop("bday", "19901340"),
            prop("adr", ["", "", "Weg 1", "Wien", "", "1010", "AT"], type=["home"]),
            prop("n", ["Example", ["Alice", "Maria"], "", "Dr", ""]),
            prop("tel", "tel:+431", group=["item1"]),
            prop("x-ablabel", "_$!<Assistant>!$_", group=["item1"]),
            prop("x-room", "2.13"),
        ],
    }
    assert [f"{line.label}: {line.text}" for line in Face.of(view).lines] == [
        "Birthday: April 12",
        "Anniversary: June 20, 2015",
        "Birthday: 1990",
        "Birthday: 19901340",
        "Address (home): Weg 1, 1010, Wien, AT",
        "Parts of the name: Dr Alice Maria Example",
        "Assistant: +431",
        "Room: 2.13",
    ]


def test_rows_are_saved_in_the_order_they_were_moved_to(
    web: Web, alice: User, alice_card: Card
) -> None:
    edit(web(alice), alice_card, rows__0__order="2", rows__1__order="0", rows__2__order="1")
    assert [each["name"] for each in alice_card.properties] == ["tel", "note", "tel"]
    assert alice_card.properties[2]["value"] == "+43 1 111"


def test_what_is_proposed_for_a_new_row_depends_on_its_kind(web: Web, alice: User) -> None:
    browser = web(alice)
    for kind, ticked in (("tel", True), ("url", True), ("adr", False), ("bday", False)):
        row = browser.get(reverse("card-row"), {"kind": kind, "rows-TOTAL_FORMS": "4"})
        assert row.context["row"]["circles"].value() == (["*"] if ticked else [])
