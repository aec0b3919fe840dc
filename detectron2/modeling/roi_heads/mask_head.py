"""Heads that predict a binary mask for each detected box."""

from typing import Any

import torch
from fvcore.common.registry import Registry
from torch import Tensor, nn

from detectron2.config import configurable
from detectron2.layers.batch_norm import get_norm
from detectron2.layers.shape_spec import ShapeSpec
from detectron2.layers.wrappers import Conv2d, cat, move_device_like  # noqa: F401  (public names of this module)
from detectron2.modeling.weight_init import c2_msra_fill, normal_fill
from detectron2.structures.instances import Instances
from detectron2.utils.events import get_event_storage  # noqa: F401
from detectron2.utils.registry import registered

from .mask_losses import mask_rcnn_loss

__all__ = [
    "BaseMaskRCNNHead",
    "MaskRCNNConvUpsampleHead",
    "ROI_MASK_HEAD_REGISTRY",
    "build_mask_head",
    "mask_rcnn_inference",
    "mask_rcnn_loss",
]

ROI_MASK_HEAD_REGISTRY = Registry("ROI_MASK_HEAD")
ROI_MASK_HEAD_REGISTRY.__doc__ = """Classes built as ``cls(cfg, input_shape)`` that predict masks of regions."""


def mask_rcnn_inference(pred_mask_logits: Tensor, pred_instances: list[Instances]) -> None:
    """Give every instance the mask of its class: field ``pred_masks``, ``Tensor[R_i, 1, M, M]`` in [0, 1].

    Args:
        pred_mask_logits: ``Tensor[R, K, M, M]`` (K 1 for class-agnostic masks) for the instances of all images.
        pred_instances: for each image its instances with ``pred_classes``; changed.
    """
    counts = [len(instances) for instances in pred_instances]
    if pred_mask_logits.shape[1] > 1:
        classes = cat([instances.pred_classes for instances in pred_instances])
        rows = torch.arange(len(classes), device=classes.device)
        pred_mask_logits = pred_mask_logits[rows, classes].unsqueeze(1)
    for instances, masks in zip(pred_instances, pred_mask_logits.sigmoid().split(counts), strict=True):
        instances.pred_masks = masks


class BaseMaskRCNNHead(nn.Module):
    """Loss and inference of Mask R-CNN around the layers that a subclass gives ("Mask R-CNN", He et al. 2017).

    Args:
        loss_weight: factor of the loss.
        vis_period: iterations between two pictures of masks in training; 0 for none.
    """

    @configurable
    def __init__(self, *, loss_weight: float = 1.0, vis_period: int = 0) -> None:
        super().__init__()
        self.vis_period = vis_period
        self.loss_weight = loss_weight

    @classmethod
    def from_config(cls, cfg: Any, input_shape: ShapeSpec) -> dict[str, Any]:
        """Read ``VIS_PERIOD``."""
        return {"vis_period": cfg.VIS_PERIOD}

    def forward(self, x: Tensor, instances: list[Instances]) -> dict[str, Tensor] | list[Instances]:
        """Loss in training, masks otherwise.

        Args:
            x: ``Tensor[R, C, H, W]``, pooled features of the instances of all images.
            instances: for each image, in training foreground proposals with ``proposal_boxes``, ``gt_classes`` and
                ``gt_masks``; in inference detections with ``pred_boxes`` and ``pred_classes``.

        Returns:
            In training {"loss_mask": scalar}; else ``instances``, with ``pred_masks`` added.
        """
        x = self.layers(x)
        if self.training:
            return {"loss_mask": mask_rcnn_loss(x, instances, self.vis_period) * self.loss_weight}
        mask_rcnn_inference(x, instances)
        return instances

    def layers(self, x: Tensor) -> Tensor:
        """From pooled features ``Tensor[R, C, H, W]`` to mask logits ``Tensor[R, K, M, M]``."""
        raise NotImplementedError(f"{type(self).__name__} does not define layers")


# A Sequential, so that its state dict and its graph show the layers in order.
@ROI_MASK_HEAD_REGISTRY.register()
class MaskRCNNConvUpsampleHead(BaseMaskRCNNHead, nn.Sequential):
    """3x3 convolutions, one transposed convolution that doubles the size, a 1x1 convolution for the logits.

    Args:
        input_shape: shape of the pooled features.
        num_classes: number of foreground classes; 1 for class-agnostic masks.
        conv_dims: output channels of the 3x3 convolutions and, last, of the transposed one.
        conv_norm: norm of the 3x3 convolutions, see :func:`get_norm`.
        kwargs: arguments of :class:`BaseMaskRCNNHead`.

    Raises:
        ValueError: when ``conv_dims`` is empty.
    """

    @configurable
    def __init__(
        self,
        input_shape: ShapeSpec,
        *,
        num_classes: int,
        conv_dims: list[int],
        conv_norm: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not conv_dims:
            raise ValueError("conv_dims of the mask head needs at least the channels of the transposed convolution")
        channels = input_shape.channels
        for number, dim in enumerate(conv_dims[:-1], start=1):
            convolution = Conv2d(
                channels,
                dim,
                kernel_size=3,
                padding=1,
                bias=not conv_norm,
                norm=get_norm(conv_norm, dim),
                activation=nn.ReLU(),
            )
            c2_msra_fill(convolution)
            self.add_module(f"mask_fcn{number}", convolution)
            channels = dim
        self.deconv = nn.ConvTranspose2d(channels, conv_dims[-1], kernel_size=2, stride=2)
        c2_msra_fill(self.deconv)
        self.deconv_relu = nn.ReLU()
        self.predictor = Conv2d(conv_dims[-1], num_classes, kernel_size=1)
        normal_fill(self.predictor, std=0.001)

    @classmethod
    def from_config(cls, cfg: Any, input_shape: ShapeSpec) -> dict[str, Any]:
        """Read ``MODEL.ROI_MASK_HEAD`` and ``MODEL.ROI_HEADS.NUM_CLASSES``."""
        settings = cfg.MODEL.ROI_MASK_HEAD
        return {
            **super().from_config(cfg, input_shape),
            "input_shape": input_shape,
            "num_classes": 1 if settings.CLS_AGNOSTIC_MASK else cfg.MODEL.ROI_HEADS.NUM_CLASSES,
            "conv_dims": [settings.CONV_DIM] * (settings.NUM_CONV + 1),
            "conv_norm": settings.NORM,
        }

    def layers(self, x: Tensor) -> Tensor:
        """See :class:`BaseMaskRCNNHead`; M is twice the size of the pooled features."""
        for layer in self:
            x = layer(x)
        return x


def build_mask_head(cfg: Any, input_shape: ShapeSpec) -> nn.Module:
    """Build the head that ``MODEL.ROI_MASK_HEAD.NAME`` names, for pooled features of this shape."""
    return registered(ROI_MASK_HEAD_REGISTRY, cfg.MODEL.ROI_MASK_HEAD.NAME, "MODEL.ROI_MASK_HEAD.NAME")(
        cfg, input_shape
    )
