"""Quantizers whose range can no longer change, as a traced graph holds them."""

import torch
from torch import Tensor, nn

from ..modules import QuantLayer
from ..quantizers.affine import AffineQuantizer
from ..quantizers.quantizer import Quantizer
from ..transform import conversion_refusal
from .nodes import FAKE_QUANTIZE


class FixedRange(nn.Module):
    """Puts tensors on the levels that a quantizer had when this was made.

    Attributes:
        step, zero_point: ``Tensor[]`` or ``Tensor[G]``, float32; the zero-point is whole.
    """

    enabled = True
    step: Tensor
    zero_point: Tensor
    axis: int | None

    @torch.no_grad()
    def __init__(self, quantizer: AffineQuantizer) -> None:
        super().__init__()
        step, zero_point = quantizer.step().detach().clone(), quantizer.zero().detach().round()
        self.axis, self.levels, self.bits = quantizer.axis, quantizer.levels, quantizer.bits
        if self.axis is not None and bool((step == step[0]).all() and (zero_point == zero_point[0]).all()):
            step, zero_point, self.axis = step[0].clone(), zero_point[0].clone(), None
        self.register_buffer("step", step)
        self.register_buffer("zero_point", zero_point)

    def wants_data(self) -> bool:
        """Never."""
        return False

    def forward(self, x: Tensor) -> Tensor:
        levels = self.levels
        settings = (levels.low, levels.high, self.axis, levels.half, 1.0, False)
        return FAKE_QUANTIZE(x, self.step, self.zero_point, *settings)


class Unquantized(nn.Module):
    """Stands for a quantizer that is switched off."""

    enabled = False

    def wants_data(self) -> bool:
        """Never."""
        return False

    def forward(self, x: Tensor) -> Tensor:
        return x


def freeze_ranges(model: nn.Module) -> None:
    """Replace all quantizers of a model, in place, by what they do with their present ranges.

    Raises:
        ValueError: before anything is changed, and naming each layer: weights that are not integers yet, quantizers
            without a range, levels that neither integers nor Q/DQ nodes can carry.
    """
    quantizers = {name: module for name, module in model.named_modules() if isinstance(module, Quantizer)}
    problems = [f"{name}: {why}" for name, layer in model.named_modules() if (why := _weight_problem(layer))]
    problems += [f"{name}: {why}" for name, quantizer in quantizers.items() if (why := _range_problem(quantizer))]
    if problems:
        raise ValueError("the model cannot be traced with fixed ranges:\n" + "\n".join(problems))
    made = {id(module): _fixed(module) for module in quantizers.values()}
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if child is not None and id(child) in made:
                parent._modules[name] = made[id(child)]


def _fixed(quantizer: Quantizer) -> nn.Module:
    if not quantizer.enabled:
        return Unquantized()
    assert isinstance(quantizer, AffineQuantizer)
    return FixedRange(quantizer)


def _weight_problem(layer: nn.Module) -> str | None:
    if not isinstance(layer, QuantLayer) or layer.weight_quantizer is None or not layer.weight_quantizer.enabled:
        return None
    return conversion_refusal(layer) or "its weight is not held as integers yet: convert the model first"


def _range_problem(quantizer: Quantizer) -> str | None:
    if not quantizer.enabled:
        return None
    if not quantizer.initialized:
        return "no range yet: train or calibrate the model first"
    if not isinstance(quantizer, AffineQuantizer):
        return quantizer.grid().refusal or f"method {quantizer.spec.method} has no equally spaced levels"
    return None
