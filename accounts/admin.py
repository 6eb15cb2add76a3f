"""Staff's pages of people, devices and circles, and of what staff looked at and changed.

Erasing a person is an action that bindings/admin.py adds: it ends bindings, which are unknown here.
"""

import zoneinfo
from operator import itemgetter
from typing import Any, cast

from allauth.account.admin import EmailAddress
from allauth.mfa.admin import Authenticator
from allauth.usersessions.admin import UserSession
from django import forms
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth import admin as auth_admin
from django.contrib.auth import forms as auth_forms
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from push_notifications.admin import DeviceAdmin as PushTokenAdmin
from push_notifications.models import APNSDevice, GCMDevice, WebPushDevice, WNSDevice

from accounts import devices, second_step
from accounts.models import AuditEntry, Circle, Device, User
from accounts.staff import (
    BoundedPaginator,
    HappenedFilter,
    OfAListFilter,
    ReadOnlyAdmin,
    StaffAdmin,
    link_to,
    link_to_person,
    on_each,
)

# What signs people in is nothing to look at: codes are secrets, and a session's key is the session.
# Of the push tokens, nothing here has Windows' old ones.
admin.site.unregister([Authenticator, UserSession, WNSDevice])


class Ticks(admin.ModelAdmin[Any]):
    """Instead of two lists side by side, which need a mouse and more room than a phone has."""

    filter_horizontal = ()

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        ticks = forms.CheckboxSelectMultiple()
        return super().formfield_for_manytomany(db_field, request, widget=ticks, **kwargs)


class ForSuperusers(Ticks):
    """What would let staff have more than their roles: the roles themselves, the addresses that
    people sign in with, the tokens that devices are pushed by."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return cast(User, request.user).is_superuser

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return cast(User, request.user).is_superuser

    has_add_permission = has_module_permission
    has_change_permission = has_delete_permission = has_view_permission


class PushTokens(ForSuperusers):
    """In lists that bear many rows. They are not pushed to from here: that needs libraries that
    are not installed."""

    actions = ("enable", "disable")
    list_select_related = ("user",)
    show_full_result_count = False
    paginator = BoundedPaginator


for model in (Group, EmailAddress, APNSDevice, GCMDevice, WebPushDevice):
    stock = type(admin.site.get_model_admin(model))
    own = PushTokens if issubclass(stock, PushTokenAdmin) else ForSuperusers
    admin.site.unregister(model)
    admin.site.register(model, type(stock.__name__, (own, stock), {}))


class LowerCaseEmail(forms.ModelForm[User]):
    """Compared as it is stored, so that a taken address is an error of the form."""

    def clean_email(self) -> str:
        return str(self.cleaned_data["email"]).lower()


class NewUserForm(LowerCaseEmail, auth_forms.AdminUserCreationForm[User]):
    username = auth_forms.UsernameField(
        label=_("Username"), required=False, help_text=_("Left empty, one is found.")
    )

    class Meta:
        model = User
        fields = ("email", "name", "username")


class UserForm(LowerCaseEmail, auth_forms.UserChangeForm[User]):
    time_zone = forms.ChoiceField(
        label=_("Time zone"),
        choices=lambda: [(zone, zone) for zone in sorted(zoneinfo.available_timezones())],
    )


@admin.register(User)
class UserAdmin(Ticks, StaffAdmin[User], auth_admin.UserAdmin[User]):
    form = UserForm
    add_form = NewUserForm
    people = ("pk",)
    list_display = ("email", "username", "name", "is_active", "is_staff", "joined_at")
    list_filter = ("is_active", "is_staff", "is_superuser")
    ordering = ("email",)
    readonly_fields = ("joined_at", "last_login")
    fieldsets = (
        (None, {"fields": ("email", "password")}),
        (_("Person"), {"fields": ("name", "username", "language", "time_zone")}),
        (
            _("Permissions"),
            {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")},
        ),
        (_("Times"), {"fields": ("joined_at", "last_login")}),
    )
    add_fieldsets = (
        (
            None,
            {
                "classes": ("wide",),
                "fields": (
                    "email",
                    "name",
                    "username",
                    "usable_password",
                    "password1",
                    "password2",
                ),
            },
        ),
    )

    actions = ("drop_second_step",)

    SIGNS_IN = ("email",)
    POWERS = ("is_staff", "is_superuser", "groups", "user_permissions")

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Nobody gives away, or takes, more than a superuser may; nor signs in as somebody else,
        and sees what roles do not, by an address of their own."""
        fixed = super().get_readonly_fields(request, obj)
        if request.user.is_superuser:
            return fixed
        return (*fixed, *self.POWERS, *(self.SIGNS_IN if obj else ()))

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        if obj is None or request.user.is_superuser:
            return super().get_fieldsets(request, obj)
        return [(None, {"fields": self.SIGNS_IN}), *list(self.fieldsets)[1:]]

    def user_change_password(
        self, request: HttpRequest, id: str, form_url: str = ""
    ) -> HttpResponse:
        if not request.user.is_superuser:
            raise PermissionDenied
        return super().user_change_password(request, id, form_url)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        out_of_reach = obj is not None and obj.is_superuser and not request.user.is_superuser
        return not out_of_reach and super().has_change_permission(request, obj)

    @on_each(
        _("Ask for no second step"),
        question=_(
            "For people who have lost theirs, and who have shown that they are who they say. They "
            "sign in with the password alone until they set up another."
        ),
    )
    def drop_second_step(self, request: HttpRequest, person: User) -> None:
        if not self.has_change_permission(request, person):
            raise PermissionDenied
        second_step.drop(person)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """An address that staff have typed is the one to sign in with, and not confirmed."""
        super().save_model(request, obj, form, change)
        if "email" in form.changed_data:
            known = EmailAddress.objects.filter(user=obj)
            known.filter(Q(primary=True) | Q(email=obj.email)).delete()
            EmailAddress.objects.create(user=obj, email=obj.email, primary=True)


@admin.register(Device)
class DeviceAdmin(ReadOnlyAdmin[Device]):
    people = ("user",)
    list_display = ("shown_name", "person", "platform", "last_seen_at", "revoked_at")
    list_filter = ("platform", ("revoked_at", HappenedFilter), "created_at")
    list_select_related = ("user",)
    ordering = ("-created_at",)
    fields = (
        "id",
        "person",
        "platform",
        "name",
        "push_token",
        "push_registered_at",
        "created_at",
        "last_seen_at",
        "revoked_at",
    )
    actions = ("revoke",)

    @admin.display(description=_("name"))
    def shown_name(self, device: Device) -> str:
        return str(device)

    @admin.display(description=_("person"))
    def person(self, device: Device) -> str:
        return link_to_person(device.user)

    @admin.display(description=_("push token"))
    def push_token(self, device: Device) -> str | None:
        """Its end: enough to recognise it, not enough to push with it."""
        registration = device.apns or device.gcm or device.webpush
        if registration is None:
            return None
        return f"{registration._meta.verbose_name} …{registration.registration_id[-6:]}"

    @on_each(
        _("Revoke"),
        question=_("These devices are signed out at once. Nothing more is sent to them."),
    )
    def revoke(self, request: HttpRequest, device: Device) -> None:
        devices.revoke(device)


@admin.register(Circle)
class CircleAdmin(ReadOnlyAdmin[Circle]):
    people = ("owner",)
    list_display = ("name", "person", "created_at")
    list_select_related = ("owner",)
    ordering = ("owner", "name")
    fields = ("id", "name", "person", "created_at")

    @admin.display(description=_("owner"))
    def person(self, circle: Circle) -> str:
        return link_to_person(circle.owner)


class KindFilter(OfAListFilter):
    title = _("kind of row")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        models = model_admin.admin_site._registry
        kinds = [(model._meta.label_lower, str(model._meta.verbose_name)) for model in models]
        return sorted(kinds, key=itemgetter(1))


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin[AuditEntry]):
    people = ("staff",)
    ids = ("object_id",)
    list_display = ("at", "who", "verb", "kind_of_row", "row", "what")
    list_display_links = None
    list_filter = ("verb", KindFilter, "at")
    list_select_related = ("staff",)
    ordering = ("-at", "-id")
    fields = list_display
    search_help_text = _(
        "How the email address, username or name of staff begins, or the whole id of a row."
    )

    @admin.display(description=_("staff"))
    def who(self, entry: AuditEntry) -> str:
        return link_to_person(entry.staff)

    @admin.display(description=_("kind of row"))
    def kind_of_row(self, entry: AuditEntry) -> str:
        model = self.model_of(entry)
        return str(model._meta.verbose_name) if model else entry.kind

    @admin.display(description=_("row"), empty_value="")
    def row(self, entry: AuditEntry) -> str | None:
        model = self.model_of(entry)
        return link_to(model(pk=entry.object_id), entry.object_id) if model else entry.object_id

    @admin.display(description=_("detail"))
    def what(self, entry: AuditEntry) -> str:
        """What the admin wrote of it, or the name of an action as it was written down."""
        return str(LogEntry(change_message=entry.detail).get_change_message())

    def model_of(self, entry: AuditEntry) -> type[Model] | None:
        """None where there is no page of such rows (any more)."""
        if not entry.object_id:
            return None
        known = {model._meta.label_lower: model for model in self.admin_site._registry}
        return known.get(entry.kind)
