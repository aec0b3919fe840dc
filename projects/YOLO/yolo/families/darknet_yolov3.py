"""YOLOv3 as Darknet has it: leaky units, and sizes that are exponentials (YOLOv3, section 2.1)."""

from torch import nn

from ..layers import leaky_relu
from .names import SourceNames
from .registry import register_family
from .table import Family, Layout
from .ultralytics_names import CHILDREN
from .yolov3 import SCALES, yolov3_layout


def _layout(size: str) -> Layout:
    # Darknet pools over what there is at the border; repeating the last pixels does not change a maximum.
    return yolov3_layout(size, leaky_relu, nn.ReplicationPad2d, {"exponential": True})


# Darknet's files have no names; these keep files of the other YOLOv3 from being taken for this one.
_NAMES = SourceNames(prefix=lambda index: f"darknet.{index}", children=CHILDREN)

DARKNET_YOLOV3 = register_family(
    Family(name="darknet_yolov3", scales=SCALES, layout=_layout, names=lambda size: _NAMES)
)
