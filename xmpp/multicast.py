"""The same stanza to many at once, where the server can do that for its own people
(xmpp/prosody/mod_cardsite_multicast.lua); anywhere else, and to everybody else, one by one.
"""

from collections.abc import Iterable, Iterator
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape, quoteattr

from django.conf import settings

from xmpp.jids import house
from xmpp.news import Ready

NAMESPACE = "urn:cardsite:multicast:1"
ACKS = f"{{{NAMESPACE}}}acks"
FEW = 3  # JIDs for which it is not worth it
MOST = 1000  # JIDs in one stanza
STANZAS = ("<message ", "<iq ", "<presence ")

Group = tuple[Ready, list[str]]


def grouped(sent: Iterable[tuple[Ready, str]]) -> list[Group]:
    """Each stanza with all who get it. Nobody gets a later one before an earlier one: then it is
    begun again."""
    groups: list[Group] = []
    newest: dict[int, int] = {}  # the last group of a stanza
    reached: dict[str, int] = {}  # the last group that a JID is in
    for ready, jid in sent:
        at = newest.get(id(ready), -1)
        if at < reached.get(jid, 0) or len(groups[at][1]) >= MOST:
            at = newest[id(ready)] = len(groups)
            groups.append((ready, []))
        groups[at][1].append(jid)
        reached[jid] = at
    return groups


def written(groups: Iterable[Group], *, is_understood: bool) -> Iterator[str]:
    for ready, jids in groups:
        ours = [name for jid in jids if (name := local(jid))] if is_understood else []
        if len(ours) > FEW:
            yield multicast(ready, ours)
            jids = [jid for jid in jids if not local(jid)]
        yield from (ready.to(jid) for jid in jids)


def local(jid: str) -> str:
    """The name, and the resource if there is one, of somebody of this house; else nothing."""
    bare, slash, resource = jid.partition("/")
    name, _at, domain = bare.partition("@")
    return f"{name}{slash}{resource}" if domain == settings.XMPP_DOMAIN else ""


def multicast(ready: Ready, names: Iterable[str]) -> str:
    start = next(each for each in STANZAS if ready.head.startswith(each))
    stanza = f"{start}xmlns='jabber:client' {ready.head[len(start) :]}{ready.tail.lstrip()}"
    to = escape("\n".join(names))
    return (
        f"<message from={quoteattr(house())} to={quoteattr(settings.XMPP_DOMAIN)}>"
        f"<multicast xmlns='{NAMESPACE}'><to>{to}</to>{stanza}</multicast></message>"
    )


def acks_in(heard: Element) -> Iterator[tuple[str, str]]:
    """Which stanzas are acknowledged by whom, where the server says so of many."""
    for line in (heard.findtext(ACKS) or "").splitlines():
        id, _space, jid = line.partition(" ")
        yield id, jid
