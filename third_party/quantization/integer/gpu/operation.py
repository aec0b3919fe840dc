"""A weighted layer with what follows it, as one launch of a kernel."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from ..arithmetic.base import Arithmetic, Window
from ..operations import Convolution, LookUp, Operation, Rescale, Weighted
from .launch import Kernel, Requantization, convolve


@dataclass(frozen=True, eq=False, kw_only=True)
class KernelOperation(Operation):
    """A convolution or linear layer, with its requantization and a table where these alone read its result.

    It is made for runs, and is no part of a file. Transposed convolutions, and codes or weights of more than 8 bits
    (unless depthwise), take the plain steps.

    Attributes:
        weighted: the layer.
        rescale: its requantization; None: the int32 sums are the result.
        look_up: the table behind that.
    """

    weighted: Weighted
    rescale: Rescale | None = None
    look_up: LookUp | None = None
    _kernels: dict[torch.dtype, Kernel | None] = field(default_factory=dict, init=False)

    def run(self, arithmetic: Arithmetic, inputs: list[Tensor], symbols: Mapping[str, int]) -> Tensor:
        codes = inputs[0]
        kernel = self._kernel(codes.dtype)
        if kernel is None:
            return self._in_steps(arithmetic, codes, symbols)
        if isinstance(self.weighted, Convolution):
            return convolve(codes, kernel, self._window, self._requantization)
        rows = codes.reshape(1, -1, 1, codes.shape[-1]).permute(0, 3, 1, 2)
        out = convolve(rows, kernel, self._window, self._requantization)
        return out.permute(0, 2, 3, 1).reshape(*codes.shape[:-1], out.shape[1])

    def _in_steps(self, arithmetic: Arithmetic, codes: Tensor, symbols: Mapping[str, int]) -> Tensor:
        for part in self.parts:
            codes = part.run(arithmetic, [codes], symbols)
        return codes

    @property
    def parts(self) -> tuple[Operation, ...]:
        """The operations that it stands for."""
        return tuple(part for part in (self.weighted, self.rescale, self.look_up) if part is not None)

    @property
    def _window(self) -> Window:
        return self.weighted.window if isinstance(self.weighted, Convolution) else Window()

    def _kernel(self, codes: torch.dtype) -> Kernel | None:
        if codes not in self._kernels:
            weight = self.weighted.operand
            weight = weight if weight.dim() == 4 else weight[:, :, None, None]
            taken = not self._window.transposed
            self._kernels[codes] = Kernel.of(weight, self.weighted.zeros, self._window, codes) if taken else None
        return self._kernels[codes]

    @cached_property
    def _requantization(self) -> Requantization | None:
        rescale = self.rescale
        if rescale is None:
            return None
        outputs = self.weighted.operand.shape[0]
        c, d, b = (
            values.repeat_interleave(outputs // values.shape[0]).contiguous()
            for values in (rescale.c[0], rescale.d, rescale.b)
        )
        look_up, grid = self.look_up, rescale.grid
        finish = Requantization(c, d, b, rescale.low, rescale.high, grid.half, grid.dtype)
        if look_up is None:
            return finish
        return replace(finish, table=look_up.table, first=look_up.first, stride=look_up.stride)
