"""All that a report may hold."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .accuracy import ApTable, ClassAp, Confidence
from .audit import Audit
from .deployment import Finding, Latency, Parity, Sizes
from .tensors import Histogram, LayerRow, LayerSqnr, RangeRow, Search, Sensitivity


@dataclass(frozen=True)
class PicturePair:
    """One image with the detections of both models.

    Attributes:
        caption: what is seen.
        before, after: PNG files, float and quantized.
    """

    caption: str
    before: bytes = field(repr=False)
    after: bytes = field(repr=False)


@dataclass(frozen=True)
class Report:
    """Sections, each of them optional: what is empty is left out.

    Attributes:
        title: headline.
        facts: name -> value, of the model and the run.
        warnings: what a reader should know first.
        accuracy: a table for each task; the first is the one that counts.
        classes: AP of each class.
        confidence: what becomes of score thresholds.
        sizes: of files and weights.
        latencies: of exported files.
        sqnr: of each layer.
        ranges: of activations.
        histograms: of activations, with the ranges.
        sensitivity: of the loss to each layer.
        search: for the cheapest recipe.
        audit: of the calibration set.
        parity: of engines with the model.
        findings: of the linter.
        layers: how each is quantized.
        pictures: detections side by side.
    """

    title: str
    facts: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    accuracy: tuple[ApTable, ...] = ()
    classes: tuple[ClassAp, ...] = ()
    confidence: Confidence | None = None
    sizes: Sizes | None = None
    latencies: tuple[Latency, ...] = ()
    sqnr: tuple[LayerSqnr, ...] = ()
    ranges: tuple[RangeRow, ...] = ()
    histograms: tuple[Histogram, ...] = ()
    sensitivity: Sensitivity | None = None
    search: Search | None = None
    audit: Audit | None = None
    parity: tuple[Parity, ...] = ()
    findings: tuple[Finding, ...] = ()
    layers: tuple[LayerRow, ...] = ()
    pictures: tuple[PicturePair, ...] = ()
