"""From masks predicted in boxes to masks of the whole image."""

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from detectron2.structures.boxes import Boxes

__all__ = ["paste_masks_in_image"]

BYTES_PER_FLOAT = 4
GPU_MEM_LIMIT = 1024**3  # bytes that the soft masks of one chunk may take


def paste_masks_in_image(
    masks: Tensor, boxes: "Tensor | Boxes", image_shape: tuple[int, int], threshold: float = 0.5
) -> Tensor:
    """Stretch each mask over its box in an image-sized canvas, bilinearly, and threshold it (Mask R-CNN, section 3.1).

    Args:
        masks: probabilities, ``Tensor[N, M, M]``.
        boxes: ``Tensor[N, 4]`` or ``Boxes``, in absolute (x0, y0, x1, y1); may reach out of the image.
        image_shape: height and width of the canvas.
        threshold: a pixel belongs to the object from this probability on; a negative value asks for soft masks.

    Returns:
        bool ``Tensor[N, H, W]``; for a negative threshold uint8, probability times 255.

    Raises:
        ValueError: masks that are not square, or another number of boxes than of masks.
    """
    box_tensor = boxes if isinstance(boxes, Tensor) else boxes.tensor
    if masks.dim() != 3 or masks.shape[1] != masks.shape[2]:
        raise ValueError(f"paste_masks_in_image wants square masks of shape (N, M, M), got {tuple(masks.shape)}")
    if len(box_tensor) != len(masks):
        raise ValueError(f"paste_masks_in_image got {len(masks)} masks for {len(box_tensor)} boxes")
    count, (height, width) = len(masks), image_shape
    if count == 0:
        return masks.new_empty((0, height, width), dtype=torch.uint8)

    on_cpu = masks.device.type == "cpu"
    # a CPU does best with one box at a time, and only the pixels around it; a GPU with as many as memory allows
    chunks = count if on_cpu else math.ceil(count * height * width * BYTES_PER_FLOAT / GPU_MEM_LIMIT)
    canvas = masks.new_zeros((count, height, width), dtype=torch.bool if threshold >= 0 else torch.uint8)
    for rows in torch.arange(count).chunk(chunks):
        part = slice(int(rows[0]), int(rows[-1]) + 1)
        soft, region = _do_paste_mask(masks[part, None], box_tensor[part], height, width, skip_empty=on_cpu)
        target = canvas[(part, *region)]
        if threshold >= 0:
            torch.ge(soft, threshold, out=target)
        else:
            target.copy_(soft * 255)
    return canvas


def _do_paste_mask(
    masks: Tensor, boxes: Tensor, img_h: int, img_w: int, skip_empty: bool = True
) -> tuple[Tensor, tuple[slice, ...]]:
    """Soft masks ``Tensor[N, h, w]`` of ``Tensor[N, 1, M, M]``, and the slices of the image that h and w stand for.

    With ``skip_empty`` they cover what the boxes cover; without, the whole image and no slices.
    """
    rows, columns = slice(0, img_h), slice(0, img_w)
    if skip_empty:
        left, top = (boxes[:, :2].amin(dim=0).floor() - 1).clamp(min=0).int().tolist()
        right, bottom = (boxes[:, 2:].amax(dim=0).ceil() + 1).int().tolist()
        rows, columns = slice(top, max(top, min(bottom, img_h))), slice(left, max(left, min(right, img_w)))
    masks, boxes = masks[:, 0].float(), boxes.float()
    vertical = _interpolation(rows, boxes[:, 1], boxes[:, 3], masks.shape[1])
    horizontal = _interpolation(columns, boxes[:, 0], boxes[:, 2], masks.shape[2])
    with torch.autocast(masks.device.type, enabled=False):  # products in half precision would move the outline
        soft = vertical @ masks @ horizontal.transpose(1, 2)
    return soft, (rows, columns) if skip_empty else ()


def _interpolation(pixels: slice, start: Tensor, end: Tensor, size: int) -> Tensor:
    """Weights ``Tensor[N, P, size]`` that resample ``size`` cells between ``start`` and ``end`` at P pixel centres.

    Bilinear interpolation is a product of one such matrix for the rows and one for the columns, since boxes are
    axis-aligned. Cells outside the mask count as 0.
    """
    centre = torch.arange(pixels.start, pixels.stop, device=start.device, dtype=start.dtype) + 0.5
    position = (centre - start[:, None]) / (end - start)[:, None] * size - 0.5
    cell = torch.arange(size, device=start.device, dtype=start.dtype)
    weights = (1 - (position[..., None] - cell).abs()).clamp(min=0)
    return weights.nan_to_num(0.0)  # a box without extent
