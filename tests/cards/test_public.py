"""The public page of a card: what is on it, at which address, and that nobody else's view of the
card changes by it."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from accounts.models import User
from bindings.models import Binding
from cards import photos, public
from cards.models import PUBLIC, Card, PublicPage, StaleCard
from delivery import fanout
from tests.conftest import catch_up, make_card, make_device, pending, prop
from tests.test_leaks import jpeg

Web = Callable[[User], Client]


def shown(card: Card, *names: str, slug: str = "", is_indexed: bool = False) -> PublicPage:
    """The card's page, with the properties of these names on it."""
    card.refresh_from_db()
    for each in card.properties:
        if each["name"] in names:
            each["circles"] = [*each["circles"], PUBLIC]
    card.save()
    return public.publish(card, slug=slug, is_indexed=is_indexed)


def form(card: Card, **changed: Any) -> dict[str, Any]:
    """The form as it was opened, with nothing on the page but what is said."""
    card.refresh_from_db()
    return {"base": card.content_rev, "seen": card.content_rev, "slug": "", **changed}


def test_only_what_was_ticked_is_public(
    held: Binding, alice: User, family: Any, web: Web, client: Client
) -> None:
    card = held.card
    answer = web(alice).post(
        reverse("card-public", args=[card.pk]), form(card, row1=PUBLIC, slug="alice")
    )
    assert answer.status_code == 302
    page = client.get("/p/alice").content.decode()
    assert card.fn in page and "+43 664 222" in page
    assert "+43 1 111" not in page, "what everyone who holds the card sees is not public"
    assert "hidden from all" not in page
    vcf = client.get("/p/alice/card.vcf")
    assert b"+43 664 222" in vcf.content and b"+43 1 111" not in vcf.content
    assert vcf.content.startswith(b"BEGIN:VCARD\r\nVERSION:3.0")
    assert b"VERSION:4.0" in client.get("/p/alice/card.vcf?version=4.0").content


def test_nobody_who_holds_the_card_hears_of_it(held: Binding, bob: User) -> None:
    fanout.run_all()
    phone = make_device(bob)
    catch_up(phone)
    before = held.card.visible_to([])
    shown(held.card, "tel", "note")
    fanout.run_all()
    assert pending(phone) == {}
    assert Card.objects.get(pk=held.card_id).visible_to([]) == before


def test_looking_first_turns_nothing_on(alice_card: Card, alice: User, web: Web) -> None:
    address = reverse("card-public", args=[alice_card.pk])
    assert "+43 664 222" not in preview_of(web(alice).get(address))
    look = form(alice_card, row1=PUBLIC, look="1")
    assert "+43 664 222" in preview_of(web(alice).post(address, look))
    assert not PublicPage.objects.exists()
    assert PUBLIC not in Card.objects.get(pk=alice_card.pk).properties[1]["circles"]


def preview_of(page: Any) -> str:
    return str(page.content.decode().partition('id="preview"')[2])


def test_a_page_that_is_off_is_as_good_as_never_there(
    alice_card: Card, alice: User, web: Web, client: Client
) -> None:
    page = shown(alice_card, "tel")
    names = ["public", "public-vcf", "public-qr", "public-keep"]
    addresses = [reverse(name, args=[page.slug]) for name in names]
    assert {client.get(each).status_code for each in addresses} == {200}
    assert web(alice).post(reverse("card-unpublish", args=[alice_card.pk])).status_code == 302
    assert {client.get(each).status_code for each in addresses} == {404}
    public.publish(Card.objects.get(pk=alice_card.pk))
    assert client.get(page.url).status_code == 200, "the address has stayed"
    assert client.get(page.url.upper().replace("/P/", "/p/")).status_code == 200


def test_a_retired_card_and_a_person_who_is_out_have_no_page(
    alice_card: Card, bob_card: Card, client: Client
) -> None:
    pages = [shown(alice_card, slug="alice"), shown(bob_card)]
    alice_card.retire()
    bob_card.owner.is_active = False
    bob_card.owner.save()
    assert {client.get(page.url).status_code for page in pages} == {404}
    left = PublicPage.objects.get(slug="alice")
    assert left.card is None, "of the card nothing stays but the word"


def test_robots_are_told_what_the_owner_wants(alice_card: Card, client: Client) -> None:
    page = shown(alice_card)
    for name in ("public", "public-vcf", "public-qr"):
        assert client.get(reverse(name, args=[page.slug]))["X-Robots-Tag"] == "noindex"
    assert b'<meta name="robots" content="noindex">' in client.get(page.url).content
    page = public.publish(alice_card, is_indexed=True)
    answer = client.get(page.url)
    assert "X-Robots-Tag" not in answer and b"robots" not in answer.content


def test_it_is_asked_for_again_and_sent_only_if_it_differs(
    alice_card: Card, client: Client
) -> None:
    page = shown(alice_card, "tel")
    first = client.get(page.url)
    assert first["Cache-Control"] == "no-cache"
    again = {"If-None-Match": first["ETag"]}
    assert client.get(page.url, headers=again).status_code == 304
    alice_card.refresh_from_db()
    alice_card.properties[2]["value"] = "still hidden"
    alice_card.save()
    assert client.get(page.url, headers=again).status_code == 304, "it would tell of hidden edits"
    alice_card.properties[0]["value"] = "+43 1 999"
    alice_card.save()
    assert client.get(page.url, headers=again).status_code == 200
    assert not client.cookies


def test_a_script_is_no_link_and_no_other_host_is_asked(alice: User, client: Client) -> None:
    nasty = ["javascript:alert(1)", "data:text/html,x", "JAVASCRIPT:x", "<b>bold</b>"]
    card = make_card(alice, *(prop("url", each, PUBLIC) for each in nasty), fn="<i>A</i>")
    card.photo, card.photo_circles = photos.keep(card, jpeg()), [PUBLIC]
    card.save()
    page = client.get(public.publish(card).url).content.decode()
    links = re.findall(r'(?:href|src|content)="([^"]*)"', page)
    assert not [link for link in links if re.match(r"(?i)\s*(javascript|data):", link)]
    hosts = {link.split("/")[2] for link in links if "://" in link}
    assert hosts == {"testserver"}
    assert "<b>" not in page and "<i>" not in page and "<script" not in page


def test_the_photo_is_small_and_gone_with_the_page(alice: User, client: Client) -> None:
    card = make_card(alice)
    card.photo, card.photo_circles = photos.keep(card, jpeg()), ["*"]
    card.save()
    page = public.publish(card)
    address = reverse("public-photo", args=[page.slug])
    assert client.get(address).status_code == 404, "it is not public"
    card.photo_circles = [PUBLIC]
    card.save()
    answer = client.get(address)
    assert answer["Content-Type"] == "image/jpeg" and len(answer.content) < 40_000
    assert card.photo not in client.get(page.url).content.decode()
    public.unpublish(card)
    assert client.get(address).status_code == 404


# Addresses


@pytest.mark.parametrize(
    "slug", ["ab", "-ab", "a--b", "Ärger", "a b", "a/b", "x" * 41, "admin", "LOGIN", "a\0b", "a_b"]
)
def test_an_address_that_cannot_be_chosen(
    slug: str, alice_card: Card, alice: User, web: Web
) -> None:
    before = alice_card.content()
    answer = web(alice).post(
        reverse("card-public", args=[alice_card.pk]), form(alice_card, row0=PUBLIC, slug=slug)
    )
    assert answer.status_code == 200 and b"errorlist" in answer.content
    alice_card.refresh_from_db()
    assert alice_card.content() == before and not PublicPage.objects.exists()


def test_without_a_name_nobody_guesses_it(alice_card: Card, bob_card: Card) -> None:
    slugs = [public.publish(card).slug for card in (alice_card, bob_card)]
    assert len(set(slugs)) == 2 and all(len(slug) == 12 for slug in slugs)


def test_an_address_that_was_given_up_is_not_soon_somebody_elses(
    alice_card: Card, alice: User, bob_card: Card, client: Client
) -> None:
    public.publish(alice_card, slug="example")
    with pytest.raises(ValidationError):
        public.publish(bob_card, slug="EXAMPLE")
    public.publish(alice_card, slug="alice-example")
    assert client.get("/p/example").status_code == 404
    with pytest.raises(ValidationError):
        public.publish(bob_card, slug="example")
    other = make_card(alice)
    public.publish(other, slug="example")
    assert client.get("/p/example").status_code == 200, "it was her own"


def test_names_are_not_hoarded(alice_card: Card) -> None:
    for number in range(public.MOST_GIVEN_UP + 1):
        public.publish(alice_card, slug=f"name-{number}")
    with pytest.raises(ValidationError):
        public.publish(alice_card, slug="one-more")
    assert public.publish(alice_card, slug="name-3").is_on


def test_the_database_keeps_addresses_apart(alice_card: Card, bob_card: Card) -> None:
    public.publish(alice_card, slug="example")
    for wrong in (
        PublicPage(slug="example", card=bob_card),
        PublicPage(slug="Example", card=bob_card),
        PublicPage(slug="other", card=alice_card),
        PublicPage(slug="other"),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            wrong.save()


# Whoever else comes


def test_what_the_owner_was_not_shown_does_not_become_public(
    alice_card: Card, alice: User, web: Web, client: Client
) -> None:
    opened = form(alice_card, row0=PUBLIC, slug="alice")
    alice_card.properties[0]["value"] = "+43 1 999"
    alice_card.save()
    answer = web(alice).post(reverse("card-public", args=[alice_card.pk]), opened)
    assert answer.status_code == 409 and client.get("/p/alice").status_code == 404
    old = Card.objects.get(pk=alice_card.pk)
    alice_card.save()
    with pytest.raises(StaleCard):
        public.publish(old)


def test_only_the_owner_turns_it_on_and_off(
    alice_card: Card, charlie: User, web: Web, client: Client
) -> None:
    page = shown(alice_card)
    for name in ("card-public", "card-unpublish", "card-public-preview"):
        address = reverse(name, args=[alice_card.pk])
        assert web(charlie).post(address, form(alice_card)).status_code == 404
        assert client.post(address)["Location"].startswith(reverse("account_login"))
    assert client.get(page.url).status_code == 200


@pytest.mark.parametrize("slug", ["nowhere", "x" * 300, "%00", "a%20b", "..%2f"])
def test_garbage_is_nowhere(slug: str, client: Client, db: None) -> None:
    for rest in ("", "/card.vcf", "/qr.svg", "/photo.jpg", "/keep"):
        assert client.get(f"/p/{slug}{rest}").status_code == 404
        assert client.post(f"/p/{slug}{rest}").status_code in (404, 405)


def test_one_visit_is_a_few_queries(
    alice: User, client: Client, django_assert_num_queries: Any
) -> None:
    page = public.publish(make_card(alice, *(prop("tel", f"{n}", PUBLIC) for n in range(40))))
    with django_assert_num_queries(1):
        client.get(page.url)
