"""The one receiver of card changes, and what else delivery listens to.

It writes the intent in the card's own transaction and nothing else: no rendering, no fan-out, no
network, and the same cost whatever the number of holders. A worker is called after the commit.
"""

from typing import Any

from django.contrib.auth.signals import user_logged_out
from django.db import transaction
from django.db.models.signals import post_save
from django.http import HttpRequest
from django.utils import timezone

from accounts import devices
from bindings import keeping
from bindings.models import BindingQuerySet
from cards.models import Card
from delivery import engine, live, rows
from delivery.models import CardUpdate


def card_saved(sender: type[Card], instance: Card, raw: bool, **kwargs: Any) -> None:
    if raw:  # a fixture brings its own rows
        return
    CardUpdate.objects.bulk_create(
        [CardUpdate(card=instance, rev=instance.rev, wanted_at=timezone.now())],
        update_conflicts=True,
        unique_fields=["card"],
        update_fields=["rev", "wanted_at"],
    )
    transaction.on_commit(lambda: engine.wake(instance.pk), robust=True)


def private_changed(sender: Any, bindings: BindingQuerySet, **kwargs: Any) -> None:
    """Only a holder's own devices must know, which are few, so there is no fan-out to wait for."""
    rows.must_have(bindings, "private")
    transaction.on_commit(lambda: live.publish_private(bindings), robust=True)


def signed_out(sender: Any, request: HttpRequest, **kwargs: Any) -> None:
    if browser := devices.browser_of(request):
        devices.forget(browser)
    if request.session.session_key:
        live.sign_out_session(request.session.session_key)


def connect() -> None:
    post_save.connect(card_saved, sender=Card, dispatch_uid="delivery.card_saved")
    keeping.private_changed.connect(private_changed, dispatch_uid="delivery.private_changed")
    user_logged_out.connect(signed_out, dispatch_uid="delivery.signed_out")
