"""What the product bears: all devices are cut off at once, a card that a city holds keeps changing,
some devices stop to read. Nothing here has a peer.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from bench import machine
from bench.live import AT_ONCE, ordering
from bench.systems import System, product

LOOK_EVERY = 0.5  # seconds
PATIENCE = 300.0  # seconds
WITHIN = 2.0  # seconds, as docs/wire.md asks of a device that was cut off

CLIENTS = "SELECT count(*) - 1 FROM pg_stat_activity WHERE backend_type = 'client backend'"
UNFINISHED = "SELECT count(*) FROM delivery_cardupdate WHERE rev > done_rev"
UNWRITTEN = (
    "SELECT count(*) FROM delivery_offlinemessage JOIN bindings_binding "
    "ON bindings_binding.id = binding_id JOIN cards_view ON cards_view.id = view_id "
    "WHERE subject = bindings_binding.card_id AND cards_view.rev > "
    "GREATEST(delivery_offlinemessage.rev, acknowledged_rev)"
)


class Watch(threading.Thread):
    """The largest of what it sees: MiB of processes, connections of PostgreSQL and Redis."""

    def __init__(self, system: System) -> None:
        super().__init__(daemon=True)
        self.system, self.ended = system, threading.Event()
        self.most: dict[str, float] = {}

    def run(self) -> None:
        while not self.ended.wait(LOOK_EVERY):
            seen = self.look()
            self.most = {name: max(seen[name], self.most.get(name, 0)) for name in seen}

    def look(self) -> dict[str, float]:
        groups = self.system.groups
        return {
            "web": machine.memory(groups["web"]) / 1024,
            "worker": machine.memory(groups["worker"]) / 1024,
            "PostgreSQL": self.system.ask(CLIENTS),
            "Redis": self.system.connected(),
        }


@contextmanager
def watching(system: System) -> Iterator[Watch]:
    watch = Watch(system)
    watch.start()
    try:
        yield watch
    finally:
        watch.ended.set()
        watch.join()


def until(what: Callable[[], bool]) -> float:
    """Seconds until it is so."""
    start = time.perf_counter()
    while not what():
        if time.perf_counter() > start + PATIENCE:
            raise RuntimeError("It did not come to that.")
        time.sleep(0.1)
    return time.perf_counter() - start


def percentile(times: list[float], part: float) -> float:
    return sorted(times)[min(int(len(times) * part), len(times) - 1)]


def in_ms(times: list[float], part: float) -> str:
    return f"{1000 * percentile(times, part):.0f} ms"


def cut_off(out: TextIO, devices: int = 10_000, silence: float = 60.0) -> None:
    """All connections break at once. While the devices are away the card changes; each comes back
    at some time within two seconds and, where that fails, again and again, and drains."""
    with product(devices) as system, ordering(system.task) as order, watching(system) as watch:
        seconds = order("connect", AT_ONCE)
        print(f"\n{devices:,} devices came in {seconds:.1f} s, {AT_ONCE} at a time", file=out)
        time.sleep(silence)
        last = order("round", 0)[-1]
        print(
            f"after {silence:.0f} s of silence a change reached the last in {last:.2f} s", file=out
        )
        order("cut")
        order("trigger", 1)
        times, failures = order("come_back", WITHIN)
        print(
            f"all were cut off at once and drained again: half in {percentile(times, 0.5):.1f} s,",
            f"99 % in {percentile(times, 0.99):.1f} s, the last in {times[-1]:.1f} s;",
            f"{failures} connections failed",
            file=out,
        )
        print(f"all of it is stored {until(lambda: all_stored(system)):.1f} s later", file=out)
        order("round", 2)
        most = ", ".join(f"{name} {value:.0f}" for name, value in watch.most.items())
        print(f"at most, in MiB and in connections: {most}", file=out)


def all_stored(system: System) -> bool:
    return system.unstored is not None and not system.unstored()


def keeps_changing(
    out: TextIO, holders: int = 100_000, online: int = 10_000, edits: int = 30, every: float = 2.0
) -> None:
    """A card with very many holders changes all the time; somebody else's must not wait for it."""
    with (
        product(online, absent=holders - online) as system,
        ordering(system.task) as order,
        ordering(system.bystander) as bystander,
        watching(system) as watch,
    ):
        order("connect", AT_ONCE)
        bystander("connect", 1)
        quiet = [bystander("round", number)[-1] for number in range(20)]
        before, heard = watch.look()["worker"], order("heard")
        with repeating(lambda number: bystander("round", 100 + number)[-1], 0.25) as times:
            start, answers = time.perf_counter(), []
            for number in range(edits):
                time.sleep(max(0.0, start + number * every - time.perf_counter()))
                answers.append(order("trigger", number))
            seconds = until(lambda: not system.ask(UNFINISHED) and not system.ask(UNWRITTEN))
        each, after = (order("heard") - heard) / online, watch.look()["worker"]
        print(
            f"\n{edits} edits in {edits * every:.0f} s of a card with {holders:,} holders", file=out
        )
        print(f"{online:,} of them are online, and got {each:.1f} messages each", file=out)
        print(f"all rows are written {seconds:.1f} s after the last edit", file=out)
        print(f"the request took {in_ms(answers, 0.5)}, at most {in_ms(answers, 1)}", file=out)
        print(
            f"{len(times)} edits of somebody else's arrived in {in_ms(times, 0.5)},",
            f"99 % in {in_ms(times, 0.99)}; when all is quiet in {in_ms(quiet, 0.5)}",
            file=out,
        )
        print(
            f"the worker's memory: {before:.0f} MiB before, at most {watch.most['worker']:.0f},",
            f"{after:.0f} after",
            file=out,
        )


@contextmanager
def repeating(call: Callable[[int], float], pause: float) -> Iterator[list[float]]:
    """Call it again and again beside the block, with the number of the call; what it returned."""
    results: list[float] = []
    ended = threading.Event()

    def repeat() -> None:
        while not ended.is_set():
            results.append(call(len(results)))
            ended.wait(pause)

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield results
    finally:
        ended.set()
        thread.join()


def stop_reading(
    out: TextIO, devices: int = 5_000, stopped: int = 1_000, more: int = 20_000, rounds: int = 60
) -> None:
    """Some read nothing any more and answer no ping, while a long card keeps changing."""
    with (
        product(devices, more=more) as system,
        ordering(system.task) as order,
        watching(system) as watch,
    ):
        order("connect", AT_ONCE)
        first = [each for number in range(10) for each in order("round", number)]
        before, watch.most = watch.look()["web"], {}
        order("stop", stopped)
        then = [each for number in range(rounds) for each in order("round", 10 + number)]
        most, after = watch.most["web"], watch.look()["web"]
        times, failures = order("come_back", WITHIN)
        until(lambda: all_stored(system))
        order("round", 10 + rounds)
        print(
            f"\n{stopped:,} of {devices:,} devices stop to read; {rounds} changes follow", file=out
        )
        print(f"the others' 99 %: {in_ms(first, 0.99)} before, {in_ms(then, 0.99)} then", file=out)
        print(
            f"web: {before:.0f} MiB before, at most {most:.0f}, {after:.0f} at the end;",
            f"so at most {1024 * (most - before) / stopped:.0f} KiB for each that stopped",
            file=out,
        )
        print(f"they came back and had all after {times[-1]:.1f} s; {failures} failed", file=out)


def run(out: TextIO) -> None:
    for storm in (cut_off, keeps_changing, stop_reading):
        storm(out)
        out.flush()
