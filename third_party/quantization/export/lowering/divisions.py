"""Divisions of channels that OpenVINO would merge into a quantization, and computes wrongly there."""

from typing import TYPE_CHECKING

import numpy as np

from .editing import Editor, constant_numbers

if TYPE_CHECKING:
    import onnx_ir as ir

_LIMITS = frozenset({"Clip", "Max", "Min"})
# Take a division in, instead of the quantization behind it, if nothing else reads what they give.
_CONVOLUTIONS = frozenset({"Conv", "ConvTranspose"})
_ARITHMETIC = frozenset({"Mul", "Add"})


def divide_by_convolutions(editor: Editor) -> int:
    """Write divisions in front of QuantizeLinear as depthwise convolutions in float. Returns how many.

    Meant are those of ``Tensor[N, C, ...]`` by one constant a channel where a constant is negative, or where a limit
    stands between, as below 8 bits. What the layer before takes in stays.
    """
    written = 0
    for node in [node for node in editor.graph if node.op_type == "Div"]:
        x, out = node.inputs[0], node.outputs[0]
        divisors = _by_channel(node)
        if x is None or divisors is None or _taken_in(x):
            continue
        limited = _limited_before_rounding(out)
        if limited is None or not (limited or (divisors < 0).any()):
            continue
        weight = (1 / divisors.astype(np.float64)).astype(np.float32).reshape(-1, *[1] * (len(x.shape or ()) - 1))
        kernel = editor.constant(f"{out.name}.factors", weight)
        editor.replace(node, editor.before(node, "Conv", [x, kernel], f"{out.name}.scaled", out, group=len(divisors)))
        written += 1
    return written


def _by_channel(node: "ir.Node") -> np.ndarray | None:
    """The constants ``[C]`` that a node divides dimension 1 of an image or a sequence by."""
    x, divisors = node.inputs[0], constant_numbers(node.inputs[1])
    if divisors is None or divisors.size < 2 or x is None or x.shape is None or len(x.shape) < 3:
        return None
    shape = (1,) * (len(x.shape) - divisors.ndim) + divisors.shape
    return divisors.reshape(-1) if len(shape) == len(x.shape) and shape[1] == divisors.size else None


def _taken_in(x: "ir.Value") -> bool:
    """Whether the layer that makes a tensor takes in a division that alone reads it."""
    made = x.producer()
    if made is None or len(x.uses()) > 1 or x.is_graph_output():
        return False
    computed = all(constant_numbers(value) is None for value in made.inputs)
    return made.op_type in _CONVOLUTIONS or (made.op_type in _ARITHMETIC and computed)


def _limited_before_rounding(value: "ir.Value") -> bool | None:
    """Whether a tensor is limited on its way to some QuantizeLinear; None if it goes to none."""
    found: list[bool] = []
    for reader, _ in value.uses():
        if reader.op_type == "QuantizeLinear":
            found.append(False)
        elif reader.op_type in _LIMITS and _limited_before_rounding(reader.outputs[0]) is not None:
            found.append(True)
    return any(found) if found else None
