"""COCO's protocol for one task: which class evaluates, with which limits, and what the figures are."""

import contextlib
import io
import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from pycocotools.cocoeval import COCOeval

from detectron2.evaluation.fast_eval_api import COCOeval_opt
from detectron2.evaluation.hotcoco_bridge import DetectionList

# (precision or recall, IoU threshold, area range, index of the limit of detections), in the order of COCO's figures
_FIGURES: tuple[tuple[str, float | None, str, int], ...] = (
    ("precision", None, "all", 2),
    ("precision", 0.5, "all", 2),
    ("precision", 0.75, "all", 2),
    ("precision", None, "small", 2),
    ("precision", None, "medium", 2),
    ("precision", None, "large", 2),
    ("recall", None, "all", 0),
    ("recall", None, "all", 1),
    ("recall", None, "all", 2),
    ("recall", None, "small", 2),
    ("recall", None, "medium", 2),
    ("recall", None, "large", 2),
)


class COCOevalMaxDets(COCOeval):
    """``COCOeval`` whose first figure, too, uses the third limit of detections; COCO's own insists on 100 there."""

    def summarize(self) -> None:
        """Compute and print the 12 figures of boxes and masks into ``self.stats``, or COCO's own for keypoints.

        Raises:
            RuntimeError: ``accumulate`` has not run.
        """
        if not self.eval:
            raise RuntimeError("COCOevalMaxDets: call accumulate() before summarize()")
        if self.params.iouType == "keypoints":
            super().summarize()
            return
        self.stats = np.array([self._figure(*figure) for figure in _FIGURES])
        print(self)

    def _figure(self, kind: str, iou: float | None, area: str, limit: int) -> float:
        """Mean over classes (and IoU and recall thresholds); -1 without ground truth."""
        values = self.eval[kind][..., self.params.areaRngLbl.index(area), limit]
        if iou is not None:
            values = values[np.isclose(self.params.iouThrs, iou)]
        values = values[values > -1]
        return float(values.mean()) if values.size else -1.0

    def __str__(self) -> str:
        p = self.params
        lines = []
        for (kind, iou, area, limit), value in zip(_FIGURES, self.stats, strict=False):
            name = "Average Precision (AP)" if kind == "precision" else "Average Recall    (AR)"
            thresholds = f"{p.iouThrs[0]:.2f}:{p.iouThrs[-1]:.2f}" if iou is None else f"{iou:.2f}"
            lines.append(f"{name} IoU={thresholds:<9} area={area:>6} maxDets={p.maxDets[limit]:>4}: {value:.3f}")
        return "\n".join(lines)


class _FastMaxDets(COCOevalMaxDets, COCOeval_opt):
    """The same figures from the fast evaluation."""


def _evaluate_predictions_on_coco(
    coco_gt: Any,
    coco_results: list[dict[str, Any]],
    iou_type: str,
    kpt_oks_sigmas: Sequence[float] | None = None,
    cocoeval_fn: Callable[..., Any] = COCOeval_opt,
    img_ids: Sequence[int] | None = None,
    max_dets_per_image: Sequence[int] | None = None,
) -> Any:
    """Evaluate one task.

    Args:
        coco_gt: ground truth, a pycocotools ``COCO``.
        coco_results: at least one detection, in COCO's result format.
        iou_type: ``bbox``, ``segm`` or ``keypoints``.
        kpt_oks_sigmas: one constant for each keypoint; COCO's person by default.
        cocoeval_fn: class of the evaluation.
        img_ids: evaluate only these images.
        max_dets_per_image: three limits of detections an image, of which AP uses the last; [1, 10, 100] by default.

    Returns:
        The ``COCOeval`` after ``summarize``.

    Raises:
        ValueError: no detection, fewer than three limits, or another number of keypoints than of constants.
    """
    if not coco_results:
        raise ValueError("_evaluate_predictions_on_coco needs at least one detection")
    limits = [1, 10, 100] if max_dets_per_image is None else list(max_dets_per_image)
    if len(limits) < 3:
        raise ValueError(f"max_dets_per_image must hold three limits such as [1, 10, 100], not {limits}")
    if iou_type == "segm":
        # with a box given, COCO would take the box's area for the size of the object in place of the mask's
        coco_results = [{k: v for k, v in result.items() if k != "bbox"} for result in coco_results]

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        if cocoeval_fn is COCOeval_opt:
            coco_dt = DetectionList(coco_gt, coco_results)
        else:
            coco_dt = coco_gt.loadRes([dict(result) for result in coco_results])
        if limits[2] != 100:
            cocoeval_fn = {COCOeval_opt: _FastMaxDets, COCOeval: COCOevalMaxDets}.get(cocoeval_fn, cocoeval_fn)
        coco_eval = cocoeval_fn(coco_gt, coco_dt, iou_type)
        if iou_type != "keypoints":
            coco_eval.params.maxDets = limits
        elif kpt_oks_sigmas:
            coco_eval.params.kpt_oks_sigmas = np.array(kpt_oks_sigmas)
        if img_ids is not None:
            coco_eval.params.imgIds = img_ids
        if iou_type == "keypoints":
            _check_keypoints(coco_results, coco_eval.params.kpt_oks_sigmas)
        coco_eval.evaluate()
        coco_eval.accumulate()
        coco_eval.summarize()
    logging.getLogger(__name__).info("COCO %s figures:\n%s", iou_type, printed.getvalue().rstrip())
    return coco_eval


def _check_keypoints(coco_results: list[dict[str, Any]], sigmas: Sequence[float]) -> None:
    predicted = len(coco_results[0]["keypoints"]) // 3
    if predicted != len(sigmas):
        raise ValueError(
            f"the predictions have {predicted} keypoints, but there are {len(sigmas)} OKS constants: set "
            "TEST.KEYPOINT_OKS_SIGMAS to one for each keypoint"
        )
