"""QuantizeLinear right behind what makes a tensor, where an engine fuses only such pairs."""

from typing import TYPE_CHECKING

import numpy as np

from .editing import Editor, constant_numbers
from .placement import following

if TYPE_CHECKING:
    import onnx_ir as ir

_HIGHEST = {"UINT8": 255, "INT8": 127}


def clip_codes_by_relu(editor: Editor) -> int:
    """Let ReLUs in front of QuantizeLinear limit codes behind it. Returns how many.

    A range that serves a skip connection's other branch too goes below zero, so that the rounding does not clip there.
    """
    moved = 0
    for node in [node for node in editor.graph if node.op_type == "Relu"]:
        output = node.outputs[0]
        readers = [reader for reader, _ in output.uses()]
        if len(readers) != 1 or output.is_graph_output() or readers[0].op_type != "QuantizeLinear":
            continue
        quantize = readers[0]
        zero = constant_numbers(quantize.inputs[2])
        codes = quantize.outputs[0]
        kind = "" if codes.dtype is None else codes.dtype.name
        if zero is None or zero.ndim or kind not in _HIGHEST or node.inputs[0] is None:
            continue
        quantize.replace_input_with(0, node.inputs[0])
        editor.graph.remove(node, safe=True)
        uses = list(codes.uses())
        ends = [editor.constant(f"{codes.name}.{key}", np.asarray(value, kind.lower()), codes.dtype)
                for key, value in (("zero", zero), ("highest", _HIGHEST[kind]))]  # fmt: skip
        place = following(editor.graph, quantize)
        limited = editor.before(place, "Clip", [codes, *ends], f"{codes.name}.not_negative", codes)
        for use in uses:
            use.node.replace_input_with(use.idx, limited)
        moved += 1
    return moved


def ask_codes_for_shapes(editor: Editor) -> int:
    """Take the shape of a tensor from its codes: one reader less keeps it from being fused. Returns how many."""
    asked = 0
    for node in [node for node in editor.graph if node.op_type == "Shape"]:
        value = node.inputs[0]
        readers = [] if value is None else [reader for reader, _ in value.uses()]
        quantize = next((reader for reader in readers if reader.op_type == "QuantizeLinear"), None)
        if quantize is None:
            continue
        node.replace_input_with(0, quantize.outputs[0])
        _bring_forward(editor, quantize, node)
        asked += 1
    return asked


def _bring_forward(editor: Editor, quantize: "ir.Node", reader: "ir.Node") -> None:
    """Let QuantizeLinear stand directly behind what it reads, and so in front of a new reader."""
    made = quantize.inputs[0].producer() if quantize.inputs[0] is not None else None
    editor.graph.remove(quantize)
    editor.graph.insert_before(reader if made is None else following(editor.graph, made), quantize)
