"""Rounding a weight so that what it gives on data stays, by linear algebra alone."""

from dataclasses import dataclass

import torch
from torch import Tensor

_COLUMNS_AT_A_TIME = 128


@dataclass(frozen=True)
class LevelRounding:
    """The nearest levels of weights, ``(clamp(round(w / step + zero), low, high) - zero) * step``.

    Attributes:
        step, zero: ``Tensor[G, N, K]``, or what spreads to it.
        low, high: numbers of the outermost levels.
    """

    step: Tensor
    zero: Tensor
    low: int
    high: int

    def __call__(self, values: Tensor, column: int) -> Tensor:
        """Values of one column, ``Tensor[G, N]``, at their levels."""
        step, zero = self.step[:, :, column], self.zero[:, :, column]
        return ((values / step + zero).round().clamp(self.low, self.high) - zero) * step


def gptq(
    weight: Tensor, second: Tensor, cross: Tensor, rounding: LevelRounding, *, damping: float = 0.01, sweeps: int = 4
) -> Tensor:
    """Levels Q of least squared error of ``Q q`` against ``W f``, q and f an input as it is and as it should be.

    Columns are rounded one by one, those of the largest inputs first, and the columns still to come make up for the
    error in the least-squares sense (GPTQ, arXiv 2210.17323, algorithm 1), here of the error against the *float*
    input's output, which takes out what layers before got wrong, too. Then each column in turn goes to the level that
    is best beside all others, which cannot make the error larger (coordinate descent, as in COMQ, arXiv 2403.07134).

    Args:
        weight: W, ``Tensor[G, N, K]``: groups, outputs of each, inputs of each.
        second: mean of ``q q^T``, ``Tensor[G, K, K]``.
        cross: mean of ``q f^T``, in the same shape.
        rounding: to levels.
        damping: share of the mean of ``second``'s diagonal that pulls weights to where they were; it settles inputs
            that data say little about.
        sweeps: of the coordinate descent at most; 0 for none.

    Returns:
        Q, in the shape of ``weight``.
    """
    sizes = second.diagonal(dim1=1, dim2=2)
    order = sizes.mean(0).argsort(descending=True)
    second, pull = _positive(second, (damping * sizes.mean(1)).clamp_min(1e-12)[:, None, None])
    target = (weight @ cross.mT + pull * weight)[:, :, order]
    second = second[:, order][:, :, order]
    levels = _one_after_the_other(target, second, rounding, order)
    for _ in range(sweeps):
        if not _descend(levels, target, second, rounding, order):
            break
    return torch.empty_like(levels).index_copy_(2, order, levels)


def squared_errors(levels: Tensor, weight: Tensor, second: Tensor, cross: Tensor) -> Tensor:
    """Mean squared error of each output of ``Q q`` against ``W f``, less its mean square there, ``Tensor[G, N]``."""
    return (levels * (levels @ second - 2 * (weight @ cross.mT))).sum(2)


def _positive(second: Tensor, pull: Tensor) -> tuple[Tensor, Tensor]:
    """``second + pull`` on its diagonal, and the pull, stronger where rounding has left no positive definite matrix."""
    unit = torch.eye(second.shape[-1], dtype=second.dtype, device=second.device)
    while bool((failed := torch.linalg.cholesky_ex(second + pull * unit).info > 0).any()):
        pull = torch.where(failed[:, None, None], 10 * pull, pull)
    return second + pull * unit, pull


def _one_after_the_other(target: Tensor, second: Tensor, rounding: LevelRounding, order: Tensor) -> Tensor:
    # second = R R^T with R upper triangular, so that its inverse is U^T U with U = R^-1, without being made.
    factor = torch.linalg.cholesky(second.flip(1, 2)).flip(1, 2)
    unit = torch.eye(second.shape[-1], dtype=second.dtype, device=second.device)
    upper = torch.linalg.solve_triangular(factor, unit, upper=True)
    rest = (target @ upper.mT) @ upper  # the best weights, were they free
    levels = torch.empty_like(rest)
    columns = order.tolist()
    for begin, end in _spans(len(columns)):
        shares = torch.empty_like(rest[:, :, begin:end])
        for k in range(begin, end):
            levels[:, :, k] = rounding(rest[:, :, k], columns[k])
            share = (rest[:, :, k] - levels[:, :, k]) / upper[:, k, k, None]
            rest[:, :, k + 1 : end] -= share[:, :, None] * upper[:, None, k, k + 1 : end]
            shares[:, :, k - begin] = share
        rest[:, :, end:] -= shares @ upper[:, begin:end, end:]
    return levels


def _descend(levels: Tensor, target: Tensor, second: Tensor, rounding: LevelRounding, order: Tensor) -> bool:
    """One sweep, in place; whether anything changed."""
    slope = target - levels @ second
    columns, changed = order.tolist(), False
    for begin, end in _spans(len(columns)):
        steps = torch.zeros_like(slope[:, :, begin:end])
        for k in range(begin, end):
            size = second[:, k, k, None]
            best = rounding(levels[:, :, k] + slope[:, :, k] / size, columns[k])
            step = best - levels[:, :, k]
            levels[:, :, k] = best
            slope[:, :, k:end] -= step[:, :, None] * second[:, None, k, k:end]
            steps[:, :, k - begin] = step
        changed = changed or bool(steps.any())
        slope[:, :, end:] -= steps @ second[:, begin:end, end:]
    return changed


def _spans(count: int) -> list[tuple[int, int]]:
    starts = range(0, count, _COLUMNS_AT_A_TIME)
    return [(begin, min(begin + _COLUMNS_AT_A_TIME, count)) for begin in starts]
