"""What a model consists of, as far as quantization is concerned."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn
from torch.nn.parameter import is_lazy

from ..modules import ConvertedLayer, QuantElementwise, QuantLayer, QuantNonlinear
from .registry import Converter, find_converter, is_refused, passes_through


@dataclass(frozen=True)
class Layer:
    """A module of interest.

    Attributes:
        module: the module.
        names: all its qualified names, several if it is shared.
        converter: how it is, or was, quantized; None for modules that stay as they are.
        kind: "weighted", "elementwise", "nonlinear", "pass" or "float".
        why: why it has no converter.
    """

    module: nn.Module
    names: tuple[str, ...]
    kind: str
    converter: Converter | None = None
    why: str = ""

    @property
    def name(self) -> str:
        """The first of its names."""
        return self.names[0]

    @property
    def done(self) -> bool:
        """Whether it is in a quantized form already."""
        return is_quantized(self.module)


def is_quantized(module: nn.Module) -> bool:
    """Whether a module is one of the engine's quantized or converted layers."""
    return isinstance(module, (QuantLayer, QuantElementwise, QuantNonlinear, ConvertedLayer))


def survey(model: nn.Module, *, nonlinear: bool = False) -> list[Layer]:
    """All layers that are quantized, could be, have weights, or hand levels through; in the model's order.

    Args:
        model: the model.
        nonlinear: list activation functions that stand alone and are in float, too.

    Raises:
        ValueError: parameters of lazy modules, whose shapes are not known yet.
    """
    lazy = [name for name, parameter in model.named_parameters() if is_lazy(parameter)]
    if lazy:
        raise ValueError(f"call the model once first; the shapes of these are not known yet: {', '.join(lazy)}")
    found: dict[int, Layer] = {}
    names: dict[int, list[str]] = {}
    for name, module in _walk(model, ""):
        names.setdefault(id(module), []).append(name)
        if id(module) in found or (layer := _classify(module)) is None:
            continue
        if nonlinear or layer.kind != "nonlinear" or layer.done:
            found[id(module)] = layer
    return [
        Layer(layer.module, tuple(names[key]), layer.kind, layer.converter, layer.why) for key, layer in found.items()
    ]


def _walk(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    """Every module under each of its names; the inside of quantized and of convertible layers belongs to them."""
    yield name, module
    if is_quantized(module) or find_converter(module)[0] is not None:
        return
    for child_name, child in _children(module):
        yield from _walk(child, f"{name}.{child_name}" if name else child_name)


def _children(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    return ((name, child) for name, child in module._modules.items() if child is not None)


def _kind_of_quantized(module: nn.Module) -> str:
    if isinstance(module, QuantNonlinear):
        return "nonlinear"
    return "elementwise" if isinstance(module, QuantElementwise) else "weighted"


def _classify(module: nn.Module) -> Layer | None:
    if is_quantized(module):
        return Layer(module, (), _kind_of_quantized(module))
    converter, why = find_converter(module)
    if converter is not None:
        return Layer(module, (), converter.kind, converter)
    if passes_through(module):
        return Layer(module, (), "pass", why="shares the scale of its input")
    has_weight = any(parameter is not None and parameter.dim() >= 2 for parameter in module._parameters.values())
    if has_weight or is_refused(module):
        return Layer(module, (), "float", why=why)
    return None
