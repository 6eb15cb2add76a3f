"""What the admin pages of every room share: counts that end, searches that read little, rows that
are only looked at, and actions that ask before they do what cannot be undone.
"""

import functools
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, ClassVar, TypeVar, cast

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_permission_codename
from django.core.exceptions import ValidationError
from django.core.paginator import Page, Paginator
from django.db import connection
from django.db.models import Field, Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, override

from accounts.models import User

COUNTED = 10_000  # rows; a longer list is not counted to its end
AT_ONCE = 1_000  # rows that one action may be used on
PEOPLE = 100  # that one search looks for

Row = TypeVar("Row", bound=Model)
Words = Any  # text, now or when it is shown: django-stubs' type for it cannot be imported
Verb = Callable[[Any, HttpRequest, Any], None]
Action = Callable[[Any, HttpRequest, QuerySet[Any]], HttpResponse | None]


class BoundedPaginator(Paginator[Any]):
    """Counts no further than COUNTED, and joins only the rows of the page: sorting the whole
    table with all that is joined to it took seconds."""

    @cached_property
    def count(self) -> int:
        return self.rows().order_by()[:COUNTED].count()

    def page(self, number: int | str) -> Page[Any]:
        page = super().page(number)
        here = cast(QuerySet[Any], page.object_list).values_list("pk", flat=True)
        page.object_list = self.rows().filter(pk__in=list(here))
        return page

    def rows(self) -> QuerySet[Any]:
        return cast(QuerySet[Any], self.object_list)

    @property
    def is_cut(self) -> bool:
        return self.count == COUNTED


class StaffAdmin(admin.ModelAdmin[Row]):
    """A list that stays fast on a big table. `people` are the ways from a row to the people it is
    found by, `ids` its own columns with ids that it is found by, `private` what is shown to those
    with a permission alone, and which."""

    people: ClassVar[Collection[str]] = ()
    private: ClassVar[dict[str, str]] = {}
    ids: ClassVar[Collection[str]] = ("id",)

    paginator = BoundedPaginator
    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    search_fields = ("pk",)  # makes the search box show; what it does is below
    search_help_text = gettext_lazy(
        "How the person's email address, username or name begins, or the whole id."
    )

    def get_list_display(self, request: HttpRequest) -> Any:
        return self.shown_to(request, super().get_list_display(request))

    def get_fields(self, request: HttpRequest, obj: Row | None = None) -> Any:
        return self.shown_to(request, super().get_fields(request, obj))

    def shown_to(self, request: HttpRequest, names: Iterable[Any]) -> list[Any]:
        may = cast(User, request.user).has_perm
        return [name for name in names if name not in self.private or may(self.private[name])]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Only what a filter of the list asks for, and the rows of one id. By any other column, as
        Django allows, what no page shows could be guessed letter by letter from how many rows are
        listed."""
        asked = [lookup == name or lookup.startswith(f"{name}__") for name in self.filtered_by()]
        return any(asked) or lookup in [f"{name}__id__exact" for name in self.ids]

    def filtered_by(self) -> Iterator[str]:
        """What the list's own filters put into its address."""
        for each in cast(Iterable[Any], self.list_filter):
            match each:
                case str():
                    yield each
                case (name, _filter):
                    yield name
                case _:
                    yield each.parameter_name

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Row], search_term: str
    ) -> tuple[QuerySet[Row], bool]:
        term = search_term.strip()
        return (queryset.filter(self.found_by(term)) if term else queryset), False

    def found_by(self, term: str) -> Q:
        """The people are looked for first, and what is theirs apart for each way, as are the rows
        with that id: an OR reads every row."""
        people = people_like(term)
        ways = [Q(**{f"{path}__in": people}) for path in self.people]
        ways += [self.with_id(column, term) for column in self.ids]
        rows = self.model._default_manager.order_by()
        found = [rows.filter(way).values("pk") for way in ways]
        return Q(pk__in=found[0].union(*found[1:]))

    def with_id(self, column: str, term: str) -> Q:
        field = cast("Field[Any, Any]", self.opts.get_field(column))
        try:
            return Q(**{column: field.to_python(term)})
        except ValidationError:
            return Q(pk__in=[])

    def has_act_permission(self, request: HttpRequest) -> bool:
        """Actions are for whoever may change rows, also where rows are changed by them alone."""
        codename = get_permission_codename("change", self.opts)
        return cast(User, request.user).has_perm(f"{self.opts.app_label}.{codename}")

    def has_delete_permission(self, request: HttpRequest, obj: Row | None = None) -> bool:
        """What is there is ended by verbs, which tell the devices; rows are not deleted."""
        return False

    def log_addition(self, request: HttpRequest, obj: Row, message: Any) -> LogEntry:
        return without_name(super().log_addition(request, obj, message))

    def log_change(self, request: HttpRequest, obj: Row, message: Any) -> LogEntry:
        return without_name(super().log_change(request, obj, message))


class ReadOnlyAdmin(StaffAdmin[Row]):
    """Rows to look at; what can be done about them is an action."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Row | None = None) -> bool:
        return False


class HappenedFilter(admin.EmptyFieldListFilter):
    """For a time that is empty until something happens: whether it has."""

    def choices(self, changelist: Any) -> Any:
        words = (_("All"), _("No"), _("Yes"))
        for word, choice in zip(words, super().choices(changelist), strict=True):
            yield {**choice, "display": word}


class OfAListFilter(admin.SimpleListFilter):
    """Known values, so that no table is read to find them."""

    values: ClassVar[tuple[Any, ...]]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(value), str(value)) for value in self.values]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(**{str(self.parameter_name): value}) if value else queryset


def size_of(model: type[Model]) -> str:
    """How many rows there are, in words; of many, what PostgreSQL last reckoned."""
    few = model._default_manager.order_by()[:COUNTED].count()
    if few < COUNTED:
        return number_format(few, force_grouping=True)
    reckoned = reckoned_size(model) if connection.vendor == "postgresql" else 0
    if reckoned <= COUNTED:
        return _("at least %s") % number_format(COUNTED, force_grouping=True)
    return _("about %s") % number_format(reckoned, force_grouping=True)


def reckoned_size(model: type[Model]) -> int:
    with connection.cursor() as cursor:
        table = model._meta.db_table
        cursor.execute("SELECT reltuples::bigint FROM pg_class WHERE relname = %s", [table])
        (rows,) = cursor.fetchone()
    return int(rows)


def people_like(term: str) -> list[int]:
    """The first PEOPLE whose address, username or name begins like this."""
    lower = term.lower()
    address = Q(email__startswith=lower)
    name = Q(username__startswith=lower) | Q(name__istartswith=term)
    people = User.objects.filter(address if "@" in term else address | name)
    return list(people.values_list("pk", flat=True)[:PEOPLE])


def without_name(entry: LogEntry) -> LogEntry:
    """The log outlives what it is about, so it names nobody: an erased person must be gone."""
    entry.object_repr = entry.object_id or ""
    entry.save(update_fields=["object_repr"])
    return entry


def link_to(row: Model, text: Words) -> SafeString:
    """A link to the row's own page."""
    page = f"admin:{row._meta.app_label}_{row._meta.model_name}_change"
    return format_html('<a href="{}">{}</a>', reverse(page, args=[row.pk]), text or row.pk)


def link_to_person(person: User) -> SafeString:
    return link_to(person, person.username)


# Actions


def few_enough(rows: StaffAdmin[Any], request: HttpRequest, chosen: QuerySet[Any]) -> list[Any]:
    """The chosen rows; none, and a message, if they are too many for one request."""
    few = list(chosen[: AT_ONCE + 1])
    if len(few) <= AT_ONCE:
        return few
    too_many = _("Choose at most %d rows at a time. Nothing has been done.") % AT_ONCE
    rows.message_user(request, too_many, messages.ERROR)
    return []


def on_each(description: Words, *, question: Words) -> Callable[[Verb], Action]:
    """Make an action of a verb that does to one row what cannot be undone. It asks first, then
    does it to every chosen row, and writes it down in the row's history."""

    def action_of(verb: Verb) -> Action:
        @admin.action(description=description, permissions=["act"])
        @functools.wraps(verb)
        def action(
            rows: StaffAdmin[Any], request: HttpRequest, chosen: QuerySet[Any]
        ) -> HttpResponse | None:
            few = few_enough(rows, request, chosen)
            if few and "confirmed" not in request.POST:
                return asking(rows, request, few, description, question)
            for row in few:
                verb(rows, request, row)
                rows.log_change(request, row, in_english(description))
            if few:
                done = _("%(action)s: done for %(count)d.")
                rows.message_user(request, done % {"action": description, "count": len(few)})
            return None

        return action

    return action_of


def in_english(words: Words) -> str:
    """As it is written down: whoever reads it may have another language."""
    with override("en"):
        return str(words)


def asking(
    rows: StaffAdmin[Any], request: HttpRequest, few: list[Any], description: Words, question: Words
) -> HttpResponse:
    page = {
        **rows.admin_site.each_context(request),
        "title": description,
        "question": question,
        "rows": few,
        "opts": rows.opts,
        "action": request.POST["action"],
        "checkbox": ACTION_CHECKBOX_NAME,
    }
    return TemplateResponse(request, "admin/confirm.html", page)
