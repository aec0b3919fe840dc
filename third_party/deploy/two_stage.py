"""Faster and Mask R-CNN as functions of pixels."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from detectron2.modeling.meta_arch.rcnn import GeneralizedRCNN
from detectron2.modeling.proposal_generator.rpn import RPN

from ..quantization.export import landmark
from .map_heads import MapHeads, map_heads_parts
from .parts import DetectorParts
from .proposals import PaddedProposals, clip
from .regions import region_heads
from .registry import register_parts
from .roi_pooling import pool_regions
from .selection import PaddedDetections, detections
from .suppression import SUPPRESSED


class MaskedDetections(NamedTuple):
    """:class:`.PaddedDetections` with masks, ``Tensor[N, D, 1, M, M]`` in 0..1 over each box."""

    boxes: Tensor
    scores: Tensor
    classes: Tensor
    counts: Tensor
    masks: Tensor


pytree._register_namedtuple(MaskedDetections, serialized_type_name="third_party.deploy.MaskedDetections")


class TwoStage(nn.Module):
    """What the forms of a two-stage detector share.

    Args:
        model: the detector; its weights are shared, not copied.

    Raises:
        ValueError: parts of other kinds than those that can be exported.
    """

    model: Any  # a GeneralizedRCNN

    def __init__(self, model: Any) -> None:
        super().__init__()
        if not isinstance(model.proposal_generator, RPN):
            raise ValueError(
                f"proposals come from {type(model.proposal_generator).__name__}; an exportable form is known of RPN"
            )
        predictor = model.roi_heads.box_predictor
        if predictor.test_topk_per_image < 0:
            raise ValueError("TEST.DETECTIONS_PER_IMAGE must be a number of detections: their rows are fixed")
        self.model = model
        self.proposals = PaddedProposals(model.proposal_generator)
        self.heads = nn.ModuleDict(region_heads(model.roi_heads))

    def features(self, pixels: Tensor) -> dict[str, Tensor]:
        """Feature maps by name."""
        features: dict[str, Tensor] = self.model.backbone((pixels - self.model.pixel_mean) / self.model.pixel_std)
        return features

    def pooled(self, name: str, features: dict[str, Tensor], boxes: Tensor) -> Tensor:
        """Predictions of the head ``name`` for boxes ``Tensor[N, R, 4]``."""
        head: Any = self.heads[name]
        return head(pool_regions(head.pooler, [features[level] for level in head.in_features], boxes))

    def boxes_and_scores(self, features: dict[str, Tensor], sizes: Tensor) -> tuple[Tensor, Tensor]:
        """See :class:`RegionBoxes`."""
        predictor = self.model.roi_heads.box_predictor
        proposals, proposal_scores = self.proposals(features, sizes)
        proposals = landmark(proposals, "proposals.boxes")
        proposal_scores = landmark(proposal_scores, "proposals.scores")
        logits, deltas = self.pooled("box", features, proposals)
        images, rows = proposals.shape[:2]
        boxes = predictor.box2box_transform.apply_deltas(deltas, proposals.flatten(0, 1))
        boxes = landmark(clip(boxes.view(images, -1, 4), sizes).view(images, rows, -1, 4), "regions.boxes")
        scores = logits.sigmoid() if predictor.use_sigmoid_ce else logits.softmax(dim=-1)
        scores = landmark(scores[:, :-1].unflatten(0, (images, rows)), "regions.scores")
        return boxes, torch.where(proposal_scores.unsqueeze(2) > SUPPRESSED, scores, SUPPRESSED)

    def detections(self, boxes: Tensor, scores: Tensor) -> PaddedDetections:
        """From the result of :meth:`boxes_and_scores`."""
        predictor = self.model.roi_heads.box_predictor
        return detections(
            boxes.squeeze(2) if predictor.bbox_pred.out_features == 4 else boxes,
            scores,
            iou_threshold=predictor.test_nms_thresh,
            score_threshold=predictor.test_score_thresh,
            max_detections=predictor.test_topk_per_image,
        )

    def masks(self, features: dict[str, Tensor], found: PaddedDetections) -> Tensor:
        """``Tensor[N, D, 1, M, M]``: the mask of each detection's class, 0..1."""
        logits = self.pooled("mask", features, landmark(found.boxes, "detections.boxes"))
        if logits.shape[1] > 1:
            classes = landmark(found.classes, "detections.classes").flatten().clamp(min=0)
        else:
            classes = torch.zeros_like(logits[:, 0, 0, 0]).long()
        side = logits.shape[2:]
        chosen = logits.gather(1, classes.view(-1, 1, 1, 1).expand(-1, 1, *side))
        return chosen.sigmoid().unflatten(0, found.classes.shape)


class TwoStagePredictions(TwoStage):
    """Pixels -> feature maps that heads pool from, then objectness logits, then deltas of proposals."""

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """``Tensor[N, C, H, W]`` in the range of the model's pixel statistics -> a list of maps."""
        features = self.features(pixels)
        heads: list[Any] = list(self.heads.values())
        names = sorted({name for head in heads for name in head.in_features})
        logits, deltas = self.proposals.predictions(features)
        return [*(features[name] for name in names), *logits, *deltas]


class RegionBoxes(TwoStage):
    """Pixels and sizes -> boxes and scores of all proposals."""

    def forward(self, pixels: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
        """
        Args:
            pixels: ``Tensor[N, C, H, W]``.
            sizes: float32 ``Tensor[N, 2]``, height and width of each image without padding.

        Returns:
            ``Tensor[N, R, K, 4]`` (or ``[N, R, 1, 4]``, one box for all classes) within the images, and scores
            ``Tensor[N, R, K]``, ``SUPPRESSED`` in rows without a proposal.
        """
        return self.boxes_and_scores(self.features(pixels), sizes)


class RegionDetections(TwoStage):
    """Pixels and sizes -> detections, with masks where the model has them."""

    def forward(self, pixels: Tensor, sizes: Tensor) -> PaddedDetections | MaskedDetections:
        """Arguments as for :class:`RegionBoxes`; detections in pixels of the batch."""
        features = self.features(pixels)
        found = self.detections(*self.boxes_and_scores(features, sizes))
        return MaskedDetections(*found, self.masks(features, found)) if "mask" in self.heads else found


@register_parts(GeneralizedRCNN)
def two_stage_parts(model: Any) -> DetectorParts:
    """The forms of a ``GeneralizedRCNN``: Faster and Mask R-CNN, FPN or C4, and those with heads without regions."""
    if isinstance(model.roi_heads, MapHeads):
        return map_heads_parts(model)
    boxes = RegionBoxes(model)

    def select(
        all_boxes: Tensor, scores: Tensor, sizes: Tensor | None, batch_size: tuple[int, int]
    ) -> PaddedDetections:
        return boxes.detections(all_boxes, scores)

    return DetectorParts(
        name=type(model).__name__,
        dense=TwoStagePredictions(model),
        detector=boxes,
        suppressed=RegionDetections(model),
        select=select,
        size_divisibility=max(model.backbone.size_divisibility, 1),
        input_format=model.input_format or "BGR",
        coarsest_stride=max(model.proposal_generator.anchor_generator.strides),
        pad_values=tuple(model.pixel_mean.flatten().tolist()),
        takes_sizes=True,
        has_masks="mask" in boxes.heads,
        regions=dict(boxes.heads.items()),
    )
