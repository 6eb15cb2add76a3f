"""The card server as an XMPP server: people sign in with their accounts, cards are contacts."""

from django.apps import AppConfig


class XmppConfig(AppConfig):
    name = "xmpp"
    verbose_name = "XMPP"

    def ready(self) -> None:
        from xmpp import checks, signals  # noqa: F401

        signals.connect()
