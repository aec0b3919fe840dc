"""LQ-Nets (arXiv 1807.10029): levels are sums of a basis that least squares fits to the data."""

import torch
from torch import Tensor

from ..functional.groups import from_groups, group_mean, to_groups
from ..functional.surrogates import straight_through
from ..grids import CodebookGrid, Grid
from ..spec.methods import LQNetSpec
from ..spec.roles import Role
from .quantizer import Quantizer
from .registry import register

SMALLEST = 1e-8
_FIRST_ITERATIONS = 8
# Weight of the old basis in a fit, as a share of the number of values: decides only what the data leave open.
_RIDGE = 1e-6


@register(LQNetSpec)
class LQNet(Quantizer):
    """Each value becomes the nearest of the ``2 ** b`` sums ``v . e``.

    e in {-1, 1}^b for tensors with negative values (equation 3), in {0, 1}^b without. In training the basis follows
    the data by the paper's quantization error minimization (QEM, section 3.2): in turn, values are encoded by their
    nearest level (thresholds midway, equation 5) and the basis becomes ``(B^T B)^-1 B^T x`` (equation 6),
    ``spec.iterations`` times from the present basis v; then ``v <- momentum v + (1 - momentum) v_new``. The moving
    average quantizes, in training as later. No gradient reaches it.

    Gradient of x (section 3.3): that of the result, for activations only between the outermost levels.

    ``B^T B`` and ``B^T x`` are sums over levels of counts and totals, so B itself is never formed; counts and totals
    are added up over all processes, which therefore keep the same basis.

    Attributes:
        basis: buffer, ``Tensor[4]`` or ``Tensor[G, 4]``, of which the first ``bits`` are in use.
    """

    spec: LQNetSpec
    basis: Tensor

    def __init__(self, spec: LQNetSpec, role: Role, num_channels: int | None = None, channel_axis: int = 0) -> None:
        super().__init__(spec, role, num_channels, channel_axis)
        self.register_buffer("basis", torch.zeros(*self.group_shape(), spec.supported_bits[-1]))
        self._set_basis(self._even_basis(torch.ones(self.num_groups)))

    # -- basis and levels ----------------------------------------------------------------------------------------

    def _get_basis(self) -> Tensor:
        """``Tensor[G, b]``."""
        return self.basis.view(self.num_groups, -1)[:, : self.bits]

    def _set_basis(self, basis: Tensor) -> None:
        self.basis.zero_()
        self._get_basis().copy_(basis)

    def _even_basis(self, top: Tensor) -> Tensor:
        """The basis of evenly spaced levels, the highest at ``top``, ``Tensor[G]``."""
        powers = 2.0 ** torch.arange(self.bits, device=top.device)
        return top[:, None] * powers / powers.sum()

    def _encodings(self, basis: Tensor) -> tuple[Tensor, Tensor]:
        """Levels in increasing order, ``Tensor[G, L]``, and their encodings e, ``Tensor[G, L, b]``."""
        numbers = torch.arange(2**self.bits, device=basis.device)
        digits = (numbers[:, None] >> torch.arange(self.bits, device=basis.device)) & 1
        encodings = (digits * 2 - 1 if self.signed else digits).to(basis.dtype)
        levels, order = (basis @ encodings.T).sort(dim=1, stable=True)
        return levels, encodings[order]

    def _encode(self, rows: Tensor, levels: Tensor) -> Tensor:
        """Numbers of the nearest levels, counted on over the groups: int32 ``Tensor[G, N]`` in [0, G L)."""
        thresholds = (levels[:, :-1] + levels[:, 1:]) / 2
        codes = torch.searchsorted(thresholds, rows.contiguous(), right=True, out_int32=True)
        return codes + levels.shape[1] * torch.arange(len(levels), device=rows.device, dtype=torch.int32)[:, None]

    # -- fitting -------------------------------------------------------------------------------------------------

    def _fit(self, rows: Tensor, basis: Tensor, iterations: int) -> Tensor:
        """Alternate ``iterations`` times; the old basis stands where the data have no say or are not finite."""
        values = rows.double().flatten()
        for _ in range(iterations):
            levels, encodings = self._encodings(basis)
            index = self._encode(rows, levels).flatten()
            totals = torch.zeros(levels.numel(), dtype=torch.float64, device=rows.device)
            counts = torch.bincount(index, minlength=levels.numel()).double()
            totals.index_add_(0, index, values)
            if not self._has_data:
                counts.zero_()
            counts, totals = self.over_processes(torch.stack([counts, totals])).view(2, *levels.shape)
            basis = _least_squares(encodings.double(), counts, totals, basis)
        return basis

    def rescale(self, bits_before: int) -> None:
        """Evenly spaced levels with the same highest one, until the next fit."""
        before = self.basis.view(self.num_groups, -1)[:, :bits_before]
        self._set_basis(self._even_basis(before.abs().sum(1).clamp_min(SMALLEST)))

    def initialize(self, x: Tensor) -> None:
        """From even levels reaching to twice the root mean square, refined; later batches are averaged in."""
        rows = to_groups(x, self.num_groups, self.axis)
        if self.initialized:
            fitted = self._fit(rows, self._get_basis(), self.spec.iterations)
        else:
            square = self.average(group_mean(rows.square(), self.num_groups, 0), torch.zeros(()))
            fitted = self._fit(rows, self._even_basis(2 * square.sqrt().clamp_min(SMALLEST)), _FIRST_ITERATIONS)
        self._set_basis(self.average(fitted, self._get_basis()))

    @torch.no_grad()
    def _follow(self, rows: Tensor) -> None:
        basis = self._get_basis()
        fitted = self._fit(rows, basis, self.spec.iterations)
        self._set_basis(basis * self.spec.momentum + fitted * (1 - self.spec.momentum))

    # -- use -----------------------------------------------------------------------------------------------------

    def quantize(self, x: Tensor) -> Tensor:
        """See the class."""
        values = x.detach().float()
        rows = to_groups(values, self.num_groups, self.axis)
        if self.training and not self.frozen:
            self._follow(rows)
        levels, _ = self._encodings(self._get_basis())
        index = self._encode(rows, levels)
        quantized = levels.flatten().index_select(0, index.flatten()).view_as(rows)
        quantized.masked_fill_(rows != rows, float("nan"))
        inside = None
        if self.role is Role.ACTIVATION:
            inside = from_groups((rows >= levels[:, :1]) & (rows <= levels[:, -1:]), x, self.axis)
        return straight_through(x, from_groups(quantized, x, self.axis).to(x.dtype), inside)

    def grid(self) -> Grid:
        """A codebook: sums of a fitted basis are unevenly spaced, so no single scale carries them."""
        levels, _ = self._encodings(self._get_basis())
        return CodebookGrid(levels if self.axis is not None else levels[0], self.bits, self.axis)


def _least_squares(encodings: Tensor, counts: Tensor, totals: Tensor, basis: Tensor) -> Tensor:
    """The basis that minimises the squared error, and deviates least from ``basis`` where that leaves it open.

    Args:
        encodings: e of each level, ``Tensor[G, L, b]``, float64.
        counts, totals: number and sum of the values at each level, ``Tensor[G, L]``, float64.
        basis: ``Tensor[G, b]``.
    """
    ridge = _RIDGE * counts.sum(1, keepdim=True).clamp_min(1)
    normal = encodings.mT @ (counts[..., None] * encodings)
    right = (encodings.mT @ totals[..., None]).squeeze(-1) + ridge * basis.double()
    identity = torch.eye(basis.shape[1], dtype=torch.float64, device=basis.device)
    fitted = torch.linalg.solve_ex(normal + ridge[..., None] * identity, right).result.to(basis.dtype)
    return torch.where(fitted.isfinite().all(1, keepdim=True), fitted, basis)
