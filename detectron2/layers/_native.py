"""Loads the optional native libraries at their first use and says what is native and what falls back.

``make native`` builds ``_native_cpu`` beside the package, ``DETECTRON2_NATIVE=cuda make native`` also
``_native_cuda``. Both are plain shared libraries against PyTorch's stable ABI: no Python symbols, one file
for several releases of PyTorch. ``DETECTRON2_NATIVE=0`` keeps them from being loaded.
"""

import functools
import logging
import os
from pathlib import Path

import torch

_PACKAGE = Path(__file__).resolve().parents[1]
_HOW_TO_BUILD = {
    "_native_cpu": "`make native` in a checkout builds it",
    "_native_cuda": "`DETECTRON2_NATIVE=cuda make native` in a checkout builds it, with CUDA's nvcc",
}


@functools.cache
def _load(stem: str) -> str:
    """Load one library. Returns "" on success, else why not."""
    if os.environ.get("DETECTRON2_NATIVE") == "0":
        return "switched off by DETECTRON2_NATIVE=0"
    found = sorted(_PACKAGE.glob(f"{stem}*.so"))
    if not found:
        return f"{stem} is not built; {_HOW_TO_BUILD[stem]}"
    try:
        torch.ops.load_library(found[0])
    except (OSError, RuntimeError) as error:
        return f"{found[0].name} does not load with torch {torch.__version__}: {error}"
    return ""


@functools.cache
def _cpu_problem() -> str:
    problem = _load("_native_cpu")
    if not problem:
        from detectron2.layers import native_roi_align

        native_roi_align.register()
    return problem


@functools.cache
def _cuda_problem() -> str:
    if torch.version.cuda is None:  # its symbols come from libtorch_cuda
        return "this PyTorch has no CUDA"
    return _cpu_problem() or _load("_native_cuda")  # the CPU library defines the operators' schemas


@functools.cache
def _explain(problem: str) -> None:
    level = logging.WARNING if "does not load" in problem else logging.INFO
    logging.getLogger(__name__).log(level, "Native operators fall back to torchvision: %s.", problem)


def has_cpu() -> bool:
    """Whether the CPU operators are loaded; loads them at the first call and explains itself once if it cannot."""
    if problem := _cpu_problem():
        _explain(problem)
    return not problem


def has_cuda() -> bool:
    """Whether the CUDA operators are loaded too. Building them is a choice, so nothing is said when they are not."""
    return not _cuda_problem()


# torch.compiler.assume_constant_result does no more than this, but imports the compiler, longer than the rest of torch.
for _function in (has_cpu, has_cuda):
    _function._dynamo_marked_constant = True  # type: ignore[attr-defined]


def status() -> dict[str, str]:
    """Component -> "native" or "fallback: why", for ``python -m detectron2.utils.collect_env``."""
    problems = {"ROIAlign on CPU": _cpu_problem(), "ROIAlign on CUDA": _cuda_problem()}
    return {name: f"fallback: {problem}" if problem else "native" for name, problem in problems.items()}
