"""Normalisation layers, and ``get_norm``, which makes one from its name in a config."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detectron2.layers.frozen_batch_norm import FrozenBatchNorm2d
from detectron2.layers.sync_batch_norm import NaiveSyncBatchNorm, differentiable_all_reduce

__all__ = [
    "CycleBatchNormList",
    "FrozenBatchNorm2d",
    "LayerNorm",
    "NaiveSyncBatchNorm",
    "differentiable_all_reduce",
    "get_norm",
]


class LayerNorm(nn.Module):
    """Layer normalisation of every pixel over its channels (ConvNeXt, section 2.6; ViTDet's convolutions)."""

    def __init__(self, normalized_shape: int, eps: float = 1e-6) -> None:
        """
        Args:
            normalized_shape: channels of the input.
            eps: added to the variance.
        """
        super().__init__()
        self.weight = nn.Parameter(torch.ones(normalized_shape))
        self.bias = nn.Parameter(torch.zeros(normalized_shape))
        self.eps = eps
        self.normalized_shape = (normalized_shape,)

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, C, H, W]`` -> the same shape."""
        channels_last = x.permute(0, 2, 3, 1)
        return F.layer_norm(channels_last, self.normalized_shape, self.weight, self.bias, self.eps).permute(0, 3, 1, 2)


class CycleBatchNormList(nn.ModuleList):
    """Batch norms that share weight and bias but keep statistics of their own, one for each pyramid level.

    A head that runs over every level normalises each with that level's statistics. ``at_level`` names the level;
    calling the module takes the levels in turn, and so relies on being called once for each of them.
    """

    def __init__(self, length: int, bn_class: Callable[..., nn.Module] = nn.BatchNorm2d, **kwargs: Any) -> None:
        """
        Args:
            length: number of levels.
            bn_class: what to make for each level; takes ``affine=False``.
            kwargs: its arguments, ``num_features`` among them. ``affine=False`` leaves out the shared parameters.
        """
        self._affine = kwargs.pop("affine", True)
        super().__init__([bn_class(**kwargs, affine=False) for _ in range(length)])
        if self._affine:
            self.weight = nn.Parameter(torch.ones(kwargs["num_features"]))
            self.bias = nn.Parameter(torch.zeros(kwargs["num_features"]))
        self._next_level = 0

    def at_level(self, x: Tensor, level: int) -> Tensor:
        """Normalise ``Tensor[N, C, H, W]`` with the statistics of one level."""
        x = self[level](x)
        if not self._affine:
            return x
        return torch.addcmul(self.bias.view(1, -1, 1, 1), x, self.weight.view(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``Tensor[N, C, H, W]`` with the statistics of the level whose turn it is."""
        level = self._next_level
        self._next_level = (level + 1) % len(self)
        return self.at_level(x, level)

    def start_at(self, level: int) -> None:
        """Say which level's turn it is."""
        self._next_level = level

    def extra_repr(self) -> str:
        return f"affine={self._affine}"


def _naive_sync_by_images(channels: int) -> NaiveSyncBatchNorm:
    return NaiveSyncBatchNorm(channels, stats_mode="N")


def _group_norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(32, channels)


_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "BN": nn.BatchNorm2d,
    "SyncBN": nn.SyncBatchNorm,
    "nnSyncBN": nn.SyncBatchNorm,
    "naiveSyncBN": NaiveSyncBatchNorm,
    "naiveSyncBN_N": _naive_sync_by_images,
    "FrozenBN": FrozenBatchNorm2d,
    "GN": _group_norm,
    "LN": LayerNorm,
}


def split_relu(norm: str) -> tuple[str, bool]:
    """The name of a norm without "-ReLU" behind it, and whether that was there."""
    return norm.removesuffix("-ReLU"), norm.endswith("-ReLU")


def get_norm(norm: str | Callable[[int], nn.Module] | None, out_channels: int) -> nn.Module | None:
    """Make a normalisation layer.

    Args:
        norm: a name, "" or None for no normalisation, or a callable that takes the number of channels. "-ReLU"
            behind a name adds a ReLU.
        out_channels: channels to normalise.

    Raises:
        ValueError: a name that is not known; the message lists those that are.
    """
    if norm is None or norm == "":
        return None
    if not isinstance(norm, str):
        return norm(out_channels)
    name, with_relu = split_relu(norm)
    if with_relu:
        return nn.Sequential(get_norm(name, out_channels), nn.ReLU(inplace=True))
    if norm not in _NORMS:
        raise ValueError(f'unknown norm {norm!r}; known are {", ".join(_NORMS)}, and "" for none')
    return _NORMS[norm](out_channels)


# Norms with batch statistics, which differ from level to level.
_BATCH_NORMS: dict[str, type[nn.Module]] = {"BN": nn.BatchNorm2d, "SyncBN": nn.SyncBatchNorm}


def get_level_norm(norm: str, out_channels: int, num_levels: int) -> nn.Module | None:
    """Make the norm of a layer that all levels of a pyramid share.

    Args:
        norm: "BN" or "SyncBN" keep statistics for each level; other names of :func:`get_norm` share one norm.
        out_channels: channels to normalise.
        num_levels: number of levels.
    """
    if norm in _BATCH_NORMS:
        return CycleBatchNormList(num_levels, bn_class=_BATCH_NORMS[norm], num_features=out_channels)
    return get_norm(norm, out_channels)
