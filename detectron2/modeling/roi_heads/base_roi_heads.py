"""What all heads on regions share: labelling proposals by the ground truth and sampling them for training."""

from typing import Any

import torch
from fvcore.common.registry import Registry
from torch import Tensor, nn

from detectron2.config import configurable
from detectron2.layers.shape_spec import ShapeSpec
from detectron2.modeling.matcher import Matcher
from detectron2.modeling.proposal_generator.proposal_utils import add_ground_truth_to_proposals
from detectron2.modeling.sampling import subsample_labels
from detectron2.structures.boxes import pairwise_iou
from detectron2.structures.image_list import ImageList
from detectron2.structures.instances import Instances
from detectron2.utils.events import get_event_storage, has_event_storage
from detectron2.utils.registry import registered

ROI_HEADS_REGISTRY = Registry("ROI_HEADS")
ROI_HEADS_REGISTRY.__doc__ = """Classes built as ``cls(cfg, input_shape)`` that turn proposals into detections."""


class ROIHeads(nn.Module):
    """Base of the second stage: from feature maps and proposals to losses or detections.

    Args:
        num_classes: number of classes K without background.
        batch_size_per_image: proposals sampled in each image for training.
        positive_fraction: largest share of foreground among them.
        proposal_matcher: labels proposals by their overlap with the ground truth.
        proposal_append_gt: whether the ground truth boxes join the proposals in training.
    """

    @configurable
    def __init__(
        self,
        *,
        num_classes: int,
        batch_size_per_image: int,
        positive_fraction: float,
        proposal_matcher: Matcher,
        proposal_append_gt: bool = True,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.batch_size_per_image = batch_size_per_image
        self.positive_fraction = positive_fraction
        self.proposal_matcher = proposal_matcher
        self.proposal_append_gt = proposal_append_gt

    @classmethod
    def from_config(cls, cfg: Any) -> dict[str, Any]:
        """Read ``MODEL.ROI_HEADS``."""
        settings = cfg.MODEL.ROI_HEADS
        return {
            "num_classes": settings.NUM_CLASSES,
            "batch_size_per_image": settings.BATCH_SIZE_PER_IMAGE,
            "positive_fraction": settings.POSITIVE_FRACTION,
            "proposal_matcher": Matcher(settings.IOU_THRESHOLDS, settings.IOU_LABELS, allow_low_quality_matches=False),
            "proposal_append_gt": settings.PROPOSAL_APPEND_GT,
        }

    @torch.no_grad()
    def label_and_sample_proposals(self, proposals: list[Instances], targets: list[Instances]) -> list[Instances]:
        """Choose the proposals a training step looks at, with their labels.

        Args:
            proposals: for each image its proposals with ``proposal_boxes``.
            targets: for each image its ground truth with ``gt_boxes``, ``gt_classes`` and perhaps more.

        Returns:
            For each image the sampled proposals, foreground first, with ``gt_classes`` (K for background) and, in
            images with objects, the other fields of ``targets`` that begin with "gt_", of the matched object.
            They mean something for foreground only.
        """
        if self.proposal_append_gt:
            proposals = add_ground_truth_to_proposals(targets, proposals)
        sampled = [self._label_and_sample_image(*image) for image in zip(proposals, targets, strict=True)]
        if has_event_storage():
            self._log_samples(torch.cat([image.gt_classes for image in sampled]), len(sampled))
        return sampled

    def _log_samples(self, gt_classes: Tensor, num_images: int) -> None:
        num_background = int((gt_classes == self.num_classes).sum())
        storage = get_event_storage()
        storage.put_scalar("roi_head/num_fg_samples", (len(gt_classes) - num_background) / num_images)
        storage.put_scalar("roi_head/num_bg_samples", num_background / num_images)

    def _label_and_sample_image(self, proposals: Instances, targets: Instances) -> Instances:
        overlaps = pairwise_iou(targets.gt_boxes, proposals.proposal_boxes)
        matches, match_labels = self.proposal_matcher(overlaps)
        chosen, classes = self._sample_proposals(matches, match_labels, targets.gt_classes)
        sampled = proposals[chosen]
        sampled.gt_classes = classes
        if len(targets) > 0:
            for name, value in targets.get_fields().items():
                if name.startswith("gt_") and not sampled.has(name):
                    sampled.set(name, value[matches[chosen]])
        return sampled

    def _sample_proposals(
        self, matched_idxs: Tensor, matched_labels: Tensor, gt_classes: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Sample from one image's R proposals.

        Args:
            matched_idxs, matched_labels: ``Tensor[R]``, what the matcher returned.
            gt_classes: ``Tensor[M]`` of the ground truth's classes.

        Returns:
            Indices of the chosen proposals, foreground first, and their classes (K background, -1 ignored).
        """
        if gt_classes.numel() > 0:
            classes = gt_classes[matched_idxs]
            classes = torch.where(matched_labels == 0, self.num_classes, classes)
            classes = torch.where(matched_labels == -1, -1, classes)
        else:
            classes = torch.full_like(matched_idxs, self.num_classes)
        positive, negative = subsample_labels(
            classes, self.batch_size_per_image, self.positive_fraction, self.num_classes
        )
        chosen = torch.cat([positive, negative])
        return chosen, classes[chosen]

    def forward(
        self,
        images: ImageList,
        features: dict[str, Tensor],
        proposals: list[Instances],
        targets: list[Instances] | None = None,
    ) -> tuple[list[Instances], dict[str, Tensor]]:
        """Run the second stage.

        Args:
            images: the batch, normalised and padded.
            features: feature maps of the backbone by name.
            proposals: for each image its proposals with ``proposal_boxes``.
            targets: for each image its ground truth; needed in training.

        Returns:
            In training the sampled proposals and the losses; else the detections and an empty dict.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define forward")


def build_roi_heads(cfg: Any, input_shape: dict[str, ShapeSpec]) -> nn.Module:
    """Build the heads that ``MODEL.ROI_HEADS.NAME`` names, on feature maps of these shapes."""
    return registered(ROI_HEADS_REGISTRY, cfg.MODEL.ROI_HEADS.NAME, "MODEL.ROI_HEADS.NAME")(cfg, input_shape)


def require_targets(targets: list[Instances] | None, name: str) -> list[Instances]:
    """``targets``, or a ``ValueError`` that says that ``name`` cannot train without them."""
    if targets is None:
        raise ValueError(f"{name} needs the ground truth (targets) in training")
    return targets
