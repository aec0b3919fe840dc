"""Quantization and landmarks as opaque nodes of an ONNX graph, until each is replaced by standard operators."""

from collections.abc import Callable, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

from ..landmarks import LANDMARK
from ..nodes import DEQUANTIZE, FAKE_QUANTIZE

if TYPE_CHECKING:
    import onnx_ir as ir

DOMAIN = "third_party.quantization"
FAKE_QUANTIZE_NODE = "FakeQuantize"
DEQUANTIZE_NODE = "Dequantize"
LANDMARK_NODE = "Landmark"
NO_AXIS = -100  # attributes are whole numbers, None is not among them


def translation_table() -> dict[Callable[..., Any], Callable[..., Any]]:
    """How ``torch.onnx.export`` writes these operators, for its ``custom_translation_table``; for one program.

    Quantizations and landmarks are numbered each in the order of the program: two that do the same to a tensor have
    names of their own, and without the numbers optimization would make one node of them.
    """
    quantize = _operator(FAKE_QUANTIZE_NODE, ("x", "step", "zero_point"), ("low", "high", "axis", "half", "place"))
    restore = _operator(DEQUANTIZE_NODE, ("codes", "scale", "zero_point"), ("axis",))
    mark = _operator(LANDMARK_NODE, ("x",), ("place",))
    quantizations, landmarks = count(), count()

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
        place = next(quantizations)
        return quantize(x, step, zero_point, low=low, high=high, axis=_number(axis), half=int(half), place=place)

    def dequantize(codes: Any, scale: Any, zero_point: Any, axis: int | None = None) -> Any:
        return restore(codes, scale, zero_point, axis=_number(axis))

    def landmark(x: Any, name: str) -> Any:
        return mark(x, place=next(landmarks))

    return {FAKE_QUANTIZE: fake_quantize, DEQUANTIZE: dequantize, LANDMARK: landmark}


def place_of(node: "ir.Node") -> int:
    """Which of its kind a quantization or landmark is, counted in the order of the program."""
    return node.attributes["place"].as_int()


def _number(axis: int | None) -> int:
    return NO_AXIS if axis is None else axis


def _operator(name: str, inputs: Sequence[str], numbers: Sequence[str]) -> Any:
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
        attributes=[OpSchema.Attribute(key, OpSchema.AttrType.INT) for key in numbers],
    )
    return values.Op(values.Opset(DOMAIN, 1), name, schema)
