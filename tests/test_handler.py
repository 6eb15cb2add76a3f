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


def asking(address: str) -> ApplicationCommunicator:
    headers = [(b"host", b"127.0.0.1")]
    scope = {
        "type": "http",
        "method": "GET",
        "path": address,
        "query_string": b"",
        "headers": headers,
    }
    return ApplicationCommunicator(Handler(), scope)


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


def stream(request: HttpRequest) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[bytes]:
        yield b"one "
        yield b"two"

    return StreamingHttpResponse(parts())


urlpatterns = [path("stream", stream)]
