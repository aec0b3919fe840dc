"""``torch.onnx`` at work, with errors that name the layer."""

import ast
import logging
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch.export import ExportedProgram

from ..nodes import layer_name
from .opaque import translation_table

if TYPE_CHECKING:
    import onnx_ir as ir

_OPERATOR = re.compile(r"OpOverload\(op='([\w.]+)'")


_FURTHER: dict[Callable[..., Any], Callable[..., Any]] = {}


def register_translation(operator: Callable[..., Any], function: Callable[..., Any]) -> None:
    """Say how an operator of a caller's own is written as ONNX.

    Args:
        operator: an overload, such as ``torch.ops.namespace.name.default``.
        function: takes the operator's arguments, tensors as values of a graph, and calls operators of ``onnxscript``.
    """
    _FURTHER[operator] = function


def translate(program: ExportedProgram, input_names: list[str], output_names: list[str], opset: int) -> "ir.Model":
    """A program as an ONNX graph in which the operators of quantization are opaque nodes.

    Raises:
        ValueError: operators without translation, with the layers that use them.
    """
    import torch
    from torch.onnx import OnnxExporterError

    loggers = [logging.getLogger(name) for name in ("onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = torch.onnx.export(
                program,
                input_names=input_names,
                output_names=output_names,
                opset_version=opset,
                dynamo=True,
                optimize=True,
                verbose=False,
                custom_translation_table=translation_table() | _FURTHER,
            )
    except OnnxExporterError as error:
        raise ValueError(_explanation(program, error)) from error
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
    assert result is not None
    _tidy(result.model)
    return result.model


def _tidy(model: "ir.Model") -> None:
    """Call nodes by layer and operator; drop notes on the tracing, which hold lines and paths of source files."""
    taken: dict[str, int] = {}
    for node in model.graph.all_nodes():
        scopes = ast.literal_eval(node.metadata_props.get("pkg.torch.onnx.name_scopes", "[]"))[:-1]
        name = "/".join([*[scope for scope in scopes[-1:] if scope], node.op_type])
        taken[name] = taken.get(name, 0) + 1
        node.name = name if taken[name] == 1 else f"{name}_{taken[name]}"
        node.metadata_props.clear()
        for value in node.outputs:
            value.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
    model.metadata_props.clear()
    model.graph.metadata_props.clear()


def _explanation(program: ExportedProgram, error: BaseException) -> str:
    """What could not be translated, and where it is used."""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None:
        causes.append(cause)
        cause = cause.__cause__
    text = "\n".join(str(cause) for cause in causes)
    # What failed may be what an operator was taken apart into: names of the parts are those of the whole, or in them.
    named = {name.rpartition(".")[2] for name in _OPERATOR.findall(text)}
    lines = {
        f"{layer_name(node)}: operator {node.target} has no translation to ONNX"
        for node in program.graph.nodes
        if node.op == "call_function" and any(name in str(node.target) for name in named)
    }
    return "\n".join(sorted(lines)) or f"the program has no translation to ONNX: {causes[-1]}"
