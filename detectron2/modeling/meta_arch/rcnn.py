"""Detectors that look twice: proposals first, then heads on the regions."""

from typing import Any

import torch
from torch import Tensor, nn

from detectron2.config import configurable
from detectron2.layers.wrappers import move_device_like
from detectron2.modeling.backbone.backbone import Backbone
from detectron2.modeling.backbone.build import build_backbone
from detectron2.modeling.postprocessing import detector_postprocess  # noqa: F401  (public name of this module)
from detectron2.modeling.proposal_generator.build import build_proposal_generator
from detectron2.modeling.roi_heads.roi_heads import build_roi_heads
from detectron2.structures.image_list import ImageList
from detectron2.structures.instances import Instances
from detectron2.utils.events import get_event_storage  # noqa: F401
from detectron2.utils.logger import log_first_n  # noqa: F401

from .build import META_ARCH_REGISTRY
from .inputs import ground_truth, normalized_image_list, register_pixel_statistics, rescaled_to_inputs
from .training_images import is_due, put_boxes_image

__all__ = ["GeneralizedRCNN", "ProposalNetwork"]


def __getattr__(name: str) -> Any:
    if name == "convert_image_to_rgb":  # at first use, as the data package is expensive to import
        from detectron2.data.detection_utils import convert_image_to_rgb

        return convert_image_to_rgb
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@META_ARCH_REGISTRY.register()
class GeneralizedRCNN(nn.Module):
    """Backbone, proposals, and heads that classify and refine them.

    Args:
        backbone: gives a dict of feature maps.
        proposal_generator: from images, features and ground truth to proposals and losses; None when the
            inputs bring their own proposals.
        roi_heads: from images, features, proposals and ground truth to detections and losses.
        pixel_mean, pixel_std: one value for each channel, in the units of the input images.
        input_format: channel order of the input images, for pictures of the training.
        vis_period: iterations between two of these pictures; 0 for none.

    Raises:
        ValueError: when pictures are wanted but ``input_format`` is not known.
    """

    @configurable
    def __init__(
        self,
        *,
        backbone: Backbone,
        proposal_generator: nn.Module,
        roi_heads: nn.Module,
        pixel_mean: tuple[float, ...],
        pixel_std: tuple[float, ...],
        input_format: str | None = None,
        vis_period: int = 0,
    ) -> None:
        super().__init__()
        if vis_period > 0 and input_format is None:
            raise ValueError(f"vis_period={vis_period} needs input_format (INPUT.FORMAT) to draw pictures")
        self.backbone = backbone
        self.proposal_generator = proposal_generator
        self.roi_heads = roi_heads
        self.input_format = input_format
        self.vis_period = vis_period
        register_pixel_statistics(self, pixel_mean, pixel_std)

    @classmethod
    def from_config(cls, cfg: Any) -> dict[str, Any]:
        """Build the parts that the config names, and read pixel statistics, format and ``VIS_PERIOD``."""
        backbone = build_backbone(cfg)
        shapes = backbone.output_shape()
        return {
            "backbone": backbone,
            "proposal_generator": build_proposal_generator(cfg, shapes),
            "roi_heads": build_roi_heads(cfg, shapes),
            "input_format": cfg.INPUT.FORMAT,
            "vis_period": cfg.VIS_PERIOD,
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
        }

    @property
    def device(self) -> torch.device:
        return self.pixel_mean.device

    def visualize_training(self, batched_inputs: list[dict[str, Any]], proposals: list[Instances]) -> None:
        """Put a picture of the first image's ground truth and best 20 proposals into the event storage.

        Args:
            batched_inputs: the training batch.
            proposals: for each image its proposals with ``proposal_boxes``, best first.
        """
        boxes = proposals[0].proposal_boxes.tensor[:20]
        tag = "Left: GT bounding boxes;  Right: predicted proposals"
        put_boxes_image(batched_inputs[0], boxes, self.input_format, tag)

    def forward(self, batched_inputs: list[dict[str, Any]]) -> dict[str, Tensor] | list[dict[str, Instances]]:
        """Losses in training, detections otherwise.

        Args:
            batched_inputs: for each image a dict with "image" ``Tensor[C, H, W]``; in training also "instances";
                "proposals" when there is no proposal generator; in inference optionally "height" and "width", the
                size of the wanted output in pixels.

        Returns:
            In training, a dict of scalar losses; else for each image ``{"instances": Instances}`` with
            ``pred_boxes``, ``scores``, ``pred_classes`` and perhaps ``pred_masks``.

        Raises:
            ValueError: when ground truth or proposals are missing.
        """
        if not self.training:
            return self.inference(batched_inputs)
        images = self.preprocess_image(batched_inputs)
        gt_instances = ground_truth(batched_inputs, self.device)
        features = self.backbone(images.tensor)
        if self.proposal_generator is not None:
            proposals, proposal_losses = self.proposal_generator(images, features, gt_instances)
        else:
            proposals, proposal_losses = self._given_proposals(batched_inputs), {}
        _, detector_losses = self.roi_heads(images, features, proposals, gt_instances)
        if is_due(self.vis_period):
            self.visualize_training(batched_inputs, proposals)
        return {**detector_losses, **proposal_losses}

    def inference(
        self,
        batched_inputs: list[dict[str, Any]],
        detected_instances: list[Instances] | None = None,
        do_postprocess: bool = True,
    ) -> list[dict[str, Instances]] | list[Instances]:
        """Detect.

        Args:
            batched_inputs: as in :meth:`forward`.
            detected_instances: for each image ``pred_boxes`` and ``pred_classes`` that are known already; then
                only masks and the like are predicted.
            do_postprocess: whether results are rescaled to the wanted output size.

        Returns:
            As :meth:`forward` in inference; without postprocessing a list of ``Instances`` at the size of the
            network's input.
        """
        if self.training:
            raise RuntimeError("inference called in training mode: call model.eval() first")
        images = self.preprocess_image(batched_inputs)
        features = self.backbone(images.tensor)
        if detected_instances is not None:
            given = [instances.to(self.device) for instances in detected_instances]
            results = self.roi_heads.forward_with_given_boxes(features, given)
        else:
            if self.proposal_generator is not None:
                proposals, _ = self.proposal_generator(images, features, None)
            else:
                proposals = self._given_proposals(batched_inputs)
            results, _ = self.roi_heads(images, features, proposals, None)
        if not do_postprocess:
            return results
        return self._postprocess(results, batched_inputs, images.image_sizes)

    def preprocess_image(self, batched_inputs: list[dict[str, Any]]) -> ImageList:
        """Normalise, pad and batch the input images."""
        return normalized_image_list(batched_inputs, self.pixel_mean, self.pixel_std, self.backbone)

    def _given_proposals(self, batched_inputs: list[dict[str, Any]]) -> list[Instances]:
        if any("proposals" not in inputs for inputs in batched_inputs):
            raise ValueError(
                "a model without proposal generator (MODEL.PROPOSAL_GENERATOR.NAME PrecomputedProposals) needs the key "
                "'proposals' in every input: set MODEL.LOAD_PROPOSALS and DATASETS.PROPOSAL_FILES_*"
            )
        return [inputs["proposals"].to(self.device) for inputs in batched_inputs]

    def _move_to_current_device(self, x: Tensor) -> Tensor:
        return move_device_like(x, self.pixel_mean)

    @staticmethod
    def _postprocess(
        instances: list[Instances], batched_inputs: list[dict[str, Any]], image_sizes: list[tuple[int, int]]
    ) -> list[dict[str, Instances]]:
        """Results at the resolution that each input asks for."""
        return [{"instances": result} for result in rescaled_to_inputs(instances, batched_inputs, image_sizes)]


@META_ARCH_REGISTRY.register()
class ProposalNetwork(nn.Module):
    """Backbone and proposal generator alone.

    Args:
        backbone, proposal_generator, pixel_mean, pixel_std: see :class:`GeneralizedRCNN`.
    """

    @configurable
    def __init__(
        self,
        *,
        backbone: Backbone,
        proposal_generator: nn.Module,
        pixel_mean: tuple[float, ...],
        pixel_std: tuple[float, ...],
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.proposal_generator = proposal_generator
        register_pixel_statistics(self, pixel_mean, pixel_std)

    @classmethod
    def from_config(cls, cfg: Any) -> dict[str, Any]:
        """Build the parts that the config names, and read the pixel statistics."""
        backbone = build_backbone(cfg)
        return {
            "backbone": backbone,
            "proposal_generator": build_proposal_generator(cfg, backbone.output_shape()),
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
        }

    @property
    def device(self) -> torch.device:
        return self.pixel_mean.device

    def forward(self, batched_inputs: list[dict[str, Any]]) -> dict[str, Tensor] | list[dict[str, Instances]]:
        """Losses in training, proposals otherwise.

        Args:
            batched_inputs: as for :class:`GeneralizedRCNN`.

        Returns:
            In training, a dict of scalar losses; else for each image ``{"proposals": Instances}`` with
            ``proposal_boxes`` and ``objectness_logits``.
        """
        images = normalized_image_list(batched_inputs, self.pixel_mean, self.pixel_std, self.backbone)
        features = self.backbone(images.tensor)
        gt_instances = ground_truth(batched_inputs, self.device) if self.training else None
        proposals, losses = self.proposal_generator(images, features, gt_instances)
        if self.training:
            return losses
        return [{"proposals": p} for p in rescaled_to_inputs(proposals, batched_inputs, images.image_sizes)]

    def _move_to_current_device(self, x: Tensor) -> Tensor:
        return move_device_like(x, self.pixel_mean)
