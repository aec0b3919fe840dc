"""Activations: QuantizeLinear and DequantizeLinear in place of fake quantization."""

from typing import TYPE_CHECKING

import numpy as np

from ..nodes import TensorGrid
from .carriers import Carrier, carrier_of
from .editing import Editor, numbers
from .opaque import NO_AXIS
from .targets import Target

if TYPE_CHECKING:
    import onnx_ir as ir


def lower_activation(editor: Editor, node: "ir.Node", name: str, target: Target) -> None:
    """Replace one node of fake quantization; the output of its DequantizeLinear is called ``name``.

    Raises:
        ValueError: no type of the target carries the grid.
    """
    import onnx_ir as ir

    x, step, _ = node.inputs
    assert x is not None and step is not None
    grid = grid_of(node)
    carrier = carrier_of(grid, target)
    data_type = ir.DataType[carrier.data_type]
    axis = {} if grid.axis is None else {"axis": grid.axis}
    steps, zeros = np.asarray(grid.step, np.float32), np.asarray(grid.zero_point) + carrier.shift
    if grid.axis is None:
        steps, zeros = steps.reshape(()), zeros.reshape(())
    scale = editor.constant(f"{name}.scale", steps)
    zero_point = editor.constant(f"{name}.zero_code", zeros.astype(_wide(carrier)), data_type)
    half = editor.constant(f"{name}.half", steps / 2) if grid.half else None
    if half is not None:
        x = editor.before(node, "Sub", [x, half], f"{name}.shifted", x)
    if carrier.is_wide or not target.clip_codes:
        x = _clipped(editor, node, x, name, grid, carrier)
    codes = editor.before(
        node, "QuantizeLinear", [x, scale, zero_point], f"{name}.codes", x, data_type=data_type, **axis
    )
    if not carrier.is_wide and target.clip_codes:
        codes = _clipped_codes(editor, node, codes, name, carrier)
    out = editor.before(
        node, "DequantizeLinear", [codes, scale, zero_point], name, x, data_type=ir.DataType.FLOAT, **axis
    )
    if half is not None:
        out.name = editor.name(f"{name}.whole")
        out = editor.before(node, "Add", [out, half], f"{name}.levels", x)
    editor.replace(node, out)


def grid_of(node: "ir.Node") -> TensorGrid:
    """The levels of a node of fake quantization."""
    _, step, zero_point = node.inputs
    assert step is not None and zero_point is not None
    low, high, axis, half = (node.attributes[key].as_int() for key in ("low", "high", "axis", "half"))
    steps, zeros = numbers(step).reshape(-1), np.rint(numbers(zero_point)).reshape(-1)
    place = None if axis == NO_AXIS else axis
    return TensorGrid(
        tuple(steps.astype(np.float64).tolist()), tuple(zeros.astype(int).tolist()), low, high, place, bool(half)
    )


def _wide(carrier: Carrier) -> str:
    return "int8" if carrier.data_type.endswith("4") else carrier.data_type.lower()


def _clipped(
    editor: Editor, node: "ir.Node", x: "ir.Value", name: str, grid: TensorGrid, carrier: Carrier
) -> "ir.Value":
    """The tensor within the levels, where the type has codes beyond them or the engine does not clip by itself."""
    if not (carrier.clips_low or carrier.clips_high or carrier.is_wide):
        return x
    steps, zeros = np.asarray(grid.step, np.float32), np.asarray(grid.zero_point)
    bounds = [((end - zeros) * steps).astype(np.float32) for end in (grid.low, grid.high)]
    if grid.axis is None:
        ends = [
            editor.constant(f"{name}.{key}", bound.reshape(()))
            for key, bound in zip(("low", "high"), bounds, strict=True)
        ]
        return editor.before(node, "Clip", [x, *ends], f"{name}.clipped", x)
    assert x.shape is not None
    shape = [1] * len(x.shape)
    shape[grid.axis] = -1
    low, high = (
        editor.constant(f"{name}.{key}", bound.reshape(shape))
        for key, bound in zip(("low", "high"), bounds, strict=True)
    )
    return editor.before(
        node, "Min", [editor.before(node, "Max", [x, low], f"{name}.raised", x), high], f"{name}.clipped", x
    )


def _clipped_codes(editor: Editor, node: "ir.Node", codes: "ir.Value", name: str, carrier: Carrier) -> "ir.Value":
    """Codes within those in use."""
    if not (carrier.clips_low or carrier.clips_high):
        return codes
    ends = [
        editor.constant(f"{name}.{key}_code", np.asarray(value, carrier.data_type.lower()), codes.dtype)
        for key, value in (("low", carrier.low), ("high", carrier.high))
    ]
    return editor.before(node, "Clip", [codes, *ends], f"{name}.clipped_codes", codes)
