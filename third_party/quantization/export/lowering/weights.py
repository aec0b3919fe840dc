"""Weights: integers in the file and a DequantizeLinear; never a QuantizeLinear."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .carriers import CODE_RANGES
from .editing import Editor, numbers
from .opaque import NO_AXIS
from .targets import Target

if TYPE_CHECKING:
    import onnx_ir as ir


def lower_weight(editor: Editor, node: "ir.Node", target: Target) -> None:
    """Replace one node that makes a weight from integers.

    Raises:
        ValueError: codes of more than 16 bits.
    """
    weight = IntegerWeight.of(node)
    editor.replace(node, restore(editor, node, weight, node.outputs[0], target))


@dataclass(frozen=True, eq=False)
class IntegerWeight:
    """A weight of a file to be.

    Attributes:
        codes: whole numbers, zero-points subtracted.
        scale: ``[]``, ``[G]`` along ``axis``, or as many dimensions as ``codes``.
        axis: dimension of the groups.
        name: of the weight.
    """

    codes: np.ndarray
    scale: np.ndarray
    axis: int
    name: str

    @classmethod
    def of(cls, node: "ir.Node") -> "IntegerWeight":
        """What a node that makes a weight from integers says."""
        codes, scale, zero_point = (numbers(value) for value in node.inputs if value is not None)
        name = str(node.inputs[0].name).removesuffix("_codes")  # type: ignore[union-attr]
        axis = node.attributes["axis"].as_int()
        return cls(codes.astype(np.int64) - _spread(zero_point, codes, axis), scale, axis, name)


def restore(editor: Editor, place: "ir.Node", weight: IntegerWeight, like: "ir.Value", target: Target) -> "ir.Value":
    """The weight in float: integers and a DequantizeLinear in front of a node. Equal integers are stored once.

    Raises:
        ValueError: codes of more than 16 bits.
    """
    import onnx_ir as ir

    name, axis = weight.name, weight.axis
    codes, scale = canonical(weight.codes, weight.scale, axis)
    data_type = ir.DataType[code_type(codes, name)]
    value = editor.constant_once(f"{name}.codes", codes.astype(_storage(data_type.name)), data_type)
    if data_type.name.endswith("4") and (target.widen_weights or scale.ndim > 1):
        data_type = ir.DataType.INT8
        value = editor.before(place, "Cast", [value], f"{name}.wide", like, to=data_type, data_type=data_type)
    if scale.ndim > 1:  # different along two dimensions: DequantizeLinear has no such form that engines fuse
        value = editor.before(place, "Cast", [value], f"{name}.float", like, to=ir.DataType.FLOAT)
        return editor.before(place, "Mul", [value, editor.constant(f"{name}.scale", scale)], name, like)
    zeros = editor.constant(f"{name}.zero_code", np.zeros(scale.shape, _storage(data_type.name)), data_type)
    inputs = [value, editor.constant(f"{name}.scale", scale), zeros]
    extra: dict[str, Any] = {"axis": axis} if scale.ndim == 1 else {}
    return editor.before(place, "DequantizeLinear", inputs, name, like, **extra)


def canonical(codes: np.ndarray, scale: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes and scales of the same numbers, with scales that are positive wherever that is possible.

    A negative scale, from a negative factor of a batch norm, changes the sign of its codes; it stays where the lowest
    code has no counterpart above zero. A scale of zero becomes 1 with codes of zero.

    Args:
        codes: whole numbers, zero-points subtracted.
        scale: ``[]``, ``[G]`` along ``axis``, or as many dimensions as ``codes``.
        axis: dimension of the groups.
    """
    scale = scale.astype(np.float32)
    if scale.ndim == 1 and scale.shape[0] != codes.shape[axis]:
        scale = np.repeat(scale, codes.shape[axis] // scale.shape[0])
    spread = np.broadcast_to(_spread(scale, codes, axis), codes.shape)
    codes = np.where(spread == 0, 0, codes)
    low = CODE_RANGES["INT8" if codes.min(initial=0) >= -128 else "INT16"][0]
    others = tuple(i for i in range(codes.ndim) if scale.ndim == 0 or i != axis % codes.ndim)
    if scale.ndim > 1:
        others = tuple(i for i in range(codes.ndim) if scale.shape[i] == 1)
    lowest = codes.min(axis=others, keepdims=True)
    flips = (_spread(scale, codes, axis) < 0) & (lowest > low)
    codes = np.where(flips, -codes, codes)
    scale = np.where(flips.reshape(scale.shape), -scale, scale)
    return codes, np.where(scale == 0, np.float32(1), scale)


def code_type(codes: np.ndarray, name: str) -> str:
    """The narrowest type of ONNX that holds codes.

    Raises:
        ValueError: none does.
    """
    lowest, highest = int(codes.min(initial=0)), int(codes.max(initial=0))
    for data_type in ("INT4", "UINT4", "INT8", "UINT8", "INT16"):
        low, high = CODE_RANGES[data_type]
        if low <= lowest and highest <= high:
            return data_type
    raise ValueError(f"{name}: integers from {lowest} to {highest} do not fit into 16 bits")


def _storage(data_type: str) -> str:
    return "int8" if data_type.endswith("4") else data_type.lower()


def _spread(values: np.ndarray, codes: np.ndarray, axis: int) -> np.ndarray:
    """Values in a shape that broadcasts with ``codes``."""
    if values.ndim != 1 or axis == NO_AXIS:
        return values
    values = np.repeat(values, codes.shape[axis] // values.shape[0])
    shape = [1] * codes.ndim
    shape[axis] = -1
    return values.reshape(shape)
