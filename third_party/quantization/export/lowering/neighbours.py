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
        way = [] if value is None else _way_to_codes(value)
        if value is None or not way:
            continue
        node.replace_input_with(0, way[-1].outputs[0])
        _bring_forward(editor, value, way, node)
        asked += 1
    return asked


def _way_to_codes(value: "ir.Value") -> list["ir.Node"]:
    """QuantizeLinear that reads a tensor, perhaps behind a ReLU, which stands first then; empty if there is none."""
    readers = [reader for reader, _ in value.uses()]
    for reader in readers:
        if reader.op_type == "QuantizeLinear":
            return [reader]
    ways = ([reader, *_way_to_codes(reader.outputs[0])] for reader in readers if reader.op_type == "Relu")
    return next((way for way in ways if len(way) > 1), [])


def _bring_forward(editor: Editor, value: "ir.Value", way: list["ir.Node"], reader: "ir.Node") -> None:
    """Let the nodes of a way stand directly behind what they read, and so in front of a new reader."""
    made = value.producer()
    for node in way:
        editor.graph.remove(node)
    place = None if made is None else following(editor.graph, made)
    editor.graph.insert_before(place or reader, way)
