"""What quantization is at, in a few numbers for a log line."""

import math
from collections import Counter

from torch import nn

from ..spec.roles import Role
from .layers import QuantizedTensor, quantized_tensors

FLOAT_BYTES = 4


def resources(model: nn.Module) -> dict[str, float | str]:
    """How many quantizers have which width now, and what the weights they quantize take.

    Returns:
        "weight_bits" and "activation_bits": text such as "4: 52, 8: 2", quantizers that are switched off under
        "off"; "weight_bytes": of weights with quantizers, packed at their present width; "weight_bytes_float": of the
        same weights in float32.
    """
    tensors = {id(t.quantizer): t for t in reversed(quantized_tensors(model))}.values()
    weights = [t for t in tensors if t.role is Role.WEIGHT and t.weight is not None]
    return {
        "weight_bits": _widths([t for t in tensors if t.role is Role.WEIGHT]),
        "activation_bits": _widths([t for t in tensors if t.role is Role.ACTIVATION]),
        "weight_bytes": float(sum(_bytes(t) for t in weights)),
        "weight_bytes_float": float(sum(_numel(t) * FLOAT_BYTES for t in weights)),
    }


def _widths(tensors: list[QuantizedTensor]) -> str:
    on = Counter(t.quantizer.bits for t in tensors if t.quantizer.enabled)
    off = sum(not t.quantizer.enabled for t in tensors)
    parts = [f"{bits}: {count}" for bits, count in sorted(on.items())]
    return ", ".join([*parts, f"off: {off}"] if off else parts)


def _numel(tensor: QuantizedTensor) -> int:
    return 0 if tensor.weight is None else tensor.weight.numel()


def _bytes(tensor: QuantizedTensor) -> int:
    quantizer = tensor.quantizer
    return math.ceil(_numel(tensor) * quantizer.bits / 8) if quantizer.enabled else _numel(tensor) * FLOAT_BYTES
