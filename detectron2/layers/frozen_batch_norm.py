"""Batch normalisation whose statistics and affine parameters never change."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FrozenBatchNorm2d(nn.Module):
    """``(x - running_mean) / sqrt(running_var + eps) * weight + bias``, all four being buffers.

    Pre-trained backbones keep their statistics this way when batches are too small to estimate new ones. The
    names are those of ``BatchNorm2d``, so that either reads the other's checkpoint; a new module is the identity.
    """

    _version = 3

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        """
        Args:
            num_features: channels of the input.
            eps: added to the variance.
        """
        super().__init__()
        self.num_features, self.eps = num_features, eps
        identity = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0 - eps}
        for name, value in identity.items():
            self.register_buffer(name, torch.full((num_features,), value))

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, C, H, W]`` -> the same shape and type."""
        if not (torch.is_grad_enabled() and x.requires_grad):
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, eps=self.eps)
        # F.batch_norm would keep its input for the backward pass; this keeps one number a channel
        scale, shift = self._scale_and_shift()
        return torch.addcmul(_per_channel(shift, x), x, _per_channel(scale, x))

    def fold(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        """Weight and bias of the convolution that equals this norm after one with ``weight`` and ``bias``.

        Args:
            weight: ``Tensor[C, ...]`` with this norm's channels first.
            bias: ``Tensor[C]`` or None.
        """
        scale, shift = self._scale_and_shift()
        folded = weight * scale.reshape(-1, *[1] * (weight.dim() - 1))
        return folded, shift if bias is None else torch.addcmul(shift, bias, scale)

    def _scale_and_shift(self) -> tuple[Tensor, Tensor]:
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        return scale, self.bias - self.running_mean * scale

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        if "num_batches_tracked" not in self._buffers:
            state_dict.pop(prefix + "num_batches_tracked", None)  # from a trained BatchNorm2d; means nothing here
        local_metadata = args[0]
        if local_metadata.get("version", 0) < 2:
            # such files hold affine channels only: weight and bias with the statistics folded in
            state_dict.setdefault(prefix + "running_mean", torch.zeros_like(self.running_mean))
            state_dict.setdefault(prefix + "running_var", torch.ones_like(self.running_var))
        super()._load_from_state_dict(state_dict, prefix, *args)

    def __repr__(self) -> str:
        return f"FrozenBatchNorm2d(num_features={self.num_features}, eps={self.eps})"

    @classmethod
    def convert_frozen_batchnorm(cls, module: nn.Module) -> nn.Module:
        """Replace every BatchNorm2d and SyncBatchNorm inside ``module`` by a frozen copy.

        Returns:
            ``module`` itself, changed in place, or its frozen copy if it is a batch norm itself.
        """
        if isinstance(module, (nn.BatchNorm2d, nn.SyncBatchNorm)):
            frozen = cls(module.num_features, module.eps)
            _copy_statistics(module, frozen)
            return frozen
        return _replace_children(module, cls.convert_frozen_batchnorm)

    @classmethod
    def convert_frozenbatchnorm2d_to_batchnorm2d(cls, module: nn.Module) -> nn.Module:
        """The way back: every frozen norm inside ``module`` becomes a trainable ``BatchNorm2d``.

        Returns:
            ``module`` itself, changed in place, or its trainable copy if it is a frozen norm itself.
        """
        if isinstance(module, FrozenBatchNorm2d):
            trainable = nn.BatchNorm2d(module.num_features, module.eps, device=module.weight.device)
            _copy_statistics(module, trainable)
            return trainable
        return _replace_children(module, cls.convert_frozenbatchnorm2d_to_batchnorm2d)


def _per_channel(values: Tensor, like: Tensor) -> Tensor:
    return values.to(like.dtype).view(1, -1, 1, 1)


@torch.no_grad()
def _copy_statistics(source: nn.Module, target: nn.Module) -> None:
    """Carry weight, bias and running statistics over, with device and mode. Parts that the source lacks stay."""
    for name in ("weight", "bias", "running_mean", "running_var"):
        value = getattr(source, name)
        if value is not None:
            getattr(target, name).data = value.detach().clone()
    if getattr(source, "num_batches_tracked", None) is not None:
        # means nothing to a frozen norm, but published weights of frozen stages have the entry
        target.register_buffer("num_batches_tracked", source.num_batches_tracked.detach().clone())
    target.train(source.training)


def _replace_children(module: nn.Module, convert: Any) -> nn.Module:
    for name, child in module.named_children():
        new_child = convert(child)
        if new_child is not child:
            setattr(module, name, new_child)
    return module
