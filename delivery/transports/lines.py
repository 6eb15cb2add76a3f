"""Connections to push services that stay open."""

import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from queue import LifoQueue

import httpx

# Push services ask for connections that stay; gateways on the way silently forget idle ones.
IDLE_SECONDS = 300.0

# At DEBUG the header codec writes every header, and so every token, to the log.
logging.getLogger("hpack").setLevel(logging.INFO)


class Lines:
    """Lent to one sender at a time, always the one used last, so a single worker uses a single one.

    Concurrent senders do not share one, because httpcore's HTTP/2 connection is not thread-safe:
    stream ids collide, and an answer may wait for the one who reads.
    """

    def __init__(self, tls: ssl.SSLContext, count: int, *, http1: bool) -> None:
        # The bare transport, because httpx.Client logs the URL, and with it the device's token; it
        # follows no redirects either.
        self._all = [
            httpx.HTTPTransport(
                verify=tls,
                http1=http1,
                http2=True,
                limits=httpx.Limits(keepalive_expiry=IDLE_SECONDS),
            )
            for _ in range(count)
        ]
        self._free: LifoQueue[httpx.HTTPTransport] = LifoQueue()
        for line in self._all:
            self._free.put(line)

    @contextmanager
    def lent(self) -> Iterator[httpx.HTTPTransport]:
        line = self._free.get()
        try:
            yield line
        finally:
            self._free.put(line)

    def close(self) -> None:
        for line in self._all:
            line.close()
