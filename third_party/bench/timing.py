"""CPU time of one call against another's, taken in turns so that both meet the same load of the machine."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        name: what was timed.
        seconds: median CPU seconds of a call.
        peer: what it is compared with.
        peer_seconds: the median of that.
    """

    name: str
    seconds: float
    peer: str
    peer_seconds: float

    @property
    def ratio(self) -> float:
        """Times of the peer: below 1 is faster."""
        return self.seconds / self.peer_seconds


def compare(
    name: str, call: Callable[[], object], peer: str, peer_call: Callable[[], object], repeat: int, warm_up: int = 3
) -> Row:
    """Time two calls in turns, after ``warm_up`` calls of each that do not count."""
    for _ in range(warm_up):
        call()
        peer_call()
    times, peer_times = [], []
    for _ in range(repeat):
        times.append(_cpu_seconds(call))
        peer_times.append(_cpu_seconds(peer_call))
    return Row(name, statistics.median(times), peer, statistics.median(peer_times))


def _cpu_seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def table(rows: Sequence[Row], clock: str = "median CPU ms, one thread") -> str:
    """Rows as text, times in milliseconds; ``clock`` says of what."""
    width = max((len(row.name) for row in rows), default=0)
    lines = [f"{clock:{width}} {'time':>9} {'peer':>9} {'ratio':>6}  peer"]
    for row in rows:
        lines.append(
            f"{row.name:{width}} {1e3 * row.seconds:9.3f} {1e3 * row.peer_seconds:9.3f} {row.ratio:6.3f}  {row.peer}"
        )
    return "\n".join(lines)
