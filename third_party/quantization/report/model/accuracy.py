"""How well a detector does, before and after quantization."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Number = float | None  # None, and NaN as well: there is no figure


def difference(before: Number, after: Number) -> Number:
    """``before - after``; None where one is missing."""
    return None if before is None or after is None else before - after


@dataclass(frozen=True)
class ApRow:
    """One variant of the model.

    Attributes:
        name: "float", "quantized", or the engine that ran the exported file.
        metrics: name of the metric -> percent.
    """

    name: str
    metrics: Mapping[str, Number]


@dataclass(frozen=True)
class ApTable:
    """Variants of the model on one data set.

    Attributes:
        rows: the variants.
        task: what is evaluated, "bbox" or "segm".
        dataset: name of the data set.
        images: how many were evaluated.
        baseline: name of the row that drops are counted from.
        headline: the metric whose drop is meant.
    """

    rows: tuple[ApRow, ...]
    task: str = "bbox"
    dataset: str = ""
    images: int | None = None
    baseline: str = "float"
    headline: str = "AP"

    def value(self, name: str) -> Number:
        """The headline figure of a variant; None if there is none."""
        return next((row.metrics.get(self.headline) for row in self.rows if row.name == name), None)

    def drop(self, row: ApRow) -> Number:
        """What a variant loses against the baseline, in percent points."""
        return None if row.name == self.baseline else difference(self.value(self.baseline), self.value(row.name))


@dataclass(frozen=True)
class ClassAp:
    """One class.

    Attributes:
        name: of the class.
        before, after: AP in float and quantized, percent.
    """

    name: str
    before: Number
    after: Number

    @property
    def drop(self) -> Number:
        """What quantization costs, in percent points."""
        return difference(self.before, self.after)


@dataclass(frozen=True)
class Curve:
    """A line of a chart.

    Attributes:
        name: in the legend.
        x, y: its points.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[Number, ...]


@dataclass(frozen=True)
class ConfidenceRow:
    """What becomes of a score threshold that was chosen for the float model.

    Attributes:
        threshold: of the float model's scores.
        precision, recall: of the float model at it, shares.
        precision_kept: precision of the quantized model at the same threshold.
        equal: threshold at which the quantized model has the float model's precision; None if it never has.
        recall_equal: its recall there.
    """

    threshold: float
    precision: Number
    recall: Number
    precision_kept: Number
    equal: Number
    recall_equal: Number

    @property
    def shift(self) -> Number:
        """How far the threshold moves."""
        return difference(self.equal, self.threshold)


@dataclass(frozen=True)
class Confidence:
    """How quantization moves scores.

    Attributes:
        rows: one for each threshold.
        curves: precision over the threshold, float and quantized.
        iou: least overlap at which a detection counts as right.
    """

    rows: tuple[ConfidenceRow, ...]
    curves: tuple[Curve, ...] = field(default=())
    iou: float = 0.5
