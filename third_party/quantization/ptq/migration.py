"""Uneven activation channels: their scales go into the weights of the layer that reads them."""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any, TypedDict

import torch
from torch import Tensor, nn

from ..modules import QuantLayer
from ..quantizers.affine import AffineQuantizer
from ..spec.names import NamePattern
from .migration_gain import SMALLEST, best_scale, compromise
from .statistics import TensorStatistics
from .weight_ranges import input_ranges


class MigrationRow(TypedDict):
    """A layer that was changed: its name, and the widest channel's range over that of the median channel before."""

    name: str
    unevenness: float


@torch.no_grad()
def migrate_scales(
    model: nn.Module,
    statistics: Mapping[str, TensorStatistics],
    *,
    names: Iterable[str] | None = None,
    threshold: float = 4.0,
    gain: float = 8.0,
    strength: float = 0.5,
    spare: float = 0.3,
) -> list[MigrationRow]:
    """Divide the inputs of layers by one number a channel before they are quantized, and multiply the weights.

    One range for a whole tensor serves its widest channel; the others are left with few levels. The layer gets an
    ``input_scale`` s: ``W x = (W s) (x / s)`` (SmoothQuant, arXiv 2211.10438, equation 3, which lets the layer before
    do the division; functions such as SiLU lie between, so here the layer does it itself). The function in floating
    point stays. Where every weight belongs to one input channel, as in depthwise convolutions, the weight's own range
    takes up s without a loss, and channels become equally wide. Elsewhere s is a compromise between the ranges of
    activations and weights, ``s = a ** strength / w ** (1 - strength)`` (equation 4).

    Ranges must be set again afterwards. A layer that shared its input's quantizer gets one of its own.

    Args:
        model: prepared, changed in place.
        statistics: by the names of quantizers, as ``collect`` gives them; those of layers not meant may be missing.
        names: patterns of layers (:class:`NamePattern`); None: depthwise convolutions whose input is uneven, and other
            layers that gain much by :func:`best_scale`.
        threshold: without ``names``, how many times the median channel's range the widest one of a depthwise
            convolution must have.
        gain: without ``names``, by what the expected error of any other layer must be divided. Dividing its input takes
            time in an exported file.
        strength: between 0, all to the weights' favour, and 1, all to the activations'; of layers by ``names`` that are
            not depthwise.
        spare: share of the upper end by which the lower end of the range may grow, in order that channels with a small
            maximum and the same minimum, as SiLU makes them, can be magnified.

    Returns:
        a row for each layer that was changed.

    Raises:
        ValueError: a pattern that matches no quantized layer with statistics of its channels.
    """
    found = channel_ranges(model, statistics)
    chosen = None if names is None else _chosen(found, names)
    rows = []
    for name, (layer, low, high) in found.items():
        unevenness = _unevenness(low, high)
        if is_depthwise(layer):
            wanted = unevenness >= threshold if chosen is None else name in chosen
            scale = turned_widths(low, high, spare) if wanted else None
        elif chosen is None:
            scale = _best(layer, low, high, gain)
        else:
            reach = widths(low, high, spare)
            scale = compromise(reach, input_ranges(layer), strength) if name in chosen else None
        if scale is not None:
            scale_input(model, name, scale)
            rows.append(MigrationRow(name=name, unevenness=unevenness))
    return rows


def channel_ranges(
    model: nn.Module, statistics: Mapping[str, TensorStatistics]
) -> dict[str, tuple[QuantLayer, Tensor, Tensor]]:
    """Layers whose inputs can be scaled by channel, by name: the layer, minima and maxima of its input's channels."""
    named = dict(model.named_modules())
    of_quantizers = {named[key]: value for key, value in statistics.items() if key in named}
    found = {}
    for name, layer in named.items():
        if not isinstance(layer, QuantLayer) or layer.input_scale is not None:
            continue
        quantizer, weight = layer.input_quantizer, layer.weight
        known = None if quantizer is None else of_quantizers.get(quantizer)
        if not isinstance(quantizer, AffineQuantizer) or quantizer.axis is not None or known is None:
            continue
        low, high = known.channel_minimum, known.channel_maximum
        if low is not None and high is not None and len(low) == layer.in_channels_of(weight):
            found[name] = (layer, low.to(weight.device).float(), high.to(weight.device).float())
    return found


def is_depthwise(layer: QuantLayer) -> bool:
    """Whether each weight range belongs to one input channel, so that scaling that channel costs no accuracy."""
    quantizer = layer.weight_quantizer
    groups = int(getattr(layer, "groups", 1))
    own_ranges = quantizer is None or quantizer.spec.granularity == "channel"
    return groups > 1 and groups == layer.in_channels_of(layer.weight) and own_ranges


def widths(low: Tensor, high: Tensor, spare: float) -> Tensor:
    """For each channel the share of the tensor's range that it reaches, ``Tensor[C]`` in (0, 1].

    The tensor's range is ``[-B, T]``, B being at least ``spare * T`` and T at least ``spare * B`` if values of that
    sign occur. Divided by the result, every channel touches one of its ends. Channels that are always zero get 1.
    """
    top, bottom = high.clamp_min(0), (-low).clamp_min(0)
    most, least = top.max(), bottom.max()
    tops = top / torch.maximum(most, spare * least).clamp_min(1e-12)
    bottoms = bottom / torch.maximum(least, spare * most).clamp_min(1e-12)
    reach = torch.maximum(tops, bottoms)
    return torch.where(reach > 0, reach.clamp_min(SMALLEST), 1.0)


def turned_widths(low: Tensor, high: Tensor, spare: float) -> Tensor:
    """As :func:`widths`, with the channels turned over whose lower end is the longer one: theirs are negative."""
    turned = -low > high
    scale = widths(torch.where(turned, -high, low), torch.where(turned, -low, high), spare)
    return torch.where(turned, -scale, scale)


def scale_input(model: nn.Module, name: str, scale: Tensor) -> None:
    """Give a layer an input scale, and a fresh range to its weight and its input."""
    layer = model.get_submodule(name)
    assert isinstance(layer, QuantLayer)
    layer.set_input_scale(scale)
    if layer.weight_quantizer is not None:
        layer.weight_quantizer.reset_range()
    quantizer = layer.input_quantizer
    if quantizer is not None:
        if sum(quantizer is other for _, other in model.named_modules(remove_duplicate=False)) > 1:
            layer.input_quantizer = quantizer = deepcopy(quantizer)
        quantizer.reset_range()


def _unevenness(low: Tensor, high: Tensor) -> float:
    reach = torch.maximum(high, -low)
    middle = float(reach.median())
    return float(reach.max()) / middle if middle > 0 else float("inf")


def _best(layer: QuantLayer, low: Tensor, high: Tensor, gain: float) -> Tensor | None:
    """The scale of a layer whose weights all belong to all input channels, if it gains so much."""
    if layer.weight_axis != 0 or layer.in_channels_of(layer.weight) != layer.weight.shape[1]:
        return None
    scale, found = best_scale(layer, low, high)
    return scale if found >= gain else None


def _chosen(found: Sequence[str] | Mapping[str, Any], names: Iterable[str]) -> set[str]:
    chosen: set[str] = set()
    for text in names:
        pattern = NamePattern(text)
        matched = {name for name in found if pattern.matches(name)}
        if not matched:
            raise ValueError(f"migration: {text!r} matches no layer with an input to scale.{pattern.advice(found)}")
        chosen |= matched
    return chosen
