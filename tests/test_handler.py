"""How a request gets from ASGI to Django."""

import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.core.signals import request_finished, request_started
from django.http import HttpRequest, StreamingHttpResponse
from django.test import override_settings
from django.urls import path

from cardsite import handler
from cardsite.handler import Handler

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def signals() -> Iterator[list[tuple[str, int]]]:
    """What Django was told of requests, each with the thread in which it was."""
    told: list[tuple[str, int]] = []

    def started(**kwargs: Any) -> None:
        told.append(("started", threading.get_ident()))

    def finished(**kwargs: Any) -> None:
        told.append(("finished", threading.get_ident()))

    request_started.connect(started)
    request_finished.connect(finished)
    yield told
    request_started.disconnect(started)
    request_finished.disconnect(finished)


def asking(address: str, **scope: Any) -> ApplicationCommunicator:
    usual = {
        "type": "http",
        "method": "GET",
        "path": address,
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1")],
    }
    return ApplicationCommunicator(Handler(), {**usual, **scope})


async def answer(address: str) -> tuple[int, bytes]:
    peer = asking(address)
    await peer.send_input({"type": "http.request", "body": b""})
    start = await peer.receive_output(timeout=5)
    body = b""
    while True:
        part = await peer.receive_output(timeout=5)
        body += part.get("body", b"")
        if not part.get("more_body"):
            break
    await peer.wait(timeout=5)
    return start["status"], body


async def test_a_request_begins_and_ends_in_one_thread(signals: list[tuple[str, int]]) -> None:
    status, body = await answer("/account/login/")
    assert (status, b"<form" in body) == (200, True)
    assert [what for what, _thread in signals] == ["started", "finished"]
    assert len({thread for _what, thread in signals}) == 1


async def test_a_stream_is_sent_whole_and_closed(signals: list[tuple[str, int]]) -> None:
    with override_settings(ROOT_URLCONF="tests.test_handler"):
        assert await answer("/stream") == (200, b"one two")
    assert [what for what, _thread in signals] == ["started", "finished"]


async def test_whoever_goes_before_the_end_of_the_body_is_forgotten(
    signals: list[tuple[str, int]],
) -> None:
    peer = asking("/account/login/")
    await peer.send_input({"type": "http.disconnect"})
    await peer.wait(timeout=5)
    assert signals == []


CSRF = b"csrftoken=" + b"x" * 32


def posting(address: str, form: bytes) -> ApplicationCommunicator:
    said = {
        "content-type": form,
        "content-length": b"104857600",
        "cookie": CSRF,
        "host": b"127.0.0.1",
    }
    headers = [(name.encode(), value) for name, value in said.items()]
    return asking(address, method="POST", headers=headers)


@pytest.mark.parametrize(
    ("address", "form", "said"),
    [
        ("/account/login/", b"multipart/form-data; boundary=x", b"Too large"),
        ("/account/login/", b"application/x-www-form-urlencoded", b"Too large"),
        ("/api/v1/session", b"application/json", b'"status":413'),
    ],
)
async def test_a_body_of_100_megabytes_is_heard_and_refused(
    address: str, form: bytes, said: bytes
) -> None:
    """In words, which browsers show only after they have sent all of it."""
    peer = posting(address, form)
    part = {"type": "http.request", "body": bytes(1024 * 1024), "more_body": True}
    for _n in range(99):
        await peer.send_input(part)
    assert await peer.receive_nothing()
    await peer.send_input({**part, "more_body": False})
    start = await peer.receive_output(timeout=5)
    assert start["status"] == 413
    assert said in (await peer.receive_output(timeout=5))["body"]
    await peer.wait(timeout=5)


async def test_a_body_without_an_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handler, "LARGEST_REFUSED", handler.LARGEST_BODY)
    peer = posting("/account/login/", b"multipart/form-data; boundary=x")
    body = bytes(handler.LARGEST_BODY + 1)
    await peer.send_input({"type": "http.request", "body": body, "more_body": True})
    assert (await peer.receive_output(timeout=5))["status"] == 413
    await peer.receive_output(timeout=5)
    await peer.wait(timeout=5)


def stream(request: HttpRequest) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[bytes]:
        yield b"one "
        yield b"two"

    return StreamingHttpResponse(parts())


urlpatterns = [path("stream", stream)]
