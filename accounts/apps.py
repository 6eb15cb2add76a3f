"""Who people are and what they sign in on."""

from typing import Any, cast

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps
from django.db.models import Field
from django.db.models.signals import post_migrate, post_save
from django.utils.translation import gettext_lazy as _
from push_notifications.apps import PushNotificationsConfig


class AccountsConfig(AppConfig):
    default = True
    name = "accounts"
    verbose_name = _("People and devices")

    def ready(self) -> None:
        from accounts import audit

        post_save.connect(audit.record_change, sender="admin.LogEntry")
        post_migrate.connect(audit.keep, sender=self)


class PushTokensConfig(PushNotificationsConfig):
    """Calls things what can be said in other languages as well."""

    default = False
    verbose_name = _("Push tokens")

    PLURALS = {
        "apnsdevice": _("APNS devices"),
        "gcmdevice": _("FCM devices"),
        "webpushdevice": _("WebPush devices"),
    }

    def ready(self) -> None:
        super().ready()
        for model, plural in self.PLURALS.items():
            meta = self.get_model(model)._meta
            meta.verbose_name_plural = plural
            cast("Field[Any, Any]", meta.get_field("user")).verbose_name = _("person")


class StaffAdminConfig(admin_apps.AdminConfig):
    default = False
    default_site = "accounts.site.StaffSite"
