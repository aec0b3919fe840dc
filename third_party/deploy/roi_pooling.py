"""Region features from the fitting level of a pyramid by the standard ROIAlign, all shapes being known."""

import torch
from torch import Tensor

from detectron2.layers.roi_align import ROIAlign
from detectron2.modeling.poolers import ROIPooler, assign_boxes_to_levels
from detectron2.structures.boxes import Boxes


def pool_regions(pooler: ROIPooler, features: list[Tensor], boxes: Tensor) -> Tensor:
    """Pool each box from its level.

    Every level pools all boxes, those of other levels shrunk to nothing, which costs next to nothing with adaptive
    sampling.

    Args:
        pooler: its settings are used.
        features: ``Tensor[N, C, H_l, W_l]`` for each level.
        boxes: ``Tensor[N, R, 4]`` in input pixels.

    Returns:
        ``Tensor[N * R, C, *output_size]``.

    Raises:
        ValueError: the pooler is of a kind that has no standard operator.
    """
    import torchvision  # noqa: F401  the operator is registered when imported

    images, rows = boxes.shape[:2]
    flat = boxes.flatten(0, 1)
    image = torch.arange(images, device=boxes.device, dtype=boxes.dtype).unsqueeze(1).expand(-1, rows).reshape(-1, 1)
    levels = None
    if len(features) > 1:
        levels = assign_boxes_to_levels(
            [Boxes(flat)],
            pooler.min_level,
            pooler.max_level,
            pooler.canonical_box_size,
            pooler.canonical_level,
        )
    result = None
    for level, (align, feature) in enumerate(zip(pooler.level_poolers, features, strict=True)):
        if not isinstance(align, ROIAlign):
            raise ValueError(
                f"regions pooled by {type(align).__name__} cannot be exported; POOLER_TYPE can be ROIAlignV2"
            )
        own = None if levels is None else (levels == level).unsqueeze(1)
        of_level = flat if own is None else torch.where(own, flat, 0.0)
        height, width = (align.output_size,) * 2 if isinstance(align.output_size, int) else align.output_size
        pooled = torch.ops.torchvision.roi_align(
            feature,
            torch.cat([image, of_level], dim=1),
            align.spatial_scale,
            height,
            width,
            align.sampling_ratio,
            align.aligned,
        )
        result = pooled if result is None or own is None else torch.where(own[:, :, None, None], pooled, result)
    assert result is not None
    return result
