"""The cheapest way to quantize a detector that keeps its AP, by measurement."""

import copy
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from ..pixel_range import PIXELS
from ..quantization.ptq.choice import (
    OBSERVED,
    SAFER,
    SMALLER,
    Alternative,
    Assignment,
    Solver,
    alternative_trials,
    choices_of,
    layer_costs,
    layer_options,
    layers_with_quantizers,
    measure_trials,
    range_setter,
    sensitivity,
)
from ..quantization.ptq.collect import collect
from ..quantization.ptq.recipe import PTQRecipe
from ..quantization.ptq.recipe_parts import ReconstructionSettings
from .calibration import calibrate_detector
from .data import DetectionBatches
from .judge import Judge
from .loss import DetectionLoss
from .options import Request

logger = logging.getLogger(__name__)

_MOST_EVALUATIONS = 5
_MAX_SECONDS = 300.0
_TRIED_SHARE = 0.95


@dataclass
class Candidate:
    """A recipe that was measured.

    Attributes:
        recipe: the recipe.
        drop: AP that it loses.
        cost: of its layers.
        explanation: what is unusual about it.
    """

    recipe: PTQRecipe
    drop: float
    cost: float
    explanation: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"drop": self.drop, "cost": self.cost, "explanation": self.explanation}


@dataclass
class Choice:
    """What the search found.

    Attributes:
        recipe: the cheapest within the tolerance; the best, if none is.
        met: whether the tolerance is kept.
        verdict: a sentence.
        candidates: all that were measured, in order.
    """

    recipe: PTQRecipe
    met: bool
    verdict: str
    candidates: list[Candidate] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"met": self.met, "verdict": self.verdict, "candidates": [one.to_dict() for one in self.candidates]}


class RecipeSearch:
    """Looks for the cheapest recipe within a tolerance.

    The recipe as given is measured first. If it keeps the tolerance, layers are made smaller (4-bit weights, rounded
    with compensation; cost in bytes) as far as it goes. Otherwise layers that do harm are made safer (ranges by other
    observers, 16 bits, floating point; cost in operations times bits), as few as are needed. Which ones, the effects
    on the detection loss say, by dynamic programming; how many, measured AP says, by bisection.

    Args:
        model: in floating point; it stays so.
        recipe: to start from.
        judge: with the float model's evaluation.
        batches: to calibrate on.
        max_drop: AP that may be lost.
        loss_images: that the loss is measured on.
    """

    def __init__(
        self,
        model: nn.Module,
        recipe: PTQRecipe,
        judge: Judge,
        batches: DetectionBatches,
        max_drop: float,
        loss_images: int,
    ) -> None:
        self.model, self.recipe, self.judge, self.batches = model, recipe, judge, batches
        self.max_drop, self.loss_images = max_drop, loss_images
        self.candidates: list[Candidate] = []
        self.verdict = ""

    def run(self) -> Choice:
        """Search."""
        usual, quantized = self._measure(self.recipe, 0.0, "every layer as the recipe says")
        kept = usual.drop <= self.max_drop
        alternatives, measure = (SMALLER, "bytes") if kept else ((*OBSERVED, *SAFER), "bit_operations")
        frontier = self._frontier(quantized, alternatives, measure)
        del quantized
        best = self._bisect(frontier, alternatives) or (usual if kept else None)
        if best is None:
            return self._failure()
        verdict = f"The cheapest recipe found within {self.max_drop:g} AP loses {best.drop:.2f}: {best.explanation}"
        return Choice(best.recipe, True, verdict, self.candidates)

    def _failure(self) -> Choice:
        best = min(self.candidates, key=lambda one: one.drop)
        verdict = (
            f"No recipe within {self.max_drop:g} AP was found. The best loses {best.drop:.2f} ({best.explanation}); "
            "what is left comes from layers whose effects do not add up, or from the data: calibrate on more images, "
            f"or train with quantization. {self.verdict}"
        )
        return Choice(best.recipe, False, verdict, self.candidates)

    def _measure(self, recipe: PTQRecipe, cost: float, explanation: str) -> tuple[Candidate, nn.Module]:
        quantized = copy.deepcopy(self.model)
        calibrate_detector(quantized, recipe, self.batches)
        drop = self.judge.drop(self.judge.rate(quantized))
        if drop is None:
            raise ValueError("the AP of the model is not known, so no drop of it can be kept: is there ground truth?")
        candidate = Candidate(recipe, drop, cost, explanation)
        self.candidates.append(candidate)
        logger.info("Recipe %d: %.2f AP lost; %s", len(self.candidates), drop, explanation.partition("\n")[0])
        return candidate, quantized

    def _frontier(self, quantized: nn.Module, alternatives: Sequence[Alternative], measure: str) -> list[Assignment]:
        """Assignments from the cheapest to the dearest."""
        layers = layers_with_quantizers(quantized)
        losses = self.judge.loss_batches(self.loss_images)
        if measure != "bytes":
            # Making a layer safer that does no harm gains nothing: it need not be tried.
            table = sensitivity(quantized, losses, DetectionLoss())
            logger.info(table.verdict())
            self.verdict = table.verdict()
            layers = {row.name: layers[row.name] for row in table.culprits(_TRIED_SHARE)} or layers
        example = next(iter(self.batches))
        costs = layer_costs(quantized, lambda: quantized(example))
        statistics = collect(quantized, self.batches, input_range=PIXELS)
        setter = range_setter(quantized, statistics, self.recipe.observers())
        trials = alternative_trials(layers, alternatives, setter)
        results = measure_trials(quantized, losses, DetectionLoss(), trials, max_seconds=_MAX_SECONDS)
        return Solver(layer_options(layers, alternatives, costs, results, measure)).frontier()

    def _bisect(self, frontier: Sequence[Assignment], alternatives: Sequence[Alternative]) -> Candidate | None:
        """The cheapest assignment that keeps the tolerance, if dearer ones lose less."""
        low, high, best = 0, len(frontier) - 1, None
        for _ in range(_MOST_EVALUATIONS):
            if low > high:
                break
            middle = (low + high) // 2
            found = frontier[middle]
            recipe = self._recipe(found, alternatives)
            candidate, _ = self._measure(recipe, found.cost, found.explain("as the recipe says"))
            if candidate.drop <= self.max_drop:
                best, high = candidate, middle - 1
            else:
                low = middle + 1
        return best

    def _recipe(self, found: Assignment, alternatives: Sequence[Alternative]) -> PTQRecipe:
        """The recipe with an assignment; with weights at 4 bits all are rounded with compensation."""
        choices = choices_of(found, alternatives)
        recipe = self.recipe.with_layers(*choices)
        if not choices or alternatives is not SMALLER or recipe.reconstruction.enabled:
            return recipe
        weights = replace(recipe.weights, ranges="mse")
        return replace(recipe, weights=weights, reconstruction=ReconstructionSettings(enabled=True))


def choose_recipe(
    model: nn.Module, request: Request, judge: Judge, batches: DetectionBatches, warnings: list[str]
) -> tuple[PTQRecipe, dict[str, Any]]:
    """The recipe to use, and what is said of it in the report; see :class:`RecipeSearch`."""
    assert request.max_drop is not None
    search = RecipeSearch(model, request.recipe, judge, batches, request.max_drop, request.sensitivity_images)
    choice = search.run()
    logger.info(choice.verdict)
    if not choice.met:
        warnings.append(choice.verdict)
    return choice.recipe, {"search": choice.to_dict()}
