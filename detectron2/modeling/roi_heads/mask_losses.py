"""The training loss of mask heads."""

import torch
from torch import Tensor
from torch.nn import functional as F

from detectron2.layers.wrappers import cat
from detectron2.structures.instances import Instances
from detectron2.utils.events import get_event_storage, has_event_storage


@torch.jit.unused
def mask_rcnn_loss(pred_mask_logits: Tensor, instances: list[Instances], vis_period: int = 0) -> Tensor:
    """Mean binary cross entropy of each region's mask of its true class ("Mask R-CNN", section 3).

    Args:
        pred_mask_logits: ``Tensor[R, K, M, M]`` (K 1 for class-agnostic masks) for the regions of all images.
        instances: for each image its foreground proposals with ``proposal_boxes``, ``gt_classes``, ``gt_masks``.
        vis_period: iterations between two pictures of predicted and true masks; 0 for none.

    Returns:
        Scalar; 0, with a gradient, when there is no region.
    """
    side = pred_mask_logits.shape[2]
    if pred_mask_logits.shape[3] != side:
        raise ValueError(f"mask logits must be square, got shape {tuple(pred_mask_logits.shape)}")
    present = [image for image in instances if len(image) > 0]
    if not present:
        return pred_mask_logits.sum() * 0
    device = pred_mask_logits.device
    target = cat([image.gt_masks.crop_and_resize(image.proposal_boxes.tensor, side).to(device) for image in present])
    if pred_mask_logits.shape[1] == 1:
        logits = pred_mask_logits[:, 0]
    else:
        classes = cat([image.gt_classes for image in present])
        logits = pred_mask_logits[torch.arange(len(classes), device=classes.device), classes]
    target = target > 0.5 if target.dtype != torch.bool else target
    if has_event_storage():
        _log_mask_stats(logits, target)
        if vis_period > 0 and get_event_storage().iter % vis_period == 0:
            _put_mask_images(logits, target)
    return F.binary_cross_entropy_with_logits(logits, target.to(logits.dtype))


def _log_mask_stats(logits: Tensor, target: Tensor) -> None:
    """Put pixel accuracy, false positive rate and false negative rate at the threshold 0.5 into the storage."""
    wrong = (logits > 0) != target
    num_wrong, num_missed, num_positive = torch.stack([wrong.sum(), (wrong & target).sum(), target.sum()]).tolist()
    num_pixels = target.numel()
    storage = get_event_storage()
    storage.put_scalar("mask_rcnn/accuracy", 1 - num_wrong / max(num_pixels, 1))
    storage.put_scalar("mask_rcnn/false_positive", (num_wrong - num_missed) / max(num_pixels - num_positive, 1))
    storage.put_scalar("mask_rcnn/false_negative", num_missed / max(num_positive, 1))


def _put_mask_images(logits: Tensor, target: Tensor) -> None:
    pairs = torch.cat([logits.detach().sigmoid(), target.to(logits.dtype)], dim=2)
    for number, pair in enumerate(pairs):
        tag = f"Left: mask prediction;   Right: mask GT ({number})"
        get_event_storage().put_image(tag, pair.expand(3, -1, -1))
