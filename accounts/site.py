"""The admin site: one way in, and a record of what staff look at and change."""

import functools
import json
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

from allauth.account.decorators import secure_admin_login
from django.apps import apps
from django.contrib.admin import AdminSite
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext_lazy as _

from accounts.audit import Verb, record
from accounts.models import AuditEntry, User

FIELD = ("app_label", "model_name", "field_name")  # what a list of choices is asked for by

View = TypeVar("View", bound=Callable[..., HttpResponseBase])
Seen = Iterator[tuple[str, str]]  # kinds of rows and their ids


class StaffSite(AdminSite):
    site_header = site_title = "Cardsite"
    index_title = _("Staff")

    def __init__(self, name: str = "admin") -> None:
        """Without the action that deletes many rows at once: it is not written down row by row."""
        super().__init__(name)
        self.disable_action("delete_selected")

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One way to sign in, with its throttle: staff come through the same page as everybody."""
        return cast(HttpResponse, secure_admin_login(super().login)(request, extra_context))

    def admin_view(self, view: View, cacheable: bool = False) -> View:
        return super().admin_view(audited(view), cacheable)


def audited(view: View) -> View:
    """The view, whose rows are written down before anybody sees them."""
    opts = getattr(getattr(view, "__self__", None), "opts", None)
    kind = opts.label_lower if opts else ""

    @functools.wraps(view)
    def recorded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        object_id = unquote(kwargs.get("object_id") or kwargs.get("id") or "")
        try:
            answer = view(request, *args, **kwargs)
        except PermissionDenied:
            record(staff(request), Verb.REFUSED, [(kind, object_id)])
            raise
        if answer.status_code != 200:
            return answer
        if object_id:
            record(staff(request), Verb.LOOKED, [(kind, object_id)])
        else:
            record(staff(request), Verb.LISTED, listed(request, answer))
        return answer

    return cast(View, recorded)


def proposed(app_label: str, model_name: str, field_name: str) -> str:
    """The kind of rows that a field chooses from."""
    field = apps.get_model(app_label, model_name)._meta.get_field(field_name)
    return str(cast(Any, field).remote_field.model._meta.label_lower)


def staff(request: HttpRequest) -> User:
    return cast(User, request.user)


def listed(request: HttpRequest, answer: HttpResponseBase) -> Seen:
    """The rows in a list, or in the choices of a field. A look at this log is one entry, or the
    log would grow by reading it; so is one at rows that are of nobody."""
    if isinstance(answer, JsonResponse):
        kind = proposed(**{name: request.GET[name] for name in FIELD})
        yield from ((kind, row["id"]) for row in json.loads(answer.content)["results"])
    rows = (getattr(answer, "context_data", None) or {}).get("cl")
    if rows is None:
        return
    if rows.model is AuditEntry or getattr(rows.model_admin, "is_of_nobody", False):
        yield rows.opts.label_lower, ""
    else:
        yield from ((rows.opts.label_lower, str(row.pk)) for row in rows.result_list)
