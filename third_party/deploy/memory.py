"""Peak memory of this process from a moment on."""

import resource
from pathlib import Path

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # see proc(5)


def reset_peak() -> int:
    """Begin to watch the peak anew where the system allows it (Linux); returns the bytes that are in use now."""
    try:
        _CLEAR.write_text(_RESET_PEAK)
    except OSError:
        pass
    return _status("VmRSS") or peak_bytes()


def peak_bytes() -> int:
    """Most bytes in memory since :func:`reset_peak`, or, where that is not known, since the process began."""
    return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _status(key: str) -> int | None:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    found = [line.split() for line in lines if line.startswith(f"{key}:")]
    return int(found[0][1]) * 1024 if found else None
