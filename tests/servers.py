"""Real servers for the tests, each on a free port of 127.0.0.1, and what they are made of.

`python -m tests.servers --install` installs what is missing, as root on Debian; anybody else is
told exactly what to install. `python -m tests.servers COMMAND...` runs a command beside a
throwaway PostgreSQL and Redis, with their addresses in its environment. `--product` runs all that
belongs to a large installation beside them.
"""

import atexit
import fcntl
import hashlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg

ROOT = Path(__file__).resolve().parent.parent
THROTTLES = ("THROTTLE_SIGN_IN", "THROTTLE_SIGN_UP", "THROTTLE_CODE", "THROTTLE_REQUEST")
SHARED = "CARDSITE_TESTS_FOLDER"
STARTING_TIME = 60.0  # seconds
CELERY = ["-m", "celery", "-A", "cardsite"]
WORKER = [*CELERY, "worker", "-Q", "fan-out,prompts"]
# Three habits of Celery's that cost more than the work.
WORKER += ["--without-heartbeat", "--without-gossip", "--without-mingle"]
POSTGRESQL = ("listen_addresses=127.0.0.1", "max_connections=300", "shared_buffers=256MB")

# A program that the tests start, and the Debian package that brings it.
NEEDED = {
    "chromium": "chromium",
    "chromium-headless-shell": "chromium-headless-shell",
    "faketime": "faketime",
    "postgres": "postgresql",
    "prosody": "prosody",
    "redis-server": "redis-server",
}

# How Playwright starts it. As root it has no sandbox; in the background it would call home.
CHROMIUM: dict[str, Any] = {
    "executable_path": shutil.which("chromium"),
    "args": ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
    "handle_sigint": False,
}
# The same without what is around the page: a window of it takes a quarter of the time.
SHELL: dict[str, Any] = {**CHROMIUM, "executable_path": shutil.which("chromium-headless-shell")}


def find(program: str) -> str:
    """Where a program is, or nothing; Debian keeps PostgreSQL's own out of the PATH, and that of
    people has no servers in it."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", *map(str, folders)])
    return shutil.which(program, path=path) or ""


def install_missing(needed: dict[str, str] = NEEDED) -> None:
    """Of these programs, each with the Debian package that brings it."""
    missing = [package for program, package in needed.items() if not find(program)]
    if not missing:
        return
    command = ["apt-get", "install", "-y", "--no-install-recommends", "-qq", *missing]
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.exit(f"This needs {', '.join(missing)}. On Debian: sudo {' '.join(command)}")
    subprocess.run(["apt-get", "update", "-qq"], check=True)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def free_port(wish: int = 0) -> int:
    """This one, if nobody has it."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", wish))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + STARTING_TIME
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)  # between two knocks at a door that nobody opens yet
    raise RuntimeError(f"{process.args!r} did not start:\n{log.read_text(errors='replace')}")


def wait_until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + STARTING_TIME
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)  # between two looks


@contextmanager
def running(
    *command: object, port: int, stop: int = signal.SIGTERM, **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """A program that listens on this port, until the block ends."""
    with TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as out:
            process = subprocess.Popen([*map(str, command)], stdout=out, stderr=out, **options)
        try:
            wait_for_port(port, process, log)
            yield process
        finally:
            process.send_signal(stop)
            process.wait(timeout=STARTING_TIME)


def faked_clock(clock: Path) -> dict[str, str]:
    """The environment of a process whose clock is ahead by what this file says, as in `+90`, from
    one moment to the next."""
    [library] = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
    named = {"LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(clock)}
    return {**named, "FAKETIME_NO_CACHE": "1"}


@contextmanager
def running_redis(port: int = 0) -> Iterator[str]:
    """The address of a Redis that keeps nothing on disk."""
    port = port or free_port()
    command = (find("redis-server"), "--port", port, "--bind", "127.0.0.1", "--save", "")
    with running(*command, port=port):
        yield f"redis://127.0.0.1:{port}/0"


class PostgreSQL:
    """One that forgets all it knows with its folder. It will not run as root, so root starts it as
    the user that its package brings."""

    def __init__(self, folder: Path, *settings: str) -> None:
        self.folder, self.port = folder, free_port()
        self.user = "postgres" if os.geteuid() == 0 else None
        self.options = [part for each in (*POSTGRESQL, *settings) for part in ("-c", each)]
        self.address = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        if self.user:
            shutil.chown(folder, self.user)
        initdb = (find("initdb"), "-D", str(folder / "rows"), "-U", "postgres", "-A", "trust")
        quietly: dict[str, Any] = {"user": self.user, "cwd": folder, "stdout": subprocess.DEVNULL}
        subprocess.run([*initdb, "--no-sync"], check=True, **quietly)

    def start(self) -> None:
        """Start it, again if it was stopped, until it takes people in."""
        command = (find("postgres"), "-D", self.folder / "rows", "-p", self.port, "-k", self.folder)
        log = self.folder / "log"
        log.touch()
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [*map(str, command), *self.options],
                user=self.user,
                cwd=self.folder,
                stdout=out,
                stderr=out,
                start_new_session=True,  # so that its own children can be killed with it
            )
        wait_for_port(self.port, self.process, log)
        wait_for_postgresql(self.address)

    def kill(self) -> None:
        """As a power cut would, with all its processes."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=STARTING_TIME)


@contextmanager
def running_postgresql(*settings: str) -> Iterator[str]:
    """The address of one."""
    with TemporaryDirectory() as folder:
        postgresql = PostgreSQL(Path(folder), *settings)
        postgresql.start()
        try:
            yield postgresql.address
        finally:
            postgresql.stop()


def wait_for_postgresql(address: str) -> None:
    """It listens a little before it takes anybody in."""
    deadline = time.monotonic() + STARTING_TIME
    while True:
        try:
            return psycopg.connect(address).close()
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)  # as above


@contextmanager
def running_production() -> Iterator[dict[str, str]]:
    """The environment in which the product runs on PostgreSQL, Redis and Celery."""
    with running_postgresql("fsync=off") as rows, running_redis() as redis:
        yield {"DATABASE_URL": rows, "REDIS_URL": redis, "CELERY_BROKER_URL": redis}


def run_manage(environment: dict[str, str], *arguments: str, **options: Any) -> Any:
    command = [sys.executable, "manage.py", *arguments]
    whole = {**os.environ, **environment}
    return subprocess.run(command, cwd=ROOT, env=whole, check=True, **options).stdout


def shared_folder() -> Path:
    """One for all processes of a test run: the first makes it, and its children inherit it."""
    if SHARED not in os.environ:
        os.environ[SHARED] = mkdtemp()
        atexit.register(shutil.rmtree, os.environ[SHARED])
    return Path(os.environ[SHARED])


def migrated() -> str:
    """The address of a database that is migrated and empty, made once for all servers of a test
    run, whatever the number of processes that it has: migrating takes longer than all else that a
    server does at its start."""
    folder = shared_folder()
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = folder / hashlib.sha256(os.environ.get("DATABASE_URL", "").encode()).hexdigest()[:16]
        if not made.exists():
            address = new_database(folder)
            run_manage({"DATA_DIR": str(folder), "DATABASE_URL": address}, "migrate", "-v0")
            made.write_text(address)
        return made.read_text()


def new_database(folder: Path, template: str = "template0") -> str:
    """The address of a database of one's own: on the PostgreSQL of the environment, if there is
    one; otherwise a file in this folder, which is made at its first use."""
    server = os.environ.get("DATABASE_URL", "")
    if not server.startswith("postgres"):
        return f"sqlite:///{folder}/cardsite.sqlite3"
    name = f"product_{secrets.token_hex(8)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
    return urlsplit(server)._replace(path=f"/{name}").geturl()


def migrated_database(folder: Path) -> str:
    """The address of a copy of it for a server with this folder."""
    address = migrated()
    if address.startswith("sqlite"):
        shutil.copy(address.removeprefix("sqlite:///"), folder)
    return new_database(folder, template=urlsplit(address).path[1:])


class Server:
    """The product itself, with a folder and a port of its own: as `make run` starts it, and with a
    Celery worker beside it where the environment names a broker. It does
    not count for coverage, which would make it slow."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            "DATA_DIR": str(folder),
            "STATIC_ROOT": str(ROOT / "var" / "test-static"),  # collected once for all
            "PORT": str(self.port),
            "DEMO": "0",
            **{
                f"THROTTLE_{what}": "10000/minute"
                for what in ("SIGN_IN", "SIGN_UP", "CODE", "REQUEST")
            },
            **environment,
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *, wait: bool = True, **environment: str) -> None:
        """Start it, again if it was stopped; with `wait`, until it answers."""
        env = self.whole_environment(environment)
        self.run("web", env, "manage.py", "serve")
        has_workers = env.get("CELERY_BROKER_URL") and env.get("WORKER") != "0"
        if has_workers and "worker" not in self.processes:
            self.start_worker(**environment)
        if wait:
            self.wait_until_up()

    def start_worker(self, **environment: str) -> None:
        (self.folder / "worker.log").unlink(missing_ok=True)  # it will say when it is ready
        command = [*WORKER, "-B", "--loglevel", "INFO"]
        self.run("worker", self.whole_environment(environment), *command)

    def whole_environment(self, own: dict[str, str]) -> dict[str, str]:
        env = {**os.environ, **self.environment, **own}
        return {k: v for k, v in env.items() if not k.startswith("COVERAGE_")}

    def run(self, name: str, env: dict[str, str], *arguments: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                env=env,
                stdout=log,
                stderr=log,
                start_new_session=True,  # so that its own children can be killed with it
            )

    def wait_until_up(self) -> None:
        deadline = time.monotonic() + STARTING_TIME
        while time.monotonic() < deadline and not self.has_ended():
            if self.answers():
                return
            time.sleep(0.05)  # between two knocks at a door that nobody opens yet
        raise RuntimeError(f"The server did not start:\n{self.log()}")

    def answers(self) -> bool:
        try:
            httpx.get(f"{self.url}/api/v1/me", timeout=10)
        except httpx.TransportError:
            return False
        return "worker" not in self.processes or "ready." in self.log("worker")

    def has_ended(self) -> bool:
        return any(process.poll() is not None for process in self.processes.values())

    def log(self, name: str = "web") -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def kill(self, *names: str) -> None:
        """As a power cut would, all processes or these: nothing is finished, nothing is said."""
        for name in names or list(self.processes):
            process = self.processes.pop(name)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def manage(self, *arguments: str) -> str:
        """What a command of the product says, beside it."""
        said = run_manage(self.environment, *arguments, stdout=subprocess.PIPE, text=True)
        return str(said)

    def wait_until_dead(self) -> int:
        return self.processes["web"].wait(timeout=STARTING_TIME)

    def stop(self, *names: str) -> None:
        """In an orderly way, all processes or these."""
        ending = [self.processes[name] for name in names or self.processes]
        for process in ending:
            process.terminate()
        with suppress(subprocess.TimeoutExpired):
            for process in ending:
                process.wait(timeout=15)
        self.kill(*names)


@contextmanager
def running_server(
    folder: Path, seed: str = "", *, empty: bool = False, **environment: str
) -> Iterator[Server]:
    """A server on a database that this program has filled; or, `empty`, on none yet."""
    address = new_database(folder) if empty else migrated_database(folder)
    server = Server(folder, DATABASE_URL=address, **environment)
    if seed:
        run_manage(server.environment, "shell", "-v0", "-c", seed)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def run_product() -> None:
    """Until it is stopped: two web processes, two workers and beat, as on many machines. All they
    know is gone afterwards."""
    with running_production() as environment, TemporaryDirectory() as folder, ExitStack() as stack:
        same = {"DATA_DIR": folder, "SECRET_KEY": secrets.token_urlsafe(50), "PROCESSES": "2"}
        environment |= same
        run_manage(environment, "migrate", "-v0")
        for command in (WORKER, WORKER, [*CELERY, "beat"]):
            quietly = [sys.executable, *command, "--loglevel", "WARNING"]
            process = subprocess.Popen(quietly, cwd=ROOT, env={**os.environ, **environment})
            stack.callback(process.wait)
            stack.callback(process.terminate)
        for name, value in environment.items():
            print(f"{name}={value}", flush=True)
        with suppress(KeyboardInterrupt, subprocess.CalledProcessError):
            run_manage(environment, "serve")


def main(arguments: list[str]) -> None:
    if arguments == ["--install"]:
        install_missing()
    elif arguments == ["--product"]:
        run_product()
    elif arguments:
        with running_production() as environment:
            done = subprocess.run(arguments, env={**os.environ, **environment}, check=False)
        sys.exit(done.returncode)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
