"""An ONNX file in float16, to stand beside an INT8 one."""

from pathlib import Path
from typing import Any

import numpy as np

_HEAVY = ("Conv", "ConvTranspose", "Gemm", "MatMul")
# Stay in float32: sources, what orders values, and RoiAlign, whose boxes must be of the type of its features.
_FLOAT32 = ("Cast", "Constant", "ConstantOfShape", "Range", "RoiAlign", "TopK")
_LARGEST = float(np.finfo(np.float16).max)


def to_float16(source: Path, path: Path) -> Path:
    """Write a float32 ONNX file again with the network in float16.

    The network is what convolutions and products of matrices compute from. Inputs, outputs and what makes detections of
    the network's predictions stay as they are: float16 cannot tell coordinates or indices beyond 2048 apart. Constants
    of the network beyond float16 become its largest number.

    Args:
        source: the file.
        path: of the new one.

    Raises:
        ImportError: ONNX is not installed.
    """
    import onnx

    model = onnx.shape_inference.infer_shapes(onnx.load(source))
    _Conversion(model).run()
    onnx.save(model, path)
    return path


class _Conversion:
    """One model's way into float16: a float tensor ``x`` of the network is ``x.float16`` in the new graph.

    Args:
        model: with the types of all tensors; it is changed.
    """

    def __init__(self, model: Any) -> None:
        from onnx import TensorProto, helper

        self._float, self._half, self._make_node = TensorProto.FLOAT, TensorProto.FLOAT16, helper.make_node
        self._graph = graph = model.graph
        self._opset = next(opset.version for opset in model.opset_import if opset.domain in ("", "ai.onnx"))
        described = (*graph.input, *graph.output, *graph.value_info)
        types = {value.name: value.type.tensor_type.elem_type for value in described}
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        types |= {name: tensor.data_type for name, tensor in self._constants.items()}
        self._floats = {name for name, kind in types.items() if kind == self._float}
        self._nodes: list[Any] = []
        self._made: set[str] = set()

    def run(self) -> None:
        """Convert."""
        network = self._network()
        inside = {name for position in network for name in self._graph.node[position].output} & self._floats
        read = self._read_outside(network)
        for position, node in enumerate(list(self._graph.node)):
            if position in network:
                self._convert(node, inside, read)
            else:
                self._nodes.append(node)
        del self._graph.node[:]
        self._graph.node.extend(self._nodes)
        unused = set(self._constants) - {name for node in self._nodes for name in _names(node)}
        for name in unused - {value.name for value in self._graph.output}:
            self._graph.initializer.remove(self._constants[name])
        for value in [value for value in self._graph.value_info if value.name in inside - read]:
            self._graph.value_info.remove(value)

    def _network(self) -> set[int]:
        """Places of the convolutions and products of matrices, and of what makes float numbers for them."""
        nodes = list(self._graph.node)
        maker = {output: position for position, node in enumerate(nodes) for output in node.output}
        waiting = [position for position, node in enumerate(nodes) if node.op_type in _HEAVY]
        seen, found = set[int](), set[int]()
        while waiting:
            position = waiting.pop()
            if position in seen:
                continue
            seen.add(position)
            node = nodes[position]
            fits = self._fits(node)
            if fits:
                found.add(position)
            # Of what has no float16 form the first input is the data: features, not boxes.
            inputs = node.input if fits else node.input[:1]
            waiting += [maker[name] for name in inputs if name in maker and name in self._floats]
        return found

    def _fits(self, node: Any) -> bool:
        """Whether all float tensors that a node gives may be float16."""
        if node.op_type in _FLOAT32:
            return False
        return all(self._may_be_half(node, i, "outputs") for i, name in enumerate(node.output) if name in self._floats)

    def _may_be_half(self, node: Any, place: int, side: str) -> bool:
        """Whether the standard allows float16 for a tensor of a node, ``side`` being "inputs" or "outputs"."""
        import onnx

        if not onnx.defs.has(node.op_type, node.domain) or any(attribute.HasField("g") for attribute in node.attribute):
            return False
        formal = getattr(onnx.defs.get_schema(node.op_type, self._opset, node.domain), side)
        return "tensor(float16)" in formal[min(place, len(formal) - 1)].types

    def _read_outside(self, network: set[int]) -> set[str]:
        """Names of the tensors that others than the network want."""
        names = {value.name for value in self._graph.output}
        for position, node in enumerate(self._graph.node):
            if position not in network:
                names |= _names(node)
            else:
                names |= {x for i, x in enumerate(node.input) if not self._may_be_half(node, i, "inputs")}
        return names

    def _convert(self, node: Any, inside: set[str], read: set[str]) -> None:
        for place, name in enumerate(node.input):
            if name in self._floats and self._may_be_half(node, place, "inputs"):
                if name not in inside:
                    self._enter(name)
                node.input[place] = _half(name)
        outputs = [name for name in node.output if name in self._floats]
        for place, name in enumerate(node.output):
            if name in outputs:
                node.output[place] = _half(name)
        self._nodes.append(node)
        self._nodes += [self._cast(_half(name), name, self._float) for name in outputs if name in read]

    def _enter(self, name: str) -> None:
        """Have a tensor from outside the network in float16, once."""
        if name in self._made:
            return
        self._made.add(name)
        if name not in self._constants:
            self._nodes.append(self._cast(name, _half(name), self._half))
            return
        from onnx import numpy_helper

        values = numpy_helper.to_array(self._constants[name]).clip(-_LARGEST, _LARGEST)
        self._graph.initializer.append(numpy_helper.from_array(values.astype(np.float16), _half(name)))

    def _cast(self, name: str, output: str, kind: int) -> Any:
        return self._make_node("Cast", [name], [output], name=f"{output}/Cast", to=kind)


def _half(name: str) -> str:
    return f"{name}.float16"


def _names(node: Any) -> set[str]:
    """Names of the tensors that a node reads, in its inner graphs too."""
    inner = [attribute.g for attribute in node.attribute if attribute.HasField("g")]
    return set(node.input).union(*(_names(other) for graph in inner for other in graph.node))
