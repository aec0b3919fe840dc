"""A converted model as a list of operations on integers."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .code_grid import CodeGrid
from .operations import Operation, Weighted
from .placement import device_of, placed, resolve
from .sizes import Size, bind, describe


@dataclass(frozen=True)
class QuantizedTensor:
    """Where the program has a tensor that the model put on a grid.

    Attributes:
        tensor: name of the program's tensor of codes.
        grid: what its codes stand for.
        layer: qualified name of the module that put it there.
    """

    tensor: str
    grid: CodeGrid
    layer: str


@dataclass(frozen=True)
class ProgramInput:
    """An input tensor.

    Attributes:
        name: as in the model's ``forward``.
        shape: its sizes; those that may vary are symbols or multiples of one (:mod:`.sizes`).
        dtype: its type, as ``torch`` names it.
    """

    name: str
    shape: tuple[Size, ...]
    dtype: str


class Execution(NamedTuple):
    """Results of a run.

    Attributes:
        outputs: the model's outputs, in the order of its graph; nested ones flat.
        taps: int32 codes of the quantized tensors asked for, by name.
    """

    outputs: list[Tensor]
    taps: dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class IntegerProgram:
    """Operations in their order, between float inputs and float outputs.

    Attributes:
        inputs: what the program is given.
        operations: every operation stands behind those whose tensors it reads.
        outputs: names of the tensors that are its results.
        quantized: the model's quantized tensors by the name of their node in the traced graph.
    """

    inputs: tuple[ProgramInput, ...]
    operations: tuple[Operation, ...]
    outputs: tuple[str, ...]
    quantized: Mapping[str, QuantizedTensor]

    @torch.no_grad()
    def execute(self, inputs: Sequence[Tensor], backend: str = "integer", taps: Iterable[str] = ()) -> Execution:
        """Run the program where its inputs are: on the CPU, or on an NVIDIA GPU with the kernels of :mod:`.gpu`.

        Args:
            inputs: a tensor for each of ``self.inputs``, on one device.
            backend: "integer": integers only; "simulation": whole numbers in float64, on the CPU; "triton": integers
                with the GPU's kernels, which "integer" uses on CUDA where they are there. All give the same numbers.
            taps: names in ``self.quantized`` whose codes are wanted.

        Raises:
            ValueError: an unknown backend or tap, or inputs of another number, shape, type or device.
            FloatingPointError: an input holds NaN.
        """
        device = device_of(inputs)
        arithmetic, kernels = resolve(backend, device)
        wanted = {name: self._quantized(name).tensor for name in taps}
        symbols, tensors = self._bind(inputs), {f"%{i}": x for i, x in enumerate(inputs)}
        kept = frozenset((*self.outputs, *wanted.values()))
        operations = self._operations(device, kernels, kept)
        for operation, unneeded in zip(operations, _last_uses(operations, kept), strict=True):
            tensors[operation.output] = operation.run(arithmetic, [tensors[name] for name in operation.inputs], symbols)
            for name in unneeded:
                del tensors[name]
        return Execution(
            [tensors[name] for name in self.outputs], {name: tensors[source].int() for name, source in wanted.items()}
        )

    def save(self, path: str | PathLike[str]) -> None:
        """Write the program to one file, weights at their bits; the file appears whole or not at all."""
        from .storage import save

        save(self, path)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "IntegerProgram":
        """Read a file of :meth:`save`; nothing in it is executed.

        Raises:
            ValueError: it is not such a file, or of another version.
        """
        from .storage import load

        return load(path)

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weights at their bits."""
        return sum(operation.weight.data.numel() for operation in self.operations if isinstance(operation, Weighted))

    def __str__(self) -> str:
        counts: dict[str, int] = {}
        for operation in self.operations:
            counts[type(operation).__name__] = counts.get(type(operation).__name__, 0) + 1
        listed = ", ".join(f"{count} {name}" for name, count in counts.items())
        return f"integer program of {listed}; {self.weight_bytes / 1024:.1f} KiB of weights"

    def _quantized(self, name: str) -> QuantizedTensor:
        if name not in self.quantized:
            known = ", ".join(list(self.quantized)[:5])
            raise ValueError(f"{name!r} is no quantized tensor of this program; it has {known}, ...")
        return self.quantized[name]

    def _bind(self, inputs: Sequence[Tensor]) -> dict[str, int]:
        """Check inputs; the sizes that their symbols stand for."""
        if len(inputs) != len(self.inputs):
            names = ", ".join(info.name for info in self.inputs)
            raise ValueError(f"the program takes {len(self.inputs)} tensors ({names}), got {len(inputs)}")
        symbols: dict[str, int] = {}
        for info, x in zip(self.inputs, inputs, strict=True):
            fits = len(info.shape) == x.dim() and all(
                bind(size, n, symbols) for size, n in zip(info.shape, x.shape, strict=True)
            )
            if not fits or str(x.dtype) != f"torch.{info.dtype}":
                raise ValueError(
                    f"input {info.name!r} is {info.dtype} of shape ({', '.join(map(describe, info.shape))}), got "
                    f"{x.dtype} of {tuple(x.shape)}"
                )
        return symbols

    @cached_property
    def _ready(self) -> dict[Any, tuple[Operation, ...]]:
        """Operations on other devices, and with kernels, by what they were made for."""
        return {}

    def _operations(self, device: torch.device, kernels: bool, kept: frozenset[str]) -> tuple[Operation, ...]:
        """The operations of a run; made once for each device and set of wanted tensors."""
        if device.type == "cpu" and not kernels:
            return self.operations
        if device not in self._ready:
            self._ready[device] = placed(self.operations, device)
        if not kernels:
            return self._ready[device]
        if (device, kept) not in self._ready:
            from .gpu.plan import plan

            self._ready[device, kept] = plan(self._ready[device], kept)
        return self._ready[device, kept]


def _last_uses(operations: Sequence[Operation], kept: Set[str]) -> list[list[str]]:
    """For each operation the tensors that nothing behind it needs, other than those to be kept."""
    seen, result = set(kept), []
    for operation in reversed(operations):
        last = {*operation.inputs, operation.output} - seen
        seen |= last
        result.append(sorted(last))
    return result[::-1]
