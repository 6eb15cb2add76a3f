"""One property of many cards at once: one save for each card, whatever happens in between."""

import threading
from datetime import timedelta
from typing import Any
from unittest.mock import Mock

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import OperationalError, close_old_connections, connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import audit
from accounts.models import AuditEntry, Circle, User
from bindings import bulkadmin
from bindings.models import Binding
from cards import bulk
from cards.bulkrows import BulkChange, BulkItem
from cards.models import Card, CardRevision, Door
from delivery import fanout, retention, tasks
from delivery.models import CardUpdate
from tests.conftest import bind, change, make_card, make_person, prop
from tests.staff import act, browser_of, list_page, make_staff, page_of, said

pytestmark = pytest.mark.django_db

OLD, NEW = "Example Studio", "Example Group"


@pytest.fixture
def root() -> User:
    return make_staff()


@pytest.fixture
def staff(root: User) -> Client:
    return browser_of(root)


def company(count: int, *more: Any) -> list[Card]:
    """So many people of one company, and somebody of another."""
    cards = [
        make_card(make_person(f"worker{n}", f"Worker {n}"), prop("org", [OLD, f"Room {n}"], "*"))
        for n in range(count)
    ]
    make_card(make_person("other", "Other"), prop("org", ["Sample Works"], "*"))
    return cards


def of(by: User | None = None, name: str = "org", **what: Any) -> BulkChange:
    texts = {"old": {"0": OLD}, "new": {"0": NEW}} if name == "org" else {}
    return BulkChange(by=by, name=name, **{**texts, **what})


def begun(by: User, **what: Any) -> BulkChange:
    proposed = of(by, **what)
    assert bulk.propose(proposed, Card.objects.all())
    assert bulk.confirm(proposed, by)
    return proposed


def run_all() -> None:
    while bulk.run_one():
        pass


def numbers(proposed: BulkChange) -> tuple[int, int, int]:
    proposed.refresh_from_db()
    return proposed.changed, proposed.unchanged, proposed.failed


def org_of(card: Card) -> Any:
    card.refresh_from_db()
    return card.properties[0]["value"]


# What it does to a card


@pytest.mark.parametrize(
    ("name", "before", "what", "after"),
    [
        ("org", [OLD, "Sales"], {}, [NEW, "Sales"]),
        ("org", [OLD], {"new": {"1": "Sales"}}, [OLD, "Sales"]),
        ("org", [OLD, "Sales"], {"empties": True}, [NEW]),
        ("org", ["Sample Works"], {}, ["Sample Works"]),
        ("org", [OLD.lower()], {}, [OLD.lower()]),
        (
            "url",
            "https://old.example",
            {"new": {"0": "https://new.example"}},
            "https://new.example",
        ),
        ("url", "https://a.example", {"old": {"0": "https://b.example"}, "removes": True}, ...),
        ("nickname", ["Al", "Ali"], {"old": {"0": "Al, Ali"}, "new": {"0": "A, B"}}, ["A", "B"]),
        (
            "adr",
            ["", "Floor 3", "Old Street 1", "Vienna", "", "1010", "Austria"],
            {"old": {"2": "Old Street 1"}, "new": {"2": "New Street 2", "5": "1020"}},
            ["", "Floor 3", "New Street 2", "Vienna", "", "1020", "Austria"],
        ),
        (
            "adr",
            ["", "Floor 3", "Old Street 1", "Vienna", "", "1010", "Austria"],
            {"new": {"2": "New Street 2"}, "empties": True},
            ["", "", "New Street 2", "", "", "", ""],
        ),
        (
            "n",
            ["Muster", ["Anna", "Maria"], "", "", ""],
            {"old": {"1": "Anna, Maria"}, "new": {"0": "Beispiel"}},
            ["Beispiel", ["Anna", "Maria"], "", "", ""],
        ),
    ],
)
def test_only_the_parts_that_are_named_change(
    name: str, before: Any, what: dict[str, Any], after: Any
) -> None:
    each = prop(name, before, "a-circle")
    [left] = bulk.applied(of(name=name, **what), [each])
    assert left == {**each, "value": before if after is ... else after}


def test_what_is_removed_goes_and_the_rest_stays_in_order() -> None:
    properties = [
        prop("tel", "1"),
        prop("url", "https://a.example"),
        prop("url", "https://b.example"),
    ]
    left = bulk.applied(of(name="url", old={"0": "https://a.example"}, removes=True), properties)
    assert left == [properties[0], properties[2]]


def test_a_type_keeps_others_out() -> None:
    at_home = prop("url", "https://home.example", type=["home"])
    at_work = prop("url", "https://work.example", type=["work"], pref=["1"])
    what = of(name="url", type="work", new={"0": "https://new.example"})
    assert bulk.applied(what, [at_home, at_work]) == [
        at_home,
        {**at_work, "value": "https://new.example"},
    ]


# Proposing and doing it


def test_only_cards_that_would_change_are_concerned(root: User) -> None:
    cards = company(3)
    cards[2].retire()
    proposed = of(root)
    assert bulk.propose(proposed, Card.objects.all())
    assert {item.card for item in proposed.items.all()} == {*cards[:2]}
    assert proposed.total == 2


def test_nothing_is_proposed_where_nothing_would_change(root: User) -> None:
    company(1)
    assert not bulk.propose(of(root, old={"0": "Nowhere"}), Card.objects.all())
    assert not BulkChange.objects.exists()


def test_no_more_are_taken_than_can_be_borne(root: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "MOST", 2)
    company(3)
    for left in (2, 1):
        assert begun(root).total == left
        run_all()
    assert not bulk.propose(of(root), Card.objects.all())


@pytest.mark.parametrize(("cards", "is_cut"), [(3, False), (4, True)])
def test_no_more_are_looked_at_than_can_be_borne(
    staff: Client, cards: int, is_cut: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "LOOKED_AT", 3)
    chosen = company(cards)
    with monkeypatch.context() as counting:
        counting.setattr(bulk, "applied", looks := Mock(wraps=bulk.applied))
        page = tell(staff, chosen, **told(old0=OLD, new0=OLD))
    assert looks.call_count == 3
    assert (b"too many cards to look at" in page.content) == is_cut
    assert (b"On none of these cards" in page.content) != is_cut
    page = tell(staff, chosen)
    assert BulkChange.objects.get().total == 3
    assert (b"too many cards to look at" in page.content) == is_cut


@pytest.mark.django_db(transaction=True)
def test_postgresql_reads_no_more_than_is_looked_at(
    root: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it would if its cursor outlived a transaction. To SQLite, one means to write."""
    company(1)
    inside, applied = set(), bulk.applied

    def noting(*args: Any) -> Any:
        inside.add(connection.in_atomic_block)
        return applied(*args)

    monkeypatch.setattr(bulk, "applied", noting)
    assert bulk.propose(of(root), Card.objects.all())
    assert inside == {connection.vendor == "postgresql"}


def test_cards_without_the_type_are_not_even_looked_at_where_the_database_can_tell(
    root: User,
) -> None:
    at_home, at_work = (
        make_card(
            make_person(where, where), prop("adr", ["", "", "Street 1"], type=[where, "x-own"])
        )
        for where in ("home", "work")
    )
    what = of(name="adr", type="work", old={"2": "Street 1"}, new={"2": "Street 2"})
    can_tell = connection.features.supports_json_field_contains
    read = {*bulk.having(what, Card.objects.all())}
    assert read == ({at_work} if can_tell else {at_home, at_work})


def test_nothing_changes_before_it_is_confirmed(root: User) -> None:
    [card] = company(1)
    proposed = of(root)
    bulk.propose(proposed, Card.objects.all())
    run_all()
    assert org_of(card) == [OLD, "Room 0"]
    assert proposed.state == "proposed"


def test_each_card_is_saved_once(root: User) -> None:
    cards = company(3)
    fanout.run_all()
    proposed = begun(root)
    run_all()
    assert numbers(proposed) == (3, 0, 0)
    assert proposed.state == "ended"
    for card in cards:
        before = card.rev
        assert org_of(card)[0] == NEW
        assert card.rev == before + 1
        revision = card.revisions.latest("rev")
        assert (revision.changed_by, revision.changed_via) == (root, Door.ADMIN)
        assert CardUpdate.objects.due().get(card=card).rev == card.rev
    assert CardRevision.objects.filter(changed_via=Door.ADMIN).count() == 3


def test_who_sees_it_stays_as_it_was(root: User, alice: User, family: Circle) -> None:
    card = make_card(
        alice, prop("org", [OLD], str(family.pk)), prop("org", [OLD, "Hidden"]), prop("note", "x")
    )
    begun(root)
    run_all()
    card.refresh_from_db()
    assert [each["circles"] for each in card.properties] == [[str(family.pk)], [], []]
    assert "org" not in {each["name"] for each in card.visible_to([])["properties"]}


def test_what_its_owner_wrote_meanwhile_is_kept(root: User) -> None:
    [card] = company(1)
    proposed = begun(root)
    card.properties = [prop("tel", "+43 1 1"), prop("org", [OLD, "Moved"], "*")]
    card.save()
    run_all()
    card.refresh_from_db()
    assert [each["value"] for each in card.properties] == ["+43 1 1", [NEW, "Moved"]]
    assert numbers(proposed) == (1, 0, 0)


def test_a_card_that_has_nothing_left_to_change_is_not_saved(root: User) -> None:
    gone, other = company(2)
    proposed = begun(root)
    gone.retire()
    change(other, org=["Their own"])
    revs = [card.rev for card in (gone, other)]
    run_all()
    for card in (gone, other):
        card.refresh_from_db()
    assert [card.rev for card in (gone, other)] == revs
    assert numbers(proposed) == (0, 2, 0)


def test_a_card_that_fails_is_listed_and_the_others_go_on(root: User, staff: Client) -> None:
    first, broken, last = company(3)
    broken.properties = [prop("org", [OLD, "bell\x07"], "*")]
    broken.save()
    proposed = begun(root)
    run_all()
    assert numbers(proposed) == (2, 0, 1)
    text = staff.get(page_of(proposed)).content.decode()
    assert "Control characters are not text." in text
    assert page_of(broken) in text
    assert page_of(first) not in text
    assert org_of(last)[0] == NEW


def test_a_fault_of_ours_fails_one_card_alone(root: User, monkeypatch: pytest.MonkeyPatch) -> None:
    first, last = company(2)
    save = Card.save

    def failing(card: Card, **kwargs: Any) -> None:
        if card == first:
            raise ZeroDivisionError
        save(card, **kwargs)

    monkeypatch.setattr(Card, "save", failing)
    proposed = begun(root)
    run_all()
    assert numbers(proposed) == (1, 0, 1)
    assert proposed.items.get(outcome=BulkItem.Outcome.FAILED).why == "ZeroDivisionError"
    assert org_of(last)[0] == NEW


def test_a_database_that_is_away_fails_no_card(root: User, monkeypatch: pytest.MonkeyPatch) -> None:
    [card] = company(1)
    proposed = begun(root)
    with monkeypatch.context() as away:
        away.setattr(Card, "save", lambda card: (_ for _ in ()).throw(OperationalError("away")))
        with pytest.raises(OperationalError):
            bulk.run_one()
    assert numbers(proposed) == (0, 0, 0)
    run_all()
    assert numbers(proposed) == (1, 0, 0)
    assert org_of(card)[0] == NEW


def test_a_crash_before_it_is_noted_undoes_the_save(
    root: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saved and not noted would be changed again; noted and not saved, never."""
    [card] = company(1)
    proposed = begun(root)
    with monkeypatch.context() as crash:
        crash.setattr(bulk, "settle", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            bulk.run_one()
    assert org_of(card)[0] == OLD
    run_all()
    assert (org_of(card)[0], card.rev) == (NEW, 2)
    assert numbers(proposed) == (1, 0, 0)


@pytest.mark.django_db(transaction=True)
def test_workers_that_run_side_by_side_change_each_card_once(
    root: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "record", lambda *_: None)  # no test could empty the log again
    cards = company(12)
    proposed = begun(root)

    def work() -> None:
        try:
            run_all()
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _worker in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    close_old_connections()
    run_all()
    assert numbers(proposed) == (12, 0, 0)
    assert {card.revisions.count() for card in cards} == {2}


def test_it_can_be_stopped_and_gone_on_with(root: User) -> None:
    company(3)
    proposed = begun(root)
    bulk.run_one()
    assert bulk.stop(proposed)
    run_all()
    assert numbers(proposed) == (1, 0, 0)
    assert not bulk.stop(proposed)
    assert bulk.confirm(proposed, root)
    run_all()
    assert numbers(proposed) == (3, 0, 0)
    assert not bulk.confirm(proposed, root)


def test_the_sweep_calls_for_it_and_a_task_does_it(
    root: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    company(3)
    called: list[Any] = []
    monkeypatch.setattr(tasks.change_cards, "apply_async", lambda **how: called.append(how))
    tasks.sweep()
    assert not called
    proposed = begun(root)
    tasks.sweep()
    assert len(called) == 1
    tasks.change_cards()
    assert numbers(proposed) == (3, 0, 0)
    tasks.sweep()
    assert len(called) == 1


def test_what_nobody_confirmed_goes_after_a_day_and_the_rest_after_ninety(root: User) -> None:
    company(1)
    forgotten, kept, done = of(root), of(root), of(root)
    for proposed in (forgotten, kept, done):
        bulk.propose(proposed, Card.objects.all())
    bulk.confirm(done, root)
    old = timezone.now() - timedelta(days=2)
    BulkChange.objects.exclude(pk=kept.pk).update(made_at=old)
    retention.clean()
    assert {*BulkChange.objects.all()} == {kept, done}
    BulkChange.objects.filter(pk=done.pk).update(confirmed_at=old - timedelta(days=89))
    retention.clean()
    assert list(BulkChange.objects.all()) == [kept]
    assert Card.objects.count() == 2


# Staff's pages


def ask(browser: Client, cards: list[Card], **form: str) -> Any:
    return act(browser, "change_property", cards, **form)


def told(name: str = "org", **texts: str) -> dict[str, str]:
    return {"name": name, "told": "yes", **texts}


def tell(browser: Client, cards: list[Card], **form: str) -> Any:
    return ask(browser, cards, **(form or told(old0=OLD, new0=NEW)))


def test_from_the_list_to_the_last_card(staff: Client, held: Binding) -> None:
    cards = company(2)
    page = ask(staff, cards)
    assert [name for name, _label in page.context["form"].fields["name"].choices][:1] == ["tel"]
    page = ask(staff, cards, name="org")
    assert b"2 cards are chosen" in page.content
    page = tell(staff, cards)
    proposed = BulkChange.objects.get()
    assert page.redirect_chain[-1][0] == page_of(proposed)
    text = page.content.decode()
    assert "2 cards would change." in text
    assert "They belong to 2 people." in text
    assert f"{OLD}, Room 1</del>" in text
    assert f"{NEW}, Room 1</ins>" in text
    page = staff.post(page_of(proposed), {"act": "confirm"}, follow=True)
    assert said(page) == ["The cards are being changed."]
    assert b'hx-get="/admin/cards/bulkchange/' in page.content
    run_all()
    page = staff.get(reverse("admin:cards_bulkchange_progress", args=[proposed.pk]))
    assert b"Done." in page.content
    assert b"hx-get" not in page.content
    assert [org_of(card)[0] for card in cards] == [NEW, NEW]


def test_the_people_who_hold_a_card_are_counted(
    staff: Client, held: Binding, alice_card: Card
) -> None:
    page = tell(staff, [alice_card], **told("tel", old0="+43 1 111", new0="+43 1 222"))
    assert b"1 person holds one of them." in page.content


def test_so_many_people_who_hold_a_card_are_not_counted_to_the_end(
    staff: Client, held: Binding, alice_card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    bind(alice_card, make_person("dora", "Dora"))
    form = told("tel", old0="+43 1 111", new0="+43 1 222")
    monkeypatch.setattr(bulkadmin, "HELD", 3)
    text = tell(staff, [alice_card], **form).content.decode()
    assert "2 people hold one of them." in text
    assert "at least" not in text
    monkeypatch.setattr(bulkadmin, "HELD", 1)
    assert b"at least 1 person holds one of them." in tell(staff, [alice_card], **form).content


def test_cards_are_chosen_by_the_filter_of_the_list(staff: Client) -> None:
    cards = company(3)
    filtered = f"{list_page(Card)}?changed_via__exact=server&q=worker"
    form = {"action": "change_property", "select_across": "1", "_selected_action": cards[0].pk}
    staff.post(filtered, {**form, **told(new0=NEW)})
    assert {item.card for item in BulkItem.objects.all()} == {*cards}


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({}, "Say what it becomes"),
        ({"old0": OLD}, "Say what it becomes"),
        ({"new0": NEW, "removes": "on"}, "either removed or becomes"),
        ({"new0": "bell\x07"}, "Control characters"),
        ({"new0": "x" * 2001}, "2000"),
        ({"old0": "Nowhere", "new0": NEW}, "On none of these cards"),
    ],
)
def test_what_cannot_be_is_refused(staff: Client, form: dict[str, str], words: str) -> None:
    page = tell(staff, company(1), **told(**form))
    assert words in page.content.decode()
    assert not BulkChange.objects.exists()


@pytest.mark.parametrize("name", ["fn", "photo", "x-none", "", "tel\0"])
def test_no_other_property_can_be_named(staff: Client, name: str) -> None:
    page = tell(staff, company(1), **told(name, new0="x"))
    assert page.status_code == 200
    assert page.context["form"].errors.keys() == {"name"}
    assert not BulkChange.objects.exists()


def in_role(name: str) -> Client:
    person = make_staff(name.split()[0].lower(), superuser=False)
    person.groups.add(Group.objects.get(name=name))
    return browser_of(person)


def test_a_role_changes_what_it_sees_and_nothing_else() -> None:
    cards = company(2)
    browser = in_role("Company details")
    names = [name for name, _ in ask(browser, cards).context["form"].fields["name"].choices]
    assert {*names} == {"org", "role", "title", "url"}
    assert tell(browser, cards, **told("tel", new0="1")).context["form"].errors
    tell(browser, cards)
    proposed = BulkChange.objects.get()
    browser.post(page_of(proposed), {"act": "confirm"})
    run_all()
    assert numbers(proposed) == (2, 0, 0)


def test_nobody_else_changes_anything(root: User, charlie: User) -> None:
    cards = company(1)
    proposed = of(root)
    bulk.propose(proposed, Card.objects.all())
    progress = reverse("admin:cards_bulkchange_progress", args=[proposed.pk])
    support = in_role("Support")
    tell(support, cards)
    for browser in (support, browser_of(charlie)):
        for page in (page_of(proposed), progress, list_page(BulkChange)):
            assert browser.get(page, follow=True).status_code == 403
        browser.post(page_of(proposed), {"act": "confirm"})
    assert list(BulkChange.objects.due()) == []
    assert BulkChange.objects.count() == 1


def test_to_see_a_property_is_not_enough_to_change_it() -> None:
    cards, person = company(1), make_staff("looker", superuser=False)
    may = ("view_card", "change_card", "see_org", "view_bulkchange")
    person.user_permissions.set(Permission.objects.filter(codename__in=may))
    browser = browser_of(person)
    tell(browser, cards)
    assert not BulkChange.objects.exists()
    proposed = of(make_staff("another"))
    bulk.propose(proposed, Card.objects.all())
    assert b'name="act"' not in browser.get(page_of(proposed)).content
    assert browser.post(page_of(proposed), {"act": "confirm"}).status_code == 403


def test_who_does_not_see_the_property_neither_sees_it_here_nor_confirms_it(root: User) -> None:
    card = make_card(make_person("secret", "Secret"), prop("note", "needle"))
    proposed = of(root, name="note", old={"0": "needle"}, new={"0": "thread"})
    bulk.propose(proposed, Card.objects.all())
    browser = in_role("Company details")
    text = browser.get(page_of(proposed)).content.decode()
    assert not [each for each in ("needle", "thread", str(card.pk)) if each in text]
    assert browser.post(page_of(proposed), {"act": "confirm"}).status_code == 403
    assert not BulkChange.objects.due().exists()
    bulk.confirm(proposed, root)
    bulk.settle(proposed.items.get(), BulkItem.Outcome.FAILED, "ZeroDivisionError")
    text = browser.get(page_of(proposed)).content.decode()
    assert not [each for each in (str(card.pk), "ZeroDivisionError") if each in text]
    assert not AuditEntry.objects.filter(kind="cards.card").exists()


@pytest.mark.parametrize("form", [{}, {"act": "x"}, {"act": "__class__"}, {"fn": "Forged"}])
def test_garbage_is_no_act(staff: Client, root: User, form: dict[str, str]) -> None:
    company(1)
    proposed = of(root)
    bulk.propose(proposed, Card.objects.all())
    assert staff.post(page_of(proposed), form).status_code == 404
    assert staff.get(f"{list_page(BulkChange)}999/progress/").status_code == 404
    assert not BulkChange.objects.due().exists()


def test_acting_on_what_is_over_does_nothing(staff: Client, root: User) -> None:
    company(1)
    proposed = begun(root)
    run_all()
    for name in ("confirm", "stop", "go-on"):
        page = staff.post(page_of(proposed), {"act": name}, follow=True)
        assert said(page) == ["There was nothing to do any more."]


def test_the_audit_log_has_who_began_it_and_every_card_it_changed(
    staff: Client, root: User
) -> None:
    cards = company(2)
    tell(staff, cards)
    proposed = BulkChange.objects.get()
    staff.post(page_of(proposed), {"act": "confirm"})
    run_all()
    entries = AuditEntry.objects.filter(kind="cards.bulkchange").order_by("pk")
    assert [entry.verb for entry in entries] == ["added", "looked", "changed"]
    changed = AuditEntry.objects.filter(kind="cards.card", verb="changed", staff=root)
    assert {entry.object_id for entry in changed} == {str(card.pk) for card in cards}
    assert NEW not in str(list(AuditEntry.objects.values()))


def test_who_confirms_it_answers_for_it(staff: Client, root: User) -> None:
    [first, second], other = company(2), make_staff("another")
    proposed = of(other)
    bulk.propose(proposed, Card.objects.all())
    page = staff.post(page_of(proposed), {"act": "confirm"}, follow=True)
    assert page_of(root) in page.content.decode()
    bulk.run_one()
    staff.post(page_of(proposed), {"act": "stop"})
    browser_of(other).post(page_of(proposed), {"act": "go-on"})
    run_all()
    for card, person in ((first, root), (second, other)):
        assert card.revisions.latest("rev").changed_by == person
        entry = AuditEntry.objects.get(kind="cards.card", verb="changed", object_id=str(card.pk))
        assert entry.staff == person


def test_nothing_begins_that_is_not_written_down(
    staff: Client, root: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    company(1)
    proposed = of(root)
    bulk.propose(proposed, Card.objects.all())
    crash = Mock(side_effect=ZeroDivisionError)
    monkeypatch.setattr(bulkadmin.BulkChangeAdmin, "log_change", crash)
    with pytest.raises(ZeroDivisionError):
        staff.post(page_of(proposed), {"act": "confirm"})
    assert not BulkChange.objects.due().exists()


def test_examples_are_looked_at_and_progress_is_not(staff: Client, root: User) -> None:
    [card] = company(1)
    proposed = of(root)
    bulk.propose(proposed, Card.objects.all())
    staff.get(reverse("admin:cards_bulkchange_progress", args=[proposed.pk]))
    assert not AuditEntry.objects.exists()
    staff.get(page_of(proposed))
    assert AuditEntry.objects.get(kind="cards.card").object_id == str(card.pk)
