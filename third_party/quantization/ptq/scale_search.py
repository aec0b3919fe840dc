"""Input scales of depthwise convolutions, chosen by the error of what the layer gives."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from ..modules import QuantLayer
from ..transform.flow import float_evaluation
from .batches import Run, call_model
from .migration import is_depthwise
from .rounding import Call, capture
from .weight_ranges import folded_factor

SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)


@torch.no_grad()
def refine_scales(
    model: nn.Module,
    batches: Iterable[Any],
    run: Run = call_model,
    *,
    shares: Sequence[float] = SHARES,
    most: int = 8,
) -> list[str]:
    """Clip each channel of a migrated input where that makes the depthwise convolution's output most exact.

    A channel of the output depends on one channel of the input only, so that all channels are searched at once, each
    over ``shares`` of its input scale. The squared error is that behind the layer's activation function: where that
    has long become flat, clipping costs nothing.

    Args:
        model: prepared and migrated, with ranges of activations; those stay as they are.
        batches: what ``run`` takes.
        run: of model and batch, runs the model.
        shares: of the scale that reaches the channel's maximum.
        most: batches that are used.

    Returns:
        names of the layers whose scales were searched.
    """
    names = [
        name
        for name, layer in model.named_modules()
        if isinstance(layer, QuantLayer) and layer.input_scale is not None and is_depthwise(layer)
    ]
    for name in names:
        layer = model.get_submodule(name)
        assert isinstance(layer, QuantLayer)
        with float_evaluation(model):
            calls = capture(model, layer, islice(batches, most), run)
        _search(layer, calls, shares)
    return names


def _search(layer: QuantLayer, calls: Sequence[Call], shares: Sequence[float]) -> None:
    start = layer.input_scale
    assert start is not None
    errors = []
    for share in shares:
        _put(layer, start * share)
        errors.append(sum((_errors(layer, call) for call in calls), start=torch.zeros_like(start)))
    best = torch.stack(errors).argmin(0)
    _put(layer, start * start.new_tensor(shares)[best])
    layer.quantized_weight(folded_factor(layer))  # takes the range of the weights as they are now


def _put(layer: QuantLayer, scale: Tensor) -> None:
    layer.set_input_scale(scale)
    if layer.weight_quantizer is not None:
        layer.weight_quantizer.reset_range()


def _errors(layer: QuantLayer, call: Call) -> Tensor:
    """Squared error of the output, summed for each channel of the input."""
    error = (layer(*call.args) - call.output).float().square()
    by_output = error.movedim(layer.input_axis, 0).flatten(1).sum(1)
    return by_output.view(layer.in_channels_of(layer.weight), -1).sum(1)
