"""Calibrating a detector, and the files that keep the result."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from torch import nn

from detectron2.config import CfgNode

from ..convert_to_quantization import quantize_model
from ..pixel_range import PIXELS
from ..quantization.ptq.pipeline import post_training_quantize
from ..quantization.ptq.recipe import PTQRecipe
from ..quantization.ptq.result import PTQResult
from .data import DetectionBatches, calibration_records
from .models import save_detector
from .own_labels import OwnLabels, at_input_size


def calibration_batches(cfg: CfgNode, dataset: str, images: int = 0, batch_size: int = 1) -> DetectionBatches:
    """Batches to calibrate on.

    Args:
        cfg: the whole config.
        dataset: name of a registered data set.
        images: how many, evenly spread over it; 0 for all.
        batch_size: images of a batch.

    Raises:
        ValueError: there are no images, fewer than asked for, or none has an object.
    """
    return DetectionBatches(cfg, dataset, calibration_records(dataset, images), batch_size=batch_size)


def calibrate_detector(model: nn.Module, recipe: PTQRecipe, batches: DetectionBatches) -> PTQResult:
    """Quantize a detector in place by a recipe; it can be saved, evaluated, and converted afterwards.

    What reads the image has the range of bytes, whatever the images are like. Where the recipe tunes, the float model's
    own detections are the lesson.

    Raises:
        ValueError: no batches, a choice that matches no layer, or images that cannot be read.
        FloatingPointError: activations that are NaN or infinite, with the layer's name.
    """
    lesson = OwnLabels()
    result = post_training_quantize(
        model,
        recipe,
        batches,
        run=at_input_size,
        prepare_model=quantize_model,
        convert_model=False,
        input_range=PIXELS,
        lesson=lesson,
        tuning_batches=batches.in_batches_of(recipe.tuning.images) if isinstance(batches, DetectionBatches) else None,
    )
    if recipe.tuning.iterations and not lesson.count:
        result.warnings.append(
            f"The float model detects nothing above a score of {lesson.threshold:g} on the calibration images: tuning "
            "had no objects to learn from. Calibrate on images with objects that it finds"
        )
    return result


def calibration_facts(batches: DetectionBatches, result: PTQResult) -> dict[str, Any]:
    """What a report says of a calibration, as plain values."""
    return {"calibration": {"dataset": batches.name, "images": len(batches.records)}, "ptq": result.to_dict()}


def write_quantized(folder: Path, cfg: CfgNode, model: nn.Module, recipe: Mapping[str, Any] | None) -> None:
    """Write ``quantized.pth``, ``config.yaml``, and ``recipe.yaml`` where a recipe is given as a mapping.

    Raises:
        OSError: a file cannot be written.
    """
    save_detector(model, str(folder), "quantized")
    (folder / "last_checkpoint").unlink(missing_ok=True)
    (folder / "config.yaml").write_text(str(cfg.dump()), encoding="utf-8")
    if recipe is not None:
        (folder / "recipe.yaml").write_text(yaml.safe_dump(dict(recipe), sort_keys=False), encoding="utf-8")
