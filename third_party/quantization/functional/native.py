"""Loads the optional native kernels at their first use and says once which are missing.

``make native`` builds ``_native_cpu`` beside this package: a plain shared library against PyTorch's stable ABI.
``QUANTIZATION_NATIVE=0`` keeps it, and the GPU kernels, from being used.
"""

import functools
import importlib.util
import logging
import os
from pathlib import Path

import torch

_PACKAGE = Path(__file__).resolve().parents[1]


@functools.cache
def cpu_problem() -> str:
    """Load the CPU library. Returns "" on success, else why not."""
    if os.environ.get("QUANTIZATION_NATIVE") == "0":
        return "switched off by QUANTIZATION_NATIVE=0"
    library = _PACKAGE / "_native_cpu.so"
    if not library.exists():
        return f"{library.name} is not built; `make native` in a checkout builds it"
    try:
        torch.ops.load_library(library)
    except (OSError, RuntimeError) as error:
        return f"{library.name} does not load with torch {torch.__version__}: {error}"
    return ""


@functools.cache
def cuda_problem() -> str:
    """Register the Triton kernels. Returns "" on success, else why not."""
    if os.environ.get("QUANTIZATION_NATIVE") == "0":
        return "switched off by QUANTIZATION_NATIVE=0"
    if importlib.util.find_spec("triton") is None:
        return "triton is not installed"
    from . import triton_kernels

    triton_kernels.register()
    return ""


@functools.cache
def _explain(device_type: str, problem: str) -> None:
    level = logging.WARNING if "does not load" in problem else logging.INFO
    logging.getLogger(__name__).log(level, "No fused quantization kernels for %s: %s.", device_type, problem)


def prepare(device_type: str) -> bool:
    """Make the fast kernels of a device ready; explain once where there are none. Returns whether there are."""
    problem = "none are written"
    if device_type == "cpu":
        problem = cpu_problem()
    elif device_type == "cuda":
        problem = cuda_problem()
    if problem:
        _explain(device_type, problem)
    return not problem


# torch.compiler.assume_constant_result does no more than this, but imports the compiler, longer than the rest of torch.
prepare._dynamo_marked_constant = True  # type: ignore[attr-defined]


def status() -> dict[str, str]:
    """Component -> "native" or "fallback: why", for reports on the environment."""
    problems = {"fake quantization on CPU": cpu_problem()}
    if torch.cuda.is_available():
        problems["fake quantization on CUDA"] = cuda_problem()
    return {name: f"fallback: {problem}" if problem else "native" for name, problem in problems.items()}
