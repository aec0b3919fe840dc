"""A head on the feature maps of any backbone of the framework."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from detectron2.layers import ShapeSpec
from detectron2.modeling.backbone import Backbone
from detectron2.modeling.backbone.features import feature_shapes

from .detection_network import DetectionNetwork
from .heads.base import DetectionHead

__all__ = ["BACKBONE_FAMILY", "BackboneNetwork", "head_inputs"]

BACKBONE_FAMILY = "backbone"  # the value of MODEL.YOLO.FAMILY for networks without a table


@dataclass(frozen=True)
class HeadInputs:
    """The feature maps that a head reads, from fine to coarse.

    Attributes:
        names: of the maps.
        channels: of each.
        strides: of each, in input pixels.
    """

    names: tuple[str, ...]
    channels: tuple[int, ...]
    strides: tuple[int, ...]


def head_inputs(shapes: dict[str, ShapeSpec], names: Sequence[str]) -> HeadInputs:
    """Look up what a head reads.

    Args:
        shapes: of all feature maps that there are.
        names: of those wanted, from fine to coarse; none for all.

    Raises:
        ValueError: a name that is not there, or strides that do not rise.
    """
    found = feature_shapes(shapes, names or tuple(shapes), "MODEL.YOLO.HEAD.IN_FEATURES")
    channels, strides = tuple(shape.channels or 0 for shape in found), tuple(shape.stride or 0 for shape in found)
    if list(strides) != sorted(set(strides)):
        raise ValueError(f"MODEL.YOLO.HEAD.IN_FEATURES must go from fine to coarse maps; their strides are {strides}")
    return HeadInputs(tuple(names or shapes), channels, strides)


class BackboneNetwork(DetectionNetwork):
    """Backbone and head; a neck, as FPN or PAFPN, is part of the backbone.

    Attributes:
        backbone: gives a dict of feature maps.
        in_features: the names of those that the head reads, from fine to coarse.
    """

    def __init__(
        self,
        backbone: Backbone,
        make_head: Callable[[Sequence[int], Sequence[int]], DetectionHead],
        in_features: Sequence[str] = (),
        name: str = "",
    ) -> None:
        """
        Args:
            backbone: gives a dict of feature maps.
            make_head: makes the head from the channels and the strides of the feature maps.
            in_features: names of the feature maps that the head reads, from fine to coarse; none for all.
            name: of the backbone, for messages.

        Raises:
            ValueError: there is no feature map of a name, or they do not go from fine to coarse.
        """
        super().__init__()
        self.family, self.size = BACKBONE_FAMILY, name or type(backbone).__name__
        inputs = head_inputs(backbone.output_shape(), in_features)
        self.in_features = inputs.names
        self.backbone = backbone
        self.head = make_head(inputs.channels, inputs.strides)

    @property
    def size_divisibility(self) -> int:
        """Multiples of the strides of the head and of what the backbone asks for, in pixels."""
        return math.lcm(*self.strides, max(self.backbone.size_divisibility, 1))

    def features(self, image: Tensor) -> list[Tensor]:
        """The feature maps that the head reads, of ``Tensor[N, in_channels, H, W]``."""
        found = self.backbone(image)
        return [found[name] for name in self.in_features]

    def forward(self, image: Tensor) -> list[Tensor]:
        """As :class:`DetectionNetwork`; in training mode heads with auxiliary predictions give as many maps again."""
        return self.head(self.features(image))
