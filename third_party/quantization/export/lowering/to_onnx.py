"""Writing a traced program as an ONNX file."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch.export import ExportedProgram

from ...files import write_whole
from ..landmarks import landmark_names
from ..nodes import tensor_names
from ..packages import need
from .activations import lower_activation
from .biases import add_biases, keep_biases_in_range
from .divisions import divide_by_convolutions
from .editing import Editor
from .neighbours import ask_codes_for_shapes, clip_codes_by_relu
from .norms import fold_norms
from .opaque import DEQUANTIZE_NODE, DOMAIN, FAKE_QUANTIZE_NODE, LANDMARK_NODE, place_of
from .placement import fold_transposes, repeat_after_moves, repeat_signed
from .targets import Target, find_target
from .translation import translate
from .weights import lower_weight

if TYPE_CHECKING:
    import onnx_ir as ir

SMALLEST_OPSET = 21  # the first with 4-bit and 16-bit types in QuantizeLinear and DequantizeLinear


def to_onnx(
    program: ExportedProgram,
    path: str | Path,
    *,
    input_names: Sequence[str],
    output_names: Sequence[str],
    opset: int = SMALLEST_OPSET,
    target: str = "generic",
) -> Path:
    """Write a program, quantized or in float, as ONNX; the file appears whole or not at all.

    Args:
        program: from :func:`~..trace.trace`.
        path: the file to write.
        input_names, output_names: one for each tensor, in order.
        opset: version of the operators, at least 21.
        target: for which engine quantization is placed: "generic", "onnxruntime", "openvino", "tensorrt".

    Returns:
        the path.

    Raises:
        ValueError: an unknown target, an older opset, names that are too few or too many, a grid that the target does
            not carry, or an operator without translation; the message names the layer.
        ImportError: packages that are missing, with their names.
        OSError: the file cannot be written.
    """
    model = to_model(program, input_names=input_names, output_names=output_names, opset=opset, target=target)
    import onnx_ir as ir

    return write_whole(path, lambda place: ir.save(model, place))


def to_model(
    program: ExportedProgram,
    *,
    input_names: Sequence[str],
    output_names: Sequence[str],
    opset: int = SMALLEST_OPSET,
    target: str = "generic",
) -> "ir.Model":
    """As :func:`to_onnx`, in memory."""
    wanted = find_target(target)
    if opset < SMALLEST_OPSET:
        raise ValueError(f"opset must be at least {SMALLEST_OPSET}, got {opset}")
    need("onnx", "onnxscript")
    signature = program.graph_signature
    for kind, names, tensors in (
        ("input", input_names, signature.user_inputs),
        ("output", output_names, signature.user_outputs),
    ):
        if len(names) != len(tensors):
            raise ValueError(
                f"{len(names)} {kind}_names ({', '.join(names)}) for {len(tensors)} {kind}s of the program"
            )
    model = translate(program, list(input_names), list(output_names), opset)
    _lower(model.graph, list(tensor_names(program).values()), wanted)
    _name_landmarks(model.graph, list(landmark_names(program).values()))
    model.opset_imports.pop(DOMAIN, None)
    return model


def _lower(graph: "ir.Graph", names: list[str], target: Target) -> None:
    editor = Editor(graph)
    problems = []
    for node in [node for node in graph if node.op_type == FAKE_QUANTIZE_NODE]:
        name = names[place_of(node)]
        try:
            lower_activation(editor, node, name, target)
        except ValueError as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise ValueError("\n".join(problems))
    fold_norms(editor, target)
    for node in [node for node in graph if node.op_type == DEQUANTIZE_NODE]:
        lower_weight(editor, node, target)
    fold_transposes(editor)
    if target.repeat_after_moves:
        repeat_after_moves(editor)
    if target.repeat_signed:
        repeat_signed(editor)
    if target.clip_codes:
        ask_codes_for_shapes(editor)  # first: a ReLU has no other reader then
        clip_codes_by_relu(editor)
    keep_biases_in_range(editor)
    if target.added_biases:
        add_biases(editor)
    if target.divisions_by_convolution:
        divide_by_convolutions(editor)
    _drop_unused(graph)


def _name_landmarks(graph: "ir.Graph", names: list[str]) -> None:
    editor = Editor(graph)
    for node in [node for node in graph if node.op_type == LANDMARK_NODE]:
        (x,), name = node.inputs, names[place_of(node)]
        assert x is not None
        out = editor.before(node, "Identity", [x], name, x)
        if node.outputs[0].is_graph_output():  # it keeps its own name
            out = editor.before(node, "Identity", [out], f"{name}.output", x)
        editor.replace(node, out)


def _drop_unused(graph: "ir.Graph") -> None:
    """Constants that nothing reads any more."""
    for name, value in list(graph.initializers.items()):
        if not value.uses() and not value.is_graph_output():
            del graph.initializers[name]
