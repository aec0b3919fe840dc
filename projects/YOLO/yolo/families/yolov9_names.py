"""Names in checkpoints of YOLOv9 and GELAN."""

from collections.abc import Mapping

from torch import nn

from ..heads import AnchorFreeHead
from ..layers import GELAN, SPPF, AConv, ADown, ReparamConv
from .names import SourceNames
from .ultralytics_names import CHILDREN

COMMON: Mapping[type[nn.Module], Mapping[str, str]] = {
    **CHILDREN,
    GELAN: {"expand": "cv1", "first": "cv2", "second": "cv3", "merge": "cv4"},
    ReparamConv: {"large": "conv1", "small": "conv2"},
    AConv: {"conv": "cv1"},
    ADown: {"conv": "cv1", "pointwise": "cv2"},
    SPPF: {"reduce": "cv1", "merge": "cv5"},
}


def gelan_names(size: str) -> SourceNames:
    """The conventions of the networks without an auxiliary branch."""
    return SourceNames(prefix=lambda index: f"model.{index}", children=COMMON)


def yolov9_names(size: str) -> SourceNames:
    """The conventions of the networks with an auxiliary branch, whose head comes first there."""
    head = {
        "auxiliary_branches.boxes": "cv2",
        "auxiliary_branches.classes": "cv3",
        "branches.boxes": "cv4",
        "branches.classes": "cv5",
    }
    return SourceNames(prefix=lambda index: f"model.{index}", children={**COMMON, AnchorFreeHead: head})
