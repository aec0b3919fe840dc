"""One layer's weight rounded so that the layer gives what it gave in floating point."""

from functools import partial
from typing import TypedDict

import torch
from torch import Tensor, nn

from ..grids.grid import broadcast
from ..modules import QuantLayer
from ..modules.norms import running_affine, split_norm
from ..quantizers.affine import AffineQuantizer
from .adaround import can_learn_rounding, put_weight
from .bias_correction import bias_of
from .gptq import LevelRounding, gptq, squared_error
from .input_moments import InputMoments, has_patches, patches
from .weight_ranges import folded_factor

_LARGEST = 8192


class CompensationRow(TypedDict):
    """A layer: its name, its output's error before and after, as shares of the output's power, and which was kept."""

    name: str
    before: float
    after: float
    kept: bool


def can_fit(layer: nn.Module) -> bool:
    """Whether :func:`fit` can be used: a convolution or linear layer, equally spaced levels, 8192 inputs at most."""
    return (
        isinstance(layer, QuantLayer)
        and can_learn_rounding(layer)
        and has_patches(layer)
        and layer.weight[0].numel() <= _LARGEST
    )


def seen_by(layer: QuantLayer, x: Tensor) -> Tensor:
    """The patches that the layer's weight gets."""
    x = layer.scaled_input(x)
    return patches(layer, x if layer.input_quantizer is None else layer.input_quantizer(x))


def by_group(layer: QuantLayer, weight: Tensor) -> Tensor:
    """A weight as ``Tensor[G, N, K]``: groups, outputs of each, inputs of each."""
    groups = int(getattr(layer, "groups", 1))
    return weight.reshape(groups, weight.shape[0] // groups, -1).double()


def fit(name: str, layer: QuantLayer, moments: InputMoments, biases: bool, damping: float) -> CompensationRow:
    """Round a layer's weight by :func:`gptq`, and put the mean error that is left into its bias.

    Args:
        name: of the layer, for the row.
        layer: changed in place, its weight's range frozen.
        moments: of its inputs.
        biases: whether to use its bias, or that of its norm; the weight is then fitted to what a bias cannot mend.
        damping: as in :func:`gptq`.
    """
    quantizer = layer.weight_quantizer
    assert isinstance(quantizer, AffineQuantizer)
    weight = layer.prepared_weight(folded_factor(layer)).float()
    if not quantizer.initialized:
        quantizer(weight)
    split = partial(by_group, layer)
    step = split(broadcast(quantizer.step(), weight, quantizer.axis).expand_as(weight))
    zero = split(broadcast(quantizer.zero().round(), weight, quantizer.axis).expand_as(weight))
    zero = zero - 0.5 * quantizer.levels.half
    rounding = LevelRounding(step, zero, quantizer.levels.low, quantizer.levels.high)
    shift = _bias_factor(layer) if biases else None
    second, cross = moments.second(centred=shift is not None)
    exact, nearest = split(weight), split(quantizer(weight))
    fitted = gptq(exact, second, cross, rounding, damping=damping)
    power = max(moments.power(centred=shift is not None), 1e-30)
    before, after = (squared_error(levels, exact, second, cross) / power + 1 for levels in (nearest, fitted))
    kept = after < before
    levels = fitted if kept else nearest
    put_weight(layer, levels.float().reshape(weight.shape))
    quantizer.set_frozen(True)
    if shift is not None:
        q, f = moments.means()
        bias = bias_of(layer)
        assert bias is not None
        error = (exact @ f[:, :, None] - levels @ q[:, :, None]).reshape(-1)
        bias.add_((error * shift).to(bias.dtype))
    return CompensationRow(name=name, before=before, after=after, kept=kept)


def _bias_factor(layer: QuantLayer) -> Tensor | None:
    """What an error of the weighted sum is in units of the layer's bias; None where no bias can take it."""
    if bias_of(layer) is None:
        return None
    norm, _ = split_norm(layer.norm)
    if norm is None:
        return None if layer.norm is not None else torch.ones((), dtype=torch.double)
    if layer.options.batch_norm == "fold":
        return torch.ones((), dtype=torch.double)
    return running_affine(norm, layer.out_channels_of(layer.weight))[0].double()
