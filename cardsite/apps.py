"""The project as an app: system checks and the commands that run the whole."""

from django.apps import AppConfig


class CardsiteConfig(AppConfig):
    name = "cardsite"

    def ready(self) -> None:
        from cardsite import checks  # noqa: F401
