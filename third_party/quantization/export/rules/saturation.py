"""Sums of two products that overflow 16 bits."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torch.fx import Node

from ..findings import Finding
from ..nodes import layer_name
from .reach import is_quantized_layer, origin
from .registry import Graph, program_rule

LARGEST_SUM = 2**15 - 1


@cache
def has_dot_products() -> bool | None:
    """Whether this machine's CPU adds INT8 products into 32 bits (VNNI, or ARM's dot products); None: unknown."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return None
    words = set(info.read_text().split())
    return bool(words & {"avx512_vnni", "avx_vnni", "asimddp", "amx_int8"})


@program_rule
def saturation(graph: Graph) -> Iterator[Finding]:
    """Weights with which CPUs without VNNI saturate: they add two products of 8 bits into 16 (``vpmaddubsw``)."""
    if graph.target.name == "tensorrt":
        return
    severity = "note" if has_dot_products() else "warning"
    for node in graph.nodes:
        if not is_quantized_layer(node):
            continue
        grid, codes = graph.grids[origin(node.args[0])], _codes(node, graph.constants)
        if codes is None or grid.bits > 8 or codes.dtype not in (torch.int8, torch.uint8):
            continue
        largest = pair_sum(codes, grid.high - grid.low)
        if largest > LARGEST_SUM:
            yield Finding(
                layer_name(node),
                "saturation",
                severity,
                f"two products may add up to {largest}, above {LARGEST_SUM}: CPUs without VNNI saturate there",
                "Give such CPUs weights of 7 bits (BITS: 7 for WEIGHT); others run this file as it is.",
            )


def pair_sum(codes: Tensor, highest: int) -> int:
    """The largest sum of two products of one output channel's weights with activations from 0 to ``highest``."""
    rows = codes.int().flatten(1)
    if rows.shape[1] < 2:
        return int(rows.abs().max()) * highest
    positive = rows.clamp_min(0).topk(2, dim=1).values.sum(1).max()
    negative = (-rows).clamp_min(0).topk(2, dim=1).values.sum(1).max()
    return int(torch.maximum(positive, negative)) * highest


def _codes(node: Node, known: dict[str, Tensor]) -> Tensor | None:
    weight = node.args[1]
    codes = weight.args[0] if isinstance(weight, Node) else None
    return known.get(codes.name) if isinstance(codes, Node) else None
