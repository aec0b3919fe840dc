"""Operators of a TorchScript file that ``torch.jit.trace`` has made; of its program only the structure is read."""

import os
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from .graph import ImportedGraph, Node
from .torchscript_operators import OPERATORS, Value

__all__ = ["read_torchscript_graph"]

_IMAGE = Value("image")


def read_torchscript_graph(path: str) -> ImportedGraph:
    """The operators of a file; feature maps are named by the modules whose outputs they are, as "layer3".

    Args:
        path: local path of a traced module that takes the image alone.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is broken, or its module takes something else.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"no such TorchScript file: {path}")
    try:
        module = torch.jit.load(path, map_location="cpu")
    except RuntimeError as error:
        raise ValueError(f"{path} is not a TorchScript file ({str(error).splitlines()[0]})") from error
    arguments = list(module.graph.inputs())
    if len(arguments) != 2:
        raise ValueError(f"{path} takes {len(arguments) - 1} arguments; a backbone takes one, the image")
    reader = _Reader()
    outputs = reader.run(module, "forward", [_IMAGE], "")
    found = outputs if isinstance(outputs, list | tuple) else [outputs]
    reader.names.update({str(index): value for index, value in enumerate(found) if isinstance(value, Value)})
    return ImportedGraph(path, _IMAGE, tuple(reader.nodes), reader.names)


class _Reader:
    """Follows the methods of a module; values of the graph are modules, constants, lists of values, or symbols."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.names: dict[str, str] = {}
        self._changed: dict[str, Value] = {}

    def run(self, module: Any, method: str, arguments: Sequence[Any], path: str) -> Any:
        """What a method gives for these arguments; its operators join :attr:`nodes`."""
        graph = module._c._get_method(method).graph
        known = dict(zip((value.debugName() for value in graph.inputs()), [module, *arguments], strict=True))
        paths = {id(module): path}
        for node in graph.nodes():
            arguments = [known[value.debugName()] for value in node.inputs()]
            for value, result in zip(node.outputs(), self._results(node, arguments, path, paths), strict=True):
                known[value.debugName()] = result
        outputs = [known[value.debugName()] for value in graph.outputs()]
        return outputs[0] if len(outputs) == 1 else outputs

    def _results(self, node: Any, arguments: list[Any], path: str, paths: dict[int, str]) -> Sequence[Any]:
        kind = node.kind()
        if kind == "prim::Constant":
            return [node.output().toIValue()]
        if kind == "prim::GetAttr":
            found = getattr(arguments[0], node.s("name"))
            parent = paths.get(id(arguments[0]), path)
            paths[id(found)] = f"{parent}.{node.s('name')}".lstrip(".")
            return [found]
        if kind in ("prim::ListConstruct", "prim::TupleConstruct"):
            return [arguments]
        if kind in ("prim::ListUnpack", "prim::TupleUnpack") and isinstance(arguments[0], list | tuple):
            return arguments[0]
        if kind == "prim::CallMethod":
            inner = paths[id(arguments[0])]
            result = self.run(arguments[0], node.s("name"), arguments[1:], inner)
            if isinstance(result, Value):
                self.names[inner] = result
            return [result]
        return [self._operator(kind, arguments, path) for _ in node.outputs()]

    def _operator(self, kind: str, arguments: list[Any], path: str) -> Value:
        output = Value(f"{path or 'module'}:{len(self.nodes)}")
        current = [self._current(argument) for argument in arguments]
        inputs = tuple(_symbols(current))
        operator = kind.removesuffix("_") if kind.startswith("aten::") else kind
        name = f"{path}.{operator.partition('::')[2].lstrip('_')}".lstrip(".")
        self.nodes.append(Node(name, kind, inputs, output, partial(_layer, operator, current)))
        if operator != kind and isinstance(current[0], Value):
            # It works in place: who reads its input from now on gets its output.
            self._changed[current[0]] = output
        return output

    def _current(self, argument: Any) -> Any:
        if isinstance(argument, list | tuple):
            return [self._current(item) for item in argument]
        while isinstance(argument, Value) and argument in self._changed:
            argument = self._changed[argument]
        return argument


def _symbols(arguments: Sequence[Any]) -> Iterator[Value]:
    for argument in arguments:
        if isinstance(argument, Value):
            yield argument
        elif isinstance(argument, list | tuple):
            yield from _symbols(argument)


def _layer(operator: str, arguments: list[Any]) -> nn.Module:
    if operator not in OPERATORS:
        known = ", ".join(name.partition("::")[2] for name in OPERATORS)
        hint = "; trace the module in place of scripting it" if operator.startswith("prim::") else ""
        raise ValueError(f"the operator {operator} is not supported{hint}; those that are: {known}")
    return OPERATORS[operator](*arguments)
