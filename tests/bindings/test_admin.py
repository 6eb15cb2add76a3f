"""Staff's pages of bindings and of what leads to them; erasing a person."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client

from accounts.models import Circle, User
from bindings import exchange
from bindings.models import Binding, Block, Exchange, Invitation, Request
from cards.models import Card
from delivery import fanout
from tests.conftest import bind, catch_up, make_device, make_person, pending
from tests.staff import (
    act,
    act_at_once,
    browser_of,
    delete_page_of,
    last_log,
    list_page,
    make_staff,
    page_of,
    populate,
)


@pytest.fixture
def staff(db: None) -> Client:
    return browser_of(make_staff())


def test_revoking_a_binding_asks_first(staff: Client, held: Binding) -> None:
    assert b"taken back from these holders" in act(staff, "revoke", [held]).content
    held.refresh_from_db()
    assert held.ended_at is None


def test_revoking_a_binding_takes_the_card_back(staff: Client, held: Binding, bob: User) -> None:
    phone = make_device(bob)
    catch_up(phone)
    act_at_once(staff, "revoke", held)
    fanout.run_all()
    held.refresh_from_db()
    assert held.ended_by == Binding.Ended.OWNER
    assert pending(phone)[str(held.card_id)][0] == "removed"
    assert last_log().object_id == str(held.pk)


def test_what_has_ended_is_not_ended_again(staff: Client, held: Binding) -> None:
    exchange.leave(held)
    before = Binding.objects.filter(pk=held.pk).values().get()
    act_at_once(staff, "revoke", held)
    assert Binding.objects.filter(pk=held.pk).values().get() == before


def test_the_list_says_who_holds_what_through_which_circles(
    staff: Client, alice_card: Card, bob: User, charlie: User, family: Circle
) -> None:
    bind(alice_card, bob, str(family.pk))
    exchange.revoke(bind(alice_card, charlie))
    text = staff.get(list_page(Binding), {"q": "alice"}).content.decode()
    for words in ("Alice Example", "Family", "active", "taken back by the owner", "charlie"):
        assert f">{words}<" in text


@pytest.mark.parametrize(("state", "count"), [("active", 3), ("owner", 1), ("holder", 0)])
def test_bindings_are_told_apart_by_their_state(
    staff: Client, held: Binding, charlie: User, state: str, count: int
) -> None:
    exchange.revoke(bind(held.card, charlie))
    page = staff.get(list_page(Binding), {"state": state})
    assert page.context["cl"].result_count == count


def test_a_binding_is_found_by_both_its_people_and_by_its_card(
    staff: Client, held: Binding, charlie: User
) -> None:
    bind(held.card, charlie)
    for term, count in (("bob", 2), ("alice", 4), ("charlie", 2), (str(held.card_id), 2)):
        page = staff.get(list_page(Binding), {"q": term})
        assert page.context["cl"].result_count == count, term


@pytest.mark.parametrize("model", [Binding, Invitation, Request, Exchange, Block])
def test_rows_are_only_looked_at(staff: Client, alice: User, model: Any) -> None:
    populate(alice, 0, 1)
    row = model.objects.first()
    before = list(model.objects.values())
    assert staff.post(page_of(row), {"revoked_at": "", "note": "x"}).status_code == 403
    assert staff.get(list_page(model) + "add/").status_code == 403
    assert staff.post(delete_page_of(row), {"post": "yes"}).status_code == 403
    assert list(model.objects.values()) == before


def test_revoking_an_invitation_closes_it_and_keeps_what_came_of_it(
    staff: Client, alice_card: Card, bob: User, bob_card: Card, charlie: User
) -> None:
    invitation, code = exchange.invite(alice_card, lifetime=timedelta(days=1), uses=2)
    held = exchange.accept_invitation(code, bob, bob_card).held
    act_at_once(staff, "revoke", invitation)
    with pytest.raises(exchange.Gone):
        exchange.find_invitation(code, charlie)
    held.refresh_from_db()
    assert held.is_active


def test_the_page_of_an_invitation_has_no_code(staff: Client, alice_card: Card) -> None:
    invitation, code = exchange.invite(alice_card, lifetime=timedelta(days=1))
    text = staff.get(page_of(invitation)).content.decode()
    for secret in (code, Invitation.shown(code), invitation.code_hash):
        assert secret not in text


def test_a_request_to_nobody_says_so(staff: Client, alice: User, alice_card: Card) -> None:
    asked = exchange.ask(alice, "nobody-here", alice_card)
    for page in (list_page(Request), page_of(asked)):
        assert b"nobody to be found" in staff.get(page).content


# Erasing


def test_erasing_asks_first(staff: Client, bob: User) -> None:
    assert b"for good" in act(staff, "erase", [bob]).content
    bob.refresh_from_db()
    assert bob.is_active


def test_erasing_leaves_nothing_of_a_person(staff: Client, held: Binding, bob: User) -> None:
    phone = make_device(bob)
    act_at_once(staff, "erase", bob)
    bob.refresh_from_db()
    phone.refresh_from_db()
    assert (bob.name, bob.is_active) == ("", False)
    assert phone.revoked_at
    assert not Card.objects.kept().filter(owner=bob).exists()
    assert not Binding.objects.active().of(bob).exists()


def test_the_log_forgets_who_was_erased(staff: Client, bob: User, bob_card: Card) -> None:
    act_at_once(staff, "retire", bob_card)
    act_at_once(staff, "erase", bob)
    written = [f"{each.object_repr} {each.change_message}" for each in LogEntry.objects.all()]
    assert len(written) == 2
    assert not [line for line in written if "bob" in line.lower()]


def test_staff_do_not_erase_themselves(db: None) -> None:
    root = make_staff()
    assert act_at_once(browser_of(root), "erase", root).status_code == 403
    assert User.objects.get(pk=root.pk).is_active


def test_only_a_superuser_erases_a_superuser(db: None) -> None:
    helper, root = make_staff("helper", superuser=False), make_staff("root")
    helper.user_permissions.set(Permission.objects.filter(content_type__app_label="accounts"))
    browser = browser_of(helper)
    assert act_at_once(browser, "erase", root).status_code == 403
    assert User.objects.get(pk=root.pk).is_active
    person = make_person("dora", "Dora")
    act_at_once(browser, "erase", person)
    assert not User.objects.get(pk=person.pk).is_active
