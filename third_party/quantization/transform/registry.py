"""Which module becomes what when a model is quantized."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from ..modules import (
    NONLINEAR_MODULES,
    LayerOptions,
    QuantConv2d,
    QuantConvTranspose2d,
    QuantLinear,
    QuantNonlinear,
)
from ..spec import QuantSpec
from ..spec.choices import check_choice
from ..spec.plan import PARTS_OF_KINDS

Build = Callable[[nn.Module, QuantSpec | None, QuantSpec | None, LayerOptions], nn.Module]


@dataclass(frozen=True)
class Converter:
    """How modules of one class are quantized.

    Attributes:
        build: makes the quantized form from module, weight spec, activation spec and options; shares the parameters.
        kind: "weighted", "elementwise" or "nonlinear".
    """

    build: Build
    kind: str


CONVERTERS: dict[type[nn.Module], Converter] = {}
PASS_THROUGH: dict[type[nn.Module], Callable[[nn.Module], bool]] = {}
_LEFT_ALONE = {NonDynamicallyQuantizableLinear: "attention reads its weight without calling it"}


def register_converter(module_type: type[nn.Module], build: Build, kind: str = "weighted") -> None:
    """Say how modules of a class are quantized.

    Subclasses are meant too, unless they have a ``forward`` of their own or are registered themselves.

    Args:
        module_type: the float class.
        build: makes the quantized form, as ``QuantConv2d.from_float`` does.
        kind: "weighted" for layers with weight and input, "elementwise" for steps that bring tensors together,
            "nonlinear" for activation functions.

    Raises:
        ValueError: the class is registered with another function, or an unknown kind.
    """
    check_choice("kind", kind, PARTS_OF_KINDS)
    known = CONVERTERS.setdefault(module_type, Converter(build, kind))
    if known != Converter(build, kind):
        raise ValueError(f"{module_type.__name__} has another converter already: {known.build}")


def register_pass_through(module_type: type[nn.Module], when: Callable[[nn.Module], bool] = lambda _: True) -> None:
    """Say that modules of a class only choose among values of their input, so that they share its scale.

    Args:
        module_type: the class.
        when: whether that is so for a given module.
    """
    PASS_THROUGH[module_type] = when


def passes_through(module: nn.Module) -> bool:
    """Whether a module's output takes the levels of its input."""
    when = PASS_THROUGH.get(type(module))
    return when is not None and when(module)


def find_converter(module: nn.Module) -> tuple[Converter | None, str]:
    """The converter for a module, and why there is none: its exact class's first, then its bases'."""
    for base in type(module).__mro__:
        if base in _LEFT_ALONE:
            return None, _LEFT_ALONE[base]
        if base in CONVERTERS:
            refusal = _refusal(module, base)
            return (None, refusal) if refusal else (CONVERTERS[base], "")
    return None, f"no converter for {type(module).__name__}"


def is_refused(module: nn.Module) -> bool:
    """Whether a module is of a kind that has a converter, but cannot be converted itself."""
    kinds = tuple(base for base, converter in CONVERTERS.items() if converter.kind != "nonlinear")
    return isinstance(module, kinds) and find_converter(module)[0] is None


def _refusal(module: nn.Module, base: type[nn.Module]) -> str:
    kind = type(module)
    if (kind is not base and kind.forward is not base.forward) or "forward" in module.__dict__:
        return f"no converter for {kind.__name__}, whose forward is not that of {base.__name__}"
    if CONVERTERS[base].kind == "weighted" and module._parameters.get("weight") is None:
        return "its weight is computed from other parameters"
    return ""


register_converter(nn.Conv2d, QuantConv2d.from_float)
register_converter(nn.ConvTranspose2d, QuantConvTranspose2d.from_float)
register_converter(nn.Linear, QuantLinear.from_float)
for _type in NONLINEAR_MODULES:
    register_converter(_type, QuantNonlinear.from_float, kind="nonlinear")
for _type in (nn.MaxPool2d, nn.AdaptiveMaxPool2d, nn.Flatten, nn.PixelShuffle, nn.PixelUnshuffle, nn.ChannelShuffle):
    register_pass_through(_type)
register_pass_through(nn.Upsample, lambda module: module.mode == "nearest")
register_pass_through(nn.UpsamplingNearest2d)
