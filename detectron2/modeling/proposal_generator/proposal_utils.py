"""Choice of proposals, and their union with the ground truth for training."""

import logging
import math

import torch
from torch import Tensor

from detectron2.layers.nms import batched_nms
from detectron2.layers.wrappers import cat, move_device_like  # noqa: F401
from detectron2.structures.boxes import Boxes
from detectron2.structures.instances import Instances

logger = logging.getLogger(__name__)

# Logit of a probability of 1 - 1e-10: ground truth stands above nearly any prediction, and stays finite.
_CERTAIN_LOGIT = math.log((1.0 - 1e-10) / (1.0 - (1.0 - 1e-10)))


def select_top_scores(scores: list[Tensor], k: int) -> list[Tensor]:
    """For each level the indices int64 ``Tensor[N, min(k, A_l)]`` of the highest of ``Tensor[N, A_l]``, best first."""
    return [level.topk(min(level.shape[1], k), dim=1).indices for level in scores]


def gather_rows(x: Tensor, indices: Tensor) -> Tensor:
    """Rows ``indices`` (int64 ``Tensor[N, K]``) of each image of ``Tensor[N, A, B]``: ``Tensor[N, K, B]``."""
    return x.gather(1, indices.unsqueeze(2).expand(-1, -1, x.shape[2]))


def find_top_rpn_proposals(
    proposals: list[Tensor],
    pred_objectness_logits: list[Tensor],
    image_sizes: list[tuple[int, int]],
    nms_thresh: float,
    pre_nms_topk: int,
    post_nms_topk: int,
    min_box_size: float,
    training: bool,
) -> list[Instances]:
    """The best boxes of all levels after non-maximum suppression within each level.

    Args:
        proposals: decoded boxes ``Tensor[N, A_l, 4]`` for each level, XYXY in pixels.
        pred_objectness_logits: ``Tensor[N, A_l]`` for each level.
        image_sizes: (height, width) of the N images.
        nms_thresh: IoU above which the lower of two boxes goes.
        pre_nms_topk: boxes kept for each level and image before suppression.
        post_nms_topk: boxes kept for each image after it.
        min_box_size: boxes must exceed this many pixels in width and height once clipped to the image.
        training: whether single predictions that are not finite are an error; otherwise they are dropped.

    Returns:
        for each image ``Instances`` with ``proposal_boxes`` and ``objectness_logits``, best first.

    Raises:
        FloatingPointError: when a selected box or logit is NaN or infinite in training, or all of them in inference.
    """
    indices = select_top_scores(pred_objectness_logits, pre_nms_topk)
    scores = cat([logits.gather(1, i) for logits, i in zip(pred_objectness_logits, indices, strict=True)], dim=1)
    boxes = cat([gather_rows(level, i) for level, i in zip(proposals, indices, strict=True)], dim=1)
    counts = torch.tensor([i.shape[1] for i in indices], device=scores.device)
    levels = torch.repeat_interleave(counts, output_size=scores.shape[1])
    finite = boxes.isfinite().all(dim=2) & scores.isfinite()
    if not finite.all() and (training or not finite.any()):
        raise FloatingPointError(
            f"{int((~finite).sum())} of {finite.numel()} proposals of the RPN have a box or a score that is NaN or "
            "infinite: the weights are broken, or training has diverged. Lower SOLVER.BASE_LR or lengthen "
            "SOLVER.WARMUP_ITERS, or clip gradients"
        )
    return [
        _proposals_of_image(
            Boxes(boxes[n]), scores[n], levels, finite[n], size, nms_thresh, post_nms_topk, min_box_size
        )
        for n, size in enumerate(image_sizes)
    ]


def _proposals_of_image(
    boxes: Boxes,
    scores: Tensor,
    levels: Tensor,
    finite: Tensor,
    image_size: tuple[int, int],
    nms_thresh: float,
    post_nms_topk: int,
    min_box_size: float,
) -> Instances:
    boxes, scores, levels = boxes[finite], scores[finite], levels[finite]
    boxes.clip(image_size)
    large_enough = boxes.nonempty(threshold=min_box_size)
    boxes, scores, levels = boxes[large_enough], scores[large_enough], levels[large_enough]
    keep = batched_nms(boxes.tensor, scores, levels, nms_thresh)[:post_nms_topk]
    return Instances(image_size, proposal_boxes=boxes[keep], objectness_logits=scores[keep])


def add_ground_truth_to_proposals(gt: list[Instances] | list[Boxes], proposals: list[Instances]) -> list[Instances]:
    """:func:`add_ground_truth_to_proposals_single_image` over the images of a batch.

    Raises:
        ValueError: when the two lists differ in length.
    """
    if len(gt) != len(proposals):
        raise ValueError(f"ground truth of {len(gt)} images for proposals of {len(proposals)}")
    return [add_ground_truth_to_proposals_single_image(*pair) for pair in zip(gt, proposals, strict=True)]


def add_ground_truth_to_proposals_single_image(gt: Instances | Boxes, proposals: Instances) -> Instances:
    """Proposals with the ground truth boxes appended as perfectly sure proposals.

    Early in training, when proposals are poor, this gives the heads positives to learn from.

    Args:
        gt: ground truth boxes, or ``Instances`` with ``gt_boxes``.
        proposals: with ``proposal_boxes`` and ``objectness_logits``. Further fields must be in ``gt`` too.

    Returns:
        new ``Instances`` with the fields of ``proposals``.

    Raises:
        ValueError: when ``gt`` lacks a field of ``proposals``.
    """
    boxes = gt if isinstance(gt, Boxes) else gt.gt_boxes
    certain = torch.full((len(boxes),), _CERTAIN_LOGIT, device=proposals.objectness_logits.device)
    fields = {} if isinstance(gt, Boxes) else gt.get_fields()
    fields = {**fields, "proposal_boxes": boxes, "objectness_logits": certain}
    missing = [name for name in proposals.get_fields() if name not in fields]
    if missing:
        raise ValueError(f"the ground truth lacks the fields {missing} of the proposals; it has {[*fields]}")
    shared = {name: fields[name] for name in proposals.get_fields()}
    return Instances.cat([proposals, Instances(proposals.image_size, **shared)])
