"""Operators of an ONNX file (https://onnx.ai/onnx/operators)."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from .graph import ImportedGraph, Node
from .onnx_operators import OPERATORS

__all__ = ["OnnxNode", "read_onnx_graph"]


@dataclass(frozen=True)
class OnnxNode:
    """What an operator's layer is made from.

    Attributes:
        operator: its kind.
        inputs: names of all its inputs; an empty one is left out in the file.
        attributes: its attributes by name.
        constants: all constants of the file by name.
    """

    operator: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    constants: Mapping[str, Tensor]

    def constant(self, index: int) -> Tensor | None:
        """The constant at an input; None if there is no such input.

        Raises:
            ValueError: the input is computed.
        """
        if index >= len(self.inputs) or not self.inputs[index]:
            return None
        if self.inputs[index] not in self.constants:
            raise ValueError(f"its input {self.inputs[index]!r} is no constant")
        return self.constants[self.inputs[index]]

    def required(self, index: int) -> Tensor:
        """The constant at an input that must be there."""
        found = self.constant(index)
        if found is None:
            raise ValueError(f"its input {index} is missing")
        return found


def read_onnx_graph(path: str) -> ImportedGraph:
    """The operators of a file.

    Args:
        path: local path.

    Raises:
        FileNotFoundError: there is no such file.
        ImportError: the package onnx is missing.
        ValueError: the file is broken, or does not have one image as its input.
    """
    try:
        import onnx
    except ImportError as error:
        raise ImportError("reading ONNX files needs the package onnx: pip install 'detectron2[onnx]'") from error
    if not os.path.isfile(path):
        raise FileNotFoundError(f"no such ONNX file: {path}")
    try:
        graph = onnx.load(path).graph
    except OSError:
        raise
    except Exception as error:
        # The parser's own class of error belongs to the protobuf package.
        raise ValueError(f"{path} is not a whole ONNX file ({error})") from error
    constants = {entry.name: _tensor(onnx, entry) for entry in graph.initializer}
    images = [entry.name for entry in graph.input if entry.name not in constants]
    if len(images) != 1:
        raise ValueError(f"{path} has the inputs {', '.join(images) or 'none'}; a backbone has one, the image")
    nodes: list[Node] = []
    names: dict[str, str] = {}
    for entry in graph.node:
        attributes = {item.name: onnx.helper.get_attribute_value(item) for item in entry.attribute}
        if entry.op_type == "Constant":
            constants[entry.output[0]] = _constant(onnx, attributes)
            continue
        made = OnnxNode(entry.op_type, tuple(entry.input), attributes, constants)
        inputs = tuple(name for name in entry.input if name and name not in constants)
        name = entry.name or entry.output[0]
        nodes.append(Node(name, entry.op_type, inputs, entry.output[0], partial(_layer, made)))
        names[name] = names[entry.output[0]] = entry.output[0]
    return ImportedGraph(path, images[0], tuple(nodes), names)


def _layer(node: OnnxNode) -> nn.Module:
    if node.operator not in OPERATORS:
        raise ValueError(f"the operator {node.operator} is not supported; those that are: {', '.join(OPERATORS)}")
    make: Callable[[OnnxNode], nn.Module] = OPERATORS[node.operator]
    return make(node)


def _constant(onnx: Any, attributes: Mapping[str, Any]) -> Tensor:
    """The value of a node Constant, which has a single attribute."""
    kind, value = next(iter(attributes.items()))
    return _tensor(onnx, value) if kind == "value" else torch.as_tensor(value)


def _tensor(onnx: Any, entry: Any) -> Tensor:
    return torch.from_numpy(onnx.numpy_helper.to_array(entry).copy())
