"""Who people are and what they sign in on."""

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps
from django.db.models.signals import post_migrate, post_save
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    default = True
    name = "accounts"
    verbose_name = _("People and devices")

    def ready(self) -> None:
        from accounts import audit

        post_save.connect(audit.record_change, sender="admin.LogEntry")
        post_migrate.connect(audit.keep, sender=self)


class StaffAdminConfig(admin_apps.AdminConfig):
    default = False
    default_site = "accounts.site.StaffSite"
