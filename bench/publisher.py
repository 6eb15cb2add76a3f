"""`python -m bench.publisher PORT CARD FIRST LAST`: what a worker says of a change, and nothing
else of what it does. Whoever connects names a title; the card with it is published to the people
from FIRST to LAST."""

import os
import socket
import sys

import django


def main() -> None:
    port, card = int(sys.argv[1]), sys.argv[2]
    people = range(int(sys.argv[3]), int(sys.argv[4]) + 1)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cardsite.settings")
    django.setup()
    from bench.seed import properties
    from delivery import live

    rev = 1000
    with socket.create_server(("127.0.0.1", port)) as listening:
        while True:
            peer, _address = listening.accept()
            with peer:
                while title := peer.recv(1000).decode():
                    rev += 1
                    said = [
                        {name: each[name] for name in ("name", "value", "params")}
                        for each in properties(title)
                    ]
                    view = {"fn": "Dr. Ana Förster", "properties": said, "photo": None}
                    live.publish(people, {"kind": "card", "card": card, "rev": rev, "view": view})


if __name__ == "__main__":
    main()
