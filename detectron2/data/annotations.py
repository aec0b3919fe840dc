"""Annotations of one image: moved along with its transforms, then turned into ``Instances``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from fvcore.transforms.transform import HFlipTransform, Transform, TransformList

from detectron2.structures import (
    BitMasks,
    Boxes,
    BoxMode,
    Instances,
    Keypoints,
    PolygonMasks,
    polygons_to_bitmask,
)
from detectron2.structures.polygons import decode_rle

__all__ = [
    "annotations_to_instances",
    "filter_empty_instances",
    "get_bbox",
    "transform_instance_annotations",
    "transform_keypoint_annotations",
    "transform_proposals",
]


def get_bbox(annotation: dict[str, Any]) -> np.ndarray:
    """The box of an annotation as x0, y0, x1, y1 in pixels."""
    return np.asarray(BoxMode.convert(annotation["bbox"], annotation["bbox_mode"], BoxMode.XYXY_ABS))


def transform_instance_annotations(
    annotation: dict[str, Any],
    transforms: Transform | list[Transform],
    image_size: tuple[int, int],
    *,
    keypoint_hflip_indices: np.ndarray | None = None,
) -> dict[str, Any]:
    """Moves box, mask and keypoints of an annotation; changes and returns it.

    Boxes and polygons of integers stay integers, rounded down after each transform; those of COCO json are floats.

    Args:
        annotation: of one instance, in pixels of the image before the transforms.
        transforms: what was applied to the image.
        image_size: (height, width) after them; boxes are clipped to it.
        keypoint_hflip_indices: see ``create_keypoint_hflip_indices``.
    """
    if isinstance(transforms, (tuple, list)):
        transforms = TransformList(transforms)
    height, width = image_size
    box = transforms.apply_box(get_bbox(annotation)[None])[0]
    annotation["bbox"] = box.clip(0, (width, height, width, height))
    annotation["bbox_mode"] = BoxMode.XYXY_ABS
    if "segmentation" in annotation:
        annotation["segmentation"] = _transform_segmentation(annotation["segmentation"], transforms)
    if "keypoints" in annotation:
        annotation["keypoints"] = transform_keypoint_annotations(
            annotation["keypoints"], transforms, image_size, keypoint_hflip_indices
        )
    return annotation


def _transform_segmentation(segmentation: Any, transforms: TransformList) -> Any:
    if isinstance(segmentation, list):
        polygons = [np.asarray(p).reshape(-1, 2) for p in segmentation]
        return [p.reshape(-1) for p in transforms.apply_polygons(polygons)]
    if isinstance(segmentation, dict):
        return transforms.apply_segmentation(decode_rle(segmentation))
    raise ValueError(
        f"a segmentation must be a list of polygons or a COCO RLE dictionary, got {type(segmentation).__name__}"
    )


def transform_keypoint_annotations(
    keypoints: Sequence[float],
    transforms: TransformList,
    image_size: tuple[int, int],
    keypoint_hflip_indices: np.ndarray | None = None,
) -> np.ndarray:
    """Moves keypoints; those that leave the image become unlabelled.

    Args:
        keypoints: K * 3 numbers x, y, visibility, in pixels.
        transforms: what was applied to the image.
        image_size: (height, width) after it.
        keypoint_hflip_indices: for each keypoint the one whose place it takes in a mirrored image.

    Returns:
        array (K, 3); unlabelled keypoints are zeros.
    """
    points = np.asarray(keypoints, dtype=np.float64).reshape(-1, 3)
    xy = transforms.apply_coords(points[:, :2].copy())
    height, width = image_size
    inside = ((xy >= 0) & (xy <= (width, height))).all(axis=1)
    result = np.column_stack([xy, points[:, 2] * inside])
    flips = sum(isinstance(t, HFlipTransform) for t in getattr(transforms, "transforms", [transforms]))
    if flips % 2 == 1:
        if keypoint_hflip_indices is None:
            raise ValueError("keypoints of a mirrored image need keypoint_hflip_indices")
        if len(result) != len(keypoint_hflip_indices):
            raise ValueError(
                f"an annotation has {len(result)} keypoints, keypoint_hflip_indices {len(keypoint_hflip_indices)}"
            )
        result = result[np.asarray(keypoint_hflip_indices)]
    result[result[:, 2] == 0] = 0
    return result


def annotations_to_instances(
    annos: list[dict[str, Any]], image_size: tuple[int, int], mask_format: str = "polygon"
) -> Instances:
    """Annotations of one image as ground truth.

    Args:
        annos: with "bbox", "bbox_mode", "category_id", perhaps "segmentation" and "keypoints".
        image_size: (height, width) in pixels.
        mask_format: "polygon" or "bitmask".

    Returns:
        Instances with ``gt_boxes``, ``gt_classes`` and, where annotated, ``gt_masks`` and ``gt_keypoints``.

    Raises:
        ValueError: only some of the annotations have a mask, or a mask is of another kind than ``mask_format``.
    """
    boxes = np.stack([get_bbox(a) for a in annos]) if annos else np.zeros((0, 4))
    target = Instances(image_size)
    target.gt_boxes = Boxes(torch.as_tensor(boxes, dtype=torch.float32))
    target.gt_classes = torch.tensor([int(a["category_id"]) for a in annos], dtype=torch.int64)
    with_mask = sum("segmentation" in a for a in annos)
    if with_mask not in (0, len(annos)):
        raise ValueError(
            f"{len(annos) - with_mask} of the {len(annos)} annotations of an image have no 'segmentation': give all of "
            "them masks, mark them as crowds, or set MODEL.MASK_ON False"
        )
    if with_mask:
        target.gt_masks = _masks([a["segmentation"] for a in annos], image_size, mask_format)
    if annos and "keypoints" in annos[0]:
        target.gt_keypoints = Keypoints(np.stack([np.asarray(a.get("keypoints", [])) for a in annos]))
    return target


def _masks(segmentations: list[Any], image_size: tuple[int, int], mask_format: str) -> PolygonMasks | BitMasks:
    if mask_format == "polygon":
        if any(not isinstance(s, list) for s in segmentations):
            raise ValueError(
                "INPUT.MASK_FORMAT is 'polygon' and an annotation holds a bitmap or RLE: set INPUT.MASK_FORMAT bitmask"
            )
        return PolygonMasks(segmentations)
    if mask_format != "bitmask":
        raise ValueError(f"mask_format (INPUT.MASK_FORMAT) must be 'polygon' or 'bitmask', got {mask_format!r}")
    return BitMasks(torch.stack([torch.from_numpy(_bitmap(s, image_size)) for s in segmentations]))


def _bitmap(segmentation: Any, image_size: tuple[int, int]) -> np.ndarray:
    if isinstance(segmentation, list):
        return polygons_to_bitmask(segmentation, *image_size)
    if isinstance(segmentation, dict):
        return decode_rle(segmentation).astype(bool)
    if isinstance(segmentation, np.ndarray) and segmentation.ndim == 2:
        return np.ascontiguousarray(segmentation).astype(bool)
    raise ValueError(
        "a segmentation must be a list of polygons, a COCO RLE dictionary or a bitmap of shape (H, W), "
        f"got {type(segmentation).__name__}"
    )


def filter_empty_instances(
    instances: Instances,
    by_box: bool = True,
    by_mask: bool = True,
    box_threshold: float = 1e-5,
    return_mask: bool = False,
) -> Instances | tuple[Instances, torch.Tensor]:
    """Leaves out instances whose box or mask is empty.

    Args:
        instances: ground truth.
        by_box: boxes with a side of at most ``box_threshold`` pixels are empty.
        by_mask: masks without a pixel or polygon are empty.
        box_threshold: in pixels.
        return_mask: return also which were kept, a bool tensor.
    """
    if not by_box and not by_mask:
        raise ValueError("filter_empty_instances needs by_box or by_mask")
    keep = torch.ones(len(instances), dtype=torch.bool)
    if by_box:
        keep &= instances.gt_boxes.nonempty(threshold=box_threshold).to(keep.device)
    if by_mask and instances.has("gt_masks"):
        keep &= instances.gt_masks.nonempty().to(keep.device)
    kept = instances[keep]
    return (kept, keep) if return_mask else kept


def transform_proposals(
    dataset_dict: dict[str, Any],
    image_shape: tuple[int, int],
    transforms: TransformList,
    *,
    proposal_topk: int,
    min_box_size: float = 0,
) -> None:
    """Replaces precomputed "proposal_*" entries by "proposals", moved along with the image; in place.

    Args:
        dataset_dict: with "proposal_boxes" (N, 4), "proposal_bbox_mode", "proposal_objectness_logits" (N,); best first.
        image_shape: (height, width) after the transforms.
        transforms: what was applied to the image.
        proposal_topk: how many are kept.
        min_box_size: least side in pixels.
    """
    if "proposal_boxes" not in dataset_dict:
        return
    mode = dataset_dict.pop("proposal_bbox_mode")
    boxes = BoxMode.convert(dataset_dict.pop("proposal_boxes"), mode, BoxMode.XYXY_ABS)
    logits = torch.as_tensor(dataset_dict.pop("proposal_objectness_logits").astype("float32"))
    moved = Boxes(torch.as_tensor(transforms.apply_box(boxes), dtype=torch.float32))
    moved.clip(image_shape)
    keep = moved.nonempty(threshold=min_box_size)
    proposals = Instances(image_shape)
    proposals.proposal_boxes = moved[keep][:proposal_topk]
    proposals.objectness_logits = logits[keep][:proposal_topk]
    dataset_dict["proposals"] = proposals
