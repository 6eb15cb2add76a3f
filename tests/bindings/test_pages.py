"""Pages of exchange: the cards one holds, who holds one's own, offering, accepting, blocking."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import Circle, User
from bindings import exchange
from bindings.models import Binding, Block, Invitation, Request
from cards import public
from cards.models import PUBLIC, Card
from tests.cards.test_pages import form_of
from tests.conftest import bind, make_card, make_person, prop

Web = Callable[[User], Client]


def text(answer: Any) -> str:
    return str(answer.content.decode())


def offer(card: Card, *circles: str, uses: int = 1) -> str:
    """The address of a new invitation with this card."""
    _invitation, code = exchange.invite(
        card, circles=circles, lifetime=timedelta(days=1), uses=uses
    )
    return reverse("invitation", args=[code])


HOLDERS = ["held-card", "held-row", "held-vcf", "leave"]
OWNERS = ["holder", "revoke"]


@pytest.mark.parametrize("name", [*HOLDERS, *OWNERS])
def test_a_binding_is_open_to_its_side_alone(
    name: str, web: Web, held: Binding, alice: User, bob: User, charlie: User, client: Client
) -> None:
    url = reverse(name, args=[held.pk])
    inside, outside = (bob, alice) if name in HOLDERS else (alice, bob)
    assert web(inside).get(url).status_code == 200
    for stranger in (outside, charlie):
        assert web(stranger).get(url).status_code == 404
        assert web(stranger).post(url).status_code == 404
    assert client.get(url)["Location"].startswith(reverse("account_login"))
    held.refresh_from_db()
    assert held.is_active


@pytest.mark.parametrize("name", ["holders", "share"])
def test_a_card_is_shared_by_its_owner_alone(
    name: str, web: Web, alice_card: Card, alice: User, charlie: User, client: Client
) -> None:
    url = reverse(name, args=[alice_card.pk])
    assert web(alice).get(url).status_code == 200
    assert web(charlie).get(url).status_code == 404
    assert web(charlie).post(url, {"lifetime": "1", "uses": "1"}).status_code == 404
    assert client.get(url)["Location"].startswith(reverse("account_login"))
    assert not Invitation.objects.exists()


@pytest.mark.parametrize("name", ["held", "circles", "requests", "blocks", "code"])
def test_each_list_works_empty_and_asks_a_visitor_to_sign_in(
    name: str, web: Web, charlie: User, client: Client
) -> None:
    assert web(charlie).get(reverse(name)).status_code == 200
    assert client.get(reverse(name))["Location"].startswith(reverse("account_login"))


# The cards one holds


def test_no_page_of_a_holder_has_anything_hidden(web: Web, bob: User, held: Binding) -> None:
    urls = [reverse("held"), *(reverse(name, args=[held.pk]) for name in HOLDERS)]
    pages = "".join(text(web(bob).get(url)) for url in urls)
    assert pages.count("+43 1 111") >= len(urls) - 1  # all but the question before leaving
    assert "+43 664 222" not in pages
    assert "hidden from all" not in pages


def test_a_preview_shows_what_its_circles_see(
    web: Web, alice_card: Card, bob: User, family: Circle
) -> None:
    assert "+43 664 222" not in text(web(bob).get(offer(alice_card)))
    assert "+43 664 222" in text(web(bob).get(offer(alice_card, str(family.pk))))
    assert "hidden from all" not in text(web(bob).get(offer(alice_card, str(family.pk))))


def test_the_list_takes_as_many_queries_with_twenty_cards_as_with_one(
    web: Web, bob: User, held: Binding, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    browser = web(bob)
    browser.get(reverse("home"))  # the first page of a while notes that the browser was here
    # session, person; requests, own cards, tags, circles; count, keys, cards
    with django_assert_num_queries(9):
        browser.get(reverse("held"))
    for number in range(19):
        bind(make_card(make_person(f"p{number}", f"P {number}"), prop("tel", "1", "*")), bob)
    with django_assert_num_queries(9):
        browser.get(reverse("held"))


def test_cards_are_found_by_name_and_by_ones_own_name_for_them(
    web: Web, bob: User, held: Binding
) -> None:
    browser, url = web(bob), reverse("held")
    assert "Alice Example" in text(browser.get(url, {"q": "LICE"}))
    assert "Alice Example" not in text(browser.get(url, {"q": "zoe"}))
    assert browser.get(url, {"q": "\0", "page": "-1"}).status_code == 200
    browser.post(reverse("held-card", args=[held.pk]), {"nickname": "Zoe", "note": "", "tags": ""})
    assert "Alice Example" in text(browser.get(url, {"q": "zoe"}))


def test_notes_stay_with_the_holder(web: Web, alice: User, bob: User, held: Binding) -> None:
    notes = {"nickname": "Al", "note": "met at the fair", "tags": "work, Wien, work,"}
    web(bob).post(reverse("held-card", args=[held.pk]), notes)
    held.refresh_from_db()
    assert (held.nickname, held.note, held.tags) == ("Al", "met at the fair", ["work", "Wien"])
    assert "met at the fair" not in text(web(alice).get(reverse("holder", args=[held.pk])))


@pytest.mark.parametrize(
    "wrong",
    [{"nickname": "x" * 201}, {"note": "x" * 10_001}, {"tags": "x" * 101}, {"tags": "\0"}],
)
def test_notes_that_cannot_be_kept_are_a_form_error(
    wrong: dict[str, str], web: Web, bob: User, held: Binding
) -> None:
    notes = {"nickname": "New", "note": "", "tags": "", **wrong}
    answer = web(bob).post(reverse("held-card", args=[held.pk]), notes)
    assert "errorlist" in text(answer)
    held.refresh_from_db()
    assert held.nickname == ""


@pytest.mark.parametrize(
    "value",
    ["javascript:alert(1)", "JaVaScript:alert(1)", "data:text/html,x", "file:///etc/passwd"],
)
def test_only_addresses_of_the_web_become_links(
    value: str, web: Web, bob: User, client: Client
) -> None:
    names = ("url", "tel", "email", "impp", "related", "socialprofile", "x-link")
    mallory = make_person("mallory", "Mallory")
    card = make_card(mallory, *(prop(name, value, "*", PUBLIC) for name in names))
    held = bind(card, bob)
    invitation = offer(card)
    owners, holders = web(mallory), web(bob)
    doors = ("card", "card-audience", "card-public", "card-history", "reach", "share", "sheet")
    pages = [
        *(owners.get(reverse(door, args=[card.pk])) for door in doors),
        *(owners.get(reverse(door)) for door in ("home", "cards")),
        owners.post(reverse("card-preview", args=[card.pk]), {"as": "*"}),
        *(holders.get(reverse(door)) for door in ("home", "held")),
        holders.get(reverse("held-card", args=[held.pk])),
        client.get(invitation),
        client.get(public.publish(card).url),
    ]
    for page in pages:
        assert page.status_code == 200
        assert not re.search(
            rf'(href|src|action)="\s*{re.escape(value)}', text(page), re.IGNORECASE
        )
    copy = holders.get(reverse("offline-copy")).json()
    assert [href for *_said, href in copy["held"][0]["lines"]] == [""] * len(names)


def test_numbers_addresses_and_sites_are_links(web: Web, bob: User) -> None:
    card = make_card(
        make_person("dora", "Dora"),
        prop("tel", "tel:+43 (1) 234-5", "*"),
        prop("tel", "+43 1 234 ext. 5", "*"),
        prop("email", "dora@example.org", "*"),
        prop("url", "https://example.org/?a=1&b=2", "*"),
    )
    page = text(web(bob).get(reverse("held-card", args=[bind(card, bob).pk])))
    assert 'href="tel:+4312345"' in page
    assert "ext. 5" in page
    assert page.count('href="tel:') == 1
    assert 'href="mailto:dora@example.org"' in page
    assert 'href="https://example.org/?a=1&amp;b=2"' in page


def test_the_file_is_the_view_as_a_vcard(web: Web, bob: User, held: Binding) -> None:
    answer = web(bob).get(reverse("held-vcf", args=[held.pk]))
    assert answer["Content-Type"].startswith("text/vcard")
    assert 'filename="Alice Example.vcf"' in answer["Content-Disposition"]
    assert answer.content.startswith(b"BEGIN:VCARD\r\nVERSION:3.0\r\n")
    assert b"+43 1 111" in answer.content


def test_a_card_is_given_back_after_a_question(web: Web, bob: User, held: Binding) -> None:
    url = reverse("leave", args=[held.pk])
    assert web(bob).get(url).status_code == 200
    assert web(bob).post(url)["Location"] == reverse("held")
    held.refresh_from_db()
    assert held.ended_by == Binding.Ended.HOLDER


# Who holds one's own


def test_the_owner_sees_who_holds_the_card_and_in_which_circles(
    web: Web, alice: User, held: Binding, family: Circle
) -> None:
    exchange.regrant(held, [str(family.pk)])
    page = text(web(alice).get(reverse("holders", args=[held.card_id])))
    assert "Bob Sample" in page
    assert "Family" in page


def test_the_owner_moves_a_holder_between_circles(
    web: Web, alice: User, held: Binding, family: Circle
) -> None:
    url = reverse("holder", args=[held.pk])
    web(alice).post(url, {"circles": [str(family.pk)]})
    held.refresh_from_db()
    assert held.view.circles == [str(family.pk)]
    assert "+43 664 222" in text(web(alice).get(url))
    web(alice).post(url, {})
    held.refresh_from_db()
    assert held.view.circles == []


def test_nobody_is_put_in_a_circle_of_somebody_else(
    web: Web, alice: User, bob: User, held: Binding, family: Circle
) -> None:
    foreign = Circle.objects.create(owner=bob, name="Bob's")
    answer = web(alice).post(reverse("holder", args=[held.pk]), {"circles": [str(foreign.pk)]})
    assert "errorlist" in text(answer)
    held.refresh_from_db()
    assert held.view.circles == []


def test_revoking_says_honestly_what_it_cannot_do(web: Web, alice: User, held: Binding) -> None:
    url = reverse("revoke", args=[held.pk])
    assert "cannot be recalled" in text(web(alice).get(url))
    assert web(alice).post(url)["Location"] == reverse("holders", args=[held.card_id])
    held.refresh_from_db()
    assert held.ended_by == Binding.Ended.OWNER


# Circles


def test_a_circle_is_made_renamed_and_deleted(web: Web, alice: User, family: Circle) -> None:
    browser = web(alice)
    browser.post(reverse("circles"), {"name": "Friends"})
    browser.post(reverse("circle", args=[family.pk]), {"name": "Relatives"})
    page = text(browser.get(reverse("circles")))
    assert "Friends" in page
    assert "Relatives" in page
    assert browser.get(reverse("circle-delete", args=[family.pk])).status_code == 200
    browser.post(reverse("circle-delete", args=[family.pk]))
    assert not Circle.objects.filter(name="Relatives").exists()


def test_a_circle_is_not_renamed_to_another_ones_name(
    web: Web, alice: User, family: Circle
) -> None:
    friends = Circle.objects.create(owner=alice, name="Friends")
    answer = web(alice).post(reverse("circle", args=[friends.pk]), {"name": "FAMILY"})
    assert "errorlist" in text(answer)
    friends.refresh_from_db()
    assert friends.name == "Friends"


@pytest.mark.parametrize("name", ["", "family", "x" * 101])
def test_a_circle_needs_a_name_of_its_own(name: str, web: Web, alice: User, family: Circle) -> None:
    assert "errorlist" in text(web(alice).post(reverse("circles"), {"name": name}))
    assert Circle.objects.count() == 1


@pytest.mark.parametrize("name", ["circle", "circle-delete"])
def test_a_stranger_does_not_reach_a_circle(
    name: str, web: Web, charlie: User, family: Circle, client: Client
) -> None:
    url = reverse(name, args=[family.pk])
    assert web(charlie).get(url).status_code == 404
    assert web(charlie).post(url, {"name": "Taken"}).status_code == 404
    assert client.get(url).status_code == 302
    family.refresh_from_db()
    assert family.name == "Family"


# Blocks


def test_blocking_ends_everything_and_can_be_lifted(
    web: Web, alice: User, bob: User, held: Binding
) -> None:
    browser, url = web(bob), reverse("block", args=[alice.username])
    assert browser.get(url).status_code == 200
    browser.post(url)
    held.refresh_from_db()
    assert not held.is_active
    assert "Alice Example" in text(browser.get(reverse("blocks")))
    browser.post(reverse("unblock", args=[Block.objects.get().pk]))
    assert not Block.objects.exists()


def test_whom_one_does_not_know_one_cannot_look_up(web: Web, alice: User, charlie: User) -> None:
    for username in (alice.username, "nobody", charlie.username):
        assert web(charlie).get(reverse("block", args=[username])).status_code == 404
        assert web(charlie).post(reverse("block", args=[username])).status_code == 404
    assert not Block.objects.exists()


def test_nobody_lifts_the_block_of_another(web: Web, alice: User, charlie: User) -> None:
    block = Block.objects.create(blocker=alice, blocked=charlie)
    assert web(charlie).post(reverse("unblock", args=[block.pk])).status_code == 404
    assert "Charlie Stranger" not in text(web(charlie).get(reverse("blocks"))).split("<main")[1]
    assert Block.objects.exists()


# Invitations


def test_the_code_is_shown_once_as_qr_link_and_letters(
    web: Web, alice: User, alice_card: Card
) -> None:
    browser, url = web(alice), reverse("share", args=[alice_card.pk])
    answer = browser.post(url, {"lifetime": "24", "uses": "3"})
    made = answer.context["made"]
    assert "<svg" in text(answer)
    assert made["code"] in text(answer)
    assert made["url"] in text(answer)
    assert "no-store" in answer["Cache-Control"]
    page = text(browser.get(url))
    assert made["code"] not in page
    assert "Used 0 of 3" in page


@pytest.mark.parametrize(
    "wrong", [{"uses": "0"}, {"uses": "x"}, {"lifetime": "2"}, {"uses": "9" * 30}]
)
def test_an_invitation_that_makes_no_sense_is_a_form_error(
    wrong: dict[str, str], web: Web, alice: User, alice_card: Card
) -> None:
    form = {"lifetime": "24", "uses": "1", **wrong}
    answer = web(alice).post(reverse("share", args=[alice_card.pk]), form)
    assert "errorlist" in text(answer)
    assert not Invitation.objects.exists()


def test_an_invitation_is_taken_back_by_its_owner_alone(
    web: Web, alice: User, charlie: User, alice_card: Card
) -> None:
    link = offer(alice_card)
    url = reverse("invitation-revoke", args=[Invitation.objects.get().pk])
    assert web(charlie).post(url).status_code == 404
    assert web(charlie).get(link).status_code == 200
    assert web(alice).get(url).status_code == 405
    web(alice).post(url)
    assert web(charlie).get(link).status_code == 404


def test_a_visitor_sees_the_preview_and_comes_back_after_signing_in(
    client: Client, alice_card: Card
) -> None:
    link = offer(alice_card)
    page = text(client.get(link))
    assert "+43 1 111" in page
    assert f"{reverse('account_login')}?next={link}" in page
    assert f"{reverse('account_signup')}?next={link}" in page
    assert client.post(link)["Location"].endswith(f"next={link}")
    assert not Binding.objects.exists()


def test_accepting_binds_both_ways(
    web: Web, alice: User, alice_card: Card, bob: User, bob_card: Card
) -> None:
    answer = web(bob).post(offer(alice_card), {"card": str(bob_card.pk)})
    held = Binding.objects.get(holder=bob)
    assert answer["Location"] == reverse("held-card", args=[held.pk])
    assert Binding.objects.get(holder=alice).card == bob_card


def test_whoever_has_no_card_makes_the_first_one_there(
    web: Web, alice: User, alice_card: Card, charlie: User
) -> None:
    browser, link = web(charlie), offer(alice_card)
    assert "this makes one" in text(browser.get(link))
    browser.post(link, {"fn": "Charlie", "tel": "+1 2", "email": ""})
    card = Card.objects.get(owner=charlie)
    assert card.visible_to([])["properties"] == [{"name": "tel", "value": "+1 2", "params": {}}]
    assert Binding.objects.filter(card=card, holder=alice).exists()


@pytest.mark.parametrize(
    "wrong", [{"fn": ""}, {"fn": "C", "tel": "\x07"}, {"fn": "\x07"}, {"fn": "C", "email": "no"}]
)
def test_a_first_card_that_makes_no_sense_is_a_form_error(
    wrong: dict[str, str], web: Web, alice_card: Card, charlie: User
) -> None:
    assert "errorlist" in text(web(charlie).post(offer(alice_card), wrong))
    assert not Card.objects.filter(owner=charlie).exists()


def test_nobody_gives_the_card_of_another(
    web: Web, alice_card: Card, bob: User, bob_card: Card
) -> None:
    answer = web(bob).post(offer(alice_card), {"card": str(alice_card.pk)})
    assert "errorlist" in text(answer)
    assert not Binding.objects.exists()


def test_dead_unknown_and_forbidden_codes_look_alike(
    web: Web, alice: User, alice_card: Card, bob: User, charlie: User
) -> None:
    used, late, mine = offer(alice_card), offer(alice_card), offer(alice_card)
    newest = Invitation.objects.order_by("created_at")
    newest.filter(pk=newest[0].pk).update(used=1)
    Invitation.objects.filter(pk=newest[1].pk).update(expires_at=timezone.now())
    Block.objects.create(blocker=alice, blocked=charlie)
    browser = web(charlie)
    answers = [browser.get(url) for url in (used, late, mine, "/i/AAAABBBBCCCC", "/i/%00")]
    assert {answer.status_code for answer in answers} == {404}
    pages = {re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", text(each)) for each in answers}
    assert len(pages) == 1
    assert web(bob).get(mine).status_code == 200


def test_ones_own_invitation_is_only_looked_at(web: Web, alice: User, alice_card: Card) -> None:
    link = offer(alice_card)
    assert "your own invitation" in text(web(alice).get(link))
    web(alice).post(link, {"card": str(alice_card.pk)})
    assert not Binding.objects.exists()


def test_a_typed_code_leads_to_the_card(web: Web, bob: User, alice_card: Card) -> None:
    code = offer(alice_card).rpartition("/")[2]
    for typed in (code.lower(), Invitation.shown(code), f" http://testserver/i/{code} "):
        answer = web(bob).post(reverse("code"), {"code": typed}, follow=True)
        assert "+43 1 111" in text(answer)


@pytest.mark.parametrize("typed", ["", "short", "äöü" * 4, "'; drop table", "x" * 600])
def test_a_typed_code_that_cannot_be_one_is_a_form_error(typed: str, web: Web, bob: User) -> None:
    assert "errorlist" in text(web(bob).post(reverse("code"), {"code": typed}))


def test_whoever_tries_many_codes_has_to_wait(web: Web, charlie: User) -> None:
    browser = web(charlie)
    answers = [browser.get(f"/i/{number:012}").status_code for number in range(70)]
    assert set(answers[:50]) == {404}
    assert answers[-1] == 429


# Requests


def ask(browser: Client, to: str, card: Card, **more: str) -> Any:
    form = {"to": to, "card": str(card.pk), "message": "", **more}
    return browser.post(reverse("requests"), form, follow=True)


def test_asking_answers_alike_whoever_is_there(
    web: Web, alice: User, bob: User, bob_card: Card
) -> None:
    browser = web(bob)
    answers = [ask(browser, to, bob_card) for to in ("alice", "nobody", "alice@example.org", "bob")]
    said = {str(list(answer.context["messages"])[0]) for answer in answers}
    assert len(said) == 1
    assert Request.objects.filter(recipient=alice).count() == 2
    page = text(browser.get(reverse("requests")))
    assert page.count("waiting</span>") == 4


def test_a_request_is_looked_at_and_accepted(
    web: Web, alice: User, alice_card: Card, bob: User, bob_card: Card
) -> None:
    ask(web(bob), "alice", bob_card, message="from the fair")
    browser = web(alice)
    assert "asks</a> for your card" in text(browser.get(reverse("held")))
    url = reverse("request", args=[Request.objects.get().pk])
    page = text(browser.get(url))
    assert "from the fair" in page
    assert "bob@example.org" in page
    browser.post(url, {"card": str(alice_card.pk)})
    assert Binding.objects.filter(holder=alice, card=bob_card).exists()
    assert Binding.objects.filter(holder=bob, card=alice_card).exists()
    assert "accepted" in text(web(bob).get(reverse("requests")))
    assert browser.get(url).status_code == 404


def test_a_declined_request_still_waits_for_its_sender(
    web: Web, alice: User, bob: User, bob_card: Card
) -> None:
    ask(web(bob), "alice", bob_card)
    url = reverse("request-decline", args=[Request.objects.get().pk])
    assert web(alice).get(url).status_code == 405
    web(alice).post(url)
    assert "waiting</span>" in text(web(bob).get(reverse("requests")))
    assert "Bob Sample" not in text(web(alice).get(reverse("requests")))


def test_a_request_that_ended_meanwhile_is_not_found(
    web: Web, alice: User, alice_card: Card, bob: User, bob_card: Card
) -> None:
    ask(web(bob), "alice", bob_card)
    Block.objects.create(blocker=bob, blocked=alice)
    url = reverse("request", args=[Request.objects.get().pk])
    assert web(alice).post(url, {"card": str(alice_card.pk)}).status_code == 404
    assert not Binding.objects.exists()


@pytest.mark.parametrize("name", ["request", "request-decline"])
def test_a_request_is_for_its_recipient_alone(
    name: str, web: Web, alice: User, bob: User, bob_card: Card, charlie: User, client: Client
) -> None:
    ask(web(bob), "alice", bob_card)
    url = reverse(name, args=[Request.objects.get().pk])
    for stranger in (bob, charlie):
        assert web(stranger).post(url).status_code == 404
    assert client.post(url)["Location"].startswith(reverse("account_login"))
    assert Request.objects.waiting().exists()


@pytest.mark.parametrize(
    "wrong", [{"to": ""}, {"to": "x" * 255}, {"message": "x" * 501}, {"card": "x"}]
)
def test_a_request_that_makes_no_sense_is_a_form_error(
    wrong: dict[str, str], web: Web, bob: User, bob_card: Card
) -> None:
    form = {"to": "alice", "card": str(bob_card.pk), "message": "", **wrong}
    assert "errorlist" in text(web(bob).post(reverse("requests"), form))
    assert not Request.objects.exists()


# What all pages share


def test_a_change_without_the_token_of_the_page_is_refused_in_our_own_words(
    bob: User, held: Binding
) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(bob, "allauth.account.auth_backends.AuthenticationBackend")
    answer = browser.post(reverse("leave", args=[held.pk]))
    assert answer.status_code == 403
    assert "Please try again" in text(answer)
    held.refresh_from_db()
    assert held.is_active


def test_nothing_on_a_page_needs_what_the_policy_forbids(
    web: Web, alice: User, alice_card: Card
) -> None:
    url = reverse("share", args=[alice_card.pk])
    page = text(web(alice).post(url, {"lifetime": "24", "uses": "1"}))
    for forbidden in (" style=", "<style", " onclick=", "<script>", "javascript:", "//cdn"):
        assert forbidden not in page


# What a change would look like


def preview(browser: Client, card: Card, seen_as: str = "", **changes: str) -> str:
    """What the preview shows of the form of a card, with these changes typed into it."""
    page = browser.get(reverse("card", args=[card.pk]))
    sent = {**form_of(page, **changes), "as": seen_as}
    answer = browser.post(reverse("card-preview", args=[card.pk]), sent)
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_preview_shows_what_some_circle_would_see(
    web: Web, alice_card: Card, alice: User, family: Circle
) -> None:
    browser = web(alice)
    text = preview(browser, alice_card, "*", rows__0__part0="+43 1 777")
    assert "+43 1 777" in text and "+43 664 222" not in text and "hidden from all" not in text
    text = preview(browser, alice_card, str(family.pk))
    assert "+43 1 111" in text and "+43 664 222" in text and "hidden from all" not in text
    alice_card.refresh_from_db()
    assert (alice_card.rev, alice_card.properties[0]["value"]) == (1, "+43 1 111")


def test_the_preview_counts_who_will_see_the_change(
    web: Web, held: Binding, alice: User, family: Circle, charlie: User
) -> None:
    browser, card = web(alice), held.card
    assert "The one person who holds this card sees no change." in preview(browser, card)
    changed = preview(browser, card, rows__0__part0="+43 1 777")
    assert "One person will see this change." in changed and "will not" not in changed
    bind(card, charlie, str(family.pk))
    changed = preview(browser, card, rows__1__part0="+43 664 777")
    assert "One person will see this change." in changed and "One will not." in changed
    assert "2 people will see" in preview(browser, card, fn="Alice E.")


def test_the_preview_bears_what_is_half_typed(web: Web, alice_card: Card, alice: User) -> None:
    text = preview(web(alice), alice_card, "*", fn="", rows__0__part0="x" * 100_000)
    assert "x" * 1000 not in text


def test_a_new_card_has_a_preview(web: Web, alice: User) -> None:
    browser = web(alice)
    sent = form_of(browser.get(reverse("card-new")), rows__0__part0="+43 1 5")
    text = browser.post(reverse("card-new-preview"), {**sent, "as": "*"}).content.decode()
    assert "+43 1 5" in text and "holds this card" not in text


@pytest.mark.parametrize("sent", [{}, {"base": "x"}, {"base": "99"}, {"rows-TOTAL_FORMS": "-1"}])
def test_the_preview_of_garbage_is_refused(
    web: Web, alice_card: Card, alice: User, sent: dict[str, str]
) -> None:
    url = reverse("card-preview", args=[alice_card.pk])
    assert web(alice).post(url, sent).status_code in {200, 400}  # never 500


def test_a_stranger_has_no_preview(web: Web, alice_card: Card, charlie: User) -> None:
    url = reverse("card-preview", args=[alice_card.pk])
    assert web(charlie).post(url, {"fn": "x"}).status_code == 404
    assert web(charlie).get(url).status_code == 405
