"""ROIAlign: the native operator where it is built, torchvision's elsewhere."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from detectron2.layers import _native


def roi_align(
    input: Tensor,
    boxes: Tensor | Sequence[Tensor],
    output_size: int | tuple[int, int],
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    aligned: bool = False,
) -> Tensor:
    """Average bilinear samples of ``input`` over a grid of bins in every box (Mask R-CNN, section 3).

    Args:
        input: features, ``Tensor[N, C, H, W]``.
        boxes: ``Tensor[K, 5]`` of (image index, x0, y0, x1, y1), or one ``Tensor[L, 4]`` an image.
        output_size: bins along height and width.
        spatial_scale: feature pixels per unit of the boxes.
        sampling_ratio: samples a bin along each axis; 0 or less takes ``ceil(bin size)``.
        aligned: shift boxes by half a feature pixel, so that a box covers the pixels that it encloses.

    Returns:
        ``Tensor[K, C, *output_size]`` of the type of ``input``. Half precisions are computed in float32.

    Raises:
        ValueError: boxes of another shape.
    """
    rois = boxes if isinstance(boxes, Tensor) else _join_boxes(boxes)
    if rois.dim() != 2 or rois.shape[1] != 5:
        raise ValueError(f"roi_align wants boxes of shape (K, 5), got {tuple(rois.shape)}")
    size = (output_size, output_size) if isinstance(output_size, int) else (output_size[0], output_size[1])
    if _use_native(input):
        return torch.ops.detectron2.roi_align_forward(input, rois, spatial_scale, *size, sampling_ratio, aligned)
    from torchvision.ops import roi_align as torchvision_roi_align

    # torchvision wants one type for both; coordinates rounded to half precision would move boxes by whole pixels
    compute = input.float() if input.dtype in (torch.float16, torch.bfloat16) else input
    output = torchvision_roi_align(compute, rois.to(compute.dtype), size, spatial_scale, sampling_ratio, aligned)
    return output.to(input.dtype)


def _join_boxes(boxes: Sequence[Tensor]) -> Tensor:
    """``Tensor[L, 4]`` of each image -> ``Tensor[K, 5]`` with the image index in front."""
    index = [torch.full_like(image_boxes[:, :1], i) for i, image_boxes in enumerate(boxes)]
    return torch.cat([torch.cat(index), torch.cat(list(boxes))], dim=1)


def _use_native(input: Tensor) -> bool:
    if torch.jit.is_scripting() or torch.onnx.is_in_onnx_export():  # exporters know torchvision's operator only
        return False
    if input.is_cuda:
        # the native CUDA backward adds atomically; torchvision has a form without
        return not torch.are_deterministic_algorithms_enabled() and _native.has_cuda()
    return input.device.type in ("cpu", "meta") and _native.has_cpu()


class ROIAlign(nn.Module):
    """``roi_align`` with its settings fixed."""

    def __init__(
        self, output_size: int | tuple[int, int], spatial_scale: float, sampling_ratio: int, aligned: bool = True
    ) -> None:
        """
        Args:
            output_size: bins along height and width.
            spatial_scale: feature pixels per unit of the boxes.
            sampling_ratio: samples a bin along each axis; 0 takes as many as the bin has pixels.
            aligned: with False, boxes are half a pixel off and at least one pixel large, as in older models.
        """
        super().__init__()
        self.output_size = output_size
        self.spatial_scale = spatial_scale
        self.sampling_ratio = sampling_ratio
        self.aligned = aligned

    def forward(self, input: Tensor, rois: Tensor) -> Tensor:
        """
        Args:
            input: ``Tensor[N, C, H, W]``.
            rois: ``Tensor[K, 5]`` of (image index, x0, y0, x1, y1).

        Returns:
            ``Tensor[K, C, *output_size]``.
        """
        return roi_align(input, rois, self.output_size, self.spatial_scale, self.sampling_ratio, self.aligned)

    def __repr__(self) -> str:
        settings = ("output_size", "spatial_scale", "sampling_ratio", "aligned")
        return f"ROIAlign({', '.join(f'{name}={getattr(self, name)}' for name in settings)})"
