"""An ONNX file in float16, to stand beside an INT8 one."""

from pathlib import Path


def to_float16(source: Path, path: Path) -> Path:
    """Write a float32 ONNX file again with weights and arithmetic in float16; inputs and outputs stay float32.

    Args:
        source: the file.
        path: of the new one.

    Raises:
        ImportError: ONNX Runtime, whose converter is used, is not installed.
    """
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = convert_float_to_float16(onnx.load(source), keep_io_types=True)
    for position, node in enumerate(model.graph.node):  # the converter gives some of its casts the same name
        node.name = f"{node.op_type}_{position}"
    onnx.save(model, path)
    return path
