"""Assigners that log how many predictions they have made positive."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from detectron2.utils.events import get_event_storage, has_event_storage

from .assigners.anchor_matching import AnchorMatcher, AnchorMatches
from .assigners.assignment import Assignment
from .assigners.simota import SimOTAAssigner
from .assigners.task_aligned import TaskAlignedAssigner
from .losses.targets import Targets


def log_positives(count: Tensor | int, num_images: int) -> None:
    """Put the number of positive predictions an image into the event storage, if there is one."""
    if has_event_storage():
        get_event_storage().put_scalar("num_pos_anchors", int(count) / num_images)


class CountedTaskAlignedAssigner(TaskAlignedAssigner):
    """Logs how many anchors have become positive."""

    def __call__(self, *args: Any) -> Assignment:
        assigned = super().__call__(*args)
        log_positives(assigned.foreground.sum(), len(assigned.foreground))
        return assigned


class CountedSimOTAAssigner(SimOTAAssigner):
    """Logs how many anchors have become positive."""

    def __call__(self, *args: Any) -> Assignment:
        assigned = super().__call__(*args)
        log_positives(assigned.foreground.sum(), len(assigned.foreground))
        return assigned


class CountedAnchorMatcher(AnchorMatcher):
    """Logs how many pairs of a prediction and an object there are."""

    def __call__(self, targets: Targets, shapes: Sequence[tuple[int, int]]) -> tuple[AnchorMatches, ...]:
        matches = super().__call__(targets, shapes)
        log_positives(sum(len(level.image) for level in matches), len(targets.mask))
        return matches
