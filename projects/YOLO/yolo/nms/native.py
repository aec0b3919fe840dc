"""Loads the optional native kernels at their first use and says once which are missing.

``make native`` builds ``_native_cpu`` beside this module, ``DETECTRON2_NATIVE=cuda make native`` also
``_native_cuda``: plain shared libraries against PyTorch's stable ABI. ``DETECTRON2_NATIVE=0`` keeps them from being
loaded.
"""

import functools
import logging
import os
from pathlib import Path

import torch

_HOW_TO_BUILD = {"cpu": "`make native`", "cuda": "`DETECTRON2_NATIVE=cuda make native`, with CUDA's nvcc,"}


@functools.cache
def problem(device_type: str) -> str:
    """Load the library of a device. Returns "" on success, else why not."""
    if device_type not in _HOW_TO_BUILD:
        return "none are written"
    if os.environ.get("DETECTRON2_NATIVE") == "0":
        return "switched off by DETECTRON2_NATIVE=0"
    if device_type == "cuda" and torch.version.cuda is None:  # its symbols come from libtorch_cuda
        return "this PyTorch has no CUDA"
    library = Path(__file__).with_name(f"_native_{device_type}.so")
    if not library.exists():
        return f"{library.name} is not built; {_HOW_TO_BUILD[device_type]} in a checkout builds it"
    try:
        torch.ops.load_library(library)
    except (OSError, RuntimeError) as error:
        return f"{library.name} does not load with torch {torch.__version__}: {error}"
    return ""


@functools.cache
def _explain(device_type: str, reason: str) -> None:
    level = logging.WARNING if "does not load" in reason else logging.INFO
    logging.getLogger(__name__).log(level, "Suppression on %s runs in plain PyTorch: %s.", device_type, reason)


def prepare(device_type: str) -> bool:
    """Make the kernels of a device ready; explain once where there are none. Returns whether there are."""
    if reason := problem(device_type):
        _explain(device_type, reason)
    return not reason


# torch.compiler.assume_constant_result does no more than this, but imports the compiler, longer than the rest of torch.
prepare._dynamo_marked_constant = True  # type: ignore[attr-defined]


def status() -> dict[str, str]:
    """Component -> "native" or "fallback: why", for reports on the environment."""
    return {
        f"NMS on {name.upper()}": f"fallback: {reason}" if (reason := problem(name)) else "native"
        for name in _HOW_TO_BUILD
    }
