"""What processes cost: their CPU time and their memory, as Linux counts it."""

import os
import re
import subprocess
import time
from contextlib import suppress
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """The process and all that descend from it, unless it has ended meanwhile."""
    children: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):
                children += map(int, (task / "children").read_text().split())
    except FileNotFoundError:
        return []
    return [pid, *(each for child in children for each in tree(child))]


def cpu(pid: int) -> float:
    """Seconds that the process, its living descendants and those they have outlived took."""
    seconds = 0.0
    for each in tree(pid):
        with suppress(OSError):  # it has ended, and its parent counts it
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            own = time.clock_gettime(~each << 3 | 2)  # clock_getcpuclockid(3), exactly
            seconds += own + sum(map(int, fields[13:15])) / TICK  # cutime, cstime
    return seconds


def memory(pid: int) -> float:
    """KiB, what is shared with others counted in parts (PSS)."""
    return sum(pss(each) for each in tree(pid))


def pss(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return float(line.split()[1])
    return 0.0


def all_cpu(groups: dict[str, int]) -> dict[str, float]:
    return {name: cpu(pid) for name, pid in groups.items()}


def difference(after: dict[str, float], before: dict[str, float]) -> dict[str, float]:
    return {name: after[name] - before[name] for name in after}


def versions(commands: dict[str, list[str]]) -> list[str]:
    """The name of each program with the first version that its command names."""
    said = []
    for name, command in commands.items():
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        version = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
        said.append(f"{name} {version[0] if version else 'unknown'}")
    return said
