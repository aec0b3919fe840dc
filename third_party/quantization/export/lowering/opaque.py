"""Quantization and landmarks as opaque nodes of an ONNX graph, until each is replaced by standard operators."""

from collections.abc import Callable, Sequence
from typing import Any

from ..landmarks import LANDMARK
from ..nodes import DEQUANTIZE, FAKE_QUANTIZE

DOMAIN = "third_party.quantization"
FAKE_QUANTIZE_NODE = "FakeQuantize"
DEQUANTIZE_NODE = "Dequantize"
LANDMARK_NODE = "Landmark"
NO_AXIS = -100  # attributes are whole numbers, None is not among them


def translation_table() -> dict[Callable[..., Any], Callable[..., Any]]:
    """How ``torch.onnx.export`` writes these operators, for its ``custom_translation_table``."""
    quantize = _operator(FAKE_QUANTIZE_NODE, ("x", "step", "zero_point"), ("low", "high", "axis", "half"))
    restore = _operator(DEQUANTIZE_NODE, ("codes", "scale", "zero_point"), ("axis",))
    name_it = _operator(LANDMARK_NODE, ("x",), texts=("name",))

    def fake_quantize(
        x: Any,
        step: Any,
        zero_point: Any,
        low: int,
        high: int,
        axis: int | None = None,
        half: bool = False,
        gradient_factor: float = 1.0,
        clip_gradient_only: bool = False,
    ) -> Any:
        return quantize(x, step, zero_point, low=low, high=high, axis=_number(axis), half=int(half))

    def dequantize(codes: Any, scale: Any, zero_point: Any, axis: int | None = None) -> Any:
        return restore(codes, scale, zero_point, axis=_number(axis))

    def landmark(x: Any, name: str) -> Any:
        return name_it(x, name=name)

    return {FAKE_QUANTIZE: fake_quantize, DEQUANTIZE: dequantize, LANDMARK: landmark}


def _number(axis: int | None) -> int:
    return NO_AXIS if axis is None else axis


def _operator(name: str, inputs: Sequence[str], numbers: Sequence[str] = (), texts: Sequence[str] = ()) -> Any:
    from onnx.defs import OpSchema
    from onnxscript import values

    integers = [f"tensor({sign}int{bits})" for sign in ("", "u") for bits in (8, 16, 32, 64)]
    schema = OpSchema(
        name,
        DOMAIN,
        1,
        inputs=[OpSchema.FormalParameter(key, f"T_{key}") for key in inputs],
        outputs=[OpSchema.FormalParameter("y", "T_y")],
        type_constraints=[(f"T_{key}", ["tensor(float)", *integers], "") for key in (*inputs, "y")],
        attributes=[
            *(OpSchema.Attribute(key, OpSchema.AttrType.INT) for key in numbers),
            *(OpSchema.Attribute(key, OpSchema.AttrType.STRING) for key in texts),
        ],
    )
    return values.Op(values.Opset(DOMAIN, 1), name, schema)
