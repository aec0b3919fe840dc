"""Weights from ONNX files whose batch normalisation is folded into the convolutions."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..network import YOLONetwork
from .conv_graph import ConvGraph, ConvNode, Value, concatenated, match, merged
from .network_graph import conv_kind, network_graph

__all__ = ["OnnxConvs", "convert_onnx", "fill_folded", "read_onnx"]


@dataclass(frozen=True)
class OnnxConvs:
    """The convolutions of an ONNX file.

    Attributes:
        graph: how they are connected; they are named by their outputs.
        weights, biases: of each.
        weight_names: what the file calls the weights.
    """

    graph: ConvGraph
    weights: Mapping[str, Tensor]
    biases: Mapping[str, Tensor | None]
    weight_names: Mapping[str, str]


def convert_onnx(filename: str | os.PathLike[str], network: YOLONetwork) -> dict[str, Tensor]:
    """The state dict of a network from an ONNX file of it.

    Convolutions are found by how they are connected; those that the file names as published checkpoints do must end
    up under these names.

    Args:
        filename: local path; the batch normalisation is folded, as exporters do in evaluation mode.
        network: which the file is of, on the meta device.

    Raises:
        ImportError: the package onnx is missing.
        ValueError: the file is broken, or does not fit; the message lists what does not.
    """
    convs = read_onnx(filename)
    pairs = match(network_graph(network), convs.graph)
    _check_names(pairs, convs, network)
    return fill_folded(
        network,
        {name: convs.weights[theirs] for name, theirs in pairs.items()},
        {name: convs.biases[theirs] for name, theirs in pairs.items()},
    )


def read_onnx(filename: str | os.PathLike[str]) -> OnnxConvs:
    """The convolutions of an ONNX file, their weights and connections.

    Raises:
        ImportError: the package onnx is missing.
        ValueError: the file is broken, or has batch normalisation beside the convolutions.
    """
    try:
        import onnx
    except ImportError as error:
        raise ImportError("reading ONNX files needs the package onnx: pip install 'detectron2[onnx]'") from error
    path = os.fspath(filename)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"no such weight file: {path}")
    try:
        graph = onnx.load(path).graph
    except OSError:
        raise
    except Exception as error:
        # The parser's own class of error belongs to the protobuf package.
        raise ValueError(f"not a whole ONNX file ({error})") from error
    if not graph.node:
        raise ValueError("not an ONNX file, or one without a graph")
    reader = _Reader(onnx, graph)
    for node in graph.node:
        reader.add(node)
    return OnnxConvs(ConvGraph(tuple(reader.nodes)), reader.weights, reader.biases, reader.weight_names)


class _Reader:
    def __init__(self, onnx: Any, graph: Any) -> None:
        self._onnx = onnx
        self._constants = {entry.name: entry for entry in graph.initializer}
        self._values: dict[str, Value] = {}
        self.nodes: list[ConvNode] = []
        self.weights: dict[str, Tensor] = {}
        self.biases: dict[str, Tensor | None] = {}
        self.weight_names: dict[str, str] = {}

    def add(self, node: Any) -> None:
        """Follow a node; the file has them in an order in which they can run."""
        if node.op_type == "BatchNormalization":
            raise ValueError("batch normalisation is not folded into the convolutions; export in evaluation mode")
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            self._constants[node.output[0]] = node.attribute[0].t
            return
        sources = [self._values.get(name, ()) for name in node.input]
        if node.op_type == "Conv":
            value = self._conv(node, sources[0])
        elif node.op_type == "Concat" and _attribute(node, "axis", 0) == 1:
            value = concatenated(sources)
        else:
            value = merged(sources)
        self._values.update({name: value for name in node.output})

    def _conv(self, node: Any, source: Value) -> Value:
        name = node.output[0]
        if node.input[1] not in self._constants:
            return merged([source])
        weight = self._tensor(node.input[1])
        stride = tuple(_attribute(node, "strides", [1, 1]))
        kind = conv_kind(tuple(weight.shape), stride, _attribute(node, "group", 1))
        self.nodes.append(ConvNode(name, kind, source))
        self.weights[name], self.weight_names[name] = weight, node.input[1]
        has_bias = len(node.input) > 2 and node.input[2] != ""
        self.biases[name] = self._tensor(node.input[2]) if has_bias else None
        return (frozenset([name]),)

    def _tensor(self, name: str) -> Tensor:
        if name not in self._constants:
            raise ValueError(f"{name} is no constant")
        return torch.from_numpy(self._onnx.numpy_helper.to_array(self._constants[name]).copy()).float()


def _attribute(node: Any, name: str, default: Any) -> Any:
    found = next((entry for entry in node.attribute if entry.name == name), None)
    if found is None:
        return default
    return list(found.ints) if found.ints else found.i


def _check_names(pairs: Mapping[str, str], convs: OnnxConvs, network: YOLONetwork) -> None:
    published = network.source_names()
    known = set(published.values())
    for ours, theirs in pairs.items():
        name, expected = convs.weight_names[theirs], published[f"{ours}.weight"]
        if name in known and name != expected:
            raise ValueError(f"the weights {name} stand where {expected} is expected")


def fill_folded(
    network: YOLONetwork, weights: Mapping[str, Tensor], biases: Mapping[str, Tensor | None]
) -> dict[str, Tensor]:
    """A state dict with normalisations that change nothing but add the biases.

    Args:
        network: which it is for; only its modules and shapes are read.
        weights, biases: of each convolution by the name of its module; None for no bias.

    Raises:
        ValueError: the network has tensors that these do not give, or a bias has the wrong shape.
    """
    state: dict[str, Tensor] = {}
    for name, weight in weights.items():
        module = network.get_submodule(name)
        assert isinstance(module, nn.Conv2d)
        state[f"{name}.weight"] = weight
        bias = biases[name]
        channels = len(weight)
        bias = torch.zeros(channels) if bias is None else bias
        norm = getattr(module, "norm", None)
        if norm is None:
            state[f"{name}.bias"] = bias
            continue
        ones = torch.ones(channels)
        neutral = {"weight": ones, "bias": bias, "running_mean": 0 * ones, "running_var": ones - norm.eps}
        neutral["num_batches_tracked"] = torch.zeros((), dtype=torch.long)
        state.update({f"{name}.norm.{key}": value for key, value in neutral.items()})
    own = network.state_dict()
    wrong = [name for name in own.keys() | state.keys() if name not in own or name not in state]
    wrong += [name for name in own.keys() & state.keys() if own[name].shape != state[name].shape]
    if wrong:
        names = ", ".join(sorted(wrong)[:10])
        raise ValueError(f"{len(wrong)} tensors of the network are not given by convolutions of the file: {names}")
    return {name: state[name] for name in own}
