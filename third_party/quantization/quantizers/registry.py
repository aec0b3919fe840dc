"""Which class quantizes by which method: found by the type of the spec."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from ..spec.quant_spec import QuantSpec
from ..spec.roles import Role

if TYPE_CHECKING:
    from .quantizer import Quantizer

QuantizerType = TypeVar("QuantizerType", bound="type[Quantizer]")

QUANTIZERS: dict[tuple[type[QuantSpec], Role], "type[Quantizer]"] = {}


def register(spec_type: type[QuantSpec], *roles: Role) -> Callable[[QuantizerType], QuantizerType]:
    """Class decorator: build this class for specs of exactly this type, in these roles (all by default)."""

    def add(quantizer_type: QuantizerType) -> QuantizerType:
        for role in roles or tuple(spec_type.roles):
            key = (spec_type, role)
            if key in QUANTIZERS:
                raise ValueError(f"{spec_type.__name__} as {role.value} has {QUANTIZERS[key].__name__} already")
            QUANTIZERS[key] = quantizer_type
        return quantizer_type

    return add


def build_quantizer(spec: QuantSpec, role: Role, num_channels: int | None = None, channel_axis: int = 0) -> "Quantizer":
    """Make the quantizer that a spec asks for.

    Args:
        spec: settings, their type names the method.
        role: what is quantized.
        num_channels: channels of the tensor along ``channel_axis``; needed unless granularity is "tensor".
        channel_axis: 0 for a convolution's weight, 1 for its input.

    Raises:
        ValueError: the spec does not suit the role, or groups do not divide the channels.
        KeyError: no class is registered for this type of spec.
    """
    spec.for_role(role)
    if (type(spec), role) not in QUANTIZERS:
        known = sorted({spec_type.__name__ for spec_type, _ in QUANTIZERS})
        raise KeyError(f"no quantizer is registered for {type(spec).__name__}; there are some for {', '.join(known)}")
    return QUANTIZERS[type(spec), role](spec, role, num_channels, channel_axis)
