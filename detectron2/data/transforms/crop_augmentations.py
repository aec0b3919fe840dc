"""Random crops."""

import numpy as np
from fvcore.transforms.transform import CropTransform, NoOpTransform, PadTransform, Transform, TransformList

from detectron2.structures import Boxes, pairwise_iou

from .augmentation import Augmentation

__all__ = ["FixedSizeCrop", "MinIoURandomCrop", "RandomCrop", "RandomCrop_CategoryAreaConstraint"]

_CROP_TYPES = ("relative_range", "relative", "absolute", "absolute_range")


class FixedSizeCrop(Augmentation):
    """Crops to a fixed size at a random place, and pads at the right and bottom what is smaller.

    Args:
        crop_size: (height, width) in pixels.
        pad: pad smaller images.
        pad_value: value of padded pixels.
        seg_pad_value: class of padded pixels of a label map.
    """

    def __init__(
        self, crop_size: tuple[int, int], pad: bool = True, pad_value: float = 128.0, seg_pad_value: int = 255
    ) -> None:
        self._init(locals())

    def _get_crop(self, image: np.ndarray) -> Transform:
        input_size = image.shape[:2]
        spare = np.maximum(np.subtract(input_size, self.crop_size), 0)
        offset = np.round(spare * np.random.uniform(0.0, 1.0)).astype(int)
        return CropTransform(offset[1], offset[0], self.crop_size[1], self.crop_size[0], input_size[1], input_size[0])

    def _get_pad(self, image: np.ndarray) -> Transform:
        input_size = image.shape[:2]
        missing = np.maximum(np.subtract(self.crop_size, input_size), 0)
        cropped = np.minimum(input_size, self.crop_size)
        return PadTransform(0, 0, missing[1], missing[0], cropped[1], cropped[0], self.pad_value, self.seg_pad_value)

    def get_transform(self, image: np.ndarray) -> TransformList:
        steps = (self._get_crop, self._get_pad) if self.pad else (self._get_crop,)
        return TransformList([step(image) for step in steps])


class RandomCrop(Augmentation):
    """Crops a rectangle at a random place.

    Args:
        crop_type: "relative": ``crop_size`` is a fraction (height, width) in (0, 1]; "relative_range": the fraction is
            drawn between it and 1; "absolute": pixels; "absolute_range": both sides are drawn from the interval
            ``crop_size`` in pixels.
        crop_size: two values.
    """

    def __init__(self, crop_type: str, crop_size: tuple[float, float]) -> None:
        if crop_type not in _CROP_TYPES:
            raise ValueError(f"crop_type (INPUT.CROP.TYPE) must be one of {_CROP_TYPES}, got {crop_type!r}")
        self._init(locals())

    def get_transform(self, image: np.ndarray) -> Transform:
        height, width = image.shape[:2]
        crop_height, crop_width = self.get_crop_size((height, width))
        if crop_height > height or crop_width > width:
            raise ValueError(f"a crop of {crop_height}x{crop_width} does not fit an image of {height}x{width} pixels")
        y0 = np.random.randint(height - crop_height + 1)
        x0 = np.random.randint(width - crop_width + 1)
        return CropTransform(x0, y0, crop_width, crop_height)

    def get_crop_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) in pixels of the crop of an image of ``image_size`` (height, width)."""
        height, width = image_size
        if self.crop_type == "relative":
            fraction_h, fraction_w = self.crop_size
            return int(height * fraction_h + 0.5), int(width * fraction_w + 0.5)
        if self.crop_type == "relative_range":
            least = np.asarray(self.crop_size, dtype=np.float32)
            fraction_h, fraction_w = least + np.random.rand(2) * (1 - least)
            return int(height * fraction_h + 0.5), int(width * fraction_w + 0.5)
        if self.crop_type == "absolute":
            return min(self.crop_size[0], height), min(self.crop_size[1], width)
        low, high = self.crop_size
        if low > high:
            raise ValueError(f"INPUT.CROP.SIZE must be an interval with crop type absolute_range, got {self.crop_size}")
        crop_height = np.random.randint(min(height, low), min(height, high) + 1)
        crop_width = np.random.randint(min(width, low), min(width, high) + 1)
        return crop_height, crop_width


class RandomCrop_CategoryAreaConstraint(Augmentation):
    """A :class:`RandomCrop` drawn again, up to 10 times, while one class covers too much of it.

    Args:
        crop_type, crop_size: as for RandomCrop.
        single_category_max_area: largest share of the labelled pixels that one class may take; 1 switches this off.
        ignored_category: class that does not count.
    """

    def __init__(
        self,
        crop_type: str,
        crop_size: tuple[float, float],
        single_category_max_area: float = 1.0,
        ignored_category: int | None = None,
    ) -> None:
        self.crop_aug = RandomCrop(crop_type, crop_size)
        self._init(locals())

    def get_transform(self, image: np.ndarray, sem_seg: np.ndarray) -> Transform:
        if self.single_category_max_area >= 1.0:
            return self.crop_aug.get_transform(image)
        height, width = sem_seg.shape
        for _ in range(10):
            crop_height, crop_width = self.crop_aug.get_crop_size((height, width))
            y0 = np.random.randint(height - crop_height + 1)
            x0 = np.random.randint(width - crop_width + 1)
            labels, counts = np.unique(sem_seg[y0 : y0 + crop_height, x0 : x0 + crop_width], return_counts=True)
            if self.ignored_category is not None:
                counts = counts[labels != self.ignored_category]
            if len(counts) > 1 and counts.max() < counts.sum() * self.single_category_max_area:
                break
        return CropTransform(x0, y0, crop_width, crop_height)


class MinIoURandomCrop(Augmentation):
    """Crops so that every box overlaps the crop by a drawn IoU (SSD, section 2.2).

    Args:
        min_ious: IoU thresholds to draw from, besides "the whole image" and "no threshold".
        min_crop_size: least side of the crop relative to the image.
        mode_trials: how many thresholds are drawn at most.
        crop_trials: how many crops are tried for each.
    """

    def __init__(
        self,
        min_ious: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7, 0.9),
        min_crop_size: float = 0.3,
        mode_trials: int = 1000,
        crop_trials: int = 50,
    ) -> None:
        self.min_ious = min_ious
        self.sample_mode = (1, *min_ious, 0)
        self.min_crop_size = min_crop_size
        self.mode_trials = mode_trials
        self.crop_trials = crop_trials

    def get_transform(self, image: np.ndarray, boxes: np.ndarray | None) -> Transform:
        if boxes is None:
            return NoOpTransform()
        for _ in range(self.mode_trials):
            min_iou = np.random.choice(self.sample_mode)
            if min_iou == 1:
                return NoOpTransform()
            for _ in range(self.crop_trials):
                crop = self._try_crop(image.shape[:2], boxes, min_iou)
                if crop is not None:
                    return crop
        return NoOpTransform()

    def _try_crop(self, size: tuple[int, int], boxes: np.ndarray, min_iou: float) -> Transform | None:
        import torch

        height, width = size
        new_width = np.random.uniform(self.min_crop_size * width, width)
        new_height = np.random.uniform(self.min_crop_size * height, height)
        if not 0.5 <= new_height / new_width <= 2:
            return None
        left, top = np.random.uniform(width - new_width), np.random.uniform(height - new_height)
        patch = np.array((int(left), int(top), int(left + new_width), int(top + new_height)))
        if patch[2] == patch[0] or patch[3] == patch[1]:
            return None
        overlaps = pairwise_iou(Boxes(torch.as_tensor(patch[None], dtype=torch.float)), Boxes(torch.as_tensor(boxes)))
        if len(boxes) and overlaps.min() < min_iou:
            return None
        centers = (boxes[:, :2] + boxes[:, 2:]) / 2
        if len(boxes) and not ((centers > patch[:2]) & (centers < patch[2:])).all(axis=1).any():
            return None
        return CropTransform(int(left), int(top), int(new_width), int(new_height))
