"""The roles of staff that come with the product, as groups: each sees and does what its work needs,
and nothing that owners keep to themselves (cards/sight.py). A superuser changes them, or makes
others; docs/operations.md tells people what they are for."""

from typing import Any

from django.apps import AppConfig
from django.apps import apps as now
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission

ROLES = {
    "Support": (
        "accounts.view_user",
        "accounts.change_user",
        "accounts.view_device",
        "accounts.change_device",
        "cards.view_card",
        "bindings.view_binding",
        "bindings.change_binding",
        "bindings.view_exchange",
        "bindings.view_guest",
        "bindings.view_invitation",
        "bindings.change_invitation",
        "bindings.view_request",
        "delivery.view_mailbox",
        "delivery.view_offlinemessage",
        "delivery.change_offlinemessage",
    ),
    "Operations": (
        "accounts.view_device",
        "delivery.view_cardupdate",
        "delivery.view_mailbox",
        "delivery.view_offlinemessage",
        "delivery.change_offlinemessage",
        "delivery.view_pushattempt",
        "delivery.view_tally",
    ),
    "Company details": (
        "accounts.view_user",
        "cards.view_card",
        "cards.change_card",
        "cards.add_bulkchange",
        "cards.view_bulkchange",
        "cards.see_org",
        "cards.see_role",
        "cards.see_title",
        "cards.see_url",
    ),
    "Audit": ("accounts.view_user", "accounts.view_auditentry"),
}


def bring(sender: AppConfig, apps: Any = now, **_: Any) -> None:
    """Make the roles that are not there, once all permissions are: after a migration. What a
    superuser has made of one stays."""
    try:
        apps.get_model("auth", "Group")
    except LookupError:  # migrated to a time before it
        return
    for app in now.get_app_configs():
        create_permissions(app, verbosity=0)
    for name, permissions in ROLES.items():
        role, made = Group.objects.get_or_create(name=name)
        if made:
            role.permissions.set([permission_of(each) for each in permissions])


def permission_of(name: str) -> Permission:
    app, codename = name.split(".")
    return Permission.objects.get(content_type__app_label=app, codename=codename)
