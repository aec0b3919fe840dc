"""Levels that are sums of a basis, and the basis that fits data best (LQ-Nets, arXiv 1807.10029, section 3.2)."""

import torch
from torch import Tensor

# Weight of the old basis in a fit, as a share of the number of values: decides only what the data leave open.
_RIDGE = 1e-6
# Levels closer than this share of their span count as one level.
_SAME = 1e-5


def even_basis(top: Tensor, bits: int) -> Tensor:
    """The basis of evenly spaced levels, ``Tensor[G, b]``, the highest level at ``top``, ``Tensor[G]``."""
    powers = 2.0 ** torch.arange(bits, device=top.device)
    return top[:, None] * powers / powers.sum()


def basis_levels(basis: Tensor, signed: bool) -> tuple[Tensor, Tensor]:
    """All sums ``v . e``, e in {-1, 1}^b, or {0, 1}^b unless ``signed``.

    Args:
        basis: v of each group, ``Tensor[G, b]``.

    Returns:
        the ``L = 2 ** b`` levels in increasing order, ``Tensor[G, L]``, and their e, ``Tensor[G, L, b]``.
    """
    bits = basis.shape[1]
    numbers = torch.arange(2**bits, device=basis.device)
    digits = (numbers[:, None] >> torch.arange(bits, device=basis.device)) & 1
    encodings = (digits * 2 - 1 if signed else digits).to(basis.dtype)
    levels, order = (basis @ encodings.T).sort(dim=1, stable=True)
    return levels, encodings[order]


def nearest_levels(rows: Tensor, levels: Tensor) -> Tensor:
    """Numbers of the nearest levels, counted on over the groups; halfway, the upper one.

    Args:
        rows: ``Tensor[G, N]``.
        levels: increasing, ``Tensor[G, L]``.

    Returns:
        int32 ``Tensor[G, N]`` with values in [0, G L): indices into ``levels.flatten()``.
    """
    thresholds = (levels[:, :-1] + levels[:, 1:]) / 2
    codes = torch.searchsorted(thresholds, rows.contiguous(), right=True, out_int32=True)
    return codes + levels.shape[1] * torch.arange(len(levels), device=rows.device, dtype=torch.int32)[:, None]


def level_totals(index: Tensor, values: Tensor, levels: Tensor) -> Tensor:
    """How many values each level has, and their sum: float64 ``Tensor[2, G, L]``.

    Args:
        index: from :func:`nearest_levels`, flat.
        values: float64, flat.
    """
    counts = torch.bincount(index, minlength=levels.numel()).double()
    sums = torch.zeros_like(counts).index_add_(0, index, values)
    return torch.stack([counts, sums]).view(2, *levels.shape)


def least_squares_basis(encodings: Tensor, totals: Tensor, basis: Tensor) -> Tensor:
    """``(B^T B)^-1 B^T x`` (equation 6), B holding the encoding of every value of x.

    Both products are sums over levels, so B is never formed. Where the data leave the basis open (fewer encodings
    occur than it has entries) it deviates from ``basis`` as little as possible. The present basis stays where data
    are not finite, or draw two levels together, as those of many zeros do: they would hardly part again.

    Args:
        encodings: e of each level, ``Tensor[G, L, b]``.
        totals: from :func:`level_totals`.
        basis: the present one, ``Tensor[G, b]``.
    """
    e = encodings.double()
    counts, sums = totals
    ridge = _RIDGE * counts.sum(1, keepdim=True).clamp_min(1)
    identity = torch.eye(basis.shape[1], dtype=torch.float64, device=basis.device)
    normal = e.mT @ (counts[..., None] * e) + ridge[..., None] * identity
    right = (e.mT @ sums[..., None]).squeeze(-1) + ridge * basis.double()
    fitted = torch.linalg.solve_ex(normal, right).result.to(basis.dtype)
    gaps = (encodings @ fitted[..., None]).squeeze(-1).sort(dim=1).values.diff(dim=1)
    apart = gaps.amin(1, keepdim=True) > _SAME * gaps.sum(1, keepdim=True)
    return torch.where(apart & fitted.isfinite().all(1, keepdim=True), fitted, basis)
