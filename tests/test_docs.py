"""What the documentation says is true: the examples of docs/wire.md are run in their order, and
what is listed anywhere in docs/ is compared with the code."""

import ast
import asyncio
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID
from xml.etree import ElementTree as ET

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.test import Client
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator
from rest_framework.exceptions import APIException

from accounts import idempotency
from accounts.models import Circle
from bindings.models import Binding, Request
from cards import photos, vcard
from cards.models import Card
from cards.serializers import CirclesField
from cards.vcard.propertyjson import VALUE_SIZE
from cardsite import roles
from cardsite.management.commands.serve import MAX_FRAME
from delivery import api as sync_api
from delivery import consumers, fanout, live, messages, prompts, retention
from tests.conftest import heard_live
from tests.delivery.test_socket import Peer
from tests.rest import picture

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
WIRE = (DOCS / "wire.md").read_text()


def strict(schema: Any) -> Any:
    """The schema with every property named: apps must bear new ones, but none go undescribed."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {"additionalProperties": False} if "properties" in schema and "type" in schema else {}
    return {**closed, **{name: strict(each) for name, each in schema.items()}}


ASYNCAPI = strict(yaml.safe_load((DOCS / "asyncapi.yaml").read_text()))


# The examples of docs/wire.md


class Example(NamedTuple):
    line: int
    language: str
    role: str
    text: str


def examples() -> list[Example]:
    """The fenced blocks that are checked: calls in `http`, frames in `json` and `xml`, each with
    who says it after its language, and the code of a `close`."""
    fence = re.compile(r"^```(http|json|xml|close) ?(\w*)\n(.*?)^```$", re.M | re.S)
    return [
        Example(WIRE[: found.start()].count("\n") + 1, *found.groups())
        for found in fence.finditer(WIRE)
    ]


class Part(NamedTuple):
    """A request or an answer."""

    first: str
    headers: dict[str, str]
    body: str


def parts(example: Example) -> tuple[Part, Part]:
    """Request and answer. A request without a line stands for the one before, made again."""
    request, answer = re.split(r"^(?=HTTP/1\.1 )", example.text, maxsplit=1, flags=re.M)
    return part(request), part(answer)


def part(text: str) -> Part:
    head, _, body = text.strip("\n").partition("\n\n")
    first, *lines = head.split("\n")
    return Part(first, dict(line.split(": ", 1) for line in lines), body)


class Story:
    """Follows the examples: makes each call, opens each socket, says and awaits each frame.

    `{name}` stands for a value that an earlier answer gave; where it is met first, it is learned.
    `…` stands for anything, as a field for all that are not shown, and the value of a field whose
    name ends in `_at` for any time.
    """

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self.octets = {"{picture}": picture(), "{six_megabytes}": bytes(6 * 1024 * 1024)}
        self.client = Client(SERVER_NAME="cards.example.org")
        self.last: Part | None = None
        self.peer: Peer | None = None

    async def tell(self, example: Example) -> None:
        if example.language != "http":
            await self.frame(example)
            return
        request, answer = parts(example)
        if "Upgrade" in request.headers:
            await self.open(request, answer)
        else:
            await sync_to_async(self.call)(request, answer)

    def call(self, request: Part, answer: Part) -> None:
        tries = 1 if request.first else 100
        self.last = request if request.first else self.last
        status = int(answer.first.split()[1])
        for _try in range(tries):
            response = self.send()
            if response.status_code == status:
                break
        assert response.status_code == status, response.content
        self.check_headers(answer, response)
        self.check_body(answer.body, response)
        fanout.run_all()

    def send(self) -> Any:
        assert self.last
        method, path, _version = self.last.first.split(" ")
        headers = {"Content-Type": "application/json", **self.last.headers}
        form = headers.pop("Content-Type")
        body: Any = self.octets.get(self.last.body) or self.filled(self.last.body)
        if form.startswith("multipart/"):
            body = body.replace("\n", "\r\n")
        return self.client.generic(
            method,
            self.filled(path),
            body,
            content_type=form,
            secure=True,
            headers={name: self.filled(value) for name, value in headers.items()},
        )

    def check_headers(self, answer: Part, response: Any) -> None:
        usual = "application/problem+json" if response.status_code >= 400 else "application/json"
        expected = {"Content-Type": usual, **answer.headers} if answer.body else answer.headers
        for name, value in expected.items():
            self.meet_text(value, response[name], name)

    def check_body(self, shown: str, response: Any) -> None:
        said = b"".join(response) if response.streaming else response.content
        form = response.get("Content-Type", "")
        if "json" in form and shown:
            self.meet(json.loads(shown), json.loads(said))
        elif "xml" in form:
            self.meet_text(canonical(shown), canonical(said.decode()), "the body")
        else:
            text = said.decode(errors="replace").replace("\r\n", "\n")
            self.meet_text(shown, text.rstrip("\n"), "the body")

    async def open(self, request: Part, answer: Part) -> None:
        await self.close()
        offered = self.filled(request.headers.get("Sec-WebSocket-Protocol", "")).split(", ")
        scheme, _, token = self.filled(request.headers.get("Authorization", "")).partition(" ")
        assert scheme in ("Bearer", "")
        self.peer = Peer(token, [each for each in offered if each])
        agreed = answer.headers["Sec-WebSocket-Protocol"]
        assert await self.peer.connect() == (True, agreed)

    async def close(self) -> None:
        """Every frame that came was shown."""
        if self.peer:
            assert await self.peer.receive_nothing(timeout=0.2), await self.peer.receive_output()
            await self.peer.disconnect()
            self.peer = None

    async def frame(self, example: Example) -> None:
        if example.role == "push":
            worded = prompts.worded("en")
            alert = {"title": worded.title, "body": worded.body}
            return self.meet(json.loads(example.text), {"aps": {"alert": alert}})
        assert self.peer, "No socket is open."
        if example.language == "close":
            assert await self.peer.closed_with() == int(example.text)
            return await self.close()
        if example.role == "device":
            return await self.peer.send_to(self.filled(example.text))
        assert example.role == "server", f"Who says this? {example.role!r}"
        said = await self.peer.text()
        if example.language == "json":
            self.meet(json.loads(example.text), json.loads(said))
        else:
            self.meet_text(canonical(example.text), canonical(said), "the frame")

    def filled(self, text: str) -> str:
        return re.sub(r"{(\w+)}", lambda name: self.known[name[1]], text)

    def meet(self, shown: Any, said: Any, where: str = "") -> None:
        """Raises AssertionError if what was said is not what is shown."""
        match shown:
            case dict():
                names = shown.keys() - {"…"}
                assert isinstance(said, dict), f"{where}: {said}"
                assert names < said.keys() if "…" in shown else names == said.keys(), said
                for name in names:
                    self.meet(shown[name], said[name], f"{where}.{name}")
            case list():
                assert isinstance(said, list) and len(shown) == len(said), f"{where}: {said}"
                for at, (one, other) in enumerate(zip(shown, said, strict=True)):
                    self.meet(one, other, f"{where}[{at}]")
            case str() if where.endswith("_at"):
                assert is_time(shown) and is_time(said), f"{where}: {said}"
            case str():
                self.meet_text(shown, said, where)
            case _:
                assert (type(shown), shown) == (type(said), said), f"{where}: {said}"

    def meet_text(self, shown: str, said: Any, where: str) -> None:
        pattern = ""
        for piece in re.split(r"({\w+}|…)", shown):
            name = piece[1:-1] if re.fullmatch(r"{\w+}", piece) else ""
            if piece == "…":
                pattern += ".*"
            elif not name or name in self.known:
                pattern += re.escape(self.known[name] if name else piece)
            elif f"?P<{name}>" in pattern:
                pattern += f"(?P={name})"
            else:
                pattern += rf"(?P<{name}>[^\s/\"<]+)"
        found = re.fullmatch(pattern, said, re.S) if isinstance(said, str) else None
        assert found, f"{where}: {said}"
        self.known |= found.groupdict()


def is_time(text: Any) -> bool:
    """RFC 3339, in UTC."""
    return text.endswith("Z") and datetime.fromisoformat(text).tzinfo == UTC


def canonical(xml: str) -> str:
    return ET.canonicalize(xml, strip_text=True, rewrite_prefixes=True)


@pytest.mark.django_db(transaction=True)
async def test_every_example_is_true(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["cards.example.org"]
    watch = asyncio.create_task(live.watch(live.signed_out_groups))
    story = Story()
    async with heard_live():
        for example in examples():
            try:
                await story.tell(example)
            except (AssertionError, KeyError, ValueError, TimeoutError) as error:
                raise AssertionError(f"docs/wire.md, line {example.line}: {error}") from error
        await story.close()
    watch.cancel()


def calls() -> Iterator[tuple[str, str, int]]:
    """Method, path and status of each call that is shown."""
    for example in examples():
        if example.language == "http":
            request, answer = parts(example)
            method, path, _version = (request.first or "again again again").split(" ")
            yield method, path.partition("?")[0], int(answer.first.split()[1])


def rows(document: str, first: str) -> list[list[str]]:
    """The cells of all table rows whose first cell looks like this."""
    text = (DOCS / document).read_text()
    lines = re.findall(rf"^\| ({first}) \|(.*)\|$", text, re.M)
    return [[head, *map(str.strip, rest.split(" | "))] for head, rest in lines]


def test_every_call_has_an_example() -> None:
    shown = [(method, path) for method, path, _status in calls()]
    generator = SchemaGenerator()  # type: ignore[no-untyped-call]
    paths = generator.get_schema(public=True)["paths"]  # type: ignore[no-untyped-call]
    for path, methods in paths.items():
        address = re.compile(re.sub(r"{\w+}", r"[^/]+", path))
        for method in methods:
            assert any(
                each == method.upper() and address.fullmatch(where) for each, where in shown
            ), f"{method} {path}"


def statuses(refusal: type[APIException]) -> set[int]:
    """Those of this kind of refusal and of all that are made of it."""
    return {refusal.status_code}.union(*map(statuses, refusal.__subclasses__()))


def test_every_status_is_explained_and_used() -> None:
    explained = {int(row[0]) for row in rows("wire.md", r"\d{3}")}
    shown = {status for _method, _path, status in calls() if status >= 400}
    assert explained == shown | statuses(APIException)


def test_every_close_code_is_explained() -> None:
    ours = {live.SIGNED_OUT, live.REPLACED, live.TOO_SLOW, consumers.FAILED}
    of_uvicorn = {1012, 1009}  # it restarts; a frame is larger than MAX_FRAME
    assert {int(row[0]) for row in rows("wire.md", r"\d{4}")} == ours | of_uvicorn


def test_the_throttles_are_those_of_the_settings() -> None:
    rates = django_settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"]
    said = re.findall(r"^\| .* \| (\d+/(?:minute|hour)) \|$", WIRE, re.M)
    assert sorted(said) == sorted(rates.values())


def longest(model: Any, field: str) -> int:
    return int(model._meta.get_field(field).max_length)


LIMITS = {
    "JSON body": django_settings.DATA_UPLOAD_MAX_MEMORY_SIZE,
    "Properties of a card": vcard.Limits.properties,
    "Property, value and parameters": VALUE_SIZE,
    "Circles of one property or binding": CirclesField().max_length,
    "Name on a card": longest(Card, "fn"),
    "Label of a card": longest(Card, "label"),
    "File to import": vcard.Limits.size,
    "Cards in a file": vcard.Limits.cards,
    "Properties in a file": vcard.Limits.properties_of_all,
    "Photo": photos.MAX_BYTES,
    "Photo, pixels": photos.MAX_PIXELS,
    "Message of a request": longest(Request, "message"),
    "Nickname of a card that is held": longest(Binding, "nickname"),
    "Note on a card that is held": longest(Binding, "note"),
    "Tags of a card that is held": 100,
    "Name of a circle": longest(Circle, "name"),
    "Idempotency-Key": idempotency.LONGEST,
    "Messages in one answer of `GET sync`": sync_api.LARGEST_PAGE,
    "Acknowledgements at once": messages.MAX_ACKS,
    "Frame of a device": MAX_FRAME,
    "Frames that wait for a slow device": consumers.MAX_WAITING,
}


def test_the_limits_are_those_of_the_code() -> None:
    units = {"KiB": 1024, "MiB": 1024**2}
    section = WIRE.split("\nHow much.")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (.*?) \| ([\d,]+) ?(\w*)", section, re.M)
    said = {name: int(n.replace(",", "")) * units.get(unit, 1) for name, n, unit in cells}
    assert said == LIMITS


# The frames, once more for machines


def kinds() -> set[str]:
    """What a frame may be, as the code has it: what is said, and the one thing that is heard."""
    sources = [(ROOT / "delivery" / name).read_text() for name in ("messages.py", "consumers.py")]
    return {"ack", *re.findall(r'"kind": "(\w+)"', "".join(sources))}


MESSAGES: dict[str, Any] = ASYNCAPI["components"]["messages"]


def payloads(name: str) -> list[Any]:
    return [example["payload"] for example in MESSAGES[name]["examples"]]


def validate(payload: Any, name: str) -> None:
    schema = {**MESSAGES[name]["payload"], "components": ASYNCAPI["components"]}
    checker = jsonschema.Draft7Validator.FORMAT_CHECKER
    jsonschema.validate(payload, schema, jsonschema.Draft7Validator, format_checker=checker)


def test_every_kind_of_frame_is_in_asyncapi_in_both_languages() -> None:
    assert set(MESSAGES) == kinds() | {f"{kind}Xml" for kind in kinds()}
    assert set(ASYNCAPI["channels"]["device"]["messages"]) == set(MESSAGES)
    told = [each for use in ASYNCAPI["operations"].values() for each in use["messages"]]
    assert {each["$ref"].rpartition("/")[2] for each in told} == set(MESSAGES)


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_the_examples_of_asyncapi_are_what_it_describes(name: str) -> None:
    assert payloads(name)
    for payload in payloads(name):
        validate(payload, name)
        if not name.endswith("Xml"):
            assert payload["type"] == name
            with pytest.raises(jsonschema.ValidationError):
                validate({**payload, "type": "other"}, name)


@pytest.mark.parametrize("kind", sorted(kinds() - {"ack"}))
def test_the_xml_examples_say_what_the_json_ones_say(kind: str) -> None:
    for said, in_xml in zip(payloads(kind), payloads(f"{kind}Xml"), strict=True):
        made = messages.xml_frame(messages.of_json_frame(json.dumps(said)))
        assert canonical(made) == canonical(in_xml)


def test_the_acknowledgements_of_asyncapi_are_understood() -> None:
    ((said,), (in_xml,)) = payloads("ack"), payloads("ackXml")
    in_json = json.dumps(said)
    assert messages.acks_in_json(in_json.encode()) == messages.acks_in_xml(in_xml.encode())


def test_every_kind_of_frame_has_an_example_in_both_languages() -> None:
    """And asyncapi.yaml describes those in JSON; a placeholder stands for an id."""
    shown: dict[str, set[str]] = {"json": set(), "xml": set()}
    for example in examples():
        if example.language == "xml":
            shown["xml"].add(ET.fromstring(example.text).tag.rpartition("}")[2])
        elif example.language == "json" and example.role != "push":
            frame = json.loads(re.sub(r"{[a-z]\w*}", str(UUID(int=1)), example.text))
            if frame["type"] in kinds():  # a device may say what is none
                shown["json"].add(frame["type"])
                validate(frame, frame["type"])
    assert shown["json"] == kinds()
    assert shown["xml"] >= kinds()


# What else is listed


def read_from_environment() -> dict[str, Any]:
    """The settings that cardsite/settings.py reads, each with its default; None if that is made."""
    found = {}
    for call in ast.walk(ast.parse((ROOT / "cardsite" / "settings.py").read_text())):
        if isinstance(call, ast.Call) and re.fullmatch(r"switch|env\.\w+", ast.unparse(call.func)):
            name = call.args[0]
            default = next(each.value for each in call.keywords if each.arg == "default")
            if isinstance(name, ast.Constant):
                plain = isinstance(default, ast.Constant)
                found[str(name.value)] = ast.literal_eval(default) if plain else None
    return found


def test_every_setting_is_in_the_operations_manual_with_its_default() -> None:
    said = {row[0].strip("`"): row[1].strip("`") for row in rows("operations.md", "`[A-Z_]+`")}
    read = read_from_environment()
    assert said.keys() == read.keys()
    for name, default in read.items():
        if default is not None:
            assert said[name] == str(int(default) if isinstance(default, bool) else default), name


def test_every_rule_of_retention_is_told() -> None:
    def in_words(age: timedelta) -> str:
        return {0: "at once", 1: "1 day"}.get(age.days, f"{age.days} days")

    rules = [(rule(timezone.now()).model.__name__, in_words(age)) for age, rule in retention.RULES]
    told = [(row[0].strip("`"), row[-1]) for row in rows("retention.md", r"`\w+`")]
    assert told == rules


def test_every_role_of_staff_is_told() -> None:
    told = rows("operations.md", r"\w[\w ]+")
    shown = {row[0]: set(re.findall(r"`(\w+)`", row[-1])) for row in told}
    for role, permissions in roles.ROLES.items():
        given = {each.removeprefix("cards.see_") for each in permissions if "see_" in each}
        assert shown[role] == given, role


DOCUMENTS = [*sorted(DOCS.glob("*.md")), *sorted(ROOT.glob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    text = document.read_text()
    titles = re.findall(r"^#+ (.*)", text, re.M)
    anchors = {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in titles}
    for address in re.findall(r"\]\(([^)\s]+)\)", text):
        where, _, anchor = address.partition("#")
        if not where:
            assert anchor in anchors, address
        elif "://" not in where:
            assert (document.parent / where).exists(), address


def test_every_file_and_test_that_the_standards_name_is_there() -> None:
    text = (DOCS / "standards.md").read_text()
    named = re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", text)
    assert named
    for path, test in named:
        assert (ROOT / path).is_file(), path
        assert f"def {test}" in (ROOT / path).read_text(), f"{path}::{test}"
