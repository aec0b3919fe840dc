"""From masks predicted in boxes to masks of the whole image."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
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
    canvas = _canvas((count, height, width), torch.bool if threshold >= 0 else torch.uint8, masks.device)
    for part in _parts(count, height * width, on_cpu):
        soft, region = _do_paste_mask(masks[part, None], box_tensor[part], height, width, skip_empty=on_cpu)
        target = canvas[(part, *region)]
        if threshold >= 0:
            torch.ge(soft, threshold, out=target)
        else:
            target.copy_(soft * 255)
    return canvas


def _canvas(shape: tuple[int, int, int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Zeros. Numpy's come from calloc, so that on a CPU the pages that no box touches are never written."""
    if device.type == "cpu":
        return torch.from_numpy(np.zeros(shape, dtype=np.bool_ if dtype == torch.bool else np.uint8))
    return torch.zeros(shape, dtype=dtype, device=device)


def _parts(count: int, pixels: int, on_cpu: bool) -> Iterator[slice]:
    """Masks to paste at once: on a CPU one, with only the pixels around it; on a GPU what its memory holds."""
    size = 1 if on_cpu else max(1, GPU_MEM_LIMIT // (pixels * BYTES_PER_FLOAT))
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


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


def _paste_masks_tensor_shape(
    masks: Tensor, boxes: Tensor, image_shape: tuple[Tensor, Tensor], threshold: float = 0.5
) -> Tensor:
    """``paste_masks_in_image`` for a height and width that are scalar tensors, as while tracing."""
    return paste_masks_in_image(masks, boxes, (int(image_shape[0]), int(image_shape[1])), threshold)


def paste_mask_in_image_old(mask: Tensor, box: Tensor, img_h: int, img_w: int, threshold: float) -> Tensor:
    """Paste one mask by resizing it to whole pixels: less exact, kept for comparisons with old results.

    Args:
        mask: probabilities, ``Tensor[M, M]``.
        box: ``Tensor[4]``; its corners are rounded down, and the last row and column count as inside.
        img_h, img_w: size of the canvas.
        threshold: inside is what lies above; a negative value asks for probability times 255.

    Returns:
        uint8 ``Tensor[img_h, img_w]``.
    """
    x0, y0, x1, y1 = box.int().tolist()
    size = (max(y1 - y0 + 1, 1), max(x1 - x0 + 1, 1))
    resized = F.interpolate(mask.float()[None, None], size=size, mode="bilinear", antialias=True)[0, 0]
    values = resized > threshold if threshold >= 0 else resized * 255
    canvas = torch.zeros(img_h, img_w, dtype=torch.uint8, device=mask.device)
    top, left = max(y0, 0), max(x0, 0)
    target = canvas[top : max(y0 + size[0], top), left : max(x0 + size[1], left)]
    target.copy_(values[top - y0 :, left - x0 :][: target.shape[0], : target.shape[1]])
    return canvas


def pad_masks(masks: Tensor, padding: int) -> tuple[Tensor, float]:
    """Put a border of zeros around masks.

    Args:
        masks: ``Tensor[N, M, M]``.
        padding: width of the border in cells.

    Returns:
        ``Tensor[N, M + 2 * padding, M + 2 * padding]``, and the factor by which the masks have grown.
    """
    return F.pad(masks, (padding,) * 4), (masks.shape[-1] + 2 * padding) / masks.shape[-1]


def scale_boxes(boxes: Tensor, scale: float) -> Tensor:
    """Grow boxes ``Tensor[N, 4]`` about their centres by a factor."""
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2 * scale
    return torch.cat([centre - half, centre + half], dim=1)
