"""Exact simplifications of a trained network for inference."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detectron2.layers import Conv2d

from .heads import AnchorBasedHead
from .layers import ImplicitScale, ImplicitShift, LargeKernelConv, ReparamConv
from .network import YOLONetwork


def fuse_reparameterized(module: nn.Module) -> list[str]:
    """Turn parallel convolutions into one each, in place (RepVGG, section 3.3).

    The running statistics take part, so that the result equals the module in evaluation mode.

    Args:
        module: its descendants of the types :class:`ReparamConv` and :class:`LargeKernelConv` are replaced.

    Returns:
        the names of the convolutions that took their places.
    """
    names = [name for name, child in module.named_modules() if type(child) in _FUSERS]
    for name in names:
        parent_name, _, attribute = name.rpartition(".")
        parent, child = module.get_submodule(parent_name), module.get_submodule(name)
        setattr(parent, attribute, _FUSERS[type(child)](child))
    return names


def fuse_implicit(module: nn.Module) -> list[str]:
    """Fold implicit knowledge into the convolutions of anchor-based heads, in place (YOLOR, section 3.2).

    A shift a and a scale m around a convolution W, b make the convolution ``m W``, ``m (b + W a)``.

    Returns:
        the names of the heads.
    """
    found = []
    for name, head in module.named_modules():
        if isinstance(head, AnchorBasedHead) and head.shifts is not None and head.scales is not None:
            for conv, shift, scale in zip(head.predictors, head.shifts, head.scales, strict=True):
                assert isinstance(shift, ImplicitShift) and isinstance(scale, ImplicitScale)
                _fold_shift_and_scale(conv, shift.implicit, scale.implicit)
            head.shifts = head.scales = None
            found.append(name)
    return found


@torch.no_grad()
def fuse_normalization(module: nn.Module) -> list[str]:
    """Fold batch normalisation into the convolutions in front of it, in place.

    The running statistics take part, so that the result equals the module in evaluation mode.

    Args:
        module: its descendants of the very type ``detectron2.layers.Conv2d`` with ``norm`` are changed.

    Returns:
        the names of the convolutions.
    """
    found = []
    for name, conv in module.named_modules():
        if type(conv) is Conv2d and type(conv.norm) is nn.BatchNorm2d and conv.bias is None:
            weight, bias = _with_norm(conv)
            conv.weight.copy_(weight)
            conv.bias = nn.Parameter(bias.to(conv.weight.dtype))
            conv.norm = None
            found.append(name)
    return found


def fuse_for_inference(network: YOLONetwork) -> YOLONetwork:
    """All simplifications at once, in place; gives the network. It cannot be trained or read checkpoints afterwards."""
    drop_auxiliary(network)
    fuse_implicit(network)
    fuse_reparameterized(network)
    fuse_normalization(network)
    for module in network.modules():
        if type(module) is Conv2d and type(module.activation) is nn.SiLU:
            module.activation = nn.SiLU(inplace=True)
    return network.eval()


def drop_auxiliary(network: YOLONetwork) -> list[str]:
    """Take away what only auxiliary predictions need, in place.

    Args:
        network: training it further is possible, but without its auxiliary losses.

    Returns:
        the names of what was removed; rows keep their numbers and become ``nn.Identity``.
    """
    return [f"head.{name}" for name in network.head.drop_auxiliary()] + [
        f"layers.{index}" for index in network.drop_unneeded_rows()
    ]


@torch.no_grad()
def _fuse_reparam_conv(block: nn.Module) -> Conv2d:
    assert isinstance(block, ReparamConv)
    parts = [_with_norm(block.large), _with_norm(block.small)]
    if block.identity is not None:
        channels = block.large.out_channels
        weight = torch.eye(channels, dtype=torch.float64, device=block.large.weight.device)[:, :, None, None]
        parts.append(_normalized(weight, block.identity))
    return _sum_of(parts, block.large, block.activation)


@torch.no_grad()
def _fuse_large_kernel(block: nn.Module) -> Conv2d:
    assert isinstance(block, LargeKernelConv)
    return _sum_of([_with_norm(block.large), _with_norm(block.small)], block.large, block.activation)


_FUSERS: dict[type[nn.Module], Callable[[nn.Module], Conv2d]] = {
    ReparamConv: _fuse_reparam_conv,
    LargeKernelConv: _fuse_large_kernel,
}


def _with_norm(conv: Conv2d) -> tuple[Tensor, Tensor]:
    assert isinstance(conv.norm, nn.BatchNorm2d) and conv.bias is None
    return _normalized(conv.weight.double(), conv.norm)


def _normalized(weight: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    assert norm.running_mean is not None and norm.running_var is not None
    factor = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    return weight * factor[:, None, None, None], norm.bias.double() - norm.running_mean.double() * factor


def _sum_of(parts: list[tuple[Tensor, Tensor]], like: Conv2d, activation: nn.Module) -> Conv2d:
    """One convolution of the shape of ``like``; smaller kernels are put in the middle of its own."""
    size = like.kernel_size[0]
    weight = sum(F.pad(kernel, [(size - kernel.shape[-1]) // 2] * 4) for kernel, _ in parts)
    bias = sum(offset for _, offset in parts)
    with torch.device(like.weight.device):
        fused = Conv2d(
            like.in_channels,
            like.out_channels,
            size,
            stride=like.stride,
            padding=like.padding,
            groups=like.groups,
            activation=activation,
            dtype=like.weight.dtype,
        )
    assert isinstance(weight, Tensor) and isinstance(bias, Tensor) and fused.bias is not None
    fused.weight.copy_(weight)
    fused.bias.copy_(bias)
    return fused.train(like.training)


@torch.no_grad()
def _fold_shift_and_scale(conv: nn.Module, shift: Tensor, scale: Tensor) -> None:
    assert isinstance(conv, Conv2d) and conv.bias is not None
    factor = scale.double().flatten()
    weight = conv.weight.double()
    moved = (weight * shift.double()).sum((1, 2, 3))
    conv.bias.copy_((conv.bias.double() + moved) * factor)
    conv.weight.copy_(weight * factor[:, None, None, None])
