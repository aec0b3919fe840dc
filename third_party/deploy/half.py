"""An ONNX file in float16, to stand beside an INT8 one."""

from pathlib import Path
from typing import Any

_HEAVY = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def to_float16(source: Path, path: Path) -> Path:
    """Write a float32 ONNX file again with the network in float16.

    Inputs, outputs and what makes boxes of the network's predictions stay float32: float16 cannot tell coordinates
    beyond 2048 to a pixel.

    Args:
        source: the file.
        path: of the new one.

    Raises:
        ImportError: ONNX Runtime, whose converter is used, is not installed.
    """
    import onnx
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    model = onnx.load(source)
    for position, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{position}"
    network = _network(model.graph)
    outside = [node.name for node in model.graph.node if node.name not in network]
    model = convert_float_to_float16(
        model, keep_io_types=True, op_block_list=[*DEFAULT_OP_BLOCK_LIST, "TopK"], node_block_list=outside
    )
    _drop_repeated(model.graph)
    onnx.save(model, path)
    return path


def _network(graph: Any) -> set[str]:
    """Names of the convolutions and products of matrices, and of all nodes that work for them."""
    maker = {output: node for node in graph.node for output in node.output}
    waiting = [node for node in graph.node if node.op_type in _HEAVY]
    found: set[str] = set()
    while waiting:
        node = waiting.pop()
        if node.name in found:
            continue
        found.add(node.name)
        inputs = node.input[:1] if node.op_type == "RoiAlign" else node.input  # features, not boxes
        waiting += [maker[name] for name in inputs if name in maker]
    return found


def _drop_repeated(graph: Any) -> None:
    """The converter writes a cast once for each reader, always under the same name: keep the first."""
    kept: list[Any] = []
    made: set[str] = set()
    for node in graph.node:
        if not made.intersection(node.output):
            made.update(node.output)
            node.name = f"{node.op_type}_{len(kept)}"
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)
