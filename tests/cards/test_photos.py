"""Photos: what is taken, what is refused and in which words, and who sees them."""

import io
import random
import zipfile
from pathlib import Path
from typing import Any, cast
from zlib import crc32

import pytest
from django.conf import settings
from django.core.exceptions import ValidationError
from django.test import Client
from PIL import Image

from accounts.models import Circle, User
from bindings import exchange
from bindings.models import Binding
from cards import photos
from cards.models import Card
from delivery import fanout
from tests.conftest import api_of, catch_up, make_device
from tests.rest import API, all_rows, picture, refused, send

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
LATEST: dict[str, Any] = {"HTTP_IF_MATCH": "*"}


def put(card: Card, upload: bytes, form: str = "image/png", query: str = "") -> Any:
    path = f"{API}/cards/{card.pk}/photo{query}"
    return send(api_of(card.owner), "PUT", path, upload, form, **LATEST)


def kept_photo(card: Card) -> Image.Image:
    card.refresh_from_db()
    (url,) = [api_of(card.owner).get(f"{API}/cards/{card.pk}/photo").json()["url"]]
    return Image.open(io.BytesIO(fetched(url)))


def fetched(url: str) -> bytes:
    response: Any = Client().get(url)
    assert response.status_code == 200
    return b"".join(response.streaming_content)  # to its end, which closes the file


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_a_picture_is_taken(alice_card: Card, form: str) -> None:
    response = put(alice_card, picture(form, (40, 20)), f"image/{form.lower()}")
    assert response.status_code == 200
    kept = kept_photo(alice_card)
    assert (kept.format, kept.size) == ("JPEG", (40, 20))


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "RGBA", "CMYK", "I;16"])
def test_a_picture_of_any_colour_space_is_taken(alice_card: Card, mode: str) -> None:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), "white").convert("L").convert(mode).save(
        out, "JPEG" if mode == "CMYK" else "PNG"
    )
    assert put(alice_card, out.getvalue()).status_code == 200


def test_a_picture_is_taken_from_a_form(alice_card: Card) -> None:
    path = f"{API}/cards/{alice_card.pk}/photo"
    form = {"file": io.BytesIO(picture())}
    assert api_of(alice_card.owner).put(path, form, format="multipart", **LATEST).status_code == 200
    assert kept_photo(alice_card).size == (4, 2)


def test_a_large_picture_is_made_smaller(alice_card: Card) -> None:
    put(alice_card, picture("JPEG", (3000, 1500)))
    assert kept_photo(alice_card).size == (1024, 512)


@pytest.mark.parametrize(
    ("upload", "words"),
    [
        (SVG, "JPEG, PNG or WebP"),
        (picture("GIF"), "JPEG, PNG or WebP"),
        (b"GIF89a" + picture("PNG"), "JPEG, PNG or WebP"),
        (b"%PDF-1.7", "JPEG, PNG or WebP"),
        (b"", "Send the picture"),
        (b"\x89PNG\r\n\x1a\n", "JPEG, PNG or WebP"),
        (picture("PNG", (64, 64))[:90], "JPEG, PNG or WebP"),
        (picture("JPEG", (640, 640))[:2000], "JPEG, PNG or WebP"),
        (picture("PNG", (5001, 5000)), "25 megapixels"),
        (picture("PNG") + bytes(photos.MAX_BYTES), "5 MB"),
    ],
)
def test_what_is_no_good_picture_is_refused_with_a_reason(
    alice_card: Card, upload: bytes, words: str
) -> None:
    client = api_of(alice_card.owner)
    before = all_rows()
    path = f"{API}/cards/{alice_card.pk}/photo"
    response = send(client, "PUT", path, upload, "image/png", **LATEST)
    assert words in refused(response, 400)["detail"]
    assert all_rows() == before


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [10_000, 30_000])
def test_huge_dimensions_are_refused_before_a_pixel_is_read(side: int) -> None:
    with pytest.raises(ValidationError):
        photos.reencoded(png_that_says(side))


def png_that_says(side: int) -> bytes:
    """A PNG whose header says that each of its sides has so many pixels."""
    honest = bytearray(picture("PNG"))
    honest[16:24] = side.to_bytes(4, "big") * 2
    honest[29:33] = crc32(honest[12:29]).to_bytes(4, "big")
    return bytes(honest)


@pytest.mark.parametrize(
    ("crop", "left", "right"),
    [("0,0,1", "red", "red"), ("0.5,0,1", "blue", "blue"), ("0.375,0.5,0.5", "red", "blue")],
)
def test_a_square_is_cut_out(crop: str, left: str, right: str) -> None:
    wide = picture("JPEG", size=(400, 200), quality=95)
    cut = Image.open(io.BytesIO(photos.reencoded(wide, photos.Crop.read(crop))))
    assert cut.width == cut.height
    for at, colour in ((2, left), (cut.width - 3, right)):
        red, _green, blue = cast(tuple[int, int, int], cut.getpixel((at, cut.height // 2)))
        assert (red > blue) is (colour == "red")


@pytest.mark.parametrize(
    "crop", ["x", "0,0", "0,0,0", "0,0,nan", "-1,0,1", "0,0,1e9", "0,0,0.01", "1,1,1,1", ","]
)
def test_what_is_no_square_of_a_picture_is_refused(crop: str) -> None:
    with pytest.raises((TypeError, ValueError)):
        photos.Crop.read(crop)


def test_a_body_that_says_it_is_huge_is_not_read(alice_card: Card) -> None:
    client = api_of(alice_card.owner)
    path = f"{API}/cards/{alice_card.pk}/photo"
    response = send(client, "PUT", path, b"x", "image/png", CONTENT_LENGTH="100000000", **LATEST)
    refused(response, 413)


@pytest.mark.parametrize("seed", range(6))
def test_no_broken_picture_is_an_error_of_ours(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(60):
        whole = bytearray(picture(rng.choice(["PNG", "JPEG", "WEBP"]), (32, 32)))
        for _ in range(rng.randint(1, 20)):
            whole[rng.randrange(len(whole))] = rng.randrange(256)
        try:
            photos.reencoded(bytes(whole))
        except ValidationError as error:
            assert error.messages


def test_a_polyglot_loses_its_other_tongue(alice_card: Card) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("evil.html", "<script>alert(1)</script>")
    put(alice_card, picture("JPEG", (40, 20), comment=b"<script>") + archive.getvalue())
    (kept,) = stored_photos()
    assert not zipfile.is_zipfile(kept)
    assert b"<script>" not in kept.read_bytes()


def stored_photos() -> list[Path]:
    return list((Path(settings.MEDIA_ROOT) / "photos").glob("*"))


def with_exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees to the right
    exif[0x010F] = "CANARY-MAKER"
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[29] = "CANARY-GPS"
    return picture("JPEG", (40, 20), exif=exif, quality=95)


def test_no_metadata_is_kept(alice_card: Card) -> None:
    assert b"CANARY-GPS" in with_exif()
    put(alice_card, with_exif())
    (kept,) = stored_photos()
    assert b"CANARY" not in kept.read_bytes()
    assert b"Exif" not in kept.read_bytes()
    assert not kept_photo(alice_card).getexif()


def test_a_picture_is_turned_upright(alice_card: Card) -> None:
    """Red on the left, turned to the right: red on top."""
    put(alice_card, with_exif())
    kept = kept_photo(alice_card)
    assert kept.size == (20, 40)
    red, _green, blue = kept.getpixel((10, 5))  # type: ignore[misc]
    assert red > 200 > 60 > blue


def test_what_is_clear_becomes_paper(alice_card: Card) -> None:
    out = io.BytesIO()
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(out, "PNG")
    put(alice_card, out.getvalue())
    assert kept_photo(alice_card).getpixel((4, 4)) == (255, 255, 255)


def test_the_address_is_unguessable_and_says_nothing(alice_card: Card, bob_card: Card) -> None:
    urls = {put(card, picture()).json()["photo"]["url"] for card in (alice_card, bob_card)}
    assert len(urls) == 2  # the same picture on two cards
    for url in urls:
        name = url.rsplit("/", 1)[-1]
        assert len(name) == len("x" * 40 + ".jpg")
        assert int(name[:40], 16) > 0


def test_the_photo_is_immutable_and_only_a_photo(alice_card: Card) -> None:
    url = put(alice_card, picture()).json()["photo"]["url"]
    response: Any = Client().get(url)
    assert b"".join(response.streaming_content)
    assert response["Content-Type"] == "image/jpeg"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert {"immutable", "private"} <= {*response["Cache-Control"].split(", ")}
    other = put(alice_card, picture("PNG", (8, 8))).json()["photo"]["url"]
    assert other != url
    assert fetched(url)


@pytest.mark.parametrize("name", ["nothing.jpg", "../secret_key", "..%2Fsecret_key", "%00"])
def test_other_files_are_not_served(db: None, name: str) -> None:
    assert Client().get(f"/photos/{name}").status_code == 404


def test_a_photo_is_hidden_until_it_is_given(held: Binding, bob: User) -> None:
    card = held.card
    assert put(card, picture()).json()["photo"]["circles"] == []
    assert photo_for(held, bob) is None
    url = put(card, picture(), query="?circles=*").json()["photo"]["url"]
    assert photo_for(held, bob) == url


def photo_for(held: Binding, holder: User) -> Any:
    """The photo in each way that the holder gets the card; the same in all."""
    fanout.run_all()
    phone = make_device(holder)
    client = api_of(holder, phone)
    read = client.get(f"{API}/bindings/{held.pk}").json()["card"]["photo"]
    listed = client.get(f"{API}/bindings?side=holder").json()["results"][0]["card"]["photo"]
    synced = [each["view"]["photo"] for each in catch_up(phone) if "view" in each]
    assert [read, listed, *synced] == [read] * 3
    as_vcard = client.get(f"{API}/bindings/{held.pk}", HTTP_ACCEPT="text/vcard").content
    assert (b"PHOTO" in as_vcard) == (read is not None)
    return read


def test_a_photo_is_given_to_a_circle(held: Binding, bob: User, family: Circle) -> None:
    put(held.card, picture(), query=f"?circles={family.pk}")
    assert photo_for(held, bob) is None
    exchange.regrant(held, [str(family.pk)])
    assert photo_for(held, bob) is not None


def test_a_new_photo_stays_as_visible_as_the_old_one(alice_card: Card) -> None:
    put(alice_card, picture(), query="?circles=*")
    assert put(alice_card, picture("JPEG")).json()["photo"]["circles"] == ["*"]
    assert put(alice_card, picture("JPEG"), query="?circles=").json()["photo"]["circles"] == []


def test_a_photo_is_not_given_to_the_circle_of_another(alice_card: Card, bob: User) -> None:
    his = Circle.objects.create(owner=bob, name="His")
    refused(put(alice_card, picture(), query=f"?circles={his.pk}"), 400)


def test_a_photo_is_taken_away(held: Binding, bob: User) -> None:
    put(held.card, picture(), query="?circles=*")
    path = f"{API}/cards/{held.card_id}/photo"
    client = api_of(held.card.owner)
    refused(client.delete(path), 428)
    assert client.delete(path, **LATEST).status_code == 204
    refused(client.get(path), 404)
    assert photo_for(held, bob) is None


def test_setting_a_photo_needs_the_rev_that_was_read(alice_card: Card) -> None:
    client, path = api_of(alice_card.owner), f"{API}/cards/{alice_card.pk}/photo"
    refused(send(client, "PUT", path, picture(), "image/png"), 428)
    response = send(client, "PUT", path, picture(), "image/png", HTTP_IF_MATCH='"7"')
    refused(response, 412)
    assert stored_photos() == []


@pytest.mark.parametrize("form", ["application/json", "text/html", "application/octet-stream"])
def test_another_content_type_is_refused(alice_card: Card, form: str) -> None:
    refused(put(alice_card, picture(), form), 415)


def test_a_retired_card_leaves_no_photo_behind(
    alice_card: Card, django_capture_on_commit_callbacks: Any
) -> None:
    for size in ((4, 2), (8, 4)):
        put(alice_card, picture("PNG", size))
    alice_card.refresh_from_db()
    assert len(stored_photos()) == 2
    with django_capture_on_commit_callbacks(execute=True):
        alice_card.retire()
    assert stored_photos() == []
