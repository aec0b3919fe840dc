"""Whole models by name."""

import difflib
from typing import Any

from fvcore.common.registry import Registry
from torch import nn

from detectron2.utils.env import resolve_device

META_ARCH_REGISTRY = Registry("META_ARCH")
META_ARCH_REGISTRY.__doc__ = (
    """Classes built as ``cls(cfg)``: whole models, from batched inputs to losses or results."""
)


def build_model(cfg: Any) -> nn.Module:
    """Build the model that ``MODEL.META_ARCHITECTURE`` names, with random weights, on ``MODEL.DEVICE``.

    Raises:
        KeyError: for a name that is not registered; the message lists the nearest names.
    """
    name = cfg.MODEL.META_ARCHITECTURE
    if name not in META_ARCH_REGISTRY:
        known = [key for key, _ in META_ARCH_REGISTRY]
        near = difflib.get_close_matches(name, known) or sorted(known)
        raise KeyError(
            f"MODEL.META_ARCHITECTURE {name!r} is not registered; did you mean {', '.join(near)}? A model of your "
            "own is registered by importing its module before build_model"
        )
    model = META_ARCH_REGISTRY.get(name)(cfg)
    return model.to(resolve_device(cfg.MODEL.DEVICE))
