"""Where a model's quantizers are, and which weights they quantize."""

from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn

from ..grids import Grid, IntegerGrid, IntervalGrid
from ..modules.layer import QuantLayer
from ..modules.norms import running_affine, split_norm
from ..quantizers.quantizer import Quantizer
from ..spec.roles import Role


@dataclass(frozen=True, eq=False)
class QuantizedTensor:
    """A quantizer and the layer that uses it.

    Attributes:
        name: the layer's qualified name, which rules and steps go by; "" for the model itself.
        layer: the module that holds the quantizer as a child.
        quantizer: the quantizer.
    """

    name: str
    layer: nn.Module
    quantizer: Quantizer

    @property
    def role(self) -> Role:
        """Weight or activation."""
        return self.quantizer.role

    @property
    def active(self) -> bool:
        """Whether it quantizes at present and knows its range."""
        return self.quantizer.enabled and self.quantizer.initialized

    @property
    def weight(self) -> nn.Parameter | None:
        """The layer's weight, None for layers without one."""
        return cast("nn.Parameter | None", getattr(self.layer, "weight", None))

    def quantized_from(self) -> Tensor:
        """What a weight quantizer is given: the weight, standardised or folded where the layer does that.

        In the shape of the weight and differentiable with respect to it; a folded norm counts by its running
        statistics.
        """
        if not isinstance(self.layer, QuantLayer):
            return cast(Tensor, self.layer.weight)
        batch_norm, _ = split_norm(self.layer.norm)
        if batch_norm is None or self.layer.options.batch_norm != "fold":
            return self.layer.prepared_weight()
        factor, _ = running_affine(batch_norm, self.layer.out_channels_of(self.layer.weight))
        return self.layer.prepared_weight(factor.detach())

    def on_grid(self) -> bool:
        """Whether levels of the grid are values of the weight itself, so that it can be set to one of them."""
        untouched = self.quantized_from() is self.weight
        return untouched and type(self.quantizer).transform is Quantizer.transform


def quantized_tensors(model: nn.Module) -> list[QuantizedTensor]:
    """All quantizers under ``model``, in the order of its modules; one that is shared comes under each of its names."""
    modules = dict(model.named_modules(remove_duplicate=False))
    found = []
    for name, module in modules.items():
        if isinstance(module, Quantizer):
            layer = name.rpartition(".")[0]
            found.append(QuantizedTensor(layer, modules[layer], module))
    return found


def quantized_weights(model: nn.Module) -> list[QuantizedTensor]:
    """Each weight quantizer once, under its first name."""
    first = {id(t.quantizer): t for t in reversed(quantized_tensors(model)) if t.role is Role.WEIGHT}
    return list(first.values())[::-1]


def evenly_spaced(grid: Grid) -> bool:
    """Whether the numbers of its levels measure distances."""
    return isinstance(grid, (IntegerGrid, IntervalGrid))


def refuse_off_grid(weights: list[QuantizedTensor], purpose: str) -> None:
    """Raise ``ValueError`` naming the layers whose weights cannot be set to levels of their grid."""
    names = [t.name for t in weights if not t.on_grid()]
    if names:
        raise ValueError(
            f"{purpose} sets weights to levels of their grid, but those of {', '.join(names)} are standardised, folded "
            "or transformed before they are quantized"
        )
