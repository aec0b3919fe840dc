"""How far weights reach, channel by channel, as their quantizers get them."""

import torch
from torch import Tensor

from ..modules import QuantLayer
from ..modules.norms import running_affine, split_norm


def folded_factor(layer: QuantLayer) -> Tensor | None:
    """What a folded batch norm multiplies the weight by, ``Tensor[C_out]``; None without one."""
    norm, _ = split_norm(layer.norm)
    if norm is None or layer.options.batch_norm != "fold":
        return None
    return running_affine(norm, layer.out_channels_of(layer.weight))[0]


def output_ranges(layer: QuantLayer) -> Tensor:
    """Largest weight of each output channel, ``Tensor[C_out]``."""
    weight = layer.prepared_weight(folded_factor(layer)).abs().float()
    channels = torch.arange(layer.out_channels_of(weight), device=weight.device)
    return _largest(weight, layer.spread(channels, weight), len(channels))


def input_ranges(layer: QuantLayer) -> Tensor:
    """Largest weight of each input channel as its quantizer gets it, ``Tensor[C_in]``."""
    weight = layer.prepared_weight(folded_factor(layer)).abs().float()
    channels = torch.arange(layer.in_channels_of(layer.weight), device=weight.device)
    return _largest(weight, layer.spread_inputs(channels, weight), len(channels))


def _largest(weight: Tensor, owners: Tensor, count: int) -> Tensor:
    owners = owners.expand_as(weight).flatten()
    return weight.new_zeros(count).scatter_reduce(0, owners, weight.flatten(), "amax")
