"""Prosody's configuration, made from ours, so that nobody writes one by hand. Pure.

What each option means is in https://prosody.im/doc/configure.
"""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

MODULES = Path(__file__).resolve().parent / "prosody"  # our own, in Lua
ENABLED = [
    *("roster", "saslauth", "dialback", "disco", "ping", "carbons", "pep", "blocklist", "smacks"),
    *("csi_simple", "vcard_legacy", "limits", "cardsite", "cardsite_strangers"),
    "cardsite_multicast",
]
KIB = 1024
# What one connection may say: the size of a stanza in octets, and how many octets in a second.
LARGEST = {"c2s": 512 * KIB, "s2s": 512 * KIB, "component": 10 * KIB * KIB}
RATES = {"c2s": "128kb/s", "s2sin": "128kb/s"}
BURST = "8s"


@dataclass(frozen=True)
class Prosody:
    """One Prosody, for the people's domain and that of their cards."""

    domain: str
    cards_domain: str
    component: tuple[str, int]  # where the bridge connects
    secret: str
    door: str  # where the product is asked, up to its path
    door_name: str  # as what host
    folder: str  # where it keeps what it must
    host: str = "127.0.0.1"
    port: int = 5222  # of clients
    server_port: int = 5269  # of other servers; 0: it speaks to none
    certificates: str = ""  # the folder
    authentication: str = "cardsite"
    looks_every: float = 5  # seconds
    more: dict[str, object] = field(default_factory=dict)  # for the tests

    def is_on_loopback(self) -> bool:
        return is_loopback(self.host)

    def text(self) -> str:
        return "\n".join([*self.lines(), ""])

    def lines(self) -> Iterator[str]:
        away = not self.is_on_loopback()
        settings: dict[str, object] = {
            "plugin_paths": [str(MODULES)],
            "data_path": self.folder,
            "pidfile": f"{self.folder}/prosody.pid",
            "log": {"info": "*console"},
            "interfaces": [self.host],
            "c2s_ports": [self.port],
            "s2s_ports": [self.server_port] if self.server_port else [],
            "modules_disabled": [] if self.server_port else ["s2s"],
            "component_interfaces": [self.component[0]],
            "component_ports": [self.component[1]],
            "modules_enabled": [*ENABLED, *(["tls"] if self.certificates else [])],
            **({"certificates": self.certificates} if self.certificates else {}),
            "c2s_require_encryption": away,
            "s2s_require_encryption": away,
            "s2s_secure_auth": away,
            "allow_unencrypted_plain_auth": not away,
            "limits": {kind: {"rate": rate, "burst": BURST} for kind, rate in RATES.items()},
            **{f"{kind}_stanza_size_limit": size for kind, size in LARGEST.items()},
            "authentication": self.authentication,
            "cardsite_cards": self.cards_domain,
            "cardsite_door": f"{self.door}/xmpp/",
            "cardsite_host": self.door_name,
            "cardsite_secret": self.secret,
            "cardsite_looks_every": self.looks_every,
            # With so many stanzas alike most of its time goes to the collection of garbage, and to
            # asking the kernel when to write (docs/decisions/0051-one-stanza-for-many.md).
            "gc": {"mode": "generational"},
            "network_settings": {"opportunistic_writes": True},
            **self.more,
        }
        for name, value in settings.items():
            yield f"{name} = {lua(value)}"
        yield f"VirtualHost {lua(self.domain)}"
        yield f"Component {lua(self.cards_domain)}"
        yield f"component_secret = {lua(self.secret)}"
        # Of two bridges the lease says who speaks; one that is frozen must not shut the next out.
        yield 'component_conflict_resolve = "kick_old"'


def is_loopback(host: str) -> bool:
    """Raises ValueError if it is no address."""
    return ipaddress.ip_address(host).is_loopback


def address(text: str) -> tuple[str, int]:
    """Of `host:port`. Raises ValueError."""
    host, _colon, port = text.rpartition(":")
    return str(ipaddress.ip_address(host.strip("[]"))), int(port)


def lua(value: object) -> str:
    """A value as Lua writes it (https://www.lua.org/manual/5.4/manual.html#3.1)."""
    if isinstance(value, dict):
        return "{ " + "; ".join(f"[{lua(name)}] = {lua(value[name])}" for name in value) + " }"
    if isinstance(value, list):
        return "{ " + ", ".join(map(lua, value)) + " }"
    if isinstance(value, str):
        return '"' + re.sub(r'["\\\n\r\0]', lambda found: f"\\{ord(found[0]):03}", value) + '"'
    return str(value).lower()
