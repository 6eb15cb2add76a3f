"""A device for Cardsite: signs in, keeps the cards that it holds as .vcf files, follows changes.

Run it with --help, or import `Phone`; docs/wire.md has the rules and the shape of all JSON here.
Cards are written as vCard 4.0 (RFC 6350), and come as JSON or as xCard (RFC 6351).
"""

import argparse
import asyncio
import getpass
import json
import os
import random
import re
import ssl
import sys
import unicodedata
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from io import TextIOWrapper
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import quote, urljoin
from uuid import UUID, uuid4

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

Json = dict[str, Any]
Acks = list[tuple[str, int]]


class PhoneError(Exception):
    """Something that the person at the phone should read."""

    exit_code = 1


class SignedOut(PhoneError):
    """The token is dead."""

    exit_code = 2


class Replaced(PhoneError):
    """A newer connection of this same device took over."""


class Refused(PhoneError):
    """The server said no; `problem` is the body of its answer (RFC 9457), {} if there was none."""

    def __init__(self, status: int, problem: Json) -> None:
        self.status, self.problem = status, problem
        fields = [f"{name}: {' '.join(why)}" for name, why in problem.get("errors", {}).items()]
        super().__init__(
            plain("; ".join([problem.get("detail") or f"the server answered {status}", *fields]))
        )


@dataclass(frozen=True)
class Message:
    """The newest state of one card, or of one binding."""

    kind: str
    card: str
    rev: int
    view: Json | None = None
    binding: Json = field(default_factory=dict)

    @property
    def id(self) -> str:
        """What the rev is kept and acknowledged under: a card of mine has one for each holder, and
        what I keep private beside a card that I hold has one of its own."""
        by_binding = self.kind == "private" or self.binding.get("side") == "owner"
        return str(self.binding["id"]) if by_binding else self.card


def messages(bodies: Iterable[Json], key: str) -> list[Message]:
    """Read the messages, which tell their kind under `key`; other bodies are left out."""
    return [
        Message(it[key], it["card"], it["rev"], it.get("view"), it.get("binding", {}))
        for it in bodies
        if it[key] in ("card", "binding", "private", "removed")
    ]


# The XML wire: every frame is read into what its JSON twin says.

VCARD = "{urn:ietf:params:xml:ns:vcard-4.0}"
COMPONENTS = {
    "n": ("surname", "given", "additional", "prefix", "suffix"),
    "adr": ("pobox", "ext", "street", "locality", "region", "code", "country"),
    "gender": ("sex", "identity"),
    "clientpidmap": ("sourceid", "uri"),
}
# The types that a value may have without a VALUE parameter (RFC 6350 section 6, RFC 6474, RFC 6715,
# RFC 9554). What is not here is text, except that of an X-something only its writer knows the type.
DATES = ("date", "time", "date-time", "date-and-or-time")
TYPES = {
    **dict.fromkeys(["photo", "logo", "sound", "url", "key", "source", "member"], ("uri",)),
    **dict.fromkeys(["impp", "geo", "related", "fburl", "caladruri", "caluri"], ("uri",)),
    **dict.fromkeys(["org-directory", "contact-uri", "socialprofile"], ("uri",)),
    **dict.fromkeys(["bday", "anniversary", "deathdate"], DATES),
    **dict.fromkeys(["lang", "language"], ("language-tag",)),
    **dict.fromkeys(["x-ablabel", "x-abrelatednames", "x-maidenname"], ("text",)),
    **dict.fromkeys([f"x-phonetic-{it}-name" for it in ("first", "middle", "last")], ("text",)),
    "created": ("timestamp",),
}


def usual_types(name: str) -> tuple[str, ...]:
    return TYPES.get(name, ("unknown",) if name.startswith("x-") else ("text",))


def frame_from_xml(text: str) -> Json:
    if "<!" in text:  # No frame has a declaration, and a DTD could make entities grow for ever.
        raise ValueError("XML with a declaration is refused")
    root = ET.fromstring(text)  # noqa: S314 - see above
    frame: Json = {"type": local(root), **root.attrib}
    if "rev" in frame:
        frame["rev"] = int(frame["rev"])
    if frame["type"] in ("binding", "private"):
        frame["binding"] = binding_from_xml(root)
    if (vcard := root.find(f"{VCARD}vcard")) is not None:
        frame["view"] = view_from_xcard(vcard)
    return frame


def binding_from_xml(root: ET.Element) -> Json:
    binding: Json = {key: value for key, value in root.attrib.items() if key not in ("card", "rev")}
    binding |= {local(it): dict(it.attrib) for it in root if local(it) in ("owner", "holder")}
    if binding["side"] == "owner":
        return {**binding, "circles": [it.attrib["id"] for it in root if local(it) == "circle"]}
    if binding["state"] == "ended":
        return binding
    return {
        **binding,
        "tags": [it.text or "" for it in root if local(it) == "tag"],
        "approved_rev": int(binding["approved_rev"]) if "approved_rev" in binding else None,
        "private_rev": int(binding["private_rev"]),
    }


def view_from_xcard(vcard: ET.Element) -> Json:
    properties = []
    for child in vcard.findall(f"{VCARD}*"):  # XML of others may stand beside them.
        group = {"group": [child.attrib["name"]]} if local(child) == "group" else {}
        properties += [property_from_xcard(it, dict(group)) for it in (child if group else [child])]
    special = {it["name"]: it["value"] for it in properties if it["name"] in ("fn", "photo")}
    rest = [it for it in properties if it["name"] not in special]
    return {"fn": "", "photo": None, **special, "properties": rest}


def property_from_xcard(element: ET.Element, params: dict[str, list[str]]) -> Json:
    name, values = local(element), [it for it in element if local(it) != "parameters"]
    for it in element.findall(f"{VCARD}parameters/*"):
        params[local(it)] = [value.text or "" for value in it]
    if name in COMPONENTS:
        parts = [[it.text or "" for it in values if local(it) == part] for part in COMPONENTS[name]]
        return {"name": name, "value": [one(part) for part in parts], "params": params}
    usual, kind = usual_types(name), local(values[0]) if values else "unknown"
    if kind not in (*usual, "unknown"):
        params["value"] = [kind]
    mark = "T" if kind == "time" and "date" in usual else ""  # RFC 6350 section 4.3.4
    return {"name": name, "value": one([mark + (it.text or "") for it in values]), "params": params}


def one(values: list[str]) -> str | list[str]:
    """A single value stands for itself, none is the empty text."""
    return values if len(values) > 1 else "".join(values)


def local(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def acks_to_xml(acks: Acks) -> str:
    root = ET.Element("ack", xmlns="urn:cardsite:cards:1")
    for id_, rev in acks:
        ET.SubElement(root, "item", id=id_, rev=str(rev))
    return ET.tostring(root, encoding="unicode")


def acks_to_json(acks: Acks) -> str:
    return json.dumps({"type": "ack", "acks": acks})


class Wire(NamedTuple):
    subprotocol: Subprotocol
    read: Callable[[str], Json]
    write_acks: Callable[[Acks], str]


JSON_WIRE = Wire(Subprotocol("cards.v1.json"), json.loads, acks_to_json)
XML_WIRE = Wire(Subprotocol("cards.v1.xml"), frame_from_xml, acks_to_xml)


# vCard 4.0.

NAME = re.compile(r"[A-Za-z0-9-]+")
CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
NEWLINE = re.compile(r"\r\n|\r|\n")
# How many components a structured value has at least (RFC 6350 section 6).
SIZES = {"n": 5, "gender": 1, "adr": 7, "org": 1, "clientpidmap": 2}
# What is said by the one who writes the vCard, not by its owner.
OURS = ("begin", "version", "prodid", "uid", "rev", "fn", "end")


def vcard(card: str, view: Json, server: str) -> list[str]:
    """Write a view as the lines of a vCard, not yet folded."""
    properties = [it for it in view["properties"] if it["name"].lower() not in OURS]
    if view["photo"]:
        photo = urljoin(server, view["photo"])
        properties.append({"name": "photo", "value": photo, "params": {}})
    lines = [content_line(it) for it in properties if NAME.fullmatch(it["name"])]
    head = ["BEGIN:VCARD", "VERSION:4.0", f"UID:urn:uuid:{UUID(card)}", f"FN:{escaped(view['fn'])}"]
    return [*head, *lines, "END:VCARD"]


def content_line(prop: Json) -> str:
    given = prop["params"].items()
    params = {key: values for key, values in given if values and NAME.fullmatch(key)}
    group = "".join(params.pop("group", []))
    head = (f"{group}." if NAME.fullmatch(group) else "") + prop["name"].upper()
    tail = [f";{key.upper()}={','.join(map(quoted, values))}" for key, values in params.items()]
    return f"{head}{''.join(tail)}:{written_value(prop)}"


def written_value(prop: Json) -> str:
    name, value = prop["name"].lower(), prop["value"]
    if isinstance(value, str):
        is_text = "text" in prop["params"].get("value", usual_types(name))
        return escaped(value) if is_text else CONTROLS.sub("", value)
    parts = [",".join(map(escaped, [it] if isinstance(it, str) else it)) for it in value]
    if name not in SIZES:
        return ",".join(parts)
    while len(parts) > SIZES[name] and not parts[-1]:
        parts.pop()
    return ";".join(parts + [""] * (SIZES[name] - len(parts)))


def escaped(text: str) -> str:
    lines = (re.sub(r"([\\,;])", r"\\\1", line) for line in NEWLINE.split(text))
    return CONTROLS.sub("", r"\n".join(lines))


def quoted(value: str) -> str:
    """Write one value of a parameter (RFC 6868)."""
    value = NEWLINE.sub("^n", value.replace("^", "^^").replace('"', "^'"))
    return CONTROLS.sub("", f'"{value}"' if set(value) & set(",;:") else value)


def folded(line: str) -> bytes:
    """Break a line at 75 octets, never inside a character (RFC 6350 section 3.2)."""
    rest, pieces, room = line.encode(errors="replace"), [], 75
    while len(rest) > room:
        cut = next(at for at in range(room, 0, -1) if rest[at] & 0xC0 != 0x80)
        pieces.append(rest[:cut])
        rest, room = rest[cut:], 74  # A space opens every further line.
    return b"\r\n ".join([*pieces, rest]) + b"\r\n"


def unfolded(content: bytes) -> list[str]:
    return content.replace(b"\r\n ", b"").decode(errors="replace").split("\r\n")[:-1]


# Words for people.


def plain(text: str) -> str:
    """Make the text of others safe for a terminal: one line without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def said(line: str) -> tuple[str, str]:
    """Split a content line into what it is ("tel work") and what it says."""
    head, value = re.findall(r'((?:"[^"]*"|[^":])*):?(.*)', line)[0]
    name, *params = re.sub(r"^[\w-]+\.", "", head).split(";")
    types = [it[5:].replace(",", " ") for it in params if it.startswith("TYPE=")]
    value = re.sub(r"(?<!\\);+", ", ", value.strip(";")).replace(r"\n", " ").replace("\\", "")
    return plain(" ".join([name, *types]).lower()), plain(value)


def values_by_label(lines: Iterable[str]) -> dict[str, list[str]]:
    found = defaultdict(list)
    for label, value in map(said, lines):
        found[label].append(value)
    return found


def differences(old: list[str], new: list[str]) -> Iterator[str]:
    """Say how the lines of a card changed, pairing old and new of the same name and types."""
    gone = values_by_label(line for line in old if line not in new)
    come = values_by_label(line for line in new if line not in old)
    for label in {**gone, **come}:
        for before, after in zip_longest(gone.get(label, []), come.get(label, [])):
            if before is None:
                yield f"{label} {after} added"
            elif after is None:
                yield f"{label} {before} gone"
            else:
                yield f"{label} {before} -> {after}"


def without_taken_away(old: list[str], new: list[str]) -> list[str]:
    """The old lines while the new ones wait, but for those that have no successor: what the owner
    took off the card is not asked about."""
    left, kept = [line for line in new if line not in old], []
    for line in old:
        after = line if line in new else next((it for it in left if succeeds(it, line)), None)
        if after in left:
            left.remove(after)
        if after is not None:
            kept.append(line)
    return kept


def succeeds(new: str, old: str) -> bool:
    """Whether this is what has become of the old line: another value, or another type."""
    (label, value), (old_label, old_value) = said(new), said(old)
    return label == old_label or (label.split()[0] == old_label.split()[0] and value == old_value)


def title(lines: list[str]) -> str:
    return next((said(it)[1] for it in lines if it.startswith("FN:")), "") or "(no name)"


# The folder.

STATE = ".phone.json"
CARD_FILE = re.compile(r".*-[0-9a-f]{12}\.vcf")


def file_name(card: str, fn: str) -> str:
    """Name a card's file so that a person finds it, no two clash and none leaves the folder."""
    words = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", fn).casefold())
    slug = re.sub(r"[\W_]+", "-", words)[:40].strip("-")
    return f"{slug or 'card'}-{UUID(card).hex[-12:]}.vcf"


@dataclass
class Entry:
    """The newest rev of one id. With a file: a held card; else a tombstone, a holder of mine, what
    I keep private under a binding, or (at rev 0) a card that has yet to come.

    `waiting` is the card's newest view, for as long as the person has not taken it over.
    """

    rev: int = 0
    file: str = ""
    binding: Json = field(default_factory=dict)
    waiting: Json = field(default_factory=dict)

    @property
    def is_asked_about(self) -> bool:
        approved = self.binding.get("approved_rev")
        return approved is not None and self.rev > approved


# What the person keeps to themselves of a binding; whichever has the larger private_rev is newer.
PRIVATE = ("nickname", "note", "tags", "approved_rev", "private_rev")


def is_another(known: Json, new: Json) -> bool:
    """Whether this is not the binding that is known, but one by which the card was given anew."""
    return bool(known and new) and new["id"] != known["id"]


def joined(known: Json, new: Json) -> Json:
    """A binding as it is told, {} if it is not, but nothing private older than what is known."""
    if is_another(known, new):
        return new
    is_older = new.get("private_rev", 0) < known.get("private_rev", 0)
    private = {name: value for name, value in known.items() if name in PRIVATE}
    return {**known, **new, **(private if is_older else {})}


@dataclass
class State:
    """What must survive a kill, beside the cards. It is the truth for revs."""

    server: str
    identifier: str
    token: str = ""
    device: str = ""
    username: str = ""
    epoch: str = ""
    entries: dict[str, Entry] = field(default_factory=dict)


class CardFolder:
    """The held cards on disk. `apply` some messages, then `save`; then they can be acknowledged."""

    def __init__(self, path: Path, server: str, identifier: str) -> None:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = path
        self.state = self._load() or State(server, identifier or uuid4().hex)
        if self.state.server != server or identifier not in ("", self.state.identifier):
            raise PhoneError(f"{path} belongs to another device, or to a device of another server.")
        self.delete_unknown()

    def _load(self) -> State | None:
        try:
            kept = json.loads((self.path / STATE).read_bytes())
        except FileNotFoundError:
            return None
        entries = {id_: Entry(**entry) for id_, entry in kept.pop("entries").items()}
        return State(**kept, entries=entries)

    def delete_unknown(self) -> None:
        """Delete card files that the state does not name: a kill came between them and it."""
        named = {entry.file for entry in self.state.entries.values()}
        for path in self.path.iterdir():
            name = unicodedata.normalize("NFKC", path.name)  # Some file systems decompose names.
            if CARD_FILE.fullmatch(name) and name not in named:
                path.unlink()

    def lines(self, card: str) -> list[str]:
        """Return the unfolded lines of a held card's file, [] if there is none."""
        file = self.state.entries.get(card, Entry()).file
        with suppress(FileNotFoundError):
            return unfolded((self.path / file).read_bytes()) if file else []
        return []

    def apply(self, message: Message) -> list[str] | None:
        """Bring a message to disk if it is newer; return the change in words, None if it is not."""
        known = self.state.entries.get(message.id, Entry())
        if message.rev <= known.rev:
            return None
        if message.kind == "private":
            return self._apply_private(message)
        old = [] if is_another(known.binding, message.binding) else self.lines(message.id)
        entry = self.state.entries[message.id] = Entry(message.rev, known.file, message.binding)
        if message.view:
            binding = joined(known.binding, message.binding)
            entry.binding, entry.waiting = self._with_private(binding), message.view
            return self._take_over(message.card, old)
        if known.file:
            (self.path / known.file).unlink(missing_ok=True)
            entry.file = ""
        return end_in_words(message, old)

    def _apply_private(self, message: Message) -> list[str]:
        """Keep it under its own id, as the card may have yet to come, or be of another binding."""
        kept = self.state.entries[message.id] = Entry(message.rev)
        if message.binding["state"] == "ended":
            return []
        kept.binding = message.binding
        entry = self.state.entries.setdefault(message.card, Entry())
        if is_another(entry.binding, message.binding):
            return []
        entry.binding = joined(entry.binding, message.binding)
        return self._take_over(message.card, self.lines(message.card)) if entry.waiting else []

    def _with_private(self, binding: Json) -> Json:
        """Add what came of this binding before the card did."""
        kept = self.state.entries.get(binding.get("id", ""), Entry())
        return joined(kept.binding, binding)

    def _take_over(self, card: str, old: list[str]) -> list[str]:
        """Bring to the card's file as much of what waits as the person wants, or need not be asked
        about; return it in words. A card that is new here has nothing that could stay as it was."""
        entry = self.state.entries[card]
        new = vcard(card, entry.waiting, self.state.server)
        left = without_taken_away(old, new) if old and entry.is_asked_about else new
        if asked := [f"{title(old)}: {each}" for each in differences(left, new)]:
            self._write(entry.file, b"".join(map(folded, left)))
            gone = [f"{title(old)}: {each}" for each in differences(old, left)]
            return gone + [f"{each}, when you take it over" for each in asked]
        known, entry.file, entry.waiting = entry.file, file_name(card, entry.waiting["fn"]), {}
        self._write(entry.file, b"".join(map(folded, new)))
        if known not in ("", entry.file):
            (self.path / known).unlink(missing_ok=True)
        return card_in_words(entry.rev, old, new)

    def waiting(self) -> dict[str, list[str]]:
        """By card, what the person is to be asked about, in words."""
        entries = self.state.entries
        return {card: self._asked(card) for card, entry in entries.items() if entry.waiting}

    def _asked(self, card: str) -> list[str]:
        old, view = self.lines(card), self.state.entries[card].waiting
        new = vcard(card, view, self.state.server)
        return [f"{title(old)}: {each}" for each in differences(old, new)]

    def meet_epoch(self, epoch: str) -> None:
        """A server restored from a backup counts anew: forget the revs, keep the cards."""
        if epoch != self.state.epoch:
            held = {id_: entry for id_, entry in self.state.entries.items() if entry.file}
            for entry in held.values():
                entry.rev = 0
                entry.binding.pop("private_rev", None)
            self.state.epoch, self.state.entries = epoch, held
            self.save()

    def save(self) -> None:
        """Make the state durable, and before it the cards that it speaks of."""
        self._sync_names()
        self._write(STATE, json.dumps(asdict(self.state), indent=1).encode())
        self._sync_names()

    def _write(self, name: str, content: bytes) -> None:
        """Replace a file; at any moment there is the old one or the new one, and it is whole."""
        temporary = self.path / ".phone.tmp"
        with open(temporary, "wb", opener=partial(os.open, mode=0o600)) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path / name)

    def _sync_names(self) -> None:
        if hasattr(os, "O_DIRECTORY"):  # Windows opens no folders.
            folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            os.fsync(folder)
            os.close(folder)


def end_in_words(message: Message, old: list[str]) -> list[str]:
    if message.binding.get("side") == "owner":
        holds = "holds" if message.binding["state"] == "active" else "no longer holds"
        return [f"{plain(message.binding['holder']['name'])} {holds} a card of yours"]
    return [f"{title(old)}: taken back by the owner"] if old else []


def card_in_words(rev: int, old: list[str], new: list[str]) -> list[str]:
    if not old:
        return [f"{title(new)}: new card (rev {rev})"]
    changes = list(differences(old, new)) or [f"now at rev {rev}"]
    return [f"{title(old)}: {change}" for change in changes]


# The connection.

AT_HAND = 100
LOST, RESTARTS, SIGNED_OUT, TOO_SLOW, REPLACED = 1006, 1012, 4401, 4408, 4409


def wait_before(attempt: int, code: int) -> float:
    """Return the seconds before the next try, spread so that not all phones come at once."""
    longest = 0.5 if code in (RESTARTS, TOO_SLOW) else min(30.0, 2.0 ** min(attempt, 5))
    return random.uniform(0, longest)  # noqa: S311 - jitter, not a secret


async def frames_at_hand(socket: ClientConnection) -> list[str]:
    """Wait for a frame, then take those which have come with it. Raises ConnectionClosed."""
    frames = [await socket.recv(decode=True)]
    with suppress(TimeoutError, ConnectionClosed):
        async with asyncio.timeout(0):
            while len(frames) < AT_HAND:
                frames.append(await socket.recv(decode=True))
    return frames


@cache
def trusted_certificates() -> ssl.SSLContext:
    """Read once: it takes longer than all else that a phone does at its start."""
    return httpx.create_ssl_context()


class Holder:
    """One device, whatever it speaks with the server: what it holds, and who wants to hear of it.

    `on_change` gets each applied message with its change in words, `on_status` what else a person
    may want to know. Whoever waits for something waits in `wait_until`.
    """

    def __init__(
        self,
        folder: CardFolder,
        on_change: Callable[[Message, list[str]], None] = lambda message, words: None,
        on_status: Callable[[str], None] = lambda words: None,
    ) -> None:
        self.folder = folder
        self.on_change, self.on_status = on_change, on_status
        self.connected = self.up_to_date = False
        self._news = asyncio.Condition()

    async def _take(self, news: list[Message]) -> Acks:
        """Apply what is newer and make it durable; return the acknowledgements of all."""
        changes = [(it, words) for it in news if (words := self.folder.apply(it)) is not None]
        if changes:
            self.folder.save()
        for message, words in changes:
            self.on_change(message, words)
        await self._tell()
        return [(it.id, it.rev) for it in news]

    async def _tell(self, *statuses: str) -> None:
        for words in statuses:
            self.on_status(words)
        async with self._news:
            self._news.notify_all()

    async def wait_until(self, predicate: Callable[[], bool]) -> None:
        """Return as soon as the predicate is true; it is asked whenever something came."""
        async with self._news:
            await self._news.wait_for(predicate)


class Phone(Holder):
    """A device that speaks HTTP. What talks to the server raises PhoneError, with the reason in
    words."""

    def __init__(
        self,
        server: str,
        folder: Path | str,
        *,
        platform: str = "android",
        name: str = "phone.py",
        identifier: str = "",
        push_token: str = "",
        xml: bool = False,
        on_change: Callable[[Message, list[str]], None] = lambda message, words: None,
        on_status: Callable[[str], None] = lambda words: None,
    ) -> None:
        self.server = server.rstrip("/")
        super().__init__(CardFolder(Path(folder), self.server, identifier), on_change, on_status)
        self.device = {"platform": platform, "name": name} | {
            "identifier": self.folder.state.identifier,
            **({"push_token": push_token} if push_token else {}),
        }
        self.wire = XML_WIRE if xml else JSON_WIRE
        self._http = httpx.AsyncClient(
            base_url=f"{self.server}/api/v1/", timeout=30, verify=trusted_certificates()
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def call(self, method: str, path: str, **request: Any) -> Json:
        """Make one REST call as this device (`request` as for httpx); return its JSON or {}."""
        if token := self.folder.state.token:
            request["headers"] = {**request.get("headers", {}), "Authorization": f"Bearer {token}"}
        try:
            answer = await self._http.request(method, path, **request)
        except httpx.TransportError as error:
            raise PhoneError(f"{self.server} cannot be reached: {error}") from error
        if answer.status_code == 401 and token:
            raise self._forget_token()
        body: Json = answer.json() if "json" in answer.headers.get("Content-Type", "") else {}
        if not answer.is_success:
            raise Refused(answer.status_code, body)
        return body

    async def every(self, path: str, **query: str) -> list[Json]:
        """Return the whole of a list that the server gives in pages."""
        page = await self.call("GET", path, params=query)
        results: list[Json] = page["results"]
        while page["next"]:
            page = await self.call("GET", path, params=httpx.URL(page["next"]).params)
            results += page["results"]
        return results

    async def sign_up(self, email: str, password: str, name: str) -> None:
        await self._begin("signup", email=email, password=password, name=name)

    async def sign_in(self, email: str, password: str) -> None:
        await self._begin("session", email=email, password=password)

    async def _begin(self, path: str, **who: str) -> None:
        state = self.folder.state
        state.token = ""
        session = await self.call("POST", path, json={**who, "device": self.device})
        state.token, state.device = session["token"], session["device"]["id"]
        if state.username != session["user"]["username"]:  # Another person's phone until now.
            state.username, state.entries = session["user"]["username"], {}
            self.folder.delete_unknown()
        if not state.entries:  # In an earlier life it may have acknowledged what it has no more.
            await self.call("POST", "sync/reset")
        self.folder.save()

    async def sign_out(self) -> None:
        await self.call("DELETE", "session")
        self._forget_token()

    def _forget_token(self) -> SignedOut:
        self.folder.state.token = ""
        self.folder.save()
        return SignedOut("This device was signed out. Give email and password to sign in again.")

    async def take_over(self, card: str) -> None:
        """Approve of what waits; it is applied when the server tells all devices of it."""
        entry = self.folder.state.entries[card]
        approved = {"approved_rev": entry.rev}
        await self.call("PATCH", f"bindings/{entry.binding['id']}", json=approved)

    async def cards(self) -> list[Json]:
        """Return the cards that I own."""
        return await self.every("cards")

    async def import_cards(self, path: Path, circles: Iterable[str] = ()) -> list[Json]:
        """Make cards of mine from a vCard file; return {card, warnings} for each, in its order.

        What is imported is hidden from all holders if no circles are given.
        """
        file = (path.name, await asyncio.to_thread(path.read_bytes), "text/vcard")
        form = {"circles": [*circles]}
        made = await self.call("POST", "cards/import", files={"file": file}, data=form)
        return list(made["cards"])

    async def edit(self, card: str, rev: int, changes: Json) -> Json:
        """Change a card of mine. Raises Refused with status 412 if it is no longer at this rev."""
        headers = {"If-Match": f'"{rev}"'}
        return await self.call("PATCH", f"cards/{card}", json=changes, headers=headers)

    async def create_invitation(self, card: str, circles: Iterable[str]) -> Json:
        """Offer a card, for a day, to the one person who gets the code."""
        offer = {"card": card, "circles": [*circles], "expires_in": 86_400, "uses": 1}
        return await self.call("POST", "invitations", json=offer)

    async def preview(self, code: str) -> Json:
        return await self.call("GET", f"invitations/{quote(code, safe='')}")

    async def accept(self, code: str, card: str, circles: Iterable[str]) -> Json:
        """Take what an invitation offers, and give a card of mine for it."""
        given = {"card": card, "circles": [*circles]}
        return await self.call("POST", f"invitations/{quote(code, safe='')}/accept", json=given)

    async def sync(self) -> None:
        """Fetch, apply and acknowledge until nothing is pending."""
        more = True
        while more:
            page = await self.call("GET", "sync", params={"limit": AT_HAND})
            self.folder.meet_epoch(page["epoch"])
            acks = await self._take(messages(page["messages"], "kind"))
            if acks:
                await self.call("POST", "sync/ack", json={"acks": acks})
            more = page["more"] and bool(acks)
        self.up_to_date = True
        await self._tell("up to date")

    wake = sync  # An app on iOS does nothing else when a push says that there is news.

    async def listen(self) -> None:
        """Stay connected and apply what comes, until cancelled.

        Raises SignedOut, and Replaced if this same device connects once more.
        """
        attempt = 0
        while True:
            code = await self._follow_until_closed()
            attempt = 0 if self.connected else attempt + 1
            self.connected = self.up_to_date = False
            if code == SIGNED_OUT:
                raise self._forget_token()
            if code == REPLACED:
                raise Replaced("This device is connected elsewhere.")
            wait = wait_before(attempt, code)
            await self._tell(f"not connected, next try in {wait:.1f} s")
            await asyncio.sleep(wait)

    async def _follow_until_closed(self) -> int:
        """Return the code with which the connection was closed, LOST if there was none."""
        try:
            socket = await connect(
                f"ws{self.server.removeprefix('http')}/ws/v1/",
                subprotocols=[self.wire.subprotocol],
                additional_headers={"Authorization": f"Bearer {self.folder.state.token}"},
            )
        except (OSError, InvalidHandshake):
            return LOST
        async with socket:
            try:
                while True:
                    await self._answer(socket, await frames_at_hand(socket))
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else LOST

    async def _answer(self, socket: ClientConnection, texts: list[str]) -> None:
        try:
            frames = [self.wire.read(text) for text in texts]
        except (ValueError, ET.ParseError) as error:
            raise PhoneError(f"The server sent what cannot be read: {error}") from error
        for frame in frames:
            if frame["type"] == "welcome":
                self.folder.meet_epoch(frame["epoch"])
                self.connected = True
                await self._tell("connected")
            elif frame["type"] == "error":
                await self._tell(plain(frame["detail"]))
        if acks := await self._take(messages(frames, "type")):
            await socket.send(self.wire.write_acks(acks))
        if any(frame["type"] == "idle" for frame in frames):
            self.up_to_date = True
            await self._tell("up to date")


# The terminal.


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Keep a folder of business cards up to date.")
    parser.add_argument("--server", default="http://127.0.0.1:8000")
    parser.add_argument("--folder", type=Path, required=True, help="where the cards are kept")
    parser.add_argument("--email", help="needed to sign in, which is done once")
    parser.add_argument("--password", help="or in CARDSITE_PASSWORD; else it is asked for")
    parser.add_argument("--sign-up", action="store_true", help="make an account")
    parser.add_argument("--person", default="", help="the name for the account")
    parser.add_argument("--platform", default="android", choices=("android", "ios", "desktop"))
    parser.add_argument("--name", default="phone.py", help="the name of this device")
    parser.add_argument("--identifier", default="", help="of this device; else one is made up")
    parser.add_argument("--xml", action="store_true", help="speak XML instead of JSON")
    parser.add_argument("--approve", action="store_true", help="take over all changes that wait")
    parser.add_argument("--once", action="store_true", help="fetch what is new and stop")
    parser.add_argument("--xmpp", metavar="JID", help="sign in there, and speak XMPP alone")
    parser.add_argument("--host", default="", help="of the XMPP server, if DNS does not say it")
    parser.add_argument("--say", default="", help="over XMPP: say this to the cards, and stop")
    return parser.parse_args()


def print_lines(_: Message, words: list[str]) -> None:
    for line in words:
        print(line, flush=True)


async def begin(phone: Phone, chosen: argparse.Namespace) -> None:
    if not chosen.email:
        raise PhoneError("This device is not signed in: give --email.")
    password = chosen.password or os.environ.get("CARDSITE_PASSWORD") or getpass.getpass()
    if chosen.sign_up:
        await phone.sign_up(chosen.email, password, chosen.person)
    else:
        await phone.sign_in(chosen.email, password)


async def decide(phone: Phone, chosen: argparse.Namespace) -> None:
    """Take over what waits: all of it, or what the person at the terminal agrees to."""
    await phone.sync()
    for card, words in phone.folder.waiting().items():
        if chosen.approve or await asyncio.to_thread(agreed, words):
            with suppress(Refused):  # taken back meanwhile
                await phone.take_over(card)


def agreed(words: list[str]) -> bool:
    if not sys.stdin.isatty():
        return False
    return input("\n".join([*words, "Take it over? [y/N] "])).strip().lower() in ("y", "yes")


async def live(chosen: argparse.Namespace) -> None:
    """Run the app until it is stopped; on iOS until it has done what it was woken for."""
    async with Phone(
        chosen.server,
        chosen.folder,
        platform=chosen.platform,
        name=chosen.name,
        identifier=chosen.identifier,
        xml=chosen.xml,
        on_change=print_lines,
        on_status=lambda words: print(words, flush=True),
    ) as phone:
        if not phone.folder.state.token:
            await begin(phone, chosen)
        if chosen.approve or phone.folder.waiting():
            await decide(phone, chosen)
        await (phone.wake() if chosen.once or chosen.platform == "ios" else phone.listen())


def main() -> int:
    chosen = arguments()
    if chosen.xmpp:
        sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
        from clients import jabber

        return jabber.main(chosen)
    if isinstance(sys.stdout, TextIOWrapper):  # A terminal may lack the letters of a name.
        sys.stdout.reconfigure(errors="replace")
    try:
        asyncio.run(live(chosen))
        if chosen.platform == "ios" and not chosen.once:
            for _push in sys.stdin:  # Whoever types a line plays Apple.
                asyncio.run(live(chosen))
    except PhoneError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
