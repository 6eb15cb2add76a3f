"""A name server for domains that are only in the tests (RFC 1035, RFC 2782): each is this machine,
and its XMPP server answers other servers at a port of its own."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

A, SRV, IN = 1, 33, 1
SERVICE = "_xmpp-server._tcp."
NO_SUCH_NAME = 3


@contextmanager
def naming(ports: dict[str, int]) -> Iterator[int]:
    """The port at which the names of these domains are asked for; more may be added meanwhile."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=serve, args=(door, ports))
        thread.start()
        try:
            yield int(door.getsockname()[1])
        finally:
            door.sendto(b"", door.getsockname())
            thread.join()


def serve(door: socket.socket, ports: dict[str, int]) -> None:
    """Until nothing is asked."""
    while True:
        question, asker = door.recvfrom(4096)
        if not question:
            return
        door.sendto(answer(question, ports), asker)


def answer(question: bytes, ports: dict[str, int]) -> bytes:
    name, end = read_name(question)
    kind = struct.unpack_from("!H", question, end)[0]
    domain = name.removeprefix(SERVICE)
    record = b""
    if domain in ports and name.startswith(SERVICE) and kind == SRV:
        record = struct.pack("!HHH", 0, 0, ports[domain]) + write_name(domain)
    elif domain in ports and name == domain and kind == A:
        record = socket.inet_aton("127.0.0.1")
    status = 0 if domain in ports else NO_SUCH_NAME
    head = question[:2] + struct.pack("!HHHHH", 0x8580 | status, 1, bool(record), 0, 0)
    said = head + question[12 : end + 4]
    if record:
        said += b"\xc0\x0c" + struct.pack("!HHIH", kind, IN, 0, len(record)) + record
    return said


def read_name(question: bytes) -> tuple[str, int]:
    """The name that is asked for, and where it ends."""
    labels, at = [], 12
    while length := question[at]:
        labels.append(question[at + 1 : at + 1 + length].decode("latin-1").lower())
        at += 1 + length
    return ".".join(labels), at + 1


def write_name(name: str) -> bytes:
    return b"".join(bytes([len(each)]) + each.encode() for each in name.split(".")) + b"\0"


def asking(port: int) -> dict[str, object]:
    """Of Prosody's configuration: whom it asks for names."""
    options = {"do-not-query-localhost:": "no"}
    return {"unbound": {"forward": [f"127.0.0.1@{port}"], "resolvconf": False, "options": options}}
