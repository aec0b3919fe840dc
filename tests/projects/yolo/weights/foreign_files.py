"""Files as other packages write them: whole models of classes that this process does not have when it reads them."""

import sys
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tests.projects.yolo.facts import fact, filled

PACKAGE = "strange_yolo"


@contextmanager
def foreign_class() -> Iterator[type[nn.Module]]:
    """A module class of a package that is gone afterwards."""
    package = types.ModuleType(PACKAGE)
    made = type("Model", (nn.Module,), {"__module__": PACKAGE})
    package.Model = made  # type: ignore[attr-defined]
    sys.modules[PACKAGE] = package
    try:
        yield made
    finally:
        del sys.modules[PACKAGE]


def foreign_model(cls: type[nn.Module], tensors: Mapping[str, Tensor]) -> nn.Module:
    """A tree of modules whose state dict is ``tensors``."""
    root = cls()
    for path, tensor in tensors.items():
        module = root
        *parents, name = path.split(".")
        for parent in parents:
            if parent not in module._modules:
                module.add_module(parent, cls())
            module = module._modules[parent]
        if name.startswith("running") or not tensor.is_floating_point():
            module.register_buffer(name, tensor)
        else:
            module.register_parameter(name, nn.Parameter(tensor))
    return root


def save_foreign(path: Path, models: Mapping[str, Mapping[str, Tensor] | None], **others: Any) -> Path:
    """A checkpoint with whole models under the given keys."""
    with foreign_class() as cls:
        whole = {key: None if tensors is None else foreign_model(cls, tensors) for key, tensors in models.items()}
        torch.save({**others, **whole}, path)
    return path


def published(name: str, conv_gain: float = 1.0) -> dict[str, Tensor]:
    """The state dict of a golden, under its published names."""
    found = {}
    for key, shape, dtype in fact(f"yolo_state_dicts/{name}")["state_dict"]:
        if "int" in dtype or ".dfl" in key or key.endswith("anchors") or key.endswith("anchor_grid"):
            found[key] = torch.zeros(shape, dtype=torch.int64 if "int" in dtype else torch.float32)
        else:
            found[key] = torch.from_numpy(filled(key, tuple(shape), conv_gain))
    return found
