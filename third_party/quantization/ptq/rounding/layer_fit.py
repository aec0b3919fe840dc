"""One layer's weight rounded so that the layer gives what it gave in floating point."""

from dataclasses import replace
from typing import TypedDict

import torch
from torch import Tensor, nn

from ...grids.grid import broadcast
from ...modules import QuantLayer
from ...modules.norms import running_affine, split_norm
from ...quantizers.affine import AffineQuantizer
from ..bias_correction import bias_of
from ..weight_ranges import folded_factor
from .adaround import can_learn_rounding, put_weight
from .gptq import LevelRounding, gptq, squared_errors
from .input_moments import InputMoments, has_patches, patches

_LARGEST = 8192
_SHARES = (1.1, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5)


class CompensationRow(TypedDict):
    """A layer: its name, its output's error before and after, as shares of the output's power."""

    name: str
    before: float
    after: float


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

    Steps are fitted too: each range takes the share of its step that gives the least error; where none is better than
    nearest rounding, it stays.

    Args:
        name: of the layer, for the row.
        layer: changed in place, its weight's range frozen.
        moments: of its inputs.
        biases: whether to use its bias, or that of its norm; the weight is then fitted to what a bias cannot mend.
        damping: as in :func:`gptq`.

    Raises:
        FloatingPointError: inputs that are NaN or infinite.
    """
    quantizer = layer.weight_quantizer
    assert isinstance(quantizer, AffineQuantizer)
    weight = layer.prepared_weight(folded_factor(layer)).float()
    nearest = quantizer(weight)  # has its range afterwards, if it had none
    shift = _bias_factor(layer) if biases else None
    second, cross = moments.second(centred=shift is not None)
    if not bool((second.isfinite() & cross.isfinite()).all()):
        raise FloatingPointError(f"the input of {name} is not finite")
    exact, levels = by_group(layer, weight), by_group(layer, nearest)
    before = squared_errors(levels, exact, second, cross)
    steps = by_group(layer, broadcast(quantizer.step(), weight, quantizer.axis).expand_as(weight))
    zeros = by_group(layer, broadcast(quantizer.zero().round(), weight, quantizer.axis).expand_as(weight))
    rounding = LevelRounding(steps, zeros - 0.5 * quantizer.levels.half, quantizer.levels.low, quantizer.levels.high)
    found = torch.cat([levels[None], _with_shares(exact, second, cross, rounding, damping)])
    errors = torch.stack([squared_errors(one, exact, second, cross) for one in found])
    best = errors.view(len(found), quantizer.num_groups, -1).sum(2).argmin(0)
    of_outputs = best.repeat_interleave(before.numel() // len(best)).view(before.shape)
    levels = found.gather(0, of_outputs[None, :, :, None].expand(1, *exact.shape))[0]
    shares = quantizer.step().new_tensor((1.0, *_SHARES))[best].view(quantizer.group_shape())
    quantizer.store(quantizer.step() * shares, quantizer.zero())
    put_weight(layer, levels.float().reshape(weight.shape))
    quantizer.set_frozen(True)
    if shift is not None:
        q, f = moments.means()
        bias = bias_of(layer)
        assert bias is not None
        error = (exact @ f[:, :, None] - levels @ q[:, :, None]).reshape(-1)
        bias.add_((error * shift).to(bias.dtype))
    power = max(moments.power(centred=shift is not None), 1e-30)
    after = errors.gather(0, of_outputs[None])
    return CompensationRow(name=name, before=float(before.sum()) / power + 1, after=float(after.sum()) / power + 1)


def _with_shares(exact: Tensor, second: Tensor, cross: Tensor, rounding: LevelRounding, damping: float) -> Tensor:
    """Levels for each share of the steps, ``Tensor[S, G, N, K]``, as if they were further outputs of one layer."""
    count, (groups, outputs, inputs) = len(_SHARES), exact.shape
    steps = torch.cat([rounding.step * share for share in _SHARES], dim=1)
    many = replace(rounding, step=steps, zero=rounding.zero.repeat(1, count, 1))
    levels = gptq(exact.repeat(1, count, 1), second, cross, many, damping=damping)
    return levels.view(groups, count, outputs, inputs).transpose(0, 1)


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
