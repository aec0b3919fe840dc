"""Pictures of ground truth beside predictions, for the event storage."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from detectron2.utils.events import get_event_storage, has_event_storage


def put_boxes_image(inputs: dict[str, Any], boxes: Tensor, image_format: str, tag: str) -> None:
    """Put one picture into the event storage: ground truth on the left, predicted boxes on the right.

    Args:
        inputs: one element of a training batch, with "image" ``Tensor[C, H, W]`` and "instances".
        boxes: ``Tensor[R, 4]``, XYXY in pixels of the image.
        image_format: channel order of the image, e.g. "BGR".
        tag: name of the picture in the storage.
    """
    from detectron2.data.detection_utils import convert_image_to_rgb
    from detectron2.utils.visualizer import Visualizer

    pixels = convert_image_to_rgb(inputs["image"].permute(1, 2, 0), image_format)
    truth = inputs["instances"].gt_boxes.tensor
    halves = [
        Visualizer(pixels, None).overlay_instances(boxes=side.detach().cpu().numpy()).get_image()
        for side in (truth, boxes)
    ]
    picture = np.concatenate(halves, axis=1)
    get_event_storage().put_image(tag, torch.from_numpy(picture.transpose(2, 0, 1).copy()))


def is_due(period: int) -> bool:
    """Whether this iteration of the running training is one whose pictures are wanted; never for period 0."""
    return period > 0 and has_event_storage() and get_event_storage().iter % period == 0
