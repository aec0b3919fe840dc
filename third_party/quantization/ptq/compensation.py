"""Layer by layer, weights rounded so that each layer gives what it gave in floating point."""

import logging
from collections.abc import Iterable, Sized
from functools import partial
from typing import Any, TypedDict

import torch
from torch import Tensor, nn

from ..grids.grid import broadcast
from ..modules import QuantLayer
from ..modules.norms import running_affine, split_norm
from ..quantizers.affine import AffineQuantizer
from .adaround import can_learn_rounding, put_weight
from .batches import Run, call_model, first_batch
from .bias_correction import bias_of
from .calibrate import check_calibrated
from .captured import capture
from .float_copy import float_copy
from .gptq import LevelRounding, gptq, squared_error
from .input_moments import InputMoments, has_patches, patches
from .weight_ranges import folded_factor

logger = logging.getLogger(__name__)

_LARGEST = 8192
_POSITIONS, _POSITIONS_EACH = 16384, 8


class CompensationRow(TypedDict):
    """A layer: its name, its output's error before and after, as shares of the output's power, and which was kept."""

    name: str
    before: float
    after: float
    kept: bool


@torch.no_grad()
def compensate(
    model: nn.Module,
    batches: Iterable[Any],
    run: Run = call_model,
    *,
    reference: nn.Module | None = None,
    biases: bool = True,
    damping: float = 0.01,
) -> list[CompensationRow]:
    """Round weights by :func:`gptq`, layer by layer in the order in which the model runs them.

    Each layer's levels are fitted on what the quantized layers before it really pass on, to what the layer gives in
    floating point. There is nothing to learn: a layer takes a run of the model up to it, quantized and in floating
    point, and some linear algebra. Afterwards weights *are* at the levels, as after :func:`reconstruct`.

    Args:
        model: prepared, ranges of weights and activations set; changed in place, and in evaluation mode afterwards.
        batches: what ``run`` takes; can be gone over several times.
        run: of model and batch, runs the model.
        reference: the model in floating point with modules of the same names; None: the model itself, as it is now
            with quantizers switched off.
        biases: put the mean error that is left into the biases, and fit the rest. It replaces bias correction, which
            looks at weights alone: these here make up for what clipped activations lose, too.
        damping: as in :func:`gptq`.

    Returns:
        a row for each layer that was tried. Left as they are: layers that are neither convolutions nor linear, whose
        levels are not equally spaced, or that have more than 8192 weights an output.

    Raises:
        ValueError: no batch, or activations without a range.
    """
    example = first_batch(batches)
    count = len(batches) if isinstance(batches, Sized) else sum(1 for _ in batches)
    check_calibrated(model)
    model.eval()
    teacher = float_copy(model) if reference is None else reference.eval()
    calls = _calls(model, example, run)
    rows: list[CompensationRow] = []
    for number, (name, often) in enumerate(calls.items()):
        layer, twin = model.get_submodule(name), teacher.get_submodule(name)
        assert isinstance(layer, QuantLayer) and isinstance(twin, QuantLayer)
        if not (can_learn_rounding(layer) and has_patches(layer)):
            continue
        inputs = layer.weight[0].numel()
        if inputs > _LARGEST:
            continue
        positions = max(_POSITIONS, _POSITIONS_EACH * inputs)
        moments = InputMoments(
            _by_group(layer, layer.prepared_weight(folded_factor(layer))), positions // (count * often) + 1
        )
        for batch in batches:
            quantized = capture(model, layer, [batch], run, often, outputs=False)
            exact = capture(teacher, twin, [batch], run, often, outputs=False)
            for q, f in zip(quantized, exact, strict=True):
                moments.add(_seen_by(layer, q.args[0]), _seen_by(twin, f.args[0]))
        rows.append(_fit(name, layer, moments, biases, damping))
        logger.info(
            "Rounding %d of %d, %s: error %.4f -> %.4f",
            number + 1,
            len(calls),
            name,
            rows[-1]["before"],
            rows[-1]["after"],
        )
    return rows


def _calls(model: nn.Module, example: Any, run: Run) -> dict[str, int]:
    """How often each quantized layer runs, in the order of their first runs."""
    calls: dict[str, int] = {}

    def note(name: str) -> None:
        calls[name] = calls.get(name, 0) + 1

    handles = [
        layer.register_forward_pre_hook(lambda _m, _a, name=name: note(name))
        for name, layer in model.named_modules()
        if isinstance(layer, QuantLayer)
    ]
    try:
        run(model, example)
    finally:
        for handle in handles:
            handle.remove()
    return calls


def _seen_by(layer: QuantLayer, x: Tensor) -> Tensor:
    """The patches that the layer's weight gets."""
    x = layer.scaled_input(x)
    return patches(layer, x if layer.input_quantizer is None else layer.input_quantizer(x))


def _by_group(layer: QuantLayer, weight: Tensor) -> Tensor:
    """A weight as ``Tensor[G, N, K]``: groups, outputs of each, inputs of each."""
    groups = int(getattr(layer, "groups", 1))
    return weight.reshape(groups, weight.shape[0] // groups, -1).double()


def _fit(name: str, layer: QuantLayer, moments: InputMoments, biases: bool, damping: float) -> CompensationRow:
    quantizer = layer.weight_quantizer
    assert isinstance(quantizer, AffineQuantizer)
    weight = layer.prepared_weight(folded_factor(layer)).float()
    if not quantizer.initialized:
        quantizer(weight)
    split = partial(_by_group, layer)
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
