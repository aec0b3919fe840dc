"""Operations on a device, and who computes there."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from . import gpu
from .arithmetic import ARITHMETICS, Arithmetic
from .operations import Operation
from .packing import PackedCodes

# Executors by name: those of ARITHMETICS, and integers with the kernels of :mod:`.gpu`.
KERNELS = "triton"
BACKENDS = (*ARITHMETICS, KERNELS)


def device_of(inputs: Sequence[Tensor]) -> torch.device:
    """The one device of a program's inputs.

    Raises:
        ValueError: they are on several.
    """
    devices = {x.device for x in inputs}
    if len(devices) > 1:
        raise ValueError(f"the inputs of a program must be on one device, got {', '.join(sorted(map(str, devices)))}")
    return devices.pop() if devices else torch.device("cpu")


def resolve(backend: str, device: torch.device) -> tuple[Arithmetic, bool]:
    """How a backend computes on a device, and whether weighted layers run as GPU kernels.

    Raises:
        ValueError: an unknown backend, or one that does not run there.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend {backend!r} of an integer program: allowed are {', '.join(BACKENDS)}")
    if backend == "simulation" and device.type != "cpu":
        raise ValueError(f"backend 'simulation' runs on the CPU, got inputs on {device}")
    if backend == KERNELS:
        if gpu.problem():
            raise ValueError(f"backend {KERNELS!r} is not there: {gpu.problem()}; allowed is 'integer'")
        if device.type != "cuda" and not gpu.interpreted():
            raise ValueError(f"backend {KERNELS!r} takes inputs on CUDA, got {device}; there 'integer' runs")
    kernels = backend == KERNELS or (backend == "integer" and device.type == "cuda" and not gpu.problem())
    return ARITHMETICS["integer" if backend == KERNELS else backend](device), kernels


def placed(operations: Sequence[Operation], device: torch.device) -> tuple[Operation, ...]:
    """Operations with their tensors on a device."""
    return tuple(_moved(operation, device) for operation in operations)


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, (Operation, PackedCodes)):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **{name: _moved(item, device) for name, item in fields.items()})
    return value
