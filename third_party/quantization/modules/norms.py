"""Batch norms as what they are: one factor and one shift a channel."""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def split_norm(norm: nn.Module | None) -> tuple[nn.Module | None, Sequence[nn.Module]]:
    """The part of a layer's ``norm`` that is an affine map a channel, and the modules behind it.

    Returns:
        ``(batch_norm, rest)``: ``batch_norm`` is ``norm`` itself or the first of an ``nn.Sequential``, if it is a
        batch norm with running statistics or has ``fold(weight, bias)``, as frozen batch norms do; None otherwise,
        and then ``rest`` is all of ``norm``.
    """
    if norm is None:
        return None, ()
    first, rest = (norm[0], tuple(norm)[1:]) if isinstance(norm, nn.Sequential) and len(norm) else (norm, ())
    running = isinstance(first, _BatchNorm) and first.running_mean is not None
    if running or callable(getattr(first, "fold", None)):
        return first, rest
    return None, (norm,)


def running_affine(norm: nn.Module, channels: int) -> tuple[Tensor, Tensor]:
    """Factor and shift, both ``Tensor[C]``, of a norm that :func:`split_norm` found, by its running statistics."""
    if not isinstance(norm, _BatchNorm):
        like = next(iter([*norm.parameters(), *norm.buffers()]))
        return norm.fold(like.new_ones(channels), like.new_zeros(channels))  # type: ignore[operator]
    assert norm.running_mean is not None and norm.running_var is not None  # split_norm takes no others
    return affine(norm, norm.running_mean, (norm.running_var + norm.eps).rsqrt())


def batch_moments(norm: nn.Module, y: Tensor) -> tuple[Tensor, Tensor] | None:
    """Mean and inverse standard deviation of ``y``, ``Tensor[N, C, ...]``, if ``norm`` is in training; else None.

    Both are ``Tensor[C]`` with gradients. The running statistics move as in ``torch.nn.BatchNorm2d``.

    Raises:
        ValueError: one value a channel, which has no variance.
    """
    if not (isinstance(norm, _BatchNorm) and norm.training):
        return None
    mean, variance, count = _batch_statistics(y.float(), isinstance(norm, nn.SyncBatchNorm))
    if count <= 1:
        raise ValueError(f"batch norm in training needs more than one value a channel, got a tensor {tuple(y.shape)}")
    _move_running(norm, mean.detach(), variance.detach() * (count / (count - 1)))
    return mean, (variance + norm.eps).rsqrt()


def affine(norm: _BatchNorm, mean: Tensor, inverse_deviation: Tensor) -> tuple[Tensor, Tensor]:
    """Factor and shift, both ``Tensor[C]``, by which ``norm`` maps values of these moments."""
    factor = inverse_deviation if norm.weight is None else inverse_deviation * norm.weight
    shift = -mean * factor
    return factor, shift if norm.bias is None else shift + norm.bias


def batch_affine(norm: nn.Module, y: Tensor) -> tuple[Tensor, Tensor]:
    """Factor and shift, both ``Tensor[C]``, that ``norm`` applies to ``y``: of its own statistics while training."""
    moments = batch_moments(norm, y)
    if moments is None:
        return running_affine(norm, y.shape[1])
    assert isinstance(norm, _BatchNorm)
    return affine(norm, *moments)


def _batch_statistics(y: Tensor, synchronize: bool) -> tuple[Tensor, Tensor, float]:
    """Mean and biased variance of each channel, and the number of values behind them."""
    dims = [0, *range(2, y.dim())]
    count = float(y.numel() // y.shape[1])
    if not (synchronize and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        variance, mean = torch.var_mean(y, dims, correction=0)
        return mean, variance, count
    from torch.distributed.nn.functional import all_reduce

    sums = torch.cat([y.sum(dims), y.square().sum(dims), y.new_tensor([count])])
    sums = all_reduce(sums)
    total = sums[-1].detach()
    mean, square = (sums[:-1] / total).chunk(2)
    return mean, (square - mean.square()).clamp_min(0), float(total)


@torch.no_grad()
def _move_running(norm: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    assert norm.running_mean is not None and norm.running_var is not None and norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    momentum = 1.0 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), momentum)
    norm.running_var.lerp_(variance.to(norm.running_var.dtype), momentum)
