"""Trained detectors, float or quantized, from a config and a file of weights."""

import os
from typing import Any

import torch
from torch import nn

from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode, get_cfg
from detectron2.modeling import build_model

from ..quantization import QuantConfig
from ..quantized_checkpoints import is_quantizer_entry, summary

_MOST_LISTED = 5


def load_detector(cfg: CfgNode, weights: str) -> nn.Module:
    """The model of a config with trained weights, in evaluation mode.

    Whether it is quantized says the checkpoint alone: one of a quantized model gives that model, with its ranges, as
    attribute ``quantization`` tells; any other gives a float one.

    Args:
        cfg: the whole config; its ``MODEL.QUANTIZATION`` and ``MODEL.WEIGHTS`` are not used.
        weights: a file that ``MODEL.WEIGHTS`` could name.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no file is named, or its weights are those of another model.
    """
    if not weights:
        raise ValueError("--weights: name the file of the trained weights")
    if "://" not in weights and not os.path.isfile(weights.partition("?")[0]):
        raise FileNotFoundError(f"weights {weights} do not exist")
    cfg = cfg.clone()
    cfg.defrost()
    cfg.MODEL.QUANTIZATION = get_cfg().MODEL.QUANTIZATION
    cfg.MODEL.WEIGHTS = ""
    model = build_model(cfg)
    checkpointer = _StrictCheckpointer(model)
    checkpointer.load(weights)
    _check_fit(checkpointer.incompatible, weights)
    return model.eval()


def load_float_detector(cfg: CfgNode, weights: str) -> nn.Module:
    """:func:`load_detector` for weights in floating point.

    Raises:
        ValueError: the weights are those of a quantized model.
    """
    model = load_detector(cfg, weights)
    if (config := quantization_of(model)) is not None:
        raise ValueError(f"--weights {weights}: one in floating point is wanted, this model has {summary(config)}")
    return model


def load_quantized_detector(cfg: CfgNode, weights: str) -> nn.Module:
    """:func:`load_detector` for weights of a quantized model.

    Raises:
        ValueError: the weights are in floating point.
    """
    model = load_detector(cfg, weights)
    if quantization_of(model) is None:
        raise ValueError(f"--weights {weights}: a quantized model is wanted, this one is in floating point")
    return model


def save_detector(model: nn.Module, folder: str, name: str) -> str:
    """Write ``folder/name.pth``, which says how its model is quantized; returns the path."""
    DetectionCheckpointer(model, folder).save(name)
    return os.path.join(folder, f"{name}.pth")


def quantization_of(model: nn.Module) -> QuantConfig | None:
    """How a model from :func:`load_detector` is quantized; None: it is float."""
    config: QuantConfig | None = getattr(model, "quantization", None)
    return config


def describe(model: nn.Module, cfg: CfgNode, weights: str) -> dict[str, Any]:
    """What a report says of a model from :func:`load_detector`, as plain values."""
    config = quantization_of(model)
    return {
        "architecture": cfg.MODEL.META_ARCHITECTURE,
        "weights": weights,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "device": str(next(model.parameters()).device),
        "trained_quantized": None if config is None else summary(config),
        "torch": torch.__version__,
    }


class _StrictCheckpointer(DetectionCheckpointer):
    """Remembers what did not fit."""

    incompatible: Any = None

    def _load_model(self, checkpoint: Any) -> Any:
        self.incompatible = super()._load_model(checkpoint)
        return self.incompatible


def _check_fit(incompatible: Any, weights: str) -> None:
    if incompatible is None:
        return
    shapes = [f"{name} {tuple(given)} for {tuple(own)}" for name, given, own in incompatible.incorrect_shapes]
    unfit = {name for name, _, _ in incompatible.incorrect_shapes}
    missing = [name for name in incompatible.missing_keys if name not in unfit and not is_quantizer_entry(name)]
    problems = [
        f"{what} {_listed(names)}" for what, names in (("other shapes:", shapes), ("missing:", missing)) if names
    ]
    if problems:
        raise ValueError(
            f"{weights} holds weights of another model than the config describes; {'; '.join(problems)}. Use the "
            "config that the weights were trained with (config.yaml beside them)"
        )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return ", ".join(names[:_MOST_LISTED]) + more
