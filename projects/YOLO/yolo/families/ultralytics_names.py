"""Names in checkpoints of the Ultralytics kind: rows are ``model.<index>``, convolutions of a block ``cv<number>``."""

from collections.abc import Mapping

from torch import nn

from ..heads import AnchorBasedHead, AnchorFreeHead
from ..layers import SPP, SPPF, Bottleneck, C2f, C3, SeparableConv
from .names import SourceNames

CHILDREN: Mapping[type[nn.Module], Mapping[str, str]] = {
    Bottleneck: {"first": "cv1", "second": "cv2"},
    C3: {"main": "cv1", "side": "cv2", "merge": "cv3", "blocks": "m"},
    C2f: {"expand": "cv1", "merge": "cv2", "blocks": "m"},
    SPP: {"reduce": "cv1", "merge": "cv2"},
    SPPF: {"reduce": "cv1", "merge": "cv2"},
    SeparableConv: {"depthwise": "0", "pointwise": "1"},
    AnchorBasedHead: {"predictors": "m"},
    AnchorFreeHead: {"branches.boxes": "cv2", "branches.classes": "cv3"},
}


def ultralytics_names(size: str) -> SourceNames:
    """The conventions, the same for each size."""
    return SourceNames(prefix=lambda index: f"model.{index}", children=CHILDREN)
