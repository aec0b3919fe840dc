"""Batch norms behind convolutions of integer weights: into the weights' scales and the bias."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from .editing import Editor, constant_numbers, numbers
from .opaque import DEQUANTIZE_NODE
from .targets import Target
from .weights import IntegerWeight, restore

if TYPE_CHECKING:
    import onnx_ir as ir

Affine = tuple[np.ndarray, np.ndarray]


def fold_norms(editor: Editor, target: Target) -> int:
    """Fold what a convolution's output is multiplied by and what is added to it. Returns in how many convolutions.

    Norms of one level each, behind a convolution that all levels share, stay in the traced graph, where the weight is
    one. In a file each level has its own scales of the same integers, and engines then run the convolution on them.
    """
    folded = 0
    for conv in [node for node in editor.graph if node.op_type == "Conv"]:
        made = None if conv.inputs[1] is None else conv.inputs[1].producer()
        if made is None or made.op_type != DEQUANTIZE_NODE:
            continue
        channels = len(numbers(made.inputs[0]))  # type: ignore[arg-type]
        factor, shift, chain = _affine_behind(conv, channels)
        bias = _bias(conv, channels)
        if not chain or bias is None:
            continue
        weight = IntegerWeight.of(made)
        if weight.scale.ndim == 1 and weight.axis != 0:
            continue
        by_output = factor if weight.scale.ndim < 2 else factor.reshape(-1, *[1] * (weight.codes.ndim - 1))
        scaled = replace(weight, scale=(weight.scale * by_output).astype(np.float32), axis=0)
        value = restore(editor, conv, scaled, made.outputs[0], target)
        name = f"{conv.outputs[0].name}.bias"
        added = editor.constant(name, (bias * factor + shift).astype(np.float32))
        conv.replace_input_with(1, value)
        if len(conv.inputs) < 3:
            conv.resize_inputs(3)
        conv.replace_input_with(2, added)
        for node in reversed(chain):
            editor.replace(node, node.inputs[_data_input(node)])  # type: ignore[arg-type]
        if not made.outputs[0].uses():
            editor.graph.remove(made, safe=True)
        folded += 1
    return folded


def _affine_behind(conv: "ir.Node", channels: int) -> tuple[np.ndarray, np.ndarray, list["ir.Node"]]:
    """Factor and shift of each channel by the nodes that alone read what the one before gives, and these nodes."""
    factor, shift, chain = np.ones(channels), np.zeros(channels), list["ir.Node"]()
    value = conv.outputs[0]
    while not value.is_graph_output() and len(readers := [node for node, _ in value.uses()]) == 1:
        found = _affine_of(readers[0], channels)
        if found is None:
            break
        factor, shift = factor * found[0], shift * found[0] + found[1]
        chain.append(readers[0])
        value = readers[0].outputs[0]
    return factor, shift, chain


def _affine_of(node: "ir.Node", channels: int) -> Affine | None:
    if node.op_type == "BatchNormalization":
        constants = [constant_numbers(value) for value in node.inputs[1:]]
        if any(found is None for found in constants) or len(node.outputs) != 1:
            return None
        gain, bias, mean, variance = (np.asarray(found, np.float64) for found in constants)
        epsilon = node.attributes["epsilon"].as_float() if "epsilon" in node.attributes else 1e-5
        factor = gain / np.sqrt(variance + epsilon)
        return factor, bias - mean * factor
    if node.op_type not in ("Mul", "Add"):
        return None
    constant = constant_numbers(node.inputs[1 - _data_input(node)])
    by_channel = None if constant is None else _by_channel(constant, channels)
    if by_channel is None:
        return None
    if node.op_type == "Mul":
        return by_channel, np.zeros(channels)
    return np.ones(channels), by_channel


def _data_input(node: "ir.Node") -> int:
    """Which input is no constant."""
    return 1 if node.op_type in ("Mul", "Add") and constant_numbers(node.inputs[0]) is not None else 0


def _by_channel(constant: np.ndarray, channels: int) -> np.ndarray | None:
    """``[C]`` of a constant that has one value, or one for each channel of ``[N, C, H, W]``."""
    if constant.size == 1:
        return np.full(channels, float(constant.reshape(())))
    shape = (1, *constant.shape)[-4:] if constant.ndim == 3 else constant.shape
    return constant.reshape(-1).astype(np.float64) if shape == (1, channels, 1, 1) else None


def _bias(conv: "ir.Node", channels: int) -> np.ndarray | None:
    if len(conv.inputs) < 3 or conv.inputs[2] is None:
        return np.zeros(channels)
    found = constant_numbers(conv.inputs[2])
    return None if found is None else found.astype(np.float64)
