"""Operators that only choose or move values: grids pass through them in both directions."""

import torch
from torch.fx import Node

aten = torch.ops.aten

# What they give consists of values they got, and, for nearest upsampling and max pooling, rounding commutes with them.
MOVES = frozenset(
    {
        aten.slice.Tensor,
        aten.narrow.default,
        aten.select.int,
        aten.view.default,
        aten.reshape.default,
        aten.flatten.using_ints,
        aten.unflatten.int,
        aten.permute.default,
        aten.transpose.int,
        aten.squeeze.dim,
        aten.squeeze.dims,
        aten.unsqueeze.default,
        aten.expand.default,
        aten.contiguous.default,
        aten.clone.default,
        aten.alias.default,
        aten.detach.default,
        aten.dropout.default,
        aten.pixel_shuffle.default,
        aten.pixel_unshuffle.default,
    }
)
SELECTS = frozenset(
    {
        aten.max_pool2d.default,
        aten.adaptive_max_pool2d.default,
        aten.upsample_nearest2d.vec,
        aten.upsample_nearest2d.default,
        aten._upsample_nearest_exact2d.vec,
    }
)
# Give a list of parts, of which `operator.getitem` takes one.
SPLITS = frozenset({aten.chunk.default, aten.split.Tensor, aten.split_with_sizes.default, aten.unbind.int})
JOINS = frozenset({aten.cat.default, aten.stack.default})


def is_part(node: Node) -> bool:
    """Whether a node takes one part out of a split."""
    return getattr(node.target, "__name__", "") == "getitem" and _source(node).target in SPLITS


def passes_values(node: Node) -> bool:
    """Whether every value of a node's output is a value of its first input."""
    return node.target in MOVES or node.target in SELECTS or node.target in SPLITS or is_part(node)


def source(node: Node) -> Node:
    """The node whose values a node for which :func:`passes_values` holds passes on."""
    return _source(node)


def _source(node: Node) -> Node:
    first = node.args[0]
    assert isinstance(first, Node)
    return first
