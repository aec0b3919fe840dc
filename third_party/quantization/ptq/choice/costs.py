"""What a layer costs: weights, multiply-adds, and both at a width."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...modules import QuantConvTranspose2d, QuantElementwise, QuantLayer

FLOAT_BITS = 32
MEASURES = ("bytes", "bit_operations")


@dataclass(frozen=True)
class LayerCost:
    """One layer on one batch.

    Attributes:
        weights: numbers in its weight.
        operations: multiply-adds; additions, or copies, of layers without weight.
    """

    weights: int
    operations: int

    def at(self, weight_bits: int, activation_bits: int, measure: str) -> float:
        """The cost at a width.

        Args:
            weight_bits, activation_bits: widths; 32 stands for floating point.
            measure: "bytes" of the weight, or "bit_operations": operations times the wider of both widths, since a
                kernel works at the width of its wider operand.
        """
        if measure == "bytes":
            return self.weights * weight_bits / 8
        return float(self.operations * max(weight_bits, activation_bits))


@torch.no_grad()
def layer_costs(model: nn.Module, run: Callable[[], object]) -> dict[str, LayerCost]:
    """Costs of all quantized layers, by name, over one run; a layer that is called several times adds up.

    Args:
        model: prepared; in evaluation mode.
        run: runs it on a batch.
    """
    layers = {name: m for name, m in model.named_modules() if isinstance(m, (QuantLayer, QuantElementwise))}
    operations = dict.fromkeys(layers, 0)

    def counter(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def count(module: nn.Module, args: Any, output: Any) -> None:
            operations[name] += _operations(module, args, output)

        return count

    handles = [module.register_forward_hook(counter(name)) for name, module in layers.items()]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return {name: LayerCost(_weights(module), operations[name]) for name, module in layers.items()}


def _weights(module: nn.Module) -> int:
    return module.weight.numel() if isinstance(module, QuantLayer) else 0


def _operations(module: nn.Module, args: Any, output: Any) -> int:
    if not isinstance(output, Tensor):
        return 0
    if not isinstance(module, QuantLayer):
        return output.numel()
    if isinstance(module, QuantConvTranspose2d):
        return int(args[0].numel() // module.weight.shape[0] * module.weight.numel())
    return int(output.numel() // module.weight.shape[module.weight_axis] * module.weight.numel())
