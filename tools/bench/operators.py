"""Operators of ``detectron2.layers`` and ``detectron2.structures``, with torchvision beside them."""

import numpy as np
import torch

from .timing import CASES


def random_boxes(
    count: int, height: int, width: int, seed: int = 0, sides: tuple[float, float] = (10, 210)
) -> torch.Tensor:
    """Random xyxy boxes inside an image, sides uniform in ``sides`` (pixels)."""
    generator = torch.Generator().manual_seed(seed)
    size = torch.tensor([width, height], dtype=torch.float32)
    wh = sides[0] + torch.rand(count, 2, generator=generator) * (sides[1] - sides[0])
    corner = torch.rand(count, 2, generator=generator) * (size - wh)
    return torch.cat([corner, corner + wh], dim=1)


def _roi_inputs() -> tuple[torch.Tensor, torch.Tensor]:
    """Features and boxes of such sides that adaptive sampling takes torchvision 5 times as long as 2 x 2 samples."""
    feature = torch.randn(1, 256, 200, 304, generator=torch.Generator().manual_seed(1))
    rois = torch.cat([torch.zeros(1000, 1), random_boxes(1000, 800, 1216, sides=(32, 370))], dim=1)
    return feature, rois


def _roi_align(sampling_ratio: int):
    from detectron2.layers import ROIAlign

    return ROIAlign((7, 7), 0.25, sampling_ratio, aligned=True)


def _torchvision_roi_align(feature: torch.Tensor, rois: torch.Tensor) -> torch.Tensor:
    from torchvision.ops import roi_align

    return roi_align(feature, rois, (7, 7), 0.25, 0, aligned=True)


def _backward(function):
    feature, rois = _roi_inputs()
    feature.requires_grad_()
    out = function(feature, rois)
    grad = torch.ones_like(out)
    return lambda: torch.autograd.grad(out, feature, grad, retain_graph=True)


ROI = "roi_align_1000x256x7x7_on_200x304"


@CASES.add(f"{ROI}_fwd", peer=f"torchvision_{ROI}_fwd")
def _():
    pool, (feature, rois) = _roi_align(0), _roi_inputs()
    return lambda: pool(feature, rois)


@CASES.add(f"torchvision_{ROI}_fwd")
def _():
    feature, rois = _roi_inputs()
    return lambda: _torchvision_roi_align(feature, rois)


@CASES.add("roi_align_sr2_fwd")
def _():
    pool, (feature, rois) = _roi_align(2), _roi_inputs()
    return lambda: pool(feature, rois)


@CASES.add(f"{ROI}_bwd", peer=f"torchvision_{ROI}_bwd")
def _():
    return _backward(_roi_align(0))


@CASES.add(f"torchvision_{ROI}_bwd")
def _():
    return _backward(_torchvision_roi_align)


def _nms_inputs(count: int, classes: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return (
        random_boxes(count, 800, 1333, seed=3),
        torch.rand(count, generator=generator),
        torch.randint(classes, (count,), generator=generator),
    )


def _add_nms(count: int, classes: int) -> None:
    name = f"batched_nms_{classes}class_{count}"

    @CASES.add(name, repeat=25, peer=f"torchvision_{name}")
    def _():
        from detectron2.layers import batched_nms

        inputs = _nms_inputs(count, classes)
        return lambda: batched_nms(*inputs, 0.5)

    @CASES.add(f"torchvision_{name}", repeat=25)
    def _():
        from torchvision.ops import batched_nms

        inputs = _nms_inputs(count, classes)
        return lambda: batched_nms(*inputs, 0.5)


for _count in (2000, 10000):
    for _classes in (1, 80):
        _add_nms(_count, _classes)


@CASES.add("pairwise_iou_3000x3000")
def _():
    from detectron2.structures import Boxes, pairwise_iou

    first, second = Boxes(random_boxes(3000, 800, 1333, 4)), Boxes(random_boxes(3000, 800, 1333, 5))
    return lambda: pairwise_iou(first, second)


@CASES.add("deform_conv_v1_64_64_3x3_128x128_fwd", peer="torchvision_deform_conv_v1_64_64_3x3_128x128_fwd")
def _():
    # before the inputs, as in the peer's row: where the allocator puts them changes the time by a fifth
    import torchvision  # noqa: F401

    from detectron2.layers import DeformConv

    conv, x, offset = DeformConv(64, 64, 3, padding=1), torch.randn(1, 64, 128, 128), torch.randn(1, 18, 128, 128)
    return torch.no_grad()(lambda: conv(x, offset))


@CASES.add("torchvision_deform_conv_v1_64_64_3x3_128x128_fwd")
def _():
    from torchvision.ops import deform_conv2d

    x, offset, weight = torch.randn(1, 64, 128, 128), torch.randn(1, 18, 128, 128), torch.randn(64, 64, 3, 3)
    return lambda: deform_conv2d(x, offset, weight, padding=1)


@CASES.add("paste_masks_100_on_800x1333")
def _():
    from detectron2.layers import paste_masks_in_image

    masks, boxes = torch.rand(100, 28, 28, generator=torch.Generator().manual_seed(6)), random_boxes(100, 800, 1333, 7)
    return lambda: paste_masks_in_image(masks, boxes, (800, 1333), 0.5)


@CASES.add("polygon_crop_and_resize_200_to_28", repeat=20)
def _():
    from detectron2.structures import PolygonMasks

    boxes = random_boxes(200, 800, 1333, 8)
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1) / 2
    polygons = []
    for x0, y0, x1, y1 in boxes.numpy().astype(np.float64):
        points = circle * (x1 - x0, y1 - y0) + ((x0 + x1) / 2, (y0 + y1) / 2)
        polygons.append([points.reshape(-1)])
    masks = PolygonMasks(polygons)
    return lambda: masks.crop_and_resize(boxes, 28)
