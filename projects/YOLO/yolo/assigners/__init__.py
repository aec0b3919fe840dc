"""Which prediction learns which object."""

from .anchor_matching import AnchorMatcher, AnchorMatches
from .assignment import Assignment
from .one_to_one import one_to_one_assigner
from .ota import OTAAssigner
from .simota import SimOTAAssigner
from .task_aligned import TaskAlignedAssigner
