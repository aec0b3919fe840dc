"""The loss of a detector, by the kind of its head."""

from collections.abc import Callable
from functools import partial

from torch import nn

from detectron2.config import CfgNode

from .assigners.anchor_matching import AnchorMatcher
from .assigners.ota import OTAAssigner
from .assigners.task_aligned import TaskAlignedAssigner
from .heads.anchors import AnchorsOf
from .heads.base import DetectionHead
from .losses.detection.anchor_based import AnchorDetectionLoss
from .losses.detection.gains import scaled_gains
from .losses.detection.lead_guided import LeadGuidedLoss
from .losses.detection.v8 import V8DetectionLoss
from .positives import CountedAnchorMatcher, CountedSimOTAAssigner, CountedTaskAlignedAssigner
from .scheduled_losses import LateL1YOLOXLoss, ScheduledBranchesLoss

__all__ = ["build_criterion", "loss_scale"]


def anchor_free_loss(cfg: CfgNode, head: DetectionHead) -> nn.Module:
    """From ``MODEL.YOLO.LOSS.ANCHOR_FREE`` and, for heads with two sets of branches, ``LOSS.BRANCHES``."""
    loss = cfg.MODEL.YOLO.LOSS
    dense = partial(TaskAlignedAssigner, loss.ANCHOR_FREE.TOPK, loss.ANCHOR_FREE.ALPHA, loss.ANCHOR_FREE.BETA)
    counted = partial(CountedTaskAlignedAssigner, alpha=loss.ANCHOR_FREE.ALPHA, beta=loss.ANCHOR_FREE.BETA)
    if not head.has_auxiliary:
        return _v8_loss(loss.ANCHOR_FREE, head, counted(loss.ANCHOR_FREE.TOPK))
    if head.head_kind == "end_to_end":
        main = counted(loss.BRANCHES.ONE_TO_ONE_CANDIDATES, final_topk=1)
    else:
        main = counted(loss.ANCHOR_FREE.TOPK)
    losses = {
        "main": _v8_loss(loss.ANCHOR_FREE, head, main),
        "auxiliary": _v8_loss(loss.ANCHOR_FREE, head, dense()),
    }
    first, last = zip(loss.BRANCHES.MAIN_WEIGHT, loss.BRANCHES.AUXILIARY_WEIGHT, strict=True)
    return ScheduledBranchesLoss(losses, first, last, cfg.SOLVER.MAX_ITER)


def _v8_loss(node: CfgNode, head: DetectionHead, assigner: TaskAlignedAssigner) -> nn.Module:
    assert head.reg_max is not None
    return V8DetectionLoss(
        head.num_classes,
        head.strides,
        head.reg_max,
        assigner=assigner,
        box_gain=node.BOX_WEIGHT,
        cls_gain=node.CLS_WEIGHT,
        dfl_gain=node.DFL_WEIGHT,
        overlap=node.OVERLAP,
        batch_scaled=False,
    )


def yolox_loss(cfg: CfgNode, head: DetectionHead) -> nn.Module:
    """From ``MODEL.YOLO.LOSS.YOLOX`` and ``SOLVER.MAX_ITER``."""
    node = cfg.MODEL.YOLO.LOSS.YOLOX
    return LateL1YOLOXLoss(
        head.num_classes,
        head.strides,
        assigner=CountedSimOTAAssigner(node.CENTER_RADIUS),
        iou_gain=node.IOU_WEIGHT,
        l1_from=cfg.SOLVER.MAX_ITER - node.L1_ITERS,
    )


def anchor_based_loss(cfg: CfgNode, head: DetectionHead) -> nn.Module:
    """From ``MODEL.YOLO.LOSS.ANCHOR_BASED`` and ``INPUT.YOLO.SIZE``; auxiliary predictions follow the main ones."""
    node = cfg.MODEL.YOLO.LOSS.ANCHOR_BASED
    assert head.anchors is not None
    gains = scaled_gains(
        node.BOX_WEIGHT,
        node.OBJ_WEIGHT,
        node.CLS_WEIGHT,
        levels=len(head.strides),
        num_classes=head.num_classes,
        image_size=max(cfg.INPUT.YOLO.SIZE),
    )
    reach = 0.0 if head.exponential else 0.5
    anchors = AnchorsOf(head)
    matcher = partial(
        CountedAnchorMatcher, anchors, head.strides, node.ANCHOR_RATIO, reach, exponential=head.exponential
    )
    make = partial(
        AnchorDetectionLoss,
        head.num_classes,
        ota=OTAAssigner() if node.OTA else None,
        box_gain=gains["box_gain"],
        obj_gain=gains["obj_gain"],
        cls_gain=gains["cls_gain"],
        smoothing=node.SMOOTHING,
        overlap=node.OVERLAP,
        batch_scaled=False,
    )
    if not head.has_auxiliary:
        return make(matcher())
    coarse = AnchorMatcher(anchors, head.strides, node.ANCHOR_RATIO, reach=1.0)
    return LeadGuidedLoss(make(matcher()), make(coarse), cfg.MODEL.YOLO.LOSS.BRANCHES.AUXILIARY_WEIGHT[0])


CRITERIA: dict[str, Callable[[CfgNode, DetectionHead], nn.Module]] = {
    "anchor_free_dfl": anchor_free_loss,
    "end_to_end": anchor_free_loss,
    "yolox": yolox_loss,
    "anchor_based": anchor_based_loss,
}


def build_criterion(cfg: CfgNode, head: DetectionHead) -> nn.Module:
    """The loss that suits a head.

    Args:
        cfg: the whole config.
        head: tells its kind, classes, strides and the like.

    Returns:
        a module from (raw predictions of the network, targets) to a dict of scalars, means over the images.

    Raises:
        ValueError: there is no loss for the head.
    """
    if head.head_kind not in CRITERIA:
        raise ValueError(
            f"there is no loss for heads of kind {head.head_kind!r}; kinds with one are {', '.join(CRITERIA)}"
        )
    return CRITERIA[head.head_kind](cfg, head)


def loss_scale(cfg: CfgNode) -> float:
    """Factor of all losses: the images of a step with ``LOSS.SUM_OVER_IMAGES``, as the trainer averages over them."""
    images = cfg.SOLVER.IMS_PER_BATCH * cfg.SOLVER.ACCUMULATION_STEPS
    return float(images) if cfg.MODEL.YOLO.LOSS.SUM_OVER_IMAGES else 1.0
