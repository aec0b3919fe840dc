"""All augmentations under their public path."""

from fvcore.transforms.transform import (
    BlendTransform,
    CropTransform,
    HFlipTransform,
    NoOpTransform,
    PadTransform,
    Transform,
    TransformList,
    VFlipTransform,
)

from detectron2.structures import Boxes, pairwise_iou

from .augmentation import Augmentation, _transform_to_aug
from .color_augmentations import RandomBrightness, RandomContrast, RandomLighting, RandomSaturation
from .crop_augmentations import FixedSizeCrop, MinIoURandomCrop, RandomCrop, RandomCrop_CategoryAreaConstraint
from .geometric_augmentations import (
    RandomApply,
    RandomExtent,
    RandomFlip,
    RandomResize,
    RandomRotation,
    Resize,
    ResizeScale,
    ResizeShortestEdge,
)
from .transform import ExtentTransform, ResizeTransform, RotationTransform

__all__ = [
    "Augmentation",
    "BlendTransform",
    "Boxes",
    "CropTransform",
    "ExtentTransform",
    "FixedSizeCrop",
    "HFlipTransform",
    "MinIoURandomCrop",
    "NoOpTransform",
    "PadTransform",
    "RandomApply",
    "RandomBrightness",
    "RandomContrast",
    "RandomCrop",
    "RandomCrop_CategoryAreaConstraint",
    "RandomExtent",
    "RandomFlip",
    "RandomLighting",
    "RandomResize",
    "RandomRotation",
    "RandomSaturation",
    "Resize",
    "ResizeScale",
    "ResizeShortestEdge",
    "ResizeTransform",
    "RotationTransform",
    "Transform",
    "TransformList",
    "VFlipTransform",
    "_transform_to_aug",
    "pairwise_iou",
]
