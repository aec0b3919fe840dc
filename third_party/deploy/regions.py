"""What heads on regions compute from pooled features, apart from pooling and from choosing detections."""

from typing import Any

from torch import Tensor, nn

from detectron2.modeling.poolers import ROIPooler
from detectron2.modeling.roi_heads.mask_head import BaseMaskRCNNHead
from detectron2.modeling.roi_heads.res5_roi_heads import Res5ROIHeads
from detectron2.modeling.roi_heads.standard_roi_heads import StandardROIHeads


class RegionHead(nn.Module):
    """Pooled features -> predictions.

    Args:
        in_features: names of the feature maps to pool from.
        pooler: how.
        body: ``Tensor[R, C, H, W]`` -> features of the regions.
        predict: from these to what :meth:`forward` returns.
    """

    def __init__(self, in_features: list[str], pooler: ROIPooler, body: nn.Module, predict: nn.Module) -> None:
        super().__init__()
        self.in_features = in_features
        self.pooler = pooler
        self.body = body
        self.predict = predict

    def forward(self, pooled: Tensor) -> Any:
        """``Tensor[R, C, H, W]`` -> (logits, deltas) of boxes, or logits of masks ``Tensor[R, K, M, M]``."""
        return self.predict(self.body(pooled))


class MeanThen(nn.Module):
    """The spatial mean, then a module."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Any:
        return self.module(x.mean(dim=[2, 3]))


class MaskLogits(nn.Module):
    """The layers of a mask head without its way of handing out masks."""

    def __init__(self, head: BaseMaskRCNNHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        return self.head.layers(x)


def region_heads(roi_heads: Any) -> dict[str, RegionHead]:
    """The heads "box" and, where there is one, "mask".

    Raises:
        ValueError: heads of another kind, or a branch that cannot be exported.
    """
    if isinstance(roi_heads, Res5ROIHeads):
        names, pooler, body = list(roi_heads.in_features), roi_heads.pooler, roi_heads.res5
        heads = {"box": RegionHead(names, pooler, body, MeanThen(roi_heads.box_predictor))}
        if roi_heads.mask_on:
            heads["mask"] = RegionHead(names, pooler, body, _mask_logits(roi_heads.mask_head))
        return heads
    if not isinstance(roi_heads, StandardROIHeads):
        raise ValueError(
            f"roi_heads are {type(roi_heads).__name__}; an exportable form is known of StandardROIHeads, Res5ROIHeads"
        )
    if roi_heads.keypoint_on:
        raise ValueError("the keypoint branch has no exportable form: set MODEL.KEYPOINT_ON to False")
    heads = {
        "box": RegionHead(
            list(roi_heads.box_in_features), roi_heads.box_pooler, roi_heads.box_head, roi_heads.box_predictor
        )
    }
    if roi_heads.mask_on:
        if roi_heads.mask_pooler is None or roi_heads.mask_in_features is None:
            raise ValueError("a mask branch without pooler has no exportable form")
        head = _mask_logits(roi_heads.mask_head)
        heads["mask"] = RegionHead(list(roi_heads.mask_in_features), roi_heads.mask_pooler, nn.Identity(), head)
    return heads


def _mask_logits(head: nn.Module | None) -> MaskLogits:
    if not isinstance(head, BaseMaskRCNNHead):
        raise ValueError(f"the mask head {type(head).__name__} has no method layers: derive it from BaseMaskRCNNHead")
    return MaskLogits(head)
