"""The peers, each started from nothing: a broker and two XMPP servers. With `pending`, so many
messages have come for every device while it was away."""

import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.sax.saxutils import escape

import httpx

from bench.crowd import (
    CARD_NODE,
    MARKER,
    PING,
    PONG,
    PRESENCE,
    MqttClient,
    Step,
    Task,
    mqtt_connect,
    mqtt_subscribe,
    packet,
    text,
    xmpp_capabilities,
    xmpp_login,
)
from bench.seed import properties
from bench.systems import System, tokens
from tests.servers import find, free_port, running

OWNER = "owner"
GUEST = "guest"  # nobody's contact
BACKLOG = 4096  # connections that may wait to be accepted: all devices may knock at once
CONNACK, SUBACK, PUBACK = b"\x20\2\0\0", b"\x90\3\0\1\1", b"\x40\2\0\1"


@contextmanager
def mosquitto(devices: int, pending: int = 0) -> Iterator[System]:
    """A broker that keeps nothing on disk, at QoS 1."""
    port = free_port()
    address, names = ("127.0.0.1", port), tokens(devices)
    said = json.dumps({"card": "card", "rev": 1, "view": properties(MARKER.decode())})
    publish = packet(0x32, text(MqttClient.TOPIC) + b"\0\1" + said.encode())
    greeting = [(mqtt_connect(OWNER), CONNACK)]
    with TemporaryDirectory() as folder:
        settings = Path(folder) / "mosquitto.conf"
        settings.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n"
            "max_connections -1\nset_tcp_nodelay true\nlog_type error\n"
        )
        with running(find("mosquitto"), "-c", settings, port=port) as process:
            task = Task("mqtt", [address], names, address, greeting, publish)
            if pending:
                for name in names:
                    say(address, subscribed(name))
                say(address, [*greeting, *[(publish, PUBACK)] * pending])
                task = Task("offline-mqtt", [address], names, address, [], b"", pending)
            yield System(task, {"mosquitto": process.pid})


def subscribed(name: str) -> list[Step]:
    """What a device says so that all is kept for it from then on."""
    return [
        (mqtt_connect(name, kept=True), CONNACK),
        (mqtt_subscribe(MqttClient.TOPIC), SUBACK),
    ]


@contextmanager
def prosody(devices: int, pending: int = 0, more: str = "") -> Iterator[System]:
    """An XMPP server, its accounts in files of its own kind; with `more` settings."""
    port = free_port()
    with TemporaryDirectory() as folder:
        for name in (OWNER, GUEST, *tokens(devices)):
            store(folder, "accounts", name, f'["password"] = "{name}";')
            store(folder, "roster", name, "".join(map(roster_item, contacts(name, devices))))
        settings = Path(folder) / "prosody.cfg.lua"
        settings.write_text(
            f"""
            run_as_root = true
            data_path = "{folder}"
            log = {{ warn = "*console" }}
            interfaces = {{ "127.0.0.1" }}
            c2s_ports = {{ {port} }}
            network_settings = {{ tcp_backlog = {BACKLOG} }}
            modules_enabled = {{ "roster", "saslauth", "disco", "pep", "ping", "smacks" }}
            modules_disabled = {{ "s2s" }}
            authentication = "internal_plain"
            c2s_require_encryption = false
            allow_unencrypted_plain_auth = true
            {more}
            VirtualHost "localhost"
            """
        )
        # It takes minutes to say farewell to so many, and nothing of it is kept.
        command, stop = (find("prosody"), "-F", "--config", settings), signal.SIGKILL
        with running(*command, port=port, stop=stop) as process:
            yield System(xmpp_task(port, devices, pending), {"prosody": process.pid})


def store(folder: str, kind: str, name: str, content: str) -> None:
    """One of Prosody's files, which are Lua."""
    path = Path(folder) / "localhost" / kind / f"{name.replace('-', '%2d')}.dat"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"return {{ {content} }};")


def roster_item(contact: str) -> str:
    return f'["{contact}@localhost"] = {{ ["subscription"] = "both"; ["groups"] = {{}} }}; '


@contextmanager
def ejabberd(devices: int, pending: int = 0) -> Iterator[System]:
    """An XMPP server, its accounts imported from a file (XEP-0227)."""
    port, admin_port = free_port(), free_port()
    with TemporaryDirectory() as folder:
        settings, accounts = Path(folder) / "ejabberd.yml", Path(folder) / "accounts.xml"
        here = {"ip": "127.0.0.1", "backlog": BACKLOG}
        admin = {"module": "ejabberd_http", "request_handlers": {"/api": "mod_http_api"}}
        modules = ("caps", "disco", "offline", "ping", "pubsub", "roster", "stream_mgmt")
        settings.write_text(
            json.dumps(  # which is YAML as well
                {
                    "hosts": ["localhost"],
                    "loglevel": "warning",
                    "auth_method": "internal",
                    "auth_password_format": "plain",
                    "listen": [
                        {**here, "port": port, "module": "ejabberd_c2s"},
                        {**here, "port": admin_port, **admin},
                    ],
                    "api_permissions": {"all": {"who": "all", "what": "*"}},
                    "modules": {f"mod_{name}": {} for name in modules}
                    | {"mod_pubsub": {"plugins": ["pep"]}},
                }
            )
        )
        accounts.write_text(
            "<server-data xmlns='urn:xmpp:pie:0'><host jid='localhost'>"
            + "".join(account(name, devices) for name in (OWNER, GUEST, *tokens(devices)))
            + "</host></server-data>"
        )
        environment = {
            **os.environ,
            "EJABBERD_CONFIG_PATH": str(settings),
            "EJABBERD_LOG_PATH": f"{folder}/ejabberd.log",
        }
        erlang = (find("erl"), "-noinput", "-pa", ejabberd_code())
        command = (*erlang, "-mnesia", "dir", f'"{folder}"', "-s", "ejabberd")
        with running(*command, port=admin_port, env=environment, cwd=folder) as process:
            asked = f"http://127.0.0.1:{admin_port}/api/import_piefxis"
            httpx.post(asked, json={"file": str(accounts)}, timeout=120).raise_for_status()
            yield System(xmpp_task(port, devices, pending), {"ejabberd": process.pid})


def ejabberd_code() -> str:
    """Where its package has put it. Its own command would run it as a user of its own."""
    return str(sorted(Path("/usr/lib").glob("*/ejabberd-*/ebin"))[0])


def account(name: str, devices: int) -> str:
    items = (
        f"<item jid='{contact}@localhost' subscription='both'/>"
        for contact in contacts(name, devices)
    )
    return (
        f"<user name='{name}' password='{name}'>"
        f"<query xmlns='jabber:iq:roster'>{''.join(items)}</query></user>"
    )


def contacts(name: str, devices: int) -> list[str]:
    """The owner has all devices, each of them has the owner, and the guest has nobody."""
    if name == OWNER:
        return tokens(devices)
    return [] if name == GUEST else [OWNER]


def xmpp_task(port: int, devices: int, pending: int) -> Task:
    """What both XMPP servers are asked: that the owner publishes a card; or, with `pending`, that
    the devices come for so many messages with the card, which have been stored for them."""
    address, names = ("127.0.0.1", port), tokens(devices)
    card = card_in_xml()
    greeting = [*xmpp_login(OWNER), (b"<presence/>" + PING, PONG)]
    introduce(address)
    if pending:
        message = b"<message type='chat' to='%s@localhost'><body>card</body>%s</message>"
        to_all = b"".join(message % (name.encode(), card) for name in names)
        say(address, [*greeting, *[(to_all + PING, PONG)] * pending])
        return Task("offline-xmpp", [address], names, address, [], b"", pending)
    publish = (
        b"<iq type='set' id='publish'><pubsub xmlns='http://jabber.org/protocol/pubsub'>"
        b"<publish node='%s'><item id='current'>%s</item></publish></pubsub></iq>"
    ) % (CARD_NODE, card)
    return Task("xmpp", [address], names, address, greeting, publish)


def introduce(address: tuple[str, int]) -> None:
    """Let the server ask somebody what devices can do, so that it knows when these come: it would
    ask many of them, and Prosody would tell each whom it has asked twice from then on."""
    with socket.create_connection(address) as connection:
        question = go_through(connection, [*xmpp_login(GUEST), (PRESENCE, b"</iq>")])
        go_through(connection, [(xmpp_capabilities(question) + PING, PONG)])


def card_in_xml() -> bytes:
    """With the marker for its title, and about as long as in JSON."""
    said = "".join(
        f"<property name='{each['name']}'>{texts(each['value'])}</property>"
        for each in properties(MARKER.decode())
    )
    return f"<card xmlns='{CARD_NODE.decode()}'>{said}</card>".encode()


def texts(value: object) -> str:
    parts = value if isinstance(value, list) else [value]
    return "".join(f"<text>{escape(str(part))}</text>" for part in parts)


def say(address: tuple[str, int], steps: list[Step]) -> None:
    """On a connection of its own."""
    with socket.create_connection(address) as connection:
        go_through(connection, steps)


def go_through(connection: socket.socket, steps: list[Step]) -> bytes:
    """What was heard at the last of them."""
    heard = b""
    for said, awaited in steps:
        connection.sendall(said)
        heard = b""
        while awaited not in heard:
            more = connection.recv(2**16)
            assert more, heard
            heard += more
    return heard
