"""What the documentation says is true: the examples of docs/wire.md are run in their order, and
what is listed anywhere in docs/ is compared with the code."""

import asyncio
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

import pytest
import yaml
from asgiref.sync import sync_to_async
from django.test import Client

from delivery import fanout, live, prompts
from tests.delivery.test_socket import Peer
from tests.rest import fresh_throttles, picture

__all__ = ["fresh_throttles"]

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
WIRE = (DOCS / "wire.md").read_text()
ASYNCAPI = yaml.safe_load((DOCS / "asyncapi.yaml").read_text())


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
            self.meet_text(canonical(shown), canonical(said), "the body")
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
    for example in examples():
        try:
            await story.tell(example)
        except (AssertionError, KeyError, ValueError, TimeoutError) as error:
            raise AssertionError(f"docs/wire.md, line {example.line}: {error}") from error
    await story.close()
    watch.cancel()
