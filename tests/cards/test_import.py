"""Importing real .vcf files through the API: what becomes of them, and what is refused early."""

import base64
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts.models import Circle, User
from cards.models import Card, Door
from tests.conftest import api_of
from tests.rest import API, picture, refused, send

TRAPS = sorted((Path(__file__).parent / "vcf").glob("*.vcf"))
IMPORT = f"{API}/cards/import"


def vcf(*lines: str) -> bytes:
    return "\r\n".join(["BEGIN:VCARD", "VERSION:3.0", *lines, "END:VCARD", ""]).encode()


def upload(person: User, file: bytes, query: str = "", **fields: Any) -> Any:
    form = {"file": SimpleUploadedFile("cards.vcf", file, "text/vcard"), **fields}
    return api_of(person).post(IMPORT + query, form, format="multipart")


def photo(form: str = "JPEG") -> str:
    return f"PHOTO;ENCODING=b;TYPE={form}:{base64.b64encode(picture(form)).decode()}"


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.stem)
def test_a_real_file_is_imported(alice: User, trap: Path) -> None:
    """Each card with its name, in the order of the file, nothing in it seen by anybody."""
    facts = json.loads(trap.with_suffix(".json").read_text())["cards"]
    response = upload(alice, trap.read_bytes())
    assert response.status_code == 201
    imported = response.json()["cards"]
    assert [each["card"]["fn"] for each in imported] == [fact["fn"] for fact in facts]
    for each, fact in zip(imported, facts, strict=True):
        assert each["warnings"][: len(fact["warnings"])] == fact["warnings"]
    stored = {str(card.pk): card for card in Card.objects.all()}
    assert list(stored) and set(stored) == {each["card"]["id"] for each in imported}
    for card in stored.values():
        assert card.visible_to([])["properties"] == []


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.stem)
def test_what_was_imported_can_be_written_back(alice: User, trap: Path) -> None:
    client = api_of(alice)
    for each in upload(alice, trap.read_bytes()).json()["cards"]:
        card = each["card"]
        again = client.put(f"{API}/cards/{card['id']}", card, HTTP_IF_MATCH='"1"')
        assert again.status_code == 200
        assert again.json()["properties"] == card["properties"]


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.stem)
def test_a_dry_run_says_the_same_and_makes_nothing(alice: User, trap: Path) -> None:
    tried = upload(alice, trap.read_bytes(), dry_run="true")
    assert tried.status_code == 200
    assert not Card.objects.exists()
    assert told(tried) == told(upload(alice, trap.read_bytes()))


def told(response: Any) -> list[Any]:
    """What does not differ from one import to the next."""
    return [
        (each["warnings"], each["card"]["fn"], each["card"]["properties"])
        for each in response.json()["cards"]
    ]


@pytest.mark.parametrize(
    "says", [{"query": "?dry_run=true"}, {"dry_run": "1"}, {"dry_run": "True"}]
)
def test_every_way_to_say_yes_is_a_dry_run(alice: User, says: Any) -> None:
    assert upload(alice, vcf("FN:Ada", photo()), **says).status_code == 200
    assert not Card.objects.exists()


def test_a_dry_run_that_is_neither_yes_nor_no_is_refused(alice: User) -> None:
    assert "dry_run" in refused(upload(alice, vcf("FN:Ada"), dry_run="perhaps"), 400)["errors"]
    assert not Card.objects.exists()


def test_a_dry_run_stores_no_photo(alice: User, settings: Any) -> None:
    upload(alice, vcf("FN:Ada", photo()), dry_run="true")
    assert not (Path(settings.MEDIA_ROOT) / "photos").exists()


def test_what_is_imported_is_seen_by_the_circles_that_are_given(
    alice: User, family: Circle
) -> None:
    upload(alice, vcf("FN:Ada", "TEL:+43 1 5", photo()), circles=[str(family.pk)])
    card = Card.objects.get()
    assert card.visible_to([])["properties"] == []
    assert card.visible_to([])["photo"] is None
    view = card.visible_to([str(family.pk)])
    assert "+43 1 5" in str(view["properties"])
    assert view["photo"]


def test_what_is_imported_for_everyone_is_seen_by_everyone(alice: User) -> None:
    upload(alice, vcf("FN:Ada", "TEL:+43 1 5"), circles="*")
    assert "+43 1 5" in str(Card.objects.get().visible_to([]))


def test_the_circles_of_another_are_refused(alice: User, bob: User) -> None:
    his = Circle.objects.create(owner=bob, name="His")
    refused(upload(alice, vcf("FN:Ada"), circles=str(his.pk)), 400)
    assert not Card.objects.exists()


def test_the_import_is_the_first_revision(alice: User) -> None:
    upload(alice, vcf("FN:Ada"))
    revision = Card.objects.get().revisions.get()
    assert (revision.rev, revision.changed_by, revision.changed_via) == (1, alice, Door.IMPORT)


def test_the_photo_in_the_card_becomes_its_photo(alice: User) -> None:
    (each,) = upload(alice, vcf("FN:Ada", photo("PNG"))).json()["cards"]
    assert each["card"]["photo"]["url"].endswith(".jpg")
    assert each["warnings"] == [
        "The card had no structured name: it was made from the formatted one."
    ]
    assert not any(prop["name"] == "photo" for prop in each["card"]["properties"])


@pytest.mark.parametrize("dry_run", ["true", "false"])
def test_a_photo_that_is_none_is_left_out_with_a_warning(alice: User, dry_run: str) -> None:
    bad = base64.b64encode(b"GIF89a is not taken").decode()
    lines = ("N:Ada", "FN:Ada", f"PHOTO;ENCODING=b;TYPE=GIF:{bad}")
    (each,) = upload(alice, vcf(*lines), dry_run=dry_run).json()["cards"]
    assert each["card"]["photo"] is None
    assert each["warnings"] == [
        "The photo was left out: The photo must be a JPEG, PNG or WebP picture."
    ]


def test_only_the_first_photo_is_kept(alice: User) -> None:
    (each,) = upload(alice, vcf("N:Ada", "FN:Ada", photo(), photo("PNG"))).json()["cards"]
    assert each["card"]["photo"]
    assert each["warnings"] == ["photo was left out: only one photo is kept."]


def test_a_photo_is_never_fetched(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """A card can name any address; the server must not be made to open it."""

    def refuse(*_args: Any, **_kwargs: Any) -> None:
        raise AssertionError("The server opened a connection.")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    url = "http://169.254.169.254/latest/meta-data"
    lines = (f"PHOTO;VALUE=uri:{url}", f"LOGO;VALUE=uri:{url}", f"SOUND:{url}", f"URL:{url}")
    (each,) = upload(alice, vcf("FN:Ada", *lines)).json()["cards"]
    assert each["card"]["photo"] is None
    assert url in str(each["card"]["properties"])


def test_a_second_name_is_left_out_with_a_warning(alice: User) -> None:
    (each,) = upload(alice, vcf("N:Ada", "FN:Ada", "FN:Countess")).json()["cards"]
    assert each["card"]["fn"] == "Ada"
    assert each["warnings"] == ["Another name was left out: Countess"]


def test_a_value_that_no_card_may_have_is_left_out_with_a_warning(alice: User) -> None:
    (each,) = upload(alice, vcf("N:Ada", "FN:Ada", f"NOTE:{'x' * 200_000}", "TEL:1")).json()[
        "cards"
    ]
    assert [prop["name"] for prop in each["card"]["properties"]] == ["n", "tel"]
    assert each["warnings"] == ["note was left out: This is too long."]


def test_warnings_stand_beside_their_card(alice: User) -> None:
    file = vcf("N:A", "FN:A") + vcf("N:B", "TEL:1") + vcf("N:C", "FN:C")
    imported = upload(alice, file).json()["cards"]
    assert [each["card"]["fn"] for each in imported] == ["A", "B", "C"]
    assert [bool(each["warnings"]) for each in imported] == [False, True, False]


@pytest.mark.parametrize(
    "file", [b"", b"hello", b"\x00" * 100, b"\xff\xfe", picture(), vcf(), b"BEGIN:VCARD\r\n" * 9]
)
def test_a_file_without_cards_is_refused(alice: User, file: bytes) -> None:
    assert "file" in refused(upload(alice, file), 400)["errors"]
    assert not Card.objects.exists()


@pytest.mark.parametrize(
    "bomb",
    [
        vcf("FN:A", *["TEL:1"] * 1_001),
        vcf("FN:A") * 5_001,
        vcf("FN:A", f"CATEGORIES:{',' * 100_000}"),
        vcf(*["BEGIN:VCARD"] * 1_000),
    ],
    ids=["properties", "cards", "parts", "nesting"],
)
def test_a_bomb_is_refused_in_words(alice: User, bomb: bytes) -> None:
    assert "file" in refused(upload(alice, bomb), 400)["errors"]
    assert not Card.objects.exists()


def test_a_body_that_says_it_has_100_megabytes_is_not_read(alice: User) -> None:
    form = "multipart/form-data; boundary=x"
    client = api_of(alice)
    response = client.post(IMPORT, "x", content_type=form, CONTENT_LENGTH=str(100 * 1024 * 1024))
    refused(response, 413)


def test_too_many_fields_are_refused(alice: User) -> None:
    refused(upload(alice, vcf("FN:A"), circles=["*"] * 10_001), 400)


def test_a_field_of_megabytes_is_refused(alice: User) -> None:
    refused(upload(alice, vcf("FN:A"), circles="x" * 3_000_000), 413)


@pytest.mark.parametrize(
    ("body", "form", "status"),
    [
        (b"", "multipart/form-data; boundary=x", 400),
        (b"nonsense", "multipart/form-data; boundary=x", 400),
        (b"nonsense", "multipart/form-data", 400),
        (b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\ntext\r\n--x--\r\n',
         "multipart/form-data; boundary=x", 400),
        (vcf("FN:A"), "text/vcard", 415),
        (b"{}", "application/json", 415),
        (b"file=x", "application/x-www-form-urlencoded", 415),
    ],
)  # fmt: skip
def test_what_is_no_form_with_a_file_is_refused(
    alice: User, body: bytes, form: str, status: int
) -> None:
    refused(send(api_of(alice), "POST", IMPORT, body, form), status)
    assert not Card.objects.exists()


# The page


def posted(browser: Client, file: bytes, **fields: Any) -> Any:
    form = {"file": SimpleUploadedFile("cards.vcf", file, "text/vcard"), **fields}
    return browser.post("/cards/import/", form)


TWO = vcf("FN:Alice", "TEL:+43 1 111") + vcf("FN:Office", "TEL:+43 1 222", photo())


def test_the_page_shows_what_is_in_a_file_before_anything_is_made(
    web: Any, alice: User, settings: Any
) -> None:
    page = posted(web(alice), TWO, look="1")
    assert [face.fn for face, _warnings in page.context["found"]] == ["Alice", "Office"]
    assert not Card.objects.exists()
    assert not (Path(settings.MEDIA_ROOT) / "photos").exists()


def test_only_what_is_ticked_becomes_a_card(web: Any, alice: User, family: Circle) -> None:
    page = posted(web(alice), TWO, wanted=["1"], circles=[str(family.pk)])
    card = Card.objects.get(owner=alice)
    assert page["Location"] == f"/cards/{card.pk}/audience/"
    assert (card.fn, card.changed_via, bool(card.photo)) == ("Office", Door.IMPORT, True)
    assert {*map(tuple, (each["circles"] for each in card.properties))} == {(str(family.pk),)}


@pytest.mark.parametrize(
    ("file", "fields"),
    [
        (b"", {}),
        (b"no card", {}),
        (b"BEGIN:VCARD\r\n" * 9, {}),
        (b"\0" * 1000, {}),
        (TWO, {"wanted": ["x"]}),
        (TWO, {"wanted": ["-1"]}),
        (TWO, {"wanted": ["0"], "circles": ["11111111-1111-1111-1111-111111111111"]}),
        (b"x" * 10_000_001, {"wanted": ["0"]}),
    ],
    ids=str,
)
def test_garbage_in_the_page_is_told(
    web: Any, alice: User, file: bytes, fields: dict[str, Any]
) -> None:
    page = posted(web(alice), file, **fields)
    assert page.status_code == 200
    assert page.context["form"].errors
    assert b"errorlist" in page.content
    assert not Card.objects.exists()


def test_what_is_not_in_the_file_is_not_made(web: Any, alice: User) -> None:
    assert posted(web(alice), TWO, wanted=["7"]).status_code == 302
    assert not Card.objects.exists()


def test_a_visitor_imports_nothing(client: Client, db: None) -> None:
    assert posted(client, TWO, wanted=["0"])["Location"].startswith("/account/login/")
