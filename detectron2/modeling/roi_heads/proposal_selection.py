"""Which sampled proposals the mask and keypoint branches are trained on."""

from torch import Tensor

from detectron2.layers.wrappers import nonzero_tuple
from detectron2.structures.instances import Instances
from detectron2.utils.events import get_event_storage, has_event_storage


def select_foreground_proposals(proposals: list[Instances], bg_label: int) -> tuple[list[Instances], list[Tensor]]:
    """The labelled proposals that are neither background nor ignored.

    Args:
        proposals: for each image R_i proposals with ``gt_classes``.
        bg_label: the label of background.

    Returns:
        For each image its foreground proposals, and the bool ``Tensor[R_i]`` they were chosen by.

    Raises:
        ValueError: when proposals have no labels.
    """
    foreground, masks = [], []
    for image in proposals:
        if not image.has("gt_classes"):
            raise ValueError(f"proposals without gt_classes cannot be selected; fields: {[*image.get_fields()]}")
        mask = (image.gt_classes != -1) & (image.gt_classes != bg_label)
        foreground.append(image[nonzero_tuple(mask)[0]])
        masks.append(mask)
    return foreground, masks


def select_proposals_with_visible_keypoints(proposals: list[Instances]) -> list[Instances]:
    """The foreground proposals with a visible keypoint inside their box; others have nothing to learn from.

    Args:
        proposals: for each image foreground proposals with ``proposal_boxes`` and ``gt_keypoints``, whose tensor
            is ``Tensor[R_i, K, 3]`` of x, y and visibility.
    """
    selected = []
    for image in proposals:
        if len(image) > 0:
            x, y, visibility = image.gt_keypoints.tensor.unbind(dim=2)
            x0, y0, x1, y1 = image.proposal_boxes.tensor.unsqueeze(2).unbind(dim=1)
            inside = (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)
            image = image[nonzero_tuple(((visibility >= 1) & inside).any(dim=1))[0]]
        selected.append(image)
    if has_event_storage():
        count = sum(len(image) for image in selected) / max(len(selected), 1)
        get_event_storage().put_scalar("keypoint_head/num_fg_samples", count)
    return selected
