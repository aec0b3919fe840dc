"""From a network's output, at the size of its input, to the size that the caller wants."""

from torch import Tensor
from torch.nn import functional as F

from detectron2.structures.boxes import Boxes
from detectron2.structures.instances import Instances
from detectron2.structures.masks import ROIMasks


def detector_postprocess(
    results: Instances, output_height: int, output_width: int, mask_threshold: float = 0.5
) -> Instances:
    """Rescale boxes, masks and keypoints to the output size and drop boxes that become empty.

    Args:
        results: detections of one image; its ``image_size`` is the size of the network's input. Has
            ``pred_boxes`` or ``proposal_boxes``; ``pred_masks`` ``Tensor[R, 1, M, M]`` and
            ``pred_keypoints`` ``Tensor[R, K, 3]`` (x, y, score) are rescaled where present. Left unchanged.
        output_height, output_width: wanted size in pixels.
        mask_threshold: probability from which on a pixel belongs to the mask.

    Returns:
        new ``Instances`` of the output size; ``pred_masks`` is a bool ``Tensor[R, output_height, output_width]``.

    Raises:
        ValueError: when there are no boxes.
    """
    name = next((field for field in ("pred_boxes", "proposal_boxes") if results.has(field)), None)
    if name is None:
        raise ValueError(f"Instances to rescale need pred_boxes or proposal_boxes; fields: {[*results.get_fields()]}")
    input_height, input_width = results.image_size
    scale_x, scale_y = output_width / input_width, output_height / input_height
    size = (int(output_height), int(output_width))

    boxes: Boxes = results.get(name).clone()
    boxes.scale(scale_x, scale_y)
    boxes.clip(size)
    fields = {**results.get_fields(), name: boxes}
    output = Instances(size, **fields)[boxes.nonempty()]

    if output.has("pred_masks"):
        masks = output.pred_masks
        roi_masks = masks if isinstance(masks, ROIMasks) else ROIMasks(masks[:, 0])
        output.pred_masks = roi_masks.to_bitmasks(output.get(name), *size, mask_threshold).tensor
    if output.has("pred_keypoints"):
        keypoints = output.pred_keypoints
        output.pred_keypoints = keypoints * keypoints.new_tensor([scale_x, scale_y, 1.0])
    return output


def sem_seg_postprocess(result: Tensor, img_size: tuple[int, int], output_height: int, output_width: int) -> Tensor:
    """Cut the padding off a map of class scores and resize it, so that an argmax follows at full resolution.

    Args:
        result: logits ``Tensor[C, H, W]`` of a padded image.
        img_size: (height, width) of the image before padding.
        output_height, output_width: wanted size in pixels.

    Returns:
        ``Tensor[C, output_height, output_width]``, bilinear.
    """
    height, width = img_size
    unpadded = result[:, :height, :width].unsqueeze(0)
    size = (output_height, output_width)
    return F.interpolate(unpadded, size=size, mode="bilinear", align_corners=False).squeeze(0)
