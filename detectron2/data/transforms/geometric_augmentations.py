"""Random flips, resizes, rotations and extents."""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from fvcore.transforms.transform import HFlipTransform, NoOpTransform, Transform, VFlipTransform

from .augmentation import Augmentation, _transform_to_aug
from .transform import BILINEAR, ExtentTransform, ResizeTransform, RotationTransform

__all__ = [
    "RandomApply",
    "RandomExtent",
    "RandomFlip",
    "RandomResize",
    "RandomRotation",
    "Resize",
    "ResizeScale",
    "ResizeShortestEdge",
]


def _check_sample_style(style: str) -> None:
    if style not in ("range", "choice"):
        raise ValueError(f"sample_style must be 'range' or 'choice', got {style!r}")


class RandomApply(Augmentation):
    """Applies another augmentation with a probability.

    Args:
        tfm_or_aug: the augmentation or transform.
        prob: in 0..1.
    """

    def __init__(self, tfm_or_aug: Augmentation | Transform, prob: float = 0.5) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f"prob must lie in 0..1, got {prob}")
        self.aug = _transform_to_aug(tfm_or_aug)
        self.prob = prob

    def get_transform(self, *args: Any) -> Transform:
        return self.aug.get_transform(*args) if self._rand_range() < self.prob else NoOpTransform()

    def __call__(self, aug_input: Any) -> Transform:
        return self.aug(aug_input) if self._rand_range() < self.prob else NoOpTransform()


class RandomFlip(Augmentation):
    """Mirrors the image with a probability.

    Args:
        prob: in 0..1.
        horizontal, vertical: the direction, exactly one of them.
    """

    def __init__(self, prob: float = 0.5, *, horizontal: bool = True, vertical: bool = False) -> None:
        if horizontal == vertical:
            raise ValueError("RandomFlip takes one of horizontal and vertical; use two RandomFlip for both")
        self._init(locals())

    def get_transform(self, image: np.ndarray) -> Transform:
        height, width = image.shape[:2]
        if self._rand_range() >= self.prob:
            return NoOpTransform()
        return HFlipTransform(width) if self.horizontal else VFlipTransform(height)


class Resize(Augmentation):
    """Resizes to a fixed size.

    Args:
        shape: (height, width) in pixels, or one number for both.
        interp: one of Pillow's resampling filters.
    """

    def __init__(self, shape: int | tuple[int, int], interp: int = BILINEAR) -> None:
        shape = (shape, shape) if isinstance(shape, int) else tuple(shape)
        self._init(locals())

    def get_transform(self, image: np.ndarray) -> Transform:
        return ResizeTransform(*image.shape[:2], *self.shape, self.interp)


class RandomResize(Augmentation):
    """Resizes to a size drawn from a list.

    Args:
        shape_list: sizes (height, width) in pixels.
        interp: one of Pillow's resampling filters.
    """

    def __init__(self, shape_list: Sequence[tuple[int, int]], interp: int = BILINEAR) -> None:
        self._init(locals())

    def get_transform(self, image: np.ndarray) -> Transform:
        new_height, new_width = self.shape_list[np.random.choice(len(self.shape_list))]
        return ResizeTransform(*image.shape[:2], new_height, new_width, self.interp)


class ResizeShortestEdge(Augmentation):
    """Resizes the shorter side to a length, keeping the aspect ratio and a limit on the longer side.

    Args:
        short_edge_length: lengths in pixels to choose from, or with "range" the two ends of an interval.
        max_size: limit on the longer side in pixels.
        sample_style: "range" or "choice".
        interp: one of Pillow's resampling filters.
    """

    def __init__(
        self,
        short_edge_length: int | Sequence[int],
        max_size: int = sys.maxsize,
        sample_style: str = "range",
        interp: int = BILINEAR,
    ) -> None:
        _check_sample_style(sample_style)
        self.is_range = sample_style == "range"
        if isinstance(short_edge_length, int):
            short_edge_length = (short_edge_length, short_edge_length)
        if self.is_range and len(short_edge_length) != 2:
            raise ValueError(f"short_edge_length must be two values with sample_style 'range', got {short_edge_length}")
        self._init(locals())

    def get_transform(self, image: np.ndarray) -> Transform:
        lengths = self.short_edge_length
        drawn = np.random.randint(lengths[0], lengths[1] + 1) if self.is_range else np.random.choice(lengths)
        if drawn == 0:  # the image stays as it is
            return NoOpTransform()
        before = image.shape[:2]
        return ResizeTransform(*before, *self.get_output_shape(*before, drawn, self.max_size), self.interp)

    @staticmethod
    def get_output_shape(oldh: int, oldw: int, short_edge_length: int, max_size: int) -> tuple[int, int]:
        """(height, width) in pixels after the resize of an image of ``oldh`` x ``oldw`` pixels."""
        scale = float(short_edge_length) / min(oldh, oldw)
        scale = min(scale, float(max_size) / (max(oldh, oldw) * scale) * scale)
        return int(oldh * scale + 0.5), int(oldw * scale + 0.5)


class ResizeScale(Augmentation):
    """Fits the image into a target size times a random factor (large scale jitter, Simple Copy-Paste, section 3).

    Args:
        min_scale, max_scale: interval of the factor.
        target_height, target_width: in pixels.
        interp: one of Pillow's resampling filters.
    """

    def __init__(
        self, min_scale: float, max_scale: float, target_height: int, target_width: int, interp: int = BILINEAR
    ) -> None:
        self._init(locals())

    def _get_resize(self, image: np.ndarray, scale: float) -> Transform:
        height, width = image.shape[:2]
        factor = min(self.target_height * scale / height, self.target_width * scale / width)
        return ResizeTransform(
            height, width, int(np.round(height * factor)), int(np.round(width * factor)), self.interp
        )

    def get_transform(self, image: np.ndarray) -> Transform:
        return self._get_resize(image, np.random.uniform(self.min_scale, self.max_scale))


class RandomRotation(Augmentation):
    """Rotates by a random angle about a random point.

    Args:
        angle: degrees, or with "range" the two ends of an interval, or with "choice" a list.
        expand: enlarge the output so that nothing is cut off.
        center: ((x0, y0), (x1, y1)) relative to the size, in 0..1: ends of an interval or a list; default the middle.
        sample_style: "range" or "choice".
        interp: 0 nearest, 1 bilinear.
    """

    def __init__(
        self,
        angle: float | Sequence[float],
        expand: bool = True,
        center: Sequence[tuple[float, float]] | None = None,
        sample_style: str = "range",
        interp: int | None = None,
    ) -> None:
        _check_sample_style(sample_style)
        self.is_range = sample_style == "range"
        if isinstance(angle, (float, int)):
            angle = (angle,) * 2
        if center is not None and np.ndim(center) == 1:  # one point
            center = (center,) * 2
        self._init(locals())

    def get_transform(self, image: np.ndarray) -> Transform:
        height, width = image.shape[:2]
        center = None
        if self.is_range:
            angle = np.random.uniform(self.angle[0], self.angle[1])
            if self.center is not None:
                (x0, y0), (x1, y1) = self.center
                center = (np.random.uniform(x0, x1), np.random.uniform(y0, y1))
        else:
            angle = np.random.choice(self.angle)
            if self.center is not None:
                center = self.center[np.random.choice(len(self.center))]
        if center is not None:
            center = (width * center[0], height * center[1])
        if angle % 360 == 0:
            return NoOpTransform()
        return RotationTransform(height, width, angle, expand=self.expand, center=center, interp=self.interp)


class RandomExtent(Augmentation):
    """Takes a rectangle of random scale and shift, which may reach out of the image.

    Args:
        scale_range: interval of the rectangle's size relative to the image.
        shift_range: largest shift along x and y relative to the image; the middle moves by half of it at most.
    """

    def __init__(self, scale_range: tuple[float, float], shift_range: tuple[float, float]) -> None:
        self._init(locals())

    def get_transform(self, image: np.ndarray) -> Transform:
        height, width = image.shape[:2]
        half = np.array([width, height]) / 2
        middle = half.copy()
        if not np.allclose(self.scale_range, 1):
            half = half * np.random.uniform(*self.scale_range)
        if self.shift_range[0] != 0:
            middle[0] += self.shift_range[0] * width * (np.random.rand() - 0.5)
        if self.shift_range[1] != 0:
            middle[1] += self.shift_range[1] * height * (np.random.rand() - 0.5)
        x0, y0 = (middle - half).tolist()
        x1, y1 = (middle + half).tolist()
        return ExtentTransform(src_rect=(x0, y0, x1, y1), output_size=(int(y1 - y0), int(x1 - x0)))
