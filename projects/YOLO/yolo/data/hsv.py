"""Random changes of hue, saturation and value."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from fvcore.transforms.transform import NoOpTransform, Transform

from detectron2.data import transforms as T

__all__ = ["HSVTransform", "RandomHSV"]

_FORMATS = ("BGR", "RGB", "L")


class HSVTransform(Transform):
    """Turns the hue and multiplies saturation and value of a uint8 image; a grey one has only its value.

    Args:
        hue: turn of the hue, 1 being the whole circle.
        saturation, value: factors.
        image_format: "BGR", "RGB" or "L".
    """

    def __init__(self, hue: float, saturation: float, value: float, image_format: str = "BGR") -> None:
        super().__init__()
        self._set_attributes(locals())

    def apply_image(self, img: np.ndarray) -> np.ndarray:
        """The changed image, of the same shape (H, W) or (H, W, C).

        Raises:
            TypeError: the image is not uint8.
        """
        from PIL import Image

        if img.dtype != np.uint8:
            raise TypeError(f"a change of hue and saturation needs a uint8 image, got {img.dtype}")
        levels = np.arange(256)
        value = np.rint(levels * self.value).clip(0, 255).astype(np.uint8)
        if img.ndim == 2 or img.shape[2] == 1:
            return value[img]
        hue = np.rint(levels + self.hue * 256).astype(np.int64) % 256
        saturation = np.rint(levels * self.saturation).clip(0, 255)
        table = np.concatenate([hue, saturation, value]).astype(np.uint8).tolist()
        swap = slice(None, None, -1 if self.image_format == "BGR" else 1)
        picture = Image.fromarray(np.ascontiguousarray(img[:, :, swap])).convert("HSV").point(table)
        return np.ascontiguousarray(np.asarray(picture.convert("RGB"))[:, :, swap])

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        """Coordinates stay."""
        return coords

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        """Labels stay."""
        return segmentation

    def inverse(self) -> Transform:
        """Does nothing: coordinates stay where they are."""
        return NoOpTransform()


class RandomHSV(T.Augmentation):
    """Draws each change evenly from minus to plus a gain.

    Args:
        hue: largest turn of the hue, 1 being the whole circle.
        saturation, value: largest change of the factors, which lie around 1.
        image_format: "BGR", "RGB" or "L".

    Raises:
        ValueError: a gain outside 0..1, or another format.
    """

    def __init__(self, hue: float, saturation: float, value: float, image_format: str = "BGR") -> None:
        for name, gain in (("hue", hue), ("saturation", saturation), ("value", value)):
            if not 0 <= gain <= 1:
                raise ValueError(f"the gain of {name} (INPUT.YOLO.HSV) is {gain}, but must lie in 0..1")
        if image_format not in _FORMATS:
            raise ValueError(f"INPUT.FORMAT is {image_format!r}, but INPUT.YOLO.HSV needs one of {', '.join(_FORMATS)}")
        self.hue = hue
        self.saturation = saturation
        self.value = value
        self.image_format = image_format

    @classmethod
    def from_node(cls, node: Mapping[str, Any], image_format: str) -> "RandomHSV":
        """From ``INPUT.YOLO``: its key ``HSV``, three gains."""
        hue, saturation, value = node["HSV"]
        return cls(hue, saturation, value, image_format)

    def get_transform(self, image: np.ndarray) -> Transform:
        """A transform with gains drawn from NumPy's generator."""
        gains = (self.hue, self.saturation, self.value)
        if not any(gains):
            return NoOpTransform()
        hue, saturation, value = np.random.uniform(-1, 1, 3) * gains
        return HSVTransform(hue, 1 + saturation, 1 + value, self.image_format)
