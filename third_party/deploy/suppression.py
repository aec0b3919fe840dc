"""Non-maximum suppression whose result has a fixed shape: an operator with a translation to ONNX.

``third_party_deploy::suppress`` gives back the scores with those of suppressed boxes replaced, so that a whole detector
is a graph without a tensor whose shape depends on data. In ONNX it is the standard NonMaxSuppression.
"""

from typing import Any

import torch
from torch import Tensor

from ..quantization.export.lowering.translation import register_translation

NAME = "third_party_deploy::suppress"
SUPPRESSED = torch.finfo(torch.float32).min  # below every score and every logit


def suppress(
    boxes: Tensor, scores: Tensor, *, iou_threshold: float, score_threshold: float, max_per_class: int
) -> Tensor:
    """Greedy non-maximum suppression, class by class, image by image.

    Args:
        boxes: float32 ``Tensor[N, C, 4]``, corners in pixels, shared by all classes.
        scores: float32 ``Tensor[N, K, C]``; equal ones come in the order of the boxes.
        iou_threshold: overlap (IoU) above which a box suppresses a worse one of its class.
        score_threshold: boxes of this score or less are no candidates.
        max_per_class: at most so many boxes of a class stay, the best.

    Returns:
        ``Tensor[N, K, C]``: the scores of the boxes that stay, ``SUPPRESSED`` for all others.

    Raises:
        ValueError: shapes or types other than these.
    """
    if boxes.dim() != 3 or boxes.shape[2] != 4 or scores.dim() != 3:
        raise ValueError(
            f"suppress: boxes are of shape {tuple(boxes.shape)} and scores of {tuple(scores.shape)}, wanted are "
            "(N, C, 4) and (N, K, C)"
        )
    if boxes.dtype != torch.float32 or scores.dtype != torch.float32:
        raise ValueError(f"suppress: boxes are {boxes.dtype} and scores {scores.dtype}, wanted is torch.float32")
    return _operator(boxes, scores, float(iou_threshold), float(score_threshold), int(max_per_class))


@torch.library.custom_op(NAME, mutates_args=())
def _operator(
    boxes: Tensor, scores: Tensor, iou_threshold: float, score_threshold: float, max_per_class: int
) -> Tensor:
    from torchvision.ops import nms

    kept = torch.full_like(scores, SUPPRESSED)
    image, label, candidate = (scores > score_threshold).nonzero(as_tuple=True)  # sorted by image and class
    group = image * scores.shape[1] + label
    sizes = group.unique_consecutive(return_counts=True)[1].tolist()
    for i, k, c in zip(image.split(sizes), label.split(sizes), candidate.split(sizes), strict=True):
        best = nms(boxes[i, c], scores[i, k, c], iou_threshold)[:max_per_class]
        kept[i[best], k[best], c[best]] = scores[i[best], k[best], c[best]]
    return kept


@_operator.register_fake
def _fake(boxes: Tensor, scores: Tensor, iou_threshold: float, score_threshold: float, max_per_class: int) -> Tensor:
    return torch.empty_like(scores)


def _to_onnx(boxes: Any, scores: Any, iou_threshold: float, score_threshold: float, max_per_class: int) -> Any:
    """Rows (image, class, box) of NonMaxSuppression choose the scores that stay."""
    from onnxscript import opset21

    op: Any = opset21  # its annotations do not know results of operators as inputs
    rows = op.NonMaxSuppression(
        boxes,
        scores,
        op.Constant(value_ints=[max_per_class]),
        op.Constant(value_floats=[iou_threshold]),
        op.Constant(value_floats=[score_threshold]),
    )
    nothing = op.Expand(op.Constant(value_floats=[SUPPRESSED]), op.Shape(scores))
    return op.ScatterND(nothing, rows, op.GatherND(scores, rows))


register_translation(torch.ops.third_party_deploy.suppress.default, _to_onnx)
