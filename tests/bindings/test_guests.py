"""Guests: a card left without an account is followed as any other, changed by a private link, and
claimed into one account, once."""

import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts.models import User
from bindings import exchange, guests
from bindings.models import Binding, Block, Exchange, Guest
from cards import public
from cards.models import PUBLIC, Card, PublicPage
from cards.short import ShortCardForm
from delivery import fanout
from tests.bindings.test_pages import offer, text
from tests.conftest import catch_up, make_card, make_device, make_person, pending, prop

Web = Callable[[User], Client]

VISITOR = {"fn": "Grace Guest", "tel": "+44 20 1", "org": "Guest & Co"}


@pytest.fixture
def page(alice_card: Card) -> PublicPage:
    alice_card.properties[0]["circles"].append(PUBLIC)
    alice_card.save()
    return public.publish(alice_card, slug="alice")


@pytest.fixture
def link(page: PublicPage, client: Client) -> str:
    """The private link of a card that was left at Alice's page."""
    answer = client.post(reverse("public-leave", args=["alice"]), VISITOR)
    assert answer.status_code == 302, text(answer)
    return str(answer["Location"])


def key_of(link: str) -> str:
    return link.strip("/").split("/")[-1]


def left(alice: User) -> Binding:
    """The guest's card, as Alice holds it."""
    return Binding.objects.active().complete().get(holder=alice)


def typed(client: Client, link: str, **changed: str) -> dict[str, str]:
    """What the form of the private page says, with these changes."""
    form = client.get(link).context["form"]
    return {name: str(form[name].value() or "") for name in form.fields} | changed


def test_the_owner_of_the_page_holds_the_card(link: str, alice: User) -> None:
    card = left(alice).card
    view = card.visible_to([])
    assert view["fn"] == "Grace Guest"
    assert {each["name"]: each["value"] for each in view["properties"]} == {
        "org": ["Guest & Co"],
        "tel": "+44 20 1",
    }
    assert Exchange.objects.count() == 1


def test_what_the_guest_changes_reaches_the_holder(link: str, alice: User, client: Client) -> None:
    phone = make_device(alice)
    fanout.run_all()
    catch_up(phone)
    answer = client.post(link, typed(client, link, tel="+44 20 2", title="Captain"))
    assert answer.status_code == 302, text(answer)
    fanout.run_all()
    (told,) = [each for each in catch_up(phone) if each["kind"] == "card"]
    assert [each["value"] for each in told["view"]["properties"]] == [
        ["Guest & Co"],
        "+44 20 2",
        "Captain",
    ]


def test_the_guest_sees_what_was_given_as_it_is_now(
    link: str, alice_card: Card, client: Client
) -> None:
    assert "+43 1 111" in text(client.get(link))
    alice_card.refresh_from_db()
    alice_card.properties[0]["value"] = "+43 1 999"
    alice_card.save()
    page = text(client.get(link))
    assert "+43 1 999" in page and "+43 664 222" not in page, "only what the public sees"
    assert b"+43 1 999" in client.get(f"{link}card.vcf").content


def test_a_card_can_be_left_with_an_invitation(
    alice_card: Card, alice: User, family: Any, client: Client
) -> None:
    invitation = offer(alice_card, str(family.pk))
    link = client.post(f"{invitation}/leave", VISITOR)["Location"]
    assert left(alice).card.fn == "Grace Guest"
    assert "+43 664 222" in text(client.get(link)), "what the invitation gives"
    assert client.get(f"{invitation}/leave").status_code == 404, "it was for one"
    assert client.post(f"{invitation}/leave", VISITOR).status_code == 404
    assert Guest.objects.count() == 1


@pytest.mark.parametrize(
    "wrong",
    [{}, {"fn": ""}, {"fn": "x" * 501}, {"fn": "a\0b"}, {**VISITOR, "tel": "1\0"}]
    + [{**VISITOR, "email": "grace"}, {**VISITOR, "url": "javascript:alert(1)"}],
    ids=["nothing", "no name", "too long", "NUL", "NUL in a line", "no address", "a script"],
)
def test_garbage_leaves_nobody_behind(wrong: Any, page: PublicPage, client: Client) -> None:
    answer = client.post(reverse("public-leave", args=["alice"]), wrong)
    assert answer.status_code == 200 and answer.context["form"].errors
    assert not Guest.objects.exists() and User.objects.count() == 1


def test_garbage_changes_nothing(link: str, alice: User, client: Client) -> None:
    before = left(alice).card.content()
    assert client.post(link, {}).status_code == 200
    assert client.post(link, typed(client, link, fn="")).status_code == 200
    assert client.post(link, typed(client, link, base="nine")).status_code == 400
    assert left(alice).card.content() == before


def test_a_form_that_is_out_of_date_overwrites_nothing(
    link: str, alice: User, client: Client
) -> None:
    old = typed(client, link, tel="+44 1")
    client.post(link, typed(client, link, tel="+44 2"))
    answer = client.post(link, old)
    assert answer.status_code == 409
    assert "+44 2" in str(left(alice).card.properties)


def test_who_takes_no_cards_gets_none(page: PublicPage, client: Client) -> None:
    page.takes_cards = False
    page.save()
    url = reverse("public-leave", args=["alice"])
    assert client.get(url).status_code == client.post(url, VISITOR).status_code == 404
    assert url not in text(client.get(page.url))
    assert not Guest.objects.exists()


def test_whoever_is_signed_in_exchanges_instead(page: PublicPage, bob: User, web: Web) -> None:
    answer = web(bob).post(reverse("public-leave", args=["alice"]), VISITOR)
    assert answer["Location"] == reverse("public-keep", args=["alice"])
    assert not Guest.objects.exists()


NAMES = ["guest", "guest-vcf", "guest-claim", "guest-remove"]


@pytest.mark.parametrize("name", NAMES)
def test_a_link_that_is_nobodys_leads_nowhere(
    name: str, link: str, charlie: User, web: Web
) -> None:
    key = key_of(link)
    for wrong in (key[:-1], key.swapcase(), "x", str(Guest.objects.get().pk)):
        for method in ("get", "post"):
            answer = getattr(web(charlie), method)(reverse(name, args=[wrong]))
            assert answer.status_code == 404
            assert "Grace" not in text(answer)
    assert Guest.objects.get().claimed_at is None


def test_the_private_page_is_kept_by_nobody(link: str, client: Client) -> None:
    answer = client.get(link)
    assert "no-store" in answer["Cache-Control"]
    assert answer["X-Robots-Tag"] == "noindex"
    assert answer["Referrer-Policy"] == "same-origin"
    assert key_of(link) not in str(list(Guest.objects.values()) + list(User.objects.values()))


def test_nobody_signs_in_as_a_guest(link: str, client: Client) -> None:
    guest = Guest.objects.get().user
    assert not guest.has_usable_password()
    form = {"email": guest.email, "password1": "new-password-5", "password2": "new-password-5"}
    client.post(reverse("account_signup"), form)
    assert User.objects.filter(email=guest.email).count() == 1
    assert "_auth_user_id" not in client.session


def test_a_removed_card_is_taken_back(link: str, alice: User, client: Client) -> None:
    remove = f"{link}remove/"
    assert client.get(remove).status_code == 200 and left(alice)
    assert client.post(remove).status_code == 200
    assert not Binding.objects.active().exists() and not Guest.objects.exists()
    assert client.get(link).status_code == 404
    assert "Grace" not in str(list(User.objects.values()))


# Claiming


def test_a_claimed_card_keeps_its_holders_and_its_history(
    link: str, alice: User, bob: User, web: Web, client: Client
) -> None:
    binding = left(alice)
    Binding.objects.filter(pk=binding.pk).update(nickname="Gracie", note="met in Graz")
    client.post(link, typed(client, link, tel="+44 20 2"))
    revisions = list(binding.card.revisions.values_list("rev", "fn"))
    answer = web(bob).post(f"{link}claim/")
    assert answer["Location"] == reverse("card", args=[binding.card_id])
    after = left(alice)
    assert after.pk == binding.pk and after.card.owner == bob
    assert (after.nickname, after.note) == ("Gracie", "met in Graz")
    assert list(after.card.revisions.values_list("rev", "fn")) == revisions
    assert web(bob).get(reverse("card-history", args=[after.card_id])).status_code == 200
    assert Exchange.objects.get().returned == after


def test_who_claims_holds_what_the_guest_held(
    link: str, alice: User, alice_card: Card, bob: User
) -> None:
    phone, hers = make_device(bob), make_device(alice)
    fanout.run_all()
    catch_up(hers)
    guests.claim(key_of(link), bob)
    fanout.run_all()
    assert pending(phone).keys() == {str(alice_card.pk), str(left(alice).pk)}
    kinds = sorted((each["kind"], each["binding"]["side"]) for each in catch_up(phone))
    assert kinds == [("binding", "holder"), ("binding", "owner")]
    assert pending(hers), "she need not sign in again to hear of it"
    told = [
        each["binding"]["owner"]["name"] for each in catch_up(hers) if "owner" in each["binding"]
    ]
    assert told == [bob.name], "she is told whose card it is now"
    held = Binding.objects.active().complete().get(holder=bob)
    assert held.card == alice_card and held.view.circles == [PUBLIC]


def test_what_is_claimed_follows_as_before(link: str, alice: User, bob: User) -> None:
    phone = make_device(alice)
    guests.claim(key_of(link), bob)
    fanout.run_all()
    catch_up(phone)
    card = left(alice).card
    card.fn = "Bob, once Grace"
    card.save()
    fanout.run_all()
    assert [each["view"]["fn"] for each in catch_up(phone)] == ["Bob, once Grace"]
    assert pending(phone) == {}


def test_nobody_claims_it_again(link: str, bob: User, charlie: User, web: Web) -> None:
    guests.claim(key_of(link), bob)
    with pytest.raises(exchange.Gone):
        guests.claim(key_of(link), charlie)
    assert web(charlie).get(f"{link}claim/").status_code == 404
    assert web(charlie).post(f"{link}claim/").status_code == 404
    assert Client().get(link).status_code == 404
    assert Card.objects.get(fn="Grace Guest").owner == bob
    assert "guest" not in str(User.objects.values_list("username", "name", "is_active"))


@pytest.mark.django_db(transaction=True)
def test_of_two_who_claim_at_once_one_gets_it(link: str, bob: User, charlie: User) -> None:
    started = threading.Barrier(2)
    said: list[User | None] = []

    def try_to(person: User) -> None:
        started.wait(5)
        try:
            guests.claim(key_of(link), person)
            said.append(person)
        except exchange.Gone:
            said.append(None)
        finally:
            connection.close()

    both = [threading.Thread(target=try_to, args=[person]) for person in (bob, charlie)]
    for each in both:
        each.start()
    for each in both:
        each.join(20)
    (winner,) = [person for person in said if person]
    assert len(said) == 2
    assert Card.objects.get(fn="Grace Guest").owner == winner


def test_whoever_it_was_left_with_cannot_claim_it(link: str, alice: User, web: Web) -> None:
    with pytest.raises(ValidationError):
        guests.claim(key_of(link), alice)
    answer = web(alice).post(f"{link}claim/")
    assert answer.status_code == 400 and "left with you" in text(answer)
    assert left(alice).card.fn == "Grace Guest" and Client().get(link).status_code == 200


def test_who_holds_the_card_already_holds_it_once(
    link: str, alice_card: Card, held: Binding, bob: User
) -> None:
    guests.claim(key_of(link), bob)
    assert Binding.objects.active().get(card=alice_card, holder=bob) == held
    assert not Binding.objects.active().filter(holder__guest__isnull=False).exists()


def test_a_block_stays_one(link: str, alice: User, bob: User) -> None:
    exchange.block(alice, Guest.objects.get().user)
    guests.claim(key_of(link), bob)
    assert Block.objects.filter(blocker=alice, blocked=bob).exists()
    assert not Binding.objects.active().exists()


def test_blocked_people_do_not_meet_by_claiming(link: str, alice: User, bob: User) -> None:
    exchange.block(bob, alice)
    guests.claim(key_of(link), bob)
    assert not Binding.objects.active().exists()
    assert Card.objects.get(fn="Grace Guest").owner == bob


def test_an_erased_claimer_leaves_nothing(link: str, bob: User) -> None:
    guests.claim(key_of(link), bob)
    exchange.erase(bob)
    assert "Grace" not in str([list(User.objects.values()), list(Card.objects.values())])


def test_links_to_sign_up_come_back(link: str, client: Client) -> None:
    page = text(client.get(link))
    assert re.search(rf'href="[^"]*signup/\?next={link}claim/"', page)
    answer = client.get(f"{link}claim/")
    assert answer["Location"] == f"{reverse('account_login')}?next={link}claim/"


def test_what_the_short_form_does_not_show_stays(alice: User, bob: User) -> None:
    """As after a change by an older form: lines of other kinds, second numbers, and who sees."""
    card = make_card(
        bob, prop("tel", "+43 1"), prop("tel", "+43 2", "*"), prop("note", "n", "*"), fn="Bob"
    )
    form = ShortCardForm(
        {"fn": "Bob", "tel": "+43 3", "base": card.rev, "seen": card.rev},
        card=card,
        base=card.revisions.get(),
        circles=[],
    )
    assert form.is_valid(), form.errors
    form.save(bob)
    card.refresh_from_db()
    assert card.properties == [
        prop("tel", "+43 3"),
        prop("tel", "+43 2", "*"),
        prop("note", "n", "*"),
    ]


def test_two_guests_of_one_name_are_two(link: str, page: PublicPage, client: Client) -> None:
    client.post(reverse("public-leave", args=["alice"]), VISITOR)
    assert Guest.objects.count() == 2
    assert make_person("grace", "Grace")
