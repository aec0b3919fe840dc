"""Measure one case: CPU and wall seconds of repeated calls in this process."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """One row of the benchmark.

    Args:
        setup: builds the inputs and returns the callable that is timed.
        repeat: how many calls are counted after one warm-up call.
        peer: the name of the row this one is compared with, measured in the same run.
    """

    setup: Callable[[], Callable[[], object]]
    repeat: int = 5
    peer: str = ""


@dataclass
class Cases:
    """Rows by name; modules fill it with the ``add`` decorator."""

    rows: dict[str, Case] = field(default_factory=dict)

    def add(self, name: str, repeat: int = 5, peer: str = "") -> Callable:
        def register(setup: Callable) -> Callable:
            self.rows[name] = Case(setup, repeat, peer)
            return setup

        return register


CASES = Cases()


def measure(case: Case) -> dict[str, float]:
    """Times ``case``: seconds of CPU (all threads) and wall, minimum and median over its repeats."""
    call = case.setup()
    call()
    cpu, wall = [], []
    for _ in range(case.repeat):
        cpu_start, wall_start = time.process_time(), time.perf_counter()
        call()
        cpu.append(time.process_time() - cpu_start)
        wall.append(time.perf_counter() - wall_start)
    return {
        "cpu_min_s": round(min(cpu), 5),
        "cpu_median_s": round(statistics.median(cpu), 5),
        "median_s": round(statistics.median(wall), 5),
        "n": case.repeat,
    }
