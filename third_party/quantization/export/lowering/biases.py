"""Biases stay in float; engines make INT32 of them, in the unit of the accumulator."""

from typing import TYPE_CHECKING

import numpy as np

from .editing import Editor, numbers
from .placement import following

if TYPE_CHECKING:
    import onnx_ir as ir

# A bias of more units is not an INT32 any more, with room for the sum that it is added to.
MOST_UNITS = 2.0**29


def keep_biases_in_range(editor: Editor) -> int:
    """Coarsen the weights of channels whose bias is out of all proportion to them. Returns in how many layers.

    Engines round a bias to whole units of ``input scale * weight scale``. Where a batch norm has switched a channel
    off, the weights' scale is close to nothing and the bias would not fit. Its scale is raised until it does; what
    that changes in the output is below ``2**-30`` of the bias for each product.
    """
    changed = 0
    for node in list(editor.graph):
        if node.op_type not in ("Conv", "ConvTranspose") or len(node.inputs) < 3:
            continue
        x, weight = (_restored(value) for value in node.inputs[:2])
        bias = node.inputs[2]
        if x is None or weight is None or bias is None or not bias.is_initializer():
            continue
        changed += _coarsen(editor, x, weight, np.abs(numbers(bias)))
    return changed


def add_biases(editor: Editor) -> int:
    """Write constant biases as additions behind the convolutions, each with a constant of its own. Returns how many."""
    added = 0
    for node in list(editor.graph):
        if node.op_type not in ("Conv", "ConvTranspose") or len(node.inputs) < 3:
            continue
        bias, out = node.inputs[2], node.outputs[0]
        if bias is None or not bias.is_initializer() or out.shape is None:
            continue
        row = numbers(bias).reshape(1, -1, *[1] * (len(out.shape) - 2))
        node.resize_inputs(2)
        uses, place = list(out.uses()), following(editor.graph, node)
        wanted = editor.constant(f"{bias.name}.row", row)
        total = editor.before(place, "Add", [out, wanted], f"{out.name}.biased", out)
        for use in uses:
            use.node.replace_input_with(use.idx, total)
        editor.let_output_be(out, total)
        added += 1
    return added


def _restored(value: "ir.Value | None") -> "ir.Node | None":
    """The DequantizeLinear that makes a value."""
    node = None if value is None else value.producer()
    return node if node is not None and node.op_type == "DequantizeLinear" else None


def _coarsen(editor: Editor, x: "ir.Node", weight: "ir.Node", bias: np.ndarray) -> bool:
    assert x.inputs[1] is not None and weight.inputs[1] is not None and weight.inputs[0] is not None
    scale, unit, stored = numbers(weight.inputs[1]), numbers(x.inputs[1]), weight.inputs[0]
    if scale.ndim != 1 or unit.ndim != 0 or not stored.is_initializer() or scale.shape != bias.shape:
        return False
    needed = (bias / (unit * MOST_UNITS)).astype(np.float32)
    if not (needed > np.abs(scale)).any():
        return False
    raised = np.where(needed > np.abs(scale), np.copysign(needed, scale), scale).astype(np.float32)
    codes, shape = numbers(stored), [1] * len(stored.shape or ())
    shape[weight.attributes["axis"].as_int()] = -1
    moved = np.rint(codes.astype(np.float64) * (scale / raised).reshape(shape)).astype(codes.dtype)
    weight.replace_input_with(0, editor.constant(f"{stored.name}.coarse", moved, stored.dtype))
    weight.replace_input_with(1, editor.constant(f"{weight.inputs[1].name}.coarse", raised))
    return True
