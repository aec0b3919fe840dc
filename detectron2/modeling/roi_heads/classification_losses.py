"""Classification losses of regions, and the statistics that are logged with them."""

import torch
from torch import Tensor
from torch.nn import functional as F

from detectron2.utils.events import get_event_storage, has_event_storage


def sigmoid_classification_loss(logits: Tensor, gt_classes: Tensor, class_mask: Tensor | None = None) -> Tensor:
    """Binary cross entropy of independent classes, summed over classes and averaged over regions.

    Args:
        logits: ``Tensor[R, K + 1]``; the last column, background, is not used.
        gt_classes: int64 ``Tensor[R]``; K is background, which is negative for every class.
        class_mask: ``Tensor[K]``, weight of each class; default 1.
    """
    num_regions, num_classes = logits.shape[0], logits.shape[1] - 1
    if logits.numel() == 0:
        return logits.sum()
    target = F.one_hot(gt_classes, num_classes + 1)[:, :num_classes].to(logits.dtype)
    loss = F.binary_cross_entropy_with_logits(logits[:, :num_classes], target, reduction="none")
    if class_mask is not None:
        loss = loss * class_mask
    return loss.sum() / num_regions


def sample_federated_classes(
    gt_classes: Tensor, num_fed_loss_classes: int, num_classes: int, weight: Tensor | None
) -> Tensor:
    """The classes that take part in a federated loss: those that are there, filled up by random others.

    Args:
        gt_classes: int64 ``Tensor[R]`` of labels, ``num_classes`` being background.
        num_fed_loss_classes: number of classes wanted.
        num_classes: number of classes K without background.
        weight: ``Tensor[K]``, how likely each class is drawn; default equal.

    Returns:
        int64 ``Tensor`` of distinct labels; more than wanted where more are present.

    Source: "Simple multi-dataset detection" (Zhou et al.), section 4; "LVIS" (Gupta et al.) for the idea.
    """
    present = torch.unique(gt_classes)
    missing = num_fed_loss_classes - len(present)
    if missing <= 0:
        return present
    chance = torch.ones(num_classes + 1, device=gt_classes.device)
    if weight is not None:
        chance[:num_classes] = weight.to(chance)
    chance[num_classes] = 0
    chance[present] = 0
    missing = min(missing, int((chance > 0).sum()))
    if missing == 0:
        return present
    return torch.cat([present, torch.multinomial(chance, missing, replacement=False)])


def _log_classification_stats(pred_logits: Tensor, gt_classes: Tensor, prefix: str = "fast_rcnn") -> None:
    """Put the accuracy, the accuracy on foreground and the share of foreground called background into the storage.

    Args:
        pred_logits: ``Tensor[R, K + 1]``, background last.
        gt_classes: ``Tensor[R]`` of labels.
        prefix: of the scalars' names.
    """
    if gt_classes.numel() == 0 or not has_event_storage():
        return
    background = pred_logits.shape[1] - 1
    predicted = pred_logits.argmax(dim=1)
    foreground = (gt_classes >= 0) & (gt_classes < background)
    correct = predicted == gt_classes
    counts = torch.stack(
        [correct.sum(), foreground.sum(), (correct & foreground).sum(), ((predicted == background) & foreground).sum()]
    )
    num_correct, num_foreground, foreground_correct, missed = counts.tolist()
    storage = get_event_storage()
    storage.put_scalar(f"{prefix}/cls_accuracy", num_correct / gt_classes.numel())
    if num_foreground > 0:
        storage.put_scalar(f"{prefix}/fg_cls_accuracy", foreground_correct / num_foreground)
        storage.put_scalar(f"{prefix}/false_negative", missed / num_foreground)
