"""Process-wide set-up: seeds, devices, libraries and the user's own environment module."""

import importlib
import importlib.util
import logging
import os
import random
import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import numpy as np
import torch

__all__ = ["seed_all_rng"]

TORCH_VERSION: tuple[int, ...] = tuple(int(part) for part in torch.__version__.split(".")[:2])
"""Major and minor version of PyTorch, e.g. ``(2, 15)``."""

DOC_BUILDING: bool = os.getenv("_DOC_BUILDING", "") not in ("", "0")
"""True while the documentation is generated, so that modules may skip optional dependencies."""

CUSTOM_MODULE_VARIABLE = "DETECTRON2_ENV_MODULE"

_ENV_SETUP_DONE = False


def seed_all_rng(seed: int | None = None) -> None:
    """Seed the generators of Python, NumPy and PyTorch (all devices).

    Args:
        seed: any non-negative integer; ``None`` takes one from the operating system and logs it.
    """
    if seed is None:
        seed = int.from_bytes(os.urandom(4), "little")
        logging.getLogger(__name__).info("No seed given: using the random seed %d", seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def resolve_device(name: str) -> str:
    """Turn ``MODEL.DEVICE`` into the name of a device of this machine.

    Args:
        name: ``"auto"`` (a GPU if there is one, else the CPU) or a PyTorch device such as ``"cpu"``, ``"cuda:1"``.

    Raises:
        ValueError: the name is no device, or the device is not on this machine.
    """
    cuda_count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return "cuda" if cuda_count else "cpu"
    way_out = "set MODEL.DEVICE to 'auto' or 'cpu'"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"MODEL.DEVICE '{name}' is not a device name; {way_out}") from error
    if device.type == "cuda" and (device.index or 0) >= cuda_count:
        raise ValueError(f"MODEL.DEVICE '{name}' is not there: this machine shows {cuda_count} CUDA devices; {way_out}")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ValueError(f"MODEL.DEVICE '{name}' is not there: PyTorch finds no Apple GPU; {way_out}")
    return name


def _import_file(module_name: str, file_path: str, make_importable: bool = False) -> ModuleType:
    """Run a Python file as a module.

    Args:
        module_name: the name it gets.
        file_path: where it lies.
        make_importable: also enter it in ``sys.modules`` under that name.
    """
    spec = importlib.util.spec_from_file_location(module_name, file_path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file_path} cannot be imported: it is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if make_importable:
        sys.modules[module_name] = module
    return module


def _configure_libraries() -> None:
    """Keep OpenCV, where it is installed, from opening a GPU context in every data worker."""
    os.environ.setdefault("OPENCV_OPENCL_RUNTIME", "disabled")


def setup_environment() -> None:
    """Prepare the process once: library settings, then the module named by ``$DETECTRON2_ENV_MODULE``.

    Runs when the package is imported and returns at once on every later call.
    """
    global _ENV_SETUP_DONE
    if _ENV_SETUP_DONE:
        return
    _ENV_SETUP_DONE = True
    _configure_libraries()
    if custom_module := os.environ.get(CUSTOM_MODULE_VARIABLE):
        setup_custom_environment(custom_module)


def setup_custom_environment(custom_module: str) -> None:
    """Import a user's module and call its ``setup_environment()``.

    Args:
        custom_module: a path ending in ``.py`` or a dotted module name.

    Raises:
        ValueError: the module has no function ``setup_environment``.
    """
    if custom_module.endswith(".py"):
        module = _import_file("detectron2.utils.env.custom_module", custom_module)
    else:
        module = importlib.import_module(custom_module)
    setup = getattr(module, "setup_environment", None)
    if not callable(setup):
        raise ValueError(
            f"{custom_module} (from ${CUSTOM_MODULE_VARIABLE}) must define a function setup_environment() "
            "that takes no arguments"
        )
    setup()


def fixup_module_metadata(module_name: str, namespace: dict[str, Any], keys: Iterable[str] | None = None) -> None:
    """Let public objects name the package they are imported from as their ``__module__``.

    Args:
        module_name: the public module, usually its ``__name__``.
        namespace: its ``globals()``.
        keys: the public names; without them, all that do not begin with an underscore.
    """
    prefix = module_name + "."
    pending = [namespace[key] for key in (namespace if keys is None else keys) if not key.startswith("_")]
    while pending:
        obj = pending.pop()
        owner = getattr(obj, "__module__", None)
        # Objects of other packages keep their home; only submodules of this package are relabelled.
        if not isinstance(owner, str) or not owner.startswith(prefix) or isinstance(obj, ModuleType):
            continue
        obj.__module__ = module_name
        if isinstance(obj, type):
            pending.extend(member for name, member in vars(obj).items() if not name.startswith("__"))
