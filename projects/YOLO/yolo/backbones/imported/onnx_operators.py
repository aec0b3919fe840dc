"""The layer of each ONNX operator, for those that image classifiers are made of."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from torch import nn

from detectron2.layers import Add, Concat

from .modules import Arithmetic, LinearClip, Multiply, batch_norm_of, convolution_of, padded

if TYPE_CHECKING:
    from .onnx_file import OnnxNode

__all__ = ["OPERATORS"]


def _pads(node: OnnxNode) -> tuple[int, ...]:
    """Top, left, bottom, right."""
    automatic = node.attributes.get("auto_pad", b"NOTSET")
    if automatic not in (b"NOTSET", b"VALID"):
        raise ValueError(f"auto_pad {automatic.decode()} is not supported; export with explicit pads")
    return tuple(node.attributes.get("pads", (0, 0, 0, 0)))


def _conv(node: OnnxNode) -> nn.Module:
    return convolution_of(
        node.required(1).float(),
        node.constant(2),
        stride=node.attributes.get("strides", (1, 1)),
        pads=_pads(node),
        dilation=node.attributes.get("dilations", (1, 1)),
        groups=node.attributes.get("group", 1),
    )


def _batch_norm(node: OnnxNode) -> nn.Module:
    weight, bias, mean, variance = (node.required(index) for index in range(1, 5))
    return batch_norm_of(weight, bias, mean, variance, node.attributes.get("epsilon", 1e-5))


def _clip(node: OnnxNode) -> nn.Module:
    low, high = (node.constant(index) for index in (1, 2))
    bottom = float(node.attributes.get("min", -math.inf) if low is None else low)
    top = float(node.attributes.get("max", math.inf) if high is None else high)
    if bottom == 0:
        return {6.0: nn.ReLU6(), math.inf: nn.ReLU()}.get(top) or nn.Hardtanh(bottom, top)
    return nn.Hardtanh(bottom, top)


def _hard_sigmoid(node: OnnxNode) -> nn.Module:
    slope, offset = node.attributes.get("alpha", 0.2), node.attributes.get("beta", 0.5)
    standard = math.isclose(slope, 1 / 6, rel_tol=1e-6) and offset == 0.5
    return nn.Hardsigmoid() if standard else LinearClip(slope, offset)


def _binary(operation: str, node: OnnxNode) -> nn.Module:
    fixed = [name in node.constants for name in node.inputs]
    if not any(fixed):
        modules: dict[str, type[nn.Module]] = {"add": Add, "mul": Multiply}
        if operation not in modules:
            raise ValueError(f"{operation} of two computed maps is not supported, only with a constant")
        return modules[operation]()
    return Arithmetic(operation, node.required(fixed.index(True)).float(), constant_first=fixed[0])


def _max_pool(node: OnnxNode) -> nn.Module:
    top, left, bottom, right = _pads(node)
    pool = nn.MaxPool2d(
        tuple(node.attributes["kernel_shape"]),
        stride=tuple(node.attributes.get("strides", (1, 1))),
        dilation=tuple(node.attributes.get("dilations", (1, 1))),
        ceil_mode=bool(node.attributes.get("ceil_mode", 0)),
    )
    if (top, left) == (bottom, right):
        pool.padding = (top, left)
        return pool
    return padded(pool, (left, right, top, bottom), -math.inf)


def _average_pool(node: OnnxNode) -> nn.Module:
    top, left, bottom, right = _pads(node)
    if (top, left) != (bottom, right):
        raise ValueError(f"pads that differ from side to side, {[top, left, bottom, right]}, are not supported")
    return nn.AvgPool2d(
        tuple(node.attributes["kernel_shape"]),
        stride=tuple(node.attributes.get("strides", (1, 1))),
        padding=(top, left),
        ceil_mode=bool(node.attributes.get("ceil_mode", 0)),
        count_include_pad=bool(node.attributes.get("count_include_pad", 0)),
    )


def _mean(node: OnnxNode) -> nn.Module:
    given = node.constant(1)
    axes = node.attributes.get("axes", []) if given is None else given.tolist()
    if sorted(axis % 4 for axis in axes) != [2, 3] or not node.attributes.get("keepdims", 1):
        raise ValueError(f"a mean over the axes {list(axes)} is not supported, only one over height and width, kept")
    return nn.AdaptiveAvgPool2d(1)


def _concat(node: OnnxNode) -> nn.Module:
    if node.attributes["axis"] not in (1, -3) or any(name in node.constants for name in node.inputs):
        raise ValueError("only the channels of computed maps can be joined")
    return Concat()


def _resize(node: OnnxNode) -> nn.Module:
    scales = node.constant(1 if node.operator == "Upsample" else 2)
    mode = node.attributes.get("mode", b"nearest").decode()
    if scales is None or len(scales) != 4 or scales[:2].tolist() != [1, 1] or mode not in ("nearest", "linear"):
        raise ValueError(f"resizing with mode {mode} is supported by constant factors of height and width, not sizes")
    factors = tuple(scales[2:].tolist())
    if mode == "nearest":
        if any(factor % 1 for factor in factors):
            raise ValueError(f"resizing to nearest pixels needs whole factors, not {factors}")
        return nn.Upsample(scale_factor=factors, mode="nearest")
    corners = node.attributes.get("coordinate_transformation_mode", b"half_pixel")
    if corners not in (b"half_pixel", b"pytorch_half_pixel", b"align_corners"):
        raise ValueError(f"coordinate_transformation_mode {corners.decode()} is not supported")
    return nn.Upsample(scale_factor=factors, mode="bilinear", align_corners=corners == b"align_corners")


def _pad(node: OnnxNode) -> nn.Module:
    given, value = node.constant(1), node.constant(2)
    pads = list(node.attributes.get("pads", [])) if given is None else given.tolist()
    if node.attributes.get("mode", b"constant") != b"constant" or len(pads) != 8 or any(pads[:2] + pads[4:6]):
        raise ValueError("only height and width can be padded, by a constant")
    top, left, bottom, right = pads[2], pads[3], pads[6], pads[7]
    return nn.ConstantPad2d((left, right, top, bottom), 0.0 if value is None else float(value))


def _plain(module: Callable[[], nn.Module], node: OnnxNode) -> nn.Module:
    return module()


OPERATORS: dict[str, Callable[[OnnxNode], nn.Module]] = {
    "Conv": _conv,
    "BatchNormalization": _batch_norm,
    "Relu": partial(_plain, nn.ReLU),
    "LeakyRelu": lambda node: nn.LeakyReLU(node.attributes.get("alpha", 0.01)),
    "Clip": _clip,
    "Sigmoid": partial(_plain, nn.Sigmoid),
    "Tanh": partial(_plain, nn.Tanh),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": partial(_plain, nn.Hardswish),
    "Mish": partial(_plain, nn.Mish),
    "Add": partial(_binary, "add"),
    "Sub": partial(_binary, "sub"),
    "Mul": partial(_binary, "mul"),
    "Div": partial(_binary, "div"),
    "Concat": _concat,
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": lambda node: nn.AdaptiveAvgPool2d(1),
    "ReduceMean": _mean,
    "Resize": _resize,
    "Upsample": _resize,
    "Pad": _pad,
    "Identity": partial(_plain, nn.Identity),
    "Dropout": partial(_plain, nn.Identity),
}
