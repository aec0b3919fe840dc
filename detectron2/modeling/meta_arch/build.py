"""Whole models by name."""

from typing import Any

from fvcore.common.registry import Registry
from torch import nn

from detectron2.config import get_cfg
from detectron2.utils.env import resolve_device
from detectron2.utils.registry import registered

META_ARCH_REGISTRY = Registry("META_ARCH")
META_ARCH_REGISTRY.__doc__ = (
    """Classes built as ``cls(cfg)``: whole models, from batched inputs to losses or results."""
)


def build_model(cfg: Any) -> nn.Module:
    """Build the model that ``MODEL.META_ARCHITECTURE`` names, with random weights, on ``MODEL.DEVICE``.

    Its layers are quantized as ``MODEL.QUANTIZATION`` says.

    Raises:
        KeyError: for a name that is not registered; the message lists the nearest names.
        ValueError: ``MODEL.QUANTIZATION`` has a wrong key or value, or a rule that matches no layer.
    """
    model = registered(META_ARCH_REGISTRY, cfg.MODEL.META_ARCHITECTURE, "MODEL.META_ARCHITECTURE")(cfg)
    # Also with ENABLED False, if anything else is set: a misspelt key is to be found.
    if cfg.MODEL.get("QUANTIZATION", {}) not in ({}, get_cfg().MODEL.QUANTIZATION):
        from third_party.convert_to_quantization import convert_to_quantization

        convert_to_quantization(model, cfg)
    return model.to(resolve_device(cfg.MODEL.DEVICE))
