"""Where QuantizeLinear and DequantizeLinear stand so that engines compute with integers between them."""

from typing import TYPE_CHECKING

import numpy as np

from .editing import Editor, numbers

if TYPE_CHECKING:
    import onnx_ir as ir

# Give values that they get; engines do them with integers where they stand between the two nodes.
_MOVES = frozenset({"MaxPool", "Resize", "Reshape", "Transpose", "Slice", "Split", "Squeeze", "Unsqueeze", "Flatten"})
_JOINS = frozenset({"Concat"})
# Behind these ONNX Runtime adds the two nodes by itself, if there are none.
_FOLLOWED = frozenset({"MaxPool", "Reshape", "Transpose", "Slice", "Squeeze", "Unsqueeze"})


def repeat_after_moves(editor: Editor) -> int:
    """Put the quantization of its inputs once more behind each step that only moves or joins values.

    It changes no value, for they are on the grid already. Returns how many were added.
    """
    added = 0
    for node in list(editor.graph):
        first = _source(node) if node.op_type in _MOVES | _JOINS and _is_nearest(node) else None
        if first is None:
            continue
        for output in node.outputs:
            if output.uses() and not _has_own(output):
                _repeat(editor, node, output, first)
                added += 1
    return added


def repeat_signed(editor: Editor) -> int:
    """As :func:`repeat_after_moves`, for INT8 activations and the steps at which ONNX Runtime fails without.

    Outputs of the graph are meant as well. Returns how many were added.
    """
    added = 0
    for node in list(editor.graph):
        first = _source(node) if node.op_type in _FOLLOWED else None
        zero_point = None if first is None else first.inputs[2]
        if first is None or zero_point is None or zero_point.dtype is None or zero_point.dtype.name != "INT8":
            continue
        output = node.outputs[0]
        if not _has_own(output):
            _repeat(editor, node, output, first)
            added += 1
    return added


def _source(node: "ir.Node") -> "ir.Node | None":
    """The DequantizeLinear that gives what a node moves; of several equal ones the first; None if there is none."""
    inputs = node.inputs if node.op_type in _JOINS else node.inputs[:1]
    sources = [value.producer() if value is not None else None for value in inputs]
    first = sources[0]
    if first is None or any(source is None or not _equal(first, source) for source in sources):
        return None
    return first


def _is_nearest(node: "ir.Node") -> bool:
    return node.op_type != "Resize" or node.attributes.get_string("mode", "nearest") == "nearest"


def _equal(a: "ir.Node", b: "ir.Node") -> bool:
    """Whether two nodes are DequantizeLinear of activations with the same single range."""
    if {a.op_type, b.op_type} != {"DequantizeLinear"}:
        return False
    if any(node.inputs[0] is None or node.inputs[0].is_initializer() for node in (a, b)):
        return False
    pairs = list(zip(a.inputs[1:], b.inputs[1:], strict=True))
    values = [(numbers(x), numbers(y), x.dtype == y.dtype) for x, y in pairs if x is not None and y is not None]
    return all(x.ndim == 0 and same and np.array_equal(x, y) for x, y, same in values)


def _has_own(output: "ir.Value") -> bool:
    """Whether the only reader of an output quantizes it already."""
    readers = {use.node for use in output.uses()}
    return not output.is_graph_output() and all(reader.op_type == "QuantizeLinear" for reader in readers)


def _repeat(editor: Editor, node: "ir.Node", output: "ir.Value", like: "ir.Node") -> None:
    import onnx_ir as ir

    scale, zero_point = like.inputs[1:]
    assert zero_point is not None
    uses = list(output.uses())
    place = following(editor.graph, node)
    codes = editor.before(
        place, "QuantizeLinear", [output, scale, zero_point], f"{output.name}.codes", output, data_type=zero_point.dtype
    )
    again = editor.before(
        place,
        "DequantizeLinear",
        [codes, scale, zero_point],
        f"{output.name}.again",
        output,
        data_type=ir.DataType.FLOAT,
    )
    for use in uses:
        use.node.replace_input_with(use.idx, again)
    if not uses:
        editor.let_output_be(output, again)


def following(graph: "ir.Graph", node: "ir.Node") -> "ir.Node | None":
    """The node that stands behind another; None behind the last."""
    found = False
    for other in graph:
        if found:
            return other
        found = other is node
    return None


def fold_transposes(editor: Editor) -> None:
    """Let weights be stored in the order in which matrix products read them."""
    for node in list(editor.graph):
        if node.op_type != "Transpose" or node.inputs[0] is None:
            continue
        source = node.inputs[0].producer()
        if source is None or source.op_type != "DequantizeLinear" or not _is_stored(source):
            continue
        if len(node.inputs[0].uses()) > 1:
            continue
        order = list(node.attributes["perm"].as_ints())
        _transpose_stored(editor, source, order)
        if "axis" in source.attributes:
            import onnx_ir as ir

            axis = source.attributes["axis"].as_int()
            source.attributes["axis"] = ir.AttrInt64("axis", order.index(axis % len(order)))
        source.outputs[0].shape = node.outputs[0].shape
        editor.replace(node, source.outputs[0])


def _is_stored(node: "ir.Node") -> bool:
    value = node.inputs[0]
    while value is not None and (producer := value.producer()) is not None and producer.op_type == "Cast":
        value = producer.inputs[0]
    return value is not None and value.is_initializer()


def _transpose_stored(editor: Editor, node: "ir.Node", order: list[int]) -> None:
    """Replace the stored codes below a DequantizeLinear by transposed ones."""
    reader = node
    value = reader.inputs[0]
    while value is not None and not value.is_initializer():
        producer = value.producer()
        assert producer is not None
        reader, value = producer, producer.inputs[0]
    assert value is not None
    moved = editor.constant(f"{value.name}.transposed", numbers(value).transpose(order), value.dtype)
    reader.replace_input_with(0, moved)
    if reader is not node:
        reader.outputs[0].shape = moved.shape
