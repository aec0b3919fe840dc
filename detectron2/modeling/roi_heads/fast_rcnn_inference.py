"""From boxes and scores of proposals to detections."""

import torch
from torch import Tensor

from detectron2.layers.nms import batched_nms
from detectron2.structures.boxes import Boxes
from detectron2.structures.instances import Instances


def fast_rcnn_inference(
    boxes: list[Tensor],
    scores: list[Tensor],
    image_shapes: list[tuple[int, int]],
    score_thresh: float,
    nms_thresh: float,
    topk_per_image: int,
) -> tuple[list[Instances], list[Tensor]]:
    """Detections of every image; see :func:`fast_rcnn_inference_single_image`.

    Args:
        boxes, scores, image_shapes: one entry an image.
        score_thresh, nms_thresh, topk_per_image: shared by the images.

    Returns:
        For each image its detections, and the index of the proposal each of them comes from.
    """
    per_image = [
        fast_rcnn_inference_single_image(*image, score_thresh, nms_thresh, topk_per_image)
        for image in zip(boxes, scores, image_shapes, strict=True)
    ]
    return [result for result, _ in per_image], [kept for _, kept in per_image]


def fast_rcnn_inference_single_image(
    boxes: Tensor,
    scores: Tensor,
    image_shape: tuple[int, int],
    score_thresh: float,
    nms_thresh: float,
    topk_per_image: int,
) -> tuple[Instances, Tensor]:
    """Detections of one image: score threshold, then non-maximum suppression by class.

    Args:
        boxes: ``Tensor[R, K * 4]``, a box for each class, or ``Tensor[R, 4]``, one for all; XYXY in pixels.
        scores: ``Tensor[R, K + 1]``, the last column being background.
        image_shape: (height, width) in pixels, to which boxes are clipped.
        score_thresh: detections have a higher score.
        nms_thresh: overlap (IoU) above which the lower score is suppressed.
        topk_per_image: at most so many detections; negative for all.

    Returns:
        ``Instances`` with ``pred_boxes``, ``scores`` and ``pred_classes``, best first; and int64 ``Tensor`` with
        the row of ``boxes`` of each. Rows that are not finite give no detections.
    """
    finite_rows = boxes.isfinite().all(dim=1) & scores.isfinite().all(dim=1)
    candidates = (scores[:, :-1] > score_thresh) & finite_rows[:, None]
    row, pred_classes = candidates.nonzero(as_tuple=True)
    box_column = pred_classes if boxes.shape[1] > 4 else torch.zeros_like(pred_classes)
    candidate_boxes = Boxes(boxes.unflatten(1, (-1, 4))[row, box_column])
    candidate_boxes.clip(image_shape)
    candidate_scores = scores[row, pred_classes]

    keep = batched_nms(candidate_boxes.tensor, candidate_scores, pred_classes, nms_thresh)
    if topk_per_image >= 0:
        keep = keep[:topk_per_image]
    detections = Instances(
        image_shape,
        pred_boxes=candidate_boxes[keep],
        scores=candidate_scores[keep],
        pred_classes=pred_classes[keep],
    )
    return detections, row[keep]
