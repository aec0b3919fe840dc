"""The loss of a network, by the kind of its head."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from detectron2.config import CfgNode
from detectron2.utils.events import get_event_storage, has_event_storage

from .assigners.anchor_matching import AnchorMatcher, AnchorMatches
from .assigners.assignment import Assignment
from .assigners.simota import SimOTAAssigner
from .assigners.task_aligned import TaskAlignedAssigner
from .losses.detection.anchor_based import AnchorDetectionLoss
from .losses.detection.branches import BranchesLoss
from .losses.detection.gains import scaled_gains
from .losses.detection.v8 import V8DetectionLoss
from .losses.detection.yolox import YOLOXLoss
from .losses.targets import Targets
from .network import YOLONetwork

__all__ = ["build_criterion"]


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


class LateL1YOLOXLoss(YOLOXLoss):
    """Adds the absolute error of the box outputs from an iteration on (YOLOX, section 2.1)."""

    def __init__(self, *args: Any, l1_from: int, **kwargs: Any) -> None:
        """
        Args:
            l1_from: the first iteration with it. Outside of a training, which counts iterations, there is none.
            *args, **kwargs: of :class:`YOLOXLoss`.
        """
        super().__init__(*args, **kwargs)
        self.l1_from = l1_from

    def forward(self, predictions: Sequence[Tensor], targets: Targets) -> dict[str, Tensor]:
        self.use_l1 = has_event_storage() and get_event_storage().iter >= self.l1_from
        return super().forward(predictions, targets)


class ScheduledBranchesLoss(BranchesLoss):
    """Weights of the branches move linearly over a training."""

    def __init__(
        self, losses: Mapping[str, nn.Module], first: Sequence[float], last: Sequence[float], max_iter: int
    ) -> None:
        """
        Args:
            losses: of each branch, in the order of the head's predictions.
            first, last: weight of each branch at the first and at the last iteration.
            max_iter: length of the training. Outside of one, which counts iterations, weights are the first ones.
        """
        super().__init__(losses, dict(zip(losses, first, strict=True)))
        self.ends = {name: (start, end) for name, start, end in zip(losses, first, last, strict=True)}
        self.max_iter = max_iter

    def forward(
        self, predictions: Mapping[str, Sequence[Tensor]] | Sequence[Tensor], targets: Targets
    ) -> dict[str, Tensor]:
        iteration = get_event_storage().iter if has_event_storage() else 0
        progress = min(iteration / max(self.max_iter - 1, 1), 1.0)
        self.weights = {name: start + (end - start) * progress for name, (start, end) in self.ends.items()}
        return super().forward(predictions, targets)


def anchor_free_loss(cfg: CfgNode, network: YOLONetwork) -> nn.Module:
    """From ``MODEL.YOLO.LOSS.ANCHOR_FREE`` and, for heads with two sets of branches, ``LOSS.BRANCHES``."""
    loss = cfg.MODEL.YOLO.LOSS
    dense = partial(TaskAlignedAssigner, loss.ANCHOR_FREE.TOPK, loss.ANCHOR_FREE.ALPHA, loss.ANCHOR_FREE.BETA)
    counted = partial(CountedTaskAlignedAssigner, alpha=loss.ANCHOR_FREE.ALPHA, beta=loss.ANCHOR_FREE.BETA)
    if not network.head.has_auxiliary:
        return _v8_loss(loss.ANCHOR_FREE, network, counted(loss.ANCHOR_FREE.TOPK))
    if network.head_kind == "end_to_end":
        main = counted(loss.BRANCHES.ONE_TO_ONE_CANDIDATES, final_topk=1)
    else:
        main = counted(loss.ANCHOR_FREE.TOPK)
    losses = {
        "main": _v8_loss(loss.ANCHOR_FREE, network, main),
        "auxiliary": _v8_loss(loss.ANCHOR_FREE, network, dense()),
    }
    first, last = zip(loss.BRANCHES.MAIN_WEIGHT, loss.BRANCHES.AUXILIARY_WEIGHT, strict=True)
    return ScheduledBranchesLoss(losses, first, last, cfg.SOLVER.MAX_ITER)


def _v8_loss(node: CfgNode, network: YOLONetwork, assigner: TaskAlignedAssigner) -> nn.Module:
    assert network.reg_max is not None
    return V8DetectionLoss(
        network.num_classes,
        network.strides,
        network.reg_max,
        assigner=assigner,
        box_gain=node.BOX_WEIGHT,
        cls_gain=node.CLS_WEIGHT,
        dfl_gain=node.DFL_WEIGHT,
        overlap=node.OVERLAP,
        batch_scaled=False,
    )


def yolox_loss(cfg: CfgNode, network: YOLONetwork) -> nn.Module:
    """From ``MODEL.YOLO.LOSS.YOLOX`` and ``SOLVER.MAX_ITER``."""
    node = cfg.MODEL.YOLO.LOSS.YOLOX
    return LateL1YOLOXLoss(
        network.num_classes,
        network.strides,
        assigner=CountedSimOTAAssigner(node.CENTER_RADIUS),
        iou_gain=node.IOU_WEIGHT,
        l1_from=cfg.SOLVER.MAX_ITER - node.L1_ITERS,
    )


def anchor_based_loss(cfg: CfgNode, network: YOLONetwork) -> nn.Module:
    """From ``MODEL.YOLO.LOSS.ANCHOR_BASED`` and ``INPUT.YOLO.SIZE``."""
    node = cfg.MODEL.YOLO.LOSS.ANCHOR_BASED
    assert network.anchors is not None
    gains = scaled_gains(
        node.BOX_WEIGHT,
        node.OBJ_WEIGHT,
        node.CLS_WEIGHT,
        levels=len(network.strides),
        num_classes=network.num_classes,
        image_size=max(cfg.INPUT.YOLO.SIZE),
    )
    return AnchorDetectionLoss(
        network.num_classes,
        CountedAnchorMatcher(network.anchors, network.strides, node.ANCHOR_RATIO),
        box_gain=gains["box_gain"],
        obj_gain=gains["obj_gain"],
        cls_gain=gains["cls_gain"],
        smoothing=node.SMOOTHING,
        overlap=node.OVERLAP,
        batch_scaled=False,
    )


CRITERIA: dict[str, Callable[[CfgNode, YOLONetwork], nn.Module]] = {
    "anchor_free_dfl": anchor_free_loss,
    "end_to_end": anchor_free_loss,
    "yolox": yolox_loss,
    "anchor_based": anchor_based_loss,
}


def build_criterion(cfg: CfgNode, network: YOLONetwork) -> nn.Module:
    """The loss that suits the head of a network.

    Args:
        cfg: the whole config.
        network: tells classes, strides and the like.

    Returns:
        a module from (raw predictions of the network, targets) to a dict of scalars, means over the images.

    Raises:
        ValueError: there is no loss for the head.
    """
    if network.head_kind not in CRITERIA:
        raise ValueError(
            f"MODEL.YOLO.FAMILY {network.family!r} has a head of kind {network.head_kind!r}, for which there is no "
            f"loss; kinds with one are {', '.join(CRITERIA)}"
        )
    return CRITERIA[network.head_kind](cfg, network)
