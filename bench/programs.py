"""What the benchmark starts: the Debian packages that bring it, and of which version it is."""

import sys

from bench.peers import ejabberd_code
from tests.servers import find

NEEDED = {
    "mosquitto": "mosquitto",
    "ejabberdctl": "ejabberd",
    "prosody": "prosody",
    "postgres": "postgresql",
    "redis-server": "redis-server",
}
EJABBERD = (
    "application:load(ejabberd), {ok, V} = application:get_key(ejabberd, vsn), "
    "io:put_chars(V), halt()."
)


def asking() -> dict[str, list[str]]:
    """The commands that say the versions."""
    return {
        "mosquitto": [find("mosquitto"), "-h"],
        "ejabberd": [find("erl"), "-noinput", "-pa", ejabberd_code(), "-eval", EJABBERD],
        "Prosody": [find("prosodyctl"), "about"],
        "PostgreSQL": [find("postgres"), "--version"],
        "Redis": [find("redis-server"), "--version"],
        "Python": [sys.executable, "--version"],
        "uvicorn": [sys.executable, "-m", "uvicorn", "--version"],
        "Celery": [sys.executable, "-m", "celery", "--version"],
    }
