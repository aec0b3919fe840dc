"""Transforms and augmentations."""

from fvcore.transforms.transform import (
    BlendTransform,
    CropTransform,
    GridSampleTransform,
    HFlipTransform,
    NoOpTransform,
    PadTransform,
    ScaleTransform,
    Transform,
    TransformList,
    VFlipTransform,
)

from .augmentation import (
    AugInput,
    Augmentation,
    AugmentationList,
    StandardAugInput,
    TransformGen,
    apply_augmentations,
    apply_transform_gens,
)
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
from .polygon_clip import clip_polygon  # also lets CropTransform cut polygons
from .transform import ColorTransform, ExtentTransform, PILColorTransform, ResizeTransform, RotationTransform
