"""Heads that turn the pooled features of a region into one feature vector."""

from typing import Any

from fvcore.common.registry import Registry
from torch import Tensor, nn

from detectron2.config import configurable
from detectron2.layers.batch_norm import get_norm
from detectron2.layers.shape_spec import ShapeSpec
from detectron2.layers.wrappers import Conv2d
from detectron2.modeling.weight_init import c2_msra_fill, c2_xavier_fill
from detectron2.utils.registry import registered

__all__ = ["FastRCNNConvFCHead", "ROI_BOX_HEAD_REGISTRY", "build_box_head"]

ROI_BOX_HEAD_REGISTRY = Registry("ROI_BOX_HEAD")
ROI_BOX_HEAD_REGISTRY.__doc__ = """Classes built as ``cls(cfg, input_shape)`` that make features of regions."""


# A Sequential, so that its state dict and its graph show the layers in order.
@ROI_BOX_HEAD_REGISTRY.register()
class FastRCNNConvFCHead(nn.Sequential):
    """3x3 convolutions, then fully connected layers, each followed by ReLU (Fast R-CNN, section 2).

    Args:
        input_shape: channels, height and width of the pooled features.
        conv_dims: output channels of the convolutions.
        fc_dims: output sizes of the fully connected layers.
        conv_norm: norm of the convolutions, see :func:`get_norm`.

    Raises:
        ValueError: when there is no layer at all.
    """

    @configurable
    def __init__(
        self, input_shape: ShapeSpec, *, conv_dims: list[int], fc_dims: list[int], conv_norm: str = ""
    ) -> None:
        super().__init__()
        if len(conv_dims) + len(fc_dims) == 0:
            raise ValueError(
                "the box head has no layer: give conv_dims or fc_dims (MODEL.ROI_BOX_HEAD.NUM_CONV or NUM_FC)"
            )
        channels, height, width = input_shape.channels, input_shape.height, input_shape.width
        for number, dim in enumerate(conv_dims, start=1):
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
            self.add_module(f"conv{number}", convolution)
            channels = dim
        self._output_shape = ShapeSpec(channels=channels, height=height, width=width)

        features = channels * (height or 1) * (width or 1)
        for number, dim in enumerate(fc_dims, start=1):
            if number == 1:
                self.add_module("flatten", nn.Flatten())
            linear = nn.Linear(features, dim)
            c2_xavier_fill(linear)
            self.add_module(f"fc{number}", linear)
            self.add_module(f"fc_relu{number}", nn.ReLU())
            features = dim
            self._output_shape = ShapeSpec(channels=dim)

    @classmethod
    def from_config(cls, cfg: Any, input_shape: ShapeSpec) -> dict[str, Any]:
        """Read ``MODEL.ROI_BOX_HEAD``."""
        settings = cfg.MODEL.ROI_BOX_HEAD
        return {
            "input_shape": input_shape,
            "conv_dims": [settings.CONV_DIM] * settings.NUM_CONV,
            "fc_dims": [settings.FC_DIM] * settings.NUM_FC,
            "conv_norm": settings.NORM,
        }

    def forward(self, x: Tensor) -> Tensor:
        """From pooled features ``Tensor[R, C, H, W]`` to ``Tensor[R, D]``, or to a map without ``fc_dims``."""
        for layer in self:
            x = layer(x)
        return x

    @property
    def output_shape(self) -> ShapeSpec:
        """Shape of the features of one region."""
        return self._output_shape


def build_box_head(cfg: Any, input_shape: ShapeSpec) -> nn.Module:
    """Build the head that ``MODEL.ROI_BOX_HEAD.NAME`` names, for pooled features of this shape."""
    return registered(ROI_BOX_HEAD_REGISTRY, cfg.MODEL.ROI_BOX_HEAD.NAME, "MODEL.ROI_BOX_HEAD.NAME")(cfg, input_shape)
