"""What one can say to the component in plain chat, or choose in a client's menu (xmpp/adhoc.py):
the same commands, in English and in Chinese."""

from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

from django.conf import settings
from django.core.exceptions import ValidationError
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, override

from accounts.models import User
from bindings import exchange
from bindings.access import given_by, held_by, requests_to
from bindings.models import Invitation, Request
from cards.access import own_cards
from xmpp import jids
from xmpp.addresses import card_given
from xmpp.models import Address

MOST = 50  # lines of one answer
LIFETIME = timedelta(days=1)


class Wrong(ValueError):
    """What was asked for cannot be done; the text says why."""


class Command(NamedTuple):
    """`words` are the names by which it is called, the first that of its node (XEP-0050).
    `argument` is what it has to be told, `run` does it and says what came of it. Raises Wrong."""

    words: tuple[str, ...]
    title: str | Promise
    run: Callable[[User, str], str]
    argument: str | Promise = ""

    @property
    def name(self) -> str:
        return self.words[0]


def reply(person: User, said: str) -> str:
    """What is answered to something said."""
    word, _space, argument = said.partition(" ")
    with override(person.language):
        command = BY_WORD.get(word.lower())
        if command is None:
            return help_(person, "")
        return run(command, person, argument.strip())


def run(command: Command, person: User, argument: str) -> str:
    """Call it in the language of the person."""
    try:
        return command.run(person, argument)
    except Wrong as error:
        return str(error)


def cards(person: User, _argument: str) -> str:
    given = card_given(person)
    lines = [
        f"{number}. {card.fn}" + (f" ({card.label})" if card.label else "") + "*" * (card == given)
        for number, card in enumerate(own_cards(person)[:MOST], 1)
    ]
    return "\n".join([*lines, _("* is the one that is given and changed from here.")])


def choose(person: User, argument: str) -> str:
    own = list(own_cards(person)[:MOST])
    if not argument.isdecimal() or len(argument) > 3 or not 1 <= int(argument) <= len(own):
        raise Wrong(_("Say which, by its number."))
    card = own[int(argument) - 1]
    Address.objects.active().filter(device__user=person).update(card=card)
    return _("From now on this card is given and changed from here: %s") % card.fn


def holders(person: User, _argument: str) -> str:
    lines = [
        f"{each.holder.name} ({jids.contact(each.holder.username)})"
        for each in given_by(person).order_by("-created_at")[:MOST]
    ]
    return "\n".join(lines) or _("Nobody holds a card of yours.")


def held(person: User, _argument: str) -> str:
    lines = [
        f"{each.card.fn} ({jids.contact(each.card.owner.username)})"
        for each in held_by(person).order_by("view__sort", "pk")[:MOST]
    ]
    return "\n".join(lines) or _("You hold no cards.")


def link(person: User, _argument: str) -> str:
    """For one person, for a day."""
    _invitation, code = exchange.invite(card_given(person), lifetime=LIFETIME)
    name = f"{jids.escaped(person.username)}?{code.lower()}"
    return "\n".join(
        [
            _("For one person, who gives you theirs, within a day:"),
            settings.BASE_URL + reverse("invitation", args=[code]),
            f"xmpp:{name}@{jids.house()}?subscribe",
            _("Code: %s") % Invitation.shown(code),
        ]
    )


def requests(person: User, _argument: str) -> str:
    lines = [
        f"{each.sender.name} ({each.sender.username}) {each.message}".rstrip()
        for each in requests_to(person)[:MOST]
    ]
    return "\n".join(lines) or _("Nobody asks for your card.")


def accept(person: User, argument: str) -> str:
    try:
        exchange.accept_request(request_of(person, argument), card_given(person))
    except exchange.Gone as error:
        raise Wrong(_("Nobody by this name asks for your card.")) from error
    return _("You have exchanged cards.")


def decline(person: User, argument: str) -> str:
    try:
        exchange.decline_request(request_of(person, argument))
    except exchange.Gone as error:
        raise Wrong(_("Nobody by this name asks for your card.")) from error
    return _("Declined. They are not told.")


def request_of(person: User, argument: str) -> Request:
    asked = requests_to(person).filter(sender__username=named(argument)).first()
    if asked is None:
        raise Wrong(_("Nobody by this name asks for your card."))
    return asked


def named(argument: str) -> str:
    """A username, or the address of a contact."""
    jid = jids.Jid.read(argument)
    return jid.owner if jid and jid.domain == jids.house() else argument.lower()


def take(person: User, argument: str) -> str:
    """Bring an invitation's code."""
    try:
        exchange.accept_invitation(argument, person, card_given(person))
    except (exchange.Gone, ValidationError) as error:
        raise Wrong(_("This code opens nothing.")) from error
    return _("You have exchanged cards.")


def revoke(person: User, argument: str) -> str:
    bindings = list(given_by(person).filter(holder__username=named(argument)))
    if not bindings:
        raise Wrong(_("Nobody by this name holds a card of yours."))
    for binding in bindings:
        exchange.revoke(binding)
    return _("Taken back. Copies that somebody has exported cannot be recalled.")


def help_(person: User, _argument: str) -> str:
    lines = [
        f"{each.name} / {each.words[1]}"
        + (f" [{each.argument}]" if each.argument else "")
        + f": {each.title}"
        for each in COMMANDS
    ]
    return "\n".join(lines)


WHO = gettext_lazy("username")
COMMANDS = (
    Command(("help", "帮助", "?"), gettext_lazy("What one can say here"), help_),
    Command(("cards", "名片"), gettext_lazy("My cards"), cards),
    Command(
        ("use", "选用"), gettext_lazy("Give this card from here"), choose, gettext_lazy("number")
    ),
    Command(("holders", "持有人"), gettext_lazy("Who holds my cards"), holders),
    Command(("held", "收藏"), gettext_lazy("The cards I hold"), held),
    Command(("link", "邀请"), gettext_lazy("Invite somebody"), link),
    Command(
        ("code", "邀请码"),
        gettext_lazy("Take the card of an invitation"),
        take,
        gettext_lazy("code"),
    ),
    Command(("requests", "请求"), gettext_lazy("Who asks for my card"), requests),
    Command(("accept", "接受"), gettext_lazy("Exchange cards with them"), accept, WHO),
    Command(("decline", "拒绝"), gettext_lazy("Do not exchange cards with them"), decline, WHO),
    Command(("revoke", "收回"), gettext_lazy("Take my card back from them"), revoke, WHO),
)
BY_WORD = {word: command for command in COMMANDS for word in command.words}
