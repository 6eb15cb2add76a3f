"""Whose an address and a password are, for doors that have no page to type them on."""

from typing import cast

from allauth.account.adapter import get_adapter
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from rest_framework.exceptions import Throttled

from accounts.models import User

FAILURES_KEPT = 300  # seconds that allauth remembers a failed sign-in


def person_with(request: HttpRequest, email: str, password: str) -> User | None:
    """The person who may sign in with these. Raises Throttled, as allauth's adapter also stops
    whoever guesses at one address from many places."""
    try:
        user = get_adapter(request).authenticate(request, email=email, password=password)
    except ValidationError as error:
        raise Throttled(wait=FAILURES_KEPT) from error
    # The adapter also answers with a person whose account is closed.
    return cast(User, user) if user and user.is_active else None
