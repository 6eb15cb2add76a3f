"""What django-allauth asks of its house about accounts."""

import logging
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest
from django.utils.translation import gettext as _

logger = logging.getLogger(__name__)

MAIL_IS_SENT = "account/messages/email_confirmation_sent.txt"


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """A mail server that is away must not take with it what the mail is about. Says the same
        whether or not anybody has the address."""
        try:
            super().send_mail(template_prefix, email, context)
        except OSError:
            logger.exception("The mail %s could not be sent", template_prefix)
            messages.error(self.request, _("No mail could be sent just now. Try again later."))

    def add_message(
        self, request: HttpRequest, level: int, message_template: str = "", *said: Any, **more: Any
    ) -> None:
        """Nobody is told of a mail by a server that sends none."""
        if settings.SENDS_MAIL or message_template != MAIL_IS_SENT:
            super().add_message(request, level, message_template, *said, **more)
