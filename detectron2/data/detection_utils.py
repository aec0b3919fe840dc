"""Building blocks of mappers: images, annotations, the augmentations of a config, facts of the data set."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from detectron2.structures import (
    BitMasks,
    Boxes,
    BoxMode,
    Instances,
    Keypoints,
    PolygonMasks,
    polygons_to_bitmask,
)
from detectron2.utils.file_io import PathManager

from . import transforms as T
from .annotations import (
    annotations_to_instances,
    filter_empty_instances,
    get_bbox,
    transform_instance_annotations,
    transform_keypoint_annotations,
    transform_proposals,
)
from .catalog import MetadataCatalog
from .image_io import (
    _EXIF_ORIENT,
    _M_RGB2YUV,
    _M_YUV2RGB,
    SizeMismatchError,
    _apply_exif_orientation,
    check_image_size,
    convert_image_to_rgb,
    convert_PIL_to_numpy,
    read_image,
)

__all__ = [
    "BitMasks",
    "BoxMode",
    "Boxes",
    "Instances",
    "Keypoints",
    "MetadataCatalog",
    "PathManager",
    "PolygonMasks",
    "SizeMismatchError",
    "_EXIF_ORIENT",
    "_M_RGB2YUV",
    "_M_YUV2RGB",
    "_apply_exif_orientation",
    "annotations_to_instances",
    "build_augmentation",
    "build_transform_gen",
    "check_image_size",
    "check_metadata_consistency",
    "convert_PIL_to_numpy",
    "convert_image_to_rgb",
    "create_keypoint_hflip_indices",
    "filter_empty_instances",
    "gen_crop_transform_with_instance",
    "get_bbox",
    "get_fed_loss_cls_weights",
    "polygons_to_bitmask",
    "read_image",
    "transform_instance_annotations",
    "transform_keypoint_annotations",
    "transform_proposals",
]

_FLIPS = ("horizontal", "vertical", "none")


def build_augmentation(cfg: Any, is_train: bool) -> list[T.Augmentation]:
    """The resize and flip of ``cfg.INPUT``; in inference the resize alone."""
    settings = cfg.INPUT
    if not is_train:
        return [T.ResizeShortestEdge(settings.MIN_SIZE_TEST, settings.MAX_SIZE_TEST, "choice")]
    if settings.RANDOM_FLIP not in _FLIPS:
        raise ValueError(f"INPUT.RANDOM_FLIP must be one of {_FLIPS}, got {settings.RANDOM_FLIP!r}")
    augmentations = [
        T.ResizeShortestEdge(settings.MIN_SIZE_TRAIN, settings.MAX_SIZE_TRAIN, settings.MIN_SIZE_TRAIN_SAMPLING)
    ]
    if settings.RANDOM_FLIP != "none":
        horizontal = settings.RANDOM_FLIP == "horizontal"
        augmentations.append(T.RandomFlip(horizontal=horizontal, vertical=not horizontal))
    return augmentations


build_transform_gen = build_augmentation


def gen_crop_transform_with_instance(
    crop_size: tuple[int, int], image_size: tuple[int, int], instance: dict[str, Any]
) -> T.CropTransform:
    """A random crop that contains the middle of an instance.

    Args:
        crop_size: (height, width) in pixels.
        image_size: (height, width) in pixels.
        instance: an annotation with "bbox" and "bbox_mode".

    Raises:
        ValueError: the crop is larger than the image, or the instance lies outside.
    """
    crop, size = np.asarray(crop_size, dtype=np.int32), np.asarray(image_size, dtype=np.int32)
    x0, y0, x1, y1 = get_bbox(instance)
    middle = np.array([(y0 + y1) / 2, (x0 + x1) / 2])
    if (middle < 0).any() or (middle > size).any():
        raise ValueError(f"the middle of the box {[x0, y0, x1, y1]} lies outside the image of {tuple(size)} pixels")
    if (crop > size).any():
        raise ValueError(f"a crop of {tuple(crop)} pixels does not fit an image of {tuple(size)}")
    low = np.maximum(np.floor(middle).astype(np.int32) - crop, 0)
    high = np.maximum(np.minimum(size - crop, np.ceil(middle).astype(np.int32)), 0)
    top = np.random.randint(low[0], high[0] + 1)
    left = np.random.randint(low[1], high[1] + 1)
    return T.CropTransform(left, top, crop[1], crop[0])


def check_metadata_consistency(key: str, dataset_names: Sequence[str]) -> None:
    """Raises ValueError unless all data sets have the same metadata ``key``."""
    if not dataset_names:
        return
    values = [getattr(MetadataCatalog.get(name), key) for name in dataset_names]
    for name, value in zip(dataset_names, values, strict=True):
        if value != values[0]:
            raise ValueError(
                f"data sets trained or tested together need the same metadata {key!r}: {dataset_names[0]!r} has "
                f"{values[0]}, {name!r} has {value}"
            )


def create_keypoint_hflip_indices(dataset_names: str | list[str]) -> list[int]:
    """For each keypoint the index of its mirror image, from "keypoint_names" and "keypoint_flip_map"."""
    names = [dataset_names] if isinstance(dataset_names, str) else dataset_names
    check_metadata_consistency("keypoint_names", names)
    check_metadata_consistency("keypoint_flip_map", names)
    metadata = MetadataCatalog.get(names[0])
    mirror = dict(metadata.keypoint_flip_map)
    mirror.update({right: left for left, right in mirror.items()})
    return [metadata.keypoint_names.index(mirror.get(name, name)) for name in metadata.keypoint_names]


def get_fed_loss_cls_weights(dataset_names: str | list[str], freq_weight_power: float = 1.0) -> torch.Tensor:
    """Weights (K,) by which the federated loss samples classes: number of images of each to a power.

    Raises:
        ValueError: the metadata holds no "class_image_count".
    """
    names = [dataset_names] if isinstance(dataset_names, str) else dataset_names
    check_metadata_consistency("class_image_count", names)
    counts = MetadataCatalog.get(names[0]).class_image_count
    by_class = [c["image_count"] for c in sorted(counts, key=lambda c: c["id"])]
    return torch.tensor(by_class).float() ** freq_weight_power
