"""Mean power while something runs, where a sensor can be read."""

import shutil
import subprocess
import time
from pathlib import Path

_POWERCAP = Path("/sys/class/powercap")


class PowerMeter:
    """Energy counters of the processor (Linux powercap), or the GPU's own reading.

    Args:
        gpu: whether the GPU's power is wanted.
    """

    def __init__(self, gpu: bool = False) -> None:
        self.gpu = gpu
        self._start: tuple[float, float] | None = None

    def start(self) -> None:
        """Begin to count."""
        energy = None if self.gpu else processor_energy()
        self._start = None if energy is None else (energy, time.perf_counter())

    def stop(self) -> float | None:
        """Watts since :meth:`start` (of a GPU: now); None without a sensor."""
        if self.gpu:
            return gpu_watts()
        energy = processor_energy()
        if self._start is None or energy is None or energy < self._start[0]:  # the counter wraps
            return None
        return (energy - self._start[0]) / (time.perf_counter() - self._start[1])


def processor_energy() -> float | None:
    """Joules that all processor packages have used so far; None where that cannot be read."""
    packages = [folder for folder in _POWERCAP.glob("intel-rapl:*") if folder.name.count(":") == 1]
    try:
        return sum(int((folder / "energy_uj").read_text()) for folder in packages) * 1e-6 if packages else None
    except (OSError, ValueError):
        return None


def gpu_watts() -> float | None:
    """Present power of the first GPU; None without one."""
    if shutil.which("nvidia-smi") is None:
        return None
    query = ["nvidia-smi", "--query-gpu=power.draw", "--format=csv,noheader,nounits"]
    found = subprocess.run(query, capture_output=True, text=True, check=False)
    try:
        return float(found.stdout.splitlines()[0])
    except (IndexError, ValueError):
        return None
