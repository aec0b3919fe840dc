"""A float detector against its quantized form."""

import math
from dataclasses import asdict
from typing import Any

from detectron2.config import CfgNode

from .data import DetectionBatches, Record, choose, read_records, with_objects
from .evaluation import Evaluation, Model, agreement, evaluate
from .intervals import DropIntervals


class Judge:
    """Rates models on one data set, and compares them with the float one.

    Args:
        cfg: the whole config.
        dataset: name of a registered data set with a COCO json file.
        images: at most so many, evenly spread; 0 for all.

    Attributes:
        before: evaluation of the float model, once it is known.
        after: evaluation of the quantized model, once it is known: what exported files are to reach.
    """

    def __init__(self, cfg: CfgNode, dataset: str, images: int = 0) -> None:
        records = read_records(dataset)
        self.cfg, self.dataset = cfg, dataset
        self.records: list[Record] = choose(records, min(images, len(records)))
        self.batches = DetectionBatches(cfg, dataset, self.records)
        self.before: Evaluation | None = None
        self.after: Evaluation | None = None
        self._intervals: tuple[Evaluation, DropIntervals] | None = None

    def rate(self, model: Model) -> Evaluation:
        """Evaluate a model."""
        return evaluate(model, self.batches)

    def loss_batches(self, images: int, batch_size: int = 2) -> DetectionBatches:
        """Batches with objects, to measure losses on: some of the images, in evenly spread.

        Raises:
            ValueError: no image has an object.
        """
        records = with_objects(self.records)
        if not records:
            raise ValueError(f"data set {self.dataset!r} has no image with an object to measure a loss on")
        some = choose(records, min(images, len(records)))
        return DetectionBatches(self.cfg, self.dataset, some, annotated=True, batch_size=batch_size)

    def drop(self, after: Evaluation) -> float | None:
        """AP that is lost against the float model; None where it is not known."""
        if self.before is None or math.isnan(self.before.ap) or math.isnan(after.ap):
            return None
        return self.before.ap - after.ap

    def compare(self, after: Evaluation) -> dict[str, Any]:
        """Both evaluations as plain values, with the drop in all and for each class, and their agreement."""
        found: dict[str, Any] = {
            "dataset": self.dataset,
            "images": len(self.records),
            "quantized": after.to_dict(),
        }
        if self.before is not None:
            found |= {"float": self.before.to_dict(), "drop": self.drop(after)}
            found["agreement"] = agreement(self.before, after)
            interval = self._drops(self.before).evaluated(self.dataset, after)
            found["drop_interval"] = None if interval is None else asdict(interval)
            after_of = after.per_class()
            drops = {name: value - after_of.get(name, math.nan) for name, value in self.before.per_class().items()}
            found["drop_per_class"] = {name: None if math.isnan(drop) else drop for name, drop in drops.items()}
        return found

    def _drops(self, before: Evaluation) -> DropIntervals:
        """Rates the float model on draws of the images once, for the quantized model and all files."""
        if self._intervals is None or self._intervals[0] is not before:
            self._intervals = before, DropIntervals.of(self.dataset, before)
        return self._intervals[1]


def judge_for(cfg: CfgNode, dataset: str, images: int) -> Judge | None:
    """A judge; None without a data set."""
    return Judge(cfg, dataset, images) if dataset else None
