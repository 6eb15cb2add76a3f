"""Who may sign in over XMPP, and who may go on.

The username is the localpart of the address. One signs in with an app password (decision 0016) or,
if XMPP_ACCOUNT_PASSWORDS says so, with the password of the account. Then the address is a device of
the person. A session is begun with a key, of the device and of the password, and ends when one of
them is not good any more: whether it is, is looked for (decision 0004).
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from accounts import credentials, second_step
from accounts.models import AppPassword, Device, User
from xmpp import addresses, jids


class Session(NamedTuple):
    """Whose it is, by an id that outlives the username, and the key that it was begun with."""

    person: str
    key: str


class Known(NamedTuple):
    """Somebody who has signed in: the name, the person of that time, the keys of their sessions."""

    username: str
    person: str
    keys: list[str]


def sign_in(request: HttpRequest, username: str, password: str) -> Session | None:
    """The session that may begin with these; none if they are wrong. Raises Throttled, as failures
    count with those of the pages."""
    user = User.objects.filter(username=username).first()
    if user and (found := app_password(user, password)):
        return begun(user, str(found.pk))
    # No address is without an @: nobody else is found by the name of nobody.
    email = user.email if user else username.replace("@", "")
    found_user = credentials.person_with(request, email, password)
    if user is None or found_user != user or not has_password_for_apps(user):
        return None
    return begun(user, password_key(user))


def begun(user: User, password: str) -> Session:
    addresses.signed_in(user)
    device = Device.objects.active().get(user=user, address__jid=jids.own(user.username))
    return Session(str(user.pk), f"{device.pk}/{password}")


def app_password(user: User, password: str) -> AppPassword | None:
    if AppPassword.objects.person_with(user.email, password) is None:
        return None
    return user.app_passwords.filter(password_hash=AppPassword.hash_password(password)).first()


def has_password_for_apps(user: User) -> bool:
    """A password alone is not enough of whom a second step is asked: no client could take it."""
    return settings.XMPP_ACCOUNT_PASSWORDS and not second_step.is_asked_of(user)


def password_key(user: User) -> str:
    """Another one after the password has changed."""
    return salted_hmac("xmpp session", user.get_session_auth_hash()).hexdigest()


def look_at(known: list[Known]) -> tuple[list[str], dict[str, list[str]]]:
    """The names that are not these persons' any more, and by name the keys that are not good."""
    names = [each.username for each in known]
    people = User.objects.filter(username__in=names).only("username", "password", "is_active")
    users = {user.username: user for user in people}
    good = good_keys(list(users.values()))
    gone = {each.username for each in known if not is_still(each, users.get(each.username))}
    ended = {
        each.username: [key for key in each.keys if key not in good[users[each.username].pk]]
        for each in known
        if each.username not in gone
    }
    return sorted(gone), {name: keys for name, keys in ended.items() if keys}


def is_still(known: Known, user: User | None) -> bool:
    return user is not None and str(user.pk) == known.person


def good_keys(users: list[User]) -> dict[int, set[str]]:
    """Those that each of them may have a session with."""
    active = {user.pk: user for user in users if user.is_active}
    devices = by_person(Device.objects.active().filter(platform=Device.Platform.XMPP), active)
    passwords = by_person(AppPassword.objects.all(), active)
    if settings.XMPP_ACCOUNT_PASSWORDS:
        for pk in active.keys() - second_step.asked_of(active):
            passwords[pk].append(password_key(active[pk]))
    return defaultdict(
        set,
        {pk: {f"{one}/{each}" for one in devices[pk] for each in passwords[pk]} for pk in active},
    )


def by_person(rows: QuerySet[Any], people: Iterable[int]) -> dict[int, list[str]]:
    """The ids of those that are theirs."""
    found = defaultdict(list)
    for person, pk in rows.filter(user__in=people).values_list("user_id", "pk"):
        found[person].append(str(pk))
    return found
