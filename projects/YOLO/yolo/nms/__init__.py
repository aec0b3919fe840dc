"""Non-maximum suppression of dense predictions, the whole batch at once, class by class."""

from .functional import nms, nms_padded
from .results import Detections, PaddedDetections
from .workspace import workspace_bytes

__all__ = ["Detections", "PaddedDetections", "nms", "nms_padded", "workspace_bytes"]
