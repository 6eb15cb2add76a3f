"""What django-allauth asks of its house about accounts."""

import logging
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.contrib import messages
from django.utils.translation import gettext as _

logger = logging.getLogger(__name__)


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """A mail server that is away must not take with it what the mail is about. Says the same
        whether or not anybody has the address."""
        try:
            super().send_mail(template_prefix, email, context)
        except OSError:
            logger.exception("The mail %s could not be sent", template_prefix)
            messages.error(self.request, _("No mail could be sent just now. Try again later."))
