"""Encodings between a reference box (anchor, proposal) and the box that a network is to predict."""

import math

import torch
from torch import Tensor

from detectron2.layers.losses import ciou_loss, diou_loss
from detectron2.layers.wrappers import cat
from detectron2.modeling.losses import giou_loss, smooth_l1_loss
from detectron2.structures.boxes import Boxes

# Longest factor by which one regression may stretch a side: from a 16 pixel anchor to 1000 pixels.
_DEFAULT_SCALE_CLAMP = math.log(1000.0 / 16)

_IOU_LOSSES = {"giou": giou_loss, "diou": diou_loss, "ciou": ciou_loss}


class Box2BoxTransform:
    """Centre shift relative to the reference's size and log of the size ratio (R-CNN, appendix C).

    Args:
        weights: factors (wx, wy, ww, wh) that bring each delta to unit variance.
        scale_clamp: upper bound of a decoded log size ratio.
    """

    def __init__(self, weights: tuple[float, float, float, float], scale_clamp: float = _DEFAULT_SCALE_CLAMP) -> None:
        self.weights = weights
        self.scale_clamp = scale_clamp

    def get_deltas(self, src_boxes: Tensor, target_boxes: Tensor) -> Tensor:
        """Deltas ``Tensor[..., 4]`` (dx, dy, dw, dh) that lead from ``src_boxes`` to ``target_boxes``.

        Args:
            src_boxes, target_boxes: ``Tensor[..., 4]``, XYXY in pixels, with positive width and height.
        """
        (src_x, src_y, src_w, src_h), (x, y, w, h) = _centre_form(src_boxes), _centre_form(target_boxes)
        wx, wy, ww, wh = self.weights
        columns = (
            wx * (x - src_x) / src_w,
            wy * (y - src_y) / src_h,
            ww * torch.log(w / src_w),
            wh * torch.log(h / src_h),
        )
        return torch.stack(columns, dim=-1)

    def apply_deltas(self, deltas: Tensor, boxes: Tensor) -> Tensor:
        """Decode ``deltas`` against ``boxes``.

        Args:
            deltas: ``Tensor[N, k * 4]``, k predictions for each box.
            boxes: ``Tensor[N, 4]``, XYXY in pixels.

        Returns:
            ``Tensor[N, k * 4]`` in float32: the predicted boxes, XYXY in pixels.
        """
        deltas = deltas.float()  # exp overflows in half precision
        dx, dy, dw, dh = deltas.unflatten(-1, (-1, 4)).unbind(-1)
        x, y, w, h = (column.unsqueeze(-1) for column in _centre_form(boxes.to(deltas.dtype)))
        wx, wy, ww, wh = self.weights
        x, y = torch.addcmul(x, dx / wx, w), torch.addcmul(y, dy / wy, h)
        half_w = torch.exp((dw / ww).clamp(max=self.scale_clamp)) * (0.5 * w)
        half_h = torch.exp((dh / wh).clamp(max=self.scale_clamp)) * (0.5 * h)
        return torch.stack((x - half_w, y - half_h, x + half_w, y + half_h), dim=-1).flatten(-2)


class Box2BoxTransformLinear:
    """Distances from the reference's centre to the four sides of the box (FCOS, eq. 1).

    Args:
        normalize_by_size: whether distances are divided by the reference's width and height.
    """

    def __init__(self, normalize_by_size: bool = True) -> None:
        self.normalize_by_size = normalize_by_size

    def get_deltas(self, src_boxes: Tensor, target_boxes: Tensor) -> Tensor:
        """Distances ``Tensor[..., 4]`` (left, top, right, bottom); negative where the centre lies outside.

        Args:
            src_boxes, target_boxes: ``Tensor[..., 4]``, XYXY in pixels.
        """
        centre, size = self._centre_and_unit(src_boxes)
        near, far = centre - target_boxes[..., :2], target_boxes[..., 2:] - centre
        return torch.cat((near / size, far / size), dim=-1)

    def apply_deltas(self, deltas: Tensor, boxes: Tensor) -> Tensor:
        """Boxes ``Tensor[..., 4]`` in float32 from distances; negative distances count as 0.

        Args:
            deltas: ``Tensor[..., 4]``.
            boxes: ``Tensor[..., 4]``, XYXY in pixels, broadcast against ``deltas``.
        """
        distances = deltas.float().relu()
        centre, size = self._centre_and_unit(boxes.to(distances.dtype))
        return torch.cat((centre - distances[..., :2] * size, centre + distances[..., 2:] * size), dim=-1)

    def _centre_and_unit(self, boxes: Tensor) -> tuple[Tensor, Tensor]:
        low, high = boxes[..., :2], boxes[..., 2:]
        size = high - low if self.normalize_by_size else torch.ones_like(low)
        return 0.5 * (low + high), size


def check_box_reg_loss_type(name: str) -> str:
    """Return ``name``, a kind of box regression loss.

    Raises:
        ValueError: when there is no such kind.
    """
    allowed = ("smooth_l1", *_IOU_LOSSES)
    if name not in allowed:
        raise ValueError(f"box_reg_loss_type (BBOX_REG_LOSS_TYPE) {name!r} is not one of {', '.join(allowed)}")
    return name


def _centre_form(boxes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Columns centre x, centre y, width, height of XYXY boxes."""
    x0, y0, x1, y1 = boxes.unbind(-1)
    width, height = x1 - x0, y1 - y0
    return x0 + 0.5 * width, y0 + 0.5 * height, width, height


def _dense_box_regression_loss(
    anchors: list[Boxes | Tensor],
    box2box_transform: Box2BoxTransform | Box2BoxTransformLinear,
    pred_anchor_deltas: list[Tensor],
    gt_boxes: list[Tensor],
    fg_mask: Tensor,
    box_reg_loss_type: str = "smooth_l1",
    smooth_l1_beta: float = 0.0,
) -> Tensor:
    """Sum of the regression loss over the foreground anchors of a batch.

    Args:
        anchors: a set of A_l anchors for each of the L levels.
        box2box_transform: the encoding of the predictions.
        pred_anchor_deltas: ``Tensor[N, A_l, 4]`` for each level.
        gt_boxes: for each of the N images ``Tensor[A, 4]``, the box matched to every anchor.
        fg_mask: bool ``Tensor[N, A]``, the anchors that count.
        box_reg_loss_type: "smooth_l1" compares deltas; "giou", "diou" and "ciou" compare decoded boxes.
        smooth_l1_beta: see :func:`smooth_l1_loss`.

    Raises:
        ValueError: for an unknown loss type.
    """
    image, anchor = fg_mask.nonzero(as_tuple=True)
    all_anchors = torch.cat([level.tensor if isinstance(level, Boxes) else level for level in anchors])
    references = all_anchors[anchor]
    targets = torch.stack(gt_boxes)[image, anchor]
    predictions = cat(pred_anchor_deltas, dim=1)[image, anchor]
    if box_reg_loss_type == "smooth_l1":
        deltas = box2box_transform.get_deltas(references, targets)
        return smooth_l1_loss(predictions, deltas, beta=smooth_l1_beta, reduction="sum")
    check_box_reg_loss_type(box_reg_loss_type)
    boxes = box2box_transform.apply_deltas(predictions, references)
    return _IOU_LOSSES[box_reg_loss_type](boxes, targets, reduction="sum")
