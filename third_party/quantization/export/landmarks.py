"""Tensors in float that have a name in files, so that two executions can be compared from them on.

Which rows are best may hang on one rounding. A landmark behind such a choice lets the simulation go on with the rows
that the engine chose: what is computed from them is judged like everything else.
"""

from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

_NAME = "third_party_quantization::landmark"


def landmark(x: Tensor, name: str) -> Tensor:
    """The tensor itself; in traced programs and in files it is a step of its own, with an output of this name.

    Args:
        x: any tensor that quantization leaves alone.
        name: none that layers have.
    """
    if not torch.compiler.is_exporting():
        return x
    return torch.ops.third_party_quantization.landmark(x, name)


def _forward(x: Tensor, name: str) -> Tensor:
    return x.clone()


def _fake(x: Tensor, name: str) -> Tensor:
    return torch.empty_like(x)


torch.library.define(_NAME, "(Tensor x, str name) -> Tensor")
torch.library.impl(_NAME, "default", _forward)
torch.library.register_fake(_NAME, _fake)

LANDMARK: Any = torch.ops.third_party_quantization.landmark.default


def landmark_names(program: ExportedProgram) -> dict[str, str]:
    """Name of every landmark, by the name of its node; one that is used again is numbered."""
    names: dict[str, str] = {}
    used: dict[str, int] = {}
    for node in program.graph.nodes:
        if node.target is LANDMARK:
            name = str(node.args[1])
            used[name] = used.get(name, 0) + 1
            names[node.name] = name if used[name] == 1 else f"{name}#{used[name]}"
    return names
