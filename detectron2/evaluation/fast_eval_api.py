"""``COCOeval`` of pycocotools with the work done by hotcoco, where that gives the same numbers."""

import datetime
import logging
import time
from typing import Any

import numpy as np
from pycocotools.cocoeval import COCOeval

from detectron2.evaluation import hotcoco_bridge
from detectron2.utils.logger import log_first_n

logger = logging.getLogger(__name__)

# what the fast way replaces: a subclass that overrides one of these relies on pycocotools' course of action
_REPLACED = ("_prepare", "computeIoU", "computeOks", "evaluateImg")


class COCOeval_opt(COCOeval):
    """Drop-in for pycocotools' ``COCOeval``: same interface, same precision, recall and scores, much faster.

    ``evaluate`` decides between hotcoco and pycocotools. It takes pycocotools, and says so once in the log, when
    hotcoco is not installed or too old, when a subclass overrides a step of the evaluation, and for data that the
    two treat differently: annotation ids that are 0, repeated or not numbers, and scores that are NaN.
    """

    def evaluate(self) -> None:
        """Match detections with ground truth for every image, class, area range and IoU threshold."""
        started = time.perf_counter()
        self._fast: Any = None
        overridden = [name for name in _REPLACED if getattr(type(self), name) is not getattr(COCOeval, name)]
        try:
            if overridden:
                raise hotcoco_bridge.Unsupported(f"{type(self).__name__} overrides {', '.join(overridden)}")
            if self.params.useSegm is not None:
                raise hotcoco_bridge.Unsupported("params.useSegm is deprecated")
            self._normalize_params()
            self._fast = hotcoco_bridge.build(self.cocoGt, self.cocoDt, self.params)
        except hotcoco_bridge.Unsupported as reason:
            log_first_n(logging.WARNING, f"COCO evaluation runs in pycocotools: {reason}", name=__name__, key="message")
            super().evaluate()
            return
        self._run_fast()
        logger.info("COCOeval_opt.evaluate() finished in %.2f seconds.", time.perf_counter() - started)

    def _normalize_params(self) -> None:
        """Sort the parameters as pycocotools does, in place."""
        p = self.params
        p.imgIds = list(np.unique(p.imgIds))
        if p.useCats:
            p.catIds = list(np.unique(p.catIds))
        p.maxDets = sorted(p.maxDets)

    def _run_fast(self) -> None:
        self._matched_with = hotcoco_bridge.configure(self._fast, self.params)
        self._fast.evaluate()
        self.eval = {}

    def accumulate(self) -> None:
        """Turn the matches into ``self.eval``: arrays precision and scores [T, R, K, A, M], recall [T, K, A, M].

        T, R, K, A, M count IoU thresholds, recall thresholds, classes, area ranges and limits of detections.

        Raises:
            RuntimeError: ``evaluate`` has not run.
        """
        if not hasattr(self, "_fast"):
            raise RuntimeError("COCOeval_opt: call evaluate() before accumulate()")
        if self._fast is None:
            super().accumulate()
            return
        started = time.perf_counter()
        p = self.params
        if hotcoco_bridge.settings(p) != self._matched_with:
            self._run_fast()
        self._fast.accumulate()
        result = self._fast.eval
        classes = len(p.catIds) if p.useCats else 1
        self.eval = {
            "params": p,
            "counts": [len(p.iouThrs), len(p.recThrs), classes, len(p.areaRng), len(p.maxDets)],
            "date": datetime.datetime.now().strftime("%Y-%m-%d %H:%M:%S"),
            "precision": np.asarray(result["precision"]),
            "recall": np.asarray(result["recall"]),
            "scores": np.asarray(result["scores"]),
        }
        logger.info("COCOeval_opt.accumulate() finished in %.2f seconds.", time.perf_counter() - started)
