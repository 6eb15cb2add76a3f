"""The project as an app: system checks and the commands that run the whole."""

from django.apps import AppConfig, apps
from django.conf import settings
from django.db.models.signals import post_migrate


class CardsiteConfig(AppConfig):
    name = "cardsite"

    def ready(self) -> None:
        from cardsite import checks, roles  # noqa: F401

        post_migrate.connect(roles.bring, sender=apps.get_app_config("delivery"))

        if settings.CELERY_BROKER_URL:  # the others need not wait for its import
            from cardsite import celery  # noqa: F401
