"""Doing for many sockets at once: a thread that keeps its connection."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.db import Error, connection

from accounts.models import User
from delivery.batch import Desk

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk("desk")
    yield desk
    await desk(disconnect)


def connected() -> Any:
    connection.ensure_connection()
    return connection.connection


def disconnect() -> None:
    connection.close()


async def test_it_keeps_its_connection(desk: Desk) -> None:
    assert await desk(connected) is await desk(connected)


async def test_it_does_its_work_over_a_new_one_if_that_was_cut(desk: Desk) -> None:
    kept = await desk(connected)
    if connection.vendor == "postgresql":  # a file cannot be cut off
        await desk(kept.close)
    assert await desk(User.objects.count) == 0
    assert (await desk(connected) is kept) == (connection.vendor == "sqlite")


async def test_it_does_not_try_again_what_fails_otherwise(desk: Desk) -> None:
    calls = []

    def fail() -> None:
        calls.append(connected())
        raise Error

    with pytest.raises(Error):
        await desk(fail)
    assert calls == [await desk(connected)]
