"""The project as an app: system checks and the commands that run the whole."""

from django.apps import AppConfig
from django.conf import settings


class CardsiteConfig(AppConfig):
    name = "cardsite"

    def ready(self) -> None:
        from cardsite import checks  # noqa: F401

        if settings.CELERY_BROKER_URL:  # the others need not wait for its import
            from cardsite import celery  # noqa: F401
