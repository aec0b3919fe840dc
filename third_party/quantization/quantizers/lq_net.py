"""LQ-Nets (arXiv 1807.10029): levels are sums of a basis that least squares fits to the data."""

import torch
from torch import Tensor

from ..functional.basis import basis_levels, even_basis, least_squares_basis, level_totals, nearest_levels
from ..functional.groups import from_groups, group_mean, to_groups
from ..functional.surrogates import straight_through
from ..grids import CodebookGrid, Grid
from ..grids.levels import SMALLEST_STEP
from ..spec import LQNetSpec, Role
from .quantizer import Quantizer
from .registry import register

_FIRST_ITERATIONS = 8


@register(LQNetSpec)
class LQNet(Quantizer):
    """Each value becomes the nearest of the ``2 ** b`` sums ``v . e``.

    e in {-1, 1}^b for tensors with negative values (equation 3), in {0, 1}^b without. In training the basis follows
    the data by the paper's quantization error minimization (QEM, section 3.2): in turn, values are encoded by their
    nearest level (thresholds midway, equation 5) and the basis becomes ``(B^T B)^-1 B^T x`` (equation 6),
    ``spec.iterations`` times from the present basis v; then ``v <- momentum v + (1 - momentum) v_new``. The moving
    average quantizes, in training as later. No gradient reaches it. Counts and totals of activations are added up
    over all processes, which therefore keep the same basis.

    Gradient of x (section 3.3): that of the result, for activations only between the outermost levels.

    Attributes:
        basis: buffer, ``Tensor[4]`` or ``Tensor[G, 4]``, of which the first ``bits`` are in use.
    """

    spec: LQNetSpec
    basis: Tensor

    def __init__(self, spec: LQNetSpec, role: Role, num_channels: int | None = None, channel_axis: int = 0) -> None:
        super().__init__(spec, role, num_channels, channel_axis)
        self.register_buffer("basis", torch.zeros(*self.group_shape(), spec.supported_bits[-1]))
        self._set_basis(even_basis(torch.ones(self.num_groups), self.bits))

    def _get_basis(self) -> Tensor:
        """``Tensor[G, b]``."""
        return self.basis.view(self.num_groups, -1)[:, : self.bits]

    def _set_basis(self, basis: Tensor) -> None:
        # A copy first: the new basis may be a view of the buffer.
        values = basis.clone()
        self.basis.zero_()
        self._get_basis().copy_(values)

    @torch.no_grad()
    def _fit(self, rows: Tensor, basis: Tensor, iterations: int) -> Tensor:
        """The basis after some alternations of encoding and least squares."""
        values = rows.double().flatten()
        for _ in range(iterations):
            levels, encodings = basis_levels(basis, self.signed)
            totals = level_totals(nearest_levels(rows, levels).flatten(), values, levels)
            totals = self.over_processes(totals if self._has_data else torch.zeros_like(totals))
            basis = least_squares_basis(encodings, totals, basis)
        return basis

    def rescale(self, bits_before: int) -> None:
        """Evenly spaced levels with the same highest one, until the next fit."""
        before = self.basis.view(self.num_groups, -1)[:, :bits_before]
        self._set_basis(even_basis(before.abs().sum(1).clamp_min(SMALLEST_STEP), self.bits))

    def initialize(self, x: Tensor) -> None:
        """From even levels up to twice the root mean square or the maximum, refined; later batches are averaged in."""
        rows = to_groups(x, self.num_groups, self.axis)
        if self.initialized:
            fitted = self._fit(rows, self._get_basis(), self.spec.iterations)
        else:
            reach = 2 * group_mean(rows.square(), self.num_groups, 0).sqrt()
            top = self.average(torch.minimum(reach, rows.abs().amax(1)), torch.zeros_like(reach))
            fitted = self._fit(rows, even_basis(top.clamp_min(SMALLEST_STEP), self.bits), _FIRST_ITERATIONS)
        self._set_basis(self.average(fitted, self._get_basis()))

    def quantize(self, x: Tensor) -> Tensor:
        """See the class."""
        rows = to_groups(x.detach().float(), self.num_groups, self.axis)
        if self.training and not self.frozen:
            basis = self._get_basis()
            fitted = self._fit(rows, basis, self.spec.iterations)
            self._set_basis(basis * self.spec.momentum + fitted * (1 - self.spec.momentum))
        levels, _ = basis_levels(self._get_basis(), self.signed)
        index = nearest_levels(rows, levels).flatten()
        quantized = levels.flatten().index_select(0, index).view_as(rows).masked_fill_(rows != rows, float("nan"))
        inside = None
        if self.role is Role.ACTIVATION:
            inside = from_groups((rows >= levels[:, :1]) & (rows <= levels[:, -1:]), x, self.axis)
        return straight_through(x, from_groups(quantized, x, self.axis).to(x.dtype), inside)

    def grid(self) -> Grid:
        """A codebook: sums of a fitted basis are unevenly spaced, so no single scale carries them."""
        levels, _ = basis_levels(self._get_basis(), self.signed)
        return CodebookGrid(levels if self.axis is not None else levels[0], self.bits, self.axis)
