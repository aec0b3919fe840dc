"""From the weights of a detector to a quantized one that runs, and the record of how it went."""

import logging
from pathlib import Path
from typing import Any

from torch import nn

from detectron2.config import CfgNode

from ..deploy import detector_parts
from ..quantization.ptq.choice import SensitivityTable, sensitivity
from ..quantization.ptq.recipe import PTQRecipe
from ..quantization.transform import convert
from .calibration import calibrate_detector, calibration_batches, calibration_facts, write_quantized
from .confidence import confidence_shift
from .judge import Judge, judge_for
from .loss import DetectionLoss
from .models import describe, load_detector, quantization_of
from .options import Request
from .output import check_writable, whole_folder
from .pictures import draw_pictures
from .reporting import write_reports

logger = logging.getLogger(__name__)


def quantize_detector(cfg: CfgNode, request: Request) -> dict[str, Any]:
    """Calibrate, check, export, run and compare; all results are in ``request.out`` afterwards, or none.

    Weights of a quantized model are taken as they are, without calibration.

    Args:
        cfg: the config that the weights were trained with.
        request: what is wanted.

    Returns:
        what ``report.json`` holds.

    Raises:
        OSError: the output folder cannot be written, or a file cannot be read.
        ValueError: weights of another model, a calibration set that is empty or without objects, settings that do not
            fit, or a model that cannot be exported.
        ImportError: an engine that is not installed.
        FloatingPointError: NaN in the activations, or in what an exported file gives.
    """
    check_writable(request.out)
    engines = _engines(request)
    judge = judge_for(cfg, request.evaluation, request.evaluation_images)
    model = load_detector(cfg, request.weights)
    if request.export:
        detector_parts(model)  # refuses what has no exportable form before it is calibrated
    report: dict[str, Any] = {"model": describe(model, cfg, request.weights), "warnings": []}
    if quantization_of(model) is None:
        report |= _calibrated(model, cfg, request, judge, report["warnings"])
    elif unused := _for_calibration(request):
        report["warnings"].append(
            f"The weights are those of a quantized model: nothing was calibrated, and {', '.join(unused)} had no effect"
        )
    with whole_folder(request.out) as folder:
        write_quantized(folder, cfg, model, report.get("ptq", {}).get("recipe"))
        report |= _judged(model, request, judge, folder, report["warnings"])
        report["layers"] = convert(model).to_dict()
        if request.export:
            from .exporting import export_detector

            report["export"] = export_detector(model, judge, request, engines, folder, report["warnings"])
        write_reports(report, folder)
    return report


def detector_sensitivity(model: nn.Module, judge: Judge, images: int, max_seconds: float = 180.0) -> SensitivityTable:
    """What each layer's quantization does to the detection loss."""
    return sensitivity(model, judge.loss_batches(images), DetectionLoss(), max_seconds=max_seconds)


def _engines(request: Request) -> list[Any]:
    if not request.export:
        return []
    from .comparing import find_engines

    return find_engines(request.engines)


def _for_calibration(request: Request) -> list[str]:
    """Options that were given and are about calibration."""
    given = {
        "--calib": bool(request.calibration),
        "the recipe": request.recipe != PTQRecipe(),
        "--max-drop": request.max_drop is not None,
        "--audit": request.audit,
    }
    return [name for name, is_given in given.items() if is_given]


def _calibrated(
    model: nn.Module, cfg: CfgNode, request: Request, judge: Judge | None, warnings: list[str]
) -> dict[str, Any]:
    if not request.calibration:
        raise ValueError("--calib: weights in floating point need a data set to calibrate on")
    batches = calibration_batches(cfg, request.calibration, request.recipe.images, request.batch_size)
    if judge is not None:
        judge.before = judge.rate(model)
        logger.info("AP in floating point: %.2f", judge.before.ap)
    recipe = request.recipe
    found: dict[str, Any] = {}
    if request.max_drop is not None and judge is not None:
        from .choosing import choose_recipe

        recipe, found = choose_recipe(model, request, judge, batches, warnings)
    if request.audit and judge is not None:
        from .audit import audit_calibration

        found["audit"] = audit_calibration(model, recipe, batches, judge)
        warnings += found["audit"]["warnings"]
    result = calibrate_detector(model, recipe, batches)
    warnings += result.warnings
    return calibration_facts(batches, result) | found


def _judged(
    model: nn.Module, request: Request, judge: Judge | None, folder: Path, warnings: list[str]
) -> dict[str, Any]:
    if judge is None:
        warnings.append("There was nothing to evaluate on: no AP is known")
        return {}
    judge.after = after = judge.rate(model)
    drop = judge.drop(after)
    logger.info("AP quantized: %.2f", after.ap)
    found: dict[str, Any] = {"evaluation": judge.compare(after)}
    if judge.before is not None:
        found["confidence"] = confidence_shift(judge.records, judge.before, after)
        found["pictures"] = draw_pictures(judge.dataset, judge.records, judge.before, after, folder)
    too_much = drop is not None and drop > request.tolerance
    if too_much:
        warnings.append(f"Quantization costs {drop:.2f} AP, more than {request.tolerance:g}")
    if request.sensitivity or (request.sensitivity is None and too_much):
        table = detector_sensitivity(model, judge, request.sensitivity_images)
        logger.info("Sensitivity:\n%s", table)
        found["sensitivity"] = table.to_dict()
        if too_much:
            warnings.append(table.verdict())
    return found
