"""Files of ONNX Runtime's ``quantize_static``."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .candidate import Arrays, Candidate

# Name -> calibration method, kinds of nodes (None: all that it knows).
SETTINGS: dict[str, tuple[str, list[str] | None]] = {
    "MinMax": ("MinMax", None),
    "Percentile": ("Percentile", None),
    "Entropy": ("Entropy", None),
    "MinMax, Conv only": ("MinMax", ["Conv"]),
}


def static_files(source: Path, images: Arrays, folder: Path) -> Iterator[Candidate]:
    """One file for each setting: U8 activations, S8 weights per channel; what follows the network stays float.

    Args:
        source: the float file, with one input.
        images: to calibrate on, ``[N, C, H, W]`` each.
        folder: to write to.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared, network = folder / "static_prepared.onnx", folder / "static_network.onnx"
    quant_pre_process(source, prepared, skip_symbolic_shape=True)
    whole = onnx.load(prepared)
    tail = nodes_outside(whole.graph)
    # Decoding holds constants and infinities on which calibration with histograms fails: it is taken off meanwhile.
    onnx.utils.extract_model(prepared, network, [whole.graph.input[0].name], _cut(whole.graph, tail))
    for name, (method, kinds) in SETTINGS.items():
        start = time.process_time()
        path = folder / f"static_{name.replace(', ', '_').replace(' ', '_')}.onnx"
        quantize_static(
            network,
            path,
            _Reader(whole.graph.input[0].name, images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=kinds,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod[method],
        )
        quantized = onnx.load(path)
        _append(quantized, whole.graph, tail)
        onnx.save(quantized, path)
        yield Candidate("quantize_static", name, "onnxruntime", path, seconds=time.process_time() - start)


def nodes_outside(graph: Any) -> list[Any]:
    """The nodes of an ONNX graph that work for no convolution: decoding of boxes, suppression."""
    maker = {output: node for node in graph.node for output in node.output}
    waiting = [node for node in graph.node if node.op_type in ("Conv", "ConvTranspose")]
    inside: set[str] = set()
    while waiting:
        node = waiting.pop()
        if node.output[0] not in inside:
            inside.add(node.output[0])
            waiting += [maker[name] for name in node.input if name in maker]
    return [node for node in graph.node if node.output[0] not in inside]


def _cut(graph: Any, tail: list[Any]) -> list[str]:
    """Names of the tensors that the tail, or who runs the graph, reads and other nodes make."""
    own = {output for node in tail for output in node.output}
    made = {output for node in graph.node for output in node.output} - own
    read = [name for node in tail for name in node.input] + [output.name for output in graph.output]
    return list(dict.fromkeys(name for name in read if name in made))


def _append(model: Any, graph: Any, tail: list[Any]) -> None:
    """Put the tail of a graph behind its quantized network."""
    there = {constant.name for constant in model.graph.initializer}
    wanted = {name for node in tail for name in node.input} - there
    model.graph.node.extend(tail)
    model.graph.initializer.extend(constant for constant in graph.initializer if constant.name in wanted)
    del model.graph.output[:]
    model.graph.output.extend(graph.output)


class _Reader:
    """Hands out the images one by one, as ``quantize_static`` asks for them."""

    def __init__(self, name: str, images: Arrays) -> None:
        self.name, self.images = name, iter(images)

    def get_next(self) -> dict[str, Any] | None:
        """The next image; None behind the last."""
        image = next(self.images, None)
        return None if image is None else {self.name: image}
