"""The steps of a recipe that change weights."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any

import torch
from torch import nn

from ..modules import QuantLayer
from ..transform.access import quantizers
from .batches import Run
from .bias_correction import correct_biases
from .collect import collect
from .equalization import equalize
from .float_copy import float_copy
from .input_range import InputRange
from .migration import migrate_scales
from .recipe import PTQRecipe
from .recipe_parts import ReconstructionSettings
from .rounding import LearningSettings, compensate, reconstruct
from .scale_search import refine_scales
from .statistics import TensorStatistics

Step = Callable[[str], AbstractContextManager[dict[str, Any]]]

_SINGLE_LAYERS = 1


def before_statistics(model: nn.Module, recipe: PTQRecipe, example: Any, run: Run, step: Step) -> None:
    """Steps that change what tensors look like, and so come before their statistics."""
    if recipe.steps.equalize:
        with step("equalize") as facts:
            facts["pairs"] = [list(pair) for pair in equalize(model, lambda: run(model, example))]


def gather_statistics(
    model: nn.Module,
    recipe: PTQRecipe,
    batches: Iterable[Any],
    run: Run,
    step: Step,
    input_range: InputRange | None = None,
) -> dict[str, TensorStatistics]:
    """Statistics of all tensors; scales migrate by them, and what that changed is gathered anew."""
    with step("statistics") as facts:
        statistics = collect(model, batches, run, input_range=input_range)
        facts["ranges"] = len(statistics)
    if not recipe.steps.migrate:
        return statistics
    with step("migrate") as facts:
        known = {model.get_submodule(name): found for name, found in statistics.items()}
        rows = migrate_scales(model, statistics)
        facts["layers"] = [dict(row) for row in rows]
        changed = {f"{row['name']}.input_quantizer" for row in rows}
        anew = collect(model, batches, run, only=changed, input_range=input_range) if rows else {}
        return {
            name: anew[name] if name in anew else known[quantizer]
            for name, quantizer in quantizers(model)
            if name in anew or (name not in changed and quantizer in known)
        }


def after_ranges(model: nn.Module, recipe: PTQRecipe, batches: Iterable[Any], run: Run, step: Step) -> nn.Module | None:
    """Steps for single layers that need all ranges; biases come last, as they make up for what all else does.

    Returns:
        the model in floating point, if some step needs it: rounded weights no longer show what it computed before.
    """
    if any(isinstance(layer, QuantLayer) and layer.input_scale is not None for layer in model.modules()):
        with step("refine") as facts:
            facts["layers"] = refine_scales(model, batches, run)
    reference = float_copy(model) if recipe.reconstruction.enabled or recipe.tuning.iterations else None
    biases = recipe.steps.bias_correction
    if reference is not None and recipe.reconstruction.enabled:
        biases = _reconstruct(model, recipe, batches, run, step, reference)
    if biases:
        with step("correct biases") as facts:
            facts["layers"] = correct_biases(model, batches, torch.no_grad()(run), reference=reference)
    return reference


def _reconstruct(
    model: nn.Module, recipe: PTQRecipe, batches: Iterable[Any], run: Run, step: Step, reference: nn.Module
) -> bool:
    """Round weights; gives whether biases are still to be corrected."""
    settings, biases = recipe.reconstruction, recipe.steps.bias_correction
    with step("reconstruct") as facts:
        some = FirstBatches(batches, settings.batches)
        if settings.method == "gptq":
            fitted = compensate(model, some, run, reference=reference, biases=biases)
            facts["layers"] = [dict(row) for row in fitted]
            return False
        rows = reconstruct(model, some, run, reference=reference, settings=learning_settings(settings))
        facts["blocks"] = [dict(row) for row in rows]
        return biases


def learning_settings(settings: ReconstructionSettings) -> LearningSettings:
    """The settings of learned rounding that a recipe's group stands for."""
    usual = LearningSettings()
    largest = _SINGLE_LAYERS if settings.method == "adaround" else usual.largest
    return LearningSettings(iterations=settings.iterations, drop=settings.drop, largest=largest)


class FirstBatches:
    """The first of some batches, which can be gone over several times.

    Args:
        batches: all; can be gone over several times.
        count: how many; 0 for all.
    """

    def __init__(self, batches: Iterable[Any], count: int) -> None:
        self.batches, self.count = batches, count

    def __iter__(self) -> Any:
        return islice(self.batches, self.count or None)
