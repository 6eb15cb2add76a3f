"""Devices that all come back at once, beside the peers: each is signed in, drains what is pending
and acknowledges it. One of ours hears that it is stored; one of a peer's, that it was read."""

import statistics
from typing import NamedTuple, TextIO

from bench import machine
from bench.live import Start, in_turn, ordering
from bench.peers import ejabberd, mosquitto, prosody
from bench.systems import product

DEVICES = 1000
PENDING = 20


class Figures(NamedTuple):
    """Of one system in one run. Devices a second; milliseconds of CPU for a device."""

    rate: float
    cpu: dict[str, float]


def measure(start: Start) -> Figures:
    with start() as system, ordering(system.task) as order:
        devices = len(system.task.tokens)
        if system.unstored:
            assert system.unstored() == devices * system.task.pending
        before = machine.all_cpu(system.groups)
        seconds = order("connect", devices)
        cost = machine.difference(machine.all_cpu(system.groups), before)
        if system.unstored:
            assert system.unstored() == 0
        return Figures(
            devices / seconds, {name: 1000 * each / devices for name, each in cost.items()}
        )


def compare(
    out: TextIO, devices: int, pending: int, repetitions: int, shapes: dict[str, Start]
) -> None:
    """All of them in turn, several times; the medians, with ratios to the first."""
    runs = in_turn(measure, shapes, repetitions)
    print(
        f"\n{devices:,} devices come back at once, each for {pending} messages; "
        f"medians of {repetitions} runs\n",
        file=out,
    )
    print("{:<22}{:>11}{:>7}{:>8}".format("", "devices/s", "ratio", "CPU ms"), file=out)
    base = statistics.median(each.rate for each in next(iter(runs.values())))
    for name, figures in runs.items():
        print(row(name, figures, base), file=out, flush=True)


def row(name: str, figures: list[Figures], base: float) -> str:
    rates = [each.rate for each in figures]
    rate = statistics.median(rates)
    cpu = statistics.median(sum(each.cpu.values()) for each in figures)
    parts = ", ".join(
        f"{part} {statistics.median(each.cpu[part] for each in figures):.2f}"
        for part in figures[0].cpu
    )
    return (
        f"{name:<22}{rate:>11,.0f}{rate / base:>7.2f}{cpu:>8.2f}   "
        f"{parts}; {min(rates):,.0f} to {max(rates):,.0f} a second"
    )


def run(out: TextIO, repetitions: int = 3) -> None:
    compare(
        out,
        DEVICES,
        PENDING,
        repetitions,
        {
            "the whole product": lambda: product(DEVICES, cards=PENDING, pending=PENDING),
            "mosquitto, QoS 1": lambda: mosquitto(DEVICES, PENDING),
            "ejabberd, offline": lambda: ejabberd(DEVICES, PENDING),
            "Prosody, offline": lambda: prosody(DEVICES, PENDING),
        },
    )
