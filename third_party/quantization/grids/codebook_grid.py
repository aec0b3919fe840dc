"""Levels that are listed: learned or otherwise unevenly spaced."""

import torch
from torch import Tensor

from .grid import Grid, refuse_nan


class CodebookGrid(Grid):
    """``value = levels[code]``; a value halfway between two levels takes the upper one.

    Args:
        levels: in increasing order, ``Tensor[L]``, or ``Tensor[G, L]`` for G groups of channels along ``axis``.
        bits: width; ``L <= 2 ** bits``.
        axis: dimension of the groups.
        scale, zero_point: state that the levels are evenly spaced: ``levels[code] == (code - zero_point) * scale``,
            exactly. Then Q/DQ nodes can carry them. ``Tensor[]`` or ``Tensor[G]``.

    Raises:
        ValueError: levels are not in order, too many, or not what ``scale`` and ``zero_point`` say.
    """

    def __init__(
        self,
        levels: Tensor,
        bits: int,
        axis: int | None = None,
        *,
        scale: Tensor | None = None,
        zero_point: Tensor | None = None,
    ) -> None:
        self._levels = levels.detach().float().clone()
        self.bits, self.axis = bits, axis
        count = levels.shape[-1]
        if levels.dim() != (1 if axis is None else 2):
            raise ValueError(f"levels of shape {tuple(levels.shape)} with axis {axis}: (L,) without, (G, L) with one")
        if not 2 <= count <= 2**bits:
            raise ValueError(f"{count} levels: {bits} bits count 2 to {2**bits}")
        if bool((self._levels.diff(dim=-1) < 0).any()):
            raise ValueError("levels of a codebook must be in increasing order")
        if (scale is None) != (zero_point is None):
            raise ValueError("scale and zero_point of a codebook are given both or neither")
        if scale is not None and zero_point is not None:
            self.scale = scale.detach().float().clone()
            self.zero_point = zero_point.detach().round().int()
            codes = torch.arange(count, device=levels.device)
            stated = (codes - self.zero_point[..., None]).float() * self.scale[..., None]
            if not torch.equal(stated.expand_as(self._levels), self._levels):
                raise ValueError("levels of a codebook are not (code - zero_point) * scale, as stated")

    @property
    def code_range(self) -> tuple[int, int]:
        return 0, self._levels.shape[-1] - 1

    def codes(self, x: Tensor) -> Tensor:
        refuse_nan(x)
        boundaries = (self._levels[..., :-1] + self._levels[..., 1:]) / 2
        rows = self._rows(x.float())
        return self._unrows(torch.searchsorted(boundaries, rows.contiguous(), right=True, out_int32=True), x)

    def values(self, codes: Tensor) -> Tensor:
        if self.axis is None:
            return self._levels[codes.long()]
        return self._unrows(self._levels.gather(1, self._rows(codes.long())), codes)

    def levels(self) -> Tensor:
        return self._levels.clone()

    @property
    def has_zero(self) -> bool:
        return bool((self._levels == 0).any(dim=-1).all())

    @property
    def refusal(self) -> str | None:
        if self.scale is not None:
            return None
        return "its levels are a list (a codebook), not whole multiples of one scale"

    def _rows(self, x: Tensor) -> Tensor:
        """One row for each group, as searching and gathering want it; ``x`` itself without groups."""
        if self.axis is None:
            return x
        return x.movedim(self.axis, 0).reshape(self._levels.shape[0], -1)

    def _unrows(self, rows: Tensor, like: Tensor) -> Tensor:
        if self.axis is None:
            return rows
        return rows.reshape(like.movedim(self.axis, 0).shape).movedim(0, self.axis)
