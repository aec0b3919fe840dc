"""Detection losses, one a family of heads: predictions and targets in, a dict of weighted scalars out."""

from .anchor_based import AnchorDetectionLoss
from .branches import BranchesLoss
from .end_to_end import EndToEndDetectionLoss
from .gains import scaled_gains
from .lead_guided import LeadGuidedLoss
from .v8 import V8DetectionLoss
from .yolox import YOLOXLoss
