"""Checkpoints of quantized models: they say how their model is quantized, and float ones start quantized ones."""

import logging
from typing import Any

from torch import nn

from detectron2.checkpoint import DetectionCheckpointer
from detectron2.checkpoint.c2_model_loading import align_and_update_state_dicts

from .convert_to_quantization import quantize_model
from .quantization import QuantConfig, missing_quantizer_keys

logger = logging.getLogger(__name__)

_PARTS = (".input_quantizer.", ".weight_quantizer.")


def match_quantization(model: nn.Module, checkpoint: dict[str, Any], training: bool) -> None:
    """Bring model and checkpoint together before the weights are loaded.

    A float model becomes the quantized one that the checkpoint describes. From a checkpoint that is quantized in
    another way only the weights are taken: ranges of another width or method would quietly replace what the config
    asks for.

    Args:
        model: changed in place when it is float and the checkpoint is not.
        checkpoint: has "model", and "quantization" if its model was quantized. Entries of quantizers are taken out
            if they do not fit.
        training: an optimizer has been built for the model, so its layers cannot be replaced any more.

    Raises:
        ValueError: a float model is to be trained from a quantized checkpoint.
    """
    given = checkpoint.get("quantization")
    own: QuantConfig | None = getattr(model, "quantization", None)
    if given is None:
        return
    stored = QuantConfig.from_mapping(given)
    if own is None:
        if training:
            raise ValueError(
                "the checkpoint holds a quantized model, but MODEL.QUANTIZATION is off: its optimizer would not know "
                "the ranges. Train with the config that the checkpoint was made with (config.yaml beside it), or "
                "start from a float checkpoint"
            )
        quantize_model(model, stored)
        logger.info("The model is quantized as the checkpoint says: %s", summary(stored))
    elif own.to_mapping() != stored.to_mapping():
        kept = {name: value for name, value in checkpoint["model"].items() if not is_quantizer_entry(name)}
        dropped = len(checkpoint["model"]) - len(kept)
        checkpoint["model"] = kept
        logger.warning(
            "The checkpoint's model is quantized in another way (%s) than this one (%s): its weights are taken, its "
            "%d entries of quantizers are not, ranges start from data",
            summary(stored),
            summary(own),
            dropped,
        )


def report_quantizers(model: nn.Module, incompatible: Any) -> None:
    """Say which quantizers start from data, and take their entries off the missing ones.

    Args:
        model: quantized.
        incompatible: with ``missing_keys``, changed in place.
    """
    missing = missing_quantizer_keys(model, incompatible)
    if not missing.quantizers:
        return
    incompatible.missing_keys[:] = missing.others
    layers = {name.rpartition(".")[0] for name in missing.quantizers}
    total = {name.rpartition(".")[0] for name in model.state_dict() if is_quantizer_entry(name)}
    logger.info("%d of %d quantizers are not in the checkpoint: their ranges start from data", len(layers), len(total))


def is_quantizer_entry(name: str) -> bool:
    """Whether an entry of a state dict belongs to a quantizer."""
    return any(part in f".{name}" for part in _PARTS)


def summary(config: QuantConfig) -> str:
    """The widths of weights and activations in a few words."""
    weight = "float" if config.weight is None else f"{config.weight.method} {config.weight.bits} bits"
    activation = "float" if config.activation is None else f"{config.activation.method} {config.activation.bits} bits"
    rules = f", {len(config.rules)} rules" if config.rules else ""
    return f"weights {weight}, activations {activation}{rules}"


def load_backbone(model: nn.Module, path: str) -> None:
    """Load a low-bit backbone over a detector that has its weights.

    Args:
        model: a detector with a ``backbone``.
        path: a checkpoint of a detector (its backbone is taken) or of a backbone alone, names matched by their ends.

    Raises:
        ValueError: the model has no backbone, or nothing in the file fits it.
    """
    backbone = getattr(model, "backbone", None)
    if backbone is None:
        raise ValueError(f"MODEL.QUANTIZATION.BACKBONE_WEIGHTS: {type(model).__name__} has no backbone to load")
    reader = DetectionCheckpointer(backbone)
    loaded = reader._load_file(reader.path_manager.get_local_path(path))["model"]
    prefix = "backbone."
    if any(name.startswith(prefix) for name in loaded):
        loaded = {name.removeprefix(prefix): value for name, value in loaded.items() if name.startswith(prefix)}
    else:
        reader._convert_ndarray_to_tensor(loaded)
        loaded = align_and_update_state_dicts(backbone.state_dict(), loaded, c2_conversion=False)
    incompatible = reader._load_model({"model": loaded})
    taken = len(loaded) - len(incompatible.unexpected_keys) - len(incompatible.incorrect_shapes)
    if taken == 0:
        raise ValueError(f"MODEL.QUANTIZATION.BACKBONE_WEIGHTS: nothing in {path} fits the backbone")
    logger.info("The backbone took %d entries from %s", taken, path)
