"""Measure one case: CPU and wall seconds of repeated calls in this process."""

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """One row of the benchmark.

    Args:
        setup: builds the inputs and returns the callable that is timed.
        repeat: how many calls are counted.
        peer: the name of the row this one is compared with, measured in the same run.
        warm_up: how many calls go before and are not counted; 0 where one takes a minute.
    """

    setup: Callable[[], Callable[[], object]]
    repeat: int = 5
    peer: str = ""
    warm_up: int = 1


@dataclass
class Cases:
    """Rows by name; modules fill it with the ``add`` decorator."""

    rows: dict[str, Case] = field(default_factory=dict)

    def add(self, name: str, repeat: int = 5, peer: str = "", warm_up: int = 1) -> Callable:
        def register(setup: Callable) -> Callable:
            self.rows[name] = Case(setup, repeat, peer, warm_up)
            return setup

        return register


CASES = Cases()


def cpu_seconds() -> float:
    """CPU time of all threads of this process and, on Linux, of its workers, which a loader's work may lie in."""
    total = time.process_time()
    for worker in multiprocessing.active_children():
        stat = Path(f"/proc/{worker.pid}/stat")
        if stat.exists():
            after_name = stat.read_text().rpartition(")")[2].split()
            user, system = after_name[11:13]
            total += (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    return total


def measure(case: Case) -> dict[str, float]:
    """Times ``case``: seconds of CPU (see ``cpu_seconds``) and wall, minimum and median over its repeats."""
    call = case.setup()
    for _ in range(case.warm_up):
        call()
    cpu, wall = [], []
    for _ in range(case.repeat):
        cpu_start, wall_start = cpu_seconds(), time.perf_counter()
        call()
        cpu.append(cpu_seconds() - cpu_start)
        wall.append(time.perf_counter() - wall_start)
    return {
        "cpu_min_s": round(min(cpu), 5),
        "cpu_median_s": round(statistics.median(cpu), 5),
        "median_s": round(statistics.median(wall), 5),
        "n": case.repeat,
    }
