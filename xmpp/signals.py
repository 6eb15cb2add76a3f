"""What this room listens to: somebody whose account ends leaves no address behind."""

from typing import Any

from django.db.models.signals import post_save

from accounts.models import User
from xmpp.models import Address


def person_saved(sender: type[User], instance: User, **kwargs: Any) -> None:
    if not instance.is_active:
        Address.objects.filter(device__user=instance).delete()


def connect() -> None:
    post_save.connect(person_saved, sender=User, dispatch_uid="xmpp.person_saved")
