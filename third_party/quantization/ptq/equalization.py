"""Equal weight ranges on both sides of an activation function (arXiv 1906.04721, section 4.1)."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from ..modules import QuantLayer
from ..modules.norms import running_affine, split_norm
from .layer_pairs import scalable_pairs
from .weight_ranges import input_ranges, output_ranges


@torch.no_grad()
def equalize(
    model: nn.Module,
    run: Callable[[], object] | None = None,
    *,
    pairs: Iterable[tuple[str, str]] | None = None,
    rounds: int = 20,
    tolerance: float = 1e-3,
) -> list[tuple[str, str]]:
    """Divide channels between two layers by numbers that make the ranges of the weights before and behind equal.

    With ``r1`` and ``r2`` the largest weights of a channel in the layer that gives and the one that reads it,
    ``s = sqrt(r1 r2) / r2``: the first layer's channel is divided by s, the second's weights are multiplied (equation
    11). The function in floating point stays, where between them are only functions with ``f(s x) = s f(x)``, such as
    ReLU. All pairs are gone through until nothing changes. For weights with one range for the whole tensor; with a
    range for each channel of the output only the reading layer gains or loses.

    Ranges must be set afterwards: those of activations are forgotten where they change.

    Args:
        model: prepared, changed in place.
        run: calls the model on an example, from which the pairs are found; not needed with ``pairs``.
        pairs: names of layers between which channels can be scaled; the caller vouches for it.
        rounds: most passes over all pairs.
        tolerance: largest relative change of a scale that counts as none.

    Returns:
        the pairs that were treated. Pairs whose first layer has a norm that is not folded into the weight are not: the
        norm would take the factor, not the weight.

    Raises:
        ValueError: neither ``run`` nor ``pairs``, or a pair whose channels differ in number.
    """
    if pairs is None:
        if run is None:
            raise ValueError("equalize needs a call of the model, to find pairs of layers, or the pairs themselves")
        pairs = scalable_pairs(model, run)
    treated = [(names, found) for names in pairs if (found := _layers(model, names)) is not None]
    for _ in range(rounds):
        change = max((_balance(first, second) for _, (first, second) in treated), default=0.0)
        if change < tolerance:
            break
    for _, layers in treated:
        for layer in layers:
            if layer.weight_quantizer is not None:
                layer.weight_quantizer.reset_range()
        if layers[1].input_quantizer is not None:
            layers[1].input_quantizer.reset_range()
    return [names for names, _ in treated]


def _layers(model: nn.Module, names: tuple[str, str]) -> tuple[QuantLayer, QuantLayer] | None:
    first, second = (model.get_submodule(name) for name in names)
    if not isinstance(first, QuantLayer) or not isinstance(second, QuantLayer):
        raise ValueError(f"equalisation is for quantized layers with weights; {names[0]} and {names[1]} are not both")
    outputs, inputs = first.out_channels_of(first.weight), second.in_channels_of(second.weight)
    if outputs != inputs:
        raise ValueError(f"{names[0]} gives {outputs} channels, but {names[1]} reads {inputs}")
    norm, rest = split_norm(first.norm)
    folded = first.norm is None or (first.options.batch_norm == "fold" and norm is not None and not rest)
    by_weight = folded and not first.options.standardize and not second.options.standardize
    return (first, second) if by_weight else None


def _balance(first: QuantLayer, second: QuantLayer) -> float:
    """Scale the channels of one pair; gives the largest relative change."""
    before, behind = output_ranges(first), input_ranges(second)
    scale = (before / behind.clamp_min(1e-12)).sqrt()
    scale = torch.where((before > 0) & (behind > 0), scale, 1.0)
    _divide_outputs(first, scale)
    second.weight.data.mul_(second.spread_inputs(scale, second.weight).to(second.weight.dtype))
    return float((scale - 1).abs().max())


def _divide_outputs(layer: QuantLayer, scale: Tensor) -> None:
    norm, _ = split_norm(layer.norm)
    if norm is None:
        layer.weight.data.div_(layer.spread(scale, layer.weight).to(layer.weight.dtype))
        if layer.bias is not None:
            layer.bias.data.div_(scale.to(layer.bias.dtype))
        return
    running_affine(norm, len(scale))  # raises where there is no such map
    for name in ("weight", "bias"):
        value = getattr(norm, name, None)
        if value is None:
            raise ValueError(f"equalisation needs a batch norm with weight and bias; {type(norm).__name__} has none")
        value.data.div_(scale.to(value.dtype))
