"""Ad-hoc commands (XEP-0050) with data forms (XEP-0004): xmpp/commands.py in a menu.

Nothing is kept between the steps: what was filled in comes with the last.
"""

import secrets
from xml.etree.ElementTree import Element

from django.utils.translation import override

from accounts.models import User
from xmpp import commands, stanzas
from xmpp.commands import BY_WORD, Command
from xmpp.disco import COMMANDS, DATA_FORMS, INFO, ITEMS
from xmpp.jids import house
from xmpp.stanzas import element

FIELD = "argument"


def items(person: User | None) -> list[Element]:
    """The menu."""
    if person is None:
        return []
    with override(person.language):
        return [
            element(ITEMS, "item", jid=house(), node=each.name, name=str(each.title))
            for each in commands.COMMANDS
        ]


def info(node: str) -> Element | None:
    """What a command is, for whoever asks about its node."""
    if node not in BY_WORD:
        return None
    name = str(BY_WORD[node].title)
    identity = element(INFO, "identity", category="automation", type="command-node", name=name)
    features = [element(INFO, "feature", var=each) for each in (COMMANDS, DATA_FORMS)]
    return element(INFO, "query", identity, *features, node=node)


def execute(heard: Element, said: Element, person: User | None) -> Element:
    """The answer to a step."""
    command = BY_WORD.get(said.get("node", ""))
    if person is None:
        return stanzas.refusal(heard, "forbidden")
    if command is None:
        return stanzas.refusal(heard, "item-not-found")
    if said.get("action", "execute") == "cancel":
        return stanzas.answer(heard, step(command, said, "canceled"))
    if said.get("action", "execute") not in ("execute", "complete", "next"):
        return stanzas.refusal(heard, "bad-request")
    with override(person.language):
        argument = filled_in(said)
        if command.argument and argument is None:
            return stanzas.answer(heard, step(command, said, "executing", *form(command)))
        result = commands.run(command, person, argument or "")
        note = element(COMMANDS, "note", text=result, type="info")
        return stanzas.answer(heard, step(command, said, "completed", note))


def step(command: Command, said: Element, status: str, *inside: Element) -> Element:
    session = said.get("sessionid", "")[:64] or secrets.token_hex(8)
    named = {"node": command.name, "sessionid": session, "status": status}
    return element(COMMANDS, "command", *inside, **named)


def form(command: Command) -> list[Element]:
    required = element(DATA_FORMS, "required")
    label = str(command.argument)
    field = element(DATA_FORMS, "field", required, var=FIELD, type="text-single", label=label)
    title = element(DATA_FORMS, "title", text=str(command.title))
    return [
        element(COMMANDS, "actions", element(COMMANDS, "complete"), execute="complete"),
        element(DATA_FORMS, "x", title, field, type="form"),
    ]


def filled_in(said: Element) -> str | None:
    """None if nothing was."""
    x, field, text = (f"{{{DATA_FORMS}}}{name}" for name in ("x", "field", "value"))
    value = said.find(f"{x}/{field}[@var='{FIELD}']/{text}")
    return (value.text or "").strip() if value is not None else None
