"""One change to many open sockets, beside the peers: how long it takes, and what it costs."""

import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple, TextIO, TypeVar

from bench import crowd, machine
from bench.peers import ejabberd, mosquitto, prosody
from bench.systems import System, product

ROUNDS = 9
WARM = 5
GAP = 0.3  # seconds between two changes; what they cost is counted to the end of the last
LOOK_EVERY = 0.002  # seconds between two looks for what is stored
PATIENCE = 60.0  # seconds until they must all be there
STORED_ROUNDS = 5
AT_ONCE = 50  # devices that connect at the same time

Start = Callable[[], AbstractContextManager[System]]
Measured = TypeVar("Measured")


class Figures(NamedTuple):
    """Of one system in one run. Milliseconds; CPU for 1,000 deliveries; KiB for a socket."""

    first: float
    median: float
    last: float
    stored: float
    cpu: dict[str, float]
    memory: float


@contextmanager
def ordering(task: crowd.Task) -> Iterator[Callable[..., Any]]:
    """A crowd in a process of its own; call it with the name of what it is to do."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=crowd.main, args=(theirs, task))
    process.start()

    def order(*what: Any) -> Any:
        ours.send(what)
        answer = ours.recv()
        if isinstance(answer, str):
            raise RuntimeError(answer)
        return answer

    try:
        yield order
    finally:
        ours.send(None)
        process.join(timeout=10)
        process.kill()


def measure(start: Start) -> Figures:
    with start() as system, ordering(system.task) as order:
        devices = len(system.task.tokens)
        server = next(iter(system.groups.values()))
        idle = machine.memory(server)
        order("connect", AT_ONCE)
        memory = (machine.memory(server) - idle) / devices
        for number in range(WARM):
            order("round", number)
            time.sleep(GAP)
        before, rounds = machine.all_cpu(system.groups), []
        for number in range(WARM, WARM + ROUNDS):
            rounds.append(order("round", number))
            time.sleep(GAP)
        cost = machine.difference(machine.all_cpu(system.groups), before)
        thousands = ROUNDS * devices / 1000
        return Figures(
            first=1000 * statistics.median(each[0] for each in rounds),
            median=1000 * statistics.median(each[len(each) // 2] for each in rounds),
            last=1000 * statistics.median(each[-1] for each in rounds),
            stored=1000 * stored(system, order) if system.unstored else float("nan"),
            cpu={name: 1000 * seconds / thousands for name, seconds in cost.items()},
            memory=memory,
        )


def stored(system: System, order: Callable[..., Any]) -> float:
    """Seconds until all acknowledgements of a change are in the database; apart from the other
    rounds, as the looking costs something."""
    times = []
    for number in range(STORED_ROUNDS):
        begin = time.perf_counter()
        order("round", WARM + ROUNDS + number)
        while left := system.left():
            if time.perf_counter() > begin + PATIENCE:
                raise RuntimeError(f"{left} acknowledgements were not stored")
            time.sleep(LOOK_EVERY)
        times.append(time.perf_counter() - begin)
        time.sleep(GAP)
    return statistics.median(times)


def in_turn(
    measure: Callable[[Start], Measured], shapes: dict[str, Start], repetitions: int
) -> dict[str, list[Measured]]:
    """Each of them once, and all again, so that what else the machine does meets them alike."""
    runs: dict[str, list[Measured]] = {name: [] for name in shapes}
    for _repetition in range(repetitions):
        for name, start in shapes.items():
            runs[name].append(measure(start))
    return runs


def compare(out: TextIO, devices: int, repetitions: int, shapes: dict[str, Start]) -> None:
    """All of them in turn, several times; the medians, with ratios to the first."""
    runs = in_turn(measure, shapes, repetitions)
    print(f"\nOne change to {devices:,} open sockets; medians of {repetitions} runs\n", file=out)
    head = ("", "first", "median", "last", "ratio", "stored", "ratio", "CPU", "ratio", "KiB")
    print("{:<22}{:>8}{:>8}{:>8}{:>7}{:>8}{:>7}{:>8}{:>7}{:>7}".format(*head), file=out)
    base = next(iter(runs.values()))
    for name, figures in runs.items():
        print(row(name, figures, base), file=out, flush=True)


def row(name: str, figures: list[Figures], base: list[Figures]) -> str:
    def middle(what: Callable[[Figures], float], of: list[Figures] = figures) -> float:
        return statistics.median(map(what, of))

    def total(each: Figures) -> float:
        return sum(each.cpu.values())

    last, peer = middle(lambda each: each.last), middle(lambda each: each.last, base)
    kept, cpu = middle(lambda each: each.stored), middle(total)
    medians = {
        part: statistics.median(each.cpu[part] for each in figures) for part in figures[0].cpu
    }
    parts = ", ".join(f"{part} {milliseconds:.1f}" for part, milliseconds in medians.items())
    spread = f"last {min(e.last for e in figures):.0f} to {max(e.last for e in figures):.0f}"
    return (
        f"{name:<22}{middle(lambda each: each.first):>8.1f}{middle(lambda e: e.median):>8.1f}"
        f"{last:>8.1f}{last / peer:>7.2f}{kept:>8.1f}{kept / peer:>7.2f}{cpu:>8.1f}"
        f"{cpu / middle(total, base):>7.2f}{middle(lambda each: each.memory):>7.1f}   "
        f"{parts}; {spread}"
    )


def run(out: TextIO, repetitions: int = 3) -> None:
    compare(
        out,
        1000,
        repetitions,
        {
            "mosquitto, QoS 1": lambda: mosquitto(1000),
            "the whole product": lambda: product(1000),
            "its live path": lambda: product(1000, alone=True),
            "ejabberd, PEP": lambda: ejabberd(1000),
            "Prosody, PEP": lambda: prosody(1000),
        },
    )
    compare(
        out,
        2000,
        repetitions,
        {
            "mosquitto, QoS 1": lambda: mosquitto(2000),
            "the whole product": lambda: product(2000),
            "live path, 2 processes": lambda: product(2000, 2, alone=True),
        },
    )
