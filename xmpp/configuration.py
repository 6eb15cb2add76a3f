"""Prosody's configuration, made from ours, so that nobody writes one by hand. Pure.

What each option means is in https://prosody.im/doc/configure.
"""

import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path

MODULES = Path(__file__).resolve().parent / "prosody"  # our own, in Lua
ENABLED = [
    *("roster", "saslauth", "tls", "dialback", "disco", "ping", "carbons", "pep", "blocklist"),
    *("smacks", "csi_simple", "vcard_legacy", "limits", "cardsite"),
]


@dataclass(frozen=True)
class Prosody:
    """One Prosody, the people's domain and that of their cards."""

    domain: str
    cards_domain: str
    component: tuple[str, int]  # where the bridge connects
    secret: str
    door: str  # where the product is asked, up to its path
    door_name: str  # as what host
    folder: str  # where it keeps what it must
    host: str = "127.0.0.1"
    port: int = 5222  # of clients
    server_port: int = 5269  # of other servers
    authentication: str = "cardsite"
    looks_every: float = 5  # seconds

    def is_on_loopback(self) -> bool:
        return ipaddress.ip_address(self.host).is_loopback

    def text(self) -> str:
        encrypted = not self.is_on_loopback()
        return "\n".join(
            [
                setting("run_as_root", True),
                setting("plugin_paths", [str(MODULES)]),
                setting("data_path", self.folder),
                setting("log", {"info": "*console"}),
                setting("interfaces", [self.host]),
                setting("c2s_ports", [self.port]),
                setting("s2s_ports", [self.server_port]),
                setting("component_interfaces", [self.component[0]]),
                setting("component_ports", [self.component[1]]),
                setting("modules_enabled", ENABLED),
                setting("c2s_require_encryption", encrypted),
                setting("s2s_require_encryption", encrypted),
                setting("allow_unencrypted_plain_auth", not encrypted),
                setting("authentication", self.authentication),
                setting("cardsite_cards", self.cards_domain),
                setting("cardsite_door", f"{self.door}/xmpp/"),
                setting("cardsite_host", self.door_name),
                setting("cardsite_secret", self.secret),
                setting("cardsite_looks_every", self.looks_every),
                f"VirtualHost {lua(self.domain)}",
                f"Component {lua(self.cards_domain)}",
                setting("component_secret", self.secret),
                "",
            ]
        )


def setting(name: str, value: object) -> str:
    return f"{name} = {lua(value)}"


def lua(value: object) -> str:
    """A value as Lua writes it."""
    if isinstance(value, dict):
        return "{ " + "; ".join(setting(name, each) for name, each in value.items()) + " }"
    if isinstance(value, list):
        return "{ " + ", ".join(map(lua, value)) + " }"
    return json.dumps(value)
